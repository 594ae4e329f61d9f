"""What a section of the report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from bodyorder.report.tables import Table


@dataclass(frozen=True)
class Part:
    """One part of a section.

    :param heading: as plain text
    :param sentences: what the data say, as plain text
    :param figures: name, figure, description and caption of each
    :param tables: empty ones are not shown
    """

    heading: str
    sentences: list[str]
    figures: list[tuple[str, Figure, str, str]]
    tables: list[Table]
