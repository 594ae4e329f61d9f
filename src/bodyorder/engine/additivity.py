"""What keeps orders from vanishing with distance although nothing acts so far: states that parts have together and not alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import EnergySource

#: Charges and moments of bodies below this are none.
NOTHING = 1e-3

CHARGES = (
    "some bodies have opposite charges: a sub-cluster that holds both is told the sum of its charges only, and in vacuum its "
    "lowest state has neutral parts when they are far apart, so that orders from 2 on do not vanish with distance"
)
MOMENTS = (
    "some bodies have opposite moments: of a sub-cluster that holds both the pattern gives S_z only, in which its parts may have "
    "lower spins than alone, so that orders from 2 on need not vanish with distance"
)


def unadditive_states(source: EnergySource, pieces: Sequence[Piece]) -> list[str]:
    """Why energies of far parts do not add up although the rule for the state is said to be additive, a sentence each.

    :param pieces: the structures
    """
    rule = source.capabilities.spin
    if rule == "none":
        return []
    found = []
    if any(_both_signs(piece, piece.system.charges) for piece in pieces):
        found.append(CHARGES)
    if rule == "pattern" and any(_both_signs(piece, piece.system.moments) for piece in pieces):
        found.append(MOMENTS)
    return found


def _both_signs(piece: Piece, values: np.ndarray) -> bool:
    if not values.any():  # mostly, and there may be many pieces
        return False
    sums = np.bincount(piece.bodies.labels, values)
    return bool((sums > NOTHING).any() and (sums < -NOTHING).any())
