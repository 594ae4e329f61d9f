"""The errors of single energies, found again in the noise of order totals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.linalg import solve_triangular

from bodyorder.analysis.lattices import Lattices
from bodyorder.subsets.moebius import layer_coefficients

#: What rounding can make of a variance that is zero, as a share of that of the order total.
_ROUNDING = 1e-9


def layer_variances(dataset: xr.Dataset, groups: Sequence[Lattices]) -> list[np.ndarray]:
    """Σ_{|S|=k} σ²(S) in eV² over the sub-clusters of each size, for every structure and source.

    The ``noise`` of the orders of a complete lattice comes from independent 1σ errors of its energies,
    σ⁽ⁿ⁾² = Σ_{m≤n} C(N−m, n−m)² Σ_{|S|=m} σ²(S), which is solved from the smallest size up.

    :param dataset: results of complete lattices
    :param groups: their energies
    :return: for each of ``groups`` shape (N, n, n_sources); NaN for a source without ``noise``, for a structure whose noise no
        independent errors can give, and where energies were put together from those of connected sub-clusters, whose errors
        they share
    """
    return [_of_group(dataset, group) for group in groups]


def _of_group(dataset: xr.Dataset, group: Lattices) -> np.ndarray:
    n_bodies, shape = group.n_bodies, group.energies.shape[1:]
    if "noise" not in dataset or n_bodies > dataset.sizes["order"]:
        return np.full((n_bodies, *shape), np.nan)
    noise = dataset["noise"] if "source" in dataset.dims else dataset["noise"].expand_dims("source")
    orders = noise.transpose("order", "structure", "source").values[:n_bodies, group.structures]
    wanted = (orders**2).reshape(n_bodies, -1)
    found = solve_triangular(layer_coefficients(n_bodies, n_bodies) ** 2, wanted, lower=True, check_finite=False)
    possible = (found >= -_ROUNDING * wanted).all(axis=0).reshape(shape) & group.evaluated
    return np.where(possible, np.maximum(found, 0.0).reshape(n_bodies, *shape), np.nan)
