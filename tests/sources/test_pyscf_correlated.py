"""Correlated methods against exact energies, plain PySCF and differences of their own energies."""

import ase
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import cc, gto, mp, scf
from pyscf.cc import gccsd_t

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.sources.pyscf import correlated, mean_field
from bodyorder.sources.pyscf.correlated import coupled_cluster, reference, response
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import lowest_fields
from bodyorder.sources.pyscf.mean_field.spins import ABOVE
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density, low_density

pytestmark = pytest.mark.usefixtures("no_temporary_files")

H4 = ase.Atoms("H4", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1]])
CLUSTERS = {
    "H3": H4[:3],
    "H4": H4,
    "He2": ase.Atoms("He2", [[0, 0, 0], [0.3, 1.2, 0.4]]),
    "LiH": ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]]),
    "OH": ase.Atoms("OH", [[0, 0, 0], [0.2, 0.3, 0.9]]),
    "N2": ase.Atoms("N2", [[0, 0, 0], [0, 0, 1.5]]),
}
METHODS = {"mp2": correlated.mp2, "ccsd": correlated.ccsd, "ccsd(t)": correlated.ccsd_t}


def problem(structures, spins, gradient=False):
    return Problem(ClusterBatch.from_atoms(structures), spins, gradient, 1e9)


def plain(atoms, basis, unpaired, ghosts=()):
    """A UHF of PySCF alone; ``ghosts`` are further atoms without nuclei."""
    sites = [(symbol, position / Bohr) for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)]
    sites += [(f"ghost-{atom.symbol}", atom.position / Bohr) for atom in ghosts]
    mol = gto.M(atom=sites, unit="Bohr", basis=basis, spin=unpaired, verbose=0)
    return scf.UHF(mol).set(conv_tol=1e-13, conv_tol_grad=1e-8)


def correlate(method, field):
    if method == "mp2":
        return field.e_tot + mp.UMP2(field).run().e_corr
    solver = cc.UCCSD(field).set(conv_tol=1e-11, conv_tol_normt=1e-8, max_cycle=200).run()
    return solver.e_tot + (solver.ccsd_t() if method == "ccsd(t)" else 0.0)


@pytest.mark.parametrize("spin", ["low", "high"])
def test_two_electrons_are_correlated_exactly(spin):
    batch = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, d]]) for d in (0.74, 1.3, 2.5)])
    exact = load_source(f"pyscf:fci/cc-pvdz?spin={spin}").energies(batch)
    for method in ("ccsd", "ccsd(t)"):
        energies = load_source(f"pyscf:{method}/cc-pvdz?spin={spin}").energies(batch)
        assert energies == pytest.approx(exact, abs=1e-8 * Hartree)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "unpaired"), [("He2", 0), ("H3", 1), ("H4", 2), ("LiH", 0), ("OH", 1)])
def test_plain_pyscf_gives_the_same(method, name, unpaired):
    answer = METHODS[method](problem([CLUSTERS[name]], [unpaired]), IntegralCache("6-31g", 1e9))
    field = plain(CLUSTERS[name], "6-31g", unpaired)
    ours = lowest_fields(problem([CLUSTERS[name]], [unpaired]), IntegralCache("6-31g", 1e9))[0]
    field.kernel(dm0=ours.make_rdm1())
    assert not answer.messages
    assert answer.energies[0] == pytest.approx(correlate(method, field), abs=1e-8)
    assert answer.records["multiplicity"][0] == unpaired + 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("atoms", "basis", "unpaired"),
    [
        (ase.Atoms("H"), "cc-pvdz", 1),
        (ase.Atoms("H"), "sto-6g", 1),
        (CLUSTERS["He2"], "sto-3g", 0),
        (H4[:2], "sto-6g", 2),
        (H4[:3], "sto-6g", 3),
        (ase.Atoms("HeH", [[0, 0, 0], [0, 0, 1.0]]), "sto-3g", 1),
    ],
)
def test_nothing_to_correlate_leaves_the_mean_field(method, atoms, basis, unpaired):
    answer = METHODS[method](problem([atoms], [unpaired], gradient=method != "ccsd(t)"), IntegralCache(basis, 1e9))
    assert answer.energies[0] == pytest.approx(plain(atoms, basis, unpaired).run().e_tot, abs=1e-9)
    if method != "ccsd(t)":
        assert np.isfinite(answer.gradients).all()


