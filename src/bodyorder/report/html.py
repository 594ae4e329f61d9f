"""The report: one HTML file that holds figures, tables and the structures, and opens without a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from bodyorder._checks import check_choice
from bodyorder._files import replacing
from bodyorder.analysis import attributes, compare, group_convergence, groups, one_body_energies
from bodyorder.analysis.aligned import Aligned, SeveralResults, align
from bodyorder.analysis.convergence import TOLERANCE
from bodyorder.plots.convergence import orders_figure, truncation_figure
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.one_body import one_body_figure
from bodyorder.plots.parity import parity_figure
from bodyorder.plots.style import Theme
from bodyorder.report import captions, tables
from bodyorder.report.curve_section import CurveSet, curve_parts
from bodyorder.report.diagnosis import diagnose
from bodyorder.report.environment import environment_parts
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.parts import Part
from bodyorder.report.summary import findings
from bodyorder.report.svg import render_svg
from bodyorder.report.viewer import SHOWN_PER_GROUP, Viewer, chemiscope_script, make_viewer


@dataclass(frozen=True)
class Report:
    """What a report shows.

    :param title: heading of the page
    :param results: of :func:`bodyorder.analysis.combine`, or one result alone
    :param reference: name of the source that the others are compared with; None compares nothing
    :param generalization: measures of a grid of trainings, one cell for each, as a study writes them
    :param distillation: what explicit models have learnt of others, as a study writes it
    :param curves: what models and the reference say of two atoms and of three
    :param losses: for each trained model its ``epoch``, ``training`` and, if known, ``validation`` loss: a dataset or a
        mapping of sequences. Models that are called like a source are drawn in its colour.
    :param provenance: settings, versions and hashes; anything that JSON can hold
    :param tolerance: truncation error in eV per body that an order must reach to suffice
    """

    title: str
    results: SeveralResults
    reference: str | None = None
    generalization: xr.Dataset | None = None
    distillation: xr.Dataset | None = None
    curves: Sequence[CurveSet] = ()
    losses: Mapping[str, Mapping[str, Any]] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = TOLERANCE


def write_report(path: str | os.PathLike[str], report: Report) -> Path:
    """Write a report as one HTML file, whole or not at all.

    :return: the path
    :raises InputError: if the reference is not among the sources, or the file cannot be written
    """
    page = render_report(report)
    with replacing(path, "a report") as partial:
        partial.write_text(page, encoding="utf-8")
    return Path(path)


def render_report(report: Report) -> str:
    """The page of a report as text; see :func:`write_report`."""
    aligned = align(report.results)
    results = aligned.data
    names = [str(name) for name in results["source"].values]
    if report.reference is not None:
        check_choice("reference", report.reference, names)
    body = "atom" if results.attrs.get("bodies", "atoms") == "atoms" else "body"
    theme = Theme.of(names, report.reference, body)
    convergence = group_convergence(aligned, report.tolerance)
    # A single source agrees with itself, which is worth no figure.
    comparison = compare(aligned, report.reference) if report.reference is not None and len(names) > 1 else None
    sections = [
        _summary(results, convergence, comparison, body),
        _fill("reading.html", body=body, tolerance=f"{1e3 * report.tolerance:g}"),
        _orders(convergence, theme),
        _truncation(convergence, theme),
        _diagnosis(results, theme),
        _comparison(results, comparison, theme),
        _generalization(report.generalization, theme),
        _environment(report.generalization, report.distillation, theme),
        _curves(report.curves, report.generalization),
        _viewer(results, report),
        _one_body(results, report.reference, theme),
        _training(report, theme),
        _failures(results),
        _provenance(results, report),
    ]
    shown = [section for section in sections if section]
    return _fill("page.html", title=escape(report.title), style=_asset("style.css"), sections="\n".join(shown))


def _summary(results: xr.Dataset, convergence: xr.Dataset, comparison: xr.Dataset | None, body: str) -> str:
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in findings(results, convergence, comparison, body))
    n_structures, n_sources = results.sizes["structure"], results.sizes["source"]
    sizes = sorted({int(size) for size in results["n_bodies"].values})
    count = f"{n_structures} structure{'s' if n_structures > 1 else ''} of {_range(sizes)} {_plural(body, sizes[-1])}"
    count += f", {n_sources} energy source{'s' if n_sources > 1 else ''}"
    return _section("summary", "Findings", f'<p class="scope">{count}.</p><ul class="findings">{said}</ul>')


def _orders(convergence: xr.Dataset, theme: Theme) -> str:
    figure = _figure("orders", orders_figure(convergence, theme), *captions.orders(convergence, theme))
    table = tables.order_totals_table(convergence, theme.body).render()
    return _section("orders", "Order totals", figure + table)


def _truncation(convergence: xr.Dataset, theme: Theme) -> str:
    if not convergence["group_truncation_error"].notnull().any():
        text = "What a truncated expansion lacks is not known: the energies of the whole structures are missing."
        return _section("truncation", "How many orders are enough", f"<p>{text}</p>")
    figure = _figure("truncation", truncation_figure(convergence, theme), *captions.truncation(convergence, theme))
    table = tables.convergence_table(convergence, theme.body).render()
    return _section("truncation", "How many orders are enough", figure + table)


def _diagnosis(results: xr.Dataset, theme: Theme) -> str:
    found = diagnose(results)
    if found is None:
        return ""
    return _section("diagnosis", "<i>Ab initio</i> diagnosis", _parts(found.parts(theme)))


def _parts(parts: Sequence[Part]) -> str:
    content = []
    for part in parts:
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in part.sentences)
        content.append(f"<h3>{escape(part.heading)}</h3>" + (f'<ul class="findings">{said}</ul>' if said else ""))
        content += [_figure(*figure) for figure in part.figures]
        content += [table.render() for table in part.tables if table.rows]
    return "".join(content)


def _comparison(results: xr.Dataset, comparison: xr.Dataset | None, theme: Theme) -> str:
    if comparison is None:
        return ""
    figures = []
    for index, group in enumerate(groups(results)):
        drawn = parity_figure(results, comparison, group, theme)
        figures.append(_figure(f"scatter{index}", drawn, *captions.scatter(results, comparison, group)))
    table = tables.deviation_table(comparison, theme.body).render()
    return _section("comparison", f"Against {escape(comparison.attrs['reference'])}", table + "".join(figures))


def _generalization(table: xr.Dataset | None, theme: Theme) -> str:
    if table is None:
        return ""
    return _section("generalization", "What models have learnt", _parts(generalization_parts(table, theme)))


def _environment(table: xr.Dataset | None, distilled: xr.Dataset | None, theme: Theme) -> str:
    parts = environment_parts(table, distilled, theme)
    return _section("environment", "Orders in their environment", _parts(parts)) if parts else ""


def _curves(sets: Sequence[CurveSet], table: xr.Dataset | None) -> str:
    parts = curve_parts(sets, table)
    return _section("curves", "Two atoms, three atoms", _parts(parts)) if parts else ""


def _viewer(results: xr.Dataset, report: Report) -> str:
    needed = ("subset_contribution", "subset_members", "site_position", "site_body")
    if any(name not in results for name in needed):
        text = "Which atoms carry an order is not shown: the results hold no subsets (decompose with <code>subsets</code>)."
        return _section("structures", "The structures", f"<p>{text}</p>")
    if any("sampled" in str(held.get("family", "")) for held in attributes(results).values()):
        text = "Which atoms carry an order is not shown: a sample of the sub-clusters does not tell."
        return _section("structures", "The structures", f"<p>{text}</p>")
    viewer = make_viewer(results, report.title, report.reference)
    return _section("structures", "The structures", _viewer_body(viewer))


def _viewer_body(viewer: Viewer) -> str:
    left_out = ""
    if viewer.n_left_out:
        left_out = f" Of each group {SHOWN_PER_GROUP} structures are shown; {viewer.n_left_out} are left out."
    script = _asset("viewer.js").replace("VIEWER_DATA", viewer.script())
    markup = _fill("viewer.html", left_out=left_out)
    return f"{markup}\n<script>{chemiscope_script()}</script>\n<script>{script}</script>"


def _one_body(results: xr.Dataset, reference: str | None, theme: Theme) -> str:
    energies = one_body_energies(Aligned(results))
    if energies is None:
        return ""
    drawn = one_body_figure(energies, reference, theme)
    figure = _figure("onebody", drawn, *captions.one_body(energies, reference))
    return _section("onebody", "Isolated atoms", figure + tables.one_body_table(energies, reference).render())


def _training(report: Report, theme: Theme) -> str:
    if not report.losses:
        return ""
    figure = _figure("loss", loss_figure(report.losses, theme), *captions.loss(report.losses))
    return _section("training", "Training", figure)


def _failures(results: xr.Dataset) -> str:
    table = tables.failure_table(results)
    return "" if table is None else _section("failures", "What is missing", table.render())


def _provenance(results: xr.Dataset, report: Report) -> str:
    origins = attributes(results)
    content = tables.origin_table(origins).render()
    everything = {"provenance": report.provenance, "results": origins}
    text = json.dumps(everything, indent=2, default=str, ensure_ascii=False)
    content += f"<details><summary>Settings, versions and hashes</summary><pre>{escape(text)}</pre></details>"
    return _section("provenance", "Provenance", content)


def _section(name: str, heading: str, content: str) -> str:
    return f'<section id="{name}" aria-labelledby="{name}-heading"><h2 id="{name}-heading">{heading}</h2>{content}</section>'


def _figure(name: str, figure: Figure, description: str, caption: str) -> str:
    svg = render_svg(figure, name, description)
    return f'<figure id="figure-{name}">{svg}<figcaption>{caption}</figcaption></figure>'


def _range(sizes: list[int]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _plural(body: str, count: int) -> str:
    if count == 1:
        return body
    return "bodies" if body == "body" else f"{body}s"


def _asset(name: str) -> str:
    return (files("bodyorder.report") / "page" / name).read_text(encoding="utf-8")


def _fill(asset: str, **values: str) -> str:
    return Template(_asset(asset)).substitute(values)
