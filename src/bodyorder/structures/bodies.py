"""What counts as one body: an atom, a molecule, or a group of atoms that the user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from ase.data import covalent_radii
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from bodyorder._checks import InputError

#: Atoms closer than the sum of their covalent radii plus this (Å) are bonded; the rule of O'Boyle et al., Open Babel,
#: doi:10.1186/1758-2946-3-33. Wide enough for the stretched bonds of thermal molecules, below any hydrogen bond.
BOND_TOLERANCE = 0.45

#: Charges of a body that are this close to a whole number are one.
WHOLE_CHARGE = 1.001e-3

BodiesLike = str | os.PathLike[str] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Bodies:
    """The partition of one structure's atoms into bodies.

    :param labels: body of each atom, 0 … n_bodies − 1, shape (n_atoms,)
    """

    labels: np.ndarray

    def __len__(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def atoms(self) -> np.ndarray:
        """Atoms of each body in ascending order, −1 behind them, shape (n_bodies, atoms of the largest body)."""
        counts = np.bincount(self.labels)
        table = np.full((len(counts), counts.max()), -1, dtype=np.int64)
        order = np.argsort(self.labels, kind="stable")
        slots = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        table[self.labels[order], slots] = order
        return table

    def distances(self, positions: np.ndarray) -> np.ndarray:
        """Shortest distance between the atoms of each pair of bodies in Å, shape (n_bodies, n_bodies).

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        """
        order = np.argsort(self.labels, kind="stable")
        starts = np.searchsorted(self.labels[order], np.arange(len(self)))
        pairs = cdist(positions[order], positions[order])
        return np.minimum.reduceat(np.minimum.reduceat(pairs, starts, axis=0), starts, axis=1)

    def middles(self, positions: np.ndarray) -> np.ndarray:
        """Mean position of the atoms of each body in Å, shape (n_bodies, 3).

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        """
        sums = np.stack([np.bincount(self.labels, column) for column in positions.T], axis=1)
        return sums / np.bincount(self.labels)[:, None]

    def middle_distances(
        self, atoms: ase.Atoms, first: np.ndarray, second: np.ndarray, shifts: np.ndarray
    ) -> np.ndarray:
        """Distances in Å between the middles of pairs of bodies, shape (n,).

        :param first: one body, shape (n,)
        :param second: the other, shape (n,)
        :param shifts: the cell that this one is in, shape (n, 3)
        """
        middles = self.middles(atoms.positions)
        return np.linalg.norm(middles[second] + shifts @ atoms.cell.array - middles[first], axis=1)

    def pairs(self, positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of bodies that hold atoms nearer than ``cutoff`` (Å) to each other.

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        :return: one body, the other, and (0, 0, 0), the cell that it is in, shapes (n,), (n,), (n, 3); each pair comes both ways
        """
        atoms = KDTree(positions).query_pairs(cutoff, output_type="ndarray")
        apart = positions[atoms[:, 0]] - positions[atoms[:, 1]]
        atoms = atoms[np.einsum("nx,nx->n", apart, apart) < cutoff**2]
        found = self.labels[np.concatenate([atoms, atoms[:, ::-1]])]
        codes = np.unique((found @ np.array([len(self), 1]))[found[:, 0] != found[:, 1]])
        return codes // len(self), codes % len(self), np.zeros((len(codes), 3), dtype=np.int64)


def find_bodies(atoms: ase.Atoms, bodies: BodiesLike = "atoms") -> Bodies:
    """Divide a structure into bodies.

    :param atoms: the structure
    :param bodies: ``"atoms"``; ``"molecules"`` (atoms joined by bonds, see :data:`BOND_TOLERANCE`); the body of each atom as
        integers, shape (n_atoms,); or a text file that holds those integers
    :raises InputError: if the bodies given do not fit the structure
    """
    if isinstance(bodies, str) and bodies == "atoms":
        return Bodies(np.arange(len(atoms)))
    if isinstance(bodies, str) and bodies == "molecules":
        return Bodies(_molecules(atoms))
    if isinstance(bodies, str | os.PathLike):
        bodies = _read_labels(Path(bodies))
    labels = np.asarray(bodies)
    if labels.shape != (len(atoms),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"`bodies` must name the body of each of the {len(atoms)} atoms by an integer, "
            f"got {labels.size} values of type {labels.dtype}"
        )
    return Bodies(np.unique(labels, return_inverse=True)[1])


def body_charges(atoms: ase.Atoms, bodies: Bodies, name: str) -> np.ndarray:
    """Charge of each body in elementary charges, the sum of its atoms' initial charges, shape (n_bodies,).

    :param atoms: the structure
    :param bodies: its bodies
    :param name: what messages call the structure
    :raises InputError: if one is no whole number
    """
    charges = np.bincount(bodies.labels, atoms.get_initial_charges(), minlength=len(bodies))
    whole = np.rint(charges)
    if (wrong := np.flatnonzero(~(np.abs(charges - whole) <= WHOLE_CHARGE))).size:
        first = wrong[0]
        raise InputError(
            f"the charge of each body must be a whole number, the initial charges of atoms "
            f"{np.flatnonzero(bodies.labels == first).tolist()} of {name} add up to {charges[first]:g}; set formal charges, "
            "or 0 where the charges are partial ones of neutral bodies"
        )
    return whole.astype(np.int64)


def _molecules(atoms: ase.Atoms) -> np.ndarray:
    radii = covalent_radii[atoms.numbers]
    bonded = cdist(atoms.positions, atoms.positions) < radii[:, None] + radii[None, :] + BOND_TOLERANCE
    return connected_components(csr_array(bonded), directed=False)[1]


def _read_labels(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(
            f"`bodies` must be 'atoms', 'molecules' or a file with the body of each atom, got {str(path)!r}"
        )
    try:
        return np.array(path.read_text().split(), dtype=np.int64)
    except ValueError:
        raise InputError(
            f"{path} must hold one integer per atom, the body it belongs to, and holds other text"
        ) from None
