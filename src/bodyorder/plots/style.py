"""One look for all figures: a colour and a marker for each source, labels from the table of variables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, SymmetricalLogLocator

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import UNGROUPED
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

#: Values that span fewer decades than this stand on a linear axis.
_LINEAR_DECADES = 2

#: A logarithmic axis that spans less than this factor is labelled at 2 and 5 as well.
_FEW_DECADES = 100.0

#: Widths in inches of a letter of a legend, and of what stands before a name.
_LETTER_WIDTH, _HANDLE_WIDTH = 0.085, 0.6

_MOST_COLUMNS = 6

#: Settings of matplotlib in which figures are drawn and written.
RC: Any = {
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

    @staticmethod
    def body_of(results: xr.Dataset) -> str:
        """What a body of results is called."""
        return "atom" if results.attrs.get("bodies", "atoms") == "atoms" else "body"

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
        with matplotlib.rc_context(RC):
            return draw(*arguments, **options)

    return wrapped


@contextmanager
def look(ax: Axes | None) -> Iterator[None]:
    """The look in which to draw on given axes, which keep theirs, or on new ones."""
    changed = {} if ax is not None else RC
    before = {name: matplotlib.rcParams[name] for name in changed}
    matplotlib.rcParams.update(changed)
    try:
        yield
    finally:
        # Nothing else: the first figure of a notebook makes it show all of them, which `rc_context` would undo.
        matplotlib.rcParams.update(before)


def on_axes(ax: Axes | None, size: tuple[float, float] = (5.6, 3.8)) -> Axes:
    """The given axes, or those of a new figure of pyplot, which notebooks show by themselves.

    :raises InputError: if something else is given
    """
    if ax is not None and not isinstance(ax, Axes):
        raise InputError(
            f"`ax` must be axes of matplotlib, got {type(ax).__name__}; give one of them, such as figure.axes[0]"
        )
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


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


def plain_number(value: float, _position: Any = None) -> str:
    """A tick label without powers of ten: −0.01, 1, 20."""
    return f"{value:.6f}".rstrip("0").rstrip(".").replace("-", "−") if value else "0"


def group_title(name: str) -> str:
    """A group by its name; empty if structures are not grouped."""
    return "" if name == UNGROUPED else name


def is_wide(values: np.ndarray) -> bool:
    """Whether values span so many decades that a linear axis would hide the small ones."""
    sizes = np.abs(values[np.isfinite(values) & (np.abs(values) > RESOLVED)])
    return len(sizes) > 0 and sizes.max() / sizes.min() > 10**_LINEAR_DECADES


def symmetric_logarithm(axis: Axes, values: np.ndarray) -> None:
    """An energy axis that is logarithmic on both sides of zero, and linear where nothing matters."""
    axis.set_yscale("symlog", linthresh=RESOLVED, linscale=0.7)
    axis.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=RESOLVED))
    axis.yaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=RESOLVED, subs=range(2, 10)))
    axis.tick_params(axis="y", which="minor", length=1.5)
    plain_ticks(axis)
    axis.axhspan(-RESOLVED, RESOLVED, color="#f2f2f2", zorder=0, linewidth=0)
    known = values[np.isfinite(values)]
    axis.set_ylim(min(2 * known.min(), -2 * RESOLVED), max(2 * known.max(), 2 * RESOLVED))


def shifts_of(n_sources: int) -> np.ndarray:
    """Small shifts along the order axis, so that sources do not hide each other."""
    return (np.arange(n_sources) - (n_sources - 1) / 2) * min(0.12, 0.6 / max(n_sources, 1))
