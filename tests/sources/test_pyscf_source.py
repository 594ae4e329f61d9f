"""The source as a part of the package: batches, integrals cut from parents, pickling, errors."""

import pickle
import subprocess
import sys

import ase
import numpy as np
import pytest
from numpy.testing import assert_allclose

from bodyorder._checks import InputError
from bodyorder.sources.protocol import EnergySource, FailedClusters
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.testing import check_source

WATER = ase.Atoms("OH2", [[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]])
MIXED = ase.Atoms("HHeLiHH", [[0, 0, 0], [1.2, 0, 0.3], [0.2, 1.9, 0.4], [0.8, 0.6, 2.1], [-1.3, 0.4, 1.7]])
HYDROGEN = ase.Atoms("H5", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1], [1.2, 1.1, 1.0]])


def charged(batch, charges):
    charges = np.broadcast_to(charges, len(batch)).astype(np.int64)
    return ClusterBatch(batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, charges)


def rows_of(*parents, size):
    """All sub-clusters of one size of some parents, mixed."""
    systems = {index: System.from_atoms(atoms) for index, atoms in enumerate(parents)}
    members, owners = [], []
    for index, atoms in enumerate(parents):
        chosen = np.array(np.meshgrid(*[np.arange(len(atoms))] * size)).reshape(size, -1).T
        chosen = chosen[(np.diff(chosen, axis=1) > 0).all(axis=1)]
        members.append(chosen)
        owners.append(np.full(len(chosen), index))
    order = np.random.default_rng(0).permutation(sum(map(len, members)))
    return ClusterBatch.cut(systems, np.concatenate(owners)[order], np.concatenate(members)[order])


@pytest.mark.parametrize(
    "spec", ["pyscf:fci/sto-6g?spin=ground", "pyscf:fci/6-31g?spin=low", "pyscf:uhf/sto-6g?spin=low"]
)
def test_conformance(spec):
    check_source(load_source(spec), forces=True).raise_if_failed()


def test_conformance_with_other_elements():
    check_source(load_source("pyscf:fci/sto-3g?spin=ground"), species=["He", "H"], forces=True).raise_if_failed()


@pytest.mark.parametrize("method", ["fci", "uhf"])
def test_mixed_parents_equal_one_at_a_time(method):
    source = load_source(f"pyscf:{method}/sto-6g?spin=ground")
    batch = rows_of(MIXED, HYDROGEN, WATER, size=2)
    energies, forces = source.energies_and_forces(batch)
    for row in range(len(batch)):
        alone = ClusterBatch.from_atoms([batch.to_atoms(row)])
        energy, force = source.energies_and_forces(alone)
        assert energies[row] == pytest.approx(energy[0], abs=1e-9)
        assert forces[row] == pytest.approx(force[0], abs=1e-6)


@pytest.mark.parametrize("basis", ["sto-6g", "cc-pvdz"])
def test_integrals_do_not_depend_on_where_they_come_from(basis):
    batch = rows_of(MIXED, size=3).select(np.arange(4))
    sliced, alone = IntegralCache(basis, 1e9), IntegralCache(basis, 0.0)
    for row in range(len(batch)):
        one = batch.select(np.array([row]))
        for ours, theirs in (
            (sliced.integrals(one), alone.integrals(one)),
            (sliced.gradients(one), alone.gradients(one)),
        ):
            arrays = {name: value for name, value in vars(ours).items() if isinstance(value, np.ndarray)}
            assert len(arrays) > 3
            for name, array in arrays.items():
                assert_allclose(array, getattr(theirs, name), rtol=0, atol=1e-12)


def test_energies_do_not_depend_on_where_integrals_come_from():
    batch = rows_of(HYDROGEN, MIXED, size=2)
    generous, tight = (load_source(f"pyscf:fci/sto-6g?spin=ground&memory={memory}") for memory in (2000, 0.1))
    with_room, without = generous.energies_and_forces(batch), tight.energies_and_forces(batch)
    assert with_room[0] == pytest.approx(without[0], abs=1e-9)
    assert with_room[1] == pytest.approx(without[1], abs=1e-7)


