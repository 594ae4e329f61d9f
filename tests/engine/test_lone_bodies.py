"""Structures whose bodies are all farther apart than the cutoff of their source."""

import ase
import numpy as np
import pytest

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


def test_a_wrong_cutoff_is_found_where_atoms_are_alone():
    source = SPEC.format(9)
    with pytest.raises(InputError, match="the cutoff of ase:"):
        decompose(ARGON, source, cutoff=5.0)
