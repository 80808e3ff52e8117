"""Time a training iteration and its parts, and general algorithms in the same process.

    python -m bench [--systems LiH:256 N2:64] [--scaling] [--small] [--out results/bench]

Each system is measured in a separate process, one after the other. The numbers are medians of
several calls; the first call (with compilation, or from its cache) is reported separately. Run it
on an otherwise idle machine. It writes bench.parquet, and with --scaling scaling.png: cost against
the number of electrons.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.scaling import draw_scaling
from ferminet.benchmark.records import write_table
from ferminet.config.optimizers import OPTIMIZERS
from ferminet.config.study import molecules_directory
from ferminet.errors import FermiNetError
from ferminet.runtime.files import write_bytes
from ferminet.systems.files import find_system

PAPER = {
    "layers": 4,
    "one_electron_width": 256,
    "two_electron_width": 32,
    "determinants": 16,
    "full_determinant": True,
    "envelope": "isotropic",
}
SMALL = {
    **PAPER,
    "layers": 3,
    "one_electron_width": 32,
    "two_electron_width": 8,
    "determinants": 4,
}
SYSTEMS = ("LiH:256", "N2:64")
SCALING = ("H", "He", "LiH", "CH4", "N2", "ethene", "ozone", "bicyclobutane")
SCALING_WALKERS = 16
UNITS = {
    "first_s": "s", "median_s": "s", "median_cpu_s": "s", "gflop": "10^9 operations",
    "gflop_per_s": "10^9 operations / s", "time_to_first_iteration_s": "s", "peak_gib": "GiB",
}  # fmt: skip


def main() -> None:
    """Measure, print a table per system and write all numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--systems", nargs="+", type=job, default=[job(one) for one in SYSTEMS], help="NAME:WALKERS"
    )
    parser.add_argument("--scaling", action="store_true", help="H to C4H6, and a figure")
    parser.add_argument("--small", action="store_true", help="a laptop's network, not the paper's")
    parser.add_argument(
        "--steps", type=at_least(1), default=10, help="Metropolis steps per iteration"
    )
    parser.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="kfac")
    parser.add_argument(
        "--repeats",
        type=at_least(0),
        default=7,
        help="0: one iteration and nothing else, for its memory",
    )
    parser.add_argument("--no-general", action="store_true", help="our algorithms alone")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    options = parser.parse_args()
    if options.scaling and not options.repeats:
        parser.error("--repeats must be at least 1 with --scaling")
    jobs = options.systems
    try:
        write_bytes(options.out / ".bench", b"")
        (options.out / ".bench").unlink()
    except FermiNetError as error:
        parser.error(f"--out {options.out}: {error}")
    scaling = [(name, SCALING_WALKERS) for name in SCALING] if options.scaling else []
    found = []
    for index, (system, walkers) in enumerate([*jobs, *scaling]):
        result = run_one(
            system=system,
            walkers=walkers,
            options=SMALL if options.small else PAPER,
            steps=options.steps,
            repeats=options.repeats,
            optimizer=options.optimizer,
            general=index < len(jobs) and not options.no_general and options.repeats > 0,
        )
        print_table(result)
        found.append(result | {"scaling": index >= len(jobs)})
        # Written after each system, so that an interruption keeps what is done.
        write_table(options.out / "bench.parquet", to_columns(found), UNITS)
    if scaling:
        figure = draw_scaling([one for one in found if one["scaling"]])
        write_bytes(options.out / "scaling.png", figure)
    print(f"\n{options.out}/bench.parquet" + (", scaling.png" if scaling else ""))


def job(text: str) -> tuple[str, int]:
    """Return a system and its walkers from NAME:WALKERS; 64 walkers if none are given."""
    name, _, walkers = text.partition(":")
    try:
        find_system(name, molecules_directory())
    except FermiNetError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, at_least(1)(walkers or "64")


def at_least(smallest: int) -> Callable[[str], int]:
    """Return the type of an option that is a whole number, not below another."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(
                f"got {text!r}; give a whole number, at least {smallest}"
            )
        return int(text)

    return number


def run_one(**settings: Any) -> dict[str, Any]:
    """Measure one system in a new process."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "BENCH_BEGAN": str(time.time())}
    done = subprocess.run(
        [sys.executable, "-m", "bench.measure", json.dumps(settings)],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    if done.returncode:
        sys.exit(f"bench: measuring {settings['system']} ended with {done.returncode}.")
    return json.loads(done.stdout)


def print_table(result: dict[str, Any]) -> None:
    """Print one system's numbers."""
    print(
        f"\n{result['system']}, {result['walkers']} walkers, {result['parameters']} parameters, "
        f"{result['device']}: first iteration {result['time_to_first_iteration_s']:.1f} s after "
        f"the start, peak {result['peak_gib']:.2f} GiB\n"
        f"  {'':<42}{'ms':>9}{'CPU ms':>9}{'first / s':>11}{'GFLOP/s':>9}"
    )
    for row in result["parts"]:
        rate = "" if row["gflop_per_s"] is None else f"{row['gflop_per_s']:.0f}"
        medians = [row[key] for key in ("median_s", "median_cpu_s")]
        cells = "".join(f"{'' if m is None else f'{1e3 * m:.1f}':>9}" for m in medians)
        print(f"  {row['part']:<42}{cells}{row['first_s']:11.1f}{rate:>9}", flush=True)


def to_columns(found: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return one row per system and part, with the machine."""
    machine = {"machine": platform.platform(), "processor": _processor()}
    rows = []
    for result in found:
        common = {key: value for key, value in result.items() if key != "parts"} | machine
        for key in ("options", "package_versions"):
            common[key] = json.dumps(common[key], sort_keys=True)
        rows += [common | row for row in result["parts"]]
    return {key: [row[key] for row in rows] for key in rows[0]}


def _processor() -> str:
    """Return the processor's name as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    main()
