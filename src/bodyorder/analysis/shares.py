"""Which atoms carry which order: the contributions of subsets, split equally among their atoms."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import attributes
from bodyorder.results.variables import describe


def atom_shares(results: SeveralResults) -> xr.Dataset:
    """Share of every atom in every order.

    Body b of a structure has in order n the share ε_b⁽ⁿ⁾ = Σ_{S∋b, |S|=n} ε(S)/n, and each of its atoms an equal part
    of that; so the shares of all atoms of a structure add up to its n-body total E⁽ⁿ⁾.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :return: ``atom_share`` in eV with dims (order, site), behind ``source`` if several results were given, and the ``site_``
        variables of the result. Shares are NaN where the structure's n-body total is.
    :raises InputError: if the results hold no subsets or no sites, or subsets that are only a sample or
        not all
    """
    aligned = align(results)
    combined = aligned.data
    needed = ("subset_contribution", "subset_members", "subset_structure", "site_structure", "site_body")
    missing = [name for name in needed if name not in combined]
    if missing:
        raise InputError(
            f"shares of atoms must come from results with subsets, `{missing[0]}` is missing; "
            "decompose with subsets=True"
        )
    for name, held in attributes(combined).items():
        if "sampled" in str(held.get("family", "")):
            raise InputError(
                f"shares of atoms must come from all sub-clusters, {name} has a sample; decompose without sampling"
            )
    orders = combined["order"].values
    bodies = combined["n_bodies"].values.astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(bodies)])
    members = combined["subset_members"].transpose("subset", "slot").values.astype(np.int64)
    sizes = (members >= 0).sum(axis=1)
    contributions = combined["subset_contribution"].transpose("source", "subset").values
    rows, slots = np.nonzero(members >= 0)
    places = offsets[combined["subset_structure"].values[rows]] + members[rows, slots]
    atoms = offsets[combined["site_structure"].values] + combined["site_body"].values
    per_body = np.bincount(atoms, minlength=offsets[-1])
    shares = np.zeros((len(contributions), len(orders), len(atoms)))
    for source, values in enumerate(contributions):
        # A subset that a source leaves out contributes nothing; a total that is missing is marked below.
        weights = np.nan_to_num(values[rows]) / sizes[rows]
        for index, order in enumerate(orders):
            chosen = sizes[rows] == order
            body = np.bincount(places[chosen], weights[chosen], minlength=offsets[-1])
            shares[source, index] = (body / np.maximum(per_body, 1))[atoms]
    known = combined["contribution"].transpose("source", "order", "structure").notnull().values
    shares[~known[:, :, combined["site_structure"].values]] = np.nan
    _check_sums(combined, shares)
    dataset = xr.Dataset(
        {"atom_share": (("source", "order", "site"), shares)},
        coords={name: combined[name] for name in ("source", "order")},
    )
    sites = [str(name) for name in combined.data_vars if str(name).startswith("site_")]
    return describe(aligned.of_one(dataset.assign({name: combined[name] for name in sites})))


def _check_sums(combined: xr.Dataset, shares: np.ndarray) -> None:
    """Check that shares add up to the totals: where sub-clusters were taken away, or a source keeps none, they do not."""
    owners, count = combined["site_structure"].values, combined.sizes["structure"]
    sums = np.stack([[np.bincount(owners, own, minlength=count) for own in orders] for orders in shares])
    totals = combined["contribution"].transpose("source", "order", "structure").values
    sizes = np.abs(combined["subset_contribution"].transpose("source", "subset").values)
    allowed = 1e-6 + 1e-9 * np.nansum(sizes, axis=1)[:, None, None]
    wrong = np.argwhere(np.abs(sums - totals) > allowed)
    if len(wrong):
        source, _, structure = wrong[0]
        raise InputError(
            f"shares of atoms must come from all sub-clusters, those of {combined['structure'].values[structure]} by "
            f"{combined['source'].values[source]} do not add up to its contributions; decompose with subsets=True, and keep all"
        )
