"""Orders in their environment in plain language. Every number is computed from the data."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder.report.environment.views import (
    ERRORS,
    LEFT_OUT,
    SHARED,
    TERM,
    VACUUM,
    Environment,
    Function,
    Row,
)
from bodyorder.report.wording import and_, energy, extremes, place, sentence, two_digits, with_spread

#: Order whose errors are said, where it is known.
_ORDER = 2

#: Distances with fewer terms than this share of the most are rare.
_OFTEN = 0.1

#: Functions of models are called closer in their environment if they are so by this factor.
_CLOSER = 2.0


def of_orders(environment: Environment) -> list[str]:
    """What few bodies miss in vacuum, in their environment, and where all clusters share their functions."""
    said = [text for row in environment.rows if (text := _of_ways(environment, row))]
    said += [text for text in (_of_left_out(environment), _of_distilled(environment)) if text]
    return said


def of_functions(environment: Environment) -> list[str]:
    """How terms of pairs in their environment differ from two bodies in vacuum, and whether models have them right."""
    pairs = next((function for function in environment.functions if function.species.count("-") == 1), None)
    if pairs is None:
        return []
    of_terms = [text for row in environment.rows if (text := _of_terms(environment, row, pairs))]
    return of_terms + [text for row in environment.rows if (text := _of_models(environment, row, pairs))]


def _of_ways(environment: Environment, row: Row) -> str:
    """What terms of two bodies miss, each way."""
    body = environment.theme.body
    vacuum, inside, whole = (
        _at(environment.of_reference(row, name)) for name in (*ERRORS[:2], "group_environment_residual")
    )
    said = []
    if np.isfinite(vacuum):
        said.append(f"the expansion in vacuum cut off at order {_ORDER} misses {energy(vacuum, body)}")
    if np.isfinite(inside):
        own = f", and {energy(whole, body)} of the clusters themselves" if np.isfinite(whole) else ""
        said.append(
            f"the best approximation of all sub-clusters of a cluster by terms of up to {_ORDER} bodies misses "
            f"{energy(inside, body)} of them{own}"
        )
    said += [shared] if (shared := _of_shared(environment, row)) else []
    where = place(row.group) if row.group is not None else f"trained on {row.distilled}"
    return sentence(where, "; ".join(said)) if said else ""


def _of_shared(environment: Environment, row: Row) -> str:
    """What explicit models of about two bodies miss of the reference, and those of most bodies."""
    if row.distilled is None or environment.name not in environment.teachers(row.distilled):
        return ""
    part, body = environment.distilled_part(row.distilled, environment.name), environment.theme.body
    orders = part["student_order"].values
    spread = environment.total_spread(row)
    spread = spread if row.distilled == row.group else np.nan
    new = f"new clusters, whose energies are spread by {energy(spread, body)}" if spread > 0 else "new clusters"
    text = ""
    for index in dict.fromkeys([int(np.argmin(np.abs(orders - _ORDER))), int(np.argmax(orders))]):
        student = part.isel(training=index)
        error = f"{energy(float(student[SHARED]), body)} ({student['student'].item()})"
        if text:
            text += f", and those of up to {orders[index]} bodies {error}"
        else:
            text = f"functions of up to {orders[index]} bodies that all clusters share miss {error} of {new}"
    return (
        f"{text}; these learnt from {row.distilled}" if row.distilled != row.group and row.group is not None else text
    )


def _of_left_out(environment: Environment) -> str:
    """How well best approximations predict, and whether that gets better with more bodies."""
    found, stuck = [], []
    for row in environment.rows:
        errors = environment.of_reference(row, LEFT_OUT)
        if errors is None:
            continue
        best = int(errors.idxmin("order"))
        found.append(f"{energy(float(errors.min()), environment.theme.body)} {place(row.group or '')}".strip())
        found[-1] += f" (order {best})"
        if best == 1 and errors.notnull().sum() > 1:
            stuck.append(place(row.group or ""))
    if not found:
        return ""
    text = (
        "a sub-cluster that is left out is predicted by the terms fitted to all others of its cluster with an error of at "
        f"best {and_(found)}"
    )
    if stuck:
        where = f" {and_(stuck)}" if all(stuck) else ""
        text += f"; so more bodies describe a cluster{where} better, but do not predict within it"
    return sentence(text)


def _of_distilled(environment: Environment) -> str:
    """Which orders say what models learnt as well as these say the reference."""
    parts = []
    for training_set in environment.distilled_sets:
        by_order: dict[int, list[str]] = {}
        for teacher in environment.teachers(training_set):
            if np.isfinite(environment.own_error(training_set, teacher)[0]):
                by_order.setdefault(environment.enough(training_set, teacher) or 0, []).append(teacher)
        listed = [f"{order} ({', '.join(by_order[order])})" for order in sorted(by_order) if order]
        if 0 in by_order:
            listed.append(f"none up to {max(environment.students.values())} ({', '.join(by_order[0])})")
        if listed:
            parts.append(
                f"trained on {training_set}, {' and '.join([', '.join(listed[:-1])] * (len(listed) > 1) + listed[-1:])}"
            )
    if not parts:
        return ""
    return sentence(
        f"the lowest order of explicit models that miss less of what a model learnt than it misses of {environment.name} is, "
        f"{'; '.join(parts)}"
    )


def _of_terms(environment: Environment, row: Row, function: Function) -> str:
    """Terms and contributions in vacuum at the commonest distance and at the shortest of those that are not rare."""
    terms, counts, vacuum = (environment.of_reference(row, name) for name in (TERM, "n_terms", VACUUM))
    if terms is None or counts is None or vacuum is None:
        return ""
    where = {"function": function.name, "species": function.species}
    counts = counts.sel(where).fillna(0.0)
    if not float(counts.sum()):
        return ""
    often = counts["bin"].values[(counts >= _OFTEN * counts.max()).values]
    distances = {float(counts.idxmax("bin")): "commonest distance", float(often.min()): "shortest that is not rare"}
    said = []
    for distance, name in distances.items():
        own, alone = (_signed(float(values.sel(where).sel(bin=distance))) for values in (terms, vacuum))
        said.append(f"{own} eV at the {name} ({distance:.3g} Å), where it is {alone} eV in vacuum")
    apart, by_distance = (environment.spread(row, function, name) for name in (TERM, VACUUM))
    if apart > 0:
        said[-1] += f"; terms at one distance differ by {two_digits(apart)} eV (standard deviation)"
        said[-1] += f", in vacuum by {two_digits(by_distance)} eV" if by_distance > 0 else ""
    return sentence(
        place(row.group or ""),
        f"the mean of {function.name} of {environment.name} in their environment is {', and '.join(said)}",
    )


def _of_models(environment: Environment, row: Row, function: Function) -> str:
    """Whether models have the terms of the reference right, and its contributions in vacuum."""
    inside, alone = (environment.off(row, function, name) for name in (TERM, VACUUM))
    inside = {model: pair for model, pair in inside.items() if model in alone}
    if not inside:
        return ""
    ranges = [extremes({model: held[model][0] for model in inside}, two_digits) for held in (inside, alone)]
    closer = [model for model in inside if _CLOSER * inside[model][0] <= alone[model][0]]
    count = "all" if len(closer) == len(inside) else f"{len(closer)} of {len(inside)}" if closer else "none"
    whose = f"models trained on {row.training_set}" if row.training_set else "models that are trained already"
    return sentence(
        place(row.group or ""),
        f"{function.name} of {whose} are off those of {environment.name} by {ranges[0]} eV in their environment (RMS over "
        f"terms) and by {ranges[1]} eV in vacuum; {count} are closer in their environment by a factor of {_CLOSER:g} or more",
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{with_spread(value)}"


def _at(errors: xr.DataArray | None) -> float:
    """The error of the order that is spoken of."""
    return np.nan if errors is None or _ORDER not in errors["order"].values else float(errors.sel(order=_ORDER))
