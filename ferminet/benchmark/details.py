"""The `details` of a row: what one method reports beyond the columns that all methods share.

They are stored as one JSON text. Every field may be absent. Fields that this version does not
declare are kept, so that reading and writing leaves rows of other versions unchanged.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import to_jsonable_python

# An integer in the JSON text stays an integer, so that a row is written as it was read.
Number = float | int


def field(description: str, unit: str = "", default: Any = None, **limits: Any) -> Any:
    """Declare an entry: its meaning, its unit (`1` for pure numbers), and pydantic's limits."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **limits)


class _Entries(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Convergence(_Entries):
    """Trend of the energy at the end of a training; see `vmc.convergence.training_trend`."""

    slope: Number = Field(description="slope between the last two eighths, hartree per iteration")
    slope_error: Number = Field(description="its standard error, hartree per iteration")
    variance: Number | None = field("median variance over the last eighth", "hartree^2")
    energy: Number | None = field("mean energy over the last eighth", "hartree")
    energy_error: Number | None = field("its standard error", "hartree")
    window: int | None = field("iterations in an eighth", "1")


class Contribution(_Entries):
    """One term of a basis-set limit."""

    energy: Number = Field(description="its limit, hartree")
    uncertainty: Number = Field(description="uncertainty of the limit, hartree")
    formula: str = Field(description="formula of the extrapolation")


class Imported(_Entries):
    """Where an energy of another code comes from, and what was averaged."""

    code: str = Field(description="name of the code")
    version: str | None = field("its version, if known")
    averaged: Literal["training tail", "inference"] = Field(
        description="inference: the parameters were frozen"
    )
    window: str = Field(description="which iterations were averaged, and why these")
    file: str = Field(description="the file that was read, relative to the run's folder")
    sha256: str = Field(description="SHA-256 of the bytes that were read")
    settings: dict[str, Any] | None = field("the code's own settings, as it recorded them")


class Details(_Entries):
    """Method-specific entries of a row."""

    note: str | None = field("why there is no energy, or how it was obtained")
    doubts: list[str] | None = field("reasons to doubt the members of a limit")
    command: str | None = field("command line that computes the row again")
    molecule_hash: str | None = field("hash of nuclei, charge and spin of a baseline")
    # Training and evaluation of a wavefunction.
    settings: dict[str, Any] | None = field("settings that ablations compare")
    configuration: dict[str, Any] | None = field("whole configuration of the run")
    trained_sha256: str | None = field("SHA-256 of the file of trained parameters")
    trained_by: list[dict[str, Any]] | None = field("code and device of each training segment")
    attempts: int | None = field("attempts that the training took", "1")
    train_wall_s: Number | None = field("wall time of the training", "s")
    devices: int | None = field("number of devices", "1")
    convergence: Convergence | None = field("trend of the energy at the end of training")
    iterations_planned: int | None = field("iterations of an unfinished training", "1")
    hours_left: Number | None = field("predicted time that an unfinished training still takes", "h")
    energy_last_parameters: Number | None = field("energy of the last parameters", "hartree")
    stderr_last_parameters: Number | None = field("its standard error", "hartree")
    step_size: Number | None = field("step size of the Metropolis moves", "bohr")
    matrix_product_error: Number | None = field("relative error of matrix products", "1")
    kato: Any = field("median slopes at coalescence points, with exact values")
    # Diagnostics of the samples; `diagnostics.py` judges them.
    stderr_reblocked: Number | None = field("standard error by reblocking", "hartree")
    variance_error: Number | None = field("standard error of the variance", "hartree^2")
    samples_per_tau: Number | None = field("iterations per autocorrelation time", "1")
    tau_radius: Number | None = field("autocorrelation time of sum r^2", "Metropolis steps")
    r_hat_spin: Number | None = field("split-R-hat of the spin on the first nucleus", "1")
    r_hat_radius: Number | None = field("split-R-hat of sum r^2", "1")
    drift_z: Number | None = field("difference of the halves of the samples over its error", "1")
    kinetic: Number | None = field("kinetic energy", "hartree")
    potential: Number | None = field("potential energy", "hartree")
    virial_ratio: Number | None = field("-potential / kinetic; 2 for an exact free atom", "1")
    virial_ratio_error: Number | None = field("its standard error", "1")
    effective_determinants: Number | None = field("participation ratio of the determinants", "1")
    n_nonfinite: int | None = field("local energies that were not finite", "1")
    s2_target: Number | None = field("S (S + 1) of the requested spin", "1")
    imported: Imported | None = field("source of an energy of another code")
    # Baselines and their basis-set limits.
    e_hf: Number | None = field("Hartree-Fock energy below a correlated method", "hartree")
    stable: bool | None = field("whether the Hartree-Fock solution is internally stable")
    contributions: dict[str, Contribution] | None = field("terms of a basis-set limit")
    members: dict[str, dict[str, Number]] | None = field("energies extrapolated from, by basis")

    @model_validator(mode="before")
    @classmethod
    def _convert(cls, values: Any) -> Any:
        return plain(values)

    def text(self) -> str | None:
        """Return the given entries as JSON text, or None if there are none."""
        return encode_json(self.model_dump(exclude_unset=True)) if self.model_fields_set else None


def encode_json(value: Any) -> str:
    """Write a value as JSON with sorted keys; see `plain`."""
    return json.dumps(plain(value), sort_keys=True, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: no NumPy types, null for numbers that are not finite.

    Raises:
        ValueError: JSON cannot hold a value.
    """
    return to_jsonable_python(value, inf_nan_mode="null", fallback=_from_array)


def _from_array(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return value.tolist()
    raise ValueError(f"JSON cannot hold {value!r} of type {type(value).__name__}.")
