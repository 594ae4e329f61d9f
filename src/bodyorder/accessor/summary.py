"""A result in a few lines: what, by which source, its order totals with their noise, and what failed."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import xarray as xr

from bodyorder.accessor.frames import is_periodic, present
from bodyorder.analysis import Aligned, attributes, group_convergence
from bodyorder.analysis.alignment import groups, said_unasked
from bodyorder.analysis.dissociation import said_offsets
from bodyorder.results.asked import unasked_orders

#: More rows and orders than these are not shown.
_MOST_ROWS, _MOST_ORDERS, _MOST_FAILURES = 12, 8, 3

#: Longer reasons are cut.
_LONGEST = 160

#: Noise that shows in a number with three decimals is written beside it.
_SHOWN = 5e-4

#: Energies (eV) that are rounding, whatever a source claims.
_NOTHING = 1e-9

#: What orders may miss of an energy that they add up to (eV), and how often the noise of all of them.
_MISSED, _TIMES_NOISE = 1e-3, 10


def as_text(aligned: Aligned) -> str:
    """For terminals."""
    table, unit = _totals(aligned)
    head, *rest = _lines(aligned)
    return "\n".join([f"<mbe: {head}>", *rest, f"order totals ± 1σ, {unit}:", table.to_string(), *_failures(aligned)])


def as_html(aligned: Aligned) -> str:
    """For notebooks, whose own style of tables and colours it keeps. Everything is escaped."""
    table, unit = _totals(aligned)
    head, *rest = (escape(line) for line in _lines(aligned))
    shown = table.to_html(border=0, escape=True)
    failed = "".join(f"<li>{escape(line)}</li>" for line in _failures(aligned))
    return (
        f"<div><strong>{head}</strong><br>{'<br>'.join(rest)}"
        f"<div>order totals ± 1σ, {escape(unit)}</div><div style='overflow-x: auto'>{shown}</div>"
        + (f"<ul>{failed}</ul>" if failed else "")
        + "</div>"
    )


def _lines(aligned: Aligned) -> list[str]:
    """What was decomposed, by which source, and how."""
    data = aligned.data
    names = [str(name) for name in data["source"].values]
    count = data.sizes["structure"]
    what = f"structure {data['structure'].values[0]}" if count == 1 else f"{count} structures"
    by = names[0] if len(names) == 1 else f"{len(names)} sources"
    bodies = data["n_bodies"].values
    sizes = f"{bodies.min()}" if bodies.min() == bodies.max() else f"{bodies.min()} to {bodies.max()}"
    kept = f"{data.sizes['subset']:,} sub-clusters kept" if "subset" in data.dims else "sub-clusters not kept"
    families = {str(entry.get("family", "")) for entry in attributes(data).values()} - {""}
    per_cell = " in the cell" if is_periodic(data).all() else ""
    described = [f"{sizes} bodies{per_cell}", f"orders 1 to {int(data['order'].values.max())}", *sorted(families), kept]
    return [f"many-body expansion of {what} by {by}", ", ".join(described)]


def _totals(aligned: Aligned) -> tuple[pd.DataFrame, str]:
    """Order totals and energies as text with their noise: of each structure, or means of groups where there are many; unit."""
    data = aligned.data
    several = data.sizes["source"] > 1
    shown = data["order"].values[:_MOST_ORDERS]
    if data.sizes["structure"] * data.sizes["source"] <= _MOST_ROWS:
        table = data[["contribution", "total"]].assign(noise=_noise(data)).rename(structure="row")
        table["present"] = (("row", "order"), present(data))
        labels, unit = [str(name) for name in data["structure"].values], "eV"
    else:
        means = group_convergence(aligned.several)
        table = means.rename(group="row")[["group_contribution", "group_noise", "group_total"]]
        table = table.rename(group_contribution="contribution", group_noise="noise", group_total="total")
        members = groups(data)
        own = np.array([present(data)[rows].any(axis=0) for rows in members.values()])
        table["present"] = (("row", "order"), own)
        labels = [f"{name} ({len(rows)})" for name, rows in members.items()]
        unit = "eV per body, means of groups of structures (how many)"
    rows = {}
    for source in range(data.sizes["source"]):
        for place, label in enumerate(labels):
            part = table.isel(source=source, row=place)
            cells = [_number(part.sel(order=order)) for order in shown]
            name = f"{data['source'].values[source]}, {label}" if several else label
            rows[name] = [*cells, _plain(float(part["total"]))]
    columns = [f"n = {order}" for order in shown] + ["E"]
    frame = pd.DataFrame.from_dict(dict(list(rows.items())[:_MOST_ROWS]), orient="index", columns=columns)
    if len(rows) > _MOST_ROWS:
        unit += f"; {len(rows) - _MOST_ROWS} more rows in `.orders()`"
    if data.sizes["order"] > _MOST_ORDERS:
        unit += f"; {data.sizes['order'] - _MOST_ORDERS} more orders in `.orders()`"
    return frame, unit


def _noise(data: xr.Dataset) -> xr.DataArray:
    return data["noise"] if "noise" in data else xr.full_like(data["contribution"], np.nan)


def _number(part: xr.Dataset) -> str:
    """A total with its noise; nothing for an order that there is not."""
    if not bool(part["present"]):
        return ""
    value, noise = float(part["contribution"]), float(part["noise"])
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(noise):
        return _plain(value)
    return f"{_plain(value, noise)} ± {noise:.3f}" if noise >= _SHOWN else f"{_plain(value, noise)} ± {noise:.0e}"


def _plain(value: float, noise: float = 0.0) -> str:
    """With three decimals, or so many digits that what is above its noise is not shown as nothing."""
    if not np.isfinite(value):
        return "–"
    if abs(value) >= _SHOWN:
        return f"{value:+.3f}".replace("-", "−")
    sign = "−" if value < 0 else "+"
    return f"{sign}{abs(value):.1e}" if abs(value) > max(2 * noise, _NOTHING) else "0.000"


def _failures(aligned: Aligned) -> list[str]:
    """Why numbers are missing or do not add up, structure by structure."""
    data = aligned.data
    lines = _misfits(data) + said_offsets(aligned) + said_unasked(data)
    if "failure" not in data:
        return lines
    reasons = data["failure"].transpose("source", "structure").values.astype(str)
    places = np.argwhere((reasons != "") & (reasons != "nan"))
    several = data.sizes["source"] > 1
    for source, structure in places[:_MOST_FAILURES]:
        whose = str(data["structure"].values[structure])
        whose += f" by {data['source'].values[source]}" if several else ""
        reason = " ".join(reasons[source, structure].split())
        lines.append(f"{whose}: {reason[:_LONGEST]}" + ("…" if len(reason) > _LONGEST else ""))
    if len(places) > _MOST_FAILURES:
        lines.append(f"and {len(places) - _MOST_FAILURES} more with a `failure`")
    return lines


def _misfits(data: xr.Dataset) -> list[str]:
    """Sources whose connected sub-clusters do not add up to the energy, which their cutoff promises."""
    if "residual" not in data:
        return []
    residual = np.abs(data["residual"].transpose("source", "structure").values)
    noise = np.sqrt((_noise(data).transpose("source", "structure", "order").fillna(0) ** 2).sum("order").values)
    unasked = unasked_orders(data).any("order").transpose("source", "structure").values
    enough = ~unasked & ~is_periodic(data) & (data["n_bodies"].values <= data["order"].values.max())
    wrong = enough & (residual > np.maximum(_MISSED, _TIMES_NOISE * noise))
    lines = []
    for place, (name, entry) in enumerate(attributes(data).items()):
        if entry.get("family") == "connected" and wrong[place].any():
            structure = int(np.argmax(np.where(wrong[place], residual[place], 0)))
            lines.append(
                f"orders of {data['structure'].values[structure]} by {name} miss {residual[place, structure]:.3f} eV of its "
                f"energy: parts farther apart than the cutoff do feel each other"
            )
    return lines
