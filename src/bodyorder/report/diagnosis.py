"""The *ab initio* section: what the orders depend on, which states sub-clusters are in, where methods fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup

from bodyorder.analysis import (
    doubts,
    group_convergence,
    multiplicities,
    multiplicity_changes,
    order_changes,
    single_reference_errors,
)
from bodyorder.analysis.aligned import Aligned
from bodyorder.analysis.diagnosis import largest_changes, largest_errors
from bodyorder.analysis.factors import Series, anchored, exact_references, factors, is_ab_initio, series, short
from bodyorder.analysis.multiplicity import change_totals, doubt_totals, state_totals
from bodyorder.plots.diagnosis import (
    change_figure,
    error_figure,
    factor_figure,
    free,
    multiplicity_figure,
    shown,
    state_name,
)
from bodyorder.plots.style import Theme, group_title
from bodyorder.report.numbers import number, percent, whole
from bodyorder.report.orders import by_order
from bodyorder.report.section import Picture, Section
from bodyorder.report.table import Table
from bodyorder.report.words import words
from bodyorder.results.variables import DISSOCIATED, DOUBTS


@dataclass(frozen=True)
class Diagnosis:
    """Everything that is known of the *ab initio* results.

    :param results: those alone, side by side
    :param names: short names of their sources
    :param lines: sources that differ in one factor
    :param changes: of :func:`bodyorder.analysis.order_changes`, those from or to the anchors of series
    :param states: of :func:`bodyorder.analysis.multiplicities`, if any are known
    :param moves: of :func:`bodyorder.analysis.multiplicity_changes`, of the same pairs, if any are known
    :param errors: of :func:`bodyorder.analysis.single_reference_errors`, if there is an exact reference
    :param counts: of :func:`bodyorder.analysis.doubts`, if anything is in doubt
    """

    results: xr.Dataset
    names: dict[str, str]
    lines: list[Series]
    changes: xr.Dataset | None
    states: xr.Dataset | None
    moves: xr.Dataset | None
    errors: xr.Dataset | None
    counts: xr.Dataset | None

    def section(self, theme: Theme) -> Section:
        """Everything that is shown."""
        parts = [self._factors(theme), self._states(), self._errors(theme), self._doubts()]
        found = [part for part in parts if part]
        hint = ", ".join(part.title[0].lower() + part.title[1:] for part in found)
        return Section("diagnosis", "Ab initio diagnosis", hint, parts=found)

    def _factors(self, theme: Theme) -> Section | None:
        if self.changes is None:
            return None
        own, rows = theme.only(self.names), shown(self.lines)
        listed = [(line.factor, list(line.values), line.common) for line in rows]
        anchors = [(line.factor, line.values[line.sources.index(line.anchor)]) for line in rows]
        values: dict[str, Any] = {
            "lines": listed,
            "anchors": anchors,
            "body": theme.body,
            "left_out": len(self.lines) - len(rows),
        }
        described = words("diagnosis.html", "factors_description", lines=listed).unescape()
        pictures = [
            Picture("factors", factor_figure(group_convergence(Aligned(self.results)), rows, own), described,
                    words("diagnosis.html", "factors", **values)),
            Picture("changes", change_figure(self.changes, rows, own), f"Changes of these. {described}",
                    words("diagnosis.html", "changes", **values)),
        ]  # fmt: skip
        frame, noise = (_of_pairs(self.changes, name) for name in ("change_mean", "change_noise"))
        frame["E/N"] = self.changes["change_total"].transpose("group", "pair").values.ravel()
        known = frame.iloc[:, :-1].notna().any(axis=1)
        table = Table(frame[known], words("diagnosis.html", "changes_table", body=theme.body), noise=noise[known])
        said = [
            words("diagnosis.html", "change", body=theme.body, **part)
            for part in _parts_of(largest_changes(self.changes), "pair")
        ]
        return Section("", "What the orders depend on", sentences=said, pictures=pictures, tables=[table])

    def _states(self) -> Section | None:
        if self.states is None:
            return None
        drawn, counts = free(self.states), state_totals(self.states)
        left_out = [self.names[str(name)] for name in self.states["source"].values if str(name) not in drawn]
        said, described = [], []
        for source in drawn:
            own, name = counts.sel(source=source), self.names[source]
            held = zip(own["multiplicity"].values.tolist(), own["n_states"].values.tolist(), strict=True)
            described.append((name, [(state_name(value), count) for value, count in held if count]))
            if n_high := int(own["n_high_spin"]):
                values: dict[str, Any] = {"name": name, "n_high": n_high, "n_all": int(own["n_states_known"])}
                said.append(words("diagnosis.html", "states", **values))
        picture = Picture(
            "multiplicities",
            multiplicity_figure(self.states, self.names),
            words("diagnosis.html", "states_description", states=described).unescape(),
            words("diagnosis.html", "states_caption", left_out=left_out),
        )
        tables = [] if self.moves is None else [move_table(self.moves), named_table(self.moves)]
        return Section("", "Spin states of sub-clusters", sentences=said, pictures=[picture], tables=tables)

    def _errors(self, theme: Theme) -> Section | None:
        if self.errors is None:
            return None
        tolerance = 1e3 * self.errors.attrs["tolerance"]
        found = largest_errors(self.errors)
        parts = []
        for part in _parts_of(found, "source"):
            parts.append(part | {"name": self.names[part["source"]], "reference": self.names[part["reference"]]})
        said = [words("diagnosis.html", "error", tolerance=tolerance, **part) for part in parts if part["n_compared"]]
        contaminated = bool(self.errors["mean_contamination"].notnull().any())
        picture = Picture(
            "errors",
            error_figure(self.errors, theme, self.names),
            f"Errors of sub-clusters by size; numbers are in the table. {Markup(' ').join(said).striptags()}",
            words("diagnosis.html", "errors", parts=parts, tolerance=tolerance, contaminated=contaminated),
        )
        table = error_table(self.errors, self.names, theme.body)
        return Section("", "Where methods leave the exact energies", sentences=said, pictures=[picture], tables=[table])

    def _doubts(self) -> Section | None:
        if self.counts is None:
            return None
        return Section("", "What is in doubt", tables=[doubt_table(self.counts, self.names)])


def diagnose(results: xr.Dataset) -> Diagnosis | None:
    """Analyse the *ab initio* results among all; None if there is nothing to say.

    :param results: side by side (:class:`bodyorder.analysis.Aligned`)
    """
    known = {name: held for name, held in factors(results).items() if is_ab_initio(held)}
    if not known:
        return None
    own = results.sel(source=list(known))
    own.attrs = results.attrs
    lines = series(own)
    aligned = Aligned(own)
    counts = doubts(aligned)
    doubtful = any(name in counts and bool((counts[name] > 0).any()) for name in DOUBTS)
    recorded = "subset_multiplicity" in own and bool(own["subset_multiplicity"].notnull().any())
    if not lines and not recorded and not doubtful:
        return None
    exact = exact_references(own) if "subset_energy" in own else {}
    return Diagnosis(
        results=own,
        names={name: short(held) for name, held in known.items()},
        lines=lines,
        changes=anchored(order_changes(aligned), lines) if lines else None,
        states=multiplicities(aligned) if recorded else None,
        moves=anchored(multiplicity_changes(aligned), lines) if recorded and lines else None,
        errors=single_reference_errors(aligned) if exact else None,
        counts=counts if doubtful else None,
    )


def move_table(moves: xr.Dataset) -> Table:
    """How many sub-clusters change their multiplicity, and how much that changes energies at most."""
    changed, compared = (_of_pairs(moves, name) for name in ("n_changed", "n_compared"))
    totals = change_totals(moves)
    frame = _of(changed, compared)
    frame["all"] = _of(_of_pairs(totals, "n_changed"), _of_pairs(totals, "n_compared"))
    frame["largest change (eV)"] = _of_pairs(totals, "changed_energy_size")
    return Table(frame[compared.any(axis=1)], words("diagnosis.html", "moves_table"))


def named_table(moves: xr.Dataset) -> Table:
    """The sub-clusters that change most in energy when they change their multiplicity, but where the rule leaves no choice."""
    rows = []
    for place, rank in np.argwhere(np.isfinite(moves["changed_energy"].transpose("pair", "rank").values)):
        row = moves.isel(pair=place, rank=rank)
        if "high" not in (row["from"].item(), row["to"].item()):
            bodies = ", ".join(str(body) for body in row["changed_members"].values if body >= 0)
            states = [state_name(int(row[name])) for name in ("changed_from", "changed_to")]
            label = row["pair"].item(), row["changed_structure"].item(), bodies
            rows.append((*label, *states, float(row["changed_energy"])))
    frame = pd.DataFrame(rows, columns=["group", "structure", "bodies", "from", "to", "ΔE(S)"])
    return Table(frame.set_index(["group", "structure", "bodies"]), words("diagnosis.html", "named_table"))


def error_table(errors: xr.Dataset, names: Mapping[str, str], body: str) -> Table:
    """Errors of methods in sub-clusters, and in orders."""
    tolerance = 1e3 * errors.attrs["tolerance"]
    beyond = _of(by_order(errors, "n_beyond"), by_order(errors, "n_compared"))
    written = {
        "RMS error": by_order(errors, "error_rms").map(number),
        "largest error": by_order(errors, "error_largest").map(number),
        f"beyond {tolerance:g} meV": beyond,
        "r with contamination": by_order(errors, "error_contamination").map(lambda value: number(value, 2)),
        "error of order total": by_order(errors, "order_bias").map(number),
        "share of order total": by_order(errors, "order_share").map(percent),
    }
    return Table(_stacked(written, names), words("diagnosis.html", "errors_table", body=body, tolerance=tolerance))


def doubt_table(counts: xr.Dataset, names: Mapping[str, str]) -> Table:
    """What is in doubt."""
    sizes, totals = by_order(counts, "n_clusters"), doubt_totals(counts)
    written = {}
    for name, what in (*DOUBTS.items(), (DISSOCIATED[0], f"of these, {DISSOCIATED[1]}")):
        if name in counts:
            frame, total = _of(by_order(counts, name), sizes), by_order(totals, name)
            frame["all"] = _of(total, by_order(totals, "n_clusters"))
            written[what] = frame[(total > 0).to_numpy()]
    return Table(_stacked(written, names), words("diagnosis.html", "doubts_table"))


def _of_pairs(dataset: xr.Dataset, name: str) -> pd.DataFrame:
    frame = by_order(dataset, name, ("group", "pair"))
    return frame.set_axis(frame.index.set_names(["group", "change"]))


def _of(counts: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """How many of how many, as text; missing where nothing is known."""
    text = [
        [number(np.nan) if np.isnan(n) or of == 0 else f"{whole(n)} of {whole(of)}" if of > 0 else whole(n)
         for n, of in zip(row, size, strict=True)]
        for row, size in zip(counts.to_numpy(dtype=float), sizes.to_numpy(dtype=float), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(text, counts.index, counts.columns)


def _stacked(written: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> pd.DataFrame:
    """Frames of text one below the other within each group and source; rows that say nothing are left out."""
    rows = []
    for group, source in dict.fromkeys(label for frame in written.values() for label in frame.index):
        for what, frame in written.items():
            if (group, source) in frame.index:
                cells = frame.loc[(group, source)]
                if (cells != number(np.nan)).any():
                    rows.append((group, names[source], what, *cells))
    columns: Sequence[Any] = max((list(frame.columns) for frame in written.values()), key=len, default=[])
    return pd.DataFrame(rows, columns=["group", "source", "", *columns]).set_index(["group", "source", ""])


def _parts_of(found: xr.Dataset, dim: str) -> list[dict[str, Any]]:
    """A dataset along one dimension as values that wording is filled with; groups by their titles."""
    parts = []
    for place in range(found.sizes[dim]):
        part = found.isel({dim: place})
        values = {str(name): part[name].item() for name in part.variables if not part[name].dims}
        parts.append(
            {key: group_title(str(value)) if key.endswith("group") else value for key, value in values.items()}
        )
    return parts
