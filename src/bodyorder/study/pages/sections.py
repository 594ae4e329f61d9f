"""Sections of the page of a study: what models learnt, why few bodies suffice, two and three atoms, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup
from matplotlib.figure import Figure

from bodyorder.analysis.curves import pair_wells
from bodyorder.analysis.nominal import EQUAL, HIGHER, LOST, LOWER
from bodyorder.analysis.trainings import FOLLOWED, followed_orders
from bodyorder.plots.curves import pair_curve_figure, triple_map_figure
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.style import Theme, group_title
from bodyorder.report.numbers import MISSING, power_of_ten, with_spread
from bodyorder.report.section import Picture, Section
from bodyorder.report.table import Table
from bodyorder.report.words import words
from bodyorder.study.pages import environment as surroundings
from bodyorder.study.pages import figures
from bodyorder.study.pages.environment import SHARED, Environment
from bodyorder.study.pages.trainings import Trainings, frame_of, label, seed_frame

#: Measures of convergence that have tables.
_CONVERGENCE = ("group_body_order", "group_alternation", "group_decay")


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
    """A figure whose caption is a macro of the templates; what it shows is in the tables of its section."""
    text = _words(caption, **values)
    return Picture(name, figure, Markup(text).striptags(), text)


def _generalization(trainings: Trainings) -> Section:
    """Errors of energies and forces on clusters of every kind."""
    said = {"seen": trainings.seen_anywhere, "best": best_errors(trainings), "body": trainings.theme.body}
    many = {"body": trainings.theme.body, "spread": bool((trainings.means["n_seeds"] > 1).any())}
    pictures = [_picture("generalization-errors", figures.error_figure(trainings), "errors", **many)]
    tables = [
        Table(seed_frame(trainings.whole, name, "group", 1e3), _words(f"{name}_table", **many))
        for name in ("total_rmse", "force_rmse")
        if trainings.knows(name)
    ]
    points = trainings.means.isel(training=~trainings.means["whole"].values.astype(bool))
    if points.sizes["training"]:
        pictures.append(_picture("generalization-learning", figures.learning_figure(trainings), "learning", **many))
        tables.append(_learning_table(trainings, points, many))
    return Section(
        "generalization",
        "What models have learnt",
        "errors by training set",
        [_words("of_errors", **said)],
        pictures,
        tables,
    )


def _learning_table(trainings: Trainings, points: xr.Dataset, many: Mapping[str, Any]) -> Table:
    """Errors by number of training clusters: points of learning curves, and whole sets of the same name."""
    own = np.isin(trainings.means["training_set"].values, points["training_set"].values)
    held = trainings.means.isel(training=own)
    parts = [
        seed_frame(held.isel(training=held["n_clusters"].values == number), "total_rmse", "group", 1e3).stack()
        for number in np.unique(held["n_clusters"].values)
    ]
    frame = pd.concat(parts, axis=1, keys=[str(number) for number in np.unique(held["n_clusters"].values)]).fillna(
        MISSING
    )
    frame.index.names = ["group", "model", "test clusters"]
    return Table(frame, _words("learning_table", **many))


def best_errors(trainings: Trainings) -> list[dict[str, Any]]:
    """The model with the smallest error of energies in each group: of those trained on it, and of the others.

    :return: for each ``group``, with ``own`` and ``other`` a text of the error (meV per body) and whose it is, None without any
    """
    found = []
    for group in trainings.groups:
        errors = trainings.whole["total_rmse"].sel(group=group)
        own = np.isin(trainings.whole["training_set"].values, trainings.trained_on(group))
        best: dict[str, Any] = {"group": group_title(group)}
        for name, mine in (("own", own), ("other", ~own & (trainings.whole["training_set"].values != ""))):
            part = errors.isel(training=mine).dropna("training")
            at = (
                None
                if not part.sizes["training"]
                else trainings.whole.sel(training=part.idxmin("training"), group=group)
            )
            best[name] = (
                None
                if at is None
                else {
                    "error": with_spread(1e3 * float(at["total_rmse"]), 1e3 * float(at["total_rmse_spread"])),
                    "model": f"{at['model'].item()} {label(at['training_set'].item())}",
                }
            )
        found.append(best)
    return found


def _orders(trainings: Trainings) -> Section:
    """Which orders models deduce, how their errors cancel, and whether models have the orders that they are built for."""
    many = {
        "body": trainings.theme.body, "source": trainings.name, "spread": bool((trainings.means["n_seeds"] > 1).any()),
        "all_drawn": len(trainings.drawn) == len(trainings.groups),
    }  # fmt: skip
    said = [_words("of_orders", share=FOLLOWED, found=followed(trainings))]
    pictures = [_picture("generalization-orders", figures.order_figure(trainings), "orders", **many)]
    drawn = trainings.whole.sel(group=trainings.drawn)
    tables = [Table(seed_frame(drawn, "order_rmse", "order"), _words("order_table", **many))]
    if trainings.knows("size_error"):
        pictures.append(_picture("generalization-sizes", figures.size_figure(trainings), "sizes", **many))
    if trainings.knows("cancellation"):
        training_set = ([name for name in trainings.sets if name] or [""])[-1]
        own = drawn["cancellation"].isel(training=drawn["training_set"].values == training_set)
        group = str(own.median("training").fillna(np.inf).idxmin("group").item())
        said.append(_words("of_cancellation", found=cancellation(trainings)))
        held = {"group": group_title(group), "trained": label(training_set)}
        drawing = figures.cancellation_figure(trainings, training_set, group)
        pictures.append(_picture("generalization-cancellation", drawing, "cancellation", **many, **held))
        frame = seed_frame(trainings.whole.sel(group=trainings.complete), "cancellation", "group")
        tables.append(Table(frame, _words("cancellation_table", found=cancellation(trainings), **many)))
    if trainings.knows("highest_order"):
        frame = nominal_frame(trainings)
        explicit = trainings.runs["explicit"].values.astype(bool)
        said.append(_words("of_nominal", found=_verdicts(trainings.runs.isel(run=explicit))))
        tables.append(Table(frame, _words("nominal_table")))
    tables += [
        Table(
            seed_frame(trainings.whole, name, "group"),
            _words(f"{name}_table", reference=_of_reference(trainings, name), **many),
        )
        for name in _CONVERGENCE
        if trainings.knows(name)
    ]
    return Section("learnt-orders", "Orders that models deduce", "against the reference", said, pictures, tables)


def followed(trainings: Trainings) -> list[dict[str, Any]]:
    """For each group that is drawn the last order that any model follows the reference to, and which models do."""
    orders = followed_orders(trainings.whole, trainings.reference)
    found = []
    for group in trainings.drawn:
        own = orders.sel(group=group)
        if bool(own.notnull().any()):
            best = own.isel(training=(own == own.max()).values)
            names = [f"{m} {label(t)}" for m, t in zip(best["model"].values, best["training_set"].values, strict=True)]
            found.append(
                {"group": group_title(group), "order": int(own.max()), "models": names, "count": own.sizes["training"]}
            )
    return found


def cancellation(trainings: Trainings) -> list[dict[str, Any]]:
    """For each group that is drawn the range of κ in models that are trained on it, and that of a constant."""
    found = []
    for group in trainings.drawn:
        own = np.isin(trainings.whole["training_set"].values, trainings.trained_on(group))
        values = trainings.whole["cancellation"].sel(group=group).values[own]
        constant = trainings.runs.get("constant_cancellation")
        known = np.nan if constant is None else float(constant.sel(group=group).max())
        if np.isfinite(values).any():
            span = (float(np.nanmin(values)), float(np.nanmax(values)))
            found.append({"group": group_title(group), "least": span[0], "most": span[1], "constant": known})
    return found


def nominal_frame(trainings: Trainings) -> pd.DataFrame:
    """The body order that each model is built for, the highest that is found, and what is above the first."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for model in trainings.models:
        own = trainings.runs.isel(run=trainings.runs["model"].values == model)
        found = own["highest_order"].sel(group=trainings.complete or trainings.groups).values
        nominal, above = float(own["nominal_order"].values[0]), own["beyond_nominal"].values.ravel()
        worst = int(np.nanargmax(above)) if np.isfinite(above).any() else None
        span = (
            sorted({f"{value:g}" for value in (np.nanmin(found), np.nanmax(found))})
            if np.isfinite(found).any()
            else [MISSING]
        )
        rows[model,] = {
            "construction": "explicit" if bool(own["explicit"].values[0]) else "implicit",
            "nominal": f"{nominal:g}" if np.isfinite(nominal) else "none",
            "highest found": " to ".join(span),
            "verdict (cases)": "; ".join(f"{name} ({count})" for name, count in _verdicts(own).items()) or MISSING,
            "above nominal (eV)": MISSING if worst is None else power_of_ten(float(above[worst])),
            "τ (eV)": MISSING if worst is None else power_of_ten(float(own["beyond_threshold"].values.ravel()[worst])),
        }
    return frame_of(rows, "model")


