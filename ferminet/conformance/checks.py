"""Check a wavefunction against its contract before a run is spent on it.

`CHECKS` and `REPORTS` are the only list of checks, and `Examination` is the only code that runs
them: for `ferminet check-ansatz`, for `pytest --ansatz` and for `assert_conforms` in a test suite.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Any

import jax

from ferminet.config.plugins import PluginError
from ferminet.conformance import derivatives, measurements, symmetry, values
from ferminet.conformance.subject import Finding, Subject

Check = Callable[[Subject], Finding]
PASSED, FAILED, REPORTED, NOT_RUN = "passed", "failed", "reported", "not run"
BUILDS, SHAPES, TIMES = "builds", "shapes and dtypes", "times"
# If one of these fails, no other check is run.
FOUNDATIONS = (BUILDS, SHAPES)
CHECKS: dict[str, Check] = {
    BUILDS: values.builds,
    SHAPES: values.shapes,
    "one program": values.one_program,
    "pure functions": values.pure,
    "geometry": values.geometry,
    "antisymmetry": symmetry.antisymmetry,
    "finite": values.finite,
    "coincidence": values.coincidence,
    "alone and in batches": values.agreement_in_batches,
    "orbitals": symmetry.orbitals,
    "layered": symmetry.layered,
    "kinetic energy": derivatives.kinetic,
    "forward Laplacian": derivatives.forward_laplacian,
    "local energy": derivatives.full_local_energy,
    "parameter gradient": derivatives.parameter_gradient,
    "KFAC step": derivatives.kfac_step,
}
# Measurements: whatever their values, they do not fail.
REPORTS: dict[str, Check] = {
    "KFAC blocks": derivatives.kfac_blocks,
    "spins": symmetry.spin_dependence,
    "initial parameters": values.key_dependence,
    "invariances": symmetry.invariances,
    "cusps": measurements.cusps,
    "parameters": measurements.parameters,
    TIMES: measurements.times,
}


class Examination:
    """The findings about one wavefunction; each check runs once.

    A check counts as not run if a foundation failed or an earlier check raised the same error.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.findings: dict[str, Finding] = {}
        self._causes: set[str] = set()

    @property
    def failures(self) -> list[Finding]:
        """The checks that failed."""
        return [finding for finding in self.findings.values() if finding.status == FAILED]

    def finding(self, name: str) -> Finding:
        """Return the finding of a check; run the foundations first.

        InputError reports that there is no such builder, or that it refuses its options.
        """
        jax.devices()  # so that a missing device is not attributed to the wavefunction
        if name not in self.findings:
            earlier = takewhile(lambda foundation: foundation != name, FOUNDATIONS)
            failed = next((f for f in earlier if self.finding(f).status == FAILED), None)
            skipped = Finding(f"{failed} failed", name=name, status=NOT_RUN)
            self.findings[name] = skipped if failed else self._run(name)
        return self.findings[name]

    def _run(self, name: str) -> Finding:
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            try:
                finding = (CHECKS | REPORTS)[name](self.subject)
            except PluginError as error:
                if error.cause in self._causes:
                    return Finding("raises the same", name=name, status=NOT_RUN)
                self._causes.add(error.cause)
                details = {"raised": error.cause}
                return Finding("raised", "", str(error), details, name, FAILED)
        status = REPORTED if name in REPORTS else FAILED if finding.sentence else PASSED
        return finding._replace(name=name, status=status)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the JSON report."""
        return {
            "target": self.subject.target,
            "options": dict(self.subject.options),
            "passed": not self.failures,
            "checks": [finding._asdict() for finding in self.findings.values()],
        }


def check_ansatz(
    target: str,
    options: Mapping[str, Any] | None = None,
    *,
    only: Iterable[str] = (*CHECKS, *REPORTS),
    report: Callable[[Finding], None] = lambda finding: None,
) -> Examination:
    """Check a wavefunction against its contract, in float64.

    Args:
        target: `module:function`, `file.py:function`, or an entry point of `ferminet.ansatz`.
        options: options of the builder.
        only: names of `CHECKS` and `REPORTS`; the foundations are checked in any case.
        report: called with each finding as soon as it is made.

    Raises:
        InputError: there is no such builder, or it refuses these options.
    """
    examination = Examination(Subject(target, dict(options or {})))
    for name in only:
        report(examination.finding(name))
    return examination


def assert_conforms(target: str, options: Mapping[str, Any] | None = None) -> None:
    """Run all checks in a test suite, without the measurements.

    The text of an AssertionError holds the sentences of all failures.
    """
    failures = check_ansatz(target, options, only=CHECKS).failures
    assert not failures, "\n".join(f"{failure.name}: {failure.sentence}" for failure in failures)
