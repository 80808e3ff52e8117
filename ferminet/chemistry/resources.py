"""Memory and temporary files of PySCF: checked before a calculation, cleaned up after it."""

import errno
import fcntl
import gc
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyscf.lib

from ferminet.chemistry.cost import Cost
from ferminet.errors import ResourceError
from ferminet.runtime.interrupts import ended_by_signals
from ferminet.runtime.machine import machine_memory_gb

# The name includes the machine: on a shared disk, locks of other machines may be invisible.
_PREFIX = f"ferminet-pyscf-{platform.node()}-"
_NEW, _LOCK = f"new-{_PREFIX}", "ferminet.lock"
_ABANDONED_S = 3600.0  # a folder that is still new after this time belongs to a killed process
_FAILED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_SHARE_FOR_PYSCF = 0.85  # PySCF's limit is soft: it allocates blocks on top


@contextmanager
def calculation(name: str, cost: Cost, memory_mb: int | None = None) -> Iterator[bool]:
    """Run a calculation within a memory limit and with a folder for its temporary files.

    The folder is in `PYSCF_TMPDIR`, else in `TMPDIR`, else in the system's folder. It is removed
    at the end, even after an error or a signal; the next calculation removes any leftovers.

    Yields:
        Whether all integrals are predicted to fit into `memory_mb`, or into the machine's memory.

    Raises:
        ResourceError: the calculation cannot fit into memory or onto the disk.
        InterruptedRunError: a signal ended the calculation.
    """
    allowed = min(machine_memory_gb(), memory_mb / 1e3 if memory_mb else float("inf"))
    named = os.environ.get("PYSCF_TMPDIR") or os.environ.get("TMPDIR")
    root = Path(named or tempfile.gettempdir())
    require_resources(name, cost, allowed, root)
    parameters: Any = pyscf.lib.param
    share = _SHARE_FOR_PYSCF * allowed
    before = parameters.TMPDIR, parameters.MAX_MEMORY
    with ended_by_signals(name), _scratch(root) as folder:
        parameters.TMPDIR, parameters.MAX_MEMORY = str(folder), int(1e3 * share)
        try:
            yield cost.in_memory_gb <= share
        except (OSError, RuntimeError) as error:
            reason = _failed_write(error)
            if reason is None:
                raise
            raise ResourceError(
                f"{name}: temporary files in {root} cannot be written ({reason}); about "
                f"{cost.files_gb:.1f} GB were predicted. Set TMPDIR to a folder with more space."
            ) from error
        except MemoryError as error:
            raise ResourceError(
                f"{name} ran out of memory ({error}); {cost.memory_gb:.1f} GB were predicted and "
                f"{allowed:.1f} GB allowed."
            ) from error
        finally:
            parameters.TMPDIR, parameters.MAX_MEMORY = before


def _failed_write(error: BaseException | None) -> str | None:
    """Return why a file could not be written, or None; PySCF's threads wrap the first error."""
    while error is not None:
        match = re.search(r"errno = (\d+)", str(error))  # HDF5 states it only in its text
        number = int(match[1]) if match else getattr(error, "errno", None)
        if number in _FAILED_WRITES:
            return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def require_resources(name: str, cost: Cost, allowed_gb: float, folder: Path) -> None:
    """Raise a `ResourceError` with the prediction if memory or disk space does not suffice."""
    duration = f"{max(cost.seconds / 60, 0.1):.1f} minutes"
    if cost.seconds >= 3600:
        duration = f"{cost.seconds / 3600:.1f} hours"
    estimate = f"{cost.n_basis} basis functions, about {duration} on one core"
    if cost.least_gb > allowed_gb:
        raise ResourceError(
            f"{name} ({estimate}) needs at least {cost.least_gb:.1f} GB of memory but may use "
            f"only {allowed_gb:.1f} GB; use a smaller basis or a larger machine."
        )
    if not folder.is_dir():
        raise ResourceError(
            f"the folder for temporary files {folder} does not exist; set PYSCF_TMPDIR or "
            "TMPDIR to one that does."
        )
    if cost.in_memory_gb <= allowed_gb * _SHARE_FOR_PYSCF:
        return
    free = shutil.disk_usage(folder).free / 1e9
    if cost.files_gb > free:
        raise ResourceError(
            f"{name} ({estimate}) needs about {cost.files_gb:.1f} GB of temporary files, but "
            f"{folder} has only {free:.1f} GB; set TMPDIR to a folder with more space, or allow "
            f"{cost.in_memory_gb / _SHARE_FOR_PYSCF:.1f} GB of memory."
        )


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    _remove_leftovers(root)
    try:
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir=root))
        lock = open(new / _LOCK, "w")
    except OSError as error:
        raise ResourceError(
            f"the folder for temporary files {root} cannot be written ({error.strerror}); set "
            "TMPDIR to one that can."
        ) from error
    # The folder is renamed once it is locked, so that it is never mistaken for a leftover.
    with suppress(OSError):  # without locks on this file system nothing counts as a leftover
        fcntl.flock(lock, fcntl.LOCK_EX)
    folder = new.rename(root / new.name.replace(_NEW, _PREFIX))
    try:
        yield folder
    finally:
        gc.collect()  # PySCF's objects remove their own files when they are collected
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_leftovers(root: Path) -> None:
    """Remove the folders of killed calculations, whose locks are free."""
    for folder in root.glob(f"{_PREFIX}*/"):
        with suppress(OSError), open(folder / _LOCK, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    for folder in root.glob(f"{_NEW}*/"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)


def peak_memory_gb() -> float:
    """Return the peak memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
