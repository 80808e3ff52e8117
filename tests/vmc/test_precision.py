"""Matrix products and compiled local energies are looked at, not believed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz.base import Nuclei
from ferminet.errors import ResourceError
from ferminet.stages.training import RunIdentity, train
from ferminet.vmc import devices
from ferminet.vmc import train as train_module
from ferminet.vmc.hamiltonian import EnergyParts


@pytest.mark.parametrize(("name", "unit"), [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_products_have_the_error_of_the_precision(name, unit):
    assert 0.01 * unit < devices.check_products(name) < 30.0 * unit


def test_products_rounded_to_tf32_are_refused(monkeypatch):
    def rounded(left, right):
        # TF32 has 10 bits behind the point of the significand where float32 has 23.
        bits = [jax.lax.bitcast_convert_type(x, jnp.uint32) for x in (left, right)]
        short = [(b + 0x1000) & np.uint32(0xFFFFE000) for b in bits]
        return jnp.dot(*(jax.lax.bitcast_convert_type(b, jnp.float32) for b in short))

    monkeypatch.setattr(devices.jnp, "matmul", rounded)
    with pytest.raises(ResourceError, match="rounded to TF32"):
        devices.check_products("float32")


def energies_with_fault(places: range, size: float):
    """Local energies that are off by some of |T| + |V| at some places of each 64 walkers."""

    def energies(params, electrons, nuclei):
        potential = -jnp.sum(jnp.abs(electrons), axis=(1, 2))
        place = np.arange(len(electrons)) % 64
        fault = jnp.where(jnp.isin(place, np.array(places)), size, 0.0)
        kinetic = (0.5 - fault) * potential
        return EnergyParts(kinetic + potential, kinetic, potential)

    return energies


NUCLEI = Nuclei(jnp.zeros((1, 3)), jnp.ones(1))
WALKERS = jax.random.normal(jax.random.key(0), (256, 3, 3))


@pytest.mark.parametrize(
    ("places", "size"),
    [
        pytest.param(range(0), 0.1, id="right"),
        pytest.param(range(56, 64), 1e-4, id="rounding"),
        pytest.param(range(64), 0.1, id="the same everywhere"),
    ],
)
def test_energies_independent_of_the_order_pass(places, size):
    devices.check_order(energies_with_fault(places, size), {}, WALKERS, NUCLEI)


def test_non_finite_energies_are_left_to_the_run():
    walkers = WALKERS.at[3].set(jnp.nan)
    devices.check_order(energies_with_fault(range(0), 0.0), {}, walkers, NUCLEI)


def test_a_program_that_is_wrong_at_some_positions_is_refused():
    with pytest.raises(ResourceError, match=r"64 of 256 local energies change .* reversed order"):
        devices.check_order(energies_with_fault(range(56, 64), 0.1), {}, WALKERS, NUCLEI)


def test_training_does_not_begin_with_a_wrong_program(
    monkeypatch, small_network, small_settings, hydrogen_walkers, quiet, tmp_path
):
    monkeypatch.setattr(
        train_module, "make_energies", lambda problem: energies_with_fault(range(1), 0.1)
    )
    params = small_network.ansatz.init(jax.random.key(1), small_network.nuclei)
    settings = small_settings("adam", 4)
    electrons = hydrogen_walkers(settings.sampler.walkers, 1.0, 4)
    with pytest.raises(ResourceError, match="is wrong"):
        train(
            small_network,
            settings,
            RunIdentity("0123abcd", {}),
            params,
            electrons,
            tmp_path / "run",
            quiet,
        )
    assert not list((tmp_path / "run").glob("*.safetensors"))
