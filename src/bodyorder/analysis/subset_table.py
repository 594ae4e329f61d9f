"""The energies of all sub-clusters of each structure, or those up to a size, in tables for subset mathematics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import attributes
from bodyorder.subsets import SubsetFit, complete, summed_energies

#: Numbers that are worked on at once: what bounds the memory of an analysis.
_CHUNK = 2**21

#: More sub-clusters of one structure than this do not fit in memory: all those of 26 bodies.
_MOST_SUBSETS = 2**26


@dataclass(frozen=True, eq=False)
class SubsetTable:
    """Energies of the sub-clusters of structures that have the same number of bodies: all of them, or all up to a size.

    :param n_bodies: number of bodies N
    :param largest: size K of the largest subsets that are there, N if all are
    :param structures: which structures of the results, shape (n,)
    :param energies: E(S) in eV of all non-empty subsets, by size and colexicographic within a size, shape
        (Σ_{k≤K} C(N, k), n, n_sources), which for all subsets is (2ᴺ − 1, n, n_sources)
    :param rows: which subsets of the results these are, shape (m,)
    :param places: and where each stands along the first two axes of ``energies``, shape (2, m)
    :param evaluated: whether all energies were evaluated, and none put together from others, shape (n, n_sources)
    :param variances: Σ_{|S|=k} σ²(S) in eV² over the sub-clusters of each size, from their independent errors (``subset_noise``),
        shape (K, n, n_sources); NaN where the results do not hold them, and where energies were put together from those of
        connected sub-clusters, whose errors they share
    """

    n_bodies: int
    largest: int
    structures: np.ndarray
    energies: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    evaluated: np.ndarray
    variances: np.ndarray

    def chunks(self) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Some structures at a time: which, and the energies of the subsets of each size, (C(N, k), n, n_sources)."""
        for chunk in self._chunks():
            yield chunk, self.split(self.energies[:, chunk])

    @cached_property
    def fits(self) -> list[tuple[slice, SubsetFit]]:
        """The same, ready for best approximations of all orders and weights. Of all subsets only."""
        return [(chunk, SubsetFit(sizes)) for chunk, sizes in self.chunks()]

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Values of all subsets, shape (n_subsets, …), by size."""
        return np.split(values, _offsets(self.n_bodies, self.largest)[1:-1])

    def _chunks(self) -> Iterator[slice]:
        step = max(1, _CHUNK // (self.energies.shape[0] * self.energies.shape[2]))
        for start in range(0, len(self.structures), step):
            yield slice(start, start + step)


def subset_tables(dataset: xr.Dataset, purpose: str, largest: int) -> list[SubsetTable]:
    """The energies of all sub-clusters of every structure, a table for each number of bodies that there is.

    Energies that failed to compute are NaN. Where a source is additive and only connected sub-clusters were evaluated, the
    energy of every other is the sum of the contributions that it holds, which is exact.

    :param dataset: results with subsets and a ``source`` dimension, flat
    :param purpose: what they are wanted for, to say in errors
    :param largest: size of the largest sub-clusters that are wanted
    :raises InputError: if sub-clusters are missing that were never asked for (the message says of which sizes), or the
        energies of a structure belong to different systems: it is periodic, or each subset has functions of its own
    """
    _check_comparable(dataset, purpose, largest)
    energies = _by_source(dataset["subset_energy"])
    members = dataset["subset_members"].transpose("subset", "slot").values
    owners = dataset["subset_structure"].values
    bodies = dataset["n_bodies"].values.astype(np.int64)
    found = []
    for n_bodies in np.unique(bodies):
        structures = np.flatnonzero(bodies == n_bodies)
        column = np.full(len(bodies), -1)
        column[structures] = np.arange(len(structures))
        rows = np.arange(len(owners)) if len(structures) == len(bodies) else np.flatnonzero(column[owners] >= 0)
        top = min(int(n_bodies), largest)
        offsets = _offsets(int(n_bodies), top)
        columns = column[owners[rows]]
        sizes, places = _placed(members[rows] if len(rows) < len(members) else members, columns, int(n_bodies), offsets)
        table = np.full((offsets[-1], len(structures), energies.shape[1]), np.nan)
        table[places, columns] = energies[rows]
        evaluated = np.asarray(np.isfinite(table).all(axis=0))
        variances = _variances(dataset, rows, (sizes, columns), (top, *table.shape[1:]))
        variances[:, ~evaluated] = np.nan
        own = SubsetTable(
            int(n_bodies), top, structures, table, rows, np.stack([places, columns]), evaluated, variances
        )
        if not evaluated.all():
            _complete_connected(dataset, own)
            _check_complete(dataset, own, purpose)
        found.append(own)
    return found


def _placed(
    members: np.ndarray, columns: np.ndarray, n_bodies: int, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Size of each subset, and its place among all of the structure.

    :param members: bodies of each, −1 for an empty slot, shape (m, n_slots)
    :param columns: whose each is, shape (m,)
    """
    # As results mostly have them: structure by structure, those of each in the order of a complete family.
    count = int(offsets[-1])
    if len(members) == count * (len(members) // count) and members.shape[1] >= len(offsets) - 1:
        family = complete(n_bodies, len(offsets) - 1).members
        listed = np.full((count, members.shape[1]), -1, dtype=members.dtype)
        for start, part in zip(offsets, family, strict=False):
            listed[start : start + len(part), : part.shape[1]] = part
        blocks = columns.reshape(-1, count)
        if (blocks == blocks[:, :1]).all() and (members.reshape(-1, *listed.shape) == listed).all():
            sizes = np.repeat(np.arange(1, len(offsets)), np.diff(offsets))
            return np.tile(sizes, len(blocks)), np.tile(np.arange(count), len(blocks))
    sizes, ranks = _ranks(members.astype(np.int64), n_bodies)
    return sizes, offsets[sizes - 1] + ranks


def _variances(
    dataset: xr.Dataset, rows: np.ndarray, places: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """Σ_{|S|=k} σ²(S) in eV², shape (K, n, n_sources).

    :param rows: which subsets
    :param places: size and column of each
    """
    if "subset_noise" not in dataset:
        return np.full(shape, np.nan)
    squares = _by_source(dataset["subset_noise"])[rows] ** 2
    sizes, columns = places
    flat_places = (sizes - 1) * shape[1] + columns
    sums = [np.bincount(flat_places, own, minlength=shape[0] * shape[1]) for own in squares.T]
    return np.stack(sums, axis=1).reshape(shape).astype(np.float64)  # numpy counts nothing at all in integers


def _by_source(array: xr.DataArray) -> np.ndarray:
    """Values of a variable along subset or structure, shape (n, n_sources)."""
    return array.transpose(..., "source").values


def _ranks(members: np.ndarray, n_bodies: int) -> tuple[np.ndarray, np.ndarray]:
    """Size of each subset, and its place in the colexicographic order of all subsets of that size."""
    slots = members.shape[1]
    ordered = np.sort(np.where(members < 0, n_bodies, members), axis=1)
    # The place of the empty slots, after all bodies, counts nothing.
    table = np.array(
        [[comb(body, slot + 1) for body in range(n_bodies)] + [0] for slot in range(slots)], dtype=np.int64
    )
    ranks = table[np.arange(slots), ordered].sum(axis=1)
    return (members >= 0).sum(axis=1), ranks


def _offsets(n_bodies: int, largest: int) -> np.ndarray:
    """Where the subsets of each size up to the largest begin, and the end."""
    return np.cumsum([0] + [comb(n_bodies, size) for size in range(1, largest + 1)])


def _check_comparable(dataset: xr.Dataset, purpose: str, largest: int) -> None:
    if "cell" in dataset and bool(dataset["cell"].notnull().any()):
        raise InputError(
            f"{purpose} must be of free clusters, some of these are periodic and have no energy of the whole; take "
            "the surroundings of some atoms (`bodyorder sample --surroundings`)"
        )
    for entry in attributes(dataset).values():
        if entry.get("counterpoise") == "vmfc":
            raise InputError(
                f"{purpose} must come from energies in one set of functions, those of {entry.get('source', 'a source')} are "
                "in the functions of each subset; decompose with counterpoise=full"
            )
    bodies = int(dataset["n_bodies"].max())
    count = sum(comb(bodies, size) for size in range(1, min(bodies, largest) + 1))
    if count > _MOST_SUBSETS:
        raise InputError(
            f"{purpose} need the energy of every sub-cluster, which must be at most {_MOST_SUBSETS:,}, "
            f"{bodies} bodies have {count:,}; give smaller structures"
        )


def _is_connected(dataset: xr.Dataset) -> np.ndarray:
    """Which sources have energies of connected sub-clusters alone, shape (n_sources,)."""
    return np.array([entry.get("family") == "connected" for entry in attributes(dataset).values()])


def _complete_connected(dataset: xr.Dataset, table: SubsetTable) -> None:
    """Fill in the sub-clusters that an additive source did not need, in place."""
    connected = _is_connected(dataset)
    if not connected.any() or table.largest not in dataset["order"].values:
        return
    top = _by_source(dataset["contribution"].sel(order=table.largest))[table.structures]
    missing = np.isnan(table.energies)
    epsilons = np.zeros_like(table.energies)
    epsilons[tuple(table.places)] = _by_source(dataset["subset_contribution"])[table.rows]
    wanted = missing.any(axis=0) & connected & np.isfinite(top) & np.isfinite(epsilons).all(axis=0)
    family = complete(table.n_bodies, table.largest)
    summed = np.concatenate(summed_energies(family, table.split(epsilons[:, wanted])))
    table.energies[:, wanted] = np.where(missing[:, wanted], summed, table.energies[:, wanted])


def _check_complete(dataset: xr.Dataset, table: SubsetTable, purpose: str) -> None:
    listed = np.zeros(table.energies.shape[:2], dtype=bool)
    listed[tuple(table.places)] = True
    failed = np.zeros(table.energies.shape[1:], dtype=bool)
    if "failure" in dataset:
        failed = _by_source(dataset["failure"])[table.structures] != ""
    # of a connected family an energy that failed is missing in all sub-clusters that would be put together from others
    summed = failed & _is_connected(dataset) & (table.largest in dataset["order"].values)
    lacking = np.isnan(table.energies) & ~(listed[:, :, None] & failed) & ~summed
    if not lacking.any():
        return
    structure, source = np.argwhere(lacking.any(axis=0))[0]
    parts = table.split(lacking[:, structure, source])
    sizes = [size for size, part in enumerate(parts, start=1) if part.any()]
    whose = str(dataset["structure"].values[table.structures[structure]])
    if dataset.sizes["source"] > 1:
        whose += f" by {dataset['source'].values[source]}"
    raise InputError(
        f"{purpose} need the energy of every sub-cluster, {whose} lacks those of size"
        f"{'s' if len(sizes) > 1 else ''} {', '.join(str(size) for size in sizes)}; decompose without max_order, cutoff and "
        f"samples"
    )
