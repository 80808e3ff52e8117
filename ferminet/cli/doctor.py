"""``ferminet doctor``: what is installed, what it runs on, and what is wrong, in sentences."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ferminet.errors import FermiNetError, ResourceError
from ferminet.runtime.environment import compilation_cache
from ferminet.runtime.machine import blas_libraries, machine_memory_gb

PACKAGES = (
    "ferminet", "jax", "jaxlib", "kfac-jax", "folx", "optax", "tfp-nightly", "pyscf",
    "basis-set-exchange", "numpy", "scipy", "pandas", "pyarrow", "pydantic", "safetensors",
    "matplotlib", "snakemake",
)  # fmt: skip
# A product of float32 matrices with a larger relative error was computed in less than float32.
_FLOAT32_ERROR = 1e-5
_WORKS = "works"
_PYTHONS = ((3, 11), (3, 13))


def version_tuple(version: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    >>> version_tuple("0.10.2.dev1")
    (0, 10, 2)
    """
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def bad_pair(jax: str, kfac_jax: str) -> str | None:
    """What is wrong with a pair of versions, None if it works.

    kfac-jax 0.0.8 works as released up to JAX 0.9.1; from 0.9.2 to 0.10.x this package replaces one
    of its functions; with JAX 0.11 and newer it cannot be imported.
    """
    if version_tuple(kfac_jax)[:3] <= (0, 0, 8) and version_tuple(jax) >= (0, 11):
        return (
            f"kfac-jax {kfac_jax} cannot be imported with JAX {jax}: install the versions of "
            "requirements.lock (make env)."
        )
    return None


def doctor(options: argparse.Namespace) -> int:
    """Prints the findings, as text or with ``--json``.

    Returns:
        0, or the exit code of the first thing that keeps runs from working.
    """
    versions = _versions()
    findings: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": versions,
        "machine": _machine(),
        "compilation_cache": str(compilation_cache()),
    }
    problems = _problems_of_versions(versions)
    cache = _cache_problem(compilation_cache())
    problems += [cache] if cache else []
    if versions["jax"] and not _pair_problem(versions):
        # Where the pair does not work, importing it would only end in a traceback.
        findings["jax"] = _jax()
        if findings["jax"]["float32_error"] > _FLOAT32_ERROR:
            problems.append(
                "float32 products are computed in a lower precision (TF32): unset "
                "JAX_DEFAULT_MATMUL_PRECISION, or set it to highest."
            )
        if findings["jax"]["kfac"] != _WORKS:
            problems.append(f"kfac-jax {findings['jax']['kfac']}: run `make env`.")
    findings["problems"] = problems
    print(json.dumps(findings, indent=2) if options.json else _as_text(findings))
    return ResourceError.exit_code if problems else 0


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _problems_of_versions(versions: dict[str, str | None]) -> list[str]:
    problems = []
    here = tuple(int(part) for part in platform.python_version_tuple()[:2])
    if not _PYTHONS[0] <= here <= _PYTHONS[1]:
        problems.append(
            f"Python {platform.python_version()} is not among 3.11 to 3.13, which are supported."
        )
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        problems.append(f"{', '.join(missing)} not installed: run `make env`.")
    jax, jaxlib = versions["jax"], versions["jaxlib"]
    if jax and jaxlib and version_tuple(jax) != version_tuple(jaxlib):
        problems.append(f"JAX {jax} and jaxlib {jaxlib} differ: run `make env`.")
    pair = _pair_problem(versions)
    return [*problems, *([pair] if pair else [])]


def _pair_problem(versions: dict[str, str | None]) -> str | None:
    jax, kfac = versions["jax"], versions["kfac-jax"]
    return bad_pair(jax, kfac) if jax and kfac else None


def _machine() -> dict[str, Any]:
    try:
        cores = len(os.sched_getaffinity(0))
        memory = machine_memory_gb() * 1e9 / 2**30
    except (AttributeError, OSError, ValueError):  # not Linux
        cores, memory = os.cpu_count() or 1, float("nan")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "memory_gib": round(memory, 1),
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "nvidia_smi": shutil.which("nvidia-smi") is not None,
        "blas": _blas(),
    }


def _blas() -> list[str]:
    """The linear algebra libraries that NumPy, SciPy and PySCF brought, with their kernels."""
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401

    with contextlib.suppress(ImportError):
        from ferminet.chemistry import scf  # noqa: F401 - loads PySCF's own library
    return blas_libraries()


def _cache_problem(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return None
    except OSError as error:
        return (
            f"The folder of compiled programs {folder} cannot be written ({error.strerror}): set "
            "JAX_COMPILATION_CACHE_DIR to one that can, or each job compiles anew."
        )


def _jax() -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    try:
        devices = jax.devices()
    except RuntimeError as error:
        raise ResourceError(f"JAX finds no device: {str(error).splitlines()[0]}") from None
    matrix = np.random.default_rng(0).normal(size=(256, 256))
    product = np.asarray(jnp.asarray(matrix, jnp.float32) @ jnp.asarray(matrix, jnp.float32))
    exact = matrix @ matrix
    return {
        "backend": jax.default_backend(),
        "devices": [f"{device.device_kind} {device.id}" for device in devices],
        "float32_error": float(np.max(np.abs(product - exact)) / np.max(np.abs(exact))),
        "kfac": _kfac(),
    }


def _kfac() -> str:
    """Whether the optimiser can be imported, with this package's replacement where it needs one."""
    try:
        from ferminet.vmc.optimizers import kfac as optimizers_kfac  # noqa: F401
    except (ImportError, AttributeError, FermiNetError) as error:
        return f"cannot be imported: {error}"
    return _WORKS


def _as_text(findings: dict[str, Any]) -> str:
    lines = [f"Python {findings['python']} on {findings['machine']['system']}"]
    machine = findings["machine"]
    lines.append(
        f"{machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['free_disk_gib']} GiB of free disk"
    )
    lines += [f"BLAS: {blas}" for blas in machine["blas"]]
    for name, version in findings["packages"].items():
        lines.append(f"  {name} {version or 'missing'}")
    if "jax" in findings:
        jax = findings["jax"]
        lines.append(f"JAX runs on {jax['backend']}: {', '.join(jax['devices'])}")
        if jax["backend"] == "cpu" and machine["nvidia_smi"]:
            lines.append(
                "An NVIDIA GPU is there but not used: `make env GPU=cuda13` installs JAX for it."
            )
        lines.append(f"relative error of a float32 product: {jax['float32_error']:.1e}")
        lines.append(f"kfac-jax: {jax['kfac']}")
    lines.append(f"compiled programs are kept in {findings['compilation_cache']}")
    lines += [f"PROBLEM: {problem}" for problem in findings["problems"]]
    return "\n".join([*lines, *([] if findings["problems"] else ["Nothing is wrong."])])
