"""Each kind of mistake in a wavefunction is refused in a sentence."""

import jax.numpy as jnp
import pytest

from ferminet.cli.main import main
from ferminet.conformance import checks, subject
from ferminet.conformance.checks import FAILED, NOT_RUN
from ferminet.vmc.hamiltonian import EnergyParts, kinetic_energy, local_energy
from tests.helpers.plugin import RETURNED, SOUND, check

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


def test_the_command_prints_sentences_and_no_traceback(written, capsys) -> None:
    old, new, name, words = MISTAKES["raises"]
    target = written(SOUND.replace(old, new))
    assert main(["check-ansatz", target, "--no-times"]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and f"ferminet: {name}:" in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.count("KeyError") == 1  # one mistake is reported once


@pytest.mark.parametrize("source", ["import numpi\n" + SOUND, SOUND + "\n1 / 0\n"])
def test_a_failed_import_is_reported_in_one_sentence(written, source: str) -> None:
    finding = check("builds", written(source))
    assert finding.status == FAILED
    assert "mine.py:" in finding.sentence and "importing it raised" in finding.sentence