def _verdicts(runs: xr.Dataset) -> dict[str, int]:
    """How many cases there are of each verdict on a nominal order."""
    found = runs["nominal_verdict"].values.ravel().tolist()
    return {verdict: found.count(verdict) for verdict in (EQUAL, LOWER, LOST, HIGHER) if verdict in found}


def _of_reference(trainings: Trainings, name: str) -> list[str]:
    """A measure of the reference in each group, as text."""
    values = trainings.reference[name]
    return [
        f"{group_title(group)} {with_spread(float(values.sel(group=group)))}".strip()
        for group in trainings.groups
        if np.isfinite(values.sel(group=group))
    ]


def _environment(known: Environment) -> Section:
    """Orders in vacuum, in their environment, and shared by all clusters."""
    rows = [row for row in known.rows if row.models is not None or row.distilled is not None]
    many = {"source": known.name, "body": known.theme.body, "ways": known.ways, "models": bool(rows)}
    pictures = [_picture("environment-orders", surroundings.order_figure(known), "environment", **many)]
    sizes = surroundings.parameters(known)
    tables = [Table(surroundings.order_frame(known), _words("environment_table", parameters=sizes, **many))]
    if SHARED in known.ways:
        tables.append(Table(surroundings.distilled_frame(known), _words("distilled_table", **many)))
    kinds = list(dict.fromkeys(kind for _, kind in known.functions))
    one = sum(kind.count("-") == 1 for kind in kinds) < 2
    parts = (
        [known.functions]
        if one and kinds
        else [[entry for entry in known.functions if entry[1] == kind] for kind in kinds]
    )
    for place, part in enumerate(parts[:6]):
        drawing = surroundings.function_figure(known, part)
        pictures.append(_picture(f"environment-functions{place}", drawing, "functions", **many))
    if kinds:
        tables.append(Table(surroundings.function_frame(known), _words("function_table", **many)))
    said = [_words("of_environment", found=surroundings.said(known), **many)]
    return Section("environment", "Why few bodies suffice", "orders in their environment", said, pictures, tables)


