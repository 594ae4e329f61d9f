"""The sub-clusters that benchmarks of potentials evaluate."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density

#: Atoms of each.
SIZE = 4


def sub_clusters(count: int, element: str = "H") -> ClusterBatch:
    """Four atoms each, cut from dense clusters of eight; other elements than hydrogen at the bond length of copper."""
    members = np.array(list(combinations(range(8), SIZE)))
    n_parents = -(-count // len(members))
    parents = high_density(8, n_parents, 0)
    for atoms in parents:
        if element != "H":
            atoms.positions *= 2.5
            atoms.symbols = element * 8
    systems = {index: System.from_atoms(atoms) for index, atoms in enumerate(parents)}
    rows = np.repeat(np.arange(n_parents), len(members))[:count]
    return ClusterBatch.cut(systems, rows, np.tile(members, (n_parents, 1))[:count])
