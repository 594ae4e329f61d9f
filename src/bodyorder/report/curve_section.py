"""What the section on curves shows: two-body curves for each training set, three-body maps, and a table of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import xarray as xr

from bodyorder.analysis.curves import pair_wells
from bodyorder.analysis.seeds import over_seeds
from bodyorder.plots.curves import pair_curve_figure, triple_map_figure
from bodyorder.plots.style import Theme
from bodyorder.report.generalization.trainings import values_of
from bodyorder.report.parts import Part
from bodyorder.report.tables import MISSING, Table, number

#: Captions of the tables.
_WELLS = (
    "Two-body curves: depth and place of the deepest minimum, and the root-mean-square deviation from the reference at the "
    "distances of the pairs that a model was trained on. ±: standard deviation over seeds."
)
_MAPS = (
    "Three-body maps: root-mean-square deviation from the reference (eV), by angle. ±: standard deviation over seeds."
)

#: Columns of the first: heading, measure, and where it is taken.
_WELL_COLUMNS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("well depth (eV)", "well_depth", {}),
    ("at (Å)", "well_distance", {}),
    ("RMS deviation (eV)", "pair_training_rms", {}),
)


@dataclass(frozen=True)
class CurveSet:
    """Two-body curves, or three-body maps, that are shown in one figure.

    :param training_set: training set of the models among them, None if they were trained already
    :param curves: of :func:`bodyorder.analysis.curves.combine_curves`, with a reference
    :param density: distances of the pairs that the models were trained on, of
        :func:`bodyorder.analysis.curves.distance_density`; for curves only
    """

    training_set: str | None
    curves: xr.Dataset
    density: xr.Dataset | None = None


def curve_parts(sets: Sequence[CurveSet], table: xr.Dataset | None) -> list[Part]:
    """Everything that is shown, part by part.

    :param sets: curves and maps
    :param table: measures of the cells of a study, which say how far apart seeds are
    """
    names = list(dict.fromkeys(str(name) for held in sets for name in held.curves["source"].values))
    reference = sets[0].curves.attrs.get("reference") if sets else None
    theme = Theme.of(names, reference)
    pairs = [held for held in sets if "distance" in held.curves.dims]
    maps = [held for held in sets if "distance" not in held.curves.dims]
    means = None if table is None else over_seeds(table)
    parts = []
    if pairs:
        figures = [
            (f"pairs{place}", pair_curve_figure(held.curves, held.density, theme), *_of_pairs(held))
            for place, held in enumerate(pairs)
        ]
        tables = [] if means is None else [_table(_WELLS, means, "pair", _WELL_COLUMNS)]
        parts.append(Part("Two atoms alone", [], figures, tables))
    if maps:
        figures = [
            (f"triples{place}", triple_map_figure(held.curves), *_of_triples(held)) for place, held in enumerate(maps)
        ]
        tables = [] if means is None else [_table(_MAPS, means, "triple", _angle_columns(means))]
        parts.append(Part("Three atoms alone", [], figures, tables))
    return parts


def _angle_columns(means: xr.Dataset) -> list[tuple[str, str, dict[str, float]]]:
    angles = [float(angle) for angle in means["angle"].values] if "angle" in means.coords else []
    return [(f"{angle:g}°", "triple_rms", {"angle": angle}) for angle in angles]


def _of_pairs(held: CurveSet) -> tuple[str, str]:
    """Description and caption of two-body curves."""
    wells = pair_wells(held.curves)
    said = []
    for name in held.curves["source"].values:
        depth, place = (float(wells[key].sel(source=name)) for key in ("well_depth", "well_distance"))
        said.append(f"{name}: " + (f"{depth:.2f} eV at {place:.2f} Å." if np.isfinite(depth) else "no minimum."))
    behind = (
        " Below: how many pairs of atoms the training structures have at each distance."
        if held.density is not None
        else ""
    )
    caption = (
        f"{_whose(held)}The two-body contribution <i>ε</i><sub>2</sub> of two atoms alone in vacuum. Dashed:"
        f" {escape(str(held.curves.attrs['reference']))}.{behind} Where there are none, a model was never told what two atoms"
        " do, and its curve is what its form makes of the rest."
    )
    return f"Two-body curves. Deepest minima: {' '.join(said)}", caption


def _of_triples(held: CurveSet) -> tuple[str, str]:
    """Description and caption of three-body maps."""
    sizes = abs(held.curves["triple_contribution"]).max(("angle", "first", "second"))
    said = [f"{name}: {float(sizes.sel(source=name)):.3g} eV." for name in held.curves["source"].values]
    caption = (
        f"{_whose(held)}The three-body contribution <i>ε</i><sub>3</sub> of three atoms alone in vacuum over the distances of"
        " two of them from the third, for some angles there. White is zero; colours are linear near it and logarithmic beyond."
    )
    return f"Three-body maps. Largest contributions: {' '.join(said)}", caption


def _whose(held: CurveSet) -> str:
    return f"<b>Trained on {escape(held.training_set)}.</b> " if held.training_set else ""


def _table(caption: str, means: xr.Dataset, kind: str, columns: Sequence[tuple[str, str, dict[str, float]]]) -> Table:
    """Measures of the curves, or maps, of all trainings on whole sets, with their spread over seeds.

    :param kind: ``pair`` or ``triple``
    :param columns: for each its heading, and the measure that is in it and where
    """
    shown = Table(caption, [kind, "model", *(title for title, _, _ in columns)], 2)
    for place in np.flatnonzero(means["whole"].values) if kind in means.dims else []:
        row = means.isel(training=place)
        for species in means[kind].values:
            cells = [_with_spread(row, name, where | {kind: species}) for _, name, where in columns]
            if any(cell != MISSING for cell in cells):
                shown.rows.append([escape(str(species)), escape(str(row["model"].item())), *cells])
                shown.groups.append(escape(str(row["training_set"].item())))
    return shown


def _with_spread(row: xr.Dataset, name: str, where: Mapping[str, object]) -> str:
    """A mean and its spread over seeds."""
    if name not in row:
        return MISSING
    mean, spread = (float(value) for value in values_of(row, name, **where))
    if not np.isfinite(mean):
        return MISSING
    return number(mean) + (f" ± {number(spread)}" if np.isfinite(spread) else "")
