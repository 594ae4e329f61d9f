"""What single sub-clusters contribute in their environment: terms of best approximations and interaction indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import xarray as xr

from bodyorder._checks import check_between, check_choice
from bodyorder.analysis.alignment import SeveralResults
from bodyorder.analysis.lattices import Lattices, as_given, lattices, one_dataset, spell
from bodyorder.subsets import INDICES, LatticeFit, context_contributions, interactions, size_weights
from bodyorder.subsets.regression import check_determined


def environment_terms(
    results: SeveralResults, order: int, *, weights: str | Sequence[float] = "size", sum_rule: bool = False
) -> xr.Dataset:
    """Terms a(T) of the best approximation of all E(S) by terms of up to ``order`` bodies.

    Those of pairs over their distance are the pair function that the approximation uses, beside the pair curve in vacuum.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param order: largest number of bodies of a term
    :param weights: see :func:`bodyorder.analysis.environment.environment_orders`
    :param sum_rule: make the approximation exact at the full cluster
    :return: ``environment_term`` in eV along ``subset``, behind ``source`` if several results were given, with
        ``subset_members``, ``subset_structure`` and ``subset_order``, for the sub-clusters of up to ``order`` bodies
    :raises InputError: as :func:`bodyorder.analysis.environment.environment_orders`
    """
    purpose = "terms in their environment"
    dataset = one_dataset(results, purpose)
    groups = lattices(dataset, purpose)
    check_between("order", order, 1, min(group.n_bodies for group in groups))
    tables = {group.n_bodies: size_weights(group.n_bodies, weights, sum_rule=sum_rule) for group in groups}
    for table in tables.values():
        check_determined(table, order)
    found = _by_subset(dataset, groups, lambda layers: LatticeFit(layers).terms(order, tables[len(layers)])[1:])
    options = {"order": order} | spell(weights, sum_rule)
    return _assemble(dataset, {"environment_term": (("subset", "source"), found)}, order, options)


def interaction_indices(results: SeveralResults, order: int, *, indices: Sequence[str] = INDICES) -> xr.Dataset:
    """Interaction indices of all sub-clusters of up to ``order`` bodies, side by side.

    What they are and which axioms each obeys stands in :mod:`bodyorder.subsets.indices`.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param order: largest number of bodies of a sub-cluster
    :param indices: which; all if not given
    :return: ``interaction`` in eV with dims (index, subset), behind ``source`` if several results were given, with
        ``subset_members``, ``subset_structure`` and ``subset_order``
    :raises InputError: if the results have no subsets or lack some, for an order beyond N, or an unknown index
    """
    purpose = "interaction indices"
    for index in indices:
        check_choice("indices", index, INDICES)
    dataset = one_dataset(results, purpose)
    groups = lattices(dataset, purpose)
    check_between("order", order, 1, min(group.n_bodies for group in groups))
    found = [_by_subset(dataset, groups, partial(interactions, index=index, order=order)) for index in indices]
    result = _assemble(dataset, {"interaction": (("index", "subset", "source"), np.stack(found))}, order, {})
    return result.assign_coords(index=list(indices))


def context_orders(results: SeveralResults, max_order: int | None = None) -> xr.Dataset:
    """Contribution of n bodies to environments of growing size.

    ε(S | k) is the mean contribution of the sub-cluster S to environments of k other bodies, see
    :func:`bodyorder.subsets.context_contributions`: k = 0 is the vacuum, k = N − n all others.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param max_order: largest n; N if None
    :return: ``context_mean`` and ``context_rms``, mean and root mean square of ε(S | k) over the sub-clusters S of n bodies,
        in eV with dims (structure, order, environment), behind ``source`` if several results were given; NaN for k > N − n
    :raises InputError: if the results have no subsets or lack some, or for a ``max_order`` beyond N
    """
    purpose = "contributions in their environment"
    dataset = one_dataset(results, purpose)
    groups = lattices(dataset, purpose)
    largest = max(group.n_bodies for group in groups)
    top = check_between("max_order", largest if max_order is None else max_order, 1, largest)
    shape = (top, largest, dataset.sizes["structure"], dataset.sizes.get("source", 1))
    mean, square = np.full(shape, np.nan), np.full(shape, np.nan)
    for group in groups:
        for chunk, layers in group.layers():
            found = context_contributions(layers, min(top, group.n_bodies))
            for row, values in enumerate(found):
                mean[row, : len(values), group.structures[chunk]] = values.mean(axis=1).swapaxes(0, 1)
                square[row, : len(values), group.structures[chunk]] = (values**2).mean(axis=1).swapaxes(0, 1)
    dims = ("order", "environment", "structure", "source")
    result = xr.Dataset(
        {"context_mean": (dims, mean), "context_rms": (dims, np.sqrt(square))},
        coords={"order": np.arange(1, top + 1), "environment": np.arange(largest)},
    ).transpose("source", "structure", "order", "environment")
    return as_given(dataset, result, {})


def _by_subset(
    dataset: xr.Dataset, groups: Sequence[Lattices], rule: Callable[[list[np.ndarray]], list[np.ndarray]]
) -> np.ndarray:
    """Values of all subsets of the results from those of each size of complete lattices, shape (n_subsets, n_sources)."""
    found = np.full((dataset.sizes["subset"], dataset.sizes.get("source", 1)), np.nan)
    for group in groups:
        flat = np.full_like(group.energies, np.nan)
        for chunk, layers in group.layers():
            values = np.concatenate(rule(layers))
            flat[: len(values), chunk] = values
        found[group.rows] = flat[tuple(group.places)]
    return found


def _assemble(
    dataset: xr.Dataset,
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]],
    order: int,
    options: dict[str, str | int],
) -> xr.Dataset:
    kept = np.flatnonzero((dataset["subset_members"] >= 0).sum("slot").values <= order)
    described = dataset[["subset_members", "subset_structure", "subset_order"]].drop_vars("source", errors="ignore")
    result = xr.Dataset(variables).transpose("source", ...).merge(described).isel(subset=kept, slot=slice(order))
    return as_given(dataset, result, options)
