"""Training sets of chosen composition, split by parent: the structure that sub-clusters are cut from."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import numpy as np

from bodyorder._checks import InputError, check_between, check_choice, check_positive
from bodyorder.structures import write_structures
from bodyorder.training.labels import LabelledClusters


@dataclass(frozen=True)
class Composition:
    """Composition of a training set.

    :param name: what a person calls it
    :param orders: numbers of atoms of the sub-clusters that are in; None for every number below the parent's, and () for none
    :param whole_clusters: whether the whole parents are in
    :param fraction: which part of the sub-clusters of each order is in, drawn at random from each parent, but at least one
    :param per_cluster: most sub-clusters of each order from each parent, None for no bound
    :param groups: groups of the parents that are used, None for all
    :param n_clusters: most parents of each group, drawn at random, a smaller number being part of a larger one; None for all
    :param weights: how many times clusters of a number of atoms count in training, 1 where nothing is said
    :raises InputError: for values that cannot be
    """

    name: str
    orders: tuple[int, ...] | None = ()
    whole_clusters: bool = True
    fraction: float = 1.0
    per_cluster: int | None = None
    groups: tuple[str, ...] | None = None
    n_clusters: int | None = None
    weights: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.orders is not None:
            object.__setattr__(self, "orders", tuple(check_between("orders", size, 1, 10**6) for size in self.orders))
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(self.groups))
        for name in ("per_cluster", "n_clusters"):
            if getattr(self, name) is not None:
                check_between(name, getattr(self, name), 1, 10**9)
        for size, weight in self.weights.items():
            check_between(f"weights of {size} atoms", weight, 1, 10**6)
        if check_positive("fraction", self.fraction) > 1:
            raise InputError(f"`fraction` must be between 0 and 1, got {self.fraction}")
        if not self.whole_clusters and self.orders == ():
            raise InputError(f"training set {self.name!r} must hold whole clusters or sub-clusters, and holds neither")


#: Compositions that have a name.
COMPOSITIONS = {
    entry.name: entry
    for entry in (
        Composition("whole"),
        Composition("all", orders=None),
    )
}


@dataclass(frozen=True)
class Split:
    """Indices of structures, each in one part only and ascending.

    :param training: structures to train on
    :param validation: structures that choose the best epoch
    :param test: structures that nothing has seen
    """

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_structures(
    structures: int | Sequence[str], fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0
) -> Split:
    """Divide structures at random into training, validation and test.

    :param structures: how many there are, or the group of each: then every group is divided in the same proportion
    :param fractions: parts of training, validation and test; they add up to 1, and each gets at least one structure
    :param seed: equal seeds give equal splits
    :raises InputError: if fractions do not add up to 1, or structures (of one group) are fewer than parts
    """
    shares = np.array([check_positive("fractions", value) for value in fractions])
    if shares.shape != (3,) or abs(shares.sum() - 1) > 1e-9:
        raise InputError(f"`fractions` must be three numbers that add up to 1, got {tuple(fractions)}")
    groups = np.zeros(structures, dtype=int) if isinstance(structures, int) else np.asarray(structures)
    generator = np.random.default_rng(check_between("seed", seed, 0, 2**63 - 1))
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for group in np.unique(groups):
        members = generator.permutation(np.flatnonzero(groups == group))
        if len(members) < 3:
            of = "" if isinstance(structures, int) else f" of group {group!s}"
            raise InputError(f"structures{of} must be at least 3 (training, validation, test), got {len(members)}")
        n_test = int(np.clip(round(shares[2] * len(members)), 1, len(members) - 2))
        n_validation = int(np.clip(round(shares[1] * len(members)), 1, len(members) - 1 - n_test))
        bounds = [len(members) - n_validation - n_test, len(members) - n_test]
        for part, chosen in zip(parts, np.split(members, bounds), strict=True):
            part.append(chosen)
    if not len(groups):
        raise InputError("structures must be at least 3 (training, validation, test), got 0")
    return Split(*(np.sort(np.concatenate(part)) for part in parts))


def draw_set(
    labelled: LabelledClusters, parents: np.ndarray, composition: Composition, seed: int = 0
) -> list[ase.Atoms]:
    """Draw a set of the given composition from some parents.

    Which sub-clusters of a parent are drawn depends on the seed and on the parent alone, not on which other parents are used.
    Sub-clusters of one parent that are the same cluster (its single atoms of one element, say) are taken once; what has no
    label is left out.

    :param labelled: energies and forces
    :param parents: indices of the parents that may be used
    :param composition: what to take from them
    :param seed: equal seeds draw equal sets
    :return: labelled clusters, see :meth:`~bodyorder.training.labels.LabelledClusters.to_atoms`
    :raises InputError: if that yields nothing, or asks for sizes that are not labelled or groups that do not occur
    """
    groups = np.array(labelled.groups)
    allowed = np.zeros(len(groups), dtype=bool)
    allowed[parents] = True
    if composition.groups is not None:
        for group in composition.groups:
            check_choice("groups", group, set(labelled.groups))
        allowed &= np.isin(groups, composition.groups)
    if composition.n_clusters is not None:
        allowed &= _some_of_each(groups, allowed, composition.n_clusters, seed)
    n_atoms = np.array([len(atoms) for atoms in labelled.structures])
    for size in composition.orders or ():
        if size not in labelled.batches:
            raise InputError(
                f"training set {composition.name!r} needs sub-clusters of {size} atoms, and none are labelled"
            )
    chosen = []
    for size, batch in labelled.batches.items():
        usable = np.isfinite(batch.energies) & allowed[batch.clusters.parents]
        whole = n_atoms[batch.clusters.parents] == size
        rows = np.flatnonzero(usable & whole) if composition.whole_clusters else np.empty(0, dtype=np.int64)
        if composition.orders is None or size in composition.orders:
            drawn = _draw(labelled, size, usable & ~whole, composition, seed)
            rows = np.sort(np.concatenate([rows, drawn]))
        chosen += [labelled.to_atoms(size, int(row)) for row in rows]
    if not chosen:
        raise InputError(
            f"training set {composition.name!r} must yield structures, and yields none from {len(parents)} parents; give it "
            f"other parents, groups or sizes"
        )
    return chosen


def weighted(clusters: Sequence[ase.Atoms], composition: Composition) -> list[ase.Atoms]:
    """A set in which clusters occur as many times as the composition's ``weights`` say: what optimisers see."""
    return [atoms for atoms in clusters for _ in range(composition.weights.get(len(atoms), 1))]


