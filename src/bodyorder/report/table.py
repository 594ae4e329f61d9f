"""Tables of the page, from frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd
from markupsafe import Markup

from bodyorder.analysis.significance import within_noise
from bodyorder.plots.style import group_title
from bodyorder.report.numbers import number
from bodyorder.report.words import words

Format = Callable[[Any], str]


@dataclass(frozen=True)
class Table:
    """A table of the page.

    :param frame: numbers as they are, NaN where they are missing. The levels of its index are the headings of rows; one that is
        called ``group`` heads blocks of rows instead.
    :param caption: what it shows, with units; plain text or markup of a template
    :param formats: how cells are written, or those of each column; with three digits behind the point otherwise
    :param noise: 1σ of some columns, a frame with the same rows: cells that are not above twice theirs are grey with ~, and a
        footnote says how large the noise is
    :param footnote: plain text or markup
    """

    frame: pd.DataFrame
    caption: str | Markup
    formats: Format | Mapping[Any, Format] = number
    noise: pd.DataFrame | None = None
    footnote: str | Markup = ""

    @property
    def lost(self) -> pd.DataFrame:
        """Which cells are not above twice their noise."""
        lost = pd.DataFrame(False, index=self.frame.index, columns=self.frame.columns)
        if self.noise is not None:
            held = self.frame[self.noise.columns].to_numpy(dtype=float)
            lost[self.noise.columns] = within_noise(held, self.noise.to_numpy(dtype=float))
        return lost

    @property
    def rows(self) -> int:
        """How many there are: a table without any is not shown."""
        return len(self.frame)

    def render(self) -> Markup:
        """The table as an element of the page; text in it is escaped."""
        index = self.frame.index
        labels = [label if isinstance(label, tuple) else (label,) for label in index]
        blocks = index.names[0] == "group" and index.nlevels > 1
        rows = [
            (group_title(str(label[0])) if blocks else "", label[blocks:], zip(self._cells(row), lost, strict=True))
            for label, row, lost in zip(
                labels, self.frame.itertuples(index=False, name=None), self.lost.values, strict=True
            )
        ]
        return words(
            "table.html",
            "table",
            caption=self.caption,
            heads=[name or "" for name in index.names][blocks:],
            titles=list(self.frame.columns),
            blocks=[(title, list(held)) for title, held in groupby(rows, key=lambda row: row[0])],
            noise=self._noise(),
            footnote=self.footnote,
        )

    def _cells(self, row: tuple[Any, ...]) -> list[str]:
        given = self.formats
        formats = [given.get(title, number) if isinstance(given, Mapping) else given for title in self.frame.columns]
        return [write(value) for write, value in zip(formats, row, strict=True)]

    def _noise(self) -> list[tuple[str, float, Any]]:
        """For each row heading the largest 1σ, and in which column it is."""
        if self.noise is None:
            return []
        by_row = self.noise.groupby(level=self.noise.index.nlevels - 1, sort=False).max().dropna(how="all")
        return [(str(name), float(row.max()), row.idxmax()) for name, row in by_row.iterrows() if row.max() > 0]
