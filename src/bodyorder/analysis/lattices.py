"""The energies of all sub-clusters of each structure, or those up to a size, laid out for subset mathematics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import SeveralResults, attributes, combine
from bodyorder.engine.variables import describe
from bodyorder.subsets import complete, summed_energies

#: Numbers that are worked on at once: what bounds the memory of an analysis.
_CHUNK = 2**21

#: More sub-clusters of one structure than this do not fit in memory: all those of 26 bodies.
_MOST_SUBSETS = 2**26

_NEEDED = ("subset_energy", "subset_members", "subset_structure", "n_bodies")


@dataclass(frozen=True)
class Lattices:
    """Complete lattices of structures that have the same number of bodies, or all their layers up to a size.

    :param n_bodies: number of bodies N
    :param largest: size K of the largest subsets that are there, N for a complete lattice
    :param structures: which structures of the results, shape (n,)
    :param energies: E(S) in eV of all non-empty subsets, by size and colexicographic within a size, shape
        (Σ_{k≤K} C(N, k), n, n_sources), which for a complete lattice is (2ᴺ − 1, n, n_sources)
    :param rows: which subsets of the results these are, shape (m,)
    :param places: and where each stands along the first two axes of ``energies``, shape (2, m)
    :param evaluated: whether all energies were evaluated, and none put together from others, shape (n, n_sources)
    """

    n_bodies: int
    largest: int
    structures: np.ndarray
    energies: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    evaluated: np.ndarray

    def layers(self) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """Some structures at a time: which, and the energies of the subsets of each size, (C(N, k), n, n_sources)."""
        step = max(1, _CHUNK // (self.energies.shape[0] * self.energies.shape[2]))
        for start in range(0, len(self.structures), step):
            chunk = slice(start, start + step)
            yield chunk, self.split(self.energies[:, chunk])

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Values of all subsets, shape (n_subsets, …), by size."""
        return np.split(values, _offsets(self.n_bodies, self.largest)[1:-1])


def one_dataset(results: SeveralResults, purpose: str) -> xr.Dataset:
    """The results in one dataset, which has a ``source`` dimension only if several were given.

    :raises InputError: if they hold no subsets
    """
    if not isinstance(results, xr.Dataset | Mapping):
        raise InputError(
            f"{purpose} must come from a result or several by name, got {type(results).__name__}; load files with load_results"
        )
    dataset = results if isinstance(results, xr.Dataset) else combine(results)
    for name in _NEEDED:
        if name not in dataset:
            raise InputError(
                f"{purpose} must come from results with subsets, `{name}` is missing; decompose with subsets=True"
            )
    return dataset


def lattices(dataset: xr.Dataset, purpose: str, *, resolved: bool = False) -> list[Lattices]:
    """The complete lattice of every structure, for each number of bodies that there is.

    Energies that failed to compute are NaN. Where a source is additive and only connected sub-clusters were evaluated, the
    energy of every other is the sum of the contributions that it holds, which is exact.

    :param dataset: of :func:`one_dataset`
    :param purpose: what they are wanted for, to say in errors
    :param resolved: whether sizes up to the largest order of the results suffice; there are no others then
    :raises InputError: if sub-clusters are missing that were never asked for (the message says of which sizes), or the
        energies of a structure are not those of one lattice: it is periodic, or each subset has functions of its own
    """
    largest = int(dataset["order"].max()) if resolved else int(dataset["n_bodies"].max())
    _check_one_lattice(dataset, purpose, largest)
    energies = _by_source(dataset["subset_energy"])
    members = dataset["subset_members"].transpose("subset", "slot").values.astype(np.int64)
    owners = dataset["subset_structure"].values
    bodies = dataset["n_bodies"].values.astype(np.int64)
    sizes, ranks = _ranks(members, int(bodies.max()))
    found = []
    for n_bodies in np.unique(bodies):
        structures = np.flatnonzero(bodies == n_bodies)
        column = np.full(len(bodies), -1)
        column[structures] = np.arange(len(structures))
        rows = np.flatnonzero(column[owners] >= 0)
        offsets = _offsets(int(n_bodies), min(int(n_bodies), largest))
        places = np.stack([offsets[sizes[rows] - 1] + ranks[rows], column[owners[rows]]])
        dense = np.full((offsets[-1], len(structures), energies.shape[1]), np.nan)
        dense[tuple(places)] = energies[rows]
        evaluated = np.asarray(np.isfinite(dense).all(axis=0))
        lattice = Lattices(int(n_bodies), min(int(n_bodies), largest), structures, dense, rows, places, evaluated)
        if not np.isfinite(dense).all():
            _complete_connected(dataset, lattice)
            _check_complete(dataset, lattice, purpose)
        found.append(lattice)
    return found


