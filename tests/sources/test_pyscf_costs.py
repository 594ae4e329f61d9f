"""What sources say of their costs: rough figures, but figures, for every method and every sub-cluster."""

import math

import numpy as np
import pytest
from ase import Atoms

from bodyorder.sources.pyscf import METHODS
from bodyorder.sources.pyscf.costs import COSTS, Size, determinants
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch, System


def batch_of(n_atoms, n_ghosts=0, rows=1, symbol="H"):
    atoms = Atoms(f"{symbol}{n_atoms + n_ghosts}", positions=np.arange(n_atoms + n_ghosts)[:, None] * [1.0, 0.0, 0.0])
    members = np.tile(np.arange(n_atoms + n_ghosts), (rows, 1))
    system = {0: System.from_atoms(atoms)}
    return ClusterBatch.cut(system, np.zeros(rows, dtype=int), members[:, :n_atoms], members[:, n_atoms:])


def source_of(method, basis="6-31g", spin="ground"):
    xc = "&xc=pbe" if method.endswith("ks") else ""
    return load_source(f"pyscf:{method}/{basis}?spin={spin}{xc}")


def test_every_method_has_a_cost():
    assert set(COSTS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_costs_grow_with_atoms_functions_and_ghosts(method):
    source = source_of(method)
    seconds = [source.seconds(batch_of(n)) for n in (1, 2, 4, 6, 8)]
    assert 0 < seconds[0] < 0.5
    assert seconds == sorted(seconds)
    assert source.seconds(batch_of(4, 4)) > source.seconds(batch_of(4))
    assert source_of(method, "cc-pvdz").seconds(batch_of(4)) >= source.seconds(batch_of(4))
    memory = [source.megabytes(batch_of(n), False) for n in (1, 2, 4, 8)]
    assert memory == sorted(memory)
    assert source.megabytes(batch_of(4), True) >= source.megabytes(batch_of(4), False)
    assert source.megabytes(batch_of(4, rows=64), False) >= source.megabytes(batch_of(4), False)


def test_determinants():
    size = Size(16, 8, (0, 2, 4, 6, 8))
    assert determinants(size, 0) == math.comb(16, 4) ** 2
    assert determinants(size, 8) == math.comb(16, 8)
    assert determinants(size, 10) == 0


def test_what_a_sub_cluster_asks_for_is_not_cut_to_what_there_is():
    """H₇ in cc-pVDZ has 3·10⁸ determinants, and no vector of them fits into the default memory."""
    assert source_of("fci", "cc-pvdz").megabytes(batch_of(7), False) > 20_000


def test_only_methods_without_directions_of_their_own_have_copies():
    assert source_of("fci").capabilities.invariant
    assert source_of("uhf").capabilities.invariant
    assert not source_of("uks").capabilities.invariant
    assert not source_of("rks").capabilities.invariant
    assert not source_of("dmrg").capabilities.invariant
    # what a user's rule looks at is not known
    assert not source_of("fci", spin="textwrap:dedent").capabilities.invariant
