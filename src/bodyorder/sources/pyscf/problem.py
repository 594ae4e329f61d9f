"""What a method is asked and what it answers, in hartree and bohr."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bodyorder.sources.spin.electrons import electrons
from bodyorder.structures.clusters import ClusterBatch

if TYPE_CHECKING:
    from bodyorder.sources.pyscf.basis import BasisSet


@dataclass(frozen=True)
class Settings:
    """Everything that names a source.

    :param method: one of :data:`bodyorder.sources.pyscf.METHODS`
    :param basis: the basis set
    :param spin: spin rule by name, or ``module:function``
    :param counterpoise: whose functions a sub-cluster is given beside its own
    :param memory: MB that one process may use
    :param options: all that the method takes, by name
    :param shown: names of the options that the user gave
    """

    method: str
    basis: BasisSet
    spin: str
    counterpoise: str = "none"
    memory: float = 2000.0
    options: dict[str, object] = field(default_factory=dict)
    shown: tuple[str, ...] = ()


@dataclass
class Problem:
    """Sub-clusters with one sequence of elements (ghosts included), one charge and one choice of spins.

    :param batch: n sub-clusters of k atoms; ``batch.ghosts`` names atoms of the structure that lend their functions only
    :param spins: numbers of unpaired electrons to choose the lowest state from, ascending
    :param gradient: whether derivatives are wanted (then there are no ghosts)
    :param memory: bytes for wave functions
    :param moments: unpaired electrons of each atom to start a mean field from, positive up and negative down, shape
        (n, k); None where the method chooses
    :param options: of the method
    :param core: electrons of each sub-cluster that core potentials stand for
    :param hessian: whether second derivatives are wanted (then there are no ghosts)
    """

    batch: ClusterBatch
    spins: list[int]
    gradient: bool
    memory: float
    moments: np.ndarray | None = None
    options: dict[str, object] = field(default_factory=dict)
    core: int = 0
    hessian: bool = False

    @property
    def n_electrons(self) -> int:
        """Electrons of each sub-cluster, without those that core potentials stand for."""
        return electrons(self.batch.numbers[0], int(self.batch.charges[0]), self.core)


@dataclass
class Answer:
    """The answer to a problem.

    :param energies: in hartree, shape (n,), NaN where ``messages`` says why
    :param gradients: in hartree/bohr, shape (n, k, 3), NaN where not asked for
    :param hessians: in hartree/bohr², shape (n, k, k, 3, 3), or None where not asked for
    :param messages: one line for each row that failed
    :param records: some of :data:`bodyorder.sources.protocol.RECORDS`, shape (n,) each, energies in hartree
    """

    energies: np.ndarray
    gradients: np.ndarray
    messages: dict[int, str] = field(default_factory=dict)
    records: dict[str, np.ndarray] = field(default_factory=dict)
    hessians: np.ndarray | None = None

    @classmethod
    def empty(cls, batch: ClusterBatch) -> Answer:
        """Nothing computed yet."""
        return cls(np.full(len(batch), np.nan), np.full((len(batch), batch.n_atoms, 3), np.nan))

    def take(self, rows: np.ndarray, other: Answer) -> None:
        """Put the answer for some of the rows in its place."""
        self.energies[rows], self.gradients[rows] = other.energies, other.gradients
        if other.hessians is not None:
            for place, row in enumerate(rows):
                self.curve(int(row), other.hessians[place])
        self.messages.update({int(rows[place]): message for place, message in other.messages.items()})
        for name, values in other.records.items():
            self.record(name, rows, values)

    def record(self, name: str, rows: np.ndarray | int, values: object) -> None:
        """Keep something known of some rows."""
        self.records.setdefault(name, np.full(len(self.energies), np.nan))[rows] = values

    def curve(self, row: int, hessian: np.ndarray) -> None:
        """Keep the second derivatives of one row, shape (k, k, 3, 3)."""
        if self.hessians is None:
            n, k = self.gradients.shape[:2]
            self.hessians = np.full((n, k, k, 3, 3), np.nan)
        self.hessians[row] = hessian
