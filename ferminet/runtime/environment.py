"""The environment of this process: variables that JAX reads, memory, linear algebra libraries."""

import hashlib
import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

# Compiled programs are kept between processes, so that jobs with the same shapes start at once.
CACHE_FOLDER = Path(".cache/jax")
_GPU_KINDS = ("cuda12", "cuda13", "rocm60", "rocm7")


def prepare_environment() -> None:
    """Set the environment variables of this process, except those that the user has set.

    `OMP_NUM_THREADS` (Snakemake sets it to a rule's threads) also limits XLA, which would
    otherwise use all cores for each of several jobs. With one thread, results on the CPU are
    repeatable to the last bit.
    """
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(compilation_cache().absolute()),
        # Short compilations are kept too: a job has sixty small programs and starts three seconds
        # earlier if it finds them.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if {"avx2", "fma"} <= set(_processor_flags().split()):
        # PySCF ships an OpenBLAS of 2018, which uses its slowest kernels on processors that it does
        # not recognise. Its AVX-512 kernels were wrong for some inputs (OpenBLAS issue 1955); these
        # use AVX2.
        settings["OPENBLAS_CORETYPE"] = "Haswell"
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads) > 0:
        settings["NPROC"] = threads  # the size of XLA's pool of threads on the CPU
        if threads == "1":
            settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
            # Without a GPU plug-in; JAX itself must not be imported yet.
            if not any(find_spec(f"jax_{kind}_plugin") for kind in _GPU_KINDS):
                # Compiles in four fifths of the time, and is no slower (docs/notebook/README.md).
                settings["XLA_FLAGS"] += " --xla_backend_optimization_level=1"
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def put_commands_on_path() -> None:
    """Let jobs find `ferminet` next to Python, even if the virtual environment is not activated."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([path, str(Path(sys.executable).parent)])


def compilation_cache() -> Path:
    """Return the folder of compiled programs, by default one for each kind of processor.

    Nodes of a cluster share a file system but may differ in their instruction sets.
    """
    flags = hashlib.sha256(_processor_flags().encode()).hexdigest()[:8]
    default = CACHE_FOLDER / f"{platform.machine()}-{flags}"
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", default))


def _processor_flags() -> str:
    """Return the processor's instruction sets as Linux lists them; elsewhere its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def machine_memory_gb() -> float:
    """Return the memory of the machine, or the part of it that this process may use (cgroup)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9]
    for file in _cgroup_limits():
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(file.read_text()) / 1e9)
    return min(limits)


def _cgroup_limits() -> Iterator[Path]:
    """Yield files that may hold memory limits of this control group and those above it."""
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
            f"kernels, {info['num_threads']} threads, from "
            f"{str(Path(info['filepath']).parent).rpartition('site-packages/')[2]})"
            for info in threadpoolctl.threadpool_info()
            if info["user_api"] == "blas"
        }
    )


def peak_memory_gb() -> float:
    """Return the peak memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
