"""Compute the Hartree-Fock limits of atoms in even-tempered Gaussians of two sizes.

    python -m experiments.hartree_fock_limits [Ne N O ...]

Uncontracted s and p functions suffice for spherical atoms; the others also get d and f, because
unrestricted orbitals of an open p shell are not spherical. The larger basis has the smaller ratio
of exponents. It prints both energies and the literature value; He to Ne take half an hour.
"""

import math
import sys

import pyscf.gto
import pyscf.scf

from ferminet.benchmark.references import project_references
from ferminet.config.study import molecules_directory
from ferminet.systems.files import find_system

RATIOS = (2.0, 1.75)
SPHERICAL = ("He", "Li", "Be", "N", "Ne")
SYMBOLS = ("He", "Li", "Be", "B", "C", "N", "O", "F", "Ne")


def even_tempered(symbol: str, ratio: float) -> list[list]:
    """Return a basis in PySCF's form: angular momenta with one exponent (bohr^-2) each."""
    charge = pyscf.gto.charge(symbol)
    scale = (charge / 10) ** 2
    least = 0.02 if charge < 6 else 0.04
    ranges = [(1e7 * scale, least), (1e4 * scale, least)]
    if symbol not in SPHERICAL:
        ranges += [(60 * scale + 3, 0.1), (20 * scale + 2, 0.1)]
    return [
        [momentum, [largest / ratio**k, 1.0]]
        for momentum, (largest, smallest) in enumerate(ranges)
        for k in range(int(math.log(largest / smallest, ratio)) + 1)
    ]


def hartree_fock(symbol: str, ratio: float) -> float:
    """Return the energy in hartree: unrestricted for open shells, restricted for closed ones."""
    unpaired = find_system(symbol, molecules_directory()).geometries["eq"].unpaired_electrons
    basis = {symbol: even_tempered(symbol, ratio)}
    mol = pyscf.gto.M(atom=symbol, basis=basis, spin=unpaired, verbose=0)
    field = pyscf.scf.UHF(mol) if unpaired else pyscf.scf.RHF(mol)
    field.conv_tol = 1e-11
    field.kernel()
    assert field.converged, symbol
    return float(field.e_tot)


def main(symbols: list[str]) -> None:
    """Print one line per atom."""
    references = project_references()
    for symbol in symbols or SYMBOLS:
        small, large = (hartree_fock(symbol, ratio) for ratio in RATIOS)
        literature = references.lookup(symbol, "eq", "hf_cbs")
        known = literature.energy if literature else math.nan
        print(f"{symbol:2} {small:.7f} {large:.7f} literature {known:.7f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
