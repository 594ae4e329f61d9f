"""Charges and multiplicities that a structure states, through a decomposition by PySCF."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from bodyorder import combine, decompose, join, load_results, save_results
from bodyorder._checks import InputError
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision

SOURCE = "pyscf:uhf/sto-3g?spin=low"


class Pair(EnergySource):
    """−1 eV for each pair of atoms nearer than 2 Å."""

    name, fingerprint, cutoff, precision = "pair", "pair", 2.0, Precision(absolute=1e-12)

    def energies(self, batch):
        apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=3)
        return -((apart > 0) & (apart < self.cutoff)).sum(axis=(1, 2)) / 2.0


def test_a_helium_hydride_ion_is_never_neutral():
    """HeH⁺ … He; values by separate UHF calculations of each sub-cluster and a plain sum over subsets."""
    atoms = Atoms("HeHHe", [[0, 0, 0], [0.774, 0, 0], [3, 0, 0]], info={"total_charge": 1, "total_spin": 1})
    with pytest.raises(InputError, match="must name the charge of each body by initial charges"):
        decompose(atoms, SOURCE)
    atoms.set_array("formal_charges", np.array([0, 1, 0]))
    result = decompose(atoms, SOURCE)
    np.testing.assert_allclose(result.contribution.values[0] / 3, [-50.936, -0.320, 0.004], atol=5e-4)


def test_a_multiplicity_that_the_spin_rule_does_not_take():
    atoms = molecule("O2")
    atoms.info["spin"] = 3
    with pytest.raises(
        InputError, match=r"takes the lowest spin, structure 0 states a multiplicity of 3; choose another rule"
    ):
        decompose(atoms, SOURCE)
    result = decompose(atoms, "pyscf:uhf/sto-3g?spin=pattern", bodies="molecules")
    assert "multiplicity 3 (spin=pattern chooses its own)" in result.attrs["input"]
    atoms.set_initial_magnetic_moments(None)
    atoms.info["spin"] = 1
    assert "not used" not in decompose(atoms, SOURCE, bodies="molecules").attrs["input"]


def test_a_multiplicity_of_a_crystal_is_not_passed_over():
    class Lowest(Pair):
        capabilities = Capabilities(spin="low")

    atoms = Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], cell=[9, 9, 9], pbc=True, info={"multiplicity": 3})
    with pytest.raises(InputError, match="takes the lowest spin, structure 0 states a multiplicity of 3"):
        decompose(atoms, Lowest(), max_order=2)


def test_moments_stay_with_the_atoms_of_a_result(tmp_path):
    """Also through a file, beside a result without moments, and joined to one."""
    atoms = Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], magmoms=[1, 1])
    result = decompose(atoms, Pair())
    save_results(result, tmp_path / "r.nc")
    assert load_results(tmp_path / "r.nc").mbe.atoms().get_initial_magnetic_moments().tolist() == [1, 1]
    bare = atoms.copy()
    bare.set_initial_magnetic_moments(None)
    other = decompose(bare, Pair())
    assert not other.mbe.atoms().get_initial_magnetic_moments().any()
    joined = join([other, result])
    assert joined["sites"]["site_moment"].values.tolist() == [0, 0, 1, 1]
    for pair in ({"a": result, "b": other}, {"b": other, "a": result}):
        assert combine(pair).sizes["source"] == 2
