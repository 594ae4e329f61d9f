"""The errors of single energies, found again in the noise of order totals."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import xarray as xr
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from bodyorder.analysis.lattices import Lattices
from bodyorder.subsets.moebius import layer_coefficients

#: How well two numbers per source must reproduce the noise of all its orders.
_AGREEMENT = 1e-6

#: What rounding can make of a variance that is zero, as a share of that of the order total.
_ROUNDING = 1e-9

#: Beyond so many bodies rounding is all that is left of the variances of large sub-clusters in the noise of the orders.
_MOST_SOLVED = 10


def layer_variances(dataset: xr.Dataset, groups: Sequence[Lattices]) -> list[np.ndarray]:
    """Σ_{|S|=k} σ²(S) in eV² over the sub-clusters of each size, for every structure and source.

    The ``noise`` of the orders of a complete lattice comes from independent 1σ errors of its energies,
    σ⁽ⁿ⁾² = Σ_{m≤n} C(N−m, n−m)² Σ_{|S|=m} σ²(S). Where two numbers per source, √(absolute² + (relative·E)²) (see
    :class:`bodyorder.sources.Precision`), give the noise of all orders, these are the errors. Where energies have errors of their
    own it is solved from the smallest size up.

    :param dataset: results of complete lattices
    :param groups: their energies
    :return: for each of ``groups`` shape (N, n, n_sources); NaN for a source without ``noise``, for a structure whose noise no
        independent errors can give, for one of more than ten bodies if two numbers do not give it, and where energies were
        put together from those of connected sub-clusters, whose errors they share
    """
    if "noise" not in dataset:
        return [np.full((group.n_bodies, *group.energies.shape[1:]), np.nan) for group in groups]
    noise = dataset["noise"] if "source" in dataset.dims else dataset["noise"].expand_dims("source")
    values = noise.transpose("order", "structure", "source").values
    squares = [_square_sums(group) for group in groups]
    two = np.array(
        [_precision(values[..., row], [part[..., row] for part in squares], groups) for row in range(values.shape[2])]
    )
    found = []
    for group, part in zip(groups, squares, strict=True):
        counts = np.array([comb(group.n_bodies, size) for size in range(1, group.n_bodies + 1)], dtype=np.float64)
        variances = counts[:, None, None] * two[:, 0] + part * two[:, 1]
        variances = np.where(np.isfinite(two[:, 0]), variances, _solved(values[: group.n_bodies, group.structures]))
        found.append(np.where(group.evaluated, variances, np.nan))
    return found


def _square_sums(group: Lattices) -> np.ndarray:
    """Σ_{|S|=k} E(S)², shape (N, n, n_sources)."""
    chunks = [np.stack([np.einsum("sij,sij->ij", values, values) for values in layers]) for _, layers in group.layers()]
    return np.concatenate(chunks, axis=1)


def _precision(noise: np.ndarray, squares: Sequence[np.ndarray], groups: Sequence[Lattices]) -> np.ndarray:
    """absolute² and relative² of a source, NaN if no such give its noise.

    :param noise: of the orders, shape (order, structure)
    :param squares: Σ E² by size for each group, shape (N, n)
    """
    columns, wanted = [], []
    for group, part in zip(groups, squares, strict=True):
        growth = layer_coefficients(group.n_bodies, group.n_bodies) ** 2
        counts = [comb(group.n_bodies, size) for size in range(1, group.n_bodies + 1)]
        relative = growth @ part
        columns.append(np.stack([np.broadcast_to((growth @ counts)[:, None], relative.shape), relative]).reshape(2, -1))
        wanted.append(noise[: group.n_bodies, group.structures].ravel() ** 2)
    terms, target = np.concatenate(columns, axis=1), np.concatenate(wanted)
    known = np.isfinite(target) & np.isfinite(terms).all(axis=0)
    terms, target = terms[:, known], target[known]
    if not target.any():
        return np.zeros(2) if len(target) else np.full(2, np.nan)
    if (target <= 0).any():
        return np.full(2, np.nan)
    scaled = terms / target
    scale = np.maximum(scaled.max(axis=1, keepdims=True), np.finfo(float).tiny)
    solution = nnls((scaled / scale).T, np.ones(len(target)))[0] / scale[:, 0]
    agrees = np.abs(solution @ scaled - 1).max() < _AGREEMENT
    return solution if agrees else np.full(2, np.nan)


def _solved(noise: np.ndarray) -> np.ndarray:
    """Σ_{|S|=k} σ²(S) from the noise of all orders, shape (N, n, n_sources) both; NaN where no errors give it."""
    n_bodies, *shape = noise.shape
    if n_bodies > _MOST_SOLVED:
        return np.full_like(noise, np.nan)
    wanted = (noise**2).reshape(n_bodies, -1)
    found = solve_triangular(layer_coefficients(n_bodies, n_bodies) ** 2, wanted, lower=True, check_finite=False)
    possible = (found >= -_ROUNDING * wanted).all(axis=0)
    return np.where(possible, np.maximum(found, 0.0), np.nan).reshape(n_bodies, *shape)
