"""Copies are found whatever was done to them, and nothing else is called one."""

from __future__ import annotations

import ase
import numpy as np
import pytest

from bodyorder.structures.duplicates import first_duplicates
from bodyorder.structures.hydrogen import high_density, low_density


def turned(atoms: ase.Atoms, mirror: bool) -> ase.Atoms:
    copy = atoms[np.random.default_rng(0).permutation(len(atoms))]
    copy.rotate(40, (1, 2, 3))
    copy.translate((1, -2, 3))
    if mirror:
        copy.positions[:, 0] *= -1
    return copy


@pytest.mark.parametrize("mirror", [False, True])
def test_a_turned_copy_is_found(mirror):
    clusters = [*high_density(6, 20, 1), *low_density(4, 20, 2)]
    assert first_duplicates(clusters) is None
    assert first_duplicates([*clusters, turned(clusters[33], mirror), turned(clusters[7], mirror)]) == (33, 40)


def test_clusters_of_few_atoms_are_alike_without_being_copies():
    for n_atoms, make in ((2, low_density), (3, high_density)):
        clusters = make(n_atoms, 1000, 0)
        assert first_duplicates(clusters) is None
        moved = clusters[5].copy()
        moved.translate((1, 2, 3))
        assert first_duplicates([*clusters, moved]) == (5, 1000)


def test_elements_tell_clusters_apart():
    places = [[0, 0, 0], [0, 0, 1], [0, 2, 0]]
    assert first_duplicates([ase.Atoms("OHH", places), ase.Atoms("HOH", places), ase.Atoms("HHH", places)]) is None
    assert first_duplicates([ase.Atoms("H"), ase.Atoms("He"), ase.Atoms("H", [[1, 1, 1]])]) == (0, 2)
    assert first_duplicates([]) is None
