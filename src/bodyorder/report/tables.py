"""Tables of a report as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import xarray as xr
from ase.data import chemical_symbols

from bodyorder.analysis.significance import drowns
from bodyorder.report.summary import missing_contributions
from bodyorder.report.wording import group_title

#: Attributes of results that say how they came about, and what they are called.
_ORIGINS = {
    "source": "source",
    "fingerprint": "fingerprint",
    "spin": "spin rule",
    "family": "sub-clusters",
    "cutoff": "cutoff (Å)",
}

MISSING = "—"


@dataclass
class Table:
    """A table with a caption, headed columns and headed rows.

    :param caption: what it shows, with units; HTML
    :param columns: headings; HTML. The first ``n_heads`` are those of the row headings
    :param rows: cells as HTML
    :param groups: for each row the title of the group it stands under, if the rows are grouped
    """

    caption: str
    columns: Sequence[str]
    n_heads: int = 1
    rows: list[Sequence[str]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def render(self) -> str:
        """The table as HTML."""
        head = "".join(f'<th scope="col" class="head">{column}</th>' for column in self.columns[: self.n_heads])
        head += "".join(f'<th scope="col">{column}</th>' for column in self.columns[self.n_heads :])
        body = []
        for place, row in enumerate(self.rows):
            group = self.groups[place] if self.groups else ""
            if group and (place == 0 or group != self.groups[place - 1]):
                body.append(f'<tr><th scope="rowgroup" colspan="{len(self.columns)}">{group}</th></tr>')
            heads = "".join(f'<th scope="row">{cell}</th>' for cell in row[: self.n_heads])
            cells = "".join(f"<td>{cell}</td>" for cell in row[self.n_heads :])
            body.append(f"<tr>{heads}{cells}</tr>")
        return (
            f'<div class="table" tabindex="0" role="group" aria-label="table"><table><caption>{self.caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        )


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus, or a dash if it is missing."""
    if not np.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text


def deviation(value: float) -> str:
    """1σ in eV with one digit, as a power of ten where it is far below the digits of the table."""
    if not np.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    digit, power = f"{value:.0e}".split("e")
    return f"{value:.3f}" if int(power) >= -3 else f"{digit}·10<sup>−{-int(power)}</sup>"


def with_noise(energies: np.ndarray, noise: np.ndarray) -> list[str]:
    """Energies in eV above their 1σ; those that drown in it are marked."""
    cells = []
    for energy, sigma, lost in zip(energies, noise, drowns(energies, noise), strict=True):
        mark = '<span class="mark">~</span>' if lost else ""
        text = f"{number(energy)}{mark}<small>±&#8239;{deviation(sigma)}</small>"
        cells.append(MISSING if not np.isfinite(energy) else f'<span class="lost">{text}</span>' if lost else text)
    return cells


def order_totals_table(convergence: xr.Dataset, body: str) -> Table:
    """Mean order totals with their noise."""
    orders = convergence["order"].values
    table = Table(
        f"Order totals <i>E</i><sup>(<i>n</i>)</sup>/<i>N</i> and energy <i>E</i>/<i>N</i>, means over structures, in eV per "
        f"{body}. Below each total ± 1σ of its noise, root mean square over structures; grey with ~: not above twice its "
        "noise.",
        ["source", *(f"<i>n</i> = {order}" for order in orders), "<i>E</i>/<i>N</i>", "struc&shy;tures"],
    )
    for group in convergence["group"].values:
        for source in convergence["source"].values:
            part = convergence.sel(group=group, source=source)
            cells = with_noise(part["group_contribution"].values, part["group_noise"].values)
            size, total = int(part["group_size"]), float(part["group_total"])
            table.rows.append([escape(str(source)), *cells, number(total), str(size)])
            table.groups.append(_group(group))
    return table