def _some_of_each(groups: np.ndarray, allowed: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Which parents are drawn: ``number`` of each group, and with another number a part of these or these among others."""
    drawn = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups[allowed]):
        members = np.flatnonzero(allowed & (groups == group))
        order = np.random.default_rng([seed, zlib.crc32(str(group).encode())]).permutation(members)
        drawn[order[:number]] = True
    return drawn


def _draw(labelled: LabelledClusters, size: int, usable: np.ndarray, composition: Composition, seed: int) -> np.ndarray:
    """Rows of the sub-clusters of one size that a set takes from each parent."""
    clusters = labelled.batches[size].clusters
    keys, _ = clusters.canonical()
    rows = np.flatnonzero(usable)
    drawn = []
    for parent in np.unique(clusters.parents[rows]):
        own = rows[clusters.parents[rows] == parent]
        distinct = np.array(list({keys[row]: row for row in own[::-1]}.values()))[::-1]
        number = max(1, round(composition.fraction * len(distinct)))
        if composition.per_cluster is not None:
            number = min(number, composition.per_cluster)
        generator = np.random.default_rng([seed, int(parent), size])
        drawn.append(generator.permutation(distinct)[:number])
    return np.concatenate(drawn) if drawn else np.empty(0, dtype=np.int64)


def contents(clusters: Sequence[ase.Atoms]) -> dict[str, Any]:
    """What a set contains, as plain numbers.

    :param clusters: labelled clusters from :func:`draw_set`
    :return: ``clusters`` (how many), ``forces`` (whether they have any), and for each group ``parents`` (how many) and
        ``sizes`` (clusters by number of atoms)
    """
    groups = sorted({str(atoms.info["group"]) for atoms in clusters})
    return {
        "clusters": len(clusters),
        "forces": all("forces" in atoms.arrays for atoms in clusters),
        "groups": {
            group: {
                "parents": len({atoms.info["parent"] for atoms in clusters if str(atoms.info["group"]) == group}),
                "sizes": dict(sorted(Counter(len(a) for a in clusters if str(a.info["group"]) == group).items())),
            }
            for group in groups
        },
    }


def write_set(path: Path, clusters: Sequence[ase.Atoms]) -> Path:
    """Write a set as extended XYZ, and beside it, as JSON, what it contains.

    :raises InputError: if a file cannot be written
    """
    write_structures(path, clusters)
    path.with_suffix(".json").write_text(json.dumps(contents(clusters), indent=2) + "\n")
    return path
