"""Labels by a cheap source whose first orders are a better one's."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree
from geometries import scattered
from plain_pyscf import energy

from bodyorder import InputError, correct, decompose
from bodyorder.sources.protocol import EnergySource, FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.structures import read_structures, write_structures

LOW = "analytic:sutton-chen?epsilon=0.01&a=3.0&c=30.0&n=8&m=6"
HIGH = "analytic:axilrod-teller?nu=40.0&epsilon=0.01&sigma=2.0"
HELIUM = Atoms("He4", positions=[[0, 0, 0], [2.1, 0.2, 0], [0.1, 2.3, 0.3], [1.9, 2.0, 1.8]])


def test_low_whole_and_differences_of_plain_pyscf():
    """E_low + Σ (ε_high − ε_low) over all bodies and pairs, written out."""
    found = correct(HELIUM, low="pyscf:uhf/6-31g?spin=low", high="pyscf:mp2/6-31g?spin=low", max_order=2)

    def pair(model, first, second):
        both = energy(model, HELIUM, {first, second}, set())
        return both - energy(model, HELIUM, {first}, set()) - energy(model, HELIUM, {second}, set())

    expected = energy("hf/6-31g", HELIUM, set(range(4)), set())
    for first in range(4):
        expected += energy("mp2/6-31g", HELIUM, {first}, set()) - energy("hf/6-31g", HELIUM, {first}, set())
        for second in range(first):
            expected += pair("mp2/6-31g", first, second) - pair("hf/6-31g", first, second)
    assert found.structures[0].get_potential_energy() / Hartree == pytest.approx(expected, abs=1e-9)
    assert found.incomplete == {}


def test_it_is_the_decomposition_by_these_levels():
    atoms = [scattered(5, seed, spread=5.0) for seed in range(2)]
    found = correct(atoms, low=LOW, high=HIGH, max_order=3, forces=True)
    result = decompose(atoms, {3: HIGH, "rest": LOW}, forces=True)
    np.testing.assert_array_equal(found.result.total, result.total)
    for row, labelled in enumerate(found.structures):
        assert labelled.get_potential_energy() == float(result.total[row])
        own = result.sites.total_force.values[result.sites.site_structure.values == row]
        np.testing.assert_array_equal(labelled.get_forces(), own)
        assert labelled.info["energy_noise"] == float(result.total_noise[row])
    assert atoms[0].calc is None
    assert "energy_noise" not in atoms[0].info


def test_files_hold_labels_for_training(tmp_path):
    """Energy and forces as ASE reads them; what the structures said of themselves stays."""
    atoms = scattered(4, spread=5.0)
    atoms.info |= {"name": "first", "group": "liquid"}
    atoms.set_initial_charges([1, 0, 0, -1])
    found = correct(atoms, low=Uncertain("low", 1e-3), high=Uncertain("high", 2e-3), max_order=1)
    path = write_structures(tmp_path / "labelled.extxyz", found.structures)
    (read,) = ase.io.read(path, ":")
    assert read.get_potential_energy() == pytest.approx(found.structures[0].get_potential_energy(), abs=1e-12)
    # 4 energies by high, the whole and 4 by low
    assert read.info["energy_noise"] == pytest.approx(np.sqrt(4 * 4e-6 + 5e-6))
    assert read.info["energy_source"] == "1: high; rest: low"
    assert read.info["energy_bodies"] == "atoms"
    assert "bodyorder=" in read.info["energy_versions"]
    assert (read.info["name"], read.info["group"]) == ("first", "liquid")
    assert read_structures(path)[0].get_initial_charges().tolist() == [1, 0, 0, -1]


class Uncertain(EnergySource):
    """A potential of known error that takes charges, and fails for structures of five atoms."""

    cutoff = None

    def __init__(self, name, sigma):
        self.name, self.fingerprint, self.own = name, f"{name} {sigma}", load_source(LOW)
        self.precision = Precision(absolute=sigma)
        self.capabilities = type(self.own.capabilities)(charged=True)

    def energies(self, batch):
        energies = self.own.energies(batch)
        if batch.n_atoms == 5:
            raise FailedClusters(dict.fromkeys(range(len(batch)), "five are too many"), np.full(len(batch), np.nan))
        return energies


def test_structures_without_a_label_are_told():
    atoms = [scattered(4, 1), scattered(5, 2)]
    found = correct(atoms, low=Uncertain("low", 1e-3), high=HIGH, max_order=2)
    assert [len(labelled) for labelled in found.structures] == [4]
    assert list(found.incomplete) == ["1"]
    assert "five are too many" in found.incomplete["1"]


def test_what_cannot_be_corrected():
    atoms = scattered(4)
    with pytest.raises(InputError, match="`low` and `high` must be two sources, got analytic:sutton-chen"):
        correct(atoms, low=LOW, high=LOW)
    for order in (0, 5, "two"):
        with pytest.raises(InputError, match=r"`max_order` must be .*between 1 and 4"):
            correct(atoms, low=LOW, high=HIGH, max_order=order)
    with pytest.raises(InputError, match="the rest must be in one set of functions"):
        correct(HELIUM, low="pyscf:uhf/6-31g?spin=low&counterpoise=vmfc", high="pyscf:mp2/6-31g?spin=low")