def convergence_table(convergence: xr.Dataset, body: str) -> Table:
    """What the expansions need, and how they go."""
    tolerance = 1e3 * convergence.attrs["tolerance"]
    table = Table(
        "Convergence. Effective body order: the order from which on the truncation error stays below "
        f"{tolerance:g} meV per {body} (median over structures). Alternation: fraction of steps from order 2 on at which the "
        "sign changes. Growth: the largest |<i>E</i><sup>(<i>n</i>+1)</sup>|/|<i>E</i><sup>(<i>n</i>)</sup>| from order 2 on, "
        "geometric mean over structures.",
        ["source", "effective body order", "alternation", "growth", "at order <i>n</i>"],
    )
    for group in convergence["group"].values:
        for source in convergence["source"].values:
            part = convergence.sel(group=group, source=source)
            enough = float(part["group_body_order"])
            growth = part["group_growth"].where(part["order"] > 1, drop=True).dropna("order")
            steepest = [MISSING, MISSING]
            if growth.sizes["order"]:
                at = int(growth.idxmax("order"))
                steepest = [number(float(growth.sel(order=at)), 2), str(at)]
            known = part["order"].values[part["group_truncation_error"].notnull().values]
            order = f"{enough:g}" if np.isfinite(enough) else MISSING
            if not np.isfinite(enough) and len(known):
                last = float(part["group_truncation_error"].sel(order=known.max()))
                # below the tolerance, and yet later orders are unknown
                order = f"none up to {known.max()}" if last >= convergence.attrs["tolerance"] else MISSING
            alternation = number(float(part["group_alternation"]), 2)
            table.rows.append([escape(str(source)), order, alternation, *steepest])
            table.groups.append(_group(group))
    return table


def deviation_table(comparison: xr.Dataset, body: str) -> Table:
    """RMSE against the reference, of energies, forces and orders."""
    orders = comparison["order"].values
    forces = "force_rmse" in comparison
    reference = comparison.attrs["reference"]
    table = Table(
        f"Root-mean-square deviation from {escape(reference)}: of energies in meV per {body}, "
        + ("of force components in meV/Å, " if forces else "")
        + f"and of order totals in eV per {body}.",
        [
            "source", f"<i>E</i>/<i>N</i> (meV per {body})", *(["forces (meV/Å)"] if forces else []),
            *(f"<i>n</i> = {order}" for order in orders),
        ],
    )  # fmt: skip
    for group in comparison["group"].values:
        for source in comparison["source"].values:
            if source == reference:
                continue
            part = comparison.sel(group=group, source=source)
            cells = [number(1e3 * float(part["total_rmse"]), 1)]
            if forces:
                cells.append(number(1e3 * float(part["force_rmse"]), 1))
            cells += [number(float(value)) for value in part["order_rmse"].values]
            table.rows.append([escape(str(source)), *cells])
            table.groups.append(_group(group))
    return table


def one_body_table(energies: xr.DataArray, reference: str | None) -> Table:
    """Energies of isolated atoms."""
    symbols = [chemical_symbols[int(element)] for element in energies["element"].values]
    columns = ["source"]
    for symbol in symbols:
        columns.append(f"{symbol} (eV)")
        if reference is not None:
            columns.append(f"{symbol}, deviation (meV)")
    table = Table("Energy of an isolated atom, <i>E</i><sup>(1)</sup>, as each source has it.", columns)
    for source in energies["source"].values:
        cells = []
        for element in energies["element"].values:
            value = float(energies.sel(source=source, element=element))
            cells.append(number(value))
            if reference is not None:
                truth = float(energies.sel(source=reference, element=element))
                cells.append(MISSING if source == reference else number(1e3 * (value - truth), 1))
        table.rows.append([escape(str(source)), *cells])
    return table


def failure_table(results: xr.Dataset) -> Table | None:
    """What is missing, and why; None if nothing is."""
    missing = missing_contributions(results).values
    reasons = results["failure"].transpose("source", "structure").values if "failure" in results else None
    table = Table("Missing contributions.", ["source", "structure", "missing orders", "reason"], n_heads=2)
    for row, source in enumerate(results["source"].values):
        for column, structure in enumerate(results["structure"].values):
            reason = "" if reasons is None else str(reasons[row, column])
            orders = results["order"].values[missing[row, column]]
            if len(orders) or reason:
                listed = ", ".join(map(str, orders)) or "none"
                table.rows.append([escape(str(source)), escape(str(structure)), listed, escape(reason) or "not given"])
    return table if table.rows else None


def origin_table(results: dict[str, dict[str, Any]]) -> Table:
    """Where the results come from."""
    present = [key for key in _ORIGINS if any(key in attributes for attributes in results.values())]
    table = Table("Where the energies come from.", ["name", *(_ORIGINS[key] for key in present)])
    for name, attributes in results.items():
        cells = [f"<code>{escape(str(attributes.get(key, MISSING)))}</code>" for key in present]
        table.rows.append([escape(name), *cells])
    return table


def _group(name: Any) -> str:
    return escape(group_title(str(name)))
