"""Body orders in their environment: how well terms of few bodies describe the energies of all sub-clusters at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import comb

import numpy as np
import xarray as xr

from bodyorder._checks import check_between, check_switch
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.subsets import (
    SubsetFit,
    count_terms,
    largest_order,
    noise_spread,
    predictable_sizes,
    size_weights,
    whole_coefficients,
)
from bodyorder.subsets.moebius import layer_coefficients
from bodyorder.subsets.regression import check_determined

_PURPOSE = "environment orders"

#: What there is for every structure and order.
_PER_ORDER = (
    "environment_rms", "environment_residual", "environment_validation", "environment_left_out", "environment_noise",
    "environment_rms_noise", "vacuum_residual", "vacuum_noise",
)  # fmt: skip

_PER_SIZE = ("size_rms", "size_validation", "size_left_out")


def environment_orders(
    results: SeveralResults,
    *,
    weights: str | Sequence[float] = "size",
    max_order: int | None = None,
    sum_rule: bool = False,
) -> xr.Dataset:
    r"""Best approximations of the energies of all sub-clusters by terms of up to n bodies, order by order.

    The terms a(T) of 1 … n bodies, T ⊆ S, without a constant, are those with the least Σ_S w_{|S|} r(S)², where
    r(S) = E(S) − Σ_{T⊆S} a(T). Unlike the vacuum expansion, which demands that the smallest sub-clusters are exact, they
    share their error among sub-clusters of all sizes that count.

    - ``environment_rms``: √(Σ_S w (r(S)/\|S\|)² / Σ_S w), eV per body. It need not fall with every order, as the fit
      minimises Σ w r². Sizes where the approximation is exact by demand do not count.
    - ``environment_residual``: r of the full cluster, eV
    - ``environment_validation``: as ``environment_rms``, each size predicted by the terms fitted to all others, over those
      ``n_validated`` sizes that can be left out because the others determine all terms; NaN without any
    - ``environment_left_out``: the same, each single sub-cluster predicted by the terms fitted to all others: weaker, as
      others of its size are known, but determined for n < N. Where it does not fall with the order, the fit proves nothing.
    - ``size_rms``, ``size_validation``, ``size_left_out``: √⟨(r(S)/\|S\|)²⟩ over the sub-clusters of each size, eV per
      body, of the approximation and of the two kinds of prediction
    - ``vacuum_residual``: E − E^{≤n} of the expansion in vacuum, eV
    - ``environment_noise``, ``vacuum_noise``: 1σ of the two residuals of the full cluster, eV, and
      ``environment_rms_noise``: the ``environment_rms`` that noise alone would leave, eV per body; from independent
      errors of all E(S) as ``subset_noise`` of the results has them, NaN where there is none, or energies were put together from
      those of connected sub-clusters, whose errors they share
    - ``n_parameters``: number of terms of 1 … n bodies, and ``n_validated``, along the structures too (NaN beyond their
      bodies) if their numbers of bodies differ; ``n_data``: number of sub-clusters that count

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param weights: by size: ``size`` (1/C(N, \|S\|): all sizes equal), ``banzhaf`` (all sub-clusters equal), ``shapley``
        (Shapley kernel; the terms are the Faith-Shap index), ``sizes>=m`` (equal from size m on), or a number per size
    :param max_order: largest n; all that the weights determine if None
    :param sum_rule: make the approximation exact at the full cluster
    :return: the variables above with dims (structure, order, size), behind ``source`` if several results were given;
        NaN for orders beyond the bodies of a structure and where energies failed to compute
    :raises InputError: if the results have no subsets or lack sub-clusters (the message says of which sizes), for a
        ``max_order`` beyond N, or for weights that leave terms undetermined
    """
    aligned = align(results)
    dataset, tables = aligned.data, aligned.tables(_PURPOSE)
    largest = max(table.n_bodies for table in tables)
    if max_order is not None:
        check_between("max_order", max_order, 1, largest)
    check_switch("sum_rule", sum_rule)
    by_size = [size_weights(table.n_bodies, weights, sum_rule=sum_rule) for table in tables]
    tops = [_top(own, max_order) for own in by_size]
    shape = (max(tops), dataset.sizes["structure"], dataset.sizes["source"])
    found = {name: np.full(shape, np.nan) for name in _PER_ORDER}
    found |= {name: np.full((largest, *shape), np.nan) for name in _PER_SIZE}
    n_data = np.zeros(shape[1], dtype=np.int64)
    counts = {name: np.full(shape[1::-1], np.nan) for name in ("n_parameters", "n_validated")}
    for table, own, top in zip(tables, by_size, tops, strict=True):
        n_data[table.structures] = sum(comb(table.n_bodies, size) for size in range(1, table.n_bodies + 1) if own[size])
        for chunk, fit in table.fits:
            structures = table.structures[chunk]
            sums = np.stack([values.sum(axis=0) for values in table.split(table.energies[:, chunk])])
            for order in range(1, top + 1):
                for name, values in _errors(fit, order, own).items():
                    _put(found[name], order, structures, values)
                vacuum = sums[-1] - np.tensordot(_vacuum(table.n_bodies, order), sums, axes=1)
                _put(found["vacuum_residual"], order, structures, vacuum)
        for order in range(1, top + 1):
            counts["n_parameters"][table.structures, order - 1] = count_terms(table.n_bodies, order)
            counts["n_validated"][table.structures, order - 1] = len(_validated(own, order))
            for name, values in _noise(table.n_bodies, order, own, table.variances).items():
                known = np.isfinite(found["environment_residual"][order - 1, table.structures])
                _put(found[name], order, table.structures, np.where(known, values, np.nan))
    result = _assemble(found).assign(n_data=("structure", n_data))
    for name, values in counts.items():
        # of structures that all have as many bodies one number says it
        alike = len(tables) == 1
        result[name] = ("order", values[0].astype(np.int64)) if alike else (("structure", "order"), values)
    return aligned.given(result, spell(weights, sum_rule))


def spell(weights: str | Sequence[float], sum_rule: bool) -> dict[str, str | int]:
    """Weights as attributes of a file."""
    numbers = weights if isinstance(weights, str) else json.dumps([float(weight) for weight in weights])
    return {"weights": numbers, "sum_rule": str(sum_rule).lower()}


def _top(weights: np.ndarray, max_order: int | None) -> int:
    """Largest order for one number of bodies, by weights of sizes from 0 on."""
    order = min(max_order, len(weights) - 1) if max_order is not None else max(1, largest_order(weights))
    check_determined(weights, order)
    return order


def _errors(fit: SubsetFit, order: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    squares = fit.squared_residuals(order, weights)
    without = fit.left_out_residuals(order, weights)
    alone = fit.left_one_out_residuals(order, weights, squares)
    counts = _counts(fit.n_bodies)[:, None, None]
    sizes = np.arange(1, fit.n_bodies + 1)[:, None, None]
    return {
        "environment_rms": _mean_square(squares, weights) ** 0.5,
        "environment_validation": _mean_square(without, _only(weights, _validated(weights, order))) ** 0.5,
        "environment_left_out": _mean_square(alone, weights) ** 0.5,
        "environment_residual": fit.whole_residual(order, weights),
        "size_rms": np.sqrt(squares / counts) / sizes,
        "size_validation": np.sqrt(without / counts) / sizes,
        "size_left_out": np.sqrt(alone / counts) / sizes,
    }


def _validated(weights: np.ndarray, order: int) -> list[int]:
    """Sizes that count, not by demand, and can be left out."""
    return [size for size in predictable_sizes(weights, order) if 0 < weights[size] < np.inf]


def _only(weights: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Weights of some sizes alone."""
    return np.where(np.isin(np.arange(len(weights)), sizes), weights, 0.0)


