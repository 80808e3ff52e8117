"""The work of a run's stages, looked up by what its programs depend on, without JAX.

Counts of the shipped studies are part of the package (`counts.json`, written by
`python -m ferminet.vmc.cost`). Other runs are counted once, in a separate process, and their counts
are kept in the user's cache.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from ferminet.config import RunConfig
from ferminet.config.runs import digest

SHIPPED = Path(__file__).with_name("counts.json")


class Work(NamedTuple):
    """The work of a program: operations in matrix products, and expensive values."""

    products: float
    values: float

    def __add__(self, other: "Work") -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Work(self.products + other.products, self.values + other.values)

    def times(self, factor: float) -> "Work":
        """Return `factor` times this work."""
        return Work(factor * self.products, factor * self.values)


class StageWork(NamedTuple):
    """The work of one stage: outside its iterations (burn-in, checks), and of each iteration."""

    once: Work
    iteration: Work


class RunCounts(NamedTuple):
    """The work of a run's three stages, and the most bytes that an iteration of training holds."""

    pretrain: StageWork
    train: StageWork
    evaluate: StageWork
    peak_bytes: int


def program_key(run: RunConfig) -> str:
    """Return a hash of everything that the traced programs of a run depend on.

    It leaves out rates, seeds and the lengths of loops that run on the host.
    """
    molecule, optimizer = run.molecule, run.optimizer
    content = {
        "build": _identity(run.ansatz.build, run.plugin_digest),
        "options": run.ansatz.options,
        "precision": run.precision,
        "symbols": molecule.symbols,
        "spins": molecule.spins,
        "basis": run.scf.basis,
        "sampler": [run.sampler.walkers, run.sampler.decorrelation_steps, run.sampler.burn_in],
        "pretrain": [run.pretrain.iterations > 0, run.pretrain.walkers],
        "optimizer": [_identity(optimizer.name, run.optimizer_digest), optimizer.influence > 0.0],
        **({"optimizer_options": optimizer.options} if optimizer.options else {}),
        "evaluate": [run.evaluate.decorrelation_steps, run.evaluate.burn_in],
    }
    return digest(content)[:12]


def _identity(target: str, file_digest: str | None) -> Any:
    """Return what identifies a function: its name, and for a plug-in the digest of its file."""
    return [file_digest, target.rpartition(":")[2]] if file_digest else target


def find_counts(runs: Iterable[RunConfig]) -> list[RunCounts | None]:
    """Return the counts of each run; new programs are counted now.

    Returns:
        One entry per run, None where its programs cannot be traced. The reason is written to
        standard error.
    """
    by_key = [(program_key(run), run) for run in runs]
    counts = read_counts(SHIPPED)
    if not counts.keys() >= dict(by_key).keys():
        counts |= read_counts(cache_file())
    if missing := {key: run for key, run in by_key if key not in counts}:
        counted = _count_in_process(missing)
        # If the cache cannot be written, the runs are counted again next time.
        with contextlib.suppress(OSError):
            write_counts(cache_file(), read_counts(cache_file()) | counted)
        counts |= counted
    return [counts.get(key) for key, _ in by_key]


def read_counts(path: Path) -> dict[str, RunCounts]:
    """Return the counts in a file, or none if it is missing or damaged."""
    try:
        return TypeAdapter(dict[str, RunCounts]).validate_json(path.read_bytes())
    except (OSError, ValueError):
        return {}


def write_counts(path: Path, counts: Mapping[str, RunCounts]) -> None:
    """Write a file of counts atomically, one line per entry."""
    lines = (f"{json.dumps(key)}: {json.dumps(counts[key])}" for key in sorted(counts))
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    sibling.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sibling.replace(path)


def cache_file() -> Path:
    """Return the file in the user's cache for counts of the present code."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "ferminet" / f"counts-{_code_digest()}.json"


@cache
def _code_digest() -> str:
    """Return a hash of the code that is traced."""
    package = Path(__file__).parents[2]
    sources = sorted(path for part in ("ansatz", "vmc") for path in (package / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _count_in_process(runs: Mapping[str, RunConfig]) -> dict[str, RunCounts]:
    """Count runs in another process: it may import plug-ins, and it allocates no GPU memory."""
    with tempfile.TemporaryDirectory() as folder:
        request, out = Path(folder, "runs.json"), Path(folder, "counts.json")
        content = {key: run.model_dump(mode="json") for key, run in runs.items()}
        request.write_text(json.dumps(content))
        subprocess.run(
            [sys.executable, "-m", "ferminet.vmc.cost", "--runs", str(request), "--out", str(out)],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return read_counts(out)
