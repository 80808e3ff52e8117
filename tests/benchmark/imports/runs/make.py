"""Keep the ends of the runs that README.md describes, and of their settings what matters."""

import re
import sys
from pathlib import Path

import h5py

KEPT = 300  # iterations
HERE = Path(__file__).parent
# Folder here -> folder of the run, and its files.
RUNS = {
    "ferminet-he": ("ferminet-he/train", ["train_stats.csv"]),
    "ferminet-lih": ("ferminet-lih/inference", ["train_stats.csv"]),
    "jaqmc-he": ("jaqmc-he/train", ["train_stats.csv", "train_config.yaml"]),
    "jaqmc-lih": ("jaqmc-lih/eval", ["evaluation_stats.h5", "evaluation_config.yaml"]),
    "deepqmc-he": (
        "deepqmc-he/run", ["training/result.h5", "training/.hydra/config.yaml", "deepqmc.log"],
    ),
    "deepqmc-lih": (
        "deepqmc-lih/eval",
        ["evaluation/result.h5", "evaluation/.hydra/config.yaml", "deepqmc.log"],
    ),
}  # fmt: skip


def keep(source: Path, target: Path) -> None:
    """Copy a file, of tables the last lines only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".h5":
        with h5py.File(source) as old, h5py.File(target, "w", libver="v110") as new:
            new.attrs.update(old.attrs)
            old.visititems(lambda name, item: copy_end(name, item, new))
    elif source.suffix == ".csv":
        header, *lines = source.read_text().splitlines(keepends=True)
        target.write_text(header + "".join(lines[-KEPT:]))
    elif source.suffix == ".log":
        lines = source.read_text().splitlines(keepends=True)
        words = ("Entering", "code version", "completed")
        target.write_text("".join(line for line in lines if any(word in line for word in words)))
    else:
        text = re.sub(r"(?<=[ :])/\S*/(?=(ferminet|jaqmc|deepqmc)-)", "", source.read_text())
        target.write_text(re.sub(r"^ *# Defined in .*\n", "", text, flags=re.M))


def copy_end(name: str, item: h5py.Dataset | h5py.Group, new: h5py.File) -> None:
    """Copy the last values of an array."""
    if isinstance(item, h5py.Dataset) and not name.startswith("psi"):
        values = item[-KEPT:]
        new.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]))


if __name__ == "__main__":
    for run, (folder, files) in RUNS.items():
        for file in files:
            keep(Path(sys.argv[1]) / folder / file, HERE / run / file)
