"""Captions of the figures of what trained models have learnt, and descriptions for those who cannot see them."""

from __future__ import annotations

from html import escape

import numpy as np

from bodyorder.plots.style import RESOLVED
from bodyorder.report.generalization.trainings import Trainings, size_of_orders, whose
from bodyorder.report.wording import capitalized, energy, group_title, group_words


def errors(trainings: Trainings) -> tuple[str, str]:
    """Description and caption of the errors of energies."""
    parts = [text for group in trainings.groups if (text := _range(trainings, "total_rmse", group))]
    caption = (
        f"Errors of energies per {trainings.theme.body} on test clusters of every kind, by training set: root mean squares over "
        f"the structures of a group.{_bars(trainings)} Shaded: the training set has no such clusters."
    )
    return f"Errors of energies by training set. {' '.join(parts)}", caption


def learning(trainings: Trainings) -> tuple[str, str]:
    """Description and caption of the learning curves."""
    parts = []
    for training_set in trainings.curve_training_sets:
        for group in trainings.seen(training_set):
            for model in trainings.models:
                curve = trainings.curve(training_set, model)
                values = curve["total_rmse"].sel(group=group)
                if bool(values.notnull().any()):
                    listed = ", ".join(
                        f"{energy(float(value), trainings.theme.body)} from {int(size)}"
                        for value, size in zip(values.values, curve["n_clusters"].values, strict=True)
                        if np.isfinite(value)
                    )
                    parts.append(f"{capitalized(f'{group_words(group)}, {model}'.removeprefix(', '))}: {listed}.")
    caption = (
        f"Errors of energies per {trainings.theme.body} against the number of training clusters of each group, both axes "
        f"logarithmic.{_bars(trainings)}"
    )
    return f"Errors of energies by number of training clusters. {' '.join(parts)}", caption


def orders(trainings: Trainings) -> tuple[str, str]:
    """Description and caption of the order totals."""
    body = trainings.theme.body
    parts = []
    for group in trainings.drawn:
        size = size_of_orders(trainings.reference.sel(group=group))
        parts.append(f"{_title(group)}: the largest order of {trainings.name} is order {int(size.idxmax('order'))}.")
        parts.append(_range(trainings, "order_rmse", group, "errors of orders"))
    caption = (
        f"Order totals <i>E</i><sup>(<i>n</i>)</sup>/<i>N</i> of models and of {escape(trainings.name)} (black), means over the "
        f"structures of a group, in eV per {body}.{_bars(trainings)} Shaded panels: the training set has no such clusters. "
        f"Bands around zero: up to twice the noise (1σ) of each source. Where totals span decades, the axis is logarithmic, and "
        f"linear in the grey strip within ±{RESOLVED:g} eV.{_chosen(trainings)}"
    )
    return f"Order totals against body order, by training set. {' '.join(part for part in parts if part)}", caption


def cancellation(trainings: Trainings, training_set: str, group: str) -> tuple[str, str]:
    """Description and caption of the correlations of errors."""
    parts = []
    for training, held in trainings.parts([training_set]):
        values = held["error_correlation"].sel(group=group).transpose("order", "other_order").values
        near = np.diagonal(values, 1)
        if np.isfinite(near).any():
            low, high = (f"{value:.2f}".replace("-", "−") for value in (np.nanmin(near), np.nanmax(near)))
            parts.append(f"{training.model}: {low} to {high} between neighbouring orders.")
    where = f", {escape(group_words(group))}" if group_words(group) else ""
    caption = (
        f"Correlation (Pearson's <i>r</i>) of the errors of two orders over the structures of one group{where}, models "
        f"{escape(whose(training_set))}: blue where one undoes the other{', mean over seeds' if trainings.has_spread else ''}. "
        "Grey: errors that do not vary. Of the groups in the other figures, it is that in which errors cancel most."
    )
    return f"Correlations of errors of orders. {' '.join(parts)}", caption


def sizes(trainings: Trainings) -> tuple[str, str]:
    """Description and caption of the errors of sub-clusters."""
    parts = [_range(trainings, "size_error", group) for group in trainings.drawn]
    bodies = "atoms" if trainings.theme.body == "atom" else "bodies"
    caption = (
        f"Errors of the energies of sub-clusters per {trainings.theme.body} by their size, up to the whole clusters: root mean "
        f"squares over all sub-clusters of so many {bodies} in the structures of a group.{_bars(trainings)} Shaded panels: the "
        f"training set has no such clusters.{_chosen(trainings)}"
    )
    return f"Errors of sub-clusters by size. {' '.join(part for part in parts if part)}", caption


def _range(trainings: Trainings, name: str, group: str, what: str = "") -> str:
    """The smallest and the largest value of a measure in a group, and whose they are."""
    found: dict[str, list[float]] = {}
    for training, held in trainings.parts():
        values = held[name].sel(group=group).values.ravel()
        found.setdefault(whose(training.training_set), []).extend(values[np.isfinite(values)])
    body = trainings.theme.body
    listed = [
        f"{training_set}, {energy(min(values), body)} to {energy(max(values), body)}"
        for training_set, values in found.items()
        if values
    ]
    if not listed:
        return ""
    return f"{_title(group)}{f', {what}' if what else ''}: {'; '.join(listed)}."


def _bars(trainings: Trainings) -> str:
    return " Bars: standard deviation over seeds." if trainings.has_spread else ""


def _chosen(trainings: Trainings) -> str:
    """Which groups are shown, if not all."""
    if len(trainings.drawn) == len(trainings.groups):
        return ""
    return " Shown are groups of which all orders are known, two at most, and those that models were trained on first."


def _title(group: str) -> str:
    return group_title(group) or "All structures"
