"""What the section shows: the analyses of the *ab initio* results of a report, and its figures and tables in their order."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from bodyorder.analysis import (
    doubts,
    group_convergence,
    multiplicities,
    multiplicity_changes,
    order_changes,
    single_reference_errors,
)
from bodyorder.analysis.aligned import Aligned
from bodyorder.analysis.factors import Series, exact_references, factors, is_ab_initio, series, short
from bodyorder.analysis.multiplicity import DOUBTS
from bodyorder.plots import diagnosis as figures
from bodyorder.plots.style import Theme
from bodyorder.report.diagnosis import captions, tables, text
from bodyorder.report.parts import Part
from bodyorder.report.summary import of_doubts


@dataclass(frozen=True)
class Diagnosis:
    """Everything that is said about the *ab initio* results.

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

    def parts(self, theme: Theme) -> list[Part]:
        """Everything that is shown, part by part."""
        return [part for part in (self._factors(theme), self._states(), self._errors(theme), self._doubts()) if part]

    def _factors(self, theme: Theme) -> Part | None:
        if self.changes is None:
            return None
        own, rows = theme.only(self.names), figures.shown(self.lines)
        orders = figures.factor_figure(group_convergence(Aligned(self.results)), rows, own)
        changes = figures.change_figure(self.changes, rows, own)
        return Part(
            "What the orders depend on",
            text.of_changes(self.changes, rows, theme.body),
            [
                ("factors", orders, *captions.factors(self.lines, own)),
                ("changes", changes, *captions.changes(self.changes, rows, own)),
            ],
            [tables.change_table(self.changes, theme.body)],
        )

    def _states(self) -> Part | None:
        if self.states is None:
            return None
        drawn = figures.multiplicity_figure(self.states, self.names)
        said = text.of_states(self.states, self.names)
        shown = [("multiplicities", drawn, *captions.states(self.states, self.names))]
        if self.moves is None:
            return Part("Spin states of sub-clusters", said, shown, [])
        said += text.of_moves(self.moves, figures.shown(self.lines))
        held = [tables.move_table(self.moves), tables.named_table(self.moves)]
        return Part("Spin states of sub-clusters", said, shown, held)

    def _errors(self, theme: Theme) -> Part | None:
        if self.errors is None:
            return None
        drawn = figures.error_figure(self.errors, theme, self.names)
        return Part(
            "Where methods leave the exact energies",
            text.of_errors(self.errors, self.names, theme.body),
            [("errors", drawn, *captions.errors(self.errors, self.names))],
            [tables.error_table(self.errors, self.names, theme.body)],
        )

    def _doubts(self) -> Part | None:
        if self.counts is None:
            return None
        table = tables.doubt_table(self.counts, self.names)
        return Part("What is in doubt", of_doubts(self.counts, self.names), [], [table])


def diagnose(results: xr.Dataset) -> Diagnosis | None:
    """Analyse the *ab initio* results among all; None if there is nothing to say.

    :param results: of :func:`bodyorder.analysis.combine`
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
        changes=_anchored(order_changes(aligned), lines) if lines else None,
        states=multiplicities(aligned) if recorded else None,
        moves=_anchored(multiplicity_changes(aligned), lines) if recorded and lines else None,
        errors=single_reference_errors(aligned) if exact else None,
        counts=counts if doubtful else None,
    )


def _anchored(dataset: xr.Dataset, lines: list[Series]) -> xr.Dataset:
    """The pairs that hold the anchor of their series: all others are differences of these."""
    rows = sorted({row for line in lines for row in text.with_anchor(dataset, line)})
    return dataset.isel(pair=rows)
