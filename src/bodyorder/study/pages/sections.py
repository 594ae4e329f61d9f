"""Sections of the page of a study: what models learnt, why few bodies suffice, two and three atoms, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from bodyorder.analysis.curves import pair_wells
from bodyorder.analysis.nominal import EQUAL, HIGHER, LOST, LOWER
from bodyorder.analysis.trainings import FOLLOWED, followed_orders
from bodyorder.plots.cancellation import cancellation_figure
from bodyorder.plots.curves import pair_curve_figure, triple_map_figure
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.style import Theme, group_title
from bodyorder.plots.terms import term_figure
from bodyorder.report.numbers import MISSING, power_of_ten, with_spread
from bodyorder.report.section import Picture, Section
from bodyorder.report.table import Table
from bodyorder.report.words import words
from bodyorder.study.pages import environment as surroundings
from bodyorder.study.pages import figures
from bodyorder.study.pages.environment import SHARED, Environment
from bodyorder.study.pages.trainings import Trainings, frame_of, label, seed_frame

#: Figures of functions at most, each of one combination of elements.
_MOST_FIGURES = 6


@dataclass(frozen=True)
class CurveSet:
    """Two-body curves, or three-body maps, that are shown in one figure.

    :param training_set: training set of the models among them, None if they were trained already
    :param curves: of :func:`bodyorder.analysis.curves.combine_curves`, with a reference
    :param density: distances of the pairs that the models were trained on, of
        :func:`bodyorder.analysis.curves.distance_density`; for curves only
    """

    training_set: str | None
    curves: xr.Dataset
    density: xr.Dataset | None = None


def study_sections(
    table: xr.Dataset,
    distilled: xr.Dataset | None,
    curves: Sequence[CurveSet] = (),
    losses: Mapping[str, xr.Dataset | None] | None = None,
    body: str = "atom",
) -> list[Section]:
    """All sections that a study has beside those of any results; what nothing is known of is left out.

    :param table: of :func:`bodyorder.study.measures.run_table`
    :param distilled: of :meth:`bodyorder.study.distillation.Distillation.table`
    :param curves: what models and the reference say of two atoms and of three
    :param losses: loss history of each model, see :mod:`bodyorder.training.loss_history`; None for one that has none
    :param body: what a body is called
    """
    trainings = Trainings.of(table, body)
    known = Environment(trainings, distilled)
    found = [
        _generalization(trainings) if trainings.knows("total_rmse") else None,
        _orders(trainings) if trainings.drawn and trainings.knows("order_rmse") else None,
        _environment(known) if len(known.ways) > 1 or SHARED in known.ways else None,
        _curves(curves, trainings) if curves else None,
        _training({name: held for name, held in (losses or {}).items() if held is not None}, trainings),
    ]
    return [section for section in found if section is not None]


def _words(name: str, **values: Any) -> Markup:
    return words("study.html", name, package="bodyorder.study.pages", **values)


def _picture(name: str, figure: Figure, caption: str, /, **values: Any) -> Picture:
    """A figure whose caption is a macro of the templates; the tables of its section hold its numbers."""
    text = _words(caption, **values)
    return Picture(name, figure, f"{text.striptags()} The tables below hold the numbers.", text)


def _tables(
    trainings: Trainings, names: Mapping[str, str], scale: float = 1.0, groups: Sequence[str] = ()
) -> list[Table]:
    """Tables of measures that are known: their names, and the dimension that is laid out in columns; see :func:`seed_frame`."""
    means = trainings.whole.sel(group=list(groups)) if groups else trainings.whole
    found = []
    for name, columns in names.items():
        if trainings.knows(name):
            own = trainings.reference.get(name)
            known = {} if own is None or own.ndim != 1 else own.dropna(columns).to_series().to_dict()
            said = [f"{group_title(str(key))} {with_spread(value)}".strip() for key, value in known.items()]
            values = {"body": trainings.theme.body, "spread": trainings.has_spread}
            note = f"{trainings.name}: {'; '.join(said)}" if said else ""
            found.append(
                Table(seed_frame(means, name, columns, scale), _words(f"{name}_table", **values), footnote=note)
            )
    return found


def _generalization(trainings: Trainings) -> Section:
    """Errors of energies and forces on clusters of every kind."""
    many = {"body": trainings.theme.body, "spread": trainings.has_spread}
    said = [_words("of_errors", best=best_errors(trainings), body=trainings.theme.body)]
    pictures = [_picture("generalization-errors", figures.error_figure(trainings), "errors", **many)]
    tables = _tables(trainings, {"total_rmse": "group", "force_rmse": "group"}, 1e3)
    if not trainings.means["whole"].all():
        pictures.append(_picture("generalization-learning", figures.learning_figure(trainings), "learning", **many))
        tables.append(Table(learning_frame(trainings), _words("learning_table", **many)))
    return Section("generalization", "What models have learnt", "errors by training set", said, pictures, tables)


def learning_frame(trainings: Trainings) -> pd.DataFrame:
    """Errors by number of training clusters: points of learning curves, and whole sets of the same name."""
    means, parts = trainings.means, {}
    curved = np.isin(means["training_set"].values, means["training_set"].values[~means["whole"].values.astype(bool)])
    for number in np.unique(means["n_clusters"].values[curved]):
        own = means.isel(training=curved & (means["n_clusters"].values == number))
        parts[str(number)] = seed_frame(own, "total_rmse", "group", 1e3).stack()
    frame = pd.concat(parts, axis=1).fillna(MISSING)
    frame.index.names = ["group", "model", "test clusters"]
    return frame


def best_errors(trainings: Trainings) -> list[dict[str, Any]]:
    """The model with the smallest error of energies in each group: of those trained on it, and of the others.

    :return: for each ``group``, where there are any ``own`` and ``other``: the error (meV per body) as text, and whose it is
    """
    found, sets = [], trainings.whole["training_set"].values
    for group in trainings.groups:
        part, mine = trainings.whole.sel(group=group), np.isin(sets, trainings.trained_on(group))
        best: dict[str, Any] = {"group": group_title(group)}
        for name, own in (("own", mine), ("other", ~mine & (sets != ""))):
            errors = np.where(own, part["total_rmse"].values, np.nan)
            if np.isfinite(errors).any():
                at = part.isel(training=int(np.nanargmin(errors)))
                error = with_spread(1e3 * float(at["total_rmse"]), 1e3 * float(at["total_rmse_spread"]))
                best[name] = {"error": error, "model": f"{at['model'].item()} {label(at['training_set'].item())}"}
        found.append(best)
    return found


def _orders(trainings: Trainings) -> Section:
    """Which orders models deduce, how their errors cancel, and whether models have the orders that they are built for."""
    all_drawn = len(trainings.drawn) == len(trainings.groups)
    many = {"body": trainings.theme.body, "spread": trainings.has_spread, "all_drawn": all_drawn}
    said = [_words("of_orders", share=FOLLOWED, found=followed(trainings))]
    drawing = figures.order_figure(trainings)
    pictures = [_picture("generalization-orders", drawing, "orders", source=trainings.name, **many)]
    tables = _tables(trainings, {"order_rmse": "order", "size_error": "size"}, groups=trainings.drawn)
    if trainings.knows("size_error"):
        pictures.append(_picture("generalization-sizes", figures.size_figure(trainings), "sizes", **many))
    if trainings.knows("cancellation"):
        training_set = ([name for name in trainings.sets if name] or [""])[-1]
        own = trainings.whole["cancellation"].isel(training=trainings.whole["training_set"].values == training_set)
        group = str(own.sel(group=trainings.drawn).median("training").fillna(np.inf).idxmin("group").item())
        said.append(_words("of_cancellation", found=cancellation(trainings)))
        orders = trainings.reference["group_contribution"].sel(group=group).dropna("order")["order"].values
        at = {"group": group, "order": orders, "other_order": orders}
        drawing = cancellation_figure(
            {model: held["error_correlation"].sel(at) for model, held in trainings.parts(training_set)}
        )
        values = {"group": group_title(group), "trained": label(training_set), "spread": trainings.has_spread}
        pictures.append(_picture("generalization-cancellation", drawing, "cancellation", **values))
        tables += _tables(trainings, {"cancellation": "group"}, groups=trainings.complete)
    if trainings.knows("highest_order"):
        explicit = trainings.runs["explicit"].values.astype(bool)
        said.append(_words("of_nominal", found=_verdicts(trainings.runs.isel(run=explicit))))
        tables.append(Table(nominal_frame(trainings), _words("nominal_table")))
    tables += _tables(trainings, dict.fromkeys(("group_body_order", "group_alternation", "group_decay"), "group"))
    return Section("learnt-orders", "Orders that models deduce", "against the reference", said, pictures, tables)


def followed(trainings: Trainings) -> list[dict[str, Any]]:
    """For each group that is drawn the last order that any model follows the reference to, and which models do."""
    orders, found = followed_orders(trainings.whole, trainings.reference), []
    for group in trainings.drawn:
        own = orders.sel(group=group).dropna("training")
        if own.sizes["training"]:
            best = own.isel(training=(own == own.max()).values)
            names = [f"{m} {label(t)}" for m, t in zip(best["model"].values, best["training_set"].values, strict=True)]
            count = own.sizes["training"]
            found.append({"group": group_title(group), "order": int(own.max()), "models": names, "count": count})
    return found


def cancellation(trainings: Trainings) -> list[dict[str, Any]]:
    """For each group that is drawn the range of κ in models that are trained on it, and that of a constant."""
    found, measured = [], trainings.whole["cancellation"]
    for group in trainings.drawn:
        own = np.isin(trainings.whole["training_set"].values, trainings.trained_on(group))
        values = np.where(own, measured.sel(group=group).values, np.nan)
        constant = trainings.runs["constant_cancellation"].sel(group=group).max()
        if np.isfinite(values).any():
            span = {"least": float(np.nanmin(values)), "most": float(np.nanmax(values))}
            found.append({"group": group_title(group), "constant": float(constant)} | span)
    return found


def nominal_frame(trainings: Trainings) -> pd.DataFrame:
    """The body order that each model is built for, the highest that is found, and what is above the first."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for model in trainings.models:
        own = trainings.runs.isel(run=trainings.runs["model"].values == model)
        found = own["highest_order"].sel(group=trainings.complete or trainings.groups).values
        orders = (
            [f"{value:g}" for value in np.unique(found[np.isfinite(found)])[[0, -1]]]
            if np.isfinite(found).any()
            else []
        )
        nominal, above = float(own["nominal_order"].values[0]), own["beyond_nominal"].values.ravel()
        rows[model,] = {
            "construction": "explicit" if bool(own["explicit"].values[0]) else "implicit",
            "nominal": f"{nominal:g}" if np.isfinite(nominal) else "none",
            "highest found": " to ".join(dict.fromkeys(orders)) or MISSING,
            "verdict (cases)": "; ".join(f"{name} ({count})" for name, count in _verdicts(own).items()) or MISSING,
        }
        if np.isfinite(above).any():
            worst = int(np.nanargmax(above))
            limit = own["beyond_threshold"].values.ravel()[worst]
            rows[model,] |= {
                "above nominal (eV)": power_of_ten(float(above[worst])),
                "τ (eV)": power_of_ten(float(limit)),
            }
    return frame_of(rows, "model")


