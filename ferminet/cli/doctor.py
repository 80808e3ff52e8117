"""`ferminet doctor`: versions, the machine, and a sentence for each problem."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from ferminet.cli.parser import AddCommand
from ferminet.errors import ResourceError
from ferminet.runtime import provenance
from ferminet.runtime.environment import blas_libraries, compilation_cache, machine_memory_gb

PACKAGES = (
    *provenance.PACKAGES, "basis-set-exchange", "pydantic", "safetensors", "matplotlib",
    "snakemake",
)  # fmt: skip
# A product of float32 matrices with a larger relative error was computed in less than float32.
_FLOAT32_ERROR = 1e-5


def add_commands(add: AddCommand) -> None:
    """Add doctor."""
    add("doctor", doctor, "Show versions and devices, and report problems.", json=True)


def doctor(options: argparse.Namespace) -> int:
    """Print the findings, as text or with `--json`.

    Returns:
        0, or 4 if something keeps runs from working.
    """
    findings: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": _machine(),
        "compilation_cache": str(compilation_cache()),
    }
    problems = [*version_problems(), *_cache_problems(compilation_cache())]
    # With wrong versions, importing JAX may raise an error.
    if not any("jax" in problem for problem in problems):
        findings["jax"] = jax = _jax()
        if jax["float32_error"] > _FLOAT32_ERROR:
            problems.append(
                "float32 products are computed in a lower precision (TF32): unset "
                "JAX_DEFAULT_MATMUL_PRECISION, or set it to highest."
            )
    findings["problems"] = problems
    print(json.dumps(findings, indent=2) if options.json else _as_text(findings))
    return ResourceError.exit_code if problems else 0


def _version(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def version_problems() -> list[str]:
    """Return a sentence for each package that is missing or has a version that does not fit.

    The requirements are those of this package and of JAX, as their metadata state them.
    """
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    missing = [name for name in PACKAGES if not _version(name)]
    problems = [f"{name} is not installed: run `make env`." for name in missing]
    if _version("ferminet"):
        supported = metadata.metadata("ferminet")["Requires-Python"]
        if not SpecifierSet(supported).contains(platform.python_version(), prereleases=True):
            problems.append(f"Python {platform.python_version()} is not supported ({supported}).")
    for owner in filter(_version, ("ferminet", "jax")):
        for requirement in map(Requirement, metadata.requires(owner) or []):
            version = _version(requirement.name)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            fits = version is None or requirement.specifier.contains(version, prereleases=True)
            if applies and not fits:
                problems.append(
                    f"{requirement.name} {version} does not work with {owner} "
                    f"{_version(owner)}, which needs {requirement.specifier}: run `make env`."
                )
    return problems


def _machine() -> dict[str, Any]:
    # Each of these loads its library of linear algebra.
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401

    with contextlib.suppress(ImportError):
        from ferminet.chemistry import scf  # noqa: F401
    cores, memory = os.cpu_count() or 1, float("nan")
    with contextlib.suppress(AttributeError, OSError, ValueError):  # not Linux
        memory = machine_memory_gb() * 1e9 / 2**30
        cores = len(os.sched_getaffinity(0))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "memory_gib": round(memory, 1),
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "nvidia_smi": shutil.which("nvidia-smi") is not None,
        "blas": blas_libraries(),
    }


def _cache_problems(folder: Path) -> list[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return []
    except OSError as error:
        return [
            f"The folder of compiled programs {folder} cannot be written ({error.strerror}): set "
            "JAX_COMPILATION_CACHE_DIR to one that can, or each job compiles again."
        ]


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
    }


def _as_text(findings: dict[str, Any]) -> str:
    machine, jax = findings["machine"], findings.get("jax")
    lines = [
        f"Python {findings['python']} on {machine['system']}",
        f"{machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['free_disk_gib']} GiB of free disk",
        *(f"BLAS: {blas}" for blas in machine["blas"]),
        *(f"  {name} {version or 'missing'}" for name, version in findings["packages"].items()),
    ]
    if jax is not None:
        lines.append(f"JAX runs on {jax['backend']}: {', '.join(jax['devices'])}")
        if jax["backend"] == "cpu" and machine["nvidia_smi"]:
            lines.append(
                "This machine has an NVIDIA GPU that JAX does not use: `make env GPU=cuda13` "
                "installs JAX for it."
            )
        lines.append(f"relative error of a float32 product: {jax['float32_error']:.1e}")
    lines.append(f"compiled programs are kept in {findings['compilation_cache']}")
    problems = [f"PROBLEM: {problem}" for problem in findings["problems"]]
    return "\n".join([*lines, *(problems or ["Nothing is wrong."])])
