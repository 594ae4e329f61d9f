"""States that far parts have together and not alone: the numbers, and that results say why."""

import numpy as np
import pytest
from ase import Atoms

from bodyorder import decompose
from bodyorder.engine.additivity import CHARGES, MOMENTS

FAR = 60.0


def two_molecules(moments):
    return Atoms("H4", [[0, 0, 0], [0, 0, 0.74], [FAR, 0, 0], [FAR, 0, 0.74]], magmoms=moments)


def ions(charges):
    atoms = Atoms("LiH", [[0, 0, 0], [FAR, 0, 0]])
    atoms.set_initial_charges(charges)
    return atoms


@pytest.mark.parametrize("method", ["fci", "uhf"])
def test_patterns_of_opposite_moments(method):
    source = f"pyscf:{method}/sto-3g?spin=pattern"
    parallel = decompose(two_molecules([1, 1, 1, 1]), source)
    assert np.abs(parallel.contribution.values[0, 2:]).max() < 1e-6
    assert parallel.attrs["remark"] == ""
    opposite = decompose(two_molecules([1, 1, -1, -1]), source)
    assert opposite.contribution.values[0, 3] > 30.0
    assert opposite.attrs["remark"] == MOMENTS


@pytest.mark.parametrize("rule", ["ground", "low", "high"])
def test_opposite_charges_neutralise(rule):
    source = f"pyscf:fci/sto-3g?spin={rule}"
    result = decompose(ions([1, -1]), source)
    assert result.attrs["remark"] == CHARGES
    neutral = decompose(ions([0, 0]), source)
    assert neutral.attrs["remark"] == ""
    assert result.total.item() == pytest.approx(neutral.total.item(), abs=1e-6)
    assert result.contribution.values[0, 1] < -10.0


def test_charges_of_one_sign_and_neutral_bodies_are_not_mentioned():
    for charges in ([1, 0], [1, 1], [-1, 0]):
        assert decompose(ions(charges), "pyscf:uhf/sto-3g?spin=low", max_order=1, whole=False).attrs["remark"] == ""
