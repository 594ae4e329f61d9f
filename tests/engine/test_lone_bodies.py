"""Structures whose bodies are all farther apart than the cutoff of their source."""

import ase
import numpy as np
import pytest
from ase.calculators.lj import LennardJones

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources.registry import load_source

ARGON = ase.Atoms("Ar3", [[0, 0, 0], [20, 0, 0], [40, 0, 0]])
SPEC = "ase:ase.calculators.lj.LennardJones?sigma=3.4&epsilon=0.0103&rc={}&smooth=true&additive_cutoff=5"


def test_atoms_that_are_all_farther_apart_than_a_claimed_cutoff_are_alone():
    source = SPEC.format(5)
    result = decompose(ARGON, source, cutoff=5.0, subsets=True)
    assert result.attrs["family"] == "connected"
    np.testing.assert_array_equal(result.subsets.subset_energy, [0, 0, 0])
    assert not result.contribution.any()
    assert plan([ARGON], load_source(source), Selection(cutoff=5.0)).n_clusters.sel(order=1) == 3


def test_atoms_are_alone_where_a_wrong_cutoff_does_not_matter():
    """Lennard-Jones reaches 9 Å, not 5: of atoms 20 Å apart that changes no number."""
    result = decompose(ARGON, SPEC.format(9), cutoff=5.0, subsets=True)
    assert result["subsets"].sizes["subset"] == 3
    assert not result.contribution.any()
    assert not result.total.any()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_wrong_cutoff_is_found_where_atoms_are_alone(order):
    """And within reach of what is left out: by a plain loop, two atoms 6 Å apart have 2e-3 eV that would be lost."""
    near = ase.Atoms("Ar2", [[0, 0, 0], [6, 0, 0]])
    loop = near.copy()
    loop.calc = LennardJones(sigma=3.4, epsilon=0.0103, rc=9, smooth=True)
    assert loop.get_potential_energy() < -1e-3
    with pytest.raises(InputError, match=r"the cutoff of ase:.* of two sub-clusters 6 Å apart"):
        decompose([ARGON, near][order], SPEC.format(9), cutoff=5.0)


def test_a_cutoff_is_tried_just_beyond_it_where_some_structure_has_pairs():
    pair = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    with pytest.raises(InputError, match=r"the cutoff of ase:.* of two sub-clusters 5\.01 Å apart"):
        decompose([ARGON, pair], SPEC.format(9), cutoff=5.0)


def test_a_single_body_needs_no_cutoff():
    assert decompose(ARGON[:1], SPEC.format(9), cutoff=5.0).total.item() == 0
