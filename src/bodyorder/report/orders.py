"""Sections on the orders themselves: their totals, what truncations miss, how sources differ, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import xarray as xr
from ase.data import chemical_symbols

from bodyorder.analysis import attributes, groups, missing_contributions, net_forces
from bodyorder.analysis.aligned import Aligned
from bodyorder.analysis.comparison import one_body_deviations
from bodyorder.analysis.convergence import steepest_growth
from bodyorder.plots.convergence import MOST_PANELS, convergence_figure
from bodyorder.plots.one_body import one_body_figure
from bodyorder.plots.parity import parity_figure, variable_of
from bodyorder.plots.style import Theme, group_title
from bodyorder.report.numbers import MISSING, milli, number, whole
from bodyorder.report.section import Picture, Section
from bodyorder.report.table import Table
from bodyorder.report.words import words
from bodyorder.results.asked import NOT_ASKED

#: Net force in eV/Å that forces which are called a gradient must not have: far above rounding, in float32, too.
UNBALANCED = 1e-3

#: Attributes of results that say how they came about, and what they are called.
_ORIGINS = {
    "source": "source",
    "fingerprint": "fingerprint",
    "spin": "spin rule",
    "family": "sub-clusters",
    "cutoff": "cutoff (Å)",
    "one_body": "lone atoms",
    "field": "field",
}

#: Those of them that are shown where they are not the usual ones, and what these are.
_USUAL = {"one_body": "model", "field": "none"}


def said(held: dict[str, dict[str, Any]], what: str) -> list[str]:
    """An attribute in words, a line for all sources to which it is the same; behind it these, where there are others.

    :param held: attributes of the result of each source
    :param what: name of the attribute: ``input``, what was read, or ``remark``, what to know of the source
    """
    lines: dict[str, list[str]] = {}
    for name, own in held.items():
        if own.get(what):
            lines.setdefault(str(own[what]), []).append(name)
    if len(lines) < 2 and all(len(names) == len(held) for names in lines.values()):
        return list(lines)
    return [f"{line} ({', '.join(names)})" for line, names in lines.items()]


def order_columns(orders: Any) -> list[str]:
    """Headings of columns of orders."""
    return [f"n = {int(order)}" for order in orders]


def by_order(dataset: xr.Dataset, name: str, rows: tuple[str, ...] = ("group", "source")) -> pd.DataFrame:
    """A variable as a frame: a row for each of some dimensions, a column for each order, or one if it is not by order."""
    values = dataset[name].transpose(*rows, ...)
    index = pd.MultiIndex.from_product([dataset[row].values.astype(str) for row in rows], names=list(rows))
    columns = order_columns(values["order"].values) if "order" in values.dims else [name]
    return pd.DataFrame(values.values.reshape(len(index), -1), index, columns)


def totals(convergence: xr.Dataset, theme: Theme, unasked: Sequence[str]) -> Section:
    """Order totals, and their noise.

    :param unasked: what is said of numbers that nobody asked for, a line each
    """
    frame = by_order(convergence, "group_contribution")
    noise = by_order(convergence, "group_noise")
    for title, name in (("E/N", "group_total"), ("structures", "group_size")):
        frame[title] = convergence[name].transpose("group", "source").values.ravel()
    caption = words("captions.html", "totals_table", body=theme.body)
    table = Table(frame, caption, {"structures": whole}, noise)
    many = convergence.sizes["group"] > MOST_PANELS  # else the top of the page shows them all
    pictures = [_of_all_groups(convergence, theme)] if many else []
    if bool((convergence["group_noise"] > 0).any()):
        drawn = convergence_figure("noise", convergence, theme)
        description = f"Sizes of order totals above bands of their noise. {_names(theme)}, {_range(convergence)}."
        pictures.append(Picture("noise", drawn, description, words("captions.html", "noise", body=theme.body)))
    said = [f"{line[0].upper()}{line[1:]}." for line in unasked]
    return Section("orders", "Order totals", "every total, its noise", said, pictures, [table])


def truncation(convergence: xr.Dataset, theme: Theme) -> Section:
    """How many orders are enough."""
    title = "How many orders are enough"
    if not bool(convergence["group_truncation_error"].notnull().any()):
        said = [words("captions.html", "no_truncation", unasked="whole" in convergence.attrs)]
        return Section("truncation", title, "not known", sentences=said)
    tolerance = 1e3 * convergence.attrs["tolerance"]
    growth = steepest_growth(convergence)
    frame = pd.DataFrame(
        {
            "effective body order": convergence["group_body_order"].transpose("group", "source").values.ravel(),
            "alternation": convergence["group_alternation"].transpose("group", "source").values.ravel(),
            "growth": growth["largest_growth"].transpose("group", "source").values.ravel(),
            "at order n": growth["growth_order"].transpose("group", "source").values.ravel(),
        },
        by_order(convergence, "group_growth").index,
    )
    caption = words("captions.html", "convergence_table", body=theme.body, tolerance=tolerance)
    formats = {
        "effective body order": whole, "at order n": whole, "alternation": _two, "growth": _two,
    }  # fmt: skip
    errors = Table(
        by_order(convergence, "group_truncation_error"),
        words("captions.html", "truncation_table", body=theme.body),
        noise=by_order(convergence, "group_truncation_noise"),
    )
    description = (
        f"Truncation errors against body order. {_names(theme)}, {_range(convergence)}; numbers are in the table."
    )
    pictures = []
    if convergence.sizes["group"] > MOST_PANELS:
        seen = words("captions.html", "truncation", body=theme.body, tolerance=tolerance)
        pictures = [Picture("truncation", convergence_figure("truncation", convergence, theme), description, seen)]
    tables = [errors, Table(frame, caption, formats)]
    return Section("truncation", title, "errors of truncated expansions, growth", pictures=pictures, tables=tables)


def comparison(results: xr.Dataset, compared: xr.Dataset | None, theme: Theme) -> Section | None:
    """How sources differ from the reference; None without one."""
    if compared is None:
        return None
    reference = compared.attrs["reference"]
    others = compared.sel(source=[name for name in theme.sources if name != reference])
    frame, energy, forces = by_order(others, "order_rmse"), f"E/N (meV per {theme.body})", "forces (meV/Å)"
    formats = {energy: milli, forces: milli}
    if "force_rmse" in others:
        frame.insert(0, forces, others["force_rmse"].transpose("group", "source").values.ravel())
    frame.insert(0, energy, others["total_rmse"].transpose("group", "source").values.ravel())
    caption = words(
        "captions.html", "deviation_table", reference=reference, body=theme.body, forces="force_rmse" in others
    )  # fmt: skip
    by_subset = variable_of(results) == "subset_contribution"
    pictures = []
    for place, group in enumerate(groups(results)):
        score = compared["subset_rmse" if by_subset else "order_rmse"].sel(group=group)
        values = {"title": group_title(group), "reference": reference, "by_subset": by_subset}
        said = [(name, score.sel(source=name).values.tolist()) for name in theme.sources if name != reference]
        description = words("captions.html", "parity_description", scores=said, **values)
        caption_of = words("captions.html", "parity", **values)
        drawn = parity_figure(results, compared, group, theme)
        pictures.append(Picture(f"parity{place}", drawn, description.unescape(), caption_of))
    title = f"Against {reference}"
    return Section(
        "comparison", title, "deviations order by order", pictures=pictures, tables=[Table(frame, caption, formats)]
    )


def balance(results: Aligned, theme: Theme) -> Section | None:
    """Net forces and torques by order; None without forces, or where they are a gradient and balance."""
    if "force_contribution" not in results.data:
        return None
    found = net_forces(results)
    direct = [name for name, held in attributes(results.data).items() if held.get("force_kind") == "direct"]
    if not direct and not bool((found["group_net_force"] > UNBALANCED).any()):
        return None
    forces, torques = (by_order(found, f"group_{name}") for name in ("net_force", "net_torque"))
    tables = [
        Table(forces, words("captions.html", "net_forces", direct=direct), dict.fromkeys(forces, milli)),
        Table(torques, words("captions.html", "net_torques"), dict.fromkeys(torques, milli)),
    ]
    return Section("balance", "Do forces balance", "net force and torque by order", tables=tables)


def one_body(
    energies: xr.DataArray | None, reference: str | None, theme: Theme, missed: xr.Dataset | None = None
) -> Section | None:
    """Energies of isolated atoms, and what they miss of two far apart; None if bodies are none.

    :param missed: of :func:`bodyorder.analysis.dissociation.offsets`
    """
    if energies is None:
        return None
    frame, formats = pd.DataFrame(index=pd.Index(energies["source"].values.astype(str), name="source")), {}
    deviations = None if reference is None else one_body_deviations(energies, reference)
    for element in energies["element"].values:
        symbol = chemical_symbols[int(element)]
        frame[f"{symbol} (eV)"] = energies.sel(element=element).values
        if deviations is not None:
            frame[f"{symbol}, deviation (meV)"] = deviations.sel(element=element).values
            formats[f"{symbol}, deviation (meV)"] = milli
    picture = Picture(
        "onebody",
        one_body_figure(energies, reference, theme),
        "Energies of isolated atoms in eV; numbers are in the table.",
        words("captions.html", "one_body", reference=reference),
    )
    tables = [Table(frame, words("captions.html", "one_body_table"), formats)]
    if missed is not None:
        tables.append(_offsets(missed))
    return Section("onebody", "Isolated atoms", "the baseline of order 1", pictures=[picture], tables=tables)


def failures(results: xr.Dataset) -> Section | None:
    """What is missing, and why; None if nothing is."""
    missing = missing_contributions(Aligned(results))
    reasons = results["failure"].transpose("source", "structure").values if "failure" in results else None
    rows = []
    for row, source in enumerate(results["source"].values):
        for column, structure in enumerate(results["structure"].values):
            reason = "" if reasons is None else str(reasons[row, column])
            orders = results["order"].values[missing.values[row, column]]
            if len(orders) or reason:
                listed = ", ".join(map(str, orders)) or "none"
                rows.append((str(source), str(structure), listed, reason or "not given"))
    if not rows:
        return None
    frame = pd.DataFrame(rows, columns=["source", "structure", "missing orders", "reason"]).set_index(
        ["source", "structure"]
    )
    hint = f"{len(rows)} structure{'s' if len(rows) > 1 else ''} with failures"
    return Section("failures", "What is missing", hint, tables=[Table(frame, "Missing contributions.")])


def origins(held: dict[str, dict[str, Any]]) -> Table:
    """Where the results come from."""
    shown = [key for key in _ORIGINS if key not in _USUAL]
    present = [key for key in shown if any(key in attributes for attributes in held.values())]
    if any(attributes.get("whole") == NOT_ASKED for attributes in held.values()):
        present.append("whole")
    for key, usual in _USUAL.items():
        if any(attributes.get(key, usual) != usual for attributes in held.values()):
            present.append(key)
    rows = [[str(attributes.get(key, MISSING)) for key in present] for attributes in held.values()]
    frame = pd.DataFrame(rows, pd.Index(list(held), name="name"), [_ORIGINS.get(key, key) for key in present])
    return Table(frame, "Where the energies come from.")


def _of_all_groups(convergence: xr.Dataset, theme: Theme) -> Picture:
    description = f"Order totals against body order. {_names(theme)}, {_range(convergence)}; numbers are in the table."
    spread = int(convergence["group_size"].max()) > 1
    caption = words("captions.html", "orders", body=theme.body, spread=spread)
    return Picture("orders", convergence_figure("orders", convergence, theme), description, caption)


def _offsets(missed: xr.Dataset) -> Table:
    """What two lone atoms miss of two far apart, a row for each source."""
    index = pd.Index(missed["source"].values.astype(str), name="source")
    columns = [str(pair).replace(" ", "–") for pair in missed["pair"].values]
    frame, noise = (pd.DataFrame(missed[f"dissociation_{name}"].values, index, columns) for name in ("offset", "noise"))
    return Table(frame, words("captions.html", "offset_table"), noise=noise)


def _two(value: float) -> str:
    return number(value, 2)


def _names(theme: Theme) -> str:
    return ", ".join(theme.sources)


def _range(dataset: xr.Dataset) -> str:
    return f"orders {int(dataset['order'].min())} to {int(dataset['order'].max())}"
