"""One look for all figures: a colour and a marker for each source, labels from the table of variables, figures as SVG."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bodyorder.report.wording import plain_number
from bodyorder.results.variables import VARIABLES

Arguments = ParamSpec("Arguments")

#: Colours that people with any common colour blindness can tell apart: M. Okabe and K. Ito, "Color Universal Design"
#: (2008), without its yellow, which is too pale for lines; then two of P. Tol's "muted" scheme.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))

#: Smallest energy (eV per body) that an axis resolves. Below it nothing matters to any use of the energies.
RESOLVED = 1e-3

_REFERENCE_COLOUR = "#000000"

#: A logarithmic axis that spans less than this factor is labelled at 2 and 5 as well.
_FEW_DECADES = 100.0

#: Widths in inches of a letter of a legend, and of what stands before a name.
_LETTER_WIDTH, _HANDLE_WIDTH = 0.085, 0.6

_MOST_COLUMNS = 6

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#333333",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.0,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "svg.fonttype": "path",
    "svg.hashsalt": "bodyorder",
}


@dataclass(frozen=True)
class SourceStyle:
    """How one source is drawn."""

    colour: str
    marker: str
    dash: Any

    def line(self, **changes: Any) -> dict[str, Any]:
        """Keyword arguments for a line with markers."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.dash} | changes


@dataclass(frozen=True)
class Theme:
    """What all figures of a report share.

    :param sources: how each source is drawn, in the order of the legend
    :param body: what a body is called: "atom" or "body"
    """

    sources: Mapping[str, SourceStyle]
    body: str = "atom"

    @classmethod
    def of(cls, names: Sequence[str], reference: str | None = None, body: str = "atom") -> Theme:
        """A theme for the sources called ``names``; the reference is black, the others keep their colour by their order."""
        others = [name for name in names if name != reference]
        styles = {
            name: SourceStyle(
                COLOURS[index % len(COLOURS)],
                MARKERS[index % len(MARKERS)],
                DASHES[index // len(COLOURS) % len(DASHES)],
            )
            for index, name in enumerate(others)
        }
        if reference is not None:
            styles = {reference: SourceStyle(_REFERENCE_COLOUR, "o", "-")} | styles
        return cls(styles, body)

    def only(self, names: Collection[str]) -> Theme:
        """The same look of some sources alone."""
        return Theme({name: style for name, style in self.sources.items() if name in names}, self.body)

    def unit(self, name: str) -> str:
        """Unit of a variable in words, energies per body being per atom where bodies are atoms."""
        return VARIABLES[name].unit.replace("/body", f" per {self.body}")

    def axis(self, name: str, symbol: str = "") -> str:
        """Axis label of a variable: its symbol and unit from the table."""
        return f"${symbol or VARIABLES[name].symbol}$  ({self.unit(name)})"

    def legend(self, figure: Figure, names: Sequence[str] | None = None) -> None:
        """One legend of the sources above all panels."""
        shown = [name for name in self.sources if names is None or name in names]
        handles = [Line2D([], [], label=name, **self.sources[name].line()) for name in shown]
        figure_legend(figure, handles)


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw a figure in the look of the report, whatever the user's settings of matplotlib are."""

    @functools.wraps(draw)
    def wrapped(*arguments: Arguments.args, **options: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(_RC):
            return draw(*arguments, **options)

    return wrapped


def panels(n_panels: int, n_columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, row by row.

    :param size: width and height of one panel in inches
    """
    n_rows = -(-n_panels // n_columns)
    figure = Figure(figsize=(size[0] * n_columns, size[1] * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, **options)
    axes = list(grid.ravel())
    for axis in axes[n_panels:]:
        axis.remove()
    return figure, axes[:n_panels]


def figure_legend(figure: Figure, handles: Sequence[Line2D | Patch]) -> None:
    """A legend above all panels, in as few rows as there is room for, and these of equal length."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    room = int(figure.get_figwidth() / (_HANDLE_WIDTH + _LETTER_WIDTH * longest))
    n_rows = -(-len(handles) // max(1, min(_MOST_COLUMNS, room)))
    figure.legend(handles=handles, loc="outside upper left", ncols=-(-len(handles) // n_rows))


def order_axis(axis: Axes, orders: np.ndarray) -> None:
    """Ticks at the orders only."""
    axis.set_xticks(list(orders))
    axis.set_xlim(orders.min() - 0.5, orders.max() + 0.5)
    axis.grid(visible=False, axis="x")
    axis.set_xlabel("body order $n$")


def logarithmic(axes: Sequence[Axes], low: float, high: float) -> None:
    """A logarithmic axis with plain decimals at powers of ten, and at 2 and 5 as well if it spans few of them."""
    subs = (1.0, 2.0, 5.0) if high / low < _FEW_DECADES else (1.0,)
    for axis in axes:
        axis.set_yscale("log")
        axis.set_ylim(low, high)
        axis.yaxis.set_major_locator(LogLocator(subs=subs))
        axis.yaxis.set_minor_formatter(NullFormatter())
        plain_ticks(axis)


def plain_ticks(axis: Axes, which: str = "y") -> None:
    """Plain decimals on an axis."""
    (axis.yaxis if which == "y" else axis.xaxis).set_major_formatter(FuncFormatter(plain_number))


#: Width of a figure in the page, at most and for every inch (root em).
_WIDEST, _REM_PER_INCH = 70.0, 6.75


def render_svg(figure: Figure, name: str, description: str) -> str:
    """A figure as an SVG element for a page that holds several.

    :param name: prefix that keeps the ids of this figure apart from those of others
    :param description: what the figure shows, for those who cannot see it
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(_RC):
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    text = buffer.getvalue()
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL).strip()
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    opening, rest = text.split(">", 1)
    opening = re.sub(r'\s(width|height|version)="[^"]*"', "", opening)
    # text of one size in all figures, and none wider than the page
    width = min(_WIDEST, _REM_PER_INCH * figure.get_figwidth())
    return f'{opening} style="max-width: {width:.0f}rem" role="img" aria-label="{escape(description)}">{rest}'


def render_png(figure: Figure, resolution: int = 110) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_RC):
        figure.savefig(buffer, format="png", dpi=resolution)
    return buffer.getvalue()
