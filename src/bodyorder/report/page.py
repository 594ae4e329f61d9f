"""The report: one HTML file that holds figures, tables and the structures, and opens without a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr
from markupsafe import Markup

from bodyorder._checks import InputError, check_choice
from bodyorder._files import replacing
from bodyorder.analysis import attributes, compare, findings, group_convergence, one_body_energies
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import said_unasked
from bodyorder.analysis.convergence import TOLERANCE
from bodyorder.analysis.dissociation import offsets
from bodyorder.plots.style import Theme
from bodyorder.report import orders, overview
from bodyorder.report.diagnosis import diagnose
from bodyorder.report.members import members
from bodyorder.report.section import Section
from bodyorder.report.viewer import SHOWN_PER_GROUP, chemiscope_script, make_viewer
from bodyorder.report.words import templates, words


@dataclass(frozen=True)
class Report:
    """What a report shows.

    :param title: heading of the page
    :param results: one result, several by name, or a combined one
    :param reference: name of the source that the others are compared with; None compares nothing
    :param sections: others that are shown below those on the orders, in this order
    :param provenance: settings, versions and hashes; anything that JSON can hold
    :param tolerance: truncation error in eV per body that an order must reach to suffice
    """

    title: str
    results: SeveralResults
    reference: str | None = None
    sections: Sequence[Section] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = TOLERANCE


def write_report(path: str | os.PathLike[str], report: Report) -> Path:
    """Write a report as one HTML file, whole or not at all.

    :return: the path
    :raises InputError: if the reference is not among the sources, or the file cannot be written
    """
    if not isinstance(report, Report):
        raise InputError(f"a report must be a Report(title, results), after its path, got {type(report).__name__}")
    page = render_report(report)
    with replacing(path, "a report") as partial:
        partial.write_text(page, encoding="utf-8")
    return Path(path)


def render_report(report: Report) -> str:
    """The page of a report as text; see :func:`write_report`."""
    aligned = align(report.results).several
    results = aligned.data
    names = [str(name) for name in results["source"].values]
    if report.reference is not None:
        check_choice("reference", report.reference, names)
    # a single source agrees with itself, which is worth no word
    reference = report.reference if len(names) > 1 else None
    theme = Theme.of(names, report.reference, Theme.body_of(results))
    convergence = group_convergence(aligned, report.tolerance)
    compared = None if reference is None else compare(aligned, reference)
    found = findings(aligned, reference, report.tolerance)
    diagnosis = diagnose(results)
    sections = [
        orders.failures(results),
        orders.totals(convergence, theme, said_unasked(results)),
        orders.truncation(convergence, theme),
        orders.comparison(results, compared, theme),
        orders.balance(aligned, theme),
        members(aligned, theme),
        None if diagnosis is None else diagnosis.section(theme),
        *report.sections,
        _structures(results, report),
        orders.one_body(one_body_energies(aligned), report.reference, theme, offsets(aligned)),
        _provenance(results, report),
        Section("reading", "How to read this page", "definitions", body=_reading(report.tolerance, theme.body)),
    ]
    page = templates().get_template("page.html")
    return page.render(
        title=report.title,
        scope=words(
            "sentences.html", "scope", n_structures=results.sizes["structure"], n_sources=len(names), source=names[0],
            body=theme.body, sizes=sorted({int(size) for size in results["n_bodies"].values}),
        ),
        inputs=orders.said(attributes(results), "input"),
        remarks=orders.said(attributes(results), "remark"),
        sentences=overview.sentences(found, theme),
        picture=overview.picture(convergence, found, theme),
        sections=[section for section in sections if section is not None],
        style=_asset("style.css"),
        script=_asset("page.js"),
    )  # fmt: skip


def _reading(tolerance: float, body: str) -> Markup:
    return words("reading.html", "reading", body=body, tolerance=1e3 * tolerance)


def _structures(results: xr.Dataset, report: Report) -> Section:
    title = "The structures"
    sampled = any("sampled" in str(held.get("family", "")) for held in attributes(results).values())
    needed = ("subset_contribution", "subset_members", "site_position", "site_body")
    if sampled or any(name not in results for name in needed):
        return Section("structures", title, "not shown", body=words("viewer.html", "no_viewer", sampled=sampled))
    kept = results["subset_contribution"].notnull().any("subset").values
    some = 0 < kept.sum() < len(kept)  # the others were resolved without sub-clusters
    shown = results.sel(source=results["source"].values[kept]) if some else results
    names = [str(name) for name in shown["source"].values]
    viewer = make_viewer(shown, report.title, report.reference if report.reference in names else None)
    script = Markup(str(_asset("viewer.js")).replace("VIEWER_DATA", viewer.script()))  # markup escapes what it is given
    body = (
        templates()
        .get_template("viewer.html")
        .module.viewer(  # type: ignore[attr-defined]
            viewer.n_left_out, SHOWN_PER_GROUP, Markup(chemiscope_script()), script
        )
    )
    hint = "in three dimensions, atoms coloured by their share of an order"
    if some:
        hint += f" in {', '.join(names)}"
    return Section("structures", title, hint, body=body)


def _provenance(results: xr.Dataset, report: Report) -> Section:
    origins = attributes(results)
    everything = {"provenance": report.provenance, "results": origins}
    text = json.dumps(everything, indent=2, default=str, ensure_ascii=False)
    body = templates().get_template("viewer.html").module.settings(text)  # type: ignore[attr-defined]
    hint = "sources, settings, versions and hashes"
    return Section("provenance", "Provenance", hint, tables=[orders.origins(origins)], body=body)


def _asset(name: str) -> Markup:
    return Markup((files("bodyorder.report") / "page" / name).read_text(encoding="utf-8"))
