"""Curves: families of geometries that one parameter runs through."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferminet.errors import InputError
from ferminet.systems.checks import check_integer, check_number
from ferminet.systems.elements import normalise_symbol
from ferminet.systems.yaml import refuse_unknown_keys
from ferminet.units import BOHR_PER_UNIT

_KEYS = {
    "chain": ("shape", "element", "number", "parameter", "label_format"),
    "rectangle_on_circle": ("shape", "element", "radius", "parameter", "label_format"),
}


@dataclass(frozen=True)
class CurvePoint:
    """One geometry of a curve.

    Attributes:
        geometry: its label, for example `r2.0680`.
        parameter: value in the unit of the curve.
        text: the value with its unit, for plots.
        coords: (n_nuclei, 3) in bohr.
    """

    geometry: str
    parameter: float
    text: str
    coords: np.ndarray


@dataclass(frozen=True)
class Curve:
    """All geometries of a curve.

    Attributes:
        symbols: (n_nuclei,) elements, the same at all points.
        parameter_name: for example "bond length".
        parameter_unit: bohr, angstrom or degree.
        points: in the order of the grid.
    """

    symbols: tuple[str, ...]
    parameter_name: str
    parameter_unit: str
    points: list[CurvePoint]


def curve_name(system: str) -> str:
    """Returns how a curve's table and figure are called.

    >>> curve_name("N2_curve"), curve_name("H10")
    ('n2', 'h10')
    """
    return system.lower().removesuffix("_curve")


def has_well(parameter_unit: str | None, n_geometries: int) -> bool:
    """Whether a curve over a distance has the geometries that a well depth is a difference of."""
    return parameter_unit in BOHR_PER_UNIT and n_geometries > 1


def read_curve(block: object, unit: str) -> Curve:
    """Returns the geometries of the `curve:` block of a system file.

    Args:
        block: what the file says.
        unit: unit of length of the file; a chain's parameter has it too.

    Returns:
        The curve.

    Raises:
        InputError: a key is unknown or missing, or a value is impossible.
    """
    if not isinstance(block, dict):
        raise InputError("kind: curve needs a `curve:` block with shape, element and parameter.")
    shape = block.get("shape")
    if not isinstance(shape, str) or shape not in _KEYS:
        raise InputError(f"curve: shape is one of {', '.join(_KEYS)}, got {shape!r}.")
    refuse_unknown_keys(block, _KEYS[shape])
    parameter = block.get("parameter")
    if not isinstance(parameter, dict):
        raise InputError("curve: `parameter:` has the keys name, unit and grid.")
    refuse_unknown_keys(parameter, ("name", "unit", "grid"))
    number, place = _chain(block, unit) if shape == "chain" else _rectangle(block, unit)
    expected = unit if shape == "chain" else "degree"
    if parameter.get("unit") != expected:
        raise InputError(
            f"curve: the parameter of a {shape} in {unit} has the unit {expected}, got "
            f"{parameter.get('unit')!r}."
        )
    name = parameter.get("name")
    if not isinstance(name, str) or not name:
        raise InputError("curve: the parameter needs a name, for example `bond length`.")
    points = _points(parameter.get("grid"), expected, _label_formatter(block), place)
    return Curve((normalise_symbol(block.get("element")),) * number, name, expected, points)


def _points(
    grid: object, unit: str, label: Callable[[float], str], place: Callable[[float], np.ndarray]
) -> list[CurvePoint]:
    if not isinstance(grid, list) or not grid:
        raise InputError("curve: the parameter needs a grid, a list of at least one number.")
    points: dict[str, CurvePoint] = {}
    for entry in grid:
        value = check_number("curve: a value of the grid", entry)
        geometry = label(value)
        if geometry in points:
            raise InputError(
                f"curve: {points[geometry].parameter} and {value} have the same label {geometry}; "
                "give label_format more decimals or remove one."
            )
        text = f"{geometry.lstrip(_LETTERS)}" + ("°" if unit == "degree" else f" {unit}")
        points[geometry] = CurvePoint(geometry, value, text, place(value))
    return list(points.values())


def _chain(block: dict[str, Any], unit: str) -> tuple[int, Callable[[float], np.ndarray]]:
    number = check_integer("curve: number", block.get("number"))
    if number < 2:
        raise InputError(f"curve: a chain has at least 2 nuclei, got {number}.")

    def place(spacing: float) -> np.ndarray:
        if spacing <= 0:
            raise InputError(f"curve: a spacing is positive, got {spacing}.")
        return chain(number, spacing * BOHR_PER_UNIT[unit])

    return number, place


def _rectangle(block: dict[str, Any], unit: str) -> tuple[int, Callable[[float], np.ndarray]]:
    radius = check_number("curve: radius", block.get("radius"))
    if radius <= 0:
        raise InputError(f"curve: the radius is positive, got {radius}.")

    def place(angle: float) -> np.ndarray:
        if not 0 < angle < 180:
            raise InputError(f"curve: an angle lies between 0 and 180 degrees, got {angle}.")
        return rectangle_on_circle(radius * BOHR_PER_UNIT[unit], angle)

    return 4, place


def chain(number: int, spacing: float) -> np.ndarray:
    """Returns nuclei (number, 3) on the z axis, `spacing` apart and centred at the origin."""
    coords = np.zeros((number, 3))
    coords[:, 2] = spacing * (np.arange(number) - (number - 1) / 2)
    return coords


def rectangle_on_circle(radius: float, angle_degrees: float) -> np.ndarray:
    """Returns the corners (4, 3) of a rectangle inscribed in a circle in the xy plane.

    Args:
        radius: of the circle.
        angle_degrees: between two neighbouring corners as seen from the centre; an angle and 180
            degrees minus it give congruent rectangles.

    Returns:
        The corners (+-R cos(angle/2), +-R sin(angle/2), 0), going around the circle.
    """
    half = math.radians(angle_degrees) / 2
    x, y = radius * math.cos(half), radius * math.sin(half)
    return np.array([[x, y, 0.0], [-x, y, 0.0], [-x, -y, 0.0], [x, -y, 0.0]])


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _label_formatter(block: dict[str, Any]) -> Callable[[float], str]:
    """Returns what writes a label: letters, then the value; nothing else is ever evaluated."""
    template = block.get("label_format")
    text = template if isinstance(template, str) else ""
    match = re.fullmatch(r"([A-Za-z]+)\{:\.([0-9])f\}", text)
    if match is None:
        raise InputError(f"curve: label_format is written like 'r{{:.4f}}', got {template!r}.")
    prefix, decimals = match[1], int(match[2])
    return lambda value: f"{prefix}{value:.{decimals}f}"
