"""Conformance: sound wavefunctions pass, and each kind of mistake is refused in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import yaml

from ferminet.ansatz import ferminet
from ferminet.ansatz.base import AnsatzSpec
from ferminet.cli.main import main
from ferminet.conformance import checks, derivatives, measurements, subject
from ferminet.conformance.checks import FAILED, NOT_RUN, Examination
from ferminet.conformance.subject import Subject
from ferminet.vmc.hamiltonian import EnergyParts, local_energy
from ferminet.vmc.laplacian import kinetic_energy

ROOT = Path(__file__).parents[2]
TINY = {"layers": 1, "one_electron_width": 4, "two_electron_width": 2, "determinants": 1}
ALL_SYSTEMS = subject.SYSTEMS
FERMINET = "ferminet.ansatz.ferminet:build"

# A sound wavefunction of a few operations: orbitals (weights . features) exp(-zeta r), where the
# features are distances to nuclei and means over pairs. Each mistake is one replacement in it.
SOUND = """\
import itertools
import jax
import jax.numpy as jnp
import numpy as np
from ferminet.ansatz.base import Ansatz, LogPsi
from ferminet.ansatz.determinants import sum_of_determinants
from ferminet.ansatz.layers import electron_electron_features, electron_nucleus_features

counter = itertools.count()
kept = {}


def build(spec, scale=1.0):
    n_electrons = spec.n_up + spec.n_down
    spins = (slice(0, spec.n_up), slice(spec.n_up, n_electrons))

    def init(key, nuclei):
        dtype = nuclei.coords.dtype
        kept["nuclei"] = nuclei
        width = 4 * spec.n_nuclei + 4
        weights = jax.random.normal(key, (2, width, n_electrons), dtype)
        return {"weights": weights, "zeta": jnp.asarray(scale, dtype)}

    def orbitals(params, electrons, nuclei):
        vectors, distances = electron_nucleus_features(electrons, nuclei)
        pairs = jnp.mean(electron_electron_features(electrons), axis=1)
        own = jnp.concatenate([vectors, distances[..., None]], axis=-1)
        rows = jnp.concatenate([own.reshape(n_electrons, -1), pairs], axis=-1)
        decay = jnp.exp(-params["zeta"] * jnp.sum(distances, axis=1, keepdims=True))
        found = []
        for spin, where in enumerate(spins):
            values = jnp.tanh(rows[where] @ params["weights"][spin]) * decay[where]
            found.append(values[None, :, : where.stop - where.start])
        return tuple(found)

    def apply(params, electrons, nuclei):
        return sum_of_determinants(*orbitals(params, electrons, nuclei))

    return Ansatz(init, apply, orbitals)
