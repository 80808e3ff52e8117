"""Conventional energies for comparison: one of `METHODS` for one geometry in one basis set."""

import time
from collections.abc import Sequence

from ferminet.chemistry.cost import Task, predict
from ferminet.chemistry.resources import calculation, peak_memory_gb
from ferminet.chemistry.result import BaselineResult
from ferminet.chemistry.scf import run_scf
from ferminet.chemistry.scf_reference import AUTO_ORBITALS, resolve_scf_reference
from ferminet.errors import InputError, NotConvergedError
from ferminet.methods import METHODS, load_function
from ferminet.runtime.machine import blas_libraries
from ferminet.systems.molecule import Molecule


def run_baseline(
    molecule: Molecule,
    method: str,
    basis: str,
    scf_reference: str = "auto",
    active_space: Sequence[int] | None = None,
    memory_mb: int | None = None,
) -> BaselineResult:
    """Compute a conventional energy with all electrons correlated.

    If a step does not converge, no further step is run: the result has the status not_converged,
    no energy and a note with the reason.

    Args:
        molecule: a molecule at one geometry.
        method: a name of `METHODS`.
        basis: name of a basis set.
        scf_reference: auto, rhf, uhf or rohf; see `resolve_scf_reference`.
        active_space: active electrons and orbitals, for methods that need them.
        memory_mb: memory limit; by default all of the machine's memory.

    Raises:
        InputError: the method, basis or reference is unknown, or the reference does not fit.
        ResourceError: the calculation would not fit into memory or onto the disk.
        InterruptedRunError: a signal ended the calculation.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    entry = METHODS[method]
    chosen = resolve_scf_reference(method, scf_reference, molecule)
    if entry.needs_active_space and active_space is None:
        raise InputError(f"{method} needs an active space: electrons and orbitals.")
    orbitals = AUTO_ORBITALS if chosen == "auto" else chosen
    task = Task(molecule, basis, orbitals, active_space)
    cost = predict(method, task)
    wall, cpu = time.perf_counter(), time.process_time()
    name = f"{method} of {molecule.name} {molecule.geometry} in {basis}"
    with calculation(name, cost, memory_mb) as in_memory:
        try:
            solver = load_function(entry.solver)
            scf = run_scf(molecule, basis, orbitals)
            result = solver(scf, task._replace(in_memory=in_memory))
        except NotConvergedError as error:
            reference = None if chosen == "auto" else chosen
            note, passed = {"note": str(error)}, dict.fromkeys(entry.passed_methods)
            result = BaselineResult(
                None, "not_converged", method, reference, basis, None, note, passed
            )
    predicted = {"memory_gb": cost.memory_gb, "scratch_gb": cost.scratch_gb}
    result.details.update(
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() - cpu,
        peak_gb=peak_memory_gb(),
        blas=blas_libraries(),
        predicted={"cpu_s": cost.seconds, **predicted},
    )
    return result
