"""Literature values, each with source, kind and uncertainty: `molecules/reference/*.csv`.

The files hold one energy per line; `#` starts a comment line. A newer value supersedes an older one
by naming its id; the older line stays on record. A value recalled from memory is not a reference: a
line that contains `recalled` is refused.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ferminet.benchmark.schema import group_by
from ferminet.config.study import PROJECT, references_directory
from ferminet.errors import InputError
from ferminet.systems.validation import nearest, prefix_errors, validate

# Names of quantities in tables and figures; the others follow from the rule of `quantity_label`.
LABELS = {
    "exact": "exact",
    "mlr4_6_8": "MLR4(6,8)",
    "mlr3_9": "MLR3(9)",
    "mrci_q_f12_cbs": "MRCI+Q-F12/CBS",
    "mrci_q_cbs": "MRCI+Q/CBS",
    "r12_mr_acpf": "r12-MR-ACPF",
    "ferminet_paper": "FermiNet (paper)",
    "vmc_literature": "VMC (literature)",
    "neural_vmc_literature": "neural VMC (literature)",
    "dmc_literature": "DMC (literature)",
    # Energies to remove an electron instead of total energies, listed under the name of the ion.
    "ionisation_experiment": "ionisation potential, electron affinity (experiment)",
    "ionisation_ferminet_paper": "ionisation potential, electron affinity (FermiNet, paper)",
}
# Quantities that an energy is compared with, best first.
BEST_QUANTITIES = ("exact", "fci_cbs", "mlr4_6_8", "mrci_q_f12_cbs", "ccsd_t_cbs")

_LEAST_MEH = 0.001  # smaller uncertainties are not listed

# Relation of a value to the exact non-relativistic energy with fixed nuclei. `exact`: equal to it
# within the uncertainty. Only `exact` and `lower bound` make a lower energy an error.
Kind = Literal[
    "exact", "lower bound", "upper bound", "extrapolated", "fitted to experiment", "measured"
]


class Reference(BaseModel):
    """One literature value; energies in hartree."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    id: str
    """A name SYSTEM/GEOMETRY/QUANTITY/VERSION, unique among all files."""
    supersedes: str = ""
    """The id of the older value that this one replaces."""
    system: str
    """Name of the system."""
    geometry: str
    """Label of the geometry."""
    quantity: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """A quantity must be written like ccsd_t_cbs."""
    kind: Kind
    """Relation to the exact energy."""
    energy: float = Field(alias="energy_hartree")
    """Total energy, or energy to remove an electron, in hartree."""
    uncertainty: float | None = Field(None, alias="uncertainty_hartree", ge=0)
    """Uncertainty in hartree; empty where the source gives none."""
    uncertainty_kind: Literal["statistical", "rounding", "estimate"] | None = None
    """Standard error, half a unit of the last digit, or the estimate of a systematic error."""
    confidence: Literal["verified", "verified-secondary", "decoded", "derived", "computed"]
    """Read in the source, in a transcription, or in the coordinates of a vector figure; derived
    from such values; or computed here."""
    determinants: int | None = None
    """Determinants of the wavefunction, where they differ from the paper's default."""
    dispute: str = ""
    """One sentence, where sources disagree."""
    source: str
    """Where the value comes from."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.id.startswith(f"{self.system}/{self.geometry}/{self.quantity}/"):
            raise ValueError(f"the id {self.id} must be SYSTEM/GEOMETRY/QUANTITY/VERSION")
        if (self.energy < 0) == self.quantity.startswith("ionisation_"):
            raise ValueError(
                f"a total energy must be negative and an ionisation potential positive, "
                f"got {self.energy} hartree"
            )
        if bool(self.uncertainty) != (self.uncertainty_kind is not None):
            raise ValueError("a non-zero uncertainty, and no other, needs an uncertainty_kind")
        return self

    @property
    def key(self) -> tuple[str, str, str]:
        """System, geometry and quantity."""
        return self.system, self.geometry, self.quantity

    @property
    def label(self) -> str:
        """Name of the quantity for tables and figures."""
        return quantity_label(self.quantity)

    @property
    def is_bound(self) -> bool:
        """Whether an energy below it, beyond the uncertainty, must be wrong."""
        return self.kind in ("exact", "lower bound")


FIELDS = tuple(field.alias or name for name, field in Reference.model_fields.items())
_OLD_FIELDS = (
    "system", "geometry", "quantity", "energy_hartree", "uncertainty_hartree", "confidence",
    "source",
)  # fmt: skip


class References:
    """Literature values by system, geometry and quantity, without superseded ones.

    Raises:
        InputError: two values have one id, or one key and neither supersedes the other, or a value
            supersedes itself, one of another key, or one that does not exist.
    """

    def __init__(self, entries: Iterable[Reference] = ()) -> None:
        by_id: dict[str, Reference] = {}
        for entry in entries:
            if entry.id in by_id:
                raise InputError(f"The reference {entry.id} is given twice; keep one of them.")
            by_id[entry.id] = entry
        superseded = {entry.supersedes for entry in by_id.values()}
        self._entries: dict[tuple[str, str, str], Reference] = {}
        for entry in by_id.values():
            older = by_id.get(entry.supersedes)
            if entry.supersedes and (older is None or older.key != entry.key or older is entry):
                raise InputError(
                    f"{entry.id} supersedes {entry.supersedes}, which is no other value of the "
                    "same system, geometry and quantity; correct the id."
                )
            if entry.id in superseded:
                continue
            if (other := self._entries.setdefault(entry.key, entry)) is not entry:
                raise InputError(
                    f"{other.id} and {entry.id} give the same quantity; let one supersede the "
                    "other."
                )
        for entry in by_id.values():
            if entry.key not in self._entries:
                raise InputError(
                    f"{entry.id} is superseded by a value that it supersedes itself; leave the "
                    "`supersedes` of the oldest one empty."
                )

    def __len__(self) -> int:
        """Number of energies."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Reference]:
        """Yield the values as listed."""
        return iter(self._entries.values())

    def lookup(self, system: str, geometry: str, quantity: str) -> Reference | None:
        """Return an energy, or None."""
        return self._entries.get((system, geometry, quantity))

    def best(self, system: str, geometry: str) -> Reference | None:
        """Return the first of `BEST_QUANTITIES` that this geometry has, or None."""
        candidates = (self.lookup(system, geometry, quantity) for quantity in BEST_QUANTITIES)
        return next((entry for entry in candidates if entry is not None), None)

    def bound(self, system: str, geometry: str) -> Reference | None:
        """Return the highest value below which no energy may lie, or None."""
        here = (entry for entry in self if entry.key[:2] == (system, geometry))
        bounds = [entry for entry in here if entry.is_bound]
        return max(bounds, key=lambda entry: entry.energy, default=None)

    def of_system(self, system: str, quantity: str) -> list[Reference]:
        """Return the energies of one quantity at all geometries of a system, as listed."""
        return [entry for entry in self if entry.key[::2] == (system, quantity)]

    def systems(self, quantity: str) -> list[str]:
        """Return the names of the systems that have the quantity, as listed."""
        return list(dict.fromkeys(key[0] for key in self._entries if key[2] == quantity))

    def quantities(self, system: str) -> list[str]:
        """Return the quantities that a system has, as listed."""
        return list(dict.fromkeys(key[2] for key in self._entries if key[0] == system))


