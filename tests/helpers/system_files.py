"""Write the file of a molecule or of a curve, with chosen mistakes."""

LIH = {
    "name": "LiH",
    "title": "lithium hydride",
    "kind": "molecule",
    "unit": "bohr",
    "atoms": "[[Li, [0, 0, 0]], [H, [0, 0, 3.015]]]",
    "charge": 0,
    "unpaired_electrons": 0,
    "source": "test",
}


CHAIN = """
  shape: chain
  element: H
  number: 4
  label_format: "r{:.4f}"
  parameter: {name: spacing, unit: bohr, grid: [1.8, 2.0]}"""

RECTANGLE = """
  shape: rectangle_on_circle
  element: H
  radius: 1.738
  label_format: "a{:.0f}"
  parameter: {name: angle, unit: degree, grid: [85, 90]}"""


def write(folder, stem="LiH", without=(), extra="", **changes):
    values = {key: value for key, value in (LIH | changes).items() if key not in without}
    path = folder / f"{stem}.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()) + extra)
    return path


def write_curve(folder, block, **changes):
    changes = {"name": "curve", "kind": "curve"} | changes
    return write(folder, "curve", ("atoms",), f"curve:{block}\n", **changes)
