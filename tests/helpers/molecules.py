"""Molecules for tests."""

import numpy as np

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
