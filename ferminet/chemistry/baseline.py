"""Conventional energies to compare with: Hartree-Fock, CCSD(T), full CI and NEVPT2."""

from collections.abc import Sequence

from ferminet.chemistry import coupled_cluster, full_ci, multireference
from ferminet.chemistry.cost import predict
from ferminet.chemistry.resources import Meter, calculation
from ferminet.chemistry.result import BaselineResult, hartree_fock
from ferminet.chemistry.scf import run_scf
from ferminet.chemistry.scf_reference import resolve_reference
from ferminet.errors import InputError, NotConvergedError
from ferminet.methods import METHODS
from ferminet.systems.molecule import Molecule


def run_baseline(
    molecule: Molecule,
    method: str,
    basis: str,
    reference: str = "auto",
    active_space: Sequence[int] | None = None,
    memory_mb: int | None = None,
) -> BaselineResult:
    """Computes a conventional energy with all electrons correlated.

    Args:
        molecule: what to solve.
        method: hf, ccsd_t, fci or nevpt2.
        basis: name of a basis set.
        reference: auto, rhf, uhf or rohf; see ``resolve_reference``.
        active_space: electrons and orbitals, for nevpt2.
        memory_mb: memory that it may use; all of the machine's if not given.

    Returns:
        The result. What does not converge is reported as not_converged with no energy and a note,
        and nothing is built on it.

    Raises:
        InputError: unknown method, basis or reference, or a reference that does not fit.
        ResourceError: it would not fit into the memory or the disk.
        InterruptedRunError: a signal ended it.
    """
    if method not in METHODS:
        raise InputError(f"method is one of {', '.join(METHODS)}, got {method!r}.")
    chosen = resolve_reference(method, reference, molecule)
    cost = predict(molecule, method, basis, chosen, active_space)
    meter = Meter()
    name = f"{method} of {molecule.name} {molecule.geometry} in {basis}"
    with calculation(name, cost, memory_mb) as in_memory:
        try:
            result = _solve(molecule, method, basis, chosen, active_space, in_memory)
        except NotConvergedError as error:
            own = None if chosen == "auto" else chosen
            note = {"note": str(error)}
            lost = dict.fromkeys(coupled_cluster.ON_THE_WAY) if method == "ccsd_t" else {}
            result = BaselineResult(None, "not_converged", method, own, basis, None, note, lost)
    result.details.update(meter.reading())
    result.details["predicted"] = {
        "cpu_s": cost.seconds,
        "memory_gb": cost.memory_gb,
        "scratch_gb": cost.scratch_gb,
    }
    return result


def _solve(
    molecule: Molecule,
    method: str,
    basis: str,
    reference: str,
    active_space: Sequence[int] | None,
    in_memory: bool,
) -> BaselineResult:
    if method == "fci":
        return full_ci.full_ci(run_scf(molecule, basis, "rohf"), molecule)
    if method == "nevpt2":
        if active_space is None:
            raise InputError("nevpt2 needs an active space: electrons and orbitals.")
        return multireference.nevpt2(run_scf(molecule, basis, "rohf"), molecule, active_space)
    scf = run_scf(molecule, basis, reference)
    if method == "hf":
        return hartree_fock(scf)
    return coupled_cluster.ccsd_t(scf, molecule.n_electrons, in_memory)
