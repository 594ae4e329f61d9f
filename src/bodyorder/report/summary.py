"""The findings in plain language. Every number is computed from the data, and the data decide which sentences are said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bodyorder.analysis import Aligned, attributes, doubts
from bodyorder.analysis.factors import factors, short
from bodyorder.analysis.multiplicity import DOUBTS
from bodyorder.analysis.significance import drowns
from bodyorder.report.wording import NEGLIGIBLE, SMALL, capitalized, energy, place

#: From this ratio on, the deviation of a single order is said to dwarf that of the energy.
_DWARFS = 5

_MOSTLY = 0.75

#: What is in doubt, in the words of a sentence: of one sub-cluster, and of several.
_DOUBT_WORDS = {
    "n_contaminated": ("is spin contaminated", "are spin contaminated"),
    "n_degenerate": ("is nearly degenerate", "are nearly degenerate"),
    "n_uncertain": ("has an uncertain energy", "have uncertain energies"),
    "n_failed": ("failed", "failed"),
}


def findings(
    results: xr.Dataset, convergence: xr.Dataset, comparison: xr.Dataset | None, body: str = "atom"
) -> list[str]:
    """What the data say, a sentence or two for each point.

    :param results: of :func:`bodyorder.analysis.combine`
    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    :param comparison: of :func:`bodyorder.analysis.compare`, or None without a reference
    :param body: what a body is called
    """
    sources = [str(name) for name in convergence["source"].values]
    groups = [str(name) for name in convergence["group"].values]
    leading = [comparison.attrs["reference"]] if comparison is not None else sources
    said = []
    lacking = missing_contributions(results).any("structure")
    for source in leading:
        for group in groups:
            sentence = _of_expansion(convergence.sel(source=source, group=group), source, group, body)
            if sentence:
                said.append(sentence)
            said += _of_unknown(convergence.sel(source=source, group=group), lacking.sel(source=source), source, group)
    if comparison is not None:
        for source in sources:
            if source != comparison.attrs["reference"]:
                sentence = _of_deviation(convergence, comparison, source, body)
                if sentence:
                    said.append(sentence)
    said += _of_noise(convergence, body)
    said += _of_families(results)
    said += _of_failures(results)
    said += of_doubts(doubts(Aligned(results)), {name: short(held) for name, held in factors(results).items()})
    return said


def of_doubts(counts: xr.Dataset, names: Mapping[str, str]) -> list[str]:
    """How many sub-clusters of each source are in doubt."""
    said = []
    for source in counts["source"].values:
        part = counts.sel(source=source)
        found = []
        for name in DOUBTS:
            number = int(part[name].sum()) if name in part else 0
            if number:
                found.append((number, _DOUBT_WORDS[name][number > 1]))
        if not found:
            continue
        size = part["n_clusters"]
        of = f" of {int(size.sum())}" if bool(size.notnull().any()) else ""
        first, *others = found
        several = "s" if of or first[0] > 1 else ""
        rest = "".join(f", {number} {words}" for number, words in others)
        said.append(f"{first[0]}{of} sub-cluster{several} of {names.get(str(source), str(source))} {first[1]}{rest}.")
    return said


def missing_contributions(results: xr.Dataset) -> xr.DataArray:
    """Which contributions are missing, dims (source, structure, order), but for orders that nobody asked a source for."""
    missing = results["contribution"].isnull().transpose("source", "structure", "order")
    failed = (results["failure"] != "").any("structure") if "failure" in results else False
    return missing & (~missing.all("structure") | failed)


def _sentence(*parts: str) -> str:
    text = " ".join(part for part in parts if part)
    return f"{capitalized(text)}."


def _of_expansion(part: xr.Dataset, source: str, group: str, body: str) -> str:
    """How the orders of one source go in one group."""
    totals = part["group_contribution"]
    higher = totals.where(totals["order"] > 2, drop=True).dropna("order")
    where = f"{place(group)}," if place(group) else ""
    two = float(totals.sel(order=2)) if 2 in totals["order"] else np.nan
    if not higher.sizes["order"]:
        if np.isnan(two):
            return ""
        return _sentence(where, f"the two-body energy of {source} is {energy(two, body, signed=True)}")
    largest_at = int(abs(higher).idxmax("order"))
    largest = float(higher.sel(order=largest_at))
    closing = _of_truncation(part, body)
    known = " known" if bool(totals.where(totals["order"] > 2, drop=True).isnull().any()) else ""
    if abs(largest) < SMALL:
        return (
            _sentence(
                where, f"everything{known} above order 2 is small in {source}: the largest total is",
                f"{energy(largest, body, signed=True)}, at order {largest_at}",
            )
            + closing
        )  # fmt: skip
    how = _alternating(float(part["group_alternation"]))
    if not abs(largest) <= abs(two):
        grows = f"grow to {energy(largest, body, signed=True)} at order {largest_at}"
        times = f", {abs(largest / two):.1f} times the two-body energy" if abs(two) > SMALL else ""
        verb = f"{how} and {grows}" if how else grows
        return _sentence(where, f"the contributions of {source} {verb}{times}") + closing
    also = f" and {how}" if how else ""
    return (
        _sentence(
            where, f"the contributions of {source} above order 2 are smaller than its two-body energy{also}: the largest is",
            f"{energy(largest, body, signed=True)}, at order {largest_at}",
        )
        + closing
    )  # fmt: skip


def _of_unknown(part: xr.Dataset, lacking: xr.DataArray, source: str, group: str) -> list[str]:
    """Orders of which nothing is known in one group, although somebody asked for them."""
    unknown = part["group_contribution"].isnull() & lacking
    orders = [str(order) for order in part["order"].values[unknown.values]]
    if not orders:
        return []
    which, verb = ("orders", "are") if len(orders) > 1 else ("order", "is")
    listed = ", ".join(orders)
    return [
        _sentence(place(group), f"{which} {listed} of {source} {verb} unknown: energies that they need are missing")
    ]


def _alternating(fraction: float) -> str:
    if fraction == 1:
        return "alternate in sign"
    return "mostly alternate in sign" if fraction >= _MOSTLY else ""


def _of_truncation(part: xr.Dataset, body: str) -> str:
    tolerance = f"{1e3 * part.attrs['tolerance']:g} meV per {body}"
    enough = float(part["group_body_order"])
    errors = part["group_truncation_error"].dropna("order")
    if not errors.sizes["order"]:
        return ""
    if np.isnan(enough):
        last = int(errors["order"][-1])
        error = energy(float(errors[-1]), body)
        if float(errors[-1]) < part.attrs["tolerance"]:  # and yet later orders are unknown
            return f" Stopped at order {last} its error is {error}, and what follows is unknown."
        return f" No expansion up to order {last} is within {tolerance}: stopped there, its error is {error}."
    worst_at = int(errors.idxmax("order"))
    worst = float(errors.sel(order=worst_at))
    text = f" From order {enough:g} on the expansion is within {tolerance}"
    if enough == errors["order"][-1] and float(errors[-1]) < NEGLIGIBLE:
        text = f" Only the complete expansion, up to order {enough:g}, is within {tolerance}"
    if enough > 2 and worst_at > 1:
        return f"{text}; stopped at order {worst_at} it is off by {energy(worst, body)}, the worst."
    return f"{text}."


def _of_deviation(convergence: xr.Dataset, comparison: xr.Dataset, source: str, body: str) -> str:
    """How one source differs from the reference, over all groups."""
    reference = comparison.attrs["reference"]
    part = comparison.sel(source=source)
    parts: list[str] = []
    totals: list[float] = []
    worst = (0.0, 0.0, 0, "")
    for group in part["group"].values:
        total = float(part["total_rmse"].sel(group=group))
        if np.isnan(total):
            continue
        totals.append(total)
        parts.append(f"{energy(total, body)} {place(str(group))}".strip())
        orders = part["order_rmse"].sel(group=group).dropna("order")
        if orders.sizes["order"]:
            at = int(orders.idxmax("order"))
            worst = max(worst, (float(orders.sel(order=at)), total, at, str(group)))
    if not parts:
        return ""
    text = f"{source} differs from {reference} in energy by {' and '.join(parts)} (RMSE)"
    if max(totals) < NEGLIGIBLE:
        text = f"{source} has the same energies as {reference}"
    deviation, total, at, group = worst
    if deviation > SMALL:
        text += (
            f"; its largest deviation in one order is {energy(deviation, body)}, at order {at} {place(group)}".rstrip()
        )
        if deviation > _DWARFS * total > _DWARFS * NEGLIGIBLE:
            text += f", {deviation / total:.0f} times that of the energy: what the orders get wrong cancels in the sum"
    return text + "." + _of_own_order(convergence, source, body)


def _of_own_order(convergence: xr.Dataset, source: str, body: str) -> str:
    """The largest contribution above order 2 that a source has of its own."""
    totals = convergence["group_contribution"].sel(source=source)
    higher = totals.where(totals["order"] > 2, drop=True)
    if not higher.size or not bool(higher.notnull().any()):
        return ""
    group, order = np.unravel_index(int(np.nanargmax(abs(higher.values))), higher.shape)
    value = energy(float(higher.values[group, order]), body, signed=True)
    where = place(str(higher["group"].values[group]))
    return (
        f" Of its own, its largest total above order 2 is {value}, at order {int(higher['order'][order])} {where}".rstrip()
        + "."
    )


def _of_noise(convergence: xr.Dataset, body: str) -> list[str]:
    """Orders that drown in their noise."""
    said = []
    lost = drowns(convergence["group_contribution"], convergence["group_noise"])
    for source in convergence["source"].values:
        for group in convergence["group"].values:
            orders = [int(order) for order in convergence["order"].values[lost.sel(source=source, group=group).values]]
            if orders:
                listed = ", ".join(map(str, orders))
                sigma = float(convergence["group_noise"].sel(source=source, group=group, order=orders).max())
                size = f" (1σ up to {energy(sigma, body)})" if sigma > NEGLIGIBLE else ""
                which = f"{f'orders {listed}' if len(orders) > 1 else f'order {listed}'} of {source}"
                verb, noise = ("are", "their noise") if len(orders) > 1 else ("is", "its noise")
                mean = "on average" if int(convergence["group_size"].sel(source=source, group=group)) > 1 else ""
                said.append(_sentence(which, place(str(group)), verb, mean, f"zero within twice {noise}{size}"))
    return said


def _of_families(results: xr.Dataset) -> list[str]:
    """Sources whose sub-clusters were cut by distance although their energies do not end there, or are a sample."""
    return [
        f"{source} was resolved with those sub-clusters alone whose bodies are all within {held.get('cutoff')} Å of each "
        "other, which is an approximation: what it leaves out is in the truncation error."
        for source, held in attributes(results).items()
        if held.get("family") == "cliques"
    ] + [
        f"The orders of {source} are estimates from a sample of its sub-clusters, and their noise holds the error of that."
        for source, held in attributes(results).items()
        if "sampled" in str(held.get("family", ""))
    ]


def _of_failures(results: xr.Dataset) -> list[str]:
    missing = missing_contributions(results).any("order")
    n_missing = int(missing.any("source").sum())
    if not n_missing:
        return []
    names = ", ".join(str(name) for name in results["source"].values[missing.any("structure").values])
    verb = "lacks" if n_missing == 1 else "lack"
    return [
        f"{n_missing} of {results.sizes['structure']} structures {verb} contributions ({names}); "
        "means are over those that have them, and the reasons are listed below."
    ]
