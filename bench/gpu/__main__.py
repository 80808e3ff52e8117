"""Compile the programs of an iteration for GPUs, without one, and list what they would do there.

    make gpu-check                                    # all cases, compared with budgets.json
    python -m bench.gpu --systems Be --gpus h200      # some of them
    python -m bench.gpu --systems N2 --sources        # where the launches come from

It needs JAX's CUDA plug-in, `pip install "jax[cuda13]"`, which `make gpu-check` puts into an
environment of its own. A launch is a kernel, a library call or a copy of the optimised program,
loops counted in full. The roofline is the sum over launches of the longest of arithmetic, memory
traffic and launching itself; no time is measured. Autotuning needs a device and is switched off,
so the kernels of a real GPU may differ.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.gpu.cases import ENVIRONMENT, cases, compile_case
from bench.gpu.targets import TARGETS

BUDGETS = Path(__file__).with_name("budgets.json")
PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")
TOLERANCE = 1.15  # by which a count may exceed its budget: versions of JAX fuse differently
NUMBERS = ("launches", "library_calls", "waits", "temporary_gib", "moved_gb", "tflop", "ms")
BUDGETED = NUMBERS[:4]


def table(found: list[dict[str, Any]]) -> str:
    """Return the numbers as a table in Markdown."""
    head = ("program", *(name.replace("_", " ") for name in NUMBERS), "CPU s")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for entry in found:
        numbers = [f"{entry[name]:.4g}" for name in (*NUMBERS, "compile_cpu_s")]
        lines.append(f"| {entry['name']} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def source_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """Return where the launches, and what crosses between devices, come from."""
    for entry in found:
        yield f"{entry['name']}: {entry['libraries'] or 'no library calls'}"
        yield from (f"  {times:6d}  {source}" for source, times in entry["sources"].items())
        for kind, (times, moved) in entry["collectives"].items():
            yield f"  {kind}: {times} with {moved / 1e6:.3g} MB"


def exceeded(found: list[dict[str, Any]], budgets: dict[str, Any]) -> Iterator[str]:
    """Return a sentence for each number that exceeds its budget."""
    for entry in found:
        budget = budgets.get(entry["name"])
        if budget is None:
            yield f"{entry['name']} has no budget; run with --write-budgets."
            continue
        for name in BUDGETED:
            if entry[name] > TOLERANCE * budget[name]:
                yield (
                    f"{entry['name']}: {name.replace('_', ' ')} {entry[name]:.4g}, more than the "
                    f"budget of {budget[name]:.4g}."
                )


def main() -> int:
    """Compile, print the table, and compare it with the budgets."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--systems", nargs="+", default=["Be", "N2", "bicyclobutane", "H10"])
    parser.add_argument(
        "--gpus", nargs="+", choices=sorted(TARGETS), default=["h200", "h100", "a100"]
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes that compile")
    parser.add_argument("--sources", action="store_true", help="list where launches come from")
    parser.add_argument("--out", type=Path, help="all numbers (.json)")
    parser.add_argument("--write-budgets", action="store_true", help="make these the budgets")
    options = parser.parse_args()
    if not any(map(importlib.util.find_spec, PLUGINS)):
        print("bench.gpu: JAX's CUDA plug-in is missing; run `make gpu-check`.", file=sys.stderr)
        return 4
    os.environ.update(ENVIRONMENT)  # for the processes
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        todo = list(cases(options.systems, options.gpus))
        found = [numbers for case in pool.map(compile_case, todo) for numbers in case]
    print(table(found))
    if options.sources:
        print("\n".join(source_lines(found)))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.write_budgets:
        budgets = {entry["name"]: {name: entry[name] for name in NUMBERS} for entry in found}
        BUDGETS.write_text(json.dumps(budgets, indent=1) + "\n")
        return 0
    over = list(exceeded(found, json.loads(BUDGETS.read_text())))
    print("\n".join(over) if over else f"All counts are within {BUDGETS.name}.")
    return 10 if over else 0


if __name__ == "__main__":
    raise SystemExit(main())
