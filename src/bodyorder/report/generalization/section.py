"""What the section shows: figures, tables and sentences on a grid of trained models, in their order."""

from __future__ import annotations

from collections import Counter

import xarray as xr

from bodyorder.plots.style import Theme
from bodyorder.report.generalization import captions, figures, order_text, tables, text
from bodyorder.report.generalization.trainings import Trainings
from bodyorder.report.parts import Part


def generalization_parts(table: xr.Dataset | None, theme: Theme) -> list[Part]:
    """Everything that is shown, part by part; a part of which nothing is known is left out.

    :param table: measures of a grid of trainings, one cell for each and one for the reference, as a study writes it: see
        ``bodyorder.study.measures.cell_table``
    :param theme: of the report; models have looks of their own, since they are no sources but trained on several sets
    """
    trainings = None if table is None else Trainings.of(table, theme.body)
    if trainings is None:
        return []
    parts = (_errors, _learning, _orders, _cancellation, _sizes, _nominal)
    return [part for make in parts if (part := make(trainings))]


def _errors(trainings: Trainings) -> Part | None:
    if not trainings.knows("total_rmse"):
        return None
    held = [tables.energy_table(trainings)]
    if trainings.knows("force_rmse"):
        held.append(tables.force_table(trainings))
    drawn = figures.error_figure(trainings)
    shown = [("generalization-errors", drawn, *captions.errors(trainings))]
    return Part("Errors on clusters of every kind", text.of_errors(trainings), shown, held)


def _learning(trainings: Trainings) -> Part | None:
    if not trainings.curve_training_sets or not trainings.knows("total_rmse"):
        return None
    drawn = figures.learning_figure(trainings)
    shown = [("generalization-learning", drawn, *captions.learning(trainings))]
    return Part("Learning curves", text.of_learning(trainings), shown, [tables.learning_table(trainings)])


def _orders(trainings: Trainings) -> Part | None:
    if not trainings.drawn or not trainings.knows("order_rmse"):
        return None
    drawn = figures.order_figure(trainings)
    held = tables.order_table(trainings, _largest(trainings.means["order_rmse"], trainings.drawn))
    shown = [("generalization-orders", drawn, *captions.orders(trainings))]
    return Part("Orders that models deduce", order_text.of_orders(trainings), shown, [held])


def _cancellation(trainings: Trainings) -> Part | None:
    if not trainings.complete or not trainings.knows("cancellation"):
        return None
    if not trainings.knows("error_correlation"):
        return Part("How errors of orders cancel", [], [], [tables.cancellation_table(trainings)])
    counts = Counter(training.training_set for training, _ in trainings.parts())
    # the last of those with most models
    training_set = max(reversed(trainings.training_sets), key=lambda name: (bool(name), counts[name]))
    own = trainings.means["training_set"].values == training_set
    group = _largest(-trainings.means["cancellation"].isel(training=own), trainings.drawn)
    drawn = figures.cancellation_figure(trainings, training_set, group)
    said = order_text.of_cancellation(trainings, training_set, group)
    shown = [("generalization-cancellation", drawn, *captions.cancellation(trainings, training_set, group))]
    return Part("How errors of orders cancel", said, shown, [tables.cancellation_table(trainings)])


def _sizes(trainings: Trainings) -> Part | None:
    if not trainings.drawn or not trainings.knows("size_error"):
        return None
    shown = [("generalization-sizes", figures.size_figure(trainings), *captions.sizes(trainings))]
    return Part("Errors by size of sub-cluster", text.of_sizes(trainings), shown, [])


def _nominal(trainings: Trainings) -> Part | None:
    said, held = [], []
    if trainings.knows("highest_order"):
        said += order_text.of_nominal(trainings)
        held.append(tables.nominal_table(trainings))
    if trainings.knows("group_body_order"):
        said += order_text.of_effective(trainings)
    held += tables.effective_tables(trainings)
    return Part("Nominal and effective orders", said, [], held) if held else None


def _largest(values: xr.DataArray, groups: list[str]) -> str:
    """The group in which a measure is largest, by the median over trainings of its largest value."""
    own = values.sel(group=groups)
    others = [dim for dim in own.dims if dim not in ("training", "group")]
    typical = own.max(others).median("training")
    return str(typical.idxmax("group").item()) if bool(typical.notnull().any()) else groups[0]
