"""Which Hartree-Fock orbitals a conventional method starts from: what ``auto`` stands for."""

from ferminet.errors import InputError
from ferminet.methods import REFERENCES, Reference
from ferminet.systems.molecule import Molecule

_KNOWN: dict[str, Reference] = {name: name for name in REFERENCES}
# They choose their orbitals themselves and do not depend on them.
OWN_ORBITALS = ("fci", "nevpt2")


def choose_reference(molecule: Molecule, reference: str, broken_symmetry: bool) -> Reference:
    """Returns rhf, uhf or rohf for what was asked for (`auto` included).

    Raises:
        InputError: the reference is unknown, or RHF is asked for an open shell.
    """
    if reference == "auto":
        return "uhf" if molecule.unpaired_electrons or broken_symmetry else "rhf"
    found = _KNOWN.get(reference)
    if found is None:
        raise InputError(f"reference is one of {', '.join(REFERENCES)}, got {reference!r}.")
    if reference == "rhf" and molecule.unpaired_electrons:
        raise InputError(
            f"rhf needs a closed shell, but {molecule.name} has unpaired electrons "
            f"({molecule.unpaired_electrons}); use uhf."
        )
    return found


def resolve_reference(method: str, reference: str, molecule: Molecule) -> Reference:
    """The orbitals of a method: rhf, uhf or rohf, and auto where it chooses them itself.

    Hartree-Fock of a molecule with broken symmetry is unrestricted, coupled cluster restricted for
    every closed shell: a UHF solution that lies lower makes CCSD(T) near equilibrium worse, and
    where bonds are broken both are of interest.

    Raises:
        InputError: the reference is unknown or does not fit the method or the molecule.
    """
    if method in OWN_ORBITALS:
        choose_reference(molecule, reference, broken_symmetry=False)
        if reference != "auto":
            raise InputError(
                f"{method} chooses its orbitals itself, got reference {reference!r}; leave it out."
            )
        return "auto"
    if method == "ccsd_t" and reference == "rohf":
        # PySCF would make unrestricted orbitals of them that are not canonical.
        raise InputError("ccsd_t starts from auto, rhf or uhf, got 'rohf'; use uhf.")
    broken = molecule.broken_symmetry and method == "hf"
    return choose_reference(molecule, reference, broken_symmetry=broken)
