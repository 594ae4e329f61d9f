"""The clusters of a study, group by group."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import ase
import numpy as np

from bodyorder._checks import check_between
from bodyorder.config import Sampler, StudyOptions
from bodyorder.subsets import complete


def sample_group(group: str, sampler: Sampler, seed: int) -> list[ase.Atoms]:
    """The clusters of one group, with ``group`` and a ``name`` of their own in their ``info``.

    :param group: its name; groups of one seed differ
    :param sampler: where they come from
    :param seed: of the study
    """
    clusters = sampler.draw(group_seed(group, seed))
    for index, atoms in enumerate(clusters):
        atoms.info["group"] = group
        atoms.info["name"] = f"{group}_{index:04d}"
    return clusters


def sample_all(options: StudyOptions) -> list[ase.Atoms]:
    """The clusters of all groups of a study, one group after the other."""
    return [
        atoms for group, sampler in options.clusters.items() for atoms in sample_group(group, sampler, options.seed)
    ]


def subclusters(structures: Sequence[ase.Atoms], order: int | None = None) -> list[ase.Atoms]:
    """Every sub-cluster of some structures, atoms as bodies, with ``parent`` and ``members`` in their ``info``.

    :param structures: to cut from
    :param order: number of atoms of the sub-clusters; all if None
    :raises InputError: if ``order`` is larger than the largest structure
    """
    largest = max(len(atoms) for atoms in structures)
    if order is not None:
        check_between("order", order, 1, largest)
    cut = []
    for parent, atoms in enumerate(structures):
        for members in complete(len(atoms), min(order or largest, len(atoms))).members:
            if order in (None, members.shape[1]):
                for row in members:
                    part = atoms[row]
                    part.calc = None
                    part.info = {"parent": parent, "members": "-".join(str(member) for member in row)}
                    cut.append(part)
    return cut


def group_seed(group: str, seed: int) -> int:
    """A seed for one group: the same whatever other groups there are."""
    return int(np.random.SeedSequence([seed, zlib.crc32(group.encode())]).generate_state(1)[0])
