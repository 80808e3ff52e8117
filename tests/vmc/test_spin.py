"""<S^2>: no variance for a definite spin, at a twentieth of the evaluation's cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import slater
from ferminet.ansatz.base import Ansatz, AnsatzSpec, LogPsi, Nuclei
from ferminet.chemistry.scf import run_scf
from ferminet.systems.files import load_systems
from ferminet.vmc import evaluate, observables


def test_a_restricted_determinant_has_its_spin_at_every_walker(root) -> None:
    """(S^2 psi) / psi is a constant; one random pair would scatter by n_up n_down = 15."""
    oxygen = load_systems(root / "molecules")["O"].geometries["eq"]
    scf = run_scf(oxygen, "sto-3g", "rohf")
    ansatz = slater.build(AnsatzSpec(*oxygen.spins, 1, scf.orbitals))
    nuclei = Nuclei(jnp.asarray(oxygen.coords), jnp.asarray(oxygen.charges))
    electrons = jnp.asarray(np.random.default_rng(0).normal(size=(20, 8, 3), scale=0.5))
    of_walker = lambda walker: observables.spin_squared(ansatz, {}, walker, nuclei, 5, 4)  # noqa: E731
    values = jax.jit(jax.vmap(of_walker))(electrons)
    np.testing.assert_allclose(values, 2.0, atol=1e-6)  # ratios reach 1e6


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
def test_the_sum_is_over_all_pairs_of_opposite_spin(make_nuclei, batch_size) -> None:
    """Against the sum written out, for a function without any symmetry."""

    def apply(params, electrons, nuclei):
        del params, nuclei
        weights = jnp.arange(1.0, 16.0).reshape(5, 3)
        value = jnp.sum(jnp.sin(weights * electrons)) + 0.3
        return LogPsi(jnp.sign(value), jnp.log(jnp.abs(value)))

    ansatz, nuclei = Ansatz(lambda key, nuclei: {}, apply), make_nuclei([[5.0, 0, 0, 0]])
    electrons = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)))

    def value(walker):
        psi = apply({}, walker, nuclei)
        return float(psi.sign * jnp.exp(psi.logabs))

    total = 0.0
    for up in range(3):
        for down in range(3, 5):
            order = list(range(5))
            order[up], order[down] = down, up
            total += value(electrons[jnp.asarray(order)]) / value(electrons)
    local = observables.spin_squared(ansatz, {}, electrons, nuclei, 3, batch_size)
    assert float(local) == pytest.approx(0.75 + 2 - total, rel=1e-10)


@pytest.mark.parametrize("spins", [(1, 1), (5, 3), (7, 7), (15, 15)])
@pytest.mark.parametrize("n_walkers", [2, 256, 4096])
def test_the_spin_costs_at_most_a_twentieth(spins, n_walkers) -> None:
    """Unless two walkers cost more. A local energy is counted as five wavefunctions."""
    stride = evaluate.spin_stride(n_walkers, *spins, 10)
    measured = -(-n_walkers // stride)
    cost = measured * (1 + spins[0] * spins[1]) / evaluate.MEASURE_INTERVAL
    assert measured >= 2
    assert measured == 2 or cost <= n_walkers * (10 + 5) / 20 + 1e-9
    # No more than necessary is left out: one walker in k - 1 would be too many.
    if stride > 1 and measured > 2:
        more = -(-n_walkers // (stride - 1)) * (1 + spins[0] * spins[1])
        assert more / evaluate.MEASURE_INTERVAL > n_walkers * (10 + 5) / 20
