"""Look of the figures, and how they become files.

Colours are those of Okabe and Ito, which colour-blind readers can distinguish. The same data give
the same bytes: files have no date, and the identifiers in SVG come from a fixed salt.
"""

import io
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

from ferminet.errors import InputError

# M. Okabe, K. Ito, "Color Universal Design" (2008).
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#666666"
PALETTE = {
    "black": BLACK,
    "orange": ORANGE,
    "sky": SKY,
    "green": GREEN,
    "yellow": YELLOW,
    "blue": BLUE,
    "vermilion": VERMILION,
    "purple": PURPLE,
    "grey": GREY,
}
# Of our own series; orange is coupled cluster's and vermilion the paper's.
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
    """Draw in the look of this project, whatever the user's matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def render(figure: Figure, format: str, dpi: int = 150) -> bytes:
    """Return a figure as a file's bytes, the same for the same data.

    Args:
        figure: a figure.
        format: png or svg.
        dpi: dots per inch of PNG.

    Raises:
        InputError: another format.
    """
    if format not in FIGURE_FORMATS:
        raise InputError(f"A figure is written as {' or '.join(FIGURE_FORMATS)}, got {format!r}.")
    metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    sink = io.BytesIO()
    with style():
        figure.savefig(sink, format=format, dpi=dpi, metadata=metadata)
    return sink.getvalue()


def annotate_missing(figure: Figure, gaps: list[str], remark: str = "") -> None:
    """Write below a figure which values are missing, wrapped to its width.

    Args:
        figure: the figure.
        gaps: what is missing and why, one phrase each.
        remark: a sentence of its own.
    """
    gaps = list(dict.fromkeys(gaps))
    shown = gaps if len(gaps) <= 6 else [*gaps[:6], f"and {len(gaps) - 6} more"]
    sentences = [
        *([f"No value: {'; '.join(shown)}."] if gaps else []),
        *([remark] if remark else []),
    ]
    if sentences:
        # About 15 characters of this size fit into one inch.
        text = textwrap.fill(" ".join(sentences), int(15 * figure.get_figwidth()))
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

    Args:
        axes: the axes to draw in.
        x: horizontal positions, (n,).
        difference: signed differences, (n,).
        error: their standard errors, (n,).
        look: colour, marker and line style.
        label: for the legend.
        joined: whether a line joins the points.
    """
    colour, marker, line = look
    size, bar = np.abs(difference), np.asarray(error, float)
    # A bar that reaches below zero has no end on a logarithmic axis: it is drawn to a hundredth.
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


def plain_log_axis(axis: Axis) -> None:
    """Label the ticks of a finished logarithmic axis with plain numbers: 0.5, 1, 2, 5, 10."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def annotate_empty(axes: Axes, text: str) -> None:
    """Write into empty axes why they are empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