def test_a_large_parent_is_not_evaluated_for_a_few_of_its_parts():
    far = System(np.ones(200, dtype=np.int64), np.stack([np.arange(200.0), np.zeros(200), np.zeros(200)], axis=1))
    batch = ClusterBatch.cut({0: far}, np.zeros(2, dtype=int), np.array([[0, 1], [100, 101]]))
    energies = load_source("pyscf:fci/6-31g?spin=ground").energies(batch)
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_the_cache_keeps_to_its_bounds():
    cache = IntegralCache("sto-6g", 1.5e5)  # room for a few structures of five atoms
    for shift in range(40):
        moved = HYDROGEN.copy()
        moved.positions[0, 0] += 0.01 * shift
        batch = rows_of(moved, size=2)
        cache.integrals(batch)
        cache.gradients(batch)
    held = list(cache._held.values())
    assert 1 < len(held) < 40
    assert sum(whole.size for whole in held) <= cache.limit


def test_charges_count():
    source = load_source("pyscf:fci/sto-6g?spin=low")
    pair = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, 1.06]])] * 3)
    neutral, cation, bare = source.energies(charged(pair, [0, 1, 2]))
    assert neutral < cation < bare
    # one electron: no correlation, and the same energy from either method and in every rule
    for spec in ("uhf/sto-6g?spin=low", "uhf/sto-6g?spin=high", "fci/sto-6g?spin=ground"):
        assert load_source(f"pyscf:{spec}").energies(charged(pair, 1))[0] == pytest.approx(cation, abs=1e-7)
    hydride = load_source("pyscf:fci/sto-6g?spin=high").energies(charged(pair, -1))
    assert np.isfinite(hydride).all()


def test_it_is_an_energy_source():
    source = load_source({"source": "pyscf:FCI/STO-6G".lower(), "spin": "ground"})
    assert isinstance(source, EnergySource)
    assert source.name == "pyscf:fci/sto-6g?spin=ground"
    assert source.cutoff is None
    assert source.capabilities.serial
    assert source.capabilities.batch_size > 1


def test_fingerprints_tell_what_decides_the_numbers():
    specs = ["fci/sto-6g?spin=low", "fci/sto-6g?spin=ground", "fci/sto-3g?spin=low", "uhf/sto-6g?spin=low"]
    prints = [load_source(f"pyscf:{spec}").fingerprint for spec in specs]
    assert len(set(prints)) == len(specs)
    assert load_source("pyscf:fci/sto-6g?spin=low&memory=500").fingerprint == prints[0]
    assert all("pyscf=" in text and "solver=" in text for text in prints)


@pytest.mark.parametrize("method", ["fci", "uhf"])
def test_a_pickled_source_is_small_and_gives_the_same(method):
    source = load_source(f"pyscf:{method}/sto-6g?spin=ground")
    batch = rows_of(HYDROGEN, size=3)
    energies = source.energies(batch)
    data = pickle.dumps(source)
    assert len(data) < 1100
    assert (pickle.loads(data).energies(batch) == energies).all()