@pytest.mark.parametrize(("name", "unpaired"), [("N2", 6), ("H4", 2), ("LiH", 2)])
def test_triples_where_one_spin_leaves_no_room(name, unpaired):
    answer = correlated.ccsd_t(problem([CLUSTERS[name]], [unpaired]), IntegralCache("sto-3g", 1e9))
    field = lowest_fields(problem([CLUSTERS[name]], [unpaired]), IntegralCache("sto-3g", 1e9))[0]
    whole = plain(CLUSTERS[name], "sto-3g", unpaired)
    whole.kernel(dm0=field.make_rdm1())
    general = cc.GCCSD(scf.addons.convert_to_ghf(whole)).set(conv_tol=1e-11, conv_tol_normt=1e-8).run()
    expected = general.e_tot + gccsd_t.kernel(general, general.ao2mo(), general.t1, general.t2, verbose=0)
    assert answer.energies[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("method", "basis"), [("mp2", "aug-cc-pvdz"), ("ccsd", "6-31g"), ("ccsd(t)", "6-31g")])
@pytest.mark.parametrize("members", [[1], [0, 2]])
def test_functions_of_other_atoms(method, basis, members):
    square = ase.Atoms("He4", [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    others = [atom for atom in range(4) if atom not in members]
    batch = ClusterBatch.cut({0: System.from_atoms(square)}, np.array([0]), np.array([members]), np.array([others]))
    answer = METHODS[method](Problem(batch, [0], False, 1e9), IntegralCache(basis, 1e9))
    field = plain(square[members], basis, 0, square[others]).run()
    assert answer.energies[0] == pytest.approx(correlate(method, field), abs=1e-9)


def test_the_spin_with_the_lowest_correlated_energy_is_kept():
    square = ase.Atoms("H4", [[0, 0, 0], [1.3, 0, 0], [1.3, 1.3, 0], [0, 1.3, 0]])
    structures, cache = [square, H4], IntegralCache("6-31g", 1e9)
    for function in METHODS.values():
        whole = function(problem(structures, [0, 2, 4]), cache)
        alone = np.array([function(problem(structures, [spin]), cache).energies for spin in (0, 2, 4)])
        assert whole.energies == pytest.approx(alone.min(axis=0), abs=1e-9)
        assert whole.records["multiplicity"].tolist() == (2 * alone.argmin(axis=0) + 1).tolist()


def test_contaminated_references_are_recorded():
    stretched = ase.Atoms("H4", [[0, 0, 0], [1.8, 0, 0], [1.8, 1.9, 0], [0, 1.7, 0]])
    answer = correlated.mp2(problem([stretched, H4[[0, 1, 2, 3]]], [0]), IntegralCache("6-31g", 1e9))
    assert answer.records["contamination"][0] > 1.0
    assert answer.records["uncertainty"][0] > 1e-3
    closed = correlated.mp2(problem([CLUSTERS["He2"]], [0]), IntegralCache("6-31g", 1e9))
    assert closed.records["contamination"][0] == pytest.approx(0.0, abs=1e-8)
    assert np.isnan(closed.records.get("uncertainty", np.array([np.nan]))).all()


@pytest.mark.parametrize("distance", [0.74, 1.5, 3.0])
def test_exact_states_of_two_electrons_are_not_in_doubt(distance):
    molecule = [ase.Atoms("H2", [[0, 0, 0], [0, 0, distance]])]
    field, coupled = (
        method(problem(molecule, [0]), IntegralCache("6-31g", 1e9)) for method in (mean_field.evaluate, correlated.ccsd)
    )
    assert (field.records["contamination"][0] > 0.1) == (distance > 1.0)
    assert coupled.records["contamination"][0] == 0.0
    assert "uncertainty" not in coupled.records


@pytest.mark.parametrize("method", ["mp2", "ccsd"])
@pytest.mark.parametrize(("name", "unpaired"), [("H3", 1), ("H4", 0), ("H4", 2), ("LiH", 0), ("OH", 1)])
def test_forces_are_the_negative_gradient(method, name, unpaired):
    atoms, cache = CLUSTERS[name], IntegralCache("6-31g", 1e9)
    answer = METHODS[method](problem([atoms], [unpaired], gradient=True), cache)
    direction, step = np.random.default_rng(0).standard_normal((len(atoms), 3)), 0.002
    moved = [ase.Atoms(atoms.symbols, atoms.positions + places * step * Bohr * direction) for places in (-2, -1, 1, 2)]
    energies = METHODS[method](problem(moved, [unpaired]), cache).energies
    slope = energies @ [1.0, -8.0, 8.0, -1.0] / (12 * step)
    assert np.sum(answer.gradients[0] * direction) == pytest.approx(slope, abs=1e-6)
    assert answer.gradients[0].sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-7)


def test_triples_have_no_analytic_forces():
    batch = ClusterBatch.from_atoms([H4[:3]])
    source = load_source("pyscf:ccsd(t)/6-31g?spin=low")
    with pytest.raises(InputError, match=r"ccsd\(t\) has no analytic forces; use forces=numerical"):
        source.evaluate(batch, forces=True)
    with pytest.raises(InputError, match=r"ccsd\(t\)/6-31g\?spin=low gives energies only; use forces=numerical"):
        decompose(H4[:3], "pyscf:ccsd(t)/6-31g?spin=low", forces=True)
    answer = correlated.ccsd_t(problem([H4[:3]], [1], gradient=True), IntegralCache("6-31g", 1e9))
    assert answer.messages == {0: "ccsd(t) has no analytic forces; use forces=numerical"}
    assert np.isnan(answer.energies).all()


def test_integrals_are_not_evaluated_again(monkeypatch):
    cache = IntegralCache("6-31g", 1e9)
    asked = problem([H4], [2])
    expected = correlated.ccsd_t(asked, cache).energies
    evaluate = gto.Mole.intor

    def only_few(mol, name, *args, **keywords):
        assert not name.startswith("int2e"), name
        return evaluate(mol, name, *args, **keywords)

    monkeypatch.setattr(gto.Mole, "intor", only_few)
    for function in METHODS.values():
        assert np.isfinite(function(asked, cache).energies).all()
    assert correlated.ccsd_t(asked, cache).energies == pytest.approx(expected, abs=1e-10)


def test_amplitudes_that_do_not_converge_are_reported(monkeypatch):
    monkeypatch.setattr(coupled_cluster, "ATTEMPTS", ((0.0, 6, 2), (0.3, 6, 3)))
    answer = correlated.ccsd(problem([H4], [0, 2]), IntegralCache("6-31g", 1e9))
    assert np.isnan(answer.energies).all()
    assert "multiplicity" not in answer.records
    assert answer.messages[0].startswith(
        "coupled clusters must converge, those of the state with 2S+1 = 1 do not in 5 steps with level shifts up to 0.3"
    )


def test_amplitudes_of_stretched_clusters_converge():
    rng, structures = np.random.default_rng(1), []
    while len(structures) < 3:
        positions = rng.uniform(-2.2, 2.2, (5, 3))
        if np.linalg.norm(positions[:, None] - positions, axis=2)[np.triu_indices(5, 1)].min() > 0.8:
            structures.append(ase.Atoms("H5", positions))
    answer = correlated.ccsd(problem(structures, [1, 3]), IntegralCache("6-31g", 1e9))
    assert not answer.messages
    exact = load_source("pyscf:fci/6-31g?spin=ground").energies(ClusterBatch.from_atoms(structures)) / Hartree
    assert answer.energies == pytest.approx(exact, abs=0.02)


def test_amplitudes_are_tried_again(monkeypatch):
    expected = correlated.ccsd(problem([H4], [0]), IntegralCache("6-31g", 1e9)).energies
    monkeypatch.setattr(coupled_cluster, "ATTEMPTS", ((0.0, 6, 2), *coupled_cluster.ATTEMPTS[1:]))
    answer = correlated.ccsd(problem([H4], [0]), IntegralCache("6-31g", 1e9))
    assert answer.energies == pytest.approx(expected, abs=1e-8)


def test_a_mean_field_that_does_not_converge_is_reported(monkeypatch):
    monkeypatch.setattr(reference, "STEPS", 0)
    answer = correlated.mp2(problem([H4], [0]), IntegralCache("6-31g", 1e9))
    assert "the mean field of the state with 2S+1 = 1 must converge" in answer.messages[0]
    assert np.isnan(answer.energies).all()


def test_a_response_that_does_not_converge_is_reported(monkeypatch):
    monkeypatch.setattr(response, "STEPS", 0.0)
    answer = correlated.mp2(problem([H4], [0], gradient=True), IntegralCache("6-31g", 1e9))
    assert "the response of the orbitals must converge" in answer.messages[0]
    assert np.isnan(answer.gradients).all()
    assert np.isnan(answer.energies).all()


def test_size_consistency():
    pair = ase.Atoms("H4", [[0, 0, 0], [0, 0, 0.74], [30, 0, 0], [30, 0, 0.8]])
    for method in METHODS:
        source = load_source(f"pyscf:{method}/6-31g?spin=low")
        parts = source.energies(ClusterBatch.from_atoms([pair[:2], pair[2:]])).sum()
        assert source.energies(ClusterBatch.from_atoms([pair]))[0] == pytest.approx(parts, abs=1e-7 * Hartree)


@pytest.mark.parametrize("method", ["ccsd", "ccsd(t)"])
@pytest.mark.parametrize("distance", [0.74, 1.997, 3.3, 4.6, 20.0, 60.0])
def test_two_electrons_are_exact_at_every_distance(method, distance):
    """From a determinant that mixes spins the amplitudes of stretched H2 lead to the triplet, or nowhere."""
    batch = ClusterBatch.from_atoms([ase.Atoms("H2", positions=[[0, 0, 0], [0, 0, distance]])])
    found, exact = (load_source(f"pyscf:{name}/6-31g?spin=ground").evaluate(batch, False) for name in (method, "fci"))
    assert found.messages == {}
    assert found.energies[0] == pytest.approx(exact.energies[0], abs=2e-6)


@pytest.mark.parametrize("distance", [0.74, 1.2, 1.5, 3.3, 30.0])
def test_forces_of_two_electrons_are_exact_at_every_distance(distance):
    """Where the mean field breaks its symmetry the amplitudes belong to orbitals that are no mean field."""
    atoms = [
        ase.Atoms("H2", positions=[[0.1, 0, 0], [0, 0, distance]]),
        ase.Atoms("H2", [[0, 0, 0], [0, distance, 0.2]]),
    ]
    found, exact = (
        load_source(f"pyscf:{name}/6-31g?spin=low").energies_and_forces(ClusterBatch.from_atoms(atoms))
        for name in ("ccsd", "fci")
    )
    np.testing.assert_allclose(found[0], exact[0], atol=1e-6)
    np.testing.assert_allclose(found[1], exact[1], atol=1e-6)


@pytest.mark.parametrize("density", [low_density, high_density])
def test_coupled_clusters_never_lie_above_their_mean_field(density):
    """Every sub-cluster of up to four atoms of a cluster: below UHF, and never a state far above FCI unnoticed."""
    cluster = density(5, 1, seed=1)
    results = [
        decompose(cluster, f"pyscf:{method}/sto-6g?spin=ground", max_order=4, subsets=True)
        for method in ("ccsd", "uhf", "fci")
    ]
    coupled, field, exact = (result.subsets.subset_energy.values for result in results)
    assert np.isfinite(coupled).all()
    assert (coupled <= field + 1e-5).all()
    pairs = results[0].subsets.subset_order.values <= 2
    np.testing.assert_allclose(coupled[pairs], exact[pairs], atol=2e-6)


def test_correlation_of_spins_that_cannot_be_the_lowest_is_not_needed():
    """Oxygen beside a distant water, whose mean fields of many parallel spins do not converge: the triplet of PySCF."""
    water = [[9.9, 0, 0], [10.5, 0.76, 0], [10.5, -0.76, 0]]
    atoms = ase.Atoms("O2OH2", positions=[[0, 0, 0], [0, 0, 1.21], *water])
    found = load_source("pyscf:mp2/6-31g?spin=ground").evaluate(ClusterBatch.from_atoms([atoms]), False)
    assert not found.messages
    assert found.records["multiplicity"].tolist() == [3.0]
    mol = gto.M(atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis="6-31g", spin=2, verbose=0)
    expected = mp.UMP2(scf.UHF(mol).run(conv_tol=1e-11)).run().e_tot
    assert found.energies[0] / Hartree == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", [mp.UMP2, cc.UCCSD])
@pytest.mark.parametrize(("symbols", "distance"), [("O2", 1.21), ("C2", 1.24), ("N2", 1.6), ("BN", 1.3)])
def test_parallel_electrons_gain_no_correlation_that_counts(symbols, distance, method):
    """Why a mean field far above the lowest, of more unpaired electrons, need not be correlated."""
    spins = [0, 2, 4]
    asked = problem([ase.Atoms(symbols, positions=[[0, 0, 0], [0, 0, distance]])], spins)
    cache = IntegralCache("6-31g", 1e9)
    fields = [lowest_fields(asked, cache, spins=[unpaired])[0] for unpaired in spins]
    solved = [method(field).set(max_cycle=200).run() for field in fields]
    assert all(getattr(one, "converged", True) for one in solved)
    correlation = [one.e_corr for one in solved]
    assert np.diff(correlation).min() > -ABOVE / 10
