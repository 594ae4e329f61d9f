"""What single sub-clusters contribute in their environment: terms of best approximations and interaction indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_between, check_choice
from bodyorder.analysis.aligned import Aligned, SeveralResults, align
from bodyorder.analysis.environment import spell
from bodyorder.analysis.subset_table import SubsetTable
from bodyorder.subsets import (
    INDICES,
    SubsetFit,
    complete,
    context_contributions,
    count_terms,
    interactions,
    size_weights,
)
from bodyorder.subsets.regression import check_determined


def environment_terms(
    results: SeveralResults, order: int, *, weights: str | Sequence[float] = "size", sum_rule: bool = False
) -> xr.Dataset:
    """Terms a(T) of the best approximation of all E(S) by terms of up to ``order`` bodies.

    Those of pairs over their distance are the pair function that the approximation uses, beside the pair curve in vacuum.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param order: largest number of bodies of a term; structures of fewer bodies have terms of up to all their bodies
    :param weights: see :func:`bodyorder.analysis.environment.environment_orders`
    :param sum_rule: make the approximation exact at the full cluster
    :return: ``environment_term`` in eV along ``subset``, behind ``source`` if several results were given, with
        ``subset_members``, ``subset_structure`` and ``subset_order``, for all sub-clusters of up to ``order`` bodies, those that
        a connected family left out behind the others
    :raises InputError: as :func:`bodyorder.analysis.environment.environment_orders`
    """
    aligned, tables = _prepared(results, "terms in their environment", order)
    by_size = {table.n_bodies: size_weights(table.n_bodies, weights, sum_rule=sum_rule) for table in tables}
    for n_bodies, own in by_size.items():
        check_determined(own, min(order, n_bodies))

    def terms(fit: SubsetFit, sizes: list[np.ndarray], top: int) -> list[np.ndarray]:
        return fit.terms(top, by_size[len(sizes)])[1:]

    rows = _Rows(aligned.data, tables, order)
    result = rows.described().assign(environment_term=(("subset", "source"), rows.values(terms)))
    return aligned.given(result.transpose("source", ...), spell(weights, sum_rule) | {"order": order})


def interaction_indices(results: SeveralResults, order: int, *, indices: Sequence[str] = INDICES) -> xr.Dataset:
    """Interaction indices of all sub-clusters of up to ``order`` bodies, side by side.

    What they are and which axioms each obeys stands in :mod:`bodyorder.subsets.indices`.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param order: largest number of bodies of a sub-cluster; structures of fewer bodies have indices of that order
    :param indices: which; all if not given
    :return: ``interaction`` in eV with dims (index, subset), behind ``source`` if several results were given, with
        ``subset_members``, ``subset_structure`` and ``subset_order``, as of :func:`environment_terms`
    :raises InputError: if the results have no subsets or lack some, for an order beyond the largest N, or an unknown index
    """
    if isinstance(indices, str) or not len(indices):
        raise InputError(f"`indices` must be several of {', '.join(INDICES)}, got {indices!r}")
    for index in indices:
        check_choice("indices", index, INDICES)
    aligned, tables = _prepared(results, "interaction indices", order)
    rows = _Rows(aligned.data, tables, order)
    found = [rows.values(partial(_interactions, index)) for index in indices]
    result = rows.described().assign(interaction=(("index", "subset", "source"), np.stack(found)))
    result = result.assign_coords(index=list(indices))
    return aligned.given(result.transpose("source", ...), {})


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
    aligned = align(results)
    dataset, tables = aligned.data, aligned.tables(purpose)
    largest = max(table.n_bodies for table in tables)
    top = check_between("max_order", largest if max_order is None else max_order, 1, largest)
    shape = (top, largest, dataset.sizes["structure"], dataset.sizes["source"])
    mean, square = np.full(shape, np.nan), np.full(shape, np.nan)
    for table in tables:
        for chunk, sizes in table.chunks():
            found = context_contributions(sizes, min(top, table.n_bodies))
            for row, values in enumerate(found):
                mean[row, : len(values), table.structures[chunk]] = values.mean(axis=1).swapaxes(0, 1)
                square[row, : len(values), table.structures[chunk]] = (values**2).mean(axis=1).swapaxes(0, 1)
    dims = ("order", "environment", "structure", "source")
    result = xr.Dataset(
        {"context_mean": (dims, mean), "context_rms": (dims, np.sqrt(square))},
        coords={"order": np.arange(1, top + 1), "environment": np.arange(largest)},
    ).transpose("source", "structure", "order", "environment")
    return aligned.given(result, {})


def _interactions(index: str, fit: SubsetFit, sizes: list[np.ndarray], order: int) -> list[np.ndarray]:
    return interactions(sizes, index, order)


def _prepared(results: SeveralResults, purpose: str, order: int) -> tuple[Aligned, list[SubsetTable]]:
    aligned = align(results)
    tables = aligned.tables(purpose)
    check_between("order", order, 1, max(table.n_bodies for table in tables))
    return aligned, tables


class _Rows:
    """All sub-clusters of up to some number of bodies: those of the results in their order, then those that they leave out.

    :param dataset: the results
    :param tables: the energies of all their sub-clusters
    :param order: largest number of bodies
    """

    def __init__(self, dataset: xr.Dataset, tables: Sequence[SubsetTable], order: int):
        self._dataset = dataset
        self._tables = tables
        self._order = order
        listed = dataset["subset_order"].values
        self._kept = np.flatnonzero(listed <= order)
        #: For each table, which sub-clusters the results leave out: their row in it, and which of its structures.
        self._left_out = [self._lacking(table) for table in tables]

    def described(self) -> xr.Dataset:
        """Which they are: ``subset_members``, ``subset_structure`` and ``subset_order``."""
        members = self._dataset["subset_members"].transpose("subset", "slot").values[self._kept, : self._order]
        added, owners = [], []
        for table, (rows, columns) in zip(self._tables, self._left_out, strict=True):
            family = complete(table.n_bodies, min(self._order, table.n_bodies)).members
            padded = [np.pad(part, ((0, 0), (0, self._order - part.shape[1])), constant_values=-1) for part in family]
            added.append(np.concatenate(padded)[rows])
            owners.append(table.structures[columns])
        members = np.concatenate([members, *added])
        structures = np.concatenate([self._dataset["subset_structure"].values[self._kept], *owners])
        return xr.Dataset(
            {
                "subset_members": (("subset", "slot"), members),
                "subset_structure": ("subset", structures),
                "subset_order": ("subset", (members >= 0).sum(axis=1)),
            }
        )

    def values(self, rule: Callable[[SubsetFit, list[np.ndarray], int], list[np.ndarray]]) -> np.ndarray:
        """Values of all of them, shape (n_subsets, n_sources).

        :param rule: from the energies of all subsets, as a fit and by size, and a largest number of bodies, to the values of the
            sub-clusters of each size up to it
        """
        found = np.full((self._dataset.sizes["subset"], self._dataset.sizes["source"]), np.nan)
        added = []
        for table, left_out in zip(self._tables, self._left_out, strict=True):
            flat = np.full_like(table.energies, np.nan)
            for chunk, fit in table.fits:
                sizes = table.split(table.energies[:, chunk])
                values = np.concatenate(rule(fit, sizes, min(self._order, table.n_bodies)))
                flat[: len(values), chunk] = values
            found[table.rows] = flat[tuple(table.places)]
            added.append(flat[left_out])
        return np.concatenate([found[self._kept], *added])

    def _lacking(self, table: SubsetTable) -> tuple[np.ndarray, np.ndarray]:
        """Sub-clusters of a table that the results do not list, structure by structure."""
        listed = np.zeros(table.energies.shape[:2], dtype=bool)
        listed[tuple(table.places)] = True
        columns, rows = np.nonzero(~listed[: count_terms(table.n_bodies, min(self._order, table.n_bodies))].T)
        return rows, columns
