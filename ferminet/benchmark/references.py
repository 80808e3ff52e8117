"""Published and exact energies, each with its source: `molecules/reference/*.csv`.

The files are tidy: one energy per line, `#` starts a line of comment. A value that somebody only
remembers is no reference, so a file with a row whose confidence says `recalled` is refused.
"""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferminet.errors import InputError

FIELDS = (
    "system", "geometry", "quantity", "energy_hartree", "uncertainty_hartree", "confidence",
    "source",
)  # fmt: skip

# How a quantity is called in tables and figures.
LABELS = {
    "exact": "exact",
    "fci_cbs": "FCI/CBS",
    "hf_cbs": "HF/CBS",
    "ccsd_t_cbs": "CCSD(T)/CBS",
    "uccsd_t_cbs": "UCCSD(T)/CBS",
    "rccsd_t_cbs": "RCCSD(T)/CBS",
    "ccsd_cbs": "CCSD/CBS",
    "uccsd_cbs": "UCCSD/CBS",
    "rccsd_cbs": "RCCSD/CBS",
    "uhf_cbs": "UHF/CBS",
    "rhf_cbs": "RHF/CBS",
    "mrci_q_f12_cbs": "MRCI+Q-F12/CBS",
    "mrci_q_cbs": "MRCI+Q/CBS",
    "afqmc_cbs": "AFQMC/CBS",
    "r12_mr_acpf": "r12-MR-ACPF",
    "ferminet_paper": "FermiNet (paper)",
    "vmc_literature": "VMC (literature)",
    "dmc_literature": "DMC (literature)",
    # Not total energies: under the name of the ion, what removing the electron takes.
    "ionisation_experiment": "ionisation potential, electron affinity (experiment)",
    "ionisation_ferminet_paper": "ionisation potential, electron affinity (FermiNet, paper)",
}

# Values that the non-relativistic energy cannot lie below by more than their uncertainty: the exact
# one and full CI at the basis-set limit. A row significantly below one of them is wrong.
EXACT_QUANTITIES = ("exact", "fci_cbs")
# What an energy is compared with, best first.
BEST_QUANTITIES = (*EXACT_QUANTITIES, "mrci_q_f12_cbs", "ccsd_t_cbs")


@dataclass(frozen=True)
class Reference:
    """One published or exact energy.

    Attributes:
        system: name of the system.
        geometry: label of the geometry.
        quantity: what it is: exact, hf_cbs, ferminet_paper, ...
        energy: total energy in hartree.
        uncertainty: standard uncertainty in hartree; None where none is published.
        source: where the value comes from.
        confidence: how the value was checked.
    """

    system: str
    geometry: str
    quantity: str
    energy: float
    uncertainty: float | None
    source: str
    confidence: str

    @property
    def label(self) -> str:
        """Name of the quantity for tables and figures."""
        return quantity_label(self.quantity)


class References:
    """All published energies, found by system, geometry and quantity."""

    def __init__(self, entries: Iterable[Reference] = ()) -> None:
        """Keeps `entries`; two of the same system, geometry and quantity are refused."""
        self._entries: dict[tuple[str, str, str], Reference] = {}
        for entry in entries:
            key = (entry.system, entry.geometry, entry.quantity)
            if key in self._entries:
                raise InputError(
                    f"The reference {entry.quantity} of {entry.system}/{entry.geometry} is given "
                    "twice; keep one of them."
                )
            self._entries[key] = entry

    def __len__(self) -> int:
        """Number of energies."""
        return len(self._entries)

    def lookup(self, system: str, geometry: str, quantity: str) -> Reference | None:
        """Returns the energy asked for, or None."""
        return self._entries.get((system, geometry, quantity))

    def best(
        self, system: str, geometry: str, quantities: Sequence[str] = BEST_QUANTITIES
    ) -> Reference | None:
        """Returns the first of `quantities` that is known for this geometry, or None."""
        found = (self.lookup(system, geometry, quantity) for quantity in quantities)
        return next((reference for reference in found if reference is not None), None)

    def of_system(self, system: str, quantity: str) -> list[Reference]:
        """Returns the energies of one quantity at all geometries of a system, as listed."""
        return [
            entry
            for entry in self._entries.values()
            if entry.system == system and entry.quantity == quantity
        ]

    def systems(self, quantity: str) -> list[str]:
        """Returns the names of the systems that have the quantity, as listed."""
        return list(
            dict.fromkeys(e.system for e in self._entries.values() if e.quantity == quantity)
        )

    def quantities(self, system: str) -> list[str]:
        """Returns the quantities known for a system, as listed."""
        return list(dict.fromkeys(e.quantity for e in self._entries.values() if e.system == system))


def quantity_label(quantity: str) -> str:
    """Returns how a quantity is called in tables and figures."""
    return LABELS.get(quantity, quantity.replace("_", " "))


def load_references(paths: str | Path | Sequence[str | Path]) -> References:
    """Reads published energies.

    Args:
        paths: CSV files, or one folder of which every `*.csv` is read.

    Returns:
        All energies.

    Raises:
        InputError: a file is missing, a column is missing or unknown, a number is wrong, an energy
            is given twice, or its confidence says that it is only recalled.
    """
    if isinstance(paths, str | Path):
        single = Path(paths)
        files = sorted(single.glob("*.csv")) if single.is_dir() else [single]
    else:
        files = [Path(path) for path in paths]
    return References(entry for file in files for entry in _read(file))


def _read(path: Path) -> list[Reference]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the reference energies {path}: {error}.") from error
    # Only whole lines are comments: sources such as "ferminet#94" hold a `#` too.
    lines = [
        "" if line.lstrip().startswith("#") else line for line in text.splitlines(keepends=True)
    ]
    reader = csv.DictReader(line for line in lines if line.strip())
    header = tuple(reader.fieldnames or ())
    if set(header) != set(FIELDS):
        wrong = sorted(set(header) ^ set(FIELDS))
        raise InputError(
            f"{path}: the columns of reference energies are {', '.join(FIELDS)}; "
            f"{wrong[0]!r} is missing or unknown."
        )
    return [_entry(path, record) for record in reader]


def _entry(path: Path, record: dict[str, str]) -> Reference:
    where = f"{path}: {record['system']}/{record['geometry']}/{record['quantity']}"
    if None in record.values() or None in record:
        raise InputError(f"{where} has too few or too many cells; quote cells that hold commas.")
    values = {name: record[name].strip() for name in FIELDS}
    for name in ("system", "geometry", "confidence", "source"):
        if not values[name]:
            raise InputError(f"{where} has no {name}; every reference energy states it.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", values["quantity"]):
        raise InputError(f"{where}: a quantity is written like ccsd_t_cbs.")
    if re.search(r"\brecalled\b", values["confidence"]):
        raise InputError(f"{where} is only recalled; find its source or remove it.")
    energy = _number(where, "energy_hartree", values["energy_hartree"])
    uncertainty = None
    if values["uncertainty_hartree"]:
        uncertainty = _number(where, "uncertainty_hartree", values["uncertainty_hartree"])
        if uncertainty < 0:
            raise InputError(f"{where}: an uncertainty is not negative, got {uncertainty}.")
    return Reference(
        values["system"],
        values["geometry"],
        values["quantity"],
        energy,
        uncertainty,
        values["source"],
        values["confidence"],
    )


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} is a finite number in hartree, got {text!r}.")
    return value