def test_an_empty_batch_gives_nothing():
    batch = rows_of(HYDROGEN, size=2).select(np.zeros(0, dtype=int))
    energies, forces = load_source("pyscf:fci/sto-6g?spin=ground").energies_and_forces(batch)
    assert energies.shape == (0,)
    assert forces.shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pyscf:fci", "must look like 'pyscf:method/basis\\?spin=ground', got 'pyscf:fci'"),
        ("pyscf:fcii/sto-6g?spin=low", "`method` must be one of .*, got 'fcii'; did you mean 'fci'"),
        ("pyscf:fci/cc-pvdzz?spin=low", "`basis` must be a basis set .* got 'cc-pvdzz'; did you mean 'cc-pvdz'"),
        (
            "pyscf:fci/sto-6g",
            "`spin` must be given .* the spin rule decides the answer; choose from low .* ground .* high .* module:function",
        ),
        (
            "pyscf:fci/sto-6g?spin=groud",
            "`spin` must be one of ground, high, low, pattern, got 'groud'; did you mean 'ground'",
        ),
        (
            "pyscf:fci/sto-6g?spin=low&xc=pbe",
            "pyscf:fci/sto-6g has no option 'xc'; options: spin, counterpoise, memory, basis, ecp",
        ),
        ("pyscf:uks/sto-6g?spin=low", "`xc` must be given for pyscf:uks/sto-6g: the exchange-correlation functional"),
        ("pyscf:uks/sto-6g?spin=low&xc=pbee", "`xc` must be a density functional .* got 'pbee'; did you mean 'pbe'"),
        (
            "pyscf:uks/sto-6g?spin=low&xc=pbe&grid=fien",
            "`grid` must be an integer between 0 and 9 or one of coarse, medium, fine, ultrafine, superfine, got 'fien'; "
            "did you mean 'fine'",
        ),
        ("pyscf:uks/sto-6g?spin=low&xc=pbe&grid=10", "`grid` must be between 0 and 9, got 10"),
        ("pyscf:fci/sto-6g?spin=low&memory=0", "`memory` must be a positive number, got 0"),
        (
            "pyscf:fci/sto-6g?spn=low",
            "has no option 'spn'; options: spin, counterpoise, memory, basis, ecp, gap, relativity, forces; did you mean 'spin'",
        ),
    ],
)
def test_specs_that_cannot_work(spec, message):
    with pytest.raises(InputError, match=message) as raised:
        load_source(spec)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "atoms", "charge", "message"),
    [
        ("fci/sto-6g?spin=low", ase.Atoms("Rb"), 0, "sto-6g has none for Rb; use one that covers it"),
        (
            "uhf/lanl2dz?spin=low",
            ase.Atoms("I"),
            8,
            r"no fewer than 0 electrons beside the 46 that core potentials stand for, \+8 on atomic numbers \[53\] does",
        ),
        (
            "fci/sto-6g?spin=low",
            ase.Atoms("X"),
            0,
            "every atom must have a nucleus, atom 0 of structure 0 is a ghost .* leave it out, counterpoise=full",
        ),
        ("uhf/sto-6g?spin=low", ase.Atoms("HX", [[0, 0, 0], [0, 0, 1]]), 0, "atom 1 of structure 0 is a ghost"),
        (
            "uhf/sto-6g?spin=low",
            ase.Atoms("H3", [[0, 0, 0], [1, 0, 0], [1, 0, 0.01]]),
            0,
            "at least 0.05 Å apart, atoms 1 and 2 of structure 0 are 0.0100 Å apart",
        ),
        ("fci/sto-6g?spin=low", ase.Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), 0, "are nan Å apart"),
        ("fci/sto-6g?spin=low", ase.Atoms("H"), 2, r"no fewer than 0 electrons, \+2 on atomic numbers \[1\] does"),
        ("fci/sto-6g?spin=low", ase.Atoms("H"), -2, r"1 orbitals cannot hold 3 electrons of atomic numbers \[1\]"),
    ],
)
def test_clusters_that_cannot_work(spec, atoms, charge, message):
    source = load_source(f"pyscf:{spec}")
    with pytest.raises(InputError, match=message) as raised:
        source.energies(charged(ClusterBatch.from_atoms([atoms]), charge))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("basis", ["6-31g*", "6-31+g(d,p)", "AUG-cc-pVDZ", "Def2-SVP", "pc-1"])
def test_usual_names_of_basis_sets(basis):
    spec = f"pyscf:fci/{basis}?spin=ground"
    energy = load_source(spec).energies(ClusterBatch.from_atoms([ase.Atoms("H")]))[0]
    assert -13.61 < energy < -13.4


def test_a_failure_keeps_the_rest_of_the_batch():
    source = load_source("pyscf:fci/6-31++g?spin=low")
    apart, close = (ase.Atoms("H3", np.outer([0, 1, 2], [0, 0, distance])) for distance in (0.9, 0.06))
    with pytest.raises(FailedClusters) as raised:
        source.energies_and_forces(ClusterBatch.from_atoms([apart, close]))
    assert list(raised.value.messages) == [1]
    assert np.isfinite(raised.value.energies).tolist() == [True, False]
    assert np.isfinite(raised.value.forces[0]).all()
    assert np.isnan(raised.value.forces[1]).all()


def test_a_missing_pyscf_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyscf", None)
    with pytest.raises(
        InputError, match=r"pyscf must be installed for this, and is not; .* pip install 'bodyorder\[qc\]'"
    ):
        load_source("pyscf:fci/sto-6g?spin=ground")


def test_the_package_is_there_without_pyscf():
    code = "import sys, bodyorder.sources.pyscf; sys.exit('pyscf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
