"""The style of the figures, and their conversion to files.

Colours are those of Okabe and Ito, which colour-blind readers can distinguish. The same data give
the same bytes: files have no date, and the identifiers in SVG come from a fixed salt.
"""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ferminet.units import CHEMICAL_ACCURACY_MEH

# M. Okabe, K. Ito, "Color Universal Design" (2008).
PALETTE = {
    "black": "#000000", "orange": "#E69F00", "sky": "#56B4E9", "green": "#009E73",
    "yellow": "#F0E442", "blue": "#0072B2", "vermilion": "#D55E00", "purple": "#CC79A7",
    "grey": "#666666",
}  # fmt: skip
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = PALETTE.values()
# For our own series; orange is coupled cluster's and vermilion the paper's.
SERIES_COLOURS = (BLUE, GREEN, PURPLE, SKY, BLACK, YELLOW)
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")
SERIES_LINES = ("-", "--", ":", "-.")
FIGURE_FORMATS = ("png", "svg")

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.5,
    "errorbar.capsize": 2.5,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "ferminet",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of this project, regardless of the user's matplotlib settings.

    It is a context manager and, as `@style()`, a decorator.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def render(figure: Figure, format: str, dpi: int = 150) -> bytes:
    """Return a figure as the bytes of a PNG or SVG file, the same for the same data."""
    metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    sink = io.BytesIO()
    with style():
        figure.savefig(sink, format=format, dpi=dpi, metadata=metadata)
    content = sink.getvalue()
    if format == "svg":  # matplotlib names some clipping paths after addresses in memory
        names = re.findall(rb'<clipPath id="(p[0-9a-f]+)"', content)
        for number, name in enumerate(names):
            content = content.replace(name, b"clip%d" % number)
    return content


def annotate_missing(figure: Figure, gaps: list[str], remark: str = "") -> None:
    """Write below a figure which values are missing, one phrase each, and a remark."""
    gaps = list(dict.fromkeys(gaps))
    shown = gaps if len(gaps) <= 6 else [*gaps[:6], f"and {len(gaps) - 6} more"]
    missing = f"No value: {'; '.join(shown)}." if gaps else ""
    if text := " ".join(filter(None, (missing, remark))):
        # About 15 characters of this size fit into one inch.
        text = textwrap.fill(text, int(15 * figure.get_figwidth()))
        figure.supxlabel(text, fontsize=8, color=GREY, x=0.01, ha="left")


def name_systems(axes: Axes, systems: list[str]) -> None:
    """Put one system at each whole number of the horizontal axis; many names are slanted."""
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(systems)), systems, **(slanted if len(systems) > 8 else {}))
    axes.set_xlim(-0.5, len(systems) - 0.5)


def series_look(number: int) -> tuple[str, str, str]:
    """Return colour, marker and line style of a series; they repeat after 24 series."""
    again, colour = divmod(number, len(SERIES_COLOURS))
    marker = SERIES_MARKERS[again % len(SERIES_MARKERS)]
    return SERIES_COLOURS[colour], marker, SERIES_LINES[again % len(SERIES_LINES)]


def draw_errors(
    axes: Axes,
    x: Sequence[float] | np.ndarray,
    difference: Sequence[float] | np.ndarray,
    error: Sequence[float] | np.ndarray,
    look: tuple[str, str, str],
    label: str,
    joined: bool = False,
) -> None:
    """Draw absolute differences on a logarithmic axis; open markers are below zero.

    `x`, the signed differences and their standard errors are (n,); `look` is a result of
    `series_look`. A line joins the points if `joined`.
    """
    colour, marker, line = look
    size, bar = np.abs(difference), np.asarray(error, float)
    # A bar that reaches below zero has no end on a logarithmic axis: it ends at a hundredth.
    lower = np.minimum(bar, 0.99 * size)
    if joined:
        axes.plot(x, size, line, color=colour, zorder=1.5)
    for below in (False, True):
        chosen = (np.asarray(difference) < 0) == below
        axes.errorbar(
            np.asarray(x, float)[chosen],
            size[chosen],
            yerr=[lower[chosen], bar[chosen]],
            fmt=marker,
            color=colour,
            markerfacecolor="white" if below else colour,
            label=None if below else label,
        )


def shade_accuracy(axes: Axes, bottom: float) -> None:
    """Shade what is within chemical accuracy, from the new bottom of a logarithmic axis in mEh."""
    top = axes.get_ylim()[1]
    axes.axhspan(bottom, CHEMICAL_ACCURACY_MEH, color=GREEN, alpha=0.10, linewidth=0)
    axes.set_ylim(bottom, max(top, 1.5 * CHEMICAL_ACCURACY_MEH))


def plain_log_axis(axis: Axis) -> None:
    """Label the ticks of a finished logarithmic axis with plain numbers: 0.5, 1, 2, 5, 10."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def empty_figure(text: str, gaps: list[str] | None = None) -> Figure:
    """Return a figure that states why it is empty."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    annotate_empty(figure.subplots(), text)
    annotate_missing(figure, gaps or [])
    return figure


def annotate_empty(axes: Axes, text: str) -> None:
    """Write into empty axes why they are empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
