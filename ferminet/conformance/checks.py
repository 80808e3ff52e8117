"""Whether a wavefunction keeps its contract, before a run is spent on it.

`check_ansatz` does all checks and tells what it found. The checks are also plain functions of a
`Subject`, which `pytest --ansatz my_net.py:build` runs one by one (`pytest_plugin.py`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax

from ferminet.ansatz.base import Ansatz
from ferminet.conformance import basics, energies, optimisation, programs, reports, symmetry
from ferminet.conformance.cases import Subject
from ferminet.conformance.findings import FAILED, NOT_RUN, PASSED, REPORTED, Finding, Outcome
from ferminet.conformance.guard import PluginError
from ferminet.vmc.hamiltonian import LocalEnergy, local_energy

Check = Callable[[Subject], Outcome]
BUILDS, SHAPES = "builds", "shapes and dtypes"
# What the other checks rest on: after a failure of one of these they are not run.
FOUNDATIONS = (BUILDS, SHAPES)
# Name -> check, in the order of asking.
CHECKS: dict[str, Check] = {
    BUILDS: basics.builds,
    SHAPES: basics.shapes,
    "one program": programs.one_program,
    "pure functions": programs.pure,
    "geometry": programs.geometry,
    "antisymmetry": symmetry.antisymmetry,
    "finite": basics.finite,
    "coincidence": basics.coincidence,
    "alone and in batches": basics.agreement_in_batches,
    "orbitals": symmetry.orbitals,
    "layered": symmetry.layered,
    "kinetic energy": energies.kinetic,
    "forward Laplacian": energies.forward_laplacian,
    "local energy": energies.full_local_energy,
    "parameter gradient": optimisation.parameter_gradient,
    "KFAC step": optimisation.kfac_step,
}
TIMES = "times"
# What is measured and never fails by its value.
REPORTS: dict[str, Check] = {
    "KFAC blocks": optimisation.kfac_blocks,
    "spins": symmetry.spin_dependence,
    "initial parameters": programs.key_dependence,
    "invariances": reports.invariances,
    "cusps": reports.cusps,
    "parameters": reports.parameters,
    TIMES: reports.times,
}


class Conformance(NamedTuple):
    """All findings about one wavefunction."""

    target: str
    options: Mapping[str, Any]
    findings: list[Finding]

    @property
    def failures(self) -> list[Finding]:
        """The checks that failed."""
        return [finding for finding in self.findings if finding.status == FAILED]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "target": self.target,
            "options": dict(self.options),
            "passed": not self.failures,
            "checks": [finding._asdict() for finding in self.findings],
        }


def check_ansatz(
    target: str,
    options: Mapping[str, Any] | None = None,
    *,
    energy: Callable[[Ansatz], LocalEnergy] = local_energy,
    only: Iterable[str] | None = None,
    tell: Callable[[Finding], None] | None = None,
) -> Conformance:
    """Checks a wavefunction against its contract, in float64.

    Args:
        target: ``module:function``, ``file.py:function``, or an entry point of ``ferminet.ansatz``.
        options: of the builder.
        energy: makes the local energy that is checked; the package's own if left out.
        only: names of `CHECKS` and `REPORTS`; all if left out.
        tell: is given each finding when it is there.

    Raises:
        InputError: there is no such builder, or it refuses these options.
    """
    subject = Subject(target, dict(options or {}), energy)
    names = [*CHECKS, *REPORTS] if only is None else list(only)
    findings: list[Finding] = []
    raised: set[str] = set()
    for name in names:
        broken = any(one.name in FOUNDATIONS and one.status == FAILED for one in findings)
        found = Finding(name, NOT_RUN, "") if broken else run_check(name, subject)
        cause = found.details.get("raised", "")
        if cause in raised:  # one mistake is told once
            found = Finding(name, NOT_RUN, "raises the same")
        raised |= {cause} - {""}
        findings.append(found)
        if tell is not None:
            tell(found)
    return Conformance(target, subject.options, findings)


def run_check(name: str, subject: Subject) -> Finding:
    """One check or report of a wavefunction.

    Raises:
        InputError: there is no such builder, or it refuses its options.
    """
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        try:
            outcome = (CHECKS | REPORTS)[name](subject)
        except PluginError as error:
            return Finding(name, FAILED, "raised", "", str(error), {"raised": error.cause})
    if name in REPORTS:
        return Finding(name, REPORTED, *outcome)
    return Finding(name, FAILED if outcome.sentence else PASSED, *outcome)


def assert_conforms(target: str, options: Mapping[str, Any] | None = None) -> None:
    """For a test suite of one's own: all checks, no measurements of speed.

    Raises:
        AssertionError: with the sentences of what failed.
        InputError: there is no such builder, or it refuses these options.
    """
    found = check_ansatz(target, options, only=CHECKS)
    assert not found.failures, "\n".join(f"{f.name}: {f.sentence}" for f in found.failures)