"""
RETURNED = "        return sum_of_determinants(*orbitals(params, electrons, nuclei))\n"
APPLY = "    def apply(params, electrons, nuclei):\n"
MISTAKES = {
    "no squared gradient": (
        "    return Ansatz(init, apply, orbitals)",
        """    def kinetic(params, electrons, nuclei):
        def logabs(flat):
            return apply(params, flat.reshape(electrons.shape), nuclei).logabs

        return -0.5 * jnp.trace(jax.hessian(logabs)(electrons.reshape(-1)))

    return Ansatz(init, apply, orbitals, kinetic)""",
        "kinetic energy",
        "kinetic is not -1/2 (nabla^2 psi)/psi",
    ),
    "i and j exchanged for one spin": (
        "        own = jnp.concatenate(",
        """        features = electron_electron_features(electrons)
        later = jnp.arange(n_electrons)[:, None] < jnp.arange(n_electrons)
        ordered = jnp.where(later[..., None], features, jnp.swapaxes(features, 0, 1))
        pairs = jnp.where(
            (jnp.arange(n_electrons) < spec.n_up)[:, None],
            jnp.mean(ordered, axis=1),
            jnp.mean(features, axis=1),
        )
        own = jnp.concatenate(""",
        "antisymmetry",
        "exchanging electrons 0 and 1 of Li",
    ),
    "symmetric": (
        RETURNED,
        """        up, down = orbitals(params, electrons, nuclei)
        product = jnp.prod(jnp.sum(up[0], axis=1)) * jnp.prod(jnp.sum(down[0], axis=1))
        return LogPsi(jnp.sign(product), jnp.log(jnp.abs(product)))
""",
        "antisymmetry",
        "must change the sign of psi",
    ),
    "nan at coincidence": (
        RETURNED,
        """        psi = sum_of_determinants(*orbitals(params, electrons, nuclei))
        i, j = jnp.triu_indices(n_electrons, 1)
        r = jnp.linalg.norm(electrons[i] - electrons[j], axis=-1)
        return psi._replace(logabs=psi.logabs + params["zeta"] * jnp.sum(r / r * jnp.exp(-r)))
""",
        "coincidence",
        "is not a number where two electrons",
    ),
    "wrong shape": (
        RETURNED,
        RETURNED.replace("return sum", "psi = sum")
        + "        return LogPsi(psi.sign, psi.logabs[None])\n",
        "shapes and dtypes",
        "logabs has shape (1,)",
    ),
    "python value": (
        APPLY,
        APPLY + "        if float(electrons[0, 0]) > 1e9:\n            return None\n",
        "shapes and dtypes",
        "mine.py:37: apply(params, electrons, nuclei) raised ConcretizationTypeError",
    ),
    "weakly typed parameter": (
        "jnp.asarray(scale, dtype)",
        "jnp.asarray(scale)",
        "one program",
        "compiled again for parameters that an optimiser has moved",
    ),
    "another program each time": (
        RETURNED,
        "        electrons = electrons * (1.0 + 1e-9 * next(counter))\n" + RETURNED,
        "pure functions",
        "two traces of apply give different programs",
    ),
    "nuclei of init": (
        "        vectors, distances = electron",
        "        nuclei = kept['nuclei']\n        vectors, distances = electron",
        "geometry",
        "must use the nuclei that it is given",
    ),
    "single precision": (
        RETURNED,
        RETURNED.replace("return sum", "psi = sum")
        + "        return LogPsi(psi.sign, psi.logabs.astype(jnp.float32))\n",
        "shapes and dtypes",
        "is float32, but parameters, electrons and nuclei are float64",
    ),
    "impure": (
        RETURNED,
        "        electrons = electrons + 1e-3 * np.random.normal(size=electrons.shape)\n"
        + RETURNED,
        "pure functions",
        "NumPy random numbers",
    ),
    "raises": (
        APPLY,
        APPLY + "        raise KeyError('no such layer')\n",
        "shapes and dtypes",
        "mine.py:37: apply(params, electrons, nuclei) raised KeyError: 'no such layer'",
    ),
    "orbitals of a wrong shape": (
        "return Ansatz(init, apply, orbitals)",
        "return Ansatz(init, apply, lambda *given: tuple(part[0] for part in orbitals(*given)))",
        "orbitals",
        "must be (determinants, n_up, columns)",
    ),
    "no gradient": (
        'params["zeta"] *',
        'jax.lax.stop_gradient(params["zeta"]) *',
        "parameter gradient",
        "with respect to the parameter ['zeta'] differs",
    ),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    """Writes a plug-in and returns how it is named."""

    def write(source: str) -> str:
        path = tmp_path_factory.mktemp("plugin") / "mine.py"
        path.write_text(source)
        return f"{path}:build"

    return write


@pytest.fixture(autouse=True)
def _one_small_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for a mistake to show."""
    monkeypatch.setattr(subject, "SYSTEMS", ALL_SYSTEMS[:1])


def check(name: str, target: str, options: dict | None = None, **how):
    return Examination(Subject(target, options or {}, **how)).finding(name)


def assert_passes(target: str, options: dict | None = None) -> None:
    """All but what takes long; the template does everything but compare times."""
    names = (*checks.CHECKS, *checks.REPORTS)
    left_out = (checks.TIMES, "KFAC step")
    found = checks.check_ansatz(target, options, only=[n for n in names if n not in left_out])
    assert [f"{f.name}: {f.sentence}" for f in found.failures] == []
    assert len(found.findings) == len(checks.CHECKS) + len(checks.REPORTS) - 2


def test_ferminet_passes() -> None:
    assert_passes(FERMINET, {**TINY, "jastrow": "electron_cusp"})


def test_a_sound_wavefunction_passes(written) -> None:
    assert_passes(written(SOUND))


@pytest.mark.slow
def test_the_template_passes(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(subject, "SYSTEMS", ALL_SYSTEMS[1:])  # two nuclei; no electron of one spin
    monkeypatch.chdir(tmp_path)
    assert main(["new-ansatz", "my_net.py"]) == 0
    printed = capsys.readouterr().out
    assert "ferminet check-ansatz my_net.py:build" in printed and printed.count("\n") == 5
    arguments = ["check-ansatz", "my_net.py:build", "--no-times", "--out", "found.json"]
    assert main([*arguments, "--options", "layers=1", "width=4", "determinants=1"]) == 0
    assert "passes all" in capsys.readouterr().out
    found = json.loads(Path("found.json").read_text())
    assert found["passed"] and found["options"] == {"layers": 1, "width": 4, "determinants": 1}
    assert main(["new-ansatz", "my_net.py"]) == 2
    assert "exists and is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused(written, mistake: str) -> None:
    old, new, name, words = MISTAKES[mistake]
    assert SOUND.count(old) == 1
    target = written(SOUND.replace(old, new))
    finding = check(name, target)
    assert finding.status == FAILED
    assert words in finding.sentence
    assert finding.sentence.endswith(".") and "\n" not in finding.sentence


@pytest.mark.parametrize(
    "returned",
    ["LogPsi(psi.sign[None], psi.logabs[None])", "(psi.sign, psi.logabs)", "psi.logabs"],
)
def test_no_other_check_runs_after_a_wrong_shape(written, returned: str, capsys) -> None:
    wrong = RETURNED.replace("return sum", "psi = sum") + f"        return {returned}\n"
    target = written(SOUND.replace(RETURNED, wrong))
    found = checks.check_ansatz(target)
    assert [one.name for one in found.failures] == [checks.SHAPES]
    assert {one.status for one in list(found.findings.values())[2:]} == {NOT_RUN}
    assert main(["check-ansatz", target, "--no-times"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def potential_with(nuclei_factor: float, pairs_left_out: int):
    """A local energy whose potential lacks a pair of electrons, or a part of the nuclei's."""

    def energy(ansatz):
        good, kinetic = local_energy(ansatz), kinetic_energy(ansatz)

        def wrong(params, electrons, nuclei):
            parts = good(params, electrons, nuclei)
            missing = pairs_left_out / jnp.linalg.norm(electrons[0] - electrons[1])
            apart = jnp.linalg.norm(nuclei.coords[0] - nuclei.coords[-1])
            missing += nuclei_factor * nuclei.charges[0] * nuclei.charges[-1] / apart
            total = parts.total - missing
            return EnergyParts(total, kinetic(params, electrons, nuclei), parts.potential - missing)

        return wrong

    return energy


@pytest.mark.parametrize(("nuclei_factor", "pairs"), [(0.0, 1), (1.0, 0)])
def test_a_missing_term_of_the_potential_is_found(
    written, monkeypatch, nuclei_factor: float, pairs: int
) -> None:
    pair = subject.small_system("H2", ("H", "H"), subject.PAIR, unpaired=0)
    monkeypatch.setattr(subject, "SYSTEMS", (pair,))
    monkeypatch.setattr(subject, "CLOSED_SHELLS", ())
    target = written(SOUND)
    wrong = check("local energy", target, energy=potential_with(nuclei_factor, pairs))
    assert wrong.status == FAILED and "a term of the potential is wrong" in wrong.sentence


def test_the_plain_potential_of_a_hydrogen_molecule() -> None:
    electrons = jnp.asarray([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    nuclei = subject.Nuclei(jnp.asarray([[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]), jnp.ones(2))
    value, magnitude = derivatives.plain_potential(electrons, nuclei)
    assert value == pytest.approx(0.5 + 0.5 - 1.0 - 1.0 - 1.0 - 1.0 / 3.0)
    assert magnitude == pytest.approx(1.0 + 3.0 + 1.0 / 3.0)


def test_the_command_prints_sentences_and_no_traceback(written, capsys) -> None:
    old, new, name, words = MISTAKES["raises"]
    target = written(SOUND.replace(old, new))
    assert main(["check-ansatz", target, "--no-times"]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and f"ferminet: {name}:" in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.count("KeyError") == 1  # one mistake is reported once


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.py:build"], "does not exist"),
        (["ferminet.ansatz.ferminet:biuld"], "did you mean build"),
        ([FERMINET, "--options", "layer=2"], "did you mean layers"),
        ([FERMINET, "--options", "{]"], "not valid JSON"),
        ([FERMINET, "--options", "layers"], "not key=value"),
        ([FERMINET, "--options", "layers=0"], "FermiNet option layers is 0"),
    ],
)
def test_bad_arguments_are_refused(capsys, arguments: list[str], words: str) -> None:
    assert main(["check-ansatz", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("source", ["import numpi\n" + SOUND, SOUND + "\n1 / 0\n"])
def test_a_failed_import_is_reported_in_one_sentence(written, source: str) -> None:
    finding = check("builds", written(source))
    assert finding.status == FAILED
    assert "mine.py:" in finding.sentence and "importing it raised" in finding.sentence


def test_a_wavefunction_for_closed_shells_is_checked_on_closed_shells() -> None:
    wavefunction = Subject(FERMINET, {**TINY, "spin_symmetric": True})
    found = Examination(wavefunction).finding("builds")
    assert found.status == "passed" and "refused Li" in found.measured
    assert [case.system.name for case in wavefunction.cases] == ["LiH", "He"]


def test_scf_orbitals_are_computed_for_a_wavefunction_that_needs_them() -> None:
    finding = check("antisymmetry", "ferminet.ansatz.slater:build")
    assert finding.status == "passed"


def test_pytest_runs_each_check_as_one_test(written) -> None:
    target = written(SOUND)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "ferminet.conformance.pytest_plugin",
        "--ansatz",
        target,
    ]
    done = subprocess.run(
        [*command, "-q", "-k", "builds or shapes", "-p", "no:cacheprovider"],
        cwd=Path(target).parent, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_times_are_compared_with_the_laptop_study() -> None:
    study = yaml.safe_load((ROOT / "workflow" / "config" / "quickstart.yaml").read_text())
    assert study["ansatz"]["ferminet"]["options"] == measurements.LAPTOP
    ferminet.build(AnsatzSpec(2, 1, 1), **measurements.LAPTOP)


def test_the_findings_are_valid_json(written) -> None:
    found = checks.check_ansatz(written(SOUND), only=["builds", "cusps", "invariances"])
    content = json.loads(json.dumps(found.to_dict()))
    assert content["passed"]
    checked = {entry["name"]: entry["status"] for entry in content["checks"]}
    assert checked == {
        "builds": "passed", "shapes and dtypes": "passed", "cusps": "reported",
        "invariances": "reported",
    }  # fmt: skip


def test_cusps_of_a_function_with_exact_slopes(written) -> None:
    source = """\
import jax.numpy as jnp
from ferminet.ansatz.base import Ansatz, LogPsi


def build(spec):
    def distance(a, b):
        return jnp.linalg.norm(a - b)

    def apply(params, electrons, nuclei):
        first, second, third = electrons
        pair = first - second
        logabs = jnp.log(jnp.abs(pair[0])) + jnp.linalg.norm(pair) / 4
        logabs += (distance(first, third) + distance(second, third)) / 2
        logabs -= 3 * sum(distance(one, nuclei.coords[0]) for one in electrons)
        return LogPsi(jnp.sign(pair[0]), logabs)

    return Ansatz(lambda key, nuclei: {}, apply)
"""
    slopes = check("cusps", written(source)).details
    assert slopes == {
        "opposite spins (exact 1/2)": pytest.approx(0.5, abs=1e-3),
        "same spin (exact 1/4)": pytest.approx(0.25, abs=1e-3),
        "electron and nucleus (exact -3)": pytest.approx(-3.0, abs=1e-3),
    }


def test_precision_of_the_process_is_left_alone() -> None:
    with jax.enable_x64(False):
        assert check("shapes and dtypes", FERMINET, TINY).status == "passed"
        assert jnp.zeros(()).dtype == jnp.float32
