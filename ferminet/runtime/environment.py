"""Settings of JAX that must be in the environment before it is imported; their only place."""

import hashlib
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

# Compiled programs, kept between processes: every job of the same shapes starts at once.
CACHE_FOLDER = Path(".cache/jax")
# Also the shortest compilations (seconds) are kept: a job has sixty small programs beside its large
# ones, and starts three seconds earlier if it finds them.
_CACHE_FROM_SECONDS = "0"
# PySCF brings an OpenBLAS of 2018, which takes its slowest kernels on processors that it does not
# know. Its kernels for AVX-512 were wrong for some inputs (OpenBLAS issue 1955); these are AVX2's.
_OPENBLAS_KERNELS = "Haswell"


def prepare_environment() -> None:
    """Completes the environment of this process; what the user has set is left alone.

    ``OMP_NUM_THREADS`` (Snakemake sets it to a rule's threads) also limits XLA, which would
    otherwise take all cores for each of several jobs. One thread also makes results on the CPU
    repeatable to the last bit.
    """
    for name, value in _settings(os.environ.get("OMP_NUM_THREADS", "")).items():
        os.environ.setdefault(name, value)


def put_commands_on_path() -> None:
    """Lets jobs find ``ferminet``, which lies beside Python if its environment is not activated."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([path, str(Path(sys.executable).parent)])


def compilation_cache() -> Path:
    """The folder of compiled programs of this kind of machine."""
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", CACHE_FOLDER / _machine()))


def _settings(threads: str) -> dict[str, str]:
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str((CACHE_FOLDER / _machine()).absolute()),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": _CACHE_FROM_SECONDS,
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if {"avx2", "fma"} <= set(_processor_flags().split()):
        settings["OPENBLAS_CORETYPE"] = _OPENBLAS_KERNELS
    if threads.isdigit() and int(threads) > 0:
        settings["NPROC"] = threads  # the size of XLA's pool of threads on the CPU
        if threads == "1":
            settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
            if not _has_gpu_support():
                # Compiles in four fifths of the time, and is no slower (docs/notebook/README.md).
                settings["XLA_FLAGS"] += " --xla_backend_optimization_level=1"
    return settings


def _has_gpu_support() -> bool:
    """Whether a plug-in of JAX for a GPU is installed; JAX itself must not be imported yet."""
    return any(find_spec(f"jax_{kind}_plugin") for kind in ("cuda12", "cuda13", "rocm60", "rocm7"))


def _machine() -> str:
    """Names the kind of processor: a program compiled for one may not run on another.

    Nodes of a cluster share a file system but not always their instruction sets.
    """
    flags = _processor_flags()
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:8]}"


def _processor_flags() -> str:
    """The instruction sets of the processor, as Linux lists them; elsewhere its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
