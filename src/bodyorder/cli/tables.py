"""What commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bodyorder.analysis import align, doubts, groups
from bodyorder.analysis.alignment import UNGROUPED
from bodyorder.analysis.dissociation import said_offsets
from bodyorder.analysis.multiplicity import doubtful
from bodyorder.analysis.significance import within_noise
from bodyorder.results.asked import unasked_lines, unasked_orders, unasked_totals
from bodyorder.results.variables import DISSOCIATED, DOUBTFUL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from bodyorder.study.planning import StudyPlan
    from bodyorder.testing import Conformance

#: A structure's orders are printed one by one up to this many structures, as means of their group beyond.
FEW = 4

#: Noise (eV per body) below this is rounding.
_ROUNDING = 1e-16

#: Columns of a table that is not for a terminal, at most.
_WIDEST = 240


def print_orders(result: xr.DataTree) -> None:
    """Order totals per body of a result: of each structure if they are few, else means over groups."""
    per_body = (result.contribution / result.n_bodies).transpose("structure", "order").values
    noise = (result.noise / result.n_bodies).transpose("structure", "order").values
    if result.sizes["structure"] <= FEW:
        members = {str(name): np.array([row]) for row, name in enumerate(result.structure.values)}
    else:
        members = groups(result.to_dataset())
    field = result.attrs.get("field", "none")
    among = "" if field == "none" else f" in a field ({field})"
    table = Table(title=f"contributions of {result.attrs['source']}{among}, eV per body")
    table.add_column("order", justify="right")
    for name, rows in members.items():
        label = name or "all"
        table.add_column(label if len(rows) == 1 else f"{label} (mean of {len(rows)})", justify="right")
    table.add_column("noise", justify="right")
    lost = np.array([within_noise(per_body[rows].mean(axis=0), _rms(noise[rows])) for rows in members.values()])
    for column, order in enumerate(result.order.values):
        marks = ["~" if mark else " " for mark in lost[:, column]]
        means = [_mean(per_body[rows, column]) for rows in members.values()]
        cells = [mean + mark * bool(lost.any()) for mean, mark in zip(means, marks, strict=True)]
        sigma = _rms(noise)[column]
        table.add_row(str(order), *cells, "-" if np.isnan(sigma) else f"{sigma:.0e}")
    for name in ("total", "residual"):
        values = (result[name] / result.n_bodies).values
        # what is unknown is a dash; why is said below
        means = [_mean(values[rows]) for rows in members.values()]
        table.add_row(name, *means, "", end_section=True)
    print_table(table)
    if lost.any():
        print(f"~ not above twice its noise, which is {result.attrs['noise']}")
    root = result.to_dataset()
    unasked = unasked_totals(root)
    orders = unasked_orders(root).transpose("structure", "order").values
    for line in unasked_lines(unasked, orders):
        print(line)
    if "cells" in result.children and _lacks_total(result, unasked):
        print("no total: the source gives no energy of a periodic cell")
    for line in said_offsets(align(result)):
        print(line)
    print(f"{int(result.n_evaluations.sum())} sub-clusters evaluated; family: {result.attrs['family']}")
    if result.attrs.get("remark"):  # which older results lack
        print(f"note: {result.attrs['remark']}")
    _print_doubts(result)


def _print_doubts(result: xr.DataTree) -> None:
    """How many sub-clusters give reason to doubt, and how many nearly degenerate ones do not, where that is known."""
    found = doubtful(doubts(result))
    apart = f"nearly degenerate, but {DISSOCIATED[1]}, which is no reason to doubt"
    for name, called in (*DOUBTFUL.items(), ("n_dissociated_states", apart)):
        if name in found:
            counts = found[name].transpose("order", ...).values.reshape(found.sizes["order"], -1).sum(axis=1)
            orders = ", ".join(str(order) for order in found["order"].values[counts > 0])
            if orders:
                print(f"sub-clusters {called}: {int(counts.sum())} (order{'s' * (',' in orders)} {orders})")


def _lacks_total(result: xr.DataTree, unasked: np.ndarray) -> bool:
    """Whether a periodic structure has no energy of the whole although it was asked for."""
    periodic = result["cells"]["cell"].notnull().all(("vector", "xyz"))
    return bool((periodic & result["total"].isnull() & ~unasked).any())


def _mean(values: np.ndarray) -> str:
    """Mean in eV; a dash where one of them is unknown."""
    return "-" if np.isnan(values).any() else f"{np.mean(values):+.6f}"


def _rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over structures, of each order."""
    return np.sqrt(np.mean(values**2, axis=0))