def as_given(dataset: xr.Dataset, result: xr.Dataset, options: dict[str, str | int]) -> xr.Dataset:
    """An analysis with the coordinates and attributes of its results, and a ``source`` dimension only if they had one."""
    if "source" not in dataset.dims:
        result = result.isel(source=0)
    kept = [name for name in ("structure", "source", "group") if name in dataset.coords]
    result = result.assign_coords({name: dataset[name] for name in kept})
    result.attrs = {key: value for key, value in dataset.attrs.items() if key in ("source", "bodies", "spin")} | options
    return describe(result)


def spell(weights: str | Sequence[float], sum_rule: bool) -> dict[str, str | int]:
    """Weights as attributes of a file."""
    numbers = weights if isinstance(weights, str) else json.dumps([float(weight) for weight in weights])
    return {"weights": numbers, "sum_rule": str(sum_rule).lower()}


def _by_source(array: xr.DataArray) -> np.ndarray:
    """Values of a variable along subset or structure, shape (n, n_sources)."""
    if "source" not in array.dims:
        return array.values[:, None]
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


def _attributes(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Attributes of the result of each source."""
    if "source" in dataset.dims:
        return list(attributes(dataset).values())
    return [{str(key): value for key, value in dataset.attrs.items()}]


def _check_one_lattice(dataset: xr.Dataset, purpose: str, largest: int) -> None:
    if "cell" in dataset and bool(dataset["cell"].notnull().any()):
        raise InputError(
            f"{purpose} must be of free clusters, some of these are periodic and have no energy of the whole; take "
            "the surroundings of some atoms (`bodyorder sample --surroundings`)"
        )
    for entry in _attributes(dataset):
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
    return np.array([entry.get("family") == "connected" for entry in _attributes(dataset)])


def _complete_connected(dataset: xr.Dataset, lattice: Lattices) -> None:
    """Fill in the sub-clusters that an additive source did not need, in place."""
    connected = _is_connected(dataset)
    if not connected.any() or lattice.largest not in dataset["order"].values:
        return
    top = _by_source(dataset["contribution"].sel(order=lattice.largest))[lattice.structures]
    missing = np.isnan(lattice.energies)
    epsilons = np.zeros_like(lattice.energies)
    epsilons[tuple(lattice.places)] = _by_source(dataset["subset_contribution"])[lattice.rows]
    wanted = missing.any(axis=0) & connected & np.isfinite(top) & np.isfinite(epsilons).all(axis=0)
    family = complete(lattice.n_bodies, lattice.largest)
    summed = np.concatenate(summed_energies(family, lattice.split(epsilons[:, wanted])))
    lattice.energies[:, wanted] = np.where(missing[:, wanted], summed, lattice.energies[:, wanted])


def _check_complete(dataset: xr.Dataset, lattice: Lattices, purpose: str) -> None:
    listed = np.zeros(lattice.energies.shape[:2], dtype=bool)
    listed[tuple(lattice.places)] = True
    failed = np.zeros(lattice.energies.shape[1:], dtype=bool)
    if "failure" in dataset:
        failed = _by_source(dataset["failure"])[lattice.structures] != ""
    # of a connected family an energy that failed is missing in all sub-clusters that would be put together from others
    summed = failed & _is_connected(dataset) & (lattice.largest in dataset["order"].values)
    lacking = np.isnan(lattice.energies) & ~(listed[:, :, None] & failed) & ~summed
    if not lacking.any():
        return
    structure, source = np.argwhere(lacking.any(axis=0))[0]
    parts = lattice.split(lacking[:, structure, source])
    sizes = [size for size, part in enumerate(parts, start=1) if part.any()]
    whose = str(dataset["structure"].values[lattice.structures[structure]])
    if "source" in dataset.dims:
        whose += f" by {dataset['source'].values[source]}"
    raise InputError(
        f"{purpose} need the energy of every sub-cluster, {whose} lacks those of size"
        f"{'s' if len(sizes) > 1 else ''} {', '.join(str(size) for size in sizes)}; decompose without max_order, cutoff and "
        f"samples"
    )
