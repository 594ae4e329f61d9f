"""Tables of the *ab initio* section."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from bodyorder.analysis.multiplicity import DOUBTS
from bodyorder.plots.diagnosis import state_name
from bodyorder.report.tables import MISSING, Table, number, with_noise
from bodyorder.report.wording import group_title

#: What is in doubt, in the words of a table.
DOUBT_WORDS = {
    "n_contaminated": "spin contaminated",
    "n_degenerate": "nearly degenerate",
    "n_uncertain": "uncertain",
    "n_failed": "failed",
}


def change_table(changes: xr.Dataset, body: str) -> Table:
    """Mean changes of order totals with their noise."""
    table = Table(
        f"Changes of <i>E</i><sup>(<i>n</i>)</sup>/<i>N</i> and of <i>E</i>/<i>N</i> with one factor, means over structures, in "
        f"eV per {body}. Below each ± 1σ of its noise; grey with ~: not above twice its noise.",
        ["change", *(f"<i>n</i> = {order}" for order in changes["order"].values), "<i>E</i>/<i>N</i>"],
    )
    for group in changes["group"].values:
        for place in range(changes.sizes["pair"]):
            part = changes.isel(pair=place).sel(group=group)
            means = part["change_mean"].values
            if not np.isfinite(means).any():
                continue
            cells = with_noise(means, part["change_noise"].values)
            table.rows.append([_pair(part), *cells, number(float(part["change_total"]))])
            table.groups.append(escape(group_title(str(group))))
    return table


def move_table(moves: xr.Dataset) -> Table:
    """How many sub-clusters change their multiplicity."""
    table = Table(
        "Sub-clusters of <i>n</i> bodies that change their multiplicity, of those whose multiplicities are known; below, the "
        "largest change of energy of one of them in eV.",
        ["change", *(f"<i>n</i> = {order}" for order in moves["order"].values), "all"],
    )
    for group in moves["group"].values:
        for place in range(moves.sizes["pair"]):
            part = moves.isel(pair=place).sel(group=group)
            compared, changed = part["n_compared"].values, part["n_changed"].values
            if not compared.any():
                continue
            cells = []
            for known, moved, largest in zip(compared, changed, part["changed_energy_largest"].values, strict=True):
                below = f"<small>{number(largest)}</small>" if np.isfinite(largest) else ""
                cells.append(f"{int(moved)} of {int(known)}{below}" if known else MISSING)
            table.rows.append([_pair(part), *cells, f"{int(changed.sum())} of {int(compared.sum())}"])
            table.groups.append(escape(group_title(str(group))))
    return table


def named_table(moves: xr.Dataset) -> Table:
    """The sub-clusters that change most in energy when they change their multiplicity."""
    table = Table(
        "Sub-clusters that change their multiplicity: those whose energies change most. Bodies are counted from 0; "
        "Δ<i>E</i> in eV.",
        ["structure", "bodies", "from", "to", "Δ<i>E</i>(<i>S</i>)"],
        n_heads=2,
    )
    for place in range(moves.sizes["pair"]):
        part = moves.isel(pair=place)
        if "high" in (str(part["from"].values), str(part["to"].values)):
            continue  # the rule leaves no choice
        for rank in range(moves.sizes["rank"]):
            row = part.isel(rank=rank)
            if not np.isfinite(float(row["changed_energy"])):
                continue
            bodies = ", ".join(str(body) for body in row["changed_members"].values if body >= 0)
            states = [state_name(int(row[name])) for name in ("changed_from", "changed_to")]
            structure = escape(str(row["changed_structure"].values))
            table.rows.append([structure, bodies, *states, number(float(row["changed_energy"]))])
            table.groups.append(_pair(part))
    return table


def error_table(errors: xr.Dataset, names: Mapping[str, str], body: str) -> Table:
    """Errors of methods in sub-clusters, and in orders."""
    tolerance = f"{1e3 * errors.attrs['tolerance']:g} meV"
    columns = ["source", "", *(f"<i>n</i> = {order}" for order in errors["order"].values)]
    table = Table(
        "Errors of methods. RMS and largest error of the energies of single sub-clusters (eV), how many are beyond "
        f"{tolerance}, correlation <i>r</i> of their size with the spin contamination; mean error of the order totals per "
        f"{body} (eV), and its RMS as a share of those of the reference.",
        columns,
        n_heads=2,
    )
    for group in errors["group"].values:
        for source in errors["source"].values:
            part = errors.sel(source=source, group=group)
            if not part["n_compared"].values.any():
                continue
            known = part["n_compared"].values
            beyond = [
                f"{int(n)} of {int(of)}" if of else MISSING
                for n, of in zip(part["n_beyond"].values, known, strict=True)
            ]
            lines = [
                ("RMS error", [number(value) for value in part["error_rms"].values]),
                ("largest error", [number(value) for value in part["error_largest"].values]),
                (f"beyond {tolerance}", beyond),
                ("<i>r</i> with contamination", [number(value, 2) for value in part["error_contamination"].values]),
                ("error of order total", [number(value) for value in part["order_bias"].values]),
                ("share of order total", [_percent(value) for value in part["order_share"].values]),
            ]
            for what, cells in lines:
                if any(cell != MISSING for cell in cells):
                    table.rows.append([escape(names[str(source)]), what, *cells])
                    table.groups.append(escape(group_title(str(group))))
    return table


def doubt_table(counts: xr.Dataset, names: Mapping[str, str]) -> Table:
    """What is in doubt."""
    orders = counts["order"].values
    table = Table(
        "Sub-clusters of <i>n</i> bodies whose energies are in doubt, or missing.",
        ["source", "", *(f"<i>n</i> = {order}" for order in orders), "all"],
        n_heads=2,
    )
    for group in counts["group"].values:
        for source in counts["source"].values:
            part = counts.sel(source=source, group=group)
            sizes = part["n_clusters"].values
            for name in DOUBTS:
                if name not in part or not np.nansum(part[name].values) > 0:
                    continue
                values = part[name].values
                cells = [_of(value, size) for value, size in zip(values, sizes, strict=True)]
                table.rows.append(
                    [escape(names[str(source)]), DOUBT_WORDS[name], *cells, _of(np.nansum(values), np.nansum(sizes))]
                )
                table.groups.append(escape(group_title(str(group))))
    return table


def _of(value: float, size: float) -> str:
    if not np.isfinite(value):
        return MISSING
    return f"{int(value)} of {int(size)}" if np.isfinite(size) and size else str(int(value))


def _pair(part: xr.Dataset) -> str:
    return escape(str(part["pair"].values))


def _percent(value: Any) -> str:
    if not np.isfinite(value):
        return MISSING
    return f"{100 * value:.3g}&#8239;%" if value >= 1e-4 else "&lt;&#8239;0.01&#8239;%"