def print_plans(plans: Sequence[xr.Dataset], workers: Sequence[int]) -> None:
    """Counts, cost, memory and noise of each order by each source.

    :param workers: processes that share the work of each source
    """
    from bodyorder.engine.planning import wall_seconds

    n_structures = int(plans[0].attrs["n_structures"])
    table = Table(title=f"cost of {n_structures} structure{'s' * (n_structures > 1)}")
    for column in ("source", "order", "sub-clusters", "s each", "core hours", "worker (MB)", "noise (eV)"):
        table.add_column(column, justify="right")
    for number, plan in enumerate(plans, start=1):
        for row in range(plan.sizes["order"]):
            label = Text(f"[{number}]" if row == 0 else "")
            table.add_row(label, *_plan_row(plan.isel(order=row)), end_section=row == plan.sizes["order"] - 1)
    print_table(table)
    for number, (plan, count) in enumerate(zip(plans, workers, strict=True), start=1):
        seconds = float(plan.core_seconds.sum())
        wall = wall_seconds(plan, count)
        print(
            f"[{number}] {plan.attrs['source']}: {int(plan.n_clusters.sum()):,} sub-clusters, "
            f"{_hours(seconds / 3600)} core hours, {_hours(wall / 3600)} hours "
            f"with {count} worker{'s' * (count > 1)}{_memory(plan)}"
        )
    if len(plans) > 1:
        seconds = sum(float(plan.core_seconds.sum()) for plan in plans)
        wall = sum(wall_seconds(plan, count) for plan, count in zip(plans, workers, strict=True))
        number = sum(int(plan.n_clusters.sum()) for plan in plans)
        print(
            f"one after the other: {number:,} sub-clusters, {_hours(seconds / 3600)} core hours, {_hours(wall / 3600)} hours"
        )
    if not all(plan.measured.all() for plan in plans):
        print("* extrapolated from the sizes that were timed; the noise of orders not measured is unknown")
    for noise in sorted({plan.attrs["noise"] for plan in plans} - {"claimed by the source"}):
        print(f"? noise of sources that claim no precision: {noise}")
    sampled = [plan.attrs["sampling"] for plan in plans if plan.attrs["sampling"] != "none"]
    if sampled:
        print("noise without the error of sampling, which comes on top and is known only afterwards")
    if sampled and sampled[0] != "once":
        error = sampled[0].removeprefix("until ")
        print(f"only the first round of the sample is priced; more is drawn until every order is known to {error}")


def _plan_row(entry: xr.Dataset) -> tuple[str, ...]:
    order, noise, memory = int(entry.order), float(entry.expected_noise), float(entry.megabytes)
    return (
        str(order) if order else "whole",
        f"{int(entry.n_clusters):,}",
        f"{float(entry.seconds_per_cluster):.2g}{'' if entry.measured else ' *'}",
        _hours(float(entry.core_seconds) / 3600),
        "?" if np.isnan(memory) else f"{memory:,.0f}",
        "-" if order == 0 else "?" if np.isnan(noise) else f"{noise:.0e}",
    )


def _memory(plan: xr.Dataset) -> str:
    """Memory of one worker, as estimated and as seen in the timed sample, where either is known."""
    estimated, seen = (float(plan[name].max()) for name in ("megabytes", "resident_megabytes"))
    parts = [] if np.isnan(estimated) else [f"about {estimated:,.0f} MB each"]
    parts += [] if np.isnan(seen) else [f"{seen:,.0f} MB seen here so far"]
    return f" ({', '.join(parts)})" if parts else ""


def print_study_plan(plan: StudyPlan) -> None:
    """Cost of a study, stage by stage; what the figures rest on stands below the table."""
    notes = list(dict.fromkeys(line.basis for line in plan.lines))
    table = Table(title="cost of the study")
    table.add_column("stage", no_wrap=True)
    table.add_column("what")
    table.add_column("core hours", justify="right", no_wrap=True)
    for line in plan.lines:
        table.add_row(line.stage, line.what, Text(f"{_hours(line.core_hours)} [{notes.index(line.basis) + 1}]"))
    print_table(table)
    for number, note in enumerate(notes, start=1):
        print(f"[{number}] {note}")
    labels = sum(line.core_hours for line in plan.lines if line.stage.startswith("label"))
    wall = _hours(labels / plan.workers)
    print(f"{_hours(plan.core_hours)} core hours in all; reference energies with {plan.workers} workers: {wall} h")


