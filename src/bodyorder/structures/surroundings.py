"""Clusters of the atoms around a centre, cut from larger or periodic structures."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from bodyorder._checks import InputError, check_between, check_positive
from bodyorder.structures.neighbours import neighbours

#: Atoms of a cluster of which all sub-clusters can still be evaluated.
_LARGEST = 20


def cut_surroundings(
    structures: ase.Atoms | Sequence[ase.Atoms], radius: float, n_samples: int, seed: int, *, max_atoms: int = 13
) -> list[ase.Atoms]:
    """Free clusters of all atoms within a radius of an atom, the centre, which is drawn at random.

    Each periodic image counts as an atom of its own. Centres are drawn without repeating as long as there are new ones.

    :param structures: one or several to cut from, periodic or free
    :param radius: in Å
    :param n_samples: how many clusters to draw
    :param seed: not negative
    :param max_atoms: clusters with more atoms are refused: the sub-clusters of N atoms are 2ᴺ − 1
    :return: clusters with what the structures say of their atoms (charges, moments), without cell or calculator, the centre first
        and then by distance, with ``parent`` and ``centre`` (which structure, which atom), and the ``group`` of the structure
        if it has one, in their ``info``
    :raises InputError: for structures without atoms, a cluster of more than ``max_atoms`` atoms (the message says which radius
        would do), or a number out of range
    """
    if isinstance(structures, ase.Atoms):
        structures = [structures]
    radius = check_positive("radius", radius)
    check_between("n_samples", n_samples, 1, 2**31)
    check_between("seed", seed, 0, 2**63)
    check_between("max_atoms", max_atoms, 1, _LARGEST)
    owners = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    if not len(owners):
        raise InputError("`structures` must hold atoms to be centres, and hold none")
    members = np.concatenate([np.arange(len(atoms)) for atoms in structures])
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(len(owners)) for _ in range(-(-n_samples // len(owners)))]
    drawn = np.concatenate(rounds)[:n_samples]
    around = {int(parent): neighbours("ijdD", structures[parent], radius) for parent in np.unique(owners[drawn])}
    return [
        _cut(structures[owners[row]], int(owners[row]), int(members[row]), around[int(owners[row])], max_atoms)
        for row in drawn
    ]


def _cut(atoms: ase.Atoms, parent: int, centre: int, around: tuple[np.ndarray, ...], max_atoms: int) -> ase.Atoms:
    first, second, distances, vectors = around
    here = np.flatnonzero(first == centre)
    here = here[np.argsort(distances[here], kind="stable")]
    if len(here) >= max_atoms:
        raise InputError(
            f"`radius` must leave at most {max_atoms} atoms around a centre, atom {centre} of structure {parent} has "
            f"{len(here) + 1}; lower it below {distances[here[max_atoms - 1]]:.3f} Å or raise max_atoms"
        )
    positions = np.concatenate([np.zeros((1, 3)), vectors[here]])
    info = {"parent": parent, "centre": centre}
    if "group" in atoms.info:
        info["group"] = atoms.info["group"]
    part = atoms[[centre, *second[here]]]
    part.positions, part.info, part.pbc = positions, info, False
    part.set_cell(None)
    part.set_constraint()
    return part
