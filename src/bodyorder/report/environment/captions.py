"""Captions of the figures of orders in their environment, and descriptions for those who cannot see them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from bodyorder.report.environment.figures import FOOT
from bodyorder.report.environment.views import ERRORS, LEFT_OUT, SHARED, TERM, Environment, Function
from bodyorder.report.wording import energy, group_title

_DESCRIBED = {ERRORS[0]: "in vacuum", ERRORS[1]: "in environment"}


def orders(environment: Environment) -> tuple[str, str]:
    """Description and caption of the errors by order."""
    ways, name, body = environment.ways, escape(environment.name), environment.theme.body
    caption = f"What terms of few bodies miss, in eV per {body}."
    if ERRORS[0] in ways:
        caption += " In vacuum: the expansion cut off at order <i>n</i>, root mean square over the clusters of a group."
    if ERRORS[1] in ways:
        caption += (
            " In environment: the best approximation of the energies of all sub-clusters of a cluster by terms of up to "
            "<i>n</i> bodies, sub-clusters of all sizes alike, whose terms are those of this cluster alone."
        )
        if any(environment.of_reference(row, LEFT_OUT) is not None for row in environment.rows):
            caption += f" Dashed: {name}, each sub-cluster predicted by the terms fitted to all others."
    if SHARED in ways:
        caption += (
            " Shared functions: explicit models, whose terms are functions that all clusters share, that learnt from "
            f"{name} (black) or from a model (its colour), against whom they learnt from, on test clusters of their training "
            "set. Marks at the right edge: the error of that model itself against "
            f"{name}. This column has an axis of its own. The terms of a model hold those of every lower order: where it misses "
            "more than one of lower order does, it was not learnt to its end."
        )
        if any(np.isfinite(environment.total_spread(row)) for row in environment.rows):
            caption += " Dotted grey: the standard deviation of the energies of the group, which a constant misses."
    caption += _models(environment) + _bars(environment)
    caption += f" Open triangles: below the axis and {1e3 * FOOT:g} meV from there on."
    return f"What terms of few bodies miss. {' '.join(_numbers(environment))}", caption


def functions(environment: Environment, shown: Sequence[Function]) -> tuple[str, str]:
    """Description and caption of the functions of distance."""
    name = escape(environment.name)
    caption = (
        f"Terms of the best approximations of all sub-clusters by distance, of triples by the mean of their three distances: "
        f"means over the clusters of a group, in eV. Black: {name}, shaded the standard deviation of its terms at one distance; "
        f"dashed: its contributions in vacuum. The frame is that of the terms of {name}: what is far from them leaves it. Grey "
        f"at the foot: how many terms there are."
    )
    if environment.has_models:
        caption += (
            f" Coloured: models trained on the clusters of the panel{_elsewhere(environment)}"
            f"{', means over seeds' if environment.has_spread else ''}. Energies of clusters of one size alone leave open what "
            "belongs to terms of which number of bodies."
        )
    said = []
    for row in environment.rows:
        terms, counts = environment.of_reference(row, TERM), environment.of_reference(row, "n_terms")
        for function in shown:
            if terms is None or counts is None:
                continue
            where = {"function": function.name, "species": function.species}
            values = terms.sel(where).where(counts.sel(where) > 0).dropna("bin")
            if values.sizes["bin"]:
                title = f"{group_title(row.group or '')}, {function.name} ({function.species})".removeprefix(", ")
                low, high = (f"{float(value):.3g}".replace("-", "−") for value in (values.min(), values.max()))
                said.append(f"{title}: {low} to {high} eV.")
    return f"Mean terms of {environment.name} by distance. {' '.join(said)}", caption


def _numbers(environment: Environment) -> list[str]:
    """Errors of the reference at all orders."""
    said = []
    for row in environment.rows:
        held = []
        for measure, label in _DESCRIBED.items():
            values = environment.of_reference(row, measure)
            if values is not None:
                listed = ", ".join(energy(float(value), environment.theme.body) for value in values.dropna("order"))
                held.append(f"{label}, {listed}")
        if row.distilled is not None and environment.name in environment.teachers(row.distilled):
            part = environment.distilled_part(row.distilled, environment.name)
            errors = zip(part["student_order"].values, part[SHARED].values, strict=True)
            listed = ", ".join(
                f"order {order} {energy(float(error), environment.theme.body)}" for order, error in errors
            )
            held.append(f"shared functions, {listed}")
        if held:
            title = group_title(row.group or "") or f"Trained on {row.distilled}" if row.distilled else "All structures"
            said.append(f"{title}, {environment.name} from order 1 on: {'; '.join(held)}.")
    return said


def _models(environment: Environment) -> str:
    """Which models are shown."""
    if not environment.has_models:
        return ""
    text = f" Models: those trained on the clusters of the row{_elsewhere(environment)}"
    explicit = set() if environment.trainings is None else environment.trainings.explicit
    hidden = [name for name in environment.theme.sources if name in explicit and name not in environment.shown_sources]
    if hidden:
        text += f"; not shown: explicit ones ({escape(', '.join(hidden))}), whose orders end by construction"
    return f"{text}."


def _elsewhere(environment: Environment) -> str:
    """Where the training set is not called like the group."""
    named = [
        f"{group_title(row.group or '') or 'all structures'}: {row.training_set or 'trained already'}"
        for row in environment.rows
        if row.training_set is not None and row.training_set != row.group
    ]
    return f" ({escape('; '.join(named))})" if named else ""


def _bars(environment: Environment) -> str:
    return " Bars: standard deviation over seeds." if environment.has_spread or environment.distilled_has_spread else ""
