"""Which spin states sub-clusters are in, which of them change with a factor, and how many states are in doubt."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import xarray as xr

from bodyorder._checks import check_between
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import attributes, groups
from bodyorder.analysis.diagnosis import pair_coordinates
from bodyorder.analysis.factors import pairs
from bodyorder.analysis.strata import Strata
from bodyorder.engine.subset_energies import DEGENERATE
from bodyorder.results.variables import DOUBTFUL, DOUBTS, describe
from bodyorder.sources.protocol import CONTAMINATED

#: Multiplicity of the lowest states of higher spin than that of paired electrons.
HIGH = 3

#: Sub-clusters of more bodies are not divided into two parts: there are too many ways.
_MOST_PARTED = 10

_PURPOSE = "multiplicities"


def multiplicities(results: SeveralResults) -> xr.Dataset:
    """How many sub-clusters of each size are in which spin state.

    ``n_states``: sub-clusters by multiplicity 2S + 1; ``n_unknown``: those that have an energy and no known multiplicity.

    :param results: a result with subsets and known states, several by name, or a combined one
    :return: the variables above with dims (group, order, multiplicity), behind ``source`` if several results were given
    :raises InputError: if no result has ``subset_multiplicity``
    """
    aligned = align(results)
    combined = aligned.data
    strata = Strata.of(combined, "subset_multiplicity", _PURPOSE)
    states = _states(combined)
    energies = combined["subset_energy"].transpose("source", "subset").values
    known = [int(value) for value in np.unique(states[states > 0])]
    counts = np.array([[strata.count(row == value) for value in known] for row in states])
    counts = counts.reshape(len(states), len(known), *strata.shape)
    unknown = np.array([strata.count((row == 0) & np.isfinite(own)) for row, own in zip(states, energies, strict=True)])
    dims = ("source", "group", "order")
    dataset = xr.Dataset(
        {"n_states": ((*dims, "multiplicity"), np.moveaxis(counts, 1, -1)), "n_unknown": (dims, unknown)},
        coords={name: combined[name] for name in ("source", "order")}
        | {"group": list(groups(combined)), "multiplicity": known},
    )
    return describe(aligned.of_one(dataset))


def state_totals(states: xr.Dataset) -> xr.Dataset:
    """How many sub-clusters are in which spin state, of all sizes and groups.

    :param states: of :func:`multiplicities`
    :return: ``n_states`` by multiplicity, ``n_states_known``: their sum, and ``n_high_spin``: those of a multiplicity from
        :data:`HIGH` on, with the other dimensions of the states
    """
    counts = states["n_states"].sum(("group", "order"))
    high = counts.where(counts["multiplicity"] >= HIGH, 0)
    sums = {"n_states_known": counts.sum("multiplicity"), "n_high_spin": high.sum("multiplicity")}
    return describe(xr.Dataset({"n_states": counts} | sums))


def multiplicity_changes(results: SeveralResults, largest: int = 5) -> xr.Dataset:
    """Which sub-clusters have another multiplicity when one factor changes, and what that does to their energies.

    For every pair of sources of :func:`bodyorder.analysis.order_changes`, with ΔE(S) = E(S)(to) − E(S)(from):

    - ``n_compared``, ``n_changed``: sub-clusters of n bodies whose multiplicities are both known, and those of them that differ
    - ``changed_energy_mean``, ``changed_energy_largest``: mean of ΔE over those that differ, and the ΔE of largest size
    - ``changed_structure``, ``changed_members``, ``changed_from``, ``changed_to``, ``changed_energy``: structure, bodies, both
      multiplicities and ΔE of the few whose ΔE is largest in size, along ``rank``; empty, −1 or NaN beyond the last

    :param results: results with subsets and known states by name, or a combined one
    :param largest: how many sub-clusters of each pair to name
    :return: the variables above with dims (pair, group, order), (pair, rank) and (pair, rank, slot), energies in eV, and the
        coordinates of pairs
    :raises InputError: if no result has ``subset_multiplicity``
    """
    largest = check_between("largest", largest, 0, 1000)
    combined = align(results).data
    strata = Strata.of(combined, "subset_multiplicity", _PURPOSE)
    states = _states(combined)
    energies = combined["subset_energy"].transpose("source", "subset").values
    found = pairs(combined)
    table: dict[str, list[np.ndarray]] = {}
    named = _Named(combined, (len(found), largest))
    for place, pair in enumerate(found):
        start, end = pair.sources
        both = (states[start] > 0) & (states[end] > 0)
        changed = both & (states[start] != states[end])
        difference = energies[end] - energies[start]
        measured = changed & np.isfinite(difference)
        row = {
            "n_compared": strata.count(both),
            "n_changed": strata.count(changed),
            "changed_energy_mean": strata.mean(difference, measured),
            "changed_energy_largest": strata.largest(difference, measured),
        }
        for name, values in row.items():
            table.setdefault(name, []).append(values)
        named.fill(place, measured, difference, (states[start], states[end]))
    dims = ("pair", "group", "order")
    empty = np.empty((0, *strata.shape))
    names = ("n_compared", "n_changed", "changed_energy_mean", "changed_energy_largest")
    dataset = xr.Dataset(
        {name: (dims, np.stack(table[name]) if found else empty) for name in names} | named.variables,
        coords=pair_coordinates(combined, found) | {"group": list(groups(combined)), "order": combined["order"]},
    )
    return describe(dataset)


def change_totals(changes: xr.Dataset) -> xr.Dataset:
    """How many sub-clusters of all sizes change their multiplicity, and how much that changes an energy at most.

    :param changes: of :func:`multiplicity_changes`
    :return: ``n_compared`` and ``n_changed``, sums over orders, and ``changed_energy_size``: the largest size of a ΔE in eV,
        NaN where none is known; dims (pair, group)
    """
    sums = changes[["n_compared", "n_changed"]].sum("order")
    return describe(sums.assign(changed_energy_size=abs(changes["changed_energy_largest"]).max("order")))


def doubts(results: SeveralResults) -> xr.Dataset:
    """How many sub-clusters of each size are in doubt.

    ``n_contaminated``, ``n_degenerate``, ``n_uncertain``, ``n_failed``, summed over the structures of a group (NaN where a
    source does not count them), and ``n_clusters``, of how many (NaN where the family of sub-clusters is not known).

    ``n_dissociated``: how many of the nearly degenerate states are of sub-clusters S that fall into two parts A and B which
    do not interact, |E(S) − E(A) − E(B)| < 27 meV, and both of which have open shells (a multiplicity above one, or they
    fall apart so themselves). The spins of such parts are coupled to
    states that are degenerate the more exactly the farther the parts are: physics, and no reason to doubt the energy. Spin
    contaminated states are not counted among them. NaN where results do not hold the states of sub-clusters, or hold those of
    periodic structures.

    :param results: a result, several by name, or a combined one
    :return: those of the variables above that any result has, with dims (group, order), behind ``source`` if several results
        were given
    """
    aligned = align(results)
    combined = aligned.data
    members = groups(combined)
    dims = ("source", "group", "order")
    present = [name for name in DOUBTS if name in combined]
    dataset = xr.Dataset(coords={name: combined[name] for name in ("source", "order")} | {"group": list(members)})
    for name in present:
        values = combined[name].transpose("source", "structure", "order").astype(float)
        sums = [values.isel(structure=rows).sum("structure", min_count=1).values for rows in members.values()]
        dataset[name] = (dims, np.stack(sums, axis=1))
    if "n_degenerate" in present:
        dataset["n_dissociated"] = (dims, _dissociated(combined, dataset["n_degenerate"].values))
    if present:
        sizes = xr.DataArray(_sizes(combined, members), dims=dims)
        dataset["n_clusters"] = sizes.where(dataset[present].to_array().notnull().any("variable").transpose(*dims))
    return describe(aligned.of_one(dataset))


def doubt_totals(counts: xr.Dataset) -> xr.Dataset:
    """How many sub-clusters of all sizes are in doubt: the variables of :func:`doubts`, summed over orders.

    :param counts: of :func:`doubts`
    :return: the same variables without the order, NaN where they are known of none
    """
    return describe(counts.sum("order", min_count=1))


def doubtful(counts: xr.Dataset) -> xr.Dataset:
    """How many sub-clusters of each size give reason to doubt, summed over groups.

    ``n_doubtful_failed``, ``n_doubtful_contaminated``, ``n_doubtful_uncertain``, ``n_doubtful_degenerate``: nearly degenerate
    states are without those that are known to be of dissociated sub-clusters, which are ``n_dissociated_states``; ``n_all``,
    of how many.

    :param counts: of :func:`doubts`
    :return: those of the variables above that are counted, with the dimensions of the counts but for the group
    """
    sums = counts.sum("group")
    found = xr.Dataset(coords=sums.coords)
    for name, remaining in zip(DOUBTS, DOUBTFUL, strict=True):
        if name in sums:
            found[remaining] = sums[name]
    if "n_dissociated" in sums:
        found["n_doubtful_degenerate"] = found["n_doubtful_degenerate"] - sums["n_dissociated"]
        found["n_dissociated_states"] = sums["n_dissociated"]
    if "n_clusters" in sums:
        found["n_all"] = sums["n_clusters"]
    return describe(found)


class _Named:
    """The few sub-clusters of each pair that are named."""

    def __init__(self, combined: xr.Dataset, shape: tuple[int, int]):
        members = combined["subset_members"].transpose("subset", "slot").values
        self._members, self._largest = members, shape[1]
        self._structures, self._owners = combined["structure"].values, combined["subset_structure"].values
        self._values: dict[str, np.ndarray] = {
            "changed_structure": np.full(shape, "", dtype=object),
            "changed_members": np.full((*shape, members.shape[1]), -1),
            "changed_from": np.full(shape, np.nan),
            "changed_to": np.full(shape, np.nan),
            "changed_energy": np.full(shape, np.nan),
        }

    def fill(self, place: int, chosen: np.ndarray, energy: np.ndarray, states: tuple[np.ndarray, np.ndarray]) -> None:
        """Name those of the ``chosen`` sub-clusters whose energy changes most."""
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(-np.abs(energy[rows]), kind="stable")][: self._largest]
        here = (place, slice(len(rows)))
        self._values["changed_structure"][here] = self._structures[self._owners[rows]]
        self._values["changed_members"][here] = self._members[rows]
        self._values["changed_from"][here] = states[0][rows]
        self._values["changed_to"][here] = states[1][rows]
        self._values["changed_energy"][here] = energy[rows]

    @property
    def variables(self) -> dict[str, Any]:
        """As variables of a dataset."""
        return {name: (("pair", "rank", "slot")[: values.ndim], values) for name, values in self._values.items()}


def _states(combined: xr.Dataset) -> np.ndarray:
    """Multiplicity of each sub-cluster by each source, shape (source, subset), 0 where it is not known."""
    values = combined["subset_multiplicity"].transpose("source", "subset").values
    return np.nan_to_num(np.rint(values)).astype(np.int64)


def _dissociated(combined: xr.Dataset, degenerate: np.ndarray) -> np.ndarray:
    """Nearly degenerate sub-clusters that fall into open-shell parts, shape (source, group, order)."""
    unknown = np.where(degenerate == 0, 0.0, np.nan)
    needed = ("subset_gap", "subset_multiplicity", "subset_energy", "subset_members")
    if any(name not in combined for name in needed) or "subset_cells" in combined:
        return unknown
    strata = Strata.of(combined, "subset_gap", "states of sub-clusters")
    energies, gaps = (combined[name].transpose("source", "subset").values for name in ("subset_energy", "subset_gap"))
    pure = np.ones(gaps.shape, dtype=bool)
    if "subset_contamination" in combined:
        pure = ~(combined["subset_contamination"].transpose("source", "subset").values > CONTAMINATED)
    masks = [sum(1 << int(body) for body in row if body >= 0) for row in combined["subset_members"].values]
    owners = combined["subset_structure"].values
    for place, shells in enumerate(_states(combined) > 1):
        if not np.isfinite(gaps[place]).any():
            continue
        near, chosen = (gaps[place] < DEGENERATE) & pure[place], np.zeros(len(masks), dtype=bool)
        for structure in np.unique(owners[near]):
            inside = np.flatnonzero(owners == structure)
            # of sub-clusters with open shells, those among them that have fallen apart: nothing else can be a part
            alone = {masks[row]: energies[place, row] for row in inside[shells[inside]]}
            for row in sorted(inside[near[inside]], key=lambda row: masks[row].bit_count()):
                if _falls_apart(masks[row], energies[place, row], alone):
                    chosen[row], alone[masks[row]] = True, energies[place, row]
        unknown[place] = strata.count(chosen)
    return unknown


def _falls_apart(whole: int, energy: float, alone: dict[int, float]) -> bool:
    """Whether some bodies, as bits of a number, are two parts that do not interact, both in ``alone`` with their energies."""
    if whole.bit_count() > _MOST_PARTED:
        return False
    part = (whole - 1) & whole
    while part > whole & ~part:
        rest = whole & ~part
        if part in alone and rest in alone and abs(energy - alone[part] - alone[rest]) < DEGENERATE:
            return True
        part = (part - 1) & whole
    return False


def _sizes(combined: xr.Dataset, members: dict[str, np.ndarray]) -> np.ndarray:
    """Sub-clusters of each source, group and order, shape (source, group, order)."""
    orders = combined["order"].values
    bodies = combined["n_bodies"].values
    every = [[sum(comb(int(n), int(order)) for n in bodies[rows]) for order in orders] for rows in members.values()]
    complete = [held.get("family", "complete") == "complete" for held in attributes(combined).values()]
    counts = np.where(np.array(complete)[:, None, None], np.array(every, dtype=float), np.nan)
    if not all(complete) and "subset_energy" in combined:
        strata = Strata.of(combined, "subset_energy", "numbers of sub-clusters")
        energies = combined["subset_energy"].transpose("source", "subset").values
        for place in np.flatnonzero(~np.array(complete)):
            counts[place] = strata.count(np.isfinite(energies[place]))
    return counts
