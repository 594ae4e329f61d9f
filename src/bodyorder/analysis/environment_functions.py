"""The functions of few bodies that energies in an environment amount to, beside those in vacuum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from ase.data import chemical_symbols

from bodyorder._checks import InputError
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups
from bodyorder.analysis.environment import environment_orders
from bodyorder.analysis.interactions import environment_terms, interaction_indices
from bodyorder.results.variables import describe

#: Numbers of bodies of which functions are given: of one distance each, or of the mean of three.
_SIZES = (2, 3)

#: What is summed up over the structures of a group, and from which variable.
_PER_BODY = {
    "group_environment_residual": "environment_residual",
    "group_environment_noise": "environment_noise",
    "group_vacuum_noise": "vacuum_noise",
}
_AS_IS = {
    "group_environment_rms": "environment_rms",
    "group_environment_validation": "environment_validation",
    "group_environment_left_out": "environment_left_out",
}


def group_environment(results: SeveralResults, max_order: int | None = None) -> xr.Dataset:
    """Orders in their environment over the structures of each group.

    Root mean squares over the structures: ``group_environment_rms``, ``group_environment_validation``,
    ``group_environment_left_out`` (eV per body) and, divided by
    the number of bodies, ``group_environment_residual``, ``group_environment_noise`` and ``group_vacuum_noise``; all as
    :func:`bodyorder.analysis.environment_orders` defines them, with sizes equal. Beside them stand ``group_truncation_error``
    and ``group_truncation_noise`` of :func:`bodyorder.analysis.group_convergence`, the same of the expansion in vacuum.

    :param results: a result with subsets, several on the same structures by name, or a combined one
    :param max_order: largest order; all that there are if None
    :return: the variables above with dims (group, order), behind ``source`` if several results were given
    :raises InputError: as :func:`bodyorder.analysis.environment_orders`
    """
    aligned = align(results)
    combined = aligned.data
    single = environment_orders(aligned.several, max_order=max_order)
    bodies = combined["n_bodies"]
    values = {name: single[own] for name, own in _AS_IS.items()}
    values |= {name: single[own] / bodies for name, own in _PER_BODY.items()}
    members = groups(combined)
    parts = [
        xr.Dataset({name: (array.isel(structure=rows) ** 2).mean("structure") ** 0.5 for name, array in values.items()})
        for rows in members.values()
    ]
    dataset = xr.concat(parts, xr.IndexVariable("group", list(members)), join="exact", combine_attrs="drop")
    return describe(aligned.of_one(dataset.transpose("source", "group", "order")))


def environment_functions(
    results: SeveralResults, order: int, size: int, ranges: Sequence[float] | np.ndarray
) -> xr.Dataset:
    """The function of pairs, or of triples, that the best approximations of given order use.

    Every structure has its own best approximation of the energies of all its sub-clusters by terms of up to ``order`` bodies, so
    terms at the same distance differ: their mean is a function of the distance, their spread what such a function cannot know.

    - ``term_mean``, ``term_spread``: mean and standard deviation of the terms a(T) of ``size`` bodies (eV)
    - ``vacuum_mean``, ``vacuum_spread``: the same of their contributions ε(T) in vacuum
    - ``n_terms``: how many there are

    :param results: a result with subsets of clusters of atoms, several on the same structures by name, or a combined one
    :param order: largest number of bodies of a term of the approximation
    :param size: 2 for pairs, 3 for triples
    :param ranges: edges of ranges of the distance, of triples the mean of their three, in Å, increasing, shape (n + 1,)
    :return: dims (group, species, bin), behind ``source`` if several results were given; ``species`` like ``"H-O"``, symbols in
        alphabetical order, ``bin`` the middle of a range in Å; NaN where no term is in it
    :raises InputError: if bodies are not atoms, for a size that is not offered or ranges that are none, or as
        :func:`bodyorder.analysis.environment_terms`
    """
    edges = _checked(order, size, ranges)
    aligned = align(results)
    combined = aligned.data
    if "site_body" not in combined or combined.sizes["site"] != int(combined["n_bodies"].sum()):
        raise InputError("functions of distances must be of bodies that are atoms, these are not")
    terms = environment_terms(aligned.several, order)
    vacuum = interaction_indices(aligned.several, size, indices=("moebius",)).sel(index="moebius")
    rows = np.flatnonzero(terms["subset_order"].values == size)
    owners = terms["subset_structure"].values[rows]
    members = np.sort(terms["subset_members"].transpose("subset", "slot").values[rows], axis=1)[:, -size:].astype(int)
    distances, species = _geometry(combined, owners, members)
    # both hold the sub-clusters of this size in the same order
    alone = vacuum["subset_order"].values == size
    pairs = {
        "term": terms["environment_term"].transpose("source", "subset").values[:, rows],
        "vacuum": vacuum["interaction"].transpose("source", "subset").values[:, alone],
    }
    kinds = sorted(set(species))
    which = np.array([kinds.index(kind) for kind in species])
    place = np.digitize(distances, edges) - 1
    n_bins = len(edges) - 1
    own = groups(combined)
    of_group = np.full(combined.sizes["structure"], -1)
    for number, structures in enumerate(own.values()):
        of_group[structures] = number
    strata = (of_group[owners] * len(kinds) + which) * n_bins + place
    inside = (place >= 0) & (place < n_bins)
    shape = (combined.sizes["source"], len(own), len(kinds), n_bins)
    found: dict[str, np.ndarray] = {}
    for name, values in pairs.items():
        known = inside & np.isfinite(values)
        count, total, square = (
            np.array(
                [
                    np.bincount(strata[row], part[row], minlength=int(np.prod(shape[1:])))
                    for row, part in zip(known, held, strict=True)
                ]
            )
            for held in (np.ones_like(values), values, values**2)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            spread = np.sqrt(np.maximum(square / count - mean**2, 0.0))
        found |= {f"{name}_mean": mean.reshape(shape), f"{name}_spread": spread.reshape(shape)}
        found["n_terms"] = count.reshape(shape)
    dims = ("source", "group", "species", "bin")
    dataset = xr.Dataset(
        {name: (dims, values) for name, values in found.items()},
        coords={
            "source": combined["source"],
            "group": list(own),
            "species": kinds,
            "bin": (edges[1:] + edges[:-1]) / 2,
            "bin_width": ("bin", np.diff(edges)),
        },
        attrs={"order": order, "size": size},
    )
    return describe(aligned.of_one(dataset))


def known_functions(n_terms: xr.DataArray) -> list[tuple[str, str]]:
    """Functions of distance that have terms, and their species: pairs before triples, those of the commonest elements first.

    :param n_terms: of :func:`environment_functions`, of the groups that count; dims (group, function, species, bin)
    """
    counts = n_terms.sum(("group", "bin"))
    common = counts["species"].values[np.argsort(-counts.max("function").values, kind="stable")]
    kinds = sorted(map(str, common), key=lambda kind: kind.count("-"))
    names = [str(name) for name in counts["function"].values]
    return [(name, kind) for kind in kinds for name in names if float(counts.sel(function=name, species=kind)) > 0]


def _checked(order: int, size: int, ranges: Sequence[float] | np.ndarray) -> np.ndarray:
    """The edges of the ranges.

    :raises InputError: if they are none, or there are no terms of that size
    """
    if size not in _SIZES or not isinstance(order, int | np.integer) or order < size:
        raise InputError(
            f"`size` must be 2 for pairs or 3 for triples, and no larger than `order`, got size {size!r} and order {order!r}"
        )
    try:
        edges = np.asarray(ranges, dtype=np.float64)
    except (TypeError, ValueError):
        edges = np.array(np.nan)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InputError(f"`ranges` must be two or more edges in Å, finite and increasing, got {ranges!r}")
    return edges


def _geometry(combined: xr.Dataset, owners: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance in Å of the atoms of each term, and its elements as text."""
    shape = (combined.sizes["structure"], int(combined["n_bodies"].max()))
    sites = (combined["site_structure"].values, combined["site_body"].values)
    positions, numbers = np.full((*shape, 3), np.nan), np.zeros(shape, dtype=int)
    positions[sites], numbers[sites] = combined["site_position"].values, combined["site_number"].values
    own = positions[owners[:, None], members]
    first, second = np.triu_indices(members.shape[1], 1)
    distances = np.linalg.norm(own[:, first] - own[:, second], axis=2).mean(axis=1)
    symbols = np.sort(np.array(chemical_symbols)[numbers[owners[:, None], members]], axis=1)
    return distances, np.array(["-".join(row) for row in symbols])
