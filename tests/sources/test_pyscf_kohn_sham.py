"""Density functionals against plain PySCF on the same grid, and the lowest solution of each."""

import ase
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import dft, gto
from scipy.spatial.transform import Rotation

from bodyorder._checks import InputError
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import kohn_sham
from bodyorder.sources.pyscf.mean_field.fields import molecule_of
from bodyorder.sources.pyscf.mean_field.functionals import USUAL, check_functional, has_curvature
from bodyorder.sources.pyscf.mean_field.grid_noise import grid_noise
from bodyorder.sources.pyscf.mean_field.kohn_sham.field import Field
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System

pytestmark = pytest.mark.usefixtures("no_temporary_files")

H4 = ase.Atoms("H4", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1]])
CLUSTERS = {
    "H": ase.Atoms("H"),
    "H2": H4[:2],
    "H3": H4[:3],
    "H4": H4,
    "LiH": ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]]),
    "NH2": ase.Atoms("NHH", [[0, 0, 0], [0.2, 0.3, 0.95], [0.1, 0.9, -0.45]]),
    "OH": ase.Atoms("OH", [[0, 0, 0], [0.2, 0.3, 0.9]]),
}


def problem(structures, spins, gradient=False, **options):
    return Problem(ClusterBatch.from_atoms(structures), spins, gradient, 1e9, options=options)


def plain(kind, atoms, unpaired, xc, level, basis="6-31g"):
    sites = list(zip(atoms.symbols, atoms.positions / Bohr, strict=True))
    mol = gto.M(atom=sites, unit="Bohr", basis=basis, spin=unpaired, verbose=0)
    field = kind(mol, xc=xc).set(conv_tol=1e-11)
    field.grids.level, field.nlcgrids.level = level, max(level - 1, 0)
    return field.run()


