"""Slater-Jastrow without and with backflow: what holds by construction, and how they start."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.ansatz import slater, slater_jastrow, slater_jastrow_backflow
from ferminet.ansatz.base import AnsatzSpec, Nuclei
from ferminet.ansatz.jastrow import log_boys_handy, log_jastrow, three_body_exponents
from ferminet.ansatz.layers import electron_electron_features, electron_nucleus_features
from ferminet.ansatz.slater_jastrow import (
    RADIUS_TIMES_CHARGE,
    displaced,
    eval_with_cusps,
    init_backflow,
)
from ferminet.chemistry.gto import eval_gto
from ferminet.chemistry.scf import run_scf
from ferminet.errors import InputError
from ferminet.stages.wavefunction import orbitals_to_store, stored_orbitals
from ferminet.systems.files import load_systems
from ferminet.systems.molecule import Molecule
from ferminet.vmc.hamiltonian import forward_laplacian_kinetic, hessian_kinetic
from ferminet.vmc.programs import Problem
from tests.helpers.wavefunctions import (
    check_antisymmetry,
    check_translation,
    draw_params,
    nucleus_slope,
    pair_slope,
    walkers,
)

BUILDERS = {"plain": slater_jastrow.build, "backflow": slater_jastrow_backflow.build}
SPINS = {"Li": (2, 1), "LiH": (2, 2)}


def nuclei_of(molecule: Molecule) -> Nuclei:
    return Nuclei(jnp.asarray(molecule.coords), jnp.asarray(molecule.charges, jnp.float64))


@pytest.fixture(scope="module")
def systems():
    """Name -> nuclei and SCF orbitals."""
    found = load_systems(Path(__file__).parents[2] / "molecules")
    molecules = {name: found[name].geometries["eq"] for name in SPINS}
    return {n: (nuclei_of(m), run_scf(m, "cc-pvdz").orbitals) for n, m in molecules.items()}


@pytest.fixture(scope="module")
def make(systems):
    """``make(kind, name, **options)``: wavefunction, any parameters, nuclei, SCF orbitals."""

    def build(kind, name, **options):
        nuclei, scf = systems[name]
        spec = AnsatzSpec(*SPINS[name], len(nuclei.charges), scf)
        ansatz = BUILDERS[kind](spec, **({"order": 4} | options))
        params = draw_params(ansatz, nuclei)
        if "backflow" in params:  # so that the coordinates' map stays one to one
            small = {n: x if "length" in n else 0.1 * x for n, x in params["backflow"].items()}
            params = params | {"backflow": small}
        return ansatz, params, nuclei, scf

    return build


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("name", SPINS)
def test_exchange_of_like_spins_flips_the_sign(make, kind, name):
    ansatz, params, nuclei, _ = make(kind, name)
    n_up, n_down = SPINS[name]
    check_antisymmetry(ansatz, params, walkers(n_up + n_down), n_up, nuclei)


@pytest.mark.parametrize("kind", BUILDERS)
def test_psi_does_not_change_when_the_molecule_moves(make, kind):
    ansatz, params, nuclei, _ = make(kind, "LiH")
    check_translation(ansatz, params, jnp.asarray(walkers(4)[0]), nuclei)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUILDERS)
def test_the_kinetic_energy_is_that_of_the_hessian(make, kind):
    ansatz, params, nuclei, _ = make(kind, "LiH")
    electrons = walkers(4)
    electrons[0, 0] = np.asarray(nuclei.coords[0]) + 0.05  # within the radius of the cusp
    forward, twin = (
        jax.jit(jax.vmap(kinetic(ansatz), (None, 0, None)))(params, electrons, nuclei)
        for kinetic in (forward_laplacian_kinetic, hessian_kinetic)
    )
    np.testing.assert_allclose(forward, twin, rtol=1e-8, atol=1e-8)
    assert np.ptp(twin) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUILDERS)
def test_all_cusps_are_exact_at_any_parameters(make, kind):
    ansatz, params, nuclei, _ = make(kind, "LiH")
    ansatz = ansatz._replace(apply=jax.jit(ansatz.apply))
    walker = walkers(4)[0]
    for pair, slope in (((0, 1), 0.25), ((2, 3), 0.25), ((0, 2), 0.5)):
        found = pair_slope(ansatz, params, walker, pair, slope == 0.25, nuclei)
        assert found == pytest.approx(slope, abs=3e-3), pair
    for nucleus, charge in enumerate((3.0, 1.0)):
        found = nucleus_slope(ansatz, params, walker, nucleus, nuclei)
        assert found == pytest.approx(-charge, abs=1e-2 * charge), nucleus


@pytest.mark.parametrize("kind", BUILDERS)
def test_at_the_start_it_is_the_scf_determinant_times_the_electrons_cusps(make, kind):
    ansatz, _, nuclei, scf = make(kind, "LiH")
    params = ansatz.init(jax.random.key(0), nuclei)
    determinant = slater.build(AnsatzSpec(2, 2, 2, scf))
    # Outside of the radii within which orbitals get their cusps.
    electrons = 2.5 + np.abs(walkers(4))
    apply, bare_apply = jax.jit(ansatz.apply), jax.jit(determinant.apply)
    for walker in jnp.asarray(electrons[:3]):
        psi, bare = apply(params, walker, nuclei), bare_apply({}, walker, nuclei)
        factor = log_jastrow(params["cusp"], electron_electron_features(walker)[..., 3], 2)
        assert float(psi.sign) == float(bare.sign)
        assert float(psi.logabs - factor) == pytest.approx(float(bare.logabs), abs=1e-10)


def test_the_corrected_orbitals_are_smooth_and_close_to_the_gaussians(systems):
    nuclei, scf = systems["LiH"]
    edge = RADIUS_TIMES_CHARGE / 3.0
    line = jnp.array([0.6, 0.0, 0.8])

    def along(function):
        one = lambda r: (function(nuclei.coords[0] + (r * line)[None]) @ scf.coefficients_up)[0]  # noqa: E731
        return [jax.jit(f) for f in (one, jax.jacfwd(one), jax.jacfwd(jax.jacfwd(one)))]

    corrected = along(lambda place: eval_with_cusps(scf.basis, place, nuclei))
    gaussian = along(lambda place: eval_gto(scf.basis, place, nuclei.coords))
    for ours, theirs in zip(corrected, gaussian, strict=True):
        np.testing.assert_allclose(ours(edge - 1e-7), theirs(edge - 1e-7), atol=1e-4)
        np.testing.assert_allclose(ours(edge + 1e-7), theirs(edge + 1e-7), rtol=1e-12)
    change = jnp.abs(corrected[0](0.15) / gaussian[0](0.15) - 1.0)
    assert float(jnp.max(change)) < 0.02


def test_the_jastrow_factor_is_its_sum_over_triples():
    rng, order, n_up = np.random.default_rng(0), 5, 2
    terms = three_body_exponents(order)
    powers = order - 1
    params = {
        "nucleus_length": rng.uniform(1, 2, 2),
        "pair_length": rng.uniform(1, 2, 2),
        "nucleus": rng.normal(size=(2, powers)),
        "pair": rng.normal(size=(2, powers)),
        "three_body": rng.normal(size=(len(terms), 2, 2)),
    }
    nuclei = Nuclei(jnp.asarray(rng.normal(size=(2, 3))), jnp.ones(2))
    electrons = jnp.asarray(rng.normal(size=(3, 3)))
    _, to_nuclei = electron_nucleus_features(electrons, nuclei)
    to_electrons = electron_electron_features(electrons)[..., 3]
    found = log_boys_handy(jax.tree.map(jnp.asarray, params), order, to_nuclei, to_electrons, n_up)
    s = np.asarray(to_nuclei) / (params["nucleus_length"] + np.asarray(to_nuclei))
    expected = sum(
        params["nucleus"][nucleus, p - 2] * s[i, nucleus] ** p
        for i in range(3)
        for nucleus in range(2)
        for p in range(2, order + 1)
    )
    for i in range(3):
        for j in range(i):
            kind = 0 if (i < n_up) == (j < n_up) else 1
            distance = float(to_electrons[i, j])
            u = distance / (params["pair_length"][kind] + distance)
            expected += sum(params["pair"][kind, p - 2] * u**p for p in range(2, order + 1))
            for weights, (a, b, n) in zip(params["three_body"], terms, strict=True):
                for k in range(2):
                    both = s[i, k] ** a * s[j, k] ** b + s[i, k] ** b * s[j, k] ** a
                    expected += weights[kind, k] * both * u**n
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    assert all(1 not in exponents for exponents in terms)


def test_backflow_is_off_at_the_start_and_vanishes_at_nuclei(systems):
    nuclei, _ = systems["LiH"]
    start = init_backflow(2, nuclei)
    electrons = jnp.asarray(walkers(4)[0])
    np.testing.assert_array_equal(displaced(start, electrons, nuclei, 2), electrons)
    rng = np.random.default_rng(0)
    params = {
        name: leaf if "length" in name else jnp.asarray(rng.normal(size=leaf.shape))
        for name, leaf in start.items()
    }
    moved = displaced(params, electrons, nuclei, 2) - electrons
    assert float(jnp.min(jnp.linalg.norm(moved, axis=-1))) > 1e-3
    sizes = []
    for radius in (1e-3, 2e-3):
        near = electrons.at[1].set(nuclei.coords[0] + radius * jnp.array([0.0, 0.6, 0.8]))
        sizes.append(float(jnp.linalg.norm((displaced(params, near, nuclei, 2) - near)[1])))
    assert sizes[1] / sizes[0] == pytest.approx(4.0, rel=0.05)


@pytest.mark.slow
def test_trained_orbitals_start_at_the_scfs(make):
    ansatz, _, nuclei, _ = make("plain", "Li", train_orbitals=True)
    fixed, *_ = make("plain", "Li")
    params = ansatz.init(jax.random.key(0), nuclei)
    walker = jnp.asarray(walkers(3)[0])
    ours = ansatz.apply(params, walker, nuclei)
    theirs = fixed.apply(fixed.init(jax.random.key(0), nuclei), walker, nuclei)
    assert float(ours.logabs) == pytest.approx(float(theirs.logabs), abs=1e-12)
    slope = jax.grad(lambda p: ansatz.apply(p, walker, nuclei).logabs)(params)["coefficients"]
    assert float(jnp.max(jnp.abs(slope["up"]))) > 0.0


@pytest.mark.parametrize("kind", BUILDERS)
def test_without_scf_orbitals_it_is_built_but_cannot_be_called(kind):
    ansatz = BUILDERS[kind](AnsatzSpec(1, 1, 1))
    assert ansatz.needs_scf
    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([2.0]))
    with pytest.raises(InputError, match="SCF orbitals"):
        ansatz.init(jax.random.key(0), nuclei)


def test_runs_store_the_scf_orbitals_only_if_they_need_them(make):
    ansatz, _, nuclei, scf = make("plain", "LiH")
    problem = Problem(ansatz, nuclei, 2, 2)
    back = stored_orbitals(orbitals_to_store(problem, scf))
    assert back is not None
    jax.tree.map(np.testing.assert_array_equal, back, scf)
    other = problem._replace(ansatz=ansatz._replace(needs_scf=False))
    assert orbitals_to_store(other, scf) == {}
    assert stored_orbitals({"electrons": np.zeros(3)}) is None


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        ("plain", "order", -1),
        ("plain", "train_orbitals", 1),
        ("backflow", "order", 2.0),
        ("backflow", "backflow_order", -1),
        ("backflow", "train_orbitals", "yes"),
    ],
)
def test_impossible_options_are_refused_with_their_name(kind, option, value):
    with pytest.raises(InputError, match=option) as refused:
        BUILDERS[kind](AnsatzSpec(1, 1, 1), **{option: value})
    assert repr(value) in str(refused.value)
