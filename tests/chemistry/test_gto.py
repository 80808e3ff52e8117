"""Orbitals in JAX against PySCF's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferminet.chemistry import gto
from ferminet.chemistry.mol import build_mol, gto_basis
from ferminet.chemistry.scf import run_scf
from ferminet.errors import InputError
from ferminet.systems.molecule import Molecule
from tests.helpers.molecules import atom, eval_orbitals

EVALUATE = jax.jit(gto.eval_gto)


def molecule(symbols=("C", "O", "H"), unpaired=1, scale=1.0):
    coords = np.array([[0.1, -0.2, 0.3], [1.3, 1.5, -0.4], [-1.7, 0.6, 1.1]]) * scale
    return Molecule(
        name="off_axis",
        geometry="eq",
        symbols=symbols,
        coords=coords[: len(symbols)],
        charge=0,
        unpaired_electrons=unpaired,
        source="test",
    )


def points(count=40, seed=0):
    return np.random.default_rng(seed).normal(scale=2.0, size=(count, 3))


# Contracted (6-31g, def2-svp), general-contracted (cc-pvdz, ano), up to g.
@pytest.mark.parametrize("basis", ["sto-3g", "6-31g", "cc-pvdz", "def2-svp", "cc-pvtz", "ano"])
def test_orbitals_match_pyscf(basis):
    mol = build_mol(molecule(), basis)
    nuclei = molecule().coords
    positions = np.concatenate([points(), nuclei])
    values = EVALUATE(gto_basis(mol), jnp.asarray(positions), nuclei)
    assert values.dtype == jnp.float64
    assert np.abs(values - mol.eval_gto("GTOval_sph", positions)).max() < 1e-10


@pytest.mark.parametrize("momentum", range(5))
def test_orbitals_of_each_angular_momentum_match_pyscf(momentum):
    mol = build_mol(molecule(), "sto-3g")
    mol.basis = {s: [[momentum, [1.3, 0.4], [0.3, 0.7]]] for s in ("C", "O", "H")}
    mol.build(dump_input=False, parse_arg=False)
    values = EVALUATE(gto_basis(mol), jnp.asarray(points()), molecule().coords)
    assert values.shape == (40, 3 * (2 * momentum + 1))
    assert np.abs(values - mol.eval_gto("GTOval_sph", points())).max() < 1e-12


def test_gradient_and_laplacian_match_pyscf():
    mol = build_mol(molecule(), "cc-pvtz")
    nuclei = molecule().coords
    positions = np.concatenate([points(10), nuclei])
    evaluate = functools.partial(gto.eval_gto, gto_basis(mol), nuclei_coords=nuclei)
    gradient = jax.jit(jax.vmap(jax.jacfwd(evaluate)))(jnp.asarray(positions))
    hessian = jax.jit(jax.vmap(jax.hessian(evaluate)))(jnp.asarray(positions))
    expected = mol.eval_gto("GTOval_sph_deriv2", positions)
    assert np.abs(np.moveaxis(gradient, -1, 0) - expected[1:4]).max() < 1e-10
    laplacian = np.trace(hessian, axis1=-2, axis2=-1)
    scale = 1 + np.abs(expected[[4, 7, 9]]).max()
    assert np.abs(laplacian - expected[[4, 7, 9]].sum(0)).max() < 1e-12 * scale


def test_geometries_of_a_curve_share_one_program():
    compilations = 0

    @jax.jit
    def evaluate(basis, positions, nuclei):
        nonlocal compilations
        compilations += 1
        return gto.eval_gto(basis, positions, nuclei)

    for scale in (1.0, 1.5):
        stretched = molecule(scale=scale)
        mol = build_mol(stretched, "cc-pvdz")
        values = evaluate(gto_basis(mol), jnp.asarray(points()), stretched.coords)
        assert np.abs(values - mol.eval_gto("GTOval_sph", points())).max() < 1e-10
    assert compilations == 1


def test_single_precision_follows_the_positions():
    mol = build_mol(molecule(), "cc-pvdz")
    values = EVALUATE(gto_basis(mol), jnp.asarray(points(), jnp.float32), molecule().coords)
    assert values.dtype == jnp.float32
    assert np.abs(values - mol.eval_gto("GTOval_sph", points())).max() < 1e-4


def test_molecular_orbitals_match_pyscf_before_and_after_storage():
    result = run_scf(molecule(("C", "O"), 2), "sto-3g")
    nuclei = molecule(("C", "O"), 2).coords
    electrons = points(14)
    up, down = eval_orbitals(result.orbitals, jnp.asarray(electrons), nuclei)
    assert up.shape == (8, 8) and down.shape == (6, 6)
    atomic = result.mean_field.mol.eval_gto("GTOval_sph", electrons)
    for spin, values, rows in ((0, up, atomic[:8]), (1, down, atomic[8:])):
        expected = rows @ result.mean_field.mo_coeff[spin][:, : values.shape[1]]
        assert np.abs(np.abs(values) - np.abs(expected)).max() < 1e-10
    stored = gto.from_arrays(gto.to_arrays(result.orbitals))
    jitted = jax.jit(eval_orbitals)(stored, jnp.asarray(electrons), nuclei)
    assert np.allclose(jitted[0], up, atol=1e-14) and np.allclose(jitted[1], down, atol=1e-14)


def test_a_system_without_down_electrons_has_empty_orbitals():
    hydrogen = atom("H", 1)
    orbitals = run_scf(hydrogen, "cc-pvdz").orbitals
    up, down = eval_orbitals(orbitals, jnp.ones((1, 3)), hydrogen.coords)
    assert up.shape == (1, 1) and down.shape == (0, 0)


def test_too_high_angular_momentum_is_refused():
    neon = atom("Ne", 0)
    with pytest.raises(InputError, match="up to l = 4, this basis has l = 5"):
        gto_basis(build_mol(neon, "cc-pv5z"))
