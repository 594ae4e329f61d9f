"""Forces against differences of energies and against PySCF's own gradients."""

import ase
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import gto, mcscf, scf

from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

STEP = 2e-3  # Å

CLUSTERS = {
    "H3": ase.Atoms("H3", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3]]),
    "H4": ase.Atoms("H4", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1]]),
    "H5": ase.Atoms("H5", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1], [1.2, 1.1, 1.0]]),
    "H6": ase.Atoms(
        "H6", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1], [1.2, 1.1, 1.0], [-0.6, 0.9, 0.5]]
    ),
    "He2": ase.Atoms("He2", [[0, 0, 0], [0.3, 1.2, 0.4]]),
    "LiH": ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]]),
    "HOH": ase.Atoms("HOH", [[0, 0, 0.9], [0, 0, 0], [0.8, 0.1, -0.3]]),
}


def charged(symbols, positions, charges):
    atoms = ase.Atoms(symbols, positions)
    atoms.set_initial_charges(charges)
    return atoms


IONS = {
    "H3+": charged("H3", CLUSTERS["H3"].positions, [1, 0, 0]),
    "H4-": charged("H4", CLUSTERS["H4"].positions, [0, 0, -1, 0]),
    "LiH+": charged("LiH", CLUSTERS["LiH"].positions, [1, 0]),
}


def differences(source, atoms):
    """Forces by central differences of fourth order, eV/Å."""
    moved = []
    for atom in range(len(atoms)):
        for axis in range(3):
            for steps in (-2, -1, 1, 2):
                copy = atoms.copy()
                copy.positions[atom, axis] += steps * STEP
                moved.append(copy)
    energies = source.energies(ClusterBatch.from_atoms(moved)).reshape(len(atoms), 3, 4)
    return -(energies @ [1.0, -8.0, 8.0, -1.0]) / (12 * STEP)


@pytest.mark.parametrize("spin", ["low", "ground", "high"])
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("fci/sto-6g", "H3"),
        ("fci/sto-6g", "H4"),
        ("fci/6-31g", "H4"),
        ("fci/sto-6g", "H5"),
        ("fci/sto-6g", "H6"),
        ("fci/6-31g", "He2"),
        ("fci/6-31g", "LiH"),
        ("fci/sto-6g", "HOH"),
        ("uhf/6-31g", "H3"),
        ("uhf/sto-6g", "H4"),
        ("uhf/6-31g", "He2"),
        ("uhf/sto-6g", "LiH"),
    ],
)
def test_forces_are_the_negative_gradient(method, name, spin):
    atoms, source = CLUSTERS[name], load_source(f"pyscf:{method}?spin={spin}")
    energies, forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))
    assert energies == pytest.approx(source.energies(ClusterBatch.from_atoms([atoms])), abs=1e-9)
    assert forces[0] == pytest.approx(differences(source, atoms), abs=1e-6 * Hartree / Bohr)
    assert forces[0].sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-7)


@pytest.mark.parametrize("spin", ["low", "ground", "high"])
@pytest.mark.parametrize("name", IONS)
def test_forces_of_ions(name, spin):
    atoms, source = IONS[name], load_source(f"pyscf:fci/6-31g?spin={spin}")
    batch = ClusterBatch.from_atoms([atoms])
    assert batch.charges.tolist() == [round(atoms.get_initial_charges().sum())]
    _, forces = source.energies_and_forces(batch)
    assert forces[0] == pytest.approx(differences(source, atoms), abs=1e-6 * Hartree / Bohr)


@pytest.mark.parametrize("name", ["H4", "LiH"])
def test_forces_of_pyscf_with_all_orbitals_active(name):
    atoms = CLUSTERS[name]
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions / Bohr, strict=True)), unit="Bohr", basis="6-31g", verbose=0
    )
    with without_checkpoints():
        space = mcscf.CASCI(scf.RHF(mol).set(conv_tol=1e-12).run(), mol.nao, mol.nelectron)
    space.fcisolver.conv_tol = 1e-13
    gradient = space.run().nuc_grad_method().kernel()
    _, forces = load_source("pyscf:fci/6-31g?spin=low").energies_and_forces(ClusterBatch.from_atoms([atoms]))
    assert forces[0] == pytest.approx(-gradient * Hartree / Bohr, abs=2e-5)


def test_atoms_alone_feel_nothing():
    for method in ("fci", "uhf"):
        for symbol in ("H", "He", "Li", "O"):
            for spin in ("low", "ground", "high"):
                source = load_source(f"pyscf:{method}/sto-6g?spin={spin}")
                _, forces = source.energies_and_forces(ClusterBatch.from_atoms([ase.Atoms(symbol)]))
                assert forces == pytest.approx(np.zeros((1, 1, 3)), abs=1e-8)


def test_bare_nuclei_repel():
    batch = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, 1.0]])])
    batch = ClusterBatch(batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, np.array([2]))
    energies, forces = load_source("pyscf:fci/sto-6g?spin=ground").energies_and_forces(batch)
    assert energies[0] == pytest.approx(Hartree * Bohr, rel=1e-12)
    assert forces[0] == pytest.approx(np.array([[0, 0, -1], [0, 0, 1]]) * Hartree * Bohr, rel=1e-12)


def test_forces_in_a_dependent_basis_are_refused():
    source = load_source("pyscf:fci/6-31++g?spin=low")
    batch = ClusterBatch.from_atoms([ase.Atoms("H3", [[0, 0, 0], [0, 0, 0.06], [0, 0, 0.12]])])
    assert np.isfinite(source.energies(batch)).all()
    with pytest.raises(FailedClusters, match="forces must have linearly independent functions"):
        source.energies_and_forces(batch)
