"""Captions of the figures: what is seen, how it is defined, in which unit; and descriptions for those who cannot see it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from bodyorder.plots.style import RESOLVED, Theme
from bodyorder.report.wording import energy, group_title

_ORDER_TOTAL = "<i>E</i><sup>(<i>n</i>)</sup>"
_TRUNCATION = "<i>E</i><sup>≤<i>n</i></sup>"


def orders(convergence: xr.Dataset, theme: Theme) -> tuple[str, str]:
    """Description and caption of the order totals."""
    totals = convergence["group_contribution"]
    parts = []
    for group in totals["group"].values:
        values = totals.sel(group=group)
        if bool(values.notnull().any()):
            low, high = energy(float(values.min()), theme.body), energy(float(values.max()), theme.body)
            parts.append(f"{group_title(str(group)) or 'All structures'}: from {low} to {high}.")
    description = f"Order totals of {_names(theme)} against body order {_orders(convergence)}. {' '.join(parts)}"
    bars = " Bars: standard deviation over structures." if int(convergence["group_size"].max()) > 1 else ""
    caption = (
        f"Order totals {_ORDER_TOTAL}/<i>N</i>, means over the structures of a group, in eV per {theme.body}."
        f"{bars} Bands around zero: up to twice the noise (1σ) of each source. Where the totals span decades, the axis is "
        f"logarithmic, and linear in the grey strip within ±{RESOLVED:g} eV; lines only guide the eye."
    )
    return description, caption


def truncation(convergence: xr.Dataset, theme: Theme) -> tuple[str, str]:
    """Description and caption of the truncation errors."""
    parts = []
    for group in convergence["group"].values:
        for source in convergence["source"].values:
            errors = convergence["group_truncation_error"].sel(group=group, source=source)
            if bool(errors.notnull().any()):
                worst = energy(float(errors.max()), theme.body)
                title = group_title(str(group)) or "All structures"
                parts.append(f"{title}, {source}: largest {worst} at order {int(errors.idxmax())}.")
    description = f"Truncation error against order {_orders(convergence)}. {' '.join(parts)}"
    tolerance = f"{1e3 * convergence.attrs['tolerance']:g} meV per {theme.body}"
    caption = (
        f"Error of the expansion cut off at order <i>n</i>: root mean square of (<i>E</i> − {_TRUNCATION})/<i>N</i> over the "
        f"structures of a group, in eV per {theme.body}. Dashed: {tolerance}. Shaded: up to twice the noise of the sum. Open "
        f"triangles: below the axis; the complete expansion is exact."
    )
    return description, caption


def scatter(results: xr.Dataset, comparison: xr.Dataset, group: str) -> tuple[str, str]:
    """Description and caption of the scatter of one group."""
    reference = comparison.attrs["reference"]
    by_subset = "subset_contribution" in results
    what = (
        "contributions ε(<i>S</i>) of single subsets" if by_subset else f"totals {_ORDER_TOTAL}/<i>N</i> of structures"
    )
    score = comparison["subset_rmse" if by_subset else "order_rmse"].sel(group=group)
    parts = []
    for source in comparison["source"].values:
        values = score.sel(source=source).values
        if source != reference and np.isfinite(values).any():
            listed = ", ".join("unknown" if np.isnan(value) else f"{value:.3g} eV" for value in values)
            parts.append(f"{source}: {listed}.")
    title = group_title(group)
    description = (
        f"{title or 'All structures'}: {'subset contributions' if by_subset else 'order totals'} of each source against "
        f"{reference}, by order. RMSE of orders {_orders(comparison)}: {' '.join(parts)}"
    )
    caption = (
        f"{f'<b>{escape(title)}.</b> ' if title else ''}The {what}, order by order, against those of "
        f"{escape(reference)}; on the line they agree. Written in: root-mean-square deviation of each source in its "
        "colour. The unit of both axes stands above each panel."
    )
    return description, caption


def one_body(energies: xr.DataArray, reference: str | None) -> tuple[str, str]:
    """Description and caption of the energies of isolated atoms."""
    parts = [f"{source}: {', '.join(f'{value:.3f}' for value in energies.sel(source=source).values)}." for source in
             energies["source"].values]  # fmt: skip
    against = (
        f" Dashed, and in parentheses the deviation from it: {escape(reference)}." if reference is not None else ""
    )
    caption = (
        "Energy of an isolated atom in each source, in eV. A model that was not trained on single atoms need not have it "
        f"right: it enters order 1 only, and no interaction.{against}"
    )
    return f"Energies of isolated atoms in eV. {' '.join(parts)}", caption


def loss(curves: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Description and caption of the loss curves."""
    parts = []
    for name, curve in curves.items():
        parts.append(f"{name}: training loss from {_first(curve['training']):.3g} to {_last(curve['training']):.3g}.")
    caption = (
        "Loss during training, in the units of each model's own loss function: dotted on the training set, full on the "
        "validation set. A validation loss far above the training loss means that the model has learnt its training set by heart."
    )
    return f"Loss against epoch. {' '.join(parts)}", caption


def _first(values: Any) -> float:
    return float(np.asarray(values)[0])


def _last(values: Any) -> float:
    return float(np.asarray(values)[-1])


def _names(theme: Theme) -> str:
    return ", ".join(theme.sources)


def _orders(dataset: xr.Dataset) -> str:
    return f"{int(dataset['order'].min())} to {int(dataset['order'].max())}"
