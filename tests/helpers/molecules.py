"""Molecules for tests."""

import numpy as np

from ferminet.chemistry.gto import ScfOrbitals, by_spin, eval_gto
from ferminet.systems.molecule import Molecule


def atom(symbol: str, unpaired_electrons: int, charge: int = 0) -> Molecule:
    """Return an atom or its ion at the origin."""
    return Molecule(
        name=symbol,
        geometry="eq",
        symbols=(symbol,),
        coords=np.zeros((1, 3)),
        charge=charge,
        unpaired_electrons=unpaired_electrons,
        source="test",
        kind="atom",
    )


def eval_orbitals(orbitals: ScfOrbitals, electrons, nuclei_coords):
    """Return the occupied orbitals of each spin (n, n) at its electrons, spin up first."""
    values = eval_gto(orbitals.basis, electrons, nuclei_coords)
    return by_spin(values, orbitals.coefficients_up, orbitals.coefficients_down)
