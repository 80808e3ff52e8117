"""Published and exact energies, each with its source: `molecules/reference/*.csv`.

The files hold one energy per line; `#` starts a comment line. A value recalled from memory is no
reference: a file is refused if the confidence of a row contains `recalled`.
"""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ferminet.errors import InputError

FIELDS = (
    "system", "geometry", "quantity", "energy_hartree", "uncertainty_hartree", "confidence",
    "source",
)  # fmt: skip

# Names of the quantities in tables and figures.
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
    # Not total energies, but the energy to remove the electron, under the name of the ion.
    "ionisation_experiment": "ionisation potential, electron affinity (experiment)",
    "ionisation_ferminet_paper": "ionisation potential, electron affinity (FermiNet, paper)",
}

# No non-relativistic energy can lie below the exact one, or full CI at the basis-set limit, by more
# than its uncertainty. A row significantly below either is wrong.
EXACT_QUANTITIES = ("exact", "fci_cbs")
# Quantities that an energy is compared with, best first.
BEST_QUANTITIES = (*EXACT_QUANTITIES, "mrci_q_f12_cbs", "ccsd_t_cbs")


class Reference(NamedTuple):
    """One published or exact energy.

    Attributes:
        system: name of the system.
        geometry: label of the geometry.
        quantity: its kind: exact, hf_cbs, ferminet_paper, ...
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
    """All published energies, by system, geometry and quantity."""

    def __init__(self, entries: Iterable[Reference] = ()) -> None:
        self._entries: dict[tuple[str, str, str], Reference] = {}
        for entry in entries:
            key = entry[:3]
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
        """Return an energy, or None."""
        return self._entries.get((system, geometry, quantity))

    def best(
        self, system: str, geometry: str, quantities: Sequence[str] = BEST_QUANTITIES
    ) -> Reference | None:
        """Return the first of `quantities` that this geometry has, or None."""
        candidates = (self.lookup(system, geometry, quantity) for quantity in quantities)
        return next((entry for entry in candidates if entry is not None), None)

    def of_system(self, system: str, quantity: str) -> list[Reference]:
        """Return the energies of one quantity at all geometries of a system, as listed."""
        return [e for e in self._entries.values() if (e.system, e.quantity) == (system, quantity)]

    def systems(self, quantity: str) -> list[str]:
        """Return the names of the systems that have the quantity, as listed."""
        return list(dict.fromkeys(key[0] for key in self._entries if key[2] == quantity))

    def quantities(self, system: str) -> list[str]:
        """Return the quantities that a system has, as listed."""
        return list(dict.fromkeys(key[2] for key in self._entries if key[0] == system))


def quantity_label(quantity: str) -> str:
    """Return the name of a quantity in tables and figures."""
    return LABELS.get(quantity, quantity.replace("_", " "))


def load_references(paths: str | Path | Sequence[str | Path]) -> References:
    """Read published energies.

    Args:
        paths: CSV files, or one folder; every `*.csv` in it is read.

    Raises:
        InputError: a file is missing, a column is missing or unknown, a number is wrong, or an
            energy is given twice or only recalled.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if len(files) == 1 and files[0].is_dir():
        files = sorted(files[0].glob("*.csv"))
    return References(entry for file in files for entry in _read(file))


def _read(path: Path) -> list[Reference]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the reference energies {path}: {error}.") from error
    # Only whole lines are comments: sources such as "ferminet#94" contain a `#` too.
    lines = text.splitlines(keepends=True)
    reader = csv.DictReader(line for line in lines if line.strip() and line.lstrip()[0] != "#")
    header = tuple(reader.fieldnames or ())
    if set(header) != set(FIELDS):
        wrong = sorted(set(header) ^ set(FIELDS))
        raise InputError(
            f"{path}: the columns of reference energies must be {', '.join(FIELDS)}; "
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
            raise InputError(f"{where} has no {name}; every reference energy must state it.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", values["quantity"]):
        raise InputError(f"{where}: a quantity must be written like ccsd_t_cbs.")
    if re.search(r"\brecalled\b", values["confidence"]):
        raise InputError(f"{where} is only recalled; find its source or remove it.")
    system, geometry, quantity, energy_text, uncertainty_text, confidence, source = values.values()
    energy = _number(where, "energy_hartree", energy_text)
    uncertainty = None
    if uncertainty_text:
        uncertainty = _number(where, "uncertainty_hartree", uncertainty_text)
        if uncertainty < 0:
            raise InputError(f"{where}: an uncertainty must not be negative, got {uncertainty}.")
    return Reference(system, geometry, quantity, energy, uncertainty, source, confidence)


def _number(where: str, name: str, text: str) -> float:
    try:
        if math.isfinite(value := float(text)):
            return value
    except ValueError:
        pass
    raise InputError(f"{where}: {name} must be a finite number in hartree, got {text!r}.")