@pytest.mark.parametrize(
    ("name", "unpaired", "xc", "level"),
    [
        ("H", 1, "pbe", 4),
        ("H3", 1, "pbe", 4),
        ("H4", 2, "r2scan", 2),
        ("H3", 1, "pbe0", 2),
        ("H3", 1, "hse06", 2),
        ("H3", 1, "camb3lyp", 2),
        ("H2", 0, "b97m-v", 2),
    ],
)
def test_plain_pyscf_gives_the_same(name, unpaired, xc, level):
    answer = kohn_sham.unrestricted(
        problem([CLUSTERS[name]], [unpaired], xc=xc, grid=level), IntegralCache("6-31g", 1e9)
    )
    expected = plain(dft.UKS, CLUSTERS[name], unpaired, xc, level).e_tot
    assert not answer.messages
    assert answer.records["multiplicity"][0] == unpaired + 1
    assert answer.energies[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.slow
def test_one_start_is_not_enough_for_a_radical():
    """PySCF's own iteration does not end, wherever rounding takes it; its second-order solver agrees with what is found."""
    answer = kohn_sham.unrestricted(problem([CLUSTERS["OH"]], [1], xc="lda,vwn", grid=2), IntegralCache("6-31g", 1e9))
    field = plain(dft.UKS, CLUSTERS["OH"], 1, "lda,vwn", 2)
    assert not field.converged
    solved = field.newton().run()
    assert solved.converged
    # which of two degenerate orbitals is singly filled differs by what the grid makes of a rotation
    assert answer.energies[0] == pytest.approx(solved.e_tot, abs=1e-7)
    assert not answer.messages


@pytest.mark.parametrize(("name", "unpaired"), [("H", 1), ("H3", 1), ("LiH", 0), ("LiH", 2)])
def test_both_spins_in_the_same_orbitals(name, unpaired):
    answer = kohn_sham.restricted(problem([CLUSTERS[name]], [unpaired], xc="pbe0", grid=2), IntegralCache("6-31g", 1e9))
    kind = dft.ROKS if unpaired else dft.RKS
    assert answer.energies[0] == pytest.approx(plain(kind, CLUSTERS[name], unpaired, "pbe0", 2).e_tot, abs=1e-8)
    assert answer.records["contamination"][0] == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("xc", ["pbe", "r2scan"])
def test_a_symmetric_start_ends_too_high(xc):
    pair = ase.Atoms("H2", [[0, 0, 0], [0, 0, 3.0]])
    chain = ase.Atoms("H4", [[0, 0, 2.2 * place] for place in range(4)])
    for atoms in (pair, chain):
        answer = kohn_sham.unrestricted(problem([atoms], [0], xc=xc, grid=2), IntegralCache("6-31g", 1e9))
        symmetric = plain(dft.UKS, atoms, 0, xc, 2)
        assert symmetric.converged
        assert answer.energies[0] < symmetric.e_tot - 0.01
        assert answer.records["contamination"][0] > 0.3


def test_a_saddle_point_is_left():
    pair, cache = ase.Atoms("H2", [[0, 0, 0], [0, 0, 3.0]]), IntegralCache("6-31g", 1e9)
    batch = ClusterBatch.from_atoms([pair])
    mol = molecule_of(batch, 0, "6-31g", 0)
    functional = kohn_sham.Functional("pbe", 2, restricted=False)
    field = Field(mol, mol, cache.integrals(batch), 0, functional, batch, kohn_sham.point_cache(cache))
    solver = kohn_sham.Solver(field)
    # no start but the symmetric one
    found = solver.lowest(0, np.empty((0, 2, mol.nao, mol.nao)))
    assert found.e_tot < plain(dft.UKS, pair, 0, "pbe", 2).e_tot - 0.01
    broken = kohn_sham.unrestricted(problem([pair], [0], xc="pbe", grid=2), cache).energies[0]
    assert found.e_tot == pytest.approx(broken, abs=1e-6)


def test_the_lowest_spin_is_kept():
    square = ase.Atoms("H4", [[0, 0, 0], [1.3, 0, 0], [1.3, 1.3, 0], [0, 1.3, 0]])
    cache = IntegralCache("sto-6g", 1e9)
    whole = kohn_sham.unrestricted(problem([square], [0, 2, 4], xc="pbe", grid=0), cache)
    alone = np.array(
        [kohn_sham.unrestricted(problem([square], [spin], xc="pbe", grid=0), cache).energies for spin in (0, 2, 4)]
    )
    assert whole.energies == pytest.approx(alone.min(axis=0), abs=1e-8)
    assert whole.records["multiplicity"].tolist() == (2 * alone.argmin(axis=0) + 1).tolist()


def test_far_parts_add_up():
    source = load_source("pyscf:uks/sto-6g?spin=ground&xc=pbe")
    pair = ase.Atoms("H2", [[0, 0, 0], [0, 0, 30.0]])
    parts = source.energies(ClusterBatch.from_atoms([pair[:1], pair[1:]])).sum()
    assert source.energies(ClusterBatch.from_atoms([pair]))[0] == pytest.approx(parts, abs=1e-6)


@pytest.mark.parametrize("xc", ["pbe", "r2scan"])
def test_functions_of_other_atoms_bring_no_points(xc):
    square = ase.Atoms("He4", [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    batch = ClusterBatch.cut({0: System.from_atoms(square)}, np.array([0]), np.array([[1]]), np.array([[0, 2, 3]]))
    cache = IntegralCache("6-31g", 1e9)
    answer = kohn_sham.unrestricted(Problem(batch, [0], False, 1e9, options={"xc": xc}), cache)
    sites = [("He" if atom == 1 else "ghost-He", square.positions[atom] / Bohr) for atom in range(4)]
    mol = gto.M(atom=sites, unit="Bohr", basis="6-31g", verbose=0)
    fine = dft.UKS(mol, xc=xc).set(conv_tol=1e-10)
    fine.grids.level = 6
    alone = kohn_sham.unrestricted(problem([square[:1]], [0], xc=xc), cache)
    assert answer.energies[0] == pytest.approx(fine.kernel(), abs=1e-7)
    assert answer.energies[0] < alone.energies[0]
    mol, bare = molecule_of(batch, 0, "6-31g", 0), molecule_of(ClusterBatch.from_atoms([square[1:2]]), 0, "6-31g", 0)
    functional, points_held = kohn_sham.Functional(xc, 4, False), kohn_sham.point_cache(cache)
    field = Field(mol, bare, cache.integrals(batch), 0, functional, batch, points_held)
    points = dft.gen_grid.Grids(bare).set(level=4).build()
    assert np.array_equal(field.grids(4).weights, points.weights)


@pytest.mark.parametrize("xc", ["pbe", "r2scan"])
def test_the_error_of_the_grid_is_within_the_precision(xc):
    cache, turned = IntegralCache("sto-6g", 1e9), []
    for seed in range(2):
        copy = CLUSTERS["H3"].copy()
        copy.positions = Rotation.random(random_state=seed).apply(copy.positions) + seed
        turned.append(copy)
    energies = kohn_sham.unrestricted(problem(turned, [1], xc=xc), cache).energies * Hartree
    assert np.ptp(energies) < 3 * grid_noise(xc, 4)
    finer = kohn_sham.unrestricted(problem([CLUSTERS["H3"]], [1], xc=xc, grid=6), cache).energies * Hartree
    assert energies == pytest.approx(np.full(2, finer[0]), abs=3 * grid_noise(xc, 4))


@pytest.mark.parametrize(
    ("method", "name", "unpaired", "xc"),
    [
        ("uks", "H3", 1, "pbe"),
        ("uks", "H4", 0, "pbe0"),
        ("uks", "H3", 1, "hse06"),
        ("uks", "H3", 1, "r2scan"),
        ("uks", "H2", 0, "b97m-v"),
        ("uks", "H3", 1, "hf"),
        pytest.param("uks", "NH2", 1, "pbe", marks=pytest.mark.slow),
        ("rks", "LiH", 0, "pbe0"),
        ("rks", "H3", 1, "pbe"),
    ],
)
def test_forces_are_the_negative_gradient(method, name, unpaired, xc):
    function = kohn_sham.unrestricted if method == "uks" else kohn_sham.restricted
    atoms, cache = CLUSTERS[name], IntegralCache("6-31g", 1e9)
    answer = function(problem([atoms], [unpaired], gradient=True, xc=xc, grid=0), cache)
    direction, step = np.random.default_rng(0).standard_normal((len(atoms), 3)), 0.005
    moved = [ase.Atoms(atoms.symbols, atoms.positions + places * step * Bohr * direction) for places in (-2, -1, 1, 2)]
    energies = function(problem(moved, [unpaired], xc=xc, grid=0), cache).energies
    slope = energies @ [1.0, -8.0, 8.0, -1.0] / (12 * step)
    assert np.sum(answer.gradients[0] * direction) == pytest.approx(slope, abs=1e-5)
    assert answer.gradients[0].sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-6)


def test_dependent_functions():
    crowd = ase.Atoms("H3", [[0, 0, 0], [0, 0, 0.06], [0, 0, 0.12]])
    answer = kohn_sham.unrestricted(problem([crowd], [1], xc="pbe", grid=1), IntegralCache("6-31++g", 1e9))
    assert np.isfinite(answer.energies).all() or "must have a converged and stable solution" in answer.messages[0]


def test_usual_functionals_are_known():
    for name in USUAL:
        assert check_functional(name.upper()) == name
        assert has_curvature(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", r"`xc` must be given for pyscf:uks/sto-3g: the exchange-correlation functional by its usual name"),
        ("&xc=pbee", r"`xc` must be a density functional .*, got 'pbee'; did you mean 'pbe'\?"),
        ("&xc=bl3yp", r"`xc` must be a density functional .*, got 'bl3yp'; did you mean"),
        ("&xc=wb97x-3c", r"`xc` must be a functional without a dispersion correction, got 'wb97x-3c'; leave"),
        ("&xc=wb97x-d", r"`xc` must be a functional without a dispersion correction, got 'wb97x-d'"),
        ("&xc=mgga_x_br89", r"`xc` must be a density functional that PySCF computes, it does not 'mgga_x_br89'"),
        ("&xc=pbe&grid=10", r"`grid` must be between 0 and 9, got 10"),
    ],
)
def test_options_that_cannot_work(options, message):
    for method in ("uks", "rks"):
        with pytest.raises(InputError, match=message.replace("uks", method)):
            load_source(f"pyscf:{method}/sto-3g?spin=low{options}")


def test_functionals_are_for_density_functional_theory():
    with pytest.raises(InputError, match="has no option 'xc'"):
        load_source("pyscf:mp2/sto-3g?spin=low&xc=pbe")
    with pytest.raises(InputError, match="`xc` must name a density functional for rks and uks"):
        kohn_sham.unrestricted(problem([CLUSTERS["H"]], [1]), IntegralCache("sto-3g", 1e9))


def test_the_functional_is_part_of_the_fingerprint():
    specs = ["xc=pbe", "xc=pbe0", "xc=pbe&grid=5"]
    assert len({load_source(f"pyscf:uks/sto-3g?spin=low&{spec}").fingerprint for spec in specs}) == 3


@pytest.mark.parametrize(
    "atoms",
    [
        ase.Atoms("C2", [[0, 0, 0], [0, 0, 1.24]]),
        ase.Atoms("NH", [[0, 0, 0], [0, 0, 1.04]]),
    ],
    ids=str,
)
def test_spins_that_are_left_out_are_not_the_lowest(atoms, monkeypatch):
    """The same lowest state, and the same second one, as with every number of unpaired electrons solved to the end."""
    batch = ClusterBatch.cut({0: System.from_atoms(atoms)}, np.array([0]), np.arange(len(atoms))[None])
    found = load_source("pyscf:uks/6-31g?xc=pbe&spin=ground").evaluate(batch, False)
    monkeypatch.setattr("bodyorder.sources.pyscf.mean_field.spins.ABOVE", np.inf)
    all_of_them = load_source("pyscf:uks/6-31g?xc=pbe&spin=ground").evaluate(batch, False)
    assert not found.messages
    np.testing.assert_allclose(found.energies, all_of_them.energies, atol=1e-7)
    np.testing.assert_array_equal(found.records["multiplicity"], all_of_them.records["multiplicity"])