def print_comparison(comparison: xr.Dataset, reference: str) -> None:
    """Root-mean-square deviation of every order from the reference, and of the total."""
    for group in comparison.group.values:
        table = Table(title=f"RMSE against {reference}, meV per body" + (f", {group}" if group else ""))
        table.add_column("order", justify="right")
        names = [str(name) for name in comparison.source.values if name != reference]
        for name in names:
            table.add_column(name, justify="right")
        here = comparison.sel(group=group)
        for order in comparison.order.values:
            row = [1000 * float(here.order_rmse.sel(source=name, order=order)) for name in names]
            table.add_row(str(order), *("-" if np.isnan(value) else f"{value:.2f}" for value in row))
        totals = [1000 * float(here.total_rmse.sel(source=name)) for name in names]
        table.add_row("total", *("-" if np.isnan(value) else f"{value:.2f}" for value in totals), end_section=True)
        if "force_rmse" in here:
            forces = [1000 * float(here.force_rmse.sel(source=name)) for name in names]
            table.add_row("forces, meV/Å", *(f"{value:.1f}" for value in forces))
        print_table(table)
    if "whole" in comparison.attrs:
        print(f"total: of structures whose energy both have; that of the whole was {comparison.attrs['whole']}")


def print_environment(found: xr.Dataset) -> None:
    """Errors of best n-body approximations beside those of truncations in vacuum, root mean squares over each group."""
    exact = ", exact at the full cluster" if found.attrs["sum_rule"] == "true" else ""
    for source in found.source.values if "source" in found.dims else [None]:
        whole = found if source is None else found.sel(source=source)
        name = found.attrs.get("source", "") if source is None else source
        for group, rows in groups(found).items():
            count = f"{len(rows)} cluster{'s' * (len(rows) > 1)}" + f" of {group}" * (group != UNGROUPED)
            title = f"{name}, {count}: best approximations by weights {found.attrs['weights']}{exact}, eV per body"
            _print_errors(title, whole.isel(structure=rows))
    print(
        "error: over all sub-clusters; each out: each predicted from all others; sizes out: each size from all others (over so"
    )
    print(
        "many sizes); whole and vacuum: at the full cluster. Terms and data are of clusters of that many bodies or more."
    )


def _print_errors(title: str, found: xr.Dataset) -> None:
    """A line for each order of the clusters that have as many bodies."""
    bodies = found.size.where(found.size_rms.notnull()).max(("order", "size"))
    table = Table(title=title)
    columns = (
        "order", "clusters", "terms", "data", "error", "each out", "sizes out", "whole", "noise", "vacuum", "noise",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right")
    for order in found.order.values:
        here = found.sel(order=order)
        here = here.isel(structure=np.flatnonzero(here.environment_rms.notnull().values))
        if here.sizes["structure"]:
            own = bodies.sel(structure=here.structure)
            sizes = _range(here.n_validated)
            table.add_row(
                str(order),
                str(here.sizes["structure"]),
                _range(here.n_parameters),
                _range(here.n_data),
                _figure(here.environment_rms, ".4f"),
                _figure(here.environment_left_out, ".4f"),
                f"{_figure(here.environment_validation, '.4f')} ({sizes})",
                _figure(here.environment_residual / own, ".4f"),
                _noise(here.environment_noise / own),
                _figure(here.vacuum_residual / own, ".4f"),
                _noise(here.vacuum_noise / own),
            )
    print_table(table)


def _range(values: xr.DataArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def _noise(values: xr.DataArray) -> str:
    """Noise per body; what is left of it by rounding is none."""
    return "0" if float(values.max()) < _ROUNDING else _figure(values, ".0e")


def _figure(values: xr.DataArray, style: str) -> str:
    """Root mean square over structures; a dash without any."""
    return format(float((values**2).mean() ** 0.5), style) if values.notnull().any() else "-"


def print_checks(report: Conformance) -> None:
    """The outcome of each check of an energy source."""
    table = Table(title=report.source)
    for column in ("check", "", "largest deviation", "allowed", "detail"):
        table.add_column(column)
    for check in report.checks:
        verdict = {True: Text("ok"), False: Text("FAILED", style="bold red"), None: Text("-")}[check.passed]
        figures = (f"{check.value:.1e} {check.unit}", f"{check.tolerance:.1e}") if check.unit else ("–", "–")
        table.add_row(check.name, verdict, *figures, check.detail)
    print_table(table)


def _hours(value: float) -> str:
    """Hours to the precision that such an estimate has."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def print_table(table: Table) -> None:
    """Print a table; into a file or a pipe the whole of it, however wide."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDEST)
    console.print(table)
