"""Which sub-clusters of a structure are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import ase

from bodyorder._checks import check_between, check_positive
from bodyorder.engine.batching import Piece
from bodyorder.sources.base import EnergySource
from bodyorder.structures import System, find_bodies
from bodyorder.structures.bodies import BodiesLike
from bodyorder.subsets import Family, cliques, complete, connected


@dataclass(frozen=True)
class Selection:
    """Which sub-clusters of a structure are taken.

    :param max_order: largest number of bodies; all if None
    :param bodies: see :func:`bodyorder.structures.find_bodies`
    :param cutoff: in Å. If the source is additive at this distance, the sub-clusters connected by shorter distances are
        taken, which is exact; otherwise those whose bodies are all within it of each other, which is an approximation.
    """

    max_order: int | None = None
    bodies: BodiesLike = "atoms"
    cutoff: float | None = None

    def pieces(self, structures: Sequence[ase.Atoms], source: EnergySource) -> list[Piece]:
        """Each structure with its bodies and its family of sub-clusters.

        :raises InputError: if an option does not fit the structures
        """
        if self.cutoff is not None:
            check_positive("cutoff", self.cutoff)
        partitions = [find_bodies(atoms, self.bodies) for atoms in structures]
        largest = max(len(partition) for partition in partitions)
        if self.max_order is not None:
            check_between("max_order", self.max_order, 1, largest)
        pieces = []
        for atoms, partition in zip(structures, partitions, strict=True):
            system = System.from_atoms(atoms)
            top = min(self.max_order or len(partition), len(partition))
            if self.cutoff is None:
                family = _complete(len(partition), top)
            else:
                near = partition.distances(system.positions) < self.cutoff
                grow = connected if self.kind(source) == "connected" else cliques
                family = grow(near, top)
            pieces.append(Piece(system, partition, family, getattr(source, "counterpoise", "none")))
        return pieces

    def kind(self, source: EnergySource) -> Literal["complete", "connected", "cliques"]:
        """Kind of family that the cutoff means for a source."""
        if self.cutoff is None:
            return "complete"
        additive = source.cutoff is not None and source.cutoff <= self.cutoff
        return "connected" if additive else "cliques"


@lru_cache(maxsize=8)
def _complete(n_bodies: int, max_order: int) -> Family:
    return complete(n_bodies, max_order)
