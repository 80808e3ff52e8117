"""Curves: families of geometries along one parameter."""

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, StringConstraints

from ferminet.errors import InputError
from ferminet.systems.molecule import Symbol
from ferminet.systems.validation import Block
from ferminet.units import BOHR_PER_UNIT

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_LABEL = re.compile(r"([A-Za-z]+)\{:\.([0-9])f\}")


def _check_label(template: str) -> str:
    # Only a number is ever formatted with it: `{0.__class__}` must not pass.
    if _LABEL.fullmatch(template) is None:
        raise InputError(f"a label is written like 'r{{:.4f}}', got {template!r}.")
    return template


class Parameter(Block):
    """The parameter of a curve."""

    name: Text
    """What it is, for example bond length."""
    unit: Literal["bohr", "angstrom", "degree"]
    """That of the file for a chain, degree for a rectangle."""
    grid: list[float] = Field(min_length=1)
    """Its values."""


class Curve(Block):
    """The nuclei of a curve; a subclass places them."""

    element: Symbol
    """The element of all nuclei."""
    label_format: Annotated[str, AfterValidator(_check_label)]
    """Letters, then the value with some decimals, for example r{:.4f}."""
    parameter: Parameter
    """Name, unit and grid of the parameter."""

    def place(self, value: float, unit: float) -> np.ndarray:
        """Return the nuclei (n_nuclei, 3) in bohr; `unit` is the file's unit of length in bohr."""
        raise NotImplementedError

    def geometries(self, unit: str) -> dict[str, dict[str, Any]]:
        """Return the fields of the molecules by label, in the order of the grid.

        `unit` is the file's unit of length. InputError reports a parameter of another unit, a value
        out of range, or two values with the same label.
        """
        expected = unit if isinstance(self, Chain) else "degree"
        if self.parameter.unit != expected:
            raise InputError(
                f"curve.parameter.unit is {self.parameter.unit!r}; for this shape in {unit} it "
                f"must be {expected}."
            )
        geometries: dict[str, dict[str, Any]] = {}
        for value in self.parameter.grid:
            label = self.label_format.format(value)
            if label in geometries:
                raise InputError(
                    f"curve: {geometries[label]['parameter']} and {value} have the same label "
                    f"{label}; give label_format more decimals or remove one."
                )
            coords = self.place(value, BOHR_PER_UNIT[unit])
            number = re.sub("^[A-Za-z]+", "", label)
            geometries[label] = {
                "symbols": (self.element,) * len(coords),
                "coords": coords,
                "parameter": value,
                "parameter_name": self.parameter.name,
                "parameter_unit": self.parameter.unit,
                "label": f"{number}°" if expected == "degree" else f"{number} {unit}",
            }
        return geometries


class Chain(Curve):
    """Nuclei on a line, the parameter being the distance between neighbours."""

    shape: Literal["chain"]
    number: Annotated[int, Field(ge=2, le=1000)]
    """Nuclei of the chain."""

    def place(self, value: float, unit: float) -> np.ndarray:
        """Return the nuclei (number, 3) on the z axis, centred at the origin."""
        if value <= 0:
            raise InputError(f"curve: a spacing is positive, got {value}.")
        coords = np.zeros((self.number, 3))
        coords[:, 2] = value * unit * (np.arange(self.number) - (self.number - 1) / 2)
        return coords


class RectangleOnCircle(Curve):
    """The corners of a rectangle inscribed in a circle, the parameter being an angle.

    It lies between two neighbouring corners as seen from the centre; an angle and 180 degrees minus
    it give congruent rectangles.
    """

    shape: Literal["rectangle_on_circle"]
    radius: Annotated[float, Field(gt=0)]
    """Radius of the circle, in the file's unit."""

    def place(self, value: float, unit: float) -> np.ndarray:
        """Return the corners (+-R cos(angle/2), +-R sin(angle/2), 0), going around the circle."""
        if not 0 < value < 180:
            raise InputError(f"curve: an angle lies between 0 and 180 degrees, got {value}.")
        half, radius = math.radians(value) / 2, self.radius * unit
        x, y = radius * math.cos(half), radius * math.sin(half)
        return np.array([[x, y, 0.0], [-x, y, 0.0], [-x, -y, 0.0], [x, -y, 0.0]])


AnyCurve = Annotated[Chain | RectangleOnCircle, Field(discriminator="shape")]


def curve_name(system: str) -> str:
    """Return the name of a curve's table and figure.

    >>> curve_name("N2_curve"), curve_name("H10")
    ('n2', 'h10')
    """
    return system.lower().removesuffix("_curve")


def has_well(parameter_unit: str | None, n_geometries: int) -> bool:
    """Whether a curve over a distance has the geometries that a well depth is a difference of."""
    return parameter_unit in BOHR_PER_UNIT and n_geometries > 1
