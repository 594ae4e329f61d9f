"""What tables of trainings say: which orders models follow, whether their functions are right, what suffices to say them.

The tables are those of a study: a run for each model, training set and seed, and one that is the reference.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder.analysis.seeds import SPREAD, over_seeds
from bodyorder.results.variables import describe

#: An order is followed where its RMS error is below this share of the root mean square of that order in the reference.
FOLLOWED = 0.1


def split_reference(table: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """All runs of a table but the reference, along ``run``, and the reference, without it.

    :param table: with the name of the reference as an attribute
    """
    name = str(table.attrs["reference"])
    own = (table["model"].values == name) & (table["training_set"].values == "")
    return table.isel(run=~own), table.isel(run=int(np.flatnonzero(own)[0]))


def order_sizes(reference: xr.Dataset) -> xr.DataArray:
    """Root mean square of the order totals of the reference over the structures of a group, eV per body; dims (group, order)."""
    size = reference["group_contribution"] ** 2
    if "group_spread" in reference:
        size = size + reference["group_spread"].fillna(0.0) ** 2
    return (size**0.5).reset_coords(drop=True)


def followed_orders(means: xr.Dataset, reference: xr.Dataset, share: float = FOLLOWED) -> xr.DataArray:
    """The last order up to which a model follows the reference, all lower ones included.

    :param means: ``order_rmse`` in eV per body
    :param reference: of the reference, ``group_contribution`` in eV per body
    :param share: an order is followed where its error is at most this share of its root mean square in the reference
    :return: dims of ``order_rmse`` but ``order``; 0 where a model follows at no order, NaN where nothing is known
    """
    error = means["order_rmse"]
    inside = (error <= share * order_sizes(reference)).cumprod("order").astype(bool)
    last = error["order"].where(inside, 0).max("order").astype(float)
    return last.where(error.notnull().any("order")).rename("followed_order")


def term_deviations(runs: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Root mean squares over all terms of how functions of distance of models are off those of the reference.

    :param runs: ``term_mean``, ``vacuum_mean`` of :func:`~bodyorder.analysis.environment_functions.environment_functions`
    :param reference: the same of the reference, and ``n_terms``, ``term_spread``, ``vacuum_spread``
    :return: over seeds of ``term_deviation`` and ``vacuum_deviation`` (eV) with dims (training, …), and ``term_scatter`` and
        ``vacuum_scatter`` (eV): how far the terms of the reference at one distance are apart, root mean square over all terms
    """
    weights = reference["n_terms"].fillna(0.0)
    kept = ("training", "model", "training_set", "whole")
    found, scatter = xr.Dataset(coords={name: runs[name] for name in kept}), xr.Dataset()
    for kind in ("term", "vacuum"):
        errors = runs[f"{kind}_mean"] - reference[f"{kind}_mean"].reset_coords(drop=True)
        found[f"{kind}_deviation"] = _rms(errors.reset_coords(drop=True), weights)
        scatter[f"{kind}_scatter"] = _rms(reference[f"{kind}_spread"], weights).reset_coords(drop=True)
    means = over_seeds(describe(found)) if runs.sizes["run"] else xr.Dataset()
    return means.merge(describe(scatter))


def distilled_orders(distilled: xr.Dataset) -> xr.Dataset:
    """What a teacher misses of the reference, and the lowest order of its students that miss less of it than that.

    Less by more than the spreads over seeds of both, if these are known.

    :param distilled: ``distilled_rmse`` and ``teacher_rmse`` of runs, eV per body, with their coordinates
    :return: dims (training_set, teacher): ``teacher_rmse``, ``teacher_rmse_spread`` (eV per body), NaN for the reference and
        where nothing is known; ``distilled_order``, NaN where no student's suffices
    """
    means = over_seeds(distilled)
    rows = {}
    for key, part in means.groupby(["training_set", "teacher"]):
        own, spread = (float(part[f"teacher_rmse{end}"].mean()) for end in ("", SPREAD))
        own = own if own > 0 else np.nan
        misses = part["distilled_rmse"] + np.hypot(part[f"distilled_rmse{SPREAD}"].fillna(0.0), np.nan_to_num(spread))
        rows[key] = (own, spread, float(part["student_order"].where(misses < own).min()))
    sets, teachers = (list(dict.fromkeys(means[name].values.tolist())) for name in ("training_set", "teacher"))
    values = np.array([[rows.get((name, teacher), (np.nan,) * 3) for teacher in teachers] for name in sets])
    names = ("teacher_rmse", f"teacher_rmse{SPREAD}", "distilled_order")
    found = {name: (("training_set", "teacher"), values[..., place]) for place, name in enumerate(names)}
    return describe(xr.Dataset(found, coords={"training_set": sets, "teacher": teachers}))


def _rms(errors: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    """Root mean square over distances, each counted as often as it occurs; NaN where it never does."""
    known = weights.where(errors.notnull())
    total = known.sum("bin")
    return ((known * errors**2).sum("bin") / total.where(total > 0)) ** 0.5
