"""Forces by differences of energies against analytic ones."""

from dataclasses import replace

import ase
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import cc, gto, scf
from pyscf.cc import ccsd_t_lambda
from pyscf.grad import ccsd_t

from bodyorder._checks import InputError
from bodyorder.sources.pyscf import correlated, differences, fci
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field import evaluate as uhf
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

H4 = ase.Atoms("H4", [[0, 0, 0], [0.9, 0.1, 0], [0.4, 0.8, 0.3], [0.1, 0.4, 1.1]])
LIH = ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]])


def problem(structures, spins):
    return Problem(ClusterBatch.from_atoms(structures), spins, True, 1e9)


@pytest.mark.parametrize(
    ("function", "basis", "structures", "spins"),
    [
        (fci.evaluate, "sto-6g", [H4, H4[[2, 0, 3, 1]]], [0, 2, 4]),
        (fci.evaluate, "sto-6g", [LIH], [0, 2]),
        (uhf, "6-31g", [H4[:3], H4[1:]], [1]),
        (correlated.mp2, "6-31g", [H4], [0]),
        (correlated.ccsd, "sto-6g", [H4[:3]], [1]),
    ],
)
def test_analytic_forces_are_the_same(function, basis, structures, spins):
    asked, cache = problem(structures, spins), IntegralCache(basis, 1e9)
    analytic, numerical = function(asked, cache), differences.gradients(function, asked, cache)
    assert not numerical.messages
    assert numerical.energies == pytest.approx(analytic.energies, abs=1e-9)
    assert numerical.gradients == pytest.approx(analytic.gradients, abs=2e-6)
    assert numerical.records["multiplicity"].tolist() == analytic.records["multiplicity"].tolist()


def test_triples_against_the_closed_shell_gradient_of_pyscf():
    atoms = ase.Atoms("He2", [[0, 0, 0], [0.3, 0.2, 1.1]])
    with without_checkpoints():
        sites = list(zip(atoms.symbols, atoms.positions / Bohr, strict=True))
        mol = gto.M(atom=sites, unit="Bohr", basis="6-31g", verbose=0)
        solver = cc.CCSD(scf.RHF(mol).set(conv_tol=1e-13).run()).set(conv_tol=1e-11, conv_tol_normt=1e-9).run()
        eris = solver.ao2mo()
        _, l1, l2 = ccsd_t_lambda.kernel(solver, eris, solver.t1, solver.t2, verbose=0)
        expected = ccsd_t.Gradients(solver).kernel(solver.t1, solver.t2, l1, l2, eris=eris)
    source = load_source("pyscf:ccsd(t)/6-31g?spin=low&forces=numerical")
    _, forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))
    assert forces[0] == pytest.approx(-expected * Hartree / Bohr, abs=1e-5)


def test_nuclei_that_nearly_meet():
    asked = problem([ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.06]])], [0, 2])
    cache = IntegralCache("sto-6g", 1e9)
    numerical = differences.gradients(fci.evaluate, asked, cache).gradients
    assert numerical == pytest.approx(fci.evaluate(asked, cache).gradients, abs=1e-6)


def test_atoms_alone_feel_nothing():
    source = load_source("pyscf:ccsd(t)/6-31g?spin=low&forces=numerical")
    _, forces = source.energies_and_forces(ClusterBatch.from_atoms([ase.Atoms("H"), ase.Atoms("Li")]))
    assert forces == pytest.approx(np.zeros((2, 1, 3)), abs=1e-12)


def test_every_place_is_computed_in_the_spin_of_the_middle():
    # singlet and triplet nearly cross here
    structures, spins, sizes = [ase.Atoms("H2", [[0, 0, 0], [0, 0, 4.5]]), H4[:2]], [], []

    def watched(asked, cache):
        spins.append(asked.spins)
        sizes.append(len(asked.batch))
        assert not asked.gradient
        return fci.evaluate(asked, cache)

    asked, cache = problem(structures, [0, 2]), IntegralCache("sto-6g", 1e9)
    numerical = differences.gradients(watched, asked, cache)
    assert spins == [[0, 2], [0]]
    assert sizes == [2, 24]  # one atom of each pair, three directions, four places, all at once
    assert numerical.gradients == pytest.approx(fci.evaluate(asked, cache).gradients, abs=1e-6)


def test_charges_stay():
    batch = replace(ClusterBatch.from_atoms([H4[:3]]), charges=np.array([1]))
    asked, cache = Problem(batch, [0], True, 1e9), IntegralCache("6-31g", 1e9)
    numerical = differences.gradients(fci.evaluate, asked, cache)
    assert numerical.gradients == pytest.approx(fci.evaluate(asked, cache).gradients, abs=1e-6)


def test_little_memory_makes_small_batches():
    sizes = []

    def watched(asked, cache):
        sizes.append(len(asked.batch))
        return fci.evaluate(asked, cache)

    asked, cache = problem([H4[:3]], [1]), IntegralCache("sto-6g", 1e9)
    whole = differences.gradients(fci.evaluate, asked, cache)
    parts = differences.gradients(watched, replace(asked, memory=5 * 40.0 * 3**4), cache)
    assert max(sizes) == 5
    assert sum(sizes) >= 1 + 24
    assert parts.gradients == pytest.approx(whole.gradients, abs=1e-7)


def test_states_that_cross_are_reported():
    def jumping(asked, cache):
        answer = fci.evaluate(asked, cache)
        answer.energies[asked.batch.positions[:, 0, 0] > 2e-4] += 1e-5
        return answer

    asked = problem([H4[:3], H4[:3] * (1, 1, 1)], [1])
    asked.batch.positions[1] += [-1.0, 0.0, 0.0]
    answer = differences.gradients(jumping, asked, IntegralCache("sto-6g", 1e9))
    assert list(answer.messages) == [0]
    assert answer.messages[0].startswith("energies must lie on one smooth curve for forces=numerical")
    assert np.isnan(answer.energies[0])
    assert np.isnan(answer.gradients[0]).all()
    assert np.isfinite(answer.gradients[1]).all()


def test_a_place_that_fails_is_reported():
    def failing(asked, cache):
        answer = fci.evaluate(asked, cache)
        for row in np.flatnonzero(asked.batch.positions[:, 1, 2] > 0.003):
            answer.energies[row], answer.messages[int(row)] = np.nan, "it did not converge"
        return answer

    answer = differences.gradients(failing, problem([H4[:2]], [0]), IntegralCache("sto-6g", 1e9))
    assert np.isfinite(answer.energies).all()  # the last atom stays in place
    answer = differences.gradients(failing, problem([H4[:3]], [1]), IntegralCache("sto-6g", 1e9))
    assert answer.messages == {0: "displaced for its forces: it did not converge"}
    assert np.isnan(answer.energies).all()


def test_what_the_middle_cannot_do_is_not_differentiated():
    def failing(asked, cache):
        answer = fci.evaluate(asked, cache)
        assert len(asked.batch) == 2
        answer.energies[:], answer.messages = np.nan, {0: "no", 1: "no"}
        return answer

    answer = differences.gradients(failing, problem([H4[:3], H4[1:]], [1]), IntegralCache("sto-6g", 1e9))
    assert answer.messages == {0: "no", 1: "no"}
    assert np.isnan(answer.gradients).all()


def test_forces_must_be_analytic_or_numerical():
    with pytest.raises(InputError, match="`forces` must be one of analytic, numerical, got 'numeric'; did you mean"):
        load_source("pyscf:mp2/sto-3g?spin=low&forces=numeric")
