"""Energies of isolated atoms."""

from __future__ import annotations

import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bodyorder.plots.style import Theme, panels, styled


@styled
def one_body_figure(energies: xr.DataArray, reference: str | None, theme: Theme) -> Figure:
    """Energy of an isolated atom in every source, a panel for each element.

    :param energies: of :func:`bodyorder.analysis.one_body_energies`
    :param reference: source whose energy is drawn as a line, and from which deviations are given
    """
    elements = energies["element"].values
    names = list(theme.sources)
    n_columns = min(len(elements), 2)
    figure, axes = panels(len(elements), n_columns, (8.4 / n_columns + 1.6, 0.34 * len(names) + 1.1), sharey=True)
    for axis, element in zip(axes, elements, strict=True):
        values = energies.sel(element=element)
        truth = np.nan if reference is None else float(values.sel(source=reference))
        if np.isfinite(truth):
            axis.axvline(truth, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        for place, name in enumerate(names):
            value = float(values.sel(source=name))
            if np.isfinite(value):
                axis.plot([value], [place], **theme.sources[name].line(linestyle="none", markersize=7))
                text = f"{value:.3f}" + (f" ({value - truth:+.3f})" if name != reference and np.isfinite(truth) else "")
                axis.annotate(
                    text.replace("-", "−"), (value, place), (8, 0), textcoords="offset points",
                    verticalalignment="center", fontsize=8.5,
                )  # fmt: skip
        known = values.values[np.isfinite(values.values)]
        if len(known):
            width = max(float(np.ptp(known)), 0.1)
            middle = (known.min() + known.max()) / 2
            axis.set_xlim(middle - 0.65 * width, middle + 0.85 * width)
        axis.set_title(chemical_symbols[int(element)])
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel(theme.axis("one_body_energy"))
    return figure
