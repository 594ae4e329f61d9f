"""Which numbers of unpaired electrons are solved to the end, where several are asked for and the lowest solution counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

#: How far (hartree) above the lowest solution a search must have come to, for its number of unpaired electrons to be left out:
#: mean fields of many parallel spins seldom converge, and are never the lowest then.
ABOVE = 0.3

_Solution = TypeVar("_Solution")


def near_the_lowest(
    spins: Sequence[int],
    bottoms: Sequence[float],
    at_rest: Sequence[bool],
    solve: Callable[[int], tuple[_Solution, float] | None],
) -> tuple[dict[int, _Solution], list[int]]:
    """Solutions by number of unpaired electrons, and the numbers of which one is missing that may be the lowest.

    :param spins: numbers of unpaired electrons
    :param bottoms: how low the search for each has come, in hartree; −inf where that is not known
    :param at_rest: whether it has come to rest there, and need not go on if that is far above the lowest
    :param solve: for the place of a number its solution and the energy that others are held against, or None
    """
    found: dict[int, _Solution] = {}
    missing: dict[int, float] = {}
    lowest = np.inf
    for place in np.argsort(bottoms, kind="stable").tolist():
        if bottoms[place] > lowest + ABOVE and at_rest[place]:
            continue
        solved = solve(place)
        if solved is None:
            missing[spins[place]] = bottoms[place]
        else:
            found[spins[place]], energy = solved
            lowest = min(lowest, energy)
    return found, sorted(spin for spin, bottom in missing.items() if bottom <= lowest + ABOVE)
