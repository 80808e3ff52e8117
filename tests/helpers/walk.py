"""From a number in a table back to its run, as a reader would go, without shortcuts."""

import hashlib
import json
import shlex
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from ferminet.cli.main import make_parser
from ferminet.config.runs import stored_hash

RUN = ("study", "system", "geometry", "ansatz", "config_hash")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rows_of(line: pd.Series, energies: Path) -> list[dict[str, Any]]:
    """The rows that a line of a table is the mean of, found by what the line shows."""
    # Rows of conventional methods have no seed; without this the others' would be read as 1.0.
    frame = pd.read_parquet(energies).astype({"seed": "Int64"})
    # A curve's line names the hashes of all its geometries.
    frame = frame[(frame.method == "vmc") & frame.config_hash.isin(str(line.config_hash).split())]
    for name in ("study", "system", "geometry", "ansatz"):
        frame = frame[frame[name] == line[name]]
    seeds = [int(seed) for seed in str(line.seeds).split()]
    rows = frame[frame.seed.isin(seeds)].to_dict("records")
    assert sorted(row["seed"] for row in rows) == seeds
    assert abs(fmean(row["energy"] for row in rows) - line.energy_hartree) < 1e-12
    return rows


def walk(row: dict[str, Any], suite: Path) -> Path:
    """From a row to the manifest, the configuration, the checkpoint's hash and the commands.

    Returns:
        Where the trained wavefunction lies, or lay.
    """
    manifest = json.loads((suite / "manifest.json").read_text())
    assert manifest["sha256"]["energies.parquet"] == sha256(suite / "energies.parquet")
    names = [row[name] for name in ("study", "system", "geometry", "method", "ansatz")]
    run = manifest["runs"]["/".join([*names, row["config_hash"], f"seed {row['seed']}"])]
    details = json.loads(row["details"])
    if row["status"] == "unfinished":  # measured by its training: there is no trained file yet
        assert run["trained_sha256"] is None
    else:
        assert run["trained_sha256"] == details["trained_sha256"]
        assert len(run["trained_sha256"]) == 64
    file = suite / run["configuration"]
    assert run["configuration_sha256"] == sha256(file)
    configuration = json.loads(file.read_text())
    assert configuration == details["configuration"]
    assert stored_hash(configuration, row["method_version"]) == row["config_hash"]
    assert (configuration["seed"], configuration["system"]) == (row["seed"], row["system"])
    words = shlex.split(run["command"] or "")  # unfinished ones have none
    if words[:1] == ["snakemake"]:  # --configfile would take a file after it for a study
        assert words[:3] + words[4:5] == ["snakemake", "--cores", "2", "--configfile"]
        assert Path(words[3]).name == "energy.parquet"
    stages = [shlex.split(command) for command in run["from_configuration"]]
    split = ["split"] if "curve" in configuration else []
    assert [words[:2] for words in stages] == [
        ["ferminet", stage] for stage in ("scf", "pretrain", "train", *split, "evaluate")
    ]
    for words in stages:
        options = make_parser().parse_args(words[1:])
        assert options.config == Path("results/published", suite.name, run["configuration"])
    assert Path(run["trained"]) == make_parser().parse_args(stages[-1][1:]).trained
    return Path(run["trained"])
