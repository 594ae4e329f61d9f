"""Kohn–Sham theory on points: functions, exchange and correlation, second derivatives, each against plain PySCF."""

import ase
import numpy as np
import pytest
from ase.units import Bohr
from pyscf import dft, gto

from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import kohn_sham
from bodyorder.sources.pyscf.mean_field.fields import molecule_of
from bodyorder.sources.pyscf.mean_field.kohn_sham import field as field_module
from bodyorder.sources.pyscf.mean_field.kohn_sham.curvature import Curvature
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field
from bodyorder.sources.pyscf.mean_field.kohn_sham.functional import Functional
from bodyorder.sources.pyscf.mean_field.kohn_sham.integration import acting, matrices
from bodyorder.sources.pyscf.mean_field.kohn_sham.points import PointCache
from bodyorder.sources.pyscf.mean_field.kohn_sham.relaxation import Relaxation, State, refined
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System

#: Two hydrogen molecules and water, far enough apart that some functions do not reach some points.
ATOMS = ase.Atoms(
    "OHHHHHH",
    [[0, 0, 0], [0.2, 0.3, 0.9], [0.9, -0.2, -0.3], [0, 4, 0], [0.2, 4.1, 0.8], [6, 0, 0], [6, 0.9, 0.1]],
)


def field_of(atoms, members, xc, unpaired=0, level=2, memory=1e9, basis="6-31g"):
    batch = ClusterBatch.cut({0: System.from_atoms(atoms)}, np.array([0]), np.array([members]))
    cache = IntegralCache(basis, memory)
    mol = molecule_of(batch, 0, basis, unpaired)
    return Field(mol, mol, cache.integrals(batch), 0, Functional(xc, level, False), batch, PointCache(cache))


def random_orbitals(field, counts, seed=0):
    rng = np.random.default_rng(seed)
    r = field.basis.shape[1]
    return [field.basis @ np.linalg.qr(rng.standard_normal((r, r)))[0][:, :count] for count in counts]


def plain(atoms, xc, unpaired, level, basis="6-31g"):
    sites = list(zip(atoms.symbols, atoms.positions / Bohr, strict=True))
    mol = gto.M(atom=sites, unit="Bohr", basis=basis, spin=unpaired, verbose=0)
    with without_checkpoints():
        field = dft.UKS(mol, xc=xc).set(conv_tol=1e-11)
    field.grids.level = level
    return field


@pytest.mark.parametrize("memory", [0.0, 1e9])
@pytest.mark.parametrize("xc", ["lda,vwn", "pbe", "r2scan"])
def test_exchange_and_correlation_on_the_points_of_a_part(xc, memory):
    members = [0, 1, 2, 5, 6]
    field = field_of(ATOMS, members, xc, unpaired=2, memory=memory)
    orbitals = random_orbitals(field, (7, 5))
    energy, potentials = matrices(field.functional, field.points(2), orbitals)
    theirs = plain(ATOMS[members], xc, 2, 2)
    densities = np.array([some @ some.T for some in orbitals])
    _, expected, vxc = dft.numint.NumInt().nr_uks(theirs.mol, theirs.grids.build(), xc, densities)
    assert energy == pytest.approx(expected, abs=1e-8)
    assert potentials == pytest.approx(vxc, abs=1e-7)
    same, images = acting(field.functional, field.points(2), orbitals)
    assert same == pytest.approx(energy, abs=1e-10)
    for image, potential, some in zip(images, potentials, orbitals, strict=True):
        assert image == pytest.approx(potential @ some, abs=1e-10)


@pytest.mark.parametrize("xc", ["pbe", "r2scan"])
def test_pairs_are_two_equal_spins(xc):
    field = field_of(ATOMS, [0, 1, 2], xc)
    (orbitals,) = random_orbitals(field, (5,))
    pairs, both = field.look([orbitals], 1), field.look([orbitals, orbitals], 1)
    assert pairs.energy == pytest.approx(both.energy, abs=1e-10)
    assert both.fock == pytest.approx(np.concatenate([pairs.fock, pairs.fock]), abs=1e-10)


@pytest.mark.parametrize("xc", ["lda,vwn", "pbe", "r2scan", "pbe0", "hse06"])
def test_second_derivatives_are_those_of_pyscf(xc):
    field = field_of(ATOMS, [1, 3, 4, 5], xc)
    state = Relaxation(field, State(field, start := random_orbitals(field, (2, 2)), field.look(start, 1)), 1).run(1e-3)
    curvature = Curvature(field, state, 1)
    theirs = plain(ATOMS[[1, 3, 4, 5]], xc, 0, 1)
    coefficients = [np.concatenate(parts, axis=1) for parts in zip(curvature.occupied, curvature.empty, strict=True)]
    filled = np.array([np.arange(some.shape[1]) < 2 for some in coefficients], dtype=float)
    theirs.grids.build()
    with without_checkpoints():
        _, action, _ = theirs.newton().gen_g_hop(np.array(coefficients), filled)
    vectors = np.random.default_rng(1).standard_normal((3, len(curvature.gaps)))
    assert curvature.apply(vectors) == pytest.approx(np.array([action(one) for one in vectors]), rel=1e-6, abs=2e-6)


