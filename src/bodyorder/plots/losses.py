"""Losses of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bodyorder.plots.style import Theme, panels, plain_ticks, styled


@styled
def loss_figure(curves: Mapping[str, Mapping[str, Any]], theme: Theme) -> Figure:
    """Loss against epoch for each trained model.

    :param curves: for each model ``epoch``, ``training`` and ``validation`` (a dataset or a mapping of sequences);
        ``validation`` may be missing
    """
    n_columns = min(len(curves), 3)
    figure, axes = panels(len(curves), n_columns, (10.4 / n_columns if n_columns > 1 else 6.0, 2.6), sharey=True)
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        colour = theme.sources[name].colour if name in theme.sources else "#333333"
        epochs = np.asarray(curve["epoch"])
        axis.plot(epochs, np.asarray(curve["training"]), color=colour, linestyle=":")
        if "validation" in curve:
            axis.plot(epochs, np.asarray(curve["validation"]), color=colour, linestyle="-")
        axis.set_yscale("log")
        plain_ticks(axis)
        axis.set_title(name, fontsize=9.5)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axis in axes[::n_columns]:
        axis.set_ylabel("loss")
    handles = [
        Line2D([], [], color="#333333", linestyle=":", label="training"),
        Line2D([], [], color="#333333", linestyle="-", label="validation"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure
