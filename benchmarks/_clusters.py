"""The clusters that benchmarks evaluate."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import ase
import numpy as np

from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density
from bodyorder.subsets import complete

#: Atoms of each.
SIZE = 4
#: Clusters of hydrogen that are held against energies of others.
_REFERENCE = Path(__file__).parents[1] / "tests" / "data" / "reference"


def hydrogen(name: str) -> np.ndarray:
    """Positions of the atoms of a cluster of hydrogen, Å."""
    return np.array(json.loads((_REFERENCE / f"{name}.json").read_text())["positions"])


def sub_clusters_of(name: str, count: int | None = None) -> list[ClusterBatch]:
    """All sub-clusters of a cluster of hydrogen, or of so many of its first atoms, by size."""
    positions = hydrogen(name)[:count]
    system = {0: System(np.ones(len(positions), dtype=np.int64), positions)}
    return [ClusterBatch.cut(system, np.zeros(len(rows), dtype=int), rows) for rows in complete(len(positions)).members]


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


#: Six water molecules as a cage: the lowest minimum of TIP4P (−197.781 kJ/mol), found from random starts; Å.
CAGE = """
1.1152 -1.3325 0.0477  0.2140 -1.3919 0.3649  1.0817 -0.6770 -0.6491
-1.5661 -0.8775 0.7373  -2.3543 -1.2394 1.1423  -1.8019 -0.7589 -0.1828
-1.8585 -0.3991 -1.9199  -1.8620 -0.8684 -2.7542  -1.0574 0.1244 -1.9424
2.0671 0.3531 1.9449  1.8470 -0.3280 1.3094  2.6730 -0.0719 2.5519
0.5324 0.9187 -1.5381  1.1053 1.5873 -1.9134  0.2819 1.2695 -0.6835
-0.2072 1.5632 0.9685  -0.7927 0.8123 1.0662  0.5823 1.3161 1.4502
"""


def water_hexamer() -> ase.Atoms:
    """Six water molecules, oxygen first in each."""
    return ase.Atoms("OHH" * 6, np.array(CAGE.split(), dtype=float).reshape(-1, 3))