def _mean_square(squares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_k w_k/k² Σ_{|S|=k} r² / Σ_S w over the sizes of finite weight, from the sums over the subsets of each size."""
    n_bodies = len(weights) - 1
    counted = np.flatnonzero(np.isfinite(weights[1:]) & (weights[1:] > 0))
    if not len(counted):
        return np.full_like(squares[0], np.nan)
    own = weights[1:][counted]
    scaled = own / (counted + 1.0) ** 2 / (own @ _counts(n_bodies)[counted])
    return np.tensordot(scaled, squares[counted], axes=1)


def _noise(n_bodies: int, order: int, weights: np.ndarray, variance: np.ndarray) -> dict[str, np.ndarray]:
    """1σ of the residuals, and what noise alone leaves; ``variance`` is Σ_{|S|=k} σ²(S), shape (N, n, n_sources)."""
    whole = np.eye(n_bodies)[-1]
    fitted = (whole - whole_coefficients(weights, order)) / _counts(n_bodies)
    spread = np.tensordot(noise_spread(weights, order), variance, axes=1)
    return {
        "environment_noise": np.tensordot(fitted**2, variance, axes=1) ** 0.5,
        "environment_rms_noise": _mean_square(spread, weights) ** 0.5,
        "vacuum_noise": np.tensordot((whole - _vacuum(n_bodies, order)) ** 2, variance, axes=1) ** 0.5,
    }


def _vacuum(n_bodies: int, order: int) -> np.ndarray:
    """How much the sum of the energies of each size counts in E^{≤n}, shape (N,)."""
    return layer_coefficients(n_bodies, n_bodies)[:order].sum(axis=0)


def _counts(n_bodies: int) -> np.ndarray:
    return np.array([comb(n_bodies, size) for size in range(1, n_bodies + 1)], dtype=np.float64)


def _put(target: np.ndarray, order: int, structures: np.ndarray, values: np.ndarray) -> None:
    """Write what belongs to one order of some structures, with sizes in front or without."""
    if target.ndim == 4:
        target[: len(values), order - 1, structures] = values
    else:
        target[order - 1, structures] = values


def _assemble(found: dict[str, np.ndarray]) -> xr.Dataset:
    dims = {3: ("order", "structure", "source"), 4: ("size", "order", "structure", "source")}
    result = xr.Dataset({name: (dims[values.ndim], values) for name, values in found.items()})
    top, largest = len(found["environment_rms"]), len(found["size_rms"])
    result = result.assign_coords(order=np.arange(1, top + 1), size=np.arange(1, largest + 1))
    return result.transpose("source", "structure", "order", "size")
