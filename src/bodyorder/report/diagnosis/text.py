"""The *ab initio* section in plain language. Every number is computed from the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from bodyorder.analysis.factors import Series
from bodyorder.analysis.significance import drowns
from bodyorder.plots.diagnosis import free, state_name
from bodyorder.report.wording import NEGLIGIBLE, capitalized, energy, place

#: Multiplicity of the states of higher spin than that of paired electrons.
_HIGH = 3

#: Correlation from which on errors are said to go with something.
_RELATED = 0.5


def of_changes(changes: xr.Dataset, lines: Sequence[Series], body: str) -> list[str]:
    """How the orders change with each factor, against the anchor of its series."""
    said = []
    for line in lines:
        for row in with_anchor(changes, line):
            part = changes.isel(pair=row)
            parts = [_change(part.sel(group=group), str(group), body) for group in changes["group"].values]
            known = [text for text in parts if text]
            if known:
                said.append(
                    f"{capitalized(str(part['pair'].values))}: {'. '.join(capitalized(text) for text in known)}."
                )
    return said


def of_states(states: xr.Dataset, names: Mapping[str, str]) -> list[str]:
    """Which sub-clusters have high spins, in sources that leave them a choice."""
    high = states["multiplicity"].values >= _HIGH
    said = []
    for source in free(states):
        counts = states["n_states"].sel(source=source)
        several = counts.isel(multiplicity=high)
        n_high, n_all = int(several.sum()), int(counts.sum())
        if not n_high:
            continue
        by_group = several.sum(("order", "multiplicity"))
        where = [
            f"{int(n)} {place(str(name))}".strip() for name, n in zip(by_group["group"].values, by_group, strict=True)
        ]
        by_order = several.sum(("group", "multiplicity"))
        most = int(by_order.idxmax("order"))
        listed = f" ({', '.join(where)})" if len(where) > 1 else ""
        highest = max(
            int(value) for value in several["multiplicity"].values if int(several.sel(multiplicity=value).sum())
        )
        which = "most of them of" if bool((by_order.sel(order=most) < n_high).item()) else "of"
        verb = "is neither a singlet nor a doublet" if n_high == 1 else "are neither singlets nor doublets"
        said.append(
            f"{n_high} of {n_all} sub-clusters of {names[source]} {verb}{listed}, {which} {_bodies(most)}; the highest spin is "
            f"that of a {state_name(highest)}."
        )
    return said


def of_moves(moves: xr.Dataset, lines: Sequence[Series]) -> list[str]:
    """Which sub-clusters change their multiplicity with a factor; what is bound to, by the rule, is not worth a word."""
    said = []
    for line in lines:
        for row in with_anchor(moves, line):
            part = moves.isel(pair=row)
            compared = int(part["n_compared"].sum())
            if not compared or "high" in (str(part["from"].values), str(part["to"].values)):
                continue
            changed = part["n_changed"].sum("group")
            label = capitalized(str(part["pair"].values))
            if not int(changed.sum()):
                said.append(f"{label}: no sub-cluster of {compared} changes its multiplicity.")
                continue
            orders = [
                f"{int(n)} of {_bodies(int(order))}"
                for order, n in zip(changed["order"].values, changed.values, strict=True)
                if n
            ]
            verb = "changes its multiplicity" if int(changed.sum()) == 1 else "change their multiplicities"
            said.append(
                f"{label}: {int(changed.sum())} of {compared} sub-clusters {verb} ({', '.join(orders)}){_first(part)}."
            )
    return said


def of_errors(errors: xr.Dataset, names: Mapping[str, str], body: str) -> list[str]:
    """Where each method leaves its reference."""
    tolerance = f"{1e3 * errors.attrs['tolerance']:g} meV"
    said = []
    for source in errors["source"].values:
        for group in errors["group"].values:
            part = errors.sel(source=source, group=group)
            compared, beyond = int(part["n_compared"].sum()), part["n_beyond"]
            if not compared:
                continue
            subject = f"{capitalized(place(str(group)))}, {names[str(source)]}".removeprefix(", ")
            against = f"its reference {names[str(part['reference'].values)]}"
            if not int(beyond.sum()):
                largest = float(abs(part["error_largest"]).max())
                said.append(
                    f"{subject} is within {tolerance} of {against} in all of {compared} sub-clusters; the largest error is "
                    f"{_plain(largest)}."
                )
                continue
            first = int(beyond["order"].values[beyond.values > 0][0])
            worst = int(part["error_rms"].idxmax("order"))
            text = (
                f"{subject} is more than {tolerance} off {against} in {int(beyond.sum())} of {compared} sub-clusters, from "
                f"{_bodies(first)} on; the RMS error is largest for {_bodies(worst)}, "
                f"{_plain(float(part['error_rms'].sel(order=worst)))}"
            )
            text += _related(part) + "." + _in_orders(part, body)
            said.append(text)
    return said


def with_anchor(dataset: xr.Dataset, line: Series) -> list[int]:
    """Pairs of a series that hold its anchor."""
    starts, ends = dataset["from_source"].values.astype(str), dataset["to_source"].values.astype(str)
    inside = np.isin(starts, line.sources) & np.isin(ends, line.sources)
    return [int(row) for row in np.flatnonzero(inside & ((starts == line.anchor) | (ends == line.anchor)))]


def _change(part: xr.Dataset, group: str, body: str) -> str:
    sizes, noise = part["change_rms"], part["change_noise"].fillna(0.0)
    if not bool(sizes.notnull().any()):
        return ""
    where = place(group)
    # Order 1 is a baseline that no interaction enters.
    interactions = sizes.where(sizes["order"] > 1, drop=True)
    lacking = [str(int(order)) for order in interactions["order"].values[interactions.isnull().values]]
    if interactions.sizes["order"] and len(lacking) == interactions.sizes["order"]:
        return f"{where} all orders from 2 on are missing".strip()
    missing = f" (missing: order{'s' if len(lacking) > 1 else ''} {', '.join(lacking)})" if lacking else ""
    if bool((drowns(sizes, noise) | (sizes.fillna(0.0) < NEGLIGIBLE)).all()):
        return f"{where} no order changes by more than twice its noise{missing}".strip()
    most = int((interactions if interactions.sizes["order"] else sizes).idxmax("order"))
    total = float(part["change_total"])
    ending = f"; that of the energy is {energy(total, body, signed=True)}" if np.isfinite(total) else ""
    mean = energy(float(part["change_mean"].sel(order=most)), body, signed=True)
    of = "the change from order 2 on is largest at" if most > 1 else "the change is largest at"
    return f"{where} {of} order {most}, {mean}{missing}{ending}".strip()


def _first(part: xr.Dataset) -> str:
    """The sub-cluster whose energy changes most."""
    if not part.sizes["rank"] or not np.isfinite(float(part["changed_energy"][0])):
        return ""
    row = part.isel(rank=0)
    bodies = ", ".join(str(body) for body in row["changed_members"].values if body >= 0)
    states = " to ".join(state_name(int(row[name])) for name in ("changed_from", "changed_to"))
    change = _plain(float(row["changed_energy"]), signed=True)
    return (
        f"; the energy of bodies {bodies} of {row['changed_structure'].values!s} changes most, by {change} ({states})"
    )


def _related(part: xr.Dataset) -> str:
    """Whether errors go with spin contamination, at the order of most sub-clusters for which that is known."""
    correlation = part["error_contamination"]
    if not bool(correlation.notnull().any()):
        return ""
    at = int(part["n_compared"].where(correlation.notnull()).idxmax("order"))
    value = float(correlation.sel(order=at))
    if abs(value) < _RELATED:
        return f", and errors do not follow the spin contamination (r = {_signed(value)} at order {at})"
    how = "grow" if value > 0 else "fall"
    return f", and errors {how} with the spin contamination (r = {_signed(value)} at order {at})"


def _in_orders(part: xr.Dataset, body: str) -> str:
    errors = part["order_rmse"]
    if not bool(errors.notnull().any()):
        return ""
    at = int(errors.idxmax("order"))
    bias = energy(float(part["order_bias"].sel(order=at)), body, signed=True)
    share = float(part["order_share"].sel(order=at))
    of = f", {100 * share:.2g} % of that order" if np.isfinite(share) and 100 * share < 1e4 else ""
    return f" In the orders it errs most at order {at}, by {bias}{of}."


def _plain(value: float, signed: bool = False) -> str:
    """An energy in eV or meV, of a sub-cluster."""
    return energy(value, "", signed=signed).removesuffix(" per ")


def _bodies(count: int) -> str:
    return "1 body" if count == 1 else f"{count} bodies"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
