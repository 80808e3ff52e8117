"""Environment variables that must be set before JAX is imported, all in one place."""

import hashlib
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

# Compiled programs are kept between processes, so that jobs with the same shapes start at once.
CACHE_FOLDER = Path(".cache/jax")


def prepare_environment() -> None:
    """Complete the environment of this process; variables that the user has set stay.

    `OMP_NUM_THREADS` (Snakemake sets it to a rule's threads) also limits XLA, which would
    otherwise use all cores for each of several jobs. One thread also makes results on the CPU
    repeatable to the last bit.
    """
    for name, value in _settings(os.environ.get("OMP_NUM_THREADS", "")).items():
        os.environ.setdefault(name, value)


def put_commands_on_path() -> None:
    """Let jobs find `ferminet` next to Python, also if the virtual environment is not activated."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([path, str(Path(sys.executable).parent)])


def compilation_cache() -> Path:
    """Return the folder of compiled programs for this kind of machine."""
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", _default_cache()))


def _default_cache() -> Path:
    """Return a folder for this kind of processor: a program for one may not run on another.

    Nodes of a cluster share a file system but may differ in their instruction sets.
    """
    flags = hashlib.sha256(_processor_flags().encode()).hexdigest()[:8]
    return CACHE_FOLDER / f"{platform.machine()}-{flags}"


def _settings(threads: str) -> dict[str, str]:
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(_default_cache().absolute()),
        # The shortest compilations are kept too: a job has sixty small programs besides its large
        # ones, and starts three seconds earlier if it finds them.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if {"avx2", "fma"} <= set(_processor_flags().split()):
        # PySCF ships an OpenBLAS of 2018, which uses its slowest kernels on processors that it does
        # not recognise. Its AVX-512 kernels were wrong for some inputs (OpenBLAS issue 1955); these
        # use AVX2.
        settings["OPENBLAS_CORETYPE"] = "Haswell"
    if threads.isdigit() and int(threads) > 0:
        settings["NPROC"] = threads  # the size of XLA's pool of threads on the CPU
        if threads == "1":
            settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
            if not _has_gpu_support():
                # Compiles in four fifths of the time, and is no slower (docs/notebook/README.md).
                settings["XLA_FLAGS"] += " --xla_backend_optimization_level=1"
    return settings


def _has_gpu_support() -> bool:
    """Return whether a GPU plug-in of JAX is installed; JAX itself must not be imported yet."""
    return any(find_spec(f"jax_{kind}_plugin") for kind in ("cuda12", "cuda13", "rocm60", "rocm7"))


def _processor_flags() -> str:
    """Return the processor's instruction sets as Linux lists them; elsewhere its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
