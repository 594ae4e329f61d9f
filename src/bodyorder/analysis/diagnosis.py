"""What *ab initio* orders depend on: the change of each with one factor, and where a method leaves the exact energies."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_choice, check_positive
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups, per_body
from bodyorder.analysis.factors import Pair, exact_references, pairs
from bodyorder.analysis.significance import within_noise
from bodyorder.analysis.strata import Strata
from bodyorder.engine.noise import ROUNDING
from bodyorder.results.variables import describe

#: An error of a sub-cluster's energy in eV beyond which a method is said to have left the reference: 1 kcal/mol.
CHEMICAL_ACCURACY = 0.043


def order_changes(results: SeveralResults) -> xr.Dataset:
    """How the order totals change with the spin rule, the basis, counterpoise, a field, the method and any other factor.

    For every pair of sources that differ in one factor alone (see :mod:`bodyorder.analysis.factors`), with
    ΔE⁽ⁿ⁾ = E⁽ⁿ⁾(to) − E⁽ⁿ⁾(from), over the structures of a group that have n bodies or more:

    - ``change_mean`` ⟨ΔE⁽ⁿ⁾/N⟩ and ``change_rms`` √⟨(ΔE⁽ⁿ⁾/N)²⟩
    - ``change_noise`` the root mean square of √(σ(from)² + σ(to)²)/N, the errors of two sources being independent
    - ``change_total`` ⟨(E(to) − E(from))/N⟩

    :param results: results of the same structures by name, or a combined one; their attribute ``source`` holds the spec
    :return: the variables above in eV per body, dims (pair, group, order); for each pair the coordinates ``factor``,
        ``from`` and ``to`` (values of the factor), ``from_source`` and ``to_source`` (names), ``common`` (what both share)
    :raises InputError: if the results are not of the same structures
    """
    combined = align(results).data
    found = pairs(combined)
    members = groups(combined)
    bodies = combined["n_bodies"].values
    orders = per_body(combined, "contribution")
    noise = per_body(combined, "noise") if "noise" in combined else np.zeros_like(orders)
    totals = combined["total"].transpose("source", "structure").values / bodies
    shape = (len(found), len(members), combined.sizes["order"])
    mean, square, sigma = (np.full(shape, np.nan) for _ in range(3))
    total = np.full(shape[:2], np.nan)
    for place, pair in enumerate(found):
        start, end = pair.sources
        change = orders[end] - orders[start]
        variance = np.where(np.isnan(change), np.nan, np.nan_to_num(noise[start]) ** 2 + np.nan_to_num(noise[end]) ** 2)
        for column, rows in enumerate(members.values()):
            mean[place, column] = _mean(change[:, rows])
            square[place, column] = np.sqrt(_mean(change[:, rows] ** 2))
            sigma[place, column] = np.sqrt(_mean(variance[:, rows]))
            total[place, column] = _mean((totals[end] - totals[start])[None, rows])[0]
    dims = ("pair", "group", "order")
    dataset = xr.Dataset(
        {
            "change_mean": (dims, mean),
            "change_rms": (dims, square),
            "change_noise": (dims, sigma),
            "change_total": (dims[:2], total),
        },
        coords=pair_coordinates(combined, found) | {"group": list(members), "order": combined["order"]},
    )
    return describe(dataset)


def single_reference_errors(
    results: SeveralResults, reference: str | None = None, tolerance: float = CHEMICAL_ACCURACY
) -> xr.Dataset:
    """Where a method leaves a reference: errors ΔE(S) of the energies of sub-clusters of each size, and of the orders.

    - ``error_mean``, ``error_rms``, ``error_largest``: ⟨ΔE⟩, √⟨ΔE²⟩ and the ΔE of largest size, over the sub-clusters S of
      n bodies that both have, and ``n_compared``, their number
    - ``n_beyond``: how many of them have |ΔE| above the tolerance
    - ``mean_contamination``: ⟨Ŝ²⟩ − S(S + 1) of the source, mean, and ``error_contamination``: its correlation with |ΔE|
      (Pearson's r); NaN where the source does not record it
    - ``order_bias``, ``order_rmse``: mean and root mean square of the error of E⁽ⁿ⁾/N
    - ``order_share``: ``order_rmse`` over the root mean square of E⁽ⁿ⁾/N of the reference

    :param results: results with subsets of the same structures by name, or a combined one
    :param reference: name of the source that is right. If None, each source is compared with the one that differs from it in
        the method alone and is exact (FCI, or else DMRG).
    :param tolerance: in eV
    :return: the variables above with dims (source, group, order), energies in eV, those of orders in eV per body; the
        sources are those that have a reference, which the coordinate ``reference`` names
    :raises InputError: if the results hold no subsets, or no source has a reference
    """
    tolerance = check_positive("tolerance", tolerance)
    combined = align(results).data
    strata = Strata.of(combined, "subset_energy", "errors of sub-clusters")
    names = [str(name) for name in combined["source"].values]
    if reference is None:
        references = exact_references(combined)
    else:
        check_choice("reference", reference, names)
        references = {name: reference for name in names if name != reference}
    if not references:
        raise InputError(
            "errors of sub-clusters must be against a reference, no result is of FCI or DMRG in the basis, spin rule and "
            "counterpoise of another one; add it, or name a `reference`"
        )
    parts = [
        _errors(combined, strata, (names.index(name), names.index(right)), tolerance)
        for name, right in references.items()
    ]
    dims = ("source", "group", "order")
    found = {name: (dims, np.stack([part[name] for part in parts])) for name in parts[0]}
    coordinates = {
        "source": list(references),
        "reference": ("source", list(references.values())),
        "group": list(groups(combined)),
        "order": combined["order"],
    }
    return describe(xr.Dataset(found, coords=coordinates, attrs={"tolerance": tolerance}))


def largest_changes(changes: xr.Dataset) -> xr.Dataset:
    """The order above 1 that changes most with each factor, in the group where it does.

    :param changes: of :func:`order_changes`
    :return: ``largest_change`` (eV per body, a mean of the group), ``changed_order``, ``changed_group`` and ``total_change``, the
        mean change of energies there; dims (pair). NaN, and no group, where no change is above twice its noise
    """
    significant = (changes["order"] > 1) & ~within_noise(changes["change_mean"], changes["change_noise"].fillna(0.0))
    mean = changes["change_mean"].transpose("pair", "group", "order").values
    sizes = np.where(
        significant.transpose("pair", "group", "order").values & (np.abs(mean) > ROUNDING), np.abs(mean), -1.0
    )
    at = sizes.reshape(len(sizes), -1).argmax(axis=1)
    rows, (group, order) = np.arange(len(sizes)), np.unravel_index(at, sizes.shape[1:])
    known = sizes[rows, group, order] > 0
    total = changes["change_total"].transpose("pair", "group").values[rows, group]
    dataset = xr.Dataset(
        {
            "largest_change": ("pair", np.where(known, mean[rows, group, order], np.nan)),
            "changed_order": ("pair", np.where(known, changes["order"].values[order], np.nan)),
            "changed_group": ("pair", np.where(known, changes["group"].values.astype(str)[group], "")),
            "total_change": ("pair", np.where(known, total, np.nan)),
        },
        coords={"pair": changes["pair"].values},
    )
    return describe(dataset)


def largest_errors(errors: xr.Dataset) -> xr.Dataset:
    """How many sub-clusters a method gets wrong, and of which size they are.

    :param errors: of :func:`single_reference_errors`
    :return: ``n_compared`` and ``n_beyond``, sums over groups and orders; ``first_beyond``, the smallest size of which some
        are beyond the tolerance; ``worst_rms`` (eV), ``worst_size``, ``worst_group``: where the root mean square error is
        largest; dims (source)
    """
    rms = errors["error_rms"].transpose("source", "group", "order")
    flat = rms.values.reshape(len(rms), -1)
    known = np.isfinite(flat).any(axis=1)
    at = np.where(np.isnan(flat), -1.0, flat).argmax(axis=1)
    group, order = np.unravel_index(at, rms.shape[1:])
    beyond = errors["n_beyond"].sum("group")
    dataset = xr.Dataset(
        {
            "n_compared": errors["n_compared"].sum(("group", "order")),
            "n_beyond": beyond.sum("order"),
            "first_beyond": errors["order"].where(beyond > 0).min("order"),
            "worst_rms": ("source", np.where(known, np.nanmax(np.where(known[:, None], flat, 0.0), axis=1), np.nan)),
            "worst_size": ("source", np.where(known, rms["order"].values[order], np.nan)),
            "worst_group": ("source", rms["group"].values.astype(str)[group]),
        },
        coords={"source": errors["source"], "reference": errors["reference"]},
    )
    return describe(dataset)


def pair_coordinates(combined: xr.Dataset, found: list[Pair]) -> dict[str, tuple[str, list[str]]]:
    """What describes each pair along the dimension ``pair``."""
    names = [str(name) for name in combined["source"].values]
    return {
        "pair": ("pair", [pair.label for pair in found]),
        "factor": ("pair", [pair.factor for pair in found]),
        "from": ("pair", [pair.values[0] for pair in found]),
        "to": ("pair", [pair.values[1] for pair in found]),
        "from_source": ("pair", [names[pair.sources[0]] for pair in found]),
        "to_source": ("pair", [names[pair.sources[1]] for pair in found]),
        "common": ("pair", [pair.common for pair in found]),
    }


def _errors(combined: xr.Dataset, strata: Strata, places: tuple[int, int], tolerance: float) -> dict[str, np.ndarray]:
    """Errors of one source against another; shape (group, order) each."""
    source, reference = places
    energies = combined["subset_energy"].transpose("source", "subset").values
    error = energies[source] - energies[reference]
    known = np.isfinite(error)
    found = {
        "error_mean": strata.mean(error, known),
        "error_rms": np.sqrt(strata.mean(error**2, known)),
        "error_largest": strata.largest(error, known),
        "n_compared": strata.count(known),
        "n_beyond": strata.count(known & (np.abs(error) > tolerance)),
    }
    contamination = np.full(len(error), np.nan)
    if "subset_contamination" in combined:
        contamination = combined["subset_contamination"].transpose("source", "subset").values[source]
    both = known & np.isfinite(contamination)
    found["mean_contamination"] = strata.mean(contamination, both)
    found["error_contamination"] = strata.correlation(np.abs(error), contamination, both)
    orders = per_body(combined, "contribution")
    wrong, right = orders[source] - orders[reference], orders[reference]
    right = np.where(np.isnan(wrong), np.nan, right)
    members = groups(combined)
    for name, values in (("order_bias", wrong), ("order_rmse", wrong**2), ("order_share", right**2)):
        found[name] = np.stack([_mean(values[:, rows]) for rows in members.values()])
    found["order_rmse"] = np.sqrt(found["order_rmse"])
    size = np.sqrt(found["order_share"])
    found["order_share"] = found["order_rmse"] / np.where(size > 0, size, np.nan)
    return found


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of each row over what is known; NaN where nothing is."""
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    return np.where(counts > 0, np.where(known, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)
