"""The work of a run's stages, looked up by what its programs depend on; JAX is not imported.

Counts of the shipped studies are part of the package (`counts.json`, written by
`python -m ferminet.vmc.cost`). Those of other runs are counted once, in a process of their own,
and kept in the user's cache.
"""

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

from ferminet.config import RunConfig
from ferminet.config.resolved import digest

SHIPPED = Path(__file__).with_name("counts.json")


class Work(NamedTuple):
    """What a program does: operations of matrix products, and values that are expensive to make."""

    products: float
    values: float

    def __add__(self, other: "Work") -> "Work":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the work of both."""
        return Work(self.products + other.products, self.values + other.values)

    def times(self, factor: float) -> "Work":
        """Return this work, `factor` times."""
        return Work(factor * self.products, factor * self.values)


class StageWork(NamedTuple):
    """The work of one stage: outside of its iterations (burn-in, checks), and of each iteration."""

    once: Work
    iteration: Work

    @classmethod
    def from_json(cls, entry: Any) -> "StageWork":
        """Return the work that was stored as nested lists."""
        once, iteration = entry
        return cls(Work(*once), Work(*iteration))


class RunCounts(NamedTuple):
    """The work of a run's three stages, and the most bytes that an iteration of training holds."""

    pretrain: StageWork
    train: StageWork
    evaluate: StageWork
    peak_bytes: int

    @classmethod
    def from_json(cls, entry: Any) -> "RunCounts":
        """Return the counts that were stored as nested lists."""
        pretrain, train, evaluate, peak = entry
        stages = map(StageWork.from_json, (pretrain, train, evaluate))
        return cls(*stages, peak_bytes=peak)


def program_key(run: RunConfig) -> str:
    """Return a hash of everything that the traced programs of a run depend on.

    Lengths of loops that run on the host, rates and seeds are not among it.
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
    """Return what a function is: its name, or for a plug-in's the content of its file."""
    return [file_digest, target.rpartition(":")[2]] if file_digest else target


def find_counts(runs: Iterable[RunConfig]) -> list[RunCounts | None]:
    """Return the counts of each run; those that are not known yet are counted now.

    Returns:
        One entry per run, None where its programs cannot be traced. The reason is written to
        standard error.
    """
    runs = list(runs)
    keys = [program_key(run) for run in runs]
    known = read_counts(SHIPPED)
    if not known.keys() >= set(keys):
        known |= read_counts(cache_file())
    if missing := {key: run for key, run in zip(keys, runs, strict=True) if key not in known}:
        counted = _count_in_process(missing)
        _keep(counted)
        known |= counted
    return [known.get(key) for key in keys]


def read_counts(path: Path) -> dict[str, RunCounts]:
    """Read a file of counts; a missing or damaged one holds nothing."""
    try:
        content = json.loads(path.read_text())
        return {key: RunCounts.from_json(entry) for key, entry in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_counts(path: Path, counts: Mapping[str, RunCounts]) -> None:
    """Write a file of counts at once, one line per entry."""
    lines = (f"{json.dumps(key)}: {json.dumps(counts[key])}" for key in sorted(counts))
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = path.with_name(f".{path.name}.{os.getpid()}.part")
    sibling.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sibling.replace(path)


def cache_file() -> Path:
    """Return the file of counts in the user's cache, one for each state of the package's code."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "ferminet" / f"counts-{_code_digest()}.json"


@cache
def _code_digest() -> str:
    """Return a hash of the code that is traced."""
    package = Path(__file__).parents[2]
    sources = sorted(path for part in ("ansatz", "vmc") for path in (package / part).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _keep(counted: Mapping[str, RunCounts]) -> None:
    """Add counts to the user's cache; where it cannot be written they are counted again."""
    path = cache_file()
    try:
        write_counts(path, read_counts(path) | dict(counted))
    except OSError:
        return


def _count_in_process(runs: Mapping[str, RunConfig]) -> dict[str, RunCounts]:
    """Count runs in a process of their own.

    It may import plug-ins and change JAX's settings, and takes no memory of a GPU.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, out = Path(folder, "runs.json"), Path(folder, "counts.json")
        asked.write_text(
            json.dumps({key: run.model_dump(mode="json") for key, run in runs.items()})
        )
        subprocess.run(
            [sys.executable, "-m", "ferminet.vmc.cost", "--runs", str(asked), "--out", str(out)],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return read_counts(out)
