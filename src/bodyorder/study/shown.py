"""Which cells of a grid the report shows one by one, and which of them in one figure."""

from __future__ import annotations

from bodyorder.study.grid import Cell

#: Models that a figure can show side by side.
MOST_SHOWN = 8


def first_seeds(cells: list[Cell], seed: int) -> list[Cell]:
    """Of trainings on whole sets the first seed, and all models that are trained already."""
    return [cell for cell in cells if cell.n_parents is None and (cell.makeup is None or cell.seed == seed)]


def of_last_makeup(cells: list[Cell]) -> list[Cell]:
    """Those on the last make-up, and all models that are trained already."""
    last = [cell.makeup for cell in cells if cell.makeup is not None][-1:]
    return [cell for cell in cells if cell.makeup is None or cell.makeup in last]


def shown_alone(cells: list[Cell], seed: int) -> list[str]:
    """The models that the report shows one by one: the first seed of each, and if these are many, on the last make-up."""
    first = first_seeds(cells, seed)
    return [cell.name for cell in (first if len(first) <= MOST_SHOWN else of_last_makeup(first))]


def side_by_side(cells: list[Cell]) -> list[tuple[str | None, list[Cell]]]:
    """Make-ups with cells that fit in one figure; without cells a figure of the reference alone."""
    found: list[tuple[str | None, list[Cell]]] = []
    for makeup in dict.fromkeys(cell.makeup for cell in cells):
        own = [cell for cell in cells if cell.makeup == makeup]
        parts = range(0, len(own), MOST_SHOWN)
        found += [(makeup, own[start : start + MOST_SHOWN]) for start in parts]
    return found or [(None, [])]
