"""A structure ready to be cut: its atoms, its bodies, and which subsets of them are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bodyorder.engine import counterpoise
from bodyorder.structures import Bodies, System
from bodyorder.structures.periodic import Crystal
from bodyorder.subsets import Family, Sample


@dataclass(frozen=True)
class Cell:
    """The cell of a periodic structure, of which a piece holds images.

    :param crystal: the structure
    :param home: the atom of the cell that each atom of the piece's system is an image of, shape (n_atoms,)
    """

    crystal: Crystal
    home: np.ndarray


@dataclass(frozen=True)
class Piece:
    """A structure ready to be cut.

    :param system: its atoms; of a periodic structure, all images that its sub-clusters need
    :param bodies: its partition into bodies
    :param family: which subsets of the bodies are wanted
    :param counterpoise: whose basis functions a sub-cluster is given (see :mod:`bodyorder.engine.counterpoise`)
    :param sample: what the subsets of the family count for if they are a sample
    :param cell: of a periodic structure
    :param whole: whether the energy of the whole structure is asked for where the family does not hold it
    """

    system: System
    bodies: Bodies
    family: Family
    counterpoise: str = counterpoise.NONE
    sample: Sample | None = None
    cell: Cell | None = None
    whole: bool = True

    @cached_property
    def body_atoms(self) -> np.ndarray:
        """Atoms of each body, see :attr:`bodyorder.structures.Bodies.atoms`."""
        return self.bodies.atoms

    @property
    def is_estimated(self) -> bool:
        """Whether orders are estimated from a sample."""
        return self.sample is not None and self.sample.is_estimate

    @property
    def holds_whole(self) -> bool:
        """Whether the family contains the set of all bodies."""
        return self.cell is None and self.family.max_order == len(self.bodies) and self.family.sizes[-1] == 1

    @property
    def asks_whole(self) -> bool:
        """Whether the whole structure is one more sub-cluster to evaluate."""
        return self.whole and self.cell is None and not self.holds_whole

    @property
    def partition(self) -> Bodies:
        """Bodies of the structure, of one cell if it is periodic."""
        return self.bodies if self.cell is None else self.cell.crystal.bodies

    @property
    def n_bodies(self) -> int:
        """Number of bodies of the structure, of one cell if it is periodic."""
        return len(self.partition)

    @property
    def n_sites(self) -> int:
        """Atoms of the structure, of one cell if it is periodic."""
        return len(self.system if self.cell is None else self.cell.crystal.atoms)

    @property
    def body_of_site(self) -> np.ndarray:
        """Body of each atom of the structure, shape (n_sites,)."""
        return self.partition.labels

    def sites(self, atoms: np.ndarray) -> np.ndarray:
        """The atoms of the structure that some atoms of ``system`` are or are images of."""
        return atoms if self.cell is None else self.cell.home[atoms]

    @property
    def n_clusters(self) -> int:
        """Sub-clusters to evaluate, the whole structure included."""
        return sum(self.clusters_by_order) + self.asks_whole

    @property
    def clusters_by_order(self) -> list[int]:
        """Sub-clusters to evaluate for each order of the family."""
        return [
            size * counterpoise.evaluations_per_subset(self.counterpoise, order)
            for order, size in enumerate(self.family.sizes, start=1)
        ]
