"""A few sub-clusters of every kind that a decomposition evaluates, to time them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb

import numpy as np

from bodyorder.engine import counterpoise
from bodyorder.engine.batching import DEFAULT_BATCH_SIZE, WHOLE, rows_per_batch
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch
from bodyorder.structures.clusters import evenly


@dataclass(frozen=True)
class Example:
    """Sub-clusters of one kind.

    :param order: number of bodies, those that only lend their functions included where these go with the subset
    :param present: number of bodies that are there
    :param weight: how often the kind occurs in one subset of its order
    :param size: number of atoms that its cost grows with
    :param batch: as many of them as make a batch
    """

    order: int
    present: int
    weight: int = field(compare=False)
    size: int = field(compare=False)
    batch: ClusterBatch = field(compare=False)


def draw(pieces: Sequence[Piece], order: int, source: EnergySource) -> list[Example]:
    """Sub-clusters of one order, spread over the first structure that has any, all of the number of atoms that is typical.

    :param pieces: the structures
    :param order: number of bodies, :data:`~bodyorder.engine.batching.WHOLE` for whole structures outside their family
    :param source: where the energies would come from
    :return: one example, or with counterpoise after Valiron and Mayer one for each number of bodies that are there, the
        largest first
    """
    if order == WHOLE:
        piece = next(piece for piece in pieces if piece.asks_whole)
        members = np.arange(len(piece.bodies))[None]
        scheme = counterpoise.NONE
    else:
        piece = next(p for p in pieces if p.family.max_order >= order and p.family.sizes[order - 1])
        members = next(piece.family.chunks(order)).members
        scheme = piece.counterpoise
    rows = min(source.capabilities.batch_size or DEFAULT_BATCH_SIZE, DEFAULT_BATCH_SIZE)
    chosen = members[evenly(len(members), rows)]
    found: dict[int, Example] = {}
    for there, lent in counterpoise.parts(scheme, chosen, len(piece.bodies)):
        present = there.shape[1]
        if present in found:
            continue
        batch = _cut(piece, there, lent)
        weight = comb(members.shape[1], present) if scheme == counterpoise.VMFC else 1
        # in the functions of the whole structure all have as many, and the atoms that are there make the difference
        size = batch.n_atoms + (batch.ghosts.shape[1] if scheme == counterpoise.VMFC else 0)
        few = np.arange(min(len(batch), rows_per_batch(source, batch)))
        found[present] = Example(order, present, weight, size, batch.select(few))
    return list(found.values())


def _cut(piece: Piece, there: np.ndarray, lent: np.ndarray) -> ClusterBatch:
    """The sub-clusters of the number of atoms that is typical."""
    atoms, ghosts = (piece.bodies.atoms[bodies].reshape(len(bodies), -1) for bodies in (there, lent))
    sizes = np.stack([(atoms >= 0).sum(axis=1), (ghosts >= 0).sum(axis=1)], axis=1)
    typical = sizes[np.lexsort(sizes.T[::-1])[len(sizes) // 2]]
    alike = (sizes == typical).all(axis=1)
    atoms, ghosts = atoms[alike], ghosts[alike]
    members, lenders = (part[part >= 0].reshape(len(part), -1) for part in (atoms, ghosts))
    return ClusterBatch.cut({0: piece.system}, np.zeros(len(members), dtype=np.int64), members, lenders)
