"""Closed shells found the short way, against plain PySCF with its own stability analysis and the search among all starts."""

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.units import Bohr, Hartree
from pyscf import cc, gto, mp, scf

from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import unrestricted
from bodyorder.sources.pyscf.mean_field.unrestricted import Unrestricted
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System

pytestmark = pytest.mark.usefixtures("no_temporary_files")

WATER = molecule("H2O")
DIMER = WATER + ase.Atoms("OH2", WATER.positions + [0.3, 0.4, 2.9])
BODIES = np.array([0, 0, 0, 1, 1, 1])


def charged(symbols, positions, charge):
    atoms = ase.Atoms(symbols, positions)
    atoms.set_initial_charges([charge] + [0] * (len(atoms) - 1))
    return atoms


CLOSED = {
    "water": WATER,
    "dimer": DIMER,
    "hydroxide": charged("OH", [[0, 0, 0], [0, 0, 0.97]], -1),
    "fluoride and water": charged("FOH2", np.vstack([[0.0, 0.0, 2.7], WATER.positions]), -1),
    "sodium ion": charged("NaOH2", np.vstack([[0.0, 0.0, -2.3], WATER.positions * [1, 1, -1]]), 1),
    "lithium fluoride": ase.Atoms("LiF", [[0, 0, 0], [0, 0, 1.56]]),
}
OPEN = {
    "nitrogen apart": ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.9]]),
    "ozone": molecule("O3"),
    "carbon": ase.Atoms("C2", [[0, 0, 0], [0, 0, 1.25]]),
    "stretched water": ase.Atoms("OH2", WATER.positions * 2.2),
    "methylene": molecule("CH2_s1A1d"),
}


def solver(atoms, spins=(0, 2), basis="6-31g"):
    return Unrestricted(Problem(ClusterBatch.from_atoms([atoms]), list(spins), False, 1e9), IntegralCache(basis, 1e9))


def plain(atoms, basis, ghosts=()):
    """A tightly converged RHF of PySCF alone; ``ghosts`` are further atoms without nuclei."""
    places = [(atom.symbol, atom.position) for atom in atoms]
    places += [(f"ghost-{atom.symbol}", atom.position) for atom in ghosts]
    charge = int(atoms.get_initial_charges().sum())
    mol = gto.M(atom=[(name, place / Bohr) for name, place in places], basis=basis, charge=charge, verbose=0, unit="B")
    field = scf.RHF(mol)
    field.conv_tol, field.conv_tol_grad = 1e-13, 1e-9
    field.kernel()
    return field


@pytest.mark.parametrize("name", CLOSED)
def test_closed_shells_are_those_of_pyscf_and_stable_by_its_analysis(name):
    found = solver(CLOSED[name]).closed[0]
    field = plain(CLOSED[name], "6-31g")
    assert found.energy == pytest.approx(field.e_tot, abs=1e-10)
    np.testing.assert_allclose(found.orbital_energies[0], field.mo_energy, atol=1e-7)
    field.mo_coeff, field.mo_energy = found.coefficients[0], found.orbital_energies[0]
    for external in (False, True):
        *_, internal_stable, external_stable = field.stability(
            internal=not external, external=external, return_status=True, verbose=0
        )
        assert external_stable if external else internal_stable


@pytest.mark.parametrize("name", OPEN)
def test_where_spins_may_part_all_starts_are_searched(name):
    assert not solver(OPEN[name]).closed


@pytest.mark.parametrize("name", ["water", "lithium fluoride", "hydroxide"])
def test_the_search_among_all_starts_finds_nothing_lower(name, monkeypatch):
    short = solver(CLOSED[name]).closed[0].energy
    monkeypatch.setattr(unrestricted, "LEAST_CLOSED", 10**9)
    singlet, triplet = (solver(CLOSED[name], [unpaired]).solutions()[0][unpaired].energy for unpaired in (0, 2))
    assert short == pytest.approx(singlet, abs=1e-9)
    assert triplet > short + 0.01


