"""The Hartree-Fock orbitals that a conventional method starts from, and what `auto` means."""

from ferminet.errors import InputError
from ferminet.methods import METHODS, SCF_REFERENCES, ScfReference
from ferminet.systems.molecule import Molecule

# The orbitals for a method whose result does not depend on them.
AUTO_ORBITALS: ScfReference = "rohf"


def choose_scf_reference(
    molecule: Molecule, scf_reference: str, broken_symmetry: bool
) -> ScfReference:
    """Return rhf, uhf or rohf for the reference in a study, which may be `auto`.

    Raises:
        InputError: the reference is unknown, or RHF is requested for an open shell.
    """
    if scf_reference == "auto":
        return "uhf" if molecule.unpaired_electrons or broken_symmetry else "rhf"
    if scf_reference == "rhf" and molecule.unpaired_electrons:
        raise InputError(
            f"rhf needs a closed shell, but {molecule.name} has unpaired electrons "
            f"({molecule.unpaired_electrons}); use uhf."
        )
    for name in SCF_REFERENCES:
        if name == scf_reference:
            return name
    raise InputError(
        f"reference must be one of {', '.join(SCF_REFERENCES)}, got {scf_reference!r}."
    )


def resolve_scf_reference(method: str, scf_reference: str, molecule: Molecule) -> ScfReference:
    """Return the reference of a method: rhf, uhf or rohf, or auto if it chooses its own orbitals.

    Hartree-Fock of a molecule with broken symmetry is unrestricted. Coupled cluster is restricted
    for every closed shell: a lower UHF solution makes CCSD(T) worse near equilibrium, and where
    bonds break both are of interest.

    Raises:
        InputError: the reference is unknown or does not fit the method or the molecule.
    """
    entry = METHODS[method]
    broken_symmetry = molecule.broken_symmetry and entry.breaks_symmetry
    chosen = choose_scf_reference(molecule, scf_reference, broken_symmetry)
    if chosen in entry.scf_references:
        return chosen
    if not entry.chooses_orbitals:
        allowed = f"auto, {' or '.join(entry.scf_references)}"
        raise InputError(
            f"{method} must start from {allowed}, got {scf_reference!r}; "
            f"use {entry.scf_references[-1]}."
        )
    if scf_reference != "auto":
        raise InputError(
            f"{method} chooses its own orbitals, got reference {scf_reference!r}; leave it out."
        )
    return "auto"
