"""What a reader asks of results first: what converges, where, how sure it is, and what to distrust."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder.analysis.aligned import Aligned, SeveralResults, align
from bodyorder.analysis.alignment import attributes, groups, unasked_wholes, unknown_orders
from bodyorder.analysis.comparison import compare
from bodyorder.analysis.convergence import TOLERANCE, group_convergence, sufficient_order
from bodyorder.analysis.dissociation import largest_offset
from bodyorder.analysis.multiplicity import doubtful, doubts
from bodyorder.analysis.significance import within_noise
from bodyorder.engine.noise import ROUNDING, SIGNIFICANT
from bodyorder.results.asked import unasked_orders
from bodyorder.results.variables import DOUBTFUL, describe


def findings(results: SeveralResults, reference: str | None = None, tolerance: float = TOLERANCE) -> xr.Dataset:
    """The answers, by source and group, in the variables that a report states in its first sentences.

    Of :func:`bodyorder.analysis.group_convergence`: ``group_size``, ``group_alternation`` and

    - ``sufficient_order``: the lowest order from which on the truncation error, root mean square of the group, stays below the
      tolerance, NaN if no known order suffices; ``is_certain``: whether it does with twice its noise added
    - ``last_order``: the last order whose truncation error is known, ``last_error`` that error
    - ``pair_contribution_per_body``: the two-body total; ``largest_order``, ``largest_contribution``: of the orders above 2 the
      one of largest size, and its total; ``largest_ratio``: its size over that of order 2, if that is above rounding
    - ``largest_noise``, ``noisiest_order``: the largest 1σ of an order total, and of which order
    - ``is_unknown``, of every order: whether no structure of so many bodies has it, although it was asked for
    - ``n_above_noise``, ``n_within_noise``: order totals from order 2 on that are above twice their noise, and that are not

    Of :func:`bodyorder.analysis.compare`, if there is a reference: ``total_rmse`` and ``deviation_order``, ``largest_deviation``:
    the order that a source gets most wrong, and its root mean square deviation.

    By source: ``n_lacking``, structures that lack contributions (see :func:`missing_contributions`); ``n_unasked``, those whose
    energy was not asked for; ``n_doubtful_…``,
    ``n_dissociated_states`` and ``n_all``, sums over orders of :func:`bodyorder.analysis.multiplicity.doubtful`;
    ``lone_offset``, the largest of what two atoms far apart and two lone ones differ by above noise (eV), NaN where none is;
    ``is_sampled``, whether orders are estimates from a sample; ``is_cut``, whether sub-clusters were cut by distance although
    energies do not end there.

    :param results: one result, several by name, or a combined one
    :param reference: source that the others are compared with
    :param tolerance: in eV per body
    :return: energies in eV per body, dims (group), (group, order) and, of what is said by source, none; behind ``source`` if
        several results were given; NaN where nothing is known
    :raises InputError: if there is no such reference, or as :func:`bodyorder.analysis.order_convergence`
    """
    aligned = align(results)
    several = aligned.several
    convergence = group_convergence(several, tolerance)
    found = convergence[["group_size", "group_alternation"]].merge(_of_orders(convergence, _unknown(several)))
    if reference is not None:
        compared = compare(several, reference)
        deviation = compared["order_rmse"].where(compared["source"] != reference)
        order = _order_of_largest(deviation)
        found = found.assign(
            total_rmse=compared["total_rmse"].where(compared["source"] != reference),
            deviation_order=order,
            largest_deviation=_at(deviation, order),
        )
    found = found.merge(_of_sources(several, doubts(several)))
    found.attrs = {"tolerance": convergence.attrs["tolerance"]} | ({"reference": reference} if reference else {})
    return describe(aligned.of_one(found))


def overall(found: xr.Dataset) -> xr.Dataset:
    """What counts of :func:`findings` are of all sources and groups together.

    :return: ``n_within_noise`` and ``n_dissociated_states``, sums, and ``n_totals``, the n-body totals from order 2 on that
        are known; no dims
    """
    sums = found[["n_within_noise", "n_above_noise", "n_dissociated_states"]].sum()
    return describe(sums.assign(n_totals=sums["n_within_noise"] + sums["n_above_noise"]).drop_vars("n_above_noise"))


def missing_contributions(results: SeveralResults) -> xr.DataArray:
    """Which contributions are missing, but for orders that nobody asked a source for.

    :param results: one result, several by name, or a combined one
    :return: booleans, dims (structure, order), behind ``source`` if several results were given
    """
    aligned = align(results)
    data = aligned.data
    missing = data["contribution"].isnull().transpose("source", "structure", "order")
    failed = (data["failure"] != "").any("structure") if "failure" in data else False
    asked = ~unasked_orders(data).transpose("source", "structure", "order")
    return aligned.of_one(missing & asked & (~missing.all("structure") | failed))


def _unknown(aligned: Aligned) -> xr.DataArray:
    """Orders that nothing is known of in a group although they were asked for, dims (source, group, order)."""
    missing, members = missing_contributions(aligned), groups(aligned.data)
    asked = [missing.isel(structure=rows).any("structure") for rows in members.values()]
    return unknown_orders(aligned.data) & xr.concat(asked, xr.IndexVariable("group", list(members)))


def _of_orders(convergence: xr.Dataset, unknown: xr.DataArray) -> xr.Dataset:
    totals, noise = convergence["group_contribution"], convergence["group_noise"]
    order = totals["order"]
    errors = convergence["group_truncation_error"]
    enough = sufficient_order(errors, unknown, convergence.attrs["tolerance"])
    last = order.where(errors.notnull()).max("order")
    largest = _order_of_largest(totals.where(order > 2))
    pair = totals.where(order == 2).sum("order", min_count=1)
    interactions = totals.where(order > 1)
    noisiest = _order_of_largest(noise)
    lost = within_noise(interactions, noise)
    return xr.Dataset(
        {
            "sufficient_order": enough,
            "is_certain": (
                errors + SIGNIFICANT * convergence["group_truncation_noise"] < convergence.attrs["tolerance"]
            )
            .where(errors.notnull() & (order >= enough), True)
            .all("order"),
            "last_order": last,
            "last_error": _at(errors, last),
            "pair_contribution_per_body": pair,
            "largest_order": largest,
            "largest_contribution": _at(totals, largest),
            "largest_ratio": abs(_at(totals, largest)) / abs(pair).where(abs(pair) > ROUNDING),
            "noisiest_order": noisiest,
            "largest_noise": _at(noise, noisiest),
            "is_unknown": unknown.transpose(*totals.dims),
            "n_within_noise": lost.sum("order"),
            "n_above_noise": (interactions.notnull() & ~lost).sum("order"),
        }
    )


def _of_sources(aligned: Aligned, counts: xr.Dataset) -> xr.Dataset:
    data = aligned.data
    held = attributes(data).values()
    found = xr.Dataset(
        {
            "n_lacking": missing_contributions(aligned).any("order").sum("structure"),
            "n_unasked": unasked_wholes(data).sum("structure"),
            "is_sampled": ("source", np.array(["sampled" in str(own.get("family", "")) for own in held])),
            "is_cut": ("source", np.array([own.get("family") == "cliques" for own in held])),
            "lone_offset": largest_offset(aligned),
        },
        coords={"source": data["source"]},
    )
    sums = doubtful(counts).sum("order")
    for name in (*DOUBTFUL, "n_dissociated_states"):
        found[name] = sums.get(name, xr.zeros_like(found["n_lacking"]))
    found["n_all"] = sums.get("n_all", xr.full_like(found["n_lacking"], np.nan, dtype=float))
    return found


def _order_of_largest(values: xr.DataArray) -> xr.DataArray:
    """The order at which values are largest in size; NaN where none is known."""
    sizes = abs(values)
    known = sizes.notnull().any("order")
    return sizes.fillna(-1.0).idxmax("order").where(known).astype(float)


def _at(values: xr.DataArray, order: xr.DataArray) -> xr.DataArray:
    """Values at one order each; NaN where that is not known."""
    return values.where(values["order"] == order).sum("order", min_count=1)
