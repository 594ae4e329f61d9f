"""Clusters and tasks that the tests of *ab initio* sources share."""

import ase
import numpy as np

from bodyorder.sources.pyscf.problem import Problem
from bodyorder.structures.clusters import ClusterBatch


def random_hydrogen(n_atoms, seed, size=1.5):
    """Hydrogen atoms in a cube of side ``2·size`` (Å), no two nearer than 0.6 Å."""
    rng = np.random.default_rng(seed)
    while True:
        positions = rng.uniform(-size, size, (n_atoms, 3))
        if np.linalg.norm(positions[:, None] - positions, axis=2)[np.triu_indices(n_atoms, 1)].min() > 0.6:
            return ase.Atoms(f"H{n_atoms}", positions)


def unrestricted_task(atoms, spins=None):
    """The energy of one structure, with the fewest unpaired electrons if no others are given."""
    spins = [int(atoms.numbers.sum()) % 2] if spins is None else spins
    return Problem(ClusterBatch.from_atoms([atoms]), spins, False, 1e9)
