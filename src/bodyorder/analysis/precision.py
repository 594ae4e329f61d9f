"""The errors of single energies, found again in the noise of order totals."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from bodyorder.analysis.lattices import Lattices
from bodyorder.subsets.moebius import layer_coefficients

#: How well two numbers per source must reproduce the noise of all its orders.
_AGREEMENT = 1e-6


def layer_variances(dataset: xr.Dataset, groups: Sequence[Lattices]) -> list[np.ndarray]:
    """Σ_{|S|=k} σ²(S) in eV² over the sub-clusters of each size, for every structure and source.

    The 1σ error of one energy is √(absolute² + (relative·E)²), see :class:`bodyorder.sources.Precision`. The two numbers
    of each source are those that give the ``noise`` of all orders, σ⁽ⁿ⁾² = Σ_m C(N−m, n−m)² Σ_{|S|=m} σ²(S).

    :param dataset: results of complete lattices
    :param groups: their energies
    :return: for each of ``groups`` shape (N, n, n_sources); NaN for a source without ``noise``, or if what it has does not
        come from independent errors of this kind
    """
    squares = [_square_sums(group) for group in groups]
    counts = [np.array([comb(group.n_bodies, k) for k in range(1, group.n_bodies + 1)], float) for group in groups]
    n_sources = groups[0].energies.shape[2]
    found = np.full((n_sources, 2), np.nan)
    if "noise" in dataset:
        noise = dataset["noise"] if "source" in dataset.dims else dataset["noise"].expand_dims("source")
        values = noise.transpose("source", "structure", "order").values
        for source in range(n_sources):
            found[source] = _precision(values[source], [part[..., source] for part in squares], groups)
    return [
        count[:, None, None] * found[:, 0] + part * found[:, 1] for count, part in zip(counts, squares, strict=True)
    ]


def _square_sums(group: Lattices) -> np.ndarray:
    """Σ_{|S|=k} E(S)², shape (N, n, n_sources)."""
    chunks = [np.stack([np.einsum("sij,sij->ij", values, values) for values in layers]) for _, layers in group.layers()]
    return np.concatenate(chunks, axis=1)


def _precision(noise: np.ndarray, squares: Sequence[np.ndarray], groups: Sequence[Lattices]) -> np.ndarray:
    """absolute² and relative² of a source: ``noise`` (structure, order), ``squares`` Σ E² of each group (N, n)."""
    columns, wanted = [], []
    for group, part in zip(groups, squares, strict=True):
        growth = layer_coefficients(group.n_bodies, group.n_bodies) ** 2
        counts = [comb(group.n_bodies, size) for size in range(1, group.n_bodies + 1)]
        relative = growth @ part
        columns.append(np.stack([np.broadcast_to((growth @ counts)[:, None], relative.shape), relative]).reshape(2, -1))
        wanted.append(noise[group.structures, : group.n_bodies].T.ravel() ** 2)
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