def energies(spec, atoms=DIMER, members=None, ghosts=None):
    systems = {0: System.from_atoms(atoms, BODIES[: len(atoms)])}
    members = np.arange(len(atoms))[None] if members is None else members
    batch = ClusterBatch.cut(systems, np.zeros(len(members), dtype=int), members, ghosts)
    return load_source(spec).energies(batch) / Hartree


@pytest.mark.parametrize("frozen", [0, 1])
def test_correlation_of_closed_shells_is_that_of_pyscf(frozen):
    field, option = plain(WATER, "6-31g"), "&frozen_core=true" if frozen else ""
    second = mp.MP2(field, frozen=frozen).run()
    coupled = cc.CCSD(field, frozen=frozen)
    coupled.conv_tol, coupled.conv_tol_normt = 1e-11, 1e-9
    coupled.run()
    wanted = {"mp2": second.e_tot, "ccsd": coupled.e_tot, "ccsd(t)": coupled.e_tot + coupled.ccsd_t()}
    for method, energy in wanted.items():
        for rule in ("low", "ground"):
            assert energies(f"pyscf:{method}/6-31g?spin={rule}{option}", WATER)[0] == pytest.approx(energy, abs=2e-9)


@pytest.mark.parametrize("method", ["mp2", "ccsd", "ccsd(t)"])
def test_frozen_cores_of_open_shells_are_those_of_pyscf(method):
    field = scf.UHF(gto.M(atom="O 0 0 0; H 0 0 0.97", spin=1, basis="6-31g", verbose=0))
    field.conv_tol, field.conv_tol_grad = 1e-13, 1e-8
    field.kernel()
    wanted = (mp.MP2 if method == "mp2" else cc.CCSD)(field, frozen=1).run()
    energy = wanted.e_tot + (wanted.ccsd_t() if method == "ccsd(t)" else 0.0)
    found = energies(f"pyscf:{method}/6-31g?spin=low&frozen_core=true", ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]))
    assert found[0] == pytest.approx(energy, abs=1e-7)


def test_functions_of_others_stand_in_another_order():
    members, ghosts = np.array([[3, 4, 5]]), np.array([[0, 1, 2]])
    found = energies("pyscf:mp2/6-31g?spin=low&counterpoise=full", DIMER, members, ghosts)
    field = plain(DIMER[3:], "6-31g", DIMER[:3])
    assert found[0] == pytest.approx(mp.MP2(field).run().e_tot, abs=2e-9)
    between = ClusterBatch.cut({0: System.from_atoms(DIMER)}, np.array([0]), np.array([[4, 0, 2]]), np.array([[1]]))
    field = plain(DIMER[[4, 0, 2]], "6-31g", DIMER[[1]])
    lowest = load_source("pyscf:uhf/6-31g?spin=low&counterpoise=full").energies(between)[0] / Hartree
    assert lowest <= field.e_tot + 1e-9


@pytest.mark.parametrize("spec", ["mp2", "ccsd", "mp2&frozen_core=true", "ccsd&frozen_core=true", "rhf", "uhf"])
def test_forces_of_closed_shells_are_differences_of_their_energies(spec):
    method, _, option = spec.partition("&")
    source = load_source(f"pyscf:{method}/6-31g?spin=low{'&' if option else ''}{option}")
    shift = 5e-3
    moved = [WATER.copy(), WATER.copy()]
    for atoms, sign in zip(moved, (1, -1), strict=True):
        atoms.positions[1, 1] += sign * shift
    above, below = source.energies(ClusterBatch.from_atoms(moved))
    _, forces = source.energies_and_forces(ClusterBatch.from_atoms([WATER]))
    assert forces[0, 1, 1] == pytest.approx((below - above) / (2 * shift), abs=2e-3)


def test_a_frozen_core_names_the_source_only_where_it_is_given():
    plainly, frozen = (load_source(f"pyscf:mp2/6-31g?spin=low{option}") for option in ("", "&frozen_core=true"))
    assert "frozen_core" not in plainly.fingerprint
    assert "frozen_core=true" in frozen.fingerprint.lower()