def quantity_label(quantity: str) -> str:
    """Return the name of a quantity in tables and figures."""
    limit = quantity.removesuffix("_cbs").upper().replace("_T", "(T)") + "/CBS"
    other = limit if quantity.endswith("_cbs") else quantity.replace("_", " ")
    return LABELS.get(quantity, other)


def reference_notes(entries: Iterable[Reference | None]) -> list[str]:
    """Return notes on kinds, uncertainties and disputes of the values compared with."""
    systems = group_by(filter(None, entries), lambda entry: entry.system)
    kinds: dict[str, list[str]] = {}
    uncertain = []
    for system, values in systems.items():
        kinds.setdefault(" and ".join(dict.fromkeys(e.kind for e in values)), []).append(system)
        errors = sorted(1e3 * e.uncertainty for e in values if e.uncertainty)
        if errors and errors[-1] > _LEAST_MEH:
            span = " to ".join(dict.fromkeys(f"{error:.2g}" for error in (errors[0], errors[-1])))
            meanings = " and ".join(sorted({e.uncertainty_kind or "" for e in values} - {""}))
            uncertain.append(f"{system} {span} mEh ({meanings})")
    listed = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())
    notes = [f"Kind of the reference: {listed}."] if listed else []
    if uncertain:
        notes.append(
            f"Uncertainty of the reference: {', '.join(uncertain)}; others are below "
            f"{_LEAST_MEH:g} mEh or unknown."
        )
    return notes + disputes(entry for values in systems.values() for entry in values)


