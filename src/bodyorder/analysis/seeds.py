"""Trainings that differ in their seed alone: their mean, and how far they are apart."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.results.variables import VARIABLES, Variable

#: What the name of the standard deviation over seeds ends in.
SPREAD = "_spread"

#: And that of how many seeds have a value.
KNOWN = "_known"


def over_seeds(runs: xr.Dataset) -> xr.Dataset:
    """Mean and standard deviation over the seeds of each training.

    :param runs: any measures along a dimension ``run`` with the coordinate ``training``: what a run is called without its
        seed. Other coordinates along ``run`` are kept where all runs of each training share them.
    :return: dimension ``training`` in place of ``run``, in the order in which trainings first appear. For each numeric
        variable ``x`` its mean over the seeds that have a value, their number ``x_known``, and ``x_spread``, their sample
        standard deviation (n − 1), NaN for fewer than two; ``n_seeds`` says how many runs there are. Texts are those that
        all seeds share, else all of them with ``" | "`` between.
    :raises InputError: if the runs do not say which training they are of
    """
    if "training" not in runs.coords or runs["training"].dims != ("run",):
        raise InputError("runs must have the coordinate `training`, which is what they are called without their seed")
    labels = runs["training"].values.astype(str)
    rows = {name: np.flatnonzero(labels == name) for name in dict.fromkeys(labels)}
    found: dict[str, xr.Variable] = {"n_seeds": xr.Variable("training", [len(part) for part in rows.values()])}
    for name, array in runs.data_vars.items():
        if "run" not in array.dims:
            found[str(name)] = array.variable
            continue
        array = array.transpose("run", ...)
        dims = ("training", *(str(dim) for dim in array.dims[1:]))
        parts = [array.values[part] for part in rows.values()]
        if array.dtype.kind in "OUS":
            found[str(name)] = xr.Variable(dims, np.array([_shared_texts(part) for part in parts], dtype=object))
            continue
        means, spreads, known = zip(*(_moments(part.astype(float)) for part in parts), strict=True)
        meaning = VARIABLES.get(str(name), Variable((), "", "", str(name)))
        unit = {"units": array.attrs.get("units", meaning.unit)}
        about = str(array.attrs.get("long_name", meaning.meaning))
        found[str(name)] = xr.Variable(dims, np.array(means), unit | {"long_name": about})
        found[f"{name}{SPREAD}"] = xr.Variable(
            dims, np.array(spreads), unit | {"long_name": f"{about}, spread over seeds"}
        )
        found[f"{name}{KNOWN}"] = xr.Variable(
            dims, np.array(known), {"units": "1", "long_name": f"{about}, how many seeds have it"}
        )
    kept: dict[str, xr.Variable] = {"training": xr.Variable("training", list(rows))}
    for name, coordinate in runs.coords.items():
        if coordinate.dims != ("run",):
            if "run" not in coordinate.dims:
                kept[str(name)] = coordinate.variable
        elif name not in ("run", "training"):
            own = [coordinate.values[part] for part in rows.values()]
            if all(_same(part) for part in own):
                kept[str(name)] = xr.Variable("training", np.array([part[0] for part in own]))
    return xr.Dataset(found, coords=kept, attrs=runs.attrs)


def _same(values: np.ndarray) -> bool:
    """Whether all are the same, or all are missing."""
    missing = values != values  # of texts none is
    return bool(missing.all()) or (not missing.any() and len(set(values.tolist())) == 1)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sample standard deviation and number of the values that are known, over the first axis."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=0) / count
        variance = np.where(known, values - mean, 0.0) ** 2
        spread = np.sqrt(variance.sum(axis=0) / (count - 1))
    return mean, np.where(count > 1, spread, np.nan), count


def _shared_texts(values: np.ndarray) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    texts = np.array([" | ".join(dict.fromkeys(str(text) for text in column)) for column in columns], dtype=object)
    return texts.reshape(values.shape[1:])