def _verdicts(runs: xr.Dataset) -> dict[str, int]:
    """How many cases there are of each verdict on a nominal order."""
    found = runs["nominal_verdict"].values.ravel().tolist()
    return {verdict: found.count(verdict) for verdict in (EQUAL, LOWER, LOST, HIGHER) if verdict in found}


def _environment(known: Environment) -> Section:
    """Orders in vacuum, in their environment, and shared by all clusters."""
    models = any(row.models is not None for row in known.rows)
    many = {"source": known.name, "body": known.theme.body, "ways": known.ways, "models": models}
    said = [_words("of_environment", found=surroundings.said(known), **many)]
    pictures = [_picture("environment-orders", surroundings.order_figure(known), "environment", **many)]
    sizes = surroundings.parameters(known)
    tables = [Table(surroundings.order_frame(known), _words("environment_table", parameters=sizes, **many))]
    if SHARED in known.ways:
        tables.append(Table(surroundings.distilled_frame(known), _words("distilled_table", **many)))
    kinds = list(dict.fromkeys(kind for _, kind in known.functions))
    if sum(kind.count("-") == 1 for kind in kinds) < 2:  # of one element: all in one figure
        kinds = ["-"] if kinds else []
    for place, kind in enumerate(kinds[:_MOST_FIGURES]):
        functions = [held for held in known.functions if kind in ("-", held[1])]
        drawing = term_figure(known.terms, known.name, functions, known.theme)
        pictures.append(_picture(f"environment-functions{place}", drawing, "functions", **many))
    if kinds:
        tables.append(Table(surroundings.function_frame(known), _words("function_table", **many)))
    return Section("environment", "Why few bodies suffice", "orders in their environment", said, pictures, tables)