def disputes(entries: Iterable[Reference | None]) -> list[str]:
    """Return the disputes about these values, each with system and quantity."""
    named = (f"{e.system}, {e.label}: {e.dispute}" for e in entries if e and e.dispute)
    return list(dict.fromkeys(named))


def project_references() -> References:
    """Read the literature values next to the molecules; reject systems without a molecule file."""
    folders = (references_directory().parent, PROJECT / "molecules")
    known = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    return load_references(references_directory(), known)


def load_references(path: str | Path, known: Collection[str] | None = None) -> References:
    """Read literature values.

    Args:
        path: a CSV file, or a folder of them. Files up to version 0.2 have no ids and kinds; they
            get the kinds that version assumed.
        known: names of the systems that may occur; None for any.

    Raises:
        InputError: a file or column is missing, a cell is wrong, or see `References`.
    """
    files = sorted(Path(path).glob("*.csv")) if Path(path).is_dir() else [Path(path)]
    if not files:
        raise InputError(f"{path} has no literature values; name a folder with CSV files.")
    entries = [entry for file in files for entry in _read(file)]
    for entry in entries:
        if known is not None and entry.system not in known:
            hint = nearest(entry.system, known, "add its file to molecules/ or correct its name.")
            raise InputError(f"{entry.id}: unknown system {entry.system}; {hint}")
    return References(entries)


def _read(path: Path) -> list[Reference]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets start a file with a mark
        # Only whole lines are comments: sources such as "ferminet#94" contain a `#` too.
        lines = (line for line in text.splitlines(keepends=True) if line.strip())
        reader = csv.DictReader((line for line in lines if line.lstrip()[0] != "#"), strict=True)
        records = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"Cannot read the reference energies {path}: {error}; correct it, or save it anew as "
            "CSV in UTF-8."
        ) from error
    header = set(reader.fieldnames or ())
    if header == set(_OLD_FIELDS):
        return [_entry(path, _modernise(record)) for record in records]
    if header != set(FIELDS):
        wrong = sorted(header ^ set(FIELDS))
        raise InputError(
            f"{path}: the columns of reference energies must be {', '.join(FIELDS)}; "
            f"{wrong[0]!r} is missing or unknown."
        )
    return [_entry(path, record) for record in records]


def _modernise(record: dict[str, Any]) -> dict[str, Any]:
    """Convert a line of version 0.2 to the present columns."""
    key = "/".join(str(record[name]) for name in _OLD_FIELDS[:3])
    kind = "exact" if record["quantity"] in ("exact", "fci_cbs") else "extrapolated"
    meaning = "estimate" if (record["uncertainty_hartree"] or "").strip("0. ") else ""
    confidence = re.split(r"[ ;:]", record["confidence"] or "")[0]
    return record | {
        "id": f"{key}/0.2", "kind": kind, "uncertainty_kind": meaning, "confidence": confidence,
    }  # fmt: skip


def _entry(path: Path, record: dict[str, Any]) -> Reference:
    where = f"{path}: {record.get('id') or record['system']}"
    if None in record.values() or None in record:
        raise InputError(f"{where} has too few or too many cells; quote cells that hold commas.")
    values = {name: text.strip() for name, text in record.items() if text.strip()}
    if any(re.search(r"\brecalled\b", text) for text in values.values()):
        raise InputError(f"{where} is only recalled; find its source or remove it.")
    with prefix_errors(where):
        return validate(Reference, values)
