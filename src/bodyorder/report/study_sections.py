"""Sections on the trainings of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from markupsafe import Markup

from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.plots.losses import loss_figure
from bodyorder.plots.style import Theme
from bodyorder.report.curve_section import CurveSet, curve_parts
from bodyorder.report.environment import environment_parts
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.parts import Part
from bodyorder.report.section import Picture, Section


def study_sections(
    results: SeveralResults,
    reference: str | None,
    generalization: xr.Dataset | None = None,
    distillation: xr.Dataset | None = None,
    curves: Sequence[CurveSet] = (),
    losses: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Section]:
    """All sections that a study has data for.

    :param results: of the page
    :param reference: of the page
    :param generalization: measures of a grid of trainings, one cell for each, as a study writes them
    :param distillation: what explicit models have learnt of others, as a study writes it
    :param curves: what models and the reference say of two atoms and of three
    :param losses: for each trained model its ``epoch``, ``training`` and, if known, ``validation`` loss
    """
    data = align(results).data
    theme = Theme.of([str(name) for name in data["source"].values], reference, Theme.body_of(data))
    found = [
        (
            "generalization",
            "What models have learnt",
            generalization_parts(generalization, theme),
        ),
        ("environment", "Orders in their environment", environment_parts(generalization, distillation, theme)),
        ("curves", "Two atoms, three atoms", curve_parts(curves, generalization)),
    ]
    sections = [Section(name, title, parts=[_section(part) for part in parts]) for name, title, parts in found if parts]
    if losses:
        first, last = (
            {name: float(np.asarray(curve["training"])[end]) for name, curve in losses.items()} for end in (0, -1)
        )
        said = " ".join(f"{name}: training loss from {first[name]:.3g} to {last[name]:.3g}." for name in losses)
        caption = (
            "Loss during training, in the units of each model's own loss function: dotted on the training set, full on the "
            "validation set. A validation loss far above the training loss means that the model has learnt its training set by "
            "heart."
        )
        picture = Picture("loss", loss_figure(losses, theme), f"Loss against epoch. {said}", caption)
        sections.append(Section("training", "Training", "losses", pictures=[picture]))
    return sections


def _section(part: Part) -> Section:
    pictures = [Picture(name, figure, said, Markup(caption)) for name, figure, said, caption in part.figures]
    tables = [table for table in part.tables if table.rows]
    return Section("", part.heading, sentences=part.sentences, pictures=pictures, tables=tables)  # type: ignore[arg-type]