def _curves(sets: Sequence[CurveSet], trainings: Trainings) -> Section:
    """Two atoms alone, and three."""
    names = list(dict.fromkeys(str(name) for held in sets for name in held.curves["source"].values))
    theme = Theme.of(names, sets[0].curves.attrs["reference"])
    pictures: list[Picture] = []
    for held in sets:
        kind, about = "triples", {"trained": held.training_set, "source": held.curves.attrs["reference"]}
        if pair := "distance" in held.curves.dims:
            kind, wells = "pairs", pair_wells(held.curves)["well_depth"].to_series().to_dict()
            about |= {"wells": wells, "density": held.density is not None}
        drawing = pair_curve_figure(held.curves, held.density, theme) if pair else triple_map_figure(held.curves)
        place = sum(picture.name.startswith(kind) for picture in pictures)
        pictures.append(replace(_picture(f"{kind}{place}", drawing, f"curves_of_{kind}", **about), recoloured=pair))
    dims = {"well_depth": "pair", "well_distance": "pair", "pair_training_rms": "pair", "triple_rms": "angle"}
    return Section("curves", "Two atoms, three atoms", "against the reference", [], pictures, _tables(trainings, dims))


def _training(losses: Mapping[str, xr.Dataset], trainings: Trainings) -> Section | None:
    if not losses:
        return None
    names = {"training_loss": "training", "validation_loss": "validation"}
    curves: dict[str, Any] = {name: held.rename(names) for name, held in losses.items()}
    drawing = loss_figure(curves, trainings.theme)
    return Section("training", "Training", "losses by epoch", [], [_picture("losses", drawing, "losses")])
