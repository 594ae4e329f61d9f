"""Structures of a data set that are congruent: shifted, turned, reflected, or with equal atoms in another order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import ase
import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import pdist

#: Clusters whose distances agree to this length (Å) are duplicates: that many digits survive a file with eight of them.
_SAME = 1e-5

#: Clusters of at most so many atoms have so few distances that others share them by chance; theirs must agree to this length.
_FEW, _SAME_FEW = 3, 1e-12


def first_duplicates(structures: Sequence[ase.Atoms]) -> tuple[int, int] | None:
    """The first two clusters that are duplicates, None if there are none.

    They are told by the distances of their atoms, sorted for each pair of elements. That two clusters of four atoms or more share
    all of these to 1e-5 Å and differ is possible, and does not happen; of fewer atoms only those that were moved without
    rounding are found.
    """
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, atoms in enumerate(structures):
        kinds[tuple(sorted(atoms.numbers.tolist()))].append(index)
    pairs = []
    for elements, indices in kinds.items():
        same = _SAME if len(elements) > _FEW else _SAME_FEW
        found = KDTree([_distances(structures[index]) for index in indices]).query_pairs(same, p=np.inf)
        pairs += [(indices[first], indices[second]) for first, second in found]
    return min(pairs, key=lambda pair: (pair[1], pair[0]), default=None)


def _distances(atoms: ase.Atoms) -> np.ndarray:
    """Distances of all atoms, ascending among those of equal elements; of a single atom a zero."""
    first, second = np.triu_indices(len(atoms), 1)
    elements = np.sort(np.stack([atoms.numbers[first], atoms.numbers[second]]), axis=0)
    distances = pdist(atoms.positions)
    return np.append(distances[np.lexsort((distances, *elements))], 0.0)
