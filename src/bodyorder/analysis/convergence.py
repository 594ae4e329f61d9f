"""How the body orders of a result converge: truncations, alternation, growth, and the order that suffices."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder._checks import check_positive
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups, said_of_wholes, unknown_orders
from bodyorder.engine.noise import ROUNDING, SIGNIFICANT
from bodyorder.results.asked import unasked_orders
from bodyorder.results.variables import describe

#: Truncation error in eV per body below which an order is said to suffice: the accuracy asked of a good potential.
TOLERANCE = 0.010

#: First order that counts for alternation: order 1 is a baseline that no interaction enters.
_FIRST_INTERACTION = 2

#: Of a group, what is unknown in an order that none of its structures has.
_KNOWN_BY_ORDER = (
    "group_contribution", "group_spread", "group_noise", "group_truncation_error", "group_truncation_noise",
)  # fmt: skip


#: Of a group, what is made of the energies of all its structures.
_OF_TOTALS = (
    "group_total", "group_total_deviation", "group_truncation_error", "group_body_order",
)  # fmt: skip


def order_convergence(results: SeveralResults, tolerance: float = TOLERANCE) -> xr.Dataset:
    """How the orders of every structure converge.

    With the energy E of a structure of N bodies and its n-body totals E⁽ⁿ⁾:

    - ``contribution_per_body`` E⁽ⁿ⁾/N, ``noise_per_body`` σ⁽ⁿ⁾/N and ``total_per_body`` E/N
    - ``truncation`` E^{≤n} = Σ_{m≤n} E⁽ᵐ⁾ (eV)
    - ``truncation_error`` (E − E^{≤n})/N, zero at n = N
    - ``truncation_noise`` Σ_{m≤n} σ⁽ᵐ⁾/N: what 1σ of the truncation cannot exceed, however its orders are correlated
    - ``growth`` |E⁽ⁿ⁺¹⁾|/|E⁽ⁿ⁾|, NaN at n = N, at the last known order and where E⁽ⁿ⁾ is not above twice its noise (nor, here and
      below, above 1e-9 eV, which is rounding)
    - ``alternation``: of the steps n → n + 1 with n ≥ 2 whose two totals are both above twice their noise, the fraction at
      which the sign changes; 1 for a strictly alternating expansion, NaN without such a step
    - ``decay``: minus the slope of ln|E⁽ⁿ⁾| over n, by least squares over the orders n ≥ 2 whose total is above twice its noise.
      |E⁽ⁿ⁾| falls like exp(−decay · n); below zero the orders grow. NaN for fewer than two such orders
    - ``effective_body_order``: the smallest n with |E − E^{≤m}|/N < ``tolerance`` for every m ≥ n that is known. That
      all later orders count keeps a sum that passes through the right value by chance from counting as converged.
      NaN if no known order suffices, or a later one is unknown because energies failed.

    What needs E is NaN where the energy of the whole was not asked for; the attribute ``whole`` says so then.

    :param results: a result, several on the same structures by name, or a combined one
    :param tolerance: in eV per body
    :return: the variables above with dims (structure, order), behind ``source`` if several results were given; energies per body
        in eV
    :raises InputError: if the tolerance is not positive or the results are not of the same structures
    """
    tolerance = check_positive("tolerance", tolerance)
    aligned = align(results)
    combined = aligned.data
    contribution = combined["contribution"].transpose("source", "structure", "order")
    bodies = combined["n_bodies"]
    noise = _noise(combined)
    truncation = contribution.cumsum("order", skipna=False).assign_coords(order=combined["order"])
    error = (combined["total"] - truncation) / bodies
    significant = abs(contribution) > np.maximum(SIGNIFICANT * noise, ROUNDING)
    following = contribution.shift(order=-1).where(combined["order"] < bodies)
    both = significant & significant.shift(order=-1, fill_value=False)
    growth = (abs(following) / abs(contribution).where(significant)).where(following.notnull())
    steps = both & (combined["order"] >= _FIRST_INTERACTION)
    changes = (steps & (contribution * following < 0)).sum("order")
    n_steps = steps.sum("order")
    dataset = xr.Dataset(
        {
            "contribution_per_body": contribution / bodies,
            "noise_per_body": noise / bodies,
            "total_per_body": combined["total"] / bodies,
            "truncation": truncation,
            "truncation_error": error,
            "truncation_noise": noise.cumsum("order", skipna=False).assign_coords(order=combined["order"]) / bodies,
            "growth": growth,
            "alternation": changes / n_steps.where(n_steps > 0),
            "decay": _decay(contribution.where(significant & (combined["order"] >= _FIRST_INTERACTION))),
            "effective_body_order": sufficient_order(error, _failed(combined, error), tolerance),
        },
        attrs={"tolerance": tolerance} | said_of_wholes(combined),
    )
    return describe(aligned.of_one(dataset.transpose("source", "structure", "order")))


def group_convergence(results: SeveralResults, tolerance: float = TOLERANCE) -> xr.Dataset:
    """How the orders converge, over the structures of each group that have contributions.

    ``group_contribution``, ``group_spread``: mean and standard deviation (over structures) of E⁽ⁿ⁾/N; ``group_total``,
    ``group_total_deviation``: the same of E/N; ``group_noise``, ``group_truncation_error``, ``group_truncation_noise``: root mean
    squares of σ⁽ⁿ⁾/N, of (E − E^{≤n})/N and of its noise; ``group_growth``: geometric mean of the growth;
    ``group_alternation`` and ``group_decay``: means of alternation and decay; ``group_body_order``: median effective body
    order, where structures that do not converge count as infinite; ``group_size``: structures that have any contribution.
    What has an order is NaN where none of the structures of so many bodies has it: the zeros of smaller ones say nothing then.
    What needs E is NaN where a structure of the group has none although nothing failed: none was asked for (the attribute
    ``whole`` says so then), or there is none of a cell. The others are the small ones, which would speak for the large.
    Each is defined in :func:`order_convergence`.

    :param results: a result, several on the same structures by name, or a combined one
    :param tolerance: in eV per body
    :return: the variables above with dims (group, order), behind ``source`` if several results were given
    :raises InputError: as :func:`order_convergence`
    """
    aligned = align(results)
    combined = aligned.data
    single = order_convergence(aligned.several, tolerance)
    members = groups(combined)
    parts = [_summary(single.isel(structure=rows)) for rows in members.values()]
    dataset = xr.concat(
        parts,
        xr.IndexVariable("group", list(members)),
        data_vars="all",
        coords="minimal",
        compat="override",
        join="exact",
    )
    known = ~unknown_orders(combined)
    dataset = dataset.assign({name: dataset[name].where(known) for name in _KNOWN_BY_ORDER})
    held = _totals_held(combined)
    dataset = dataset.assign({name: dataset[name].where(held) for name in _OF_TOTALS})
    dataset.attrs = single.attrs
    return describe(aligned.of_one(dataset.transpose("source", "group", "order")))


def steepest_growth(convergence: xr.Dataset) -> xr.Dataset:
    """Where orders grow most from one to the next.

    :param convergence: of :func:`group_convergence`
    :return: ``largest_growth``: the largest ``group_growth`` from order 2 on, and ``growth_order``, the order that grows so; dims
        (source, group), NaN where no growth is known
    """
    growth = convergence["group_growth"].where(convergence["order"] > 1)
    known = growth.notnull().any("order")
    order = growth.fillna(-np.inf).idxmax("order").where(known)
    return describe(xr.Dataset({"largest_growth": growth.max("order"), "growth_order": order}))


def _noise(combined: xr.Dataset) -> xr.DataArray:
    """1σ of the contributions in eV; zero where a result gives none, NaN where the contribution is missing."""
    contribution = combined["contribution"].transpose("source", "structure", "order")
    noise = combined["noise"].fillna(0.0) if "noise" in combined else xr.zeros_like(contribution)
    return noise.transpose("source", "structure", "order").where(contribution.notnull())


def _decay(contribution: xr.DataArray) -> xr.DataArray:
    """Minus the slope of ln|E⁽ⁿ⁾| over n of every structure, where two orders or more are known."""
    logarithm = xr.apply_ufunc(np.log, abs(contribution).where(contribution != 0))
    offset = contribution["order"].where(logarithm.notnull())
    offset = offset - offset.mean("order")
    return -(offset * logarithm).sum("order") / (offset**2).sum("order").where(lambda spread: spread > 0)


def _failed(combined: xr.Dataset, error: xr.DataArray) -> xr.DataArray:
    """Which orders are unknown although somebody asked for them."""
    if "failure" not in combined:
        return xr.zeros_like(error, dtype=bool)
    asked = (combined["order"] <= combined["n_bodies"]) & ~unasked_orders(combined)
    return error.isnull() & (combined["failure"] != "") & asked


def _totals_held(combined: xr.Dataset) -> xr.DataArray:
    """Groups whose structures all have energies, but for those of which something failed, dims (source, group)."""
    lacking = combined["total"].isnull().transpose("source", "structure")
    if "failure" in combined:
        lacking = lacking & (combined["failure"] == "")
    parts = [~lacking.isel(structure=rows).any("structure") for rows in groups(combined).values()]
    return xr.concat(parts, xr.IndexVariable("group", list(groups(combined))))


def sufficient_order(error: xr.DataArray, failed: xr.DataArray, tolerance: float) -> xr.DataArray:
    """The lowest order from which on all errors are smaller than a tolerance; NaN if there is none.

    :param failed: orders that are unknown although they were asked for; others that are unknown do not count
    """
    small = (abs(error) < tolerance) | (error.isnull() & ~failed)
    backwards = small.isel(order=slice(None, None, -1))
    stays = backwards.cumprod("order").astype(bool).isel(order=slice(None, None, -1))
    stays = stays.assign_coords(order=error["order"]) & error.notnull()
    return error["order"].where(stays).min("order")


def _summary(part: xr.Dataset) -> xr.Dataset:
    """Statistics over the structures of one group."""

    def root_mean_square(name: str) -> xr.DataArray:
        return (part[name] ** 2).mean("structure") ** 0.5

    present = part["contribution_per_body"].notnull().any("order")
    order = part["effective_body_order"].where(~present, part["effective_body_order"].fillna(np.inf))
    median = order.median("structure")
    logarithm = xr.apply_ufunc(np.log, part["growth"].where(part["growth"] > 0))
    return xr.Dataset(
        {
            "group_contribution": part["contribution_per_body"].mean("structure"),
            "group_spread": part["contribution_per_body"].std("structure"),
            "group_total": part["total_per_body"].mean("structure"),
            "group_total_deviation": part["total_per_body"].std("structure"),
            "group_noise": root_mean_square("noise_per_body"),
            "group_truncation_error": root_mean_square("truncation_error"),
            "group_truncation_noise": root_mean_square("truncation_noise"),
            "group_growth": xr.apply_ufunc(np.exp, logarithm.mean("structure")),
            "group_alternation": part["alternation"].mean("structure"),
            "group_decay": part["decay"].mean("structure"),
            "group_body_order": median.where(np.isfinite(median)),
            "group_size": present.sum("structure"),
        }
    )
