"""Curves: their geometries, and the sentence for each wrong block."""

import numpy as np
import pytest

from ferminet.errors import InputError
from ferminet.systems.files import read_system
from tests.helpers.system_files import CHAIN, RECTANGLE, write_curve


def test_a_chain_is_centred_on_the_z_axis(tmp_path):
    system = read_system(write_curve(tmp_path, CHAIN, broken_symmetry="true"))
    assert list(system.geometries) == ["r1.8000", "r2.0000"]
    molecule = system.geometries["r2.0000"]
    assert molecule.coords.tolist() == [[0, 0, -3], [0, 0, -1], [0, 0, 1], [0, 0, 3]]
    assert (molecule.parameter, molecule.parameter_name, molecule.parameter_unit) == (
        2.0, "spacing", "bohr",
    )  # fmt: skip
    assert molecule.broken_symmetry and molecule.kind == "curve"


def test_a_rectangle_lies_on_its_circle(tmp_path):
    system = read_system(write_curve(tmp_path, RECTANGLE, unit="angstrom"))
    square = system.geometries["a90"].coords * 0.529177210903
    assert np.linalg.norm(square, axis=1) == pytest.approx(1.738, abs=1e-14)
    sides = np.linalg.norm(square - np.roll(square, 1, axis=0), axis=1)
    assert sides == pytest.approx(1.738 * np.sqrt(2), abs=1e-14)
    assert system.geometries["a85"].label == "curve 85°"


BAD_CURVES = {
    "shape": (
        CHAIN.replace("chain", "ring"),
        "curve is .*; its shape must be one of chain, rectangle_on_circle",
    ),
    "unknown key": (
        CHAIN.replace("number", "numbr"),
        r"unknown key curve\.numbr; did you mean number",
    ),
    "other unit": (
        CHAIN.replace("bohr", "angstrom"),
        r"curve.parameter.unit is 'angstrom'; .* it must be bohr",
    ),
    "evaluated label": (
        CHAIN.replace("{:.4f}", "{0.__class__}"),
        "curve.label_format: a label is written like",
    ),
    "label collision": (CHAIN.replace(".4f", ".0f"), "1.8 and 2.0 have the same label r2"),
    "empty grid": (
        CHAIN.replace("[1.8, 2.0]", "[]"),
        r"curve.parameter.grid is \[\]; it must have at least 1 item",
    ),
    "NaN in grid": (
        CHAIN.replace("1.8", ".nan"),
        r"curve.parameter.grid\[0\] is nan; it must be a finite number",
    ),
    "negative spacing": (CHAIN.replace("1.8", "-1.8"), "a spacing is positive"),
    "too close": (CHAIN.replace("1.8", "0.5"), "0.500 bohr .* apart, nearer than"),
    "one nucleus": (CHAIN.replace("4\n", "1\n"), "curve.number is 1; it must be at least 2"),
    "angle": (RECTANGLE.replace("85", "185"), "between 0 and 180 degrees, got 185"),
    "radius": (RECTANGLE.replace("1.738", "-1"), "curve.radius is -1; it must be greater than 0"),
    "element": (CHAIN.replace("element: H", "element: Q"), "ghost or dummy"),
    "no parameter": (
        "\n  shape: chain\n  number: 2\n",
        "the key curve.element is missing; the element",
    ),
    "no shape": (
        CHAIN.replace("shape: chain", "form: chain"),
        "curve is .*; it needs the key shape",
    ),
    "no block": (" chain", "curve is 'chain'; it must be a block of keys"),
    "unnamed": (
        CHAIN.replace("name: spacing", "name: 3"),
        "curve.parameter.name is 3; it must be text",
    ),
}


@pytest.mark.parametrize("case", BAD_CURVES)
def test_bad_curve_is_refused(tmp_path, case):
    block, sentence = BAD_CURVES[case]
    with pytest.raises(InputError, match=sentence):
        read_system(write_curve(tmp_path, block))
