"""One row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    :param dims: its dimensions, without the leading ``source`` where several sources stand side by side
    :param unit: as written to the file and on the axes of plots
    :param symbol: mathematical symbol, in LaTeX without dollar signs
    :param meaning: one line
    """

    dims: tuple[str, ...]
    unit: str
    symbol: str
    meaning: str
