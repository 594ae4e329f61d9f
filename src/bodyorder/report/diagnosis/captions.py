"""Captions of the figures of the *ab initio* section, and descriptions for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import xarray as xr

from bodyorder.analysis.factors import Series
from bodyorder.plots.diagnosis import free, shown, state_name
from bodyorder.plots.style import RESOLVED, Theme
from bodyorder.report.wording import energy, group_title

_AXIS = (
    f"Where values span decades, the axis is logarithmic, and linear in the grey strip within ±{RESOLVED:g} eV; lines only "
    "guide the eye."
)


def factors(lines: Sequence[Series], theme: Theme) -> tuple[str, str]:
    """Description and caption of the order totals by factor."""
    rows = shown(lines)
    listed = "; ".join(f"{line.factor} ({', '.join(line.values)}) in {line.common}" for line in rows)
    caption = (
        "Order totals <i>E</i><sup>(<i>n</i>)</sup>/<i>N</i> of sources that differ in one factor alone, a row for each "
        f"factor: means over the structures of a group, in eV per {theme.body}. {_AXIS}{_left_out(lines)}"
    )
    return f"Order totals against body order, by {listed}.", caption


def changes(changed: xr.Dataset, lines: Sequence[Series], theme: Theme) -> tuple[str, str]:
    """Description and caption of the changes of orders."""
    parts = []
    for line in lines:
        inside = (changed["from_source"] == line.anchor) | (changed["to_source"] == line.anchor)
        inside &= changed["factor"] == line.factor
        sizes = abs(changed["change_mean"].isel(pair=inside.values))
        if bool(sizes.notnull().any()):
            parts.append(f"{line.factor}: up to {energy(float(sizes.max()), theme.body)}.")
    anchors = "; ".join(f"{line.factor}: {line.values[line.sources.index(line.anchor)]}" for line in lines)
    caption = (
        f"Changes of the order totals per {theme.body} with one factor, against the source at zero ({escape(anchors)}): means "
        f"over the structures of a group, in eV per {theme.body}. Bands around zero: up to twice the noise (1σ) of a change. "
        f"{_AXIS}"
    )
    return f"Changes of order totals against body order. {' '.join(parts)}", caption


def states(counted: xr.Dataset, names: Mapping[str, str]) -> tuple[str, str]:
    """Description and caption of the multiplicities."""
    drawn = free(counted)
    parts = []
    for source in drawn:
        for group in counted["group"].values:
            totals = counted["n_states"].sel(source=source, group=group).sum("order")
            listed = [
                f"{int(number)} {state_name(int(value))}{'s' if number > 1 else ''}"
                for value, number in zip(counted["multiplicity"].values, totals.values, strict=True)
                if number
            ]
            parts.append(f"{names[source]}, {group_title(str(group)) or 'all structures'}: {', '.join(listed)}.")
    left_out = [names[str(name)] for name in counted["source"].values if str(name) not in drawn]
    caption = (
        "Multiplicities 2<i>S</i> + 1 of the sub-clusters of each size, as fractions of those computed. Above the bars: how many "
        "are neither singlets nor doublets."
    )
    if left_out:
        caption += f" Not shown, since all sub-clusters of a size are alike: {escape('; '.join(left_out))}."
    return f"Multiplicities of sub-clusters by size. {' '.join(parts)}", caption


def errors(found: xr.Dataset, names: Mapping[str, str]) -> tuple[str, str]:
    """Description and caption of the errors of methods."""
    parts, references = [], []
    for source in found["source"].values:
        own = found.sel(source=source)
        references.append(f"{names[str(source)]} against {names[str(own['reference'].values)]}")
        largest = abs(own["error_largest"])
        if bool(largest.notnull().any()):
            parts.append(f"{names[str(source)]}: largest {float(largest.max()):.3g} eV.")
    caption = (
        "Errors of the energies of single sub-clusters against the exact energies in the same basis and spin rule "
        f"({escape('; '.join(references))}), in eV: root mean squares over the sub-clusters of a size, and thin lines up to the "
        f"largest. Dashed: {1e3 * found.attrs['tolerance']:g} meV. Open triangles: below the axis."
    )
    if bool(found["mean_contamination"].notnull().any()):
        caption += " Below: mean spin contamination, where the method records it."
    return f"Errors of sub-clusters by size. {' '.join(parts)}", caption


def _left_out(lines: Sequence[Series]) -> str:
    others = len(lines) - len(shown(lines))
    return (
        f" Of each factor the longest series is shown; {others} more {_stand(others)} in the table." if others else ""
    )


def _stand(count: int) -> str:
    return "stand" if count > 1 else "stands"
