"""What this process can use: memory and linear algebra libraries."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def machine_memory_gb() -> float:
    """Return the memory of the machine, or the part of it that this process may use (cgroup)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9]
    for file in _cgroup_limits():
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(file.read_text()) / 1e9)
    return min(limits)


def _cgroup_limits() -> Iterator[Path]:
    """Yield files that may hold memory limits: of this process's control group and all above."""
    root = Path("/sys/fs/cgroup")
    own = ""
    with suppress(OSError):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "")
    group = root / own.strip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(root):
            yield folder / "memory.max"
    yield root / "memory" / "memory.limit_in_bytes"


def blas_libraries() -> list[str]:
    """Return the linear algebra libraries of this process, with kernels, threads and folder."""
    import threadpoolctl

    return sorted(
        {
            f"{info['internal_api']} {info.get('version') or ''} ({info.get('architecture', '?')} "
            f"kernels, {info['num_threads']} threads, from {_package_of(info['filepath'])})"
            for info in threadpoolctl.threadpool_info()
            if info["user_api"] == "blas"
        }
    )


def _package_of(library: str) -> str:
    """Return the folder of a library, relative to site-packages."""
    return str(Path(library).parent).rpartition("site-packages/")[2]