@pytest.mark.parametrize("xc", ["pbe", "r2scan", "pbe0"])
@pytest.mark.parametrize("parting", [True, False])
def test_pairs_part_or_stay_together(xc, parting):
    """Second derivatives of one set of orbitals are those of both spins for rotations that are opposite or equal."""
    field = field_of(ATOMS, [1, 3, 4, 5], xc)
    (orbitals,) = random_orbitals(field, (2,))
    one, two = (State(field, some, field.look(some, 1)) for some in ([orbitals], [orbitals] * 2))
    closed, both = Curvature(field, one, 1, parting=parting), Curvature(field, two, 1)
    vector = np.random.default_rng(2).standard_normal((1, len(closed.gaps)))
    image = both.apply(np.concatenate([vector, -vector if parting else vector], axis=1))
    assert closed.apply(vector) == pytest.approx(image[:, : vector.shape[1]], abs=1e-8)


@pytest.mark.parametrize(("xc", "members"), [("pbe", [0, 1, 2]), ("r2scan", [0, 1, 2]), ("b97m-v", [3, 4])])
def test_a_coarse_grid_that_is_mended_gives_the_energy_of_the_fine_one(xc, members):
    field = field_of(ATOMS, members, xc, level=3)
    start = random_orbitals(field, [int(field.mol.nelectron) // 2] * 2)
    rough = Relaxation(field, State(field, start, field.look(start, 0)), 0).run(1e-3)
    final = refined(field, rough, (0, 3), 1e-9)
    theirs = plain(ATOMS[members], xc, 0, 3)
    theirs.nlcgrids.level = 2
    assert abs(rough.energy - final.energy) > 1e-5
    assert final.energy == pytest.approx(theirs.kernel(), abs=3e-9)


@pytest.mark.parametrize("exchange", [True, False])
def test_many_functions_take_integrals_with_all_their_symmetry(exchange, monkeypatch):
    """In another order of functions where the atoms are not in that of the structure."""
    found = []
    for limit in (1000, 0):
        monkeypatch.setattr(field_module, "FOURFOLD", limit)
        field = field_of(ATOMS, [3, 2, 0, 1], "pbe0")
        densities = field.densities(random_orbitals(field, (5, 4)))
        assert (field._pairs(0.0)[1] is None) == (limit > 0)
        found.append(field.repelled(densities, 0.0, exchange))
    assert found[0] == pytest.approx(found[1], abs=1e-10)


def test_energies_do_not_depend_on_what_is_in_memory():
    system, rows = {0: System.from_atoms(ATOMS)}, np.array([[0, 1, 2, 3, 4], [0, 1, 2, 5, 6]])
    together = ClusterBatch.cut(system, np.zeros(2, dtype=int), rows)
    energies = []
    for memory in (1e9, 0.0):
        cache = IntegralCache("6-31g", memory)
        answers = [
            kohn_sham.unrestricted(Problem(batch, [0], False, 1e9, options={"xc": "pbe", "grid": 2}), cache)
            for batch in (together, together.select(np.array([1])))
        ]
        energies += [answers[0].energies[1], answers[1].energies[0]]
    assert energies == pytest.approx([energies[0]] * 4, abs=1e-9)


def test_closed_shells_need_no_search(monkeypatch):
    def refuse(*_):
        raise AssertionError("searched")

    monkeypatch.setattr(kohn_sham, "candidate_densities", refuse)
    water = ClusterBatch.from_atoms([ATOMS[:3]])
    found = kohn_sham.unrestricted(Problem(water, [0], False, 1e9, options={"xc": "pbe"}), IntegralCache("6-31g", 1e9))
    assert found.energies[0] == pytest.approx(plain(ATOMS[:3], "pbe", 0, 4).kernel(), abs=1e-8)
    assert found.records["contamination"][0] == pytest.approx(0.0, abs=1e-8)
    # where spins part, all starts are tried
    broken = ClusterBatch.from_atoms([ase.Atoms("N2", [[0, 0, 0], [0, 0, 2.2]])])
    with pytest.raises(AssertionError, match="searched"):
        kohn_sham.unrestricted(
            Problem(broken, [0], False, 1e9, options={"xc": "pbe", "grid": 0}), IntegralCache("6-31g", 1e9)
        )


def test_six_water_molecules_fit_into_the_default_memory():
    source = load_source("pyscf:uks/def2-svp?spin=low&xc=pbe")
    positions = np.concatenate([ATOMS.positions[:3] + [0, 0, 3 * place] for place in range(6)])
    batch = ClusterBatch.from_atoms([ase.Atoms("OHH" * 6, positions)])
    assert source._room(batch, False) < source.settings.memory