def _curves(sets: Sequence[CurveSet], trainings: Trainings) -> Section:
    """Two atoms alone, and three."""
    names = list(dict.fromkeys(str(name) for held in sets for name in held.curves["source"].values))
    theme = Theme.of(names, sets[0].curves.attrs.get("reference"))
    pictures: list[Picture] = []
    for held in sets:
        pair = "distance" in held.curves.dims
        drawing = pair_curve_figure(held.curves, held.density, theme) if pair else triple_map_figure(held.curves)
        values = {
            "trained": held.training_set,
            "reference": held.curves.attrs["reference"],
            "density": held.density is not None,
        }
        wells = pair_wells(held.curves)["well_depth"] if pair else None
        said = {} if wells is None else {str(name): float(wells.sel(source=name)) for name in wells["source"].values}
        kind = "pairs" if pair else "triples"
        name = f"{kind}{sum(picture.name.startswith(kind) for picture in pictures)}"
        pictures.append(_picture(name, drawing, f"curves_of_{kind}", wells=said, **values))
    tables = []
    for name, dim in (
        ("well_depth", "pair"),
        ("well_distance", "pair"),
        ("pair_training_rms", "pair"),
        ("triple_rms", "angle"),
    ):
        if trainings.knows(name):
            tables.append(Table(seed_frame(trainings.whole, name, dim), _words(f"{name}_table")))
    return Section("curves", "Two atoms, three atoms", "against the reference", [], pictures, tables)


def _training(losses: Mapping[str, xr.Dataset], trainings: Trainings) -> Section | None:
    if not losses:
        return None
    curves = {
        name: {"epoch": held["epoch"], "training": held["training_loss"], "validation": held["validation_loss"]}
        for name, held in losses.items()
    }
    drawing = loss_figure(curves, trainings.theme)
    return Section("training", "Training", "losses by epoch", [], [_picture("losses", drawing, "losses")])
