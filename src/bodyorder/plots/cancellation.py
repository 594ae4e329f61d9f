"""How errors of orders cancel each other. Takes what the analyses give and draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bodyorder.plots.style import panels, plain_ticks, styled

#: Size of a panel in inches, and how many stand in a row at most.
_SIZE, _MOST_COLUMNS = (2.6, 2.6), 4

#: Colours of correlations from −1 to 1, and of those that are not known.
_COLOURS, _UNKNOWN = "RdBu_r", "#d9d9d9"


@styled
def cancellation_figure(correlations: Mapping[str, xr.DataArray]) -> Figure:
    """How the errors of the orders of sources go with each other, a panel for each source.

    :param correlations: by name of the source ``error_correlation`` of :func:`bodyorder.analysis.error_cancellation` in a group,
        of the orders that are drawn; dims (order, other_order)
    :return: Pearson's r of the errors of two orders; grey where there is none
    """
    n_columns = min(len(correlations), _MOST_COLUMNS)
    figure, axes = panels(len(correlations), n_columns, _SIZE, sharex=True, sharey=True)
    for place, (axis, (name, held)) in enumerate(zip(axes, correlations.items(), strict=True)):
        values, orders = held.transpose("order", "other_order").values, held["order"].values
        axis.set_facecolor(_UNKNOWN)
        mesh = axis.pcolormesh(orders, orders, np.ma.masked_invalid(values), cmap=_COLOURS, vmin=-1, vmax=1)
        axis.set_xticks(orders)
        axis.set_yticks(orders)
        axis.grid(visible=False)
        axis.set_title(name, fontsize=9.5)
        if place + n_columns >= len(axes):
            axis.set_xlabel("body order $n$")
            axis.tick_params(labelbottom=True)
        axis.set_ylabel("" if place % n_columns else "body order $m$")
    bar = figure.colorbar(mesh, ax=axes, aspect=14 * -(-len(correlations) // n_columns), pad=0.015)
    bar.set_label("correlation $r$ of errors")
    bar.set_ticks([-1, -0.5, 0, 0.5, 1])
    plain_ticks(bar.ax)
    return figure
