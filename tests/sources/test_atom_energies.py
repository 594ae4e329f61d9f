"""Energies of atoms, as sources share them out: their sum, closed forms, and what ASE, mace and metatomic say themselves."""

import pickle
import warnings

import ase
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential
from mace_models import calculator_of, pieces, save_model, source_of
from metatomic_ase import MetatomicCalculator

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources import analytic
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.source_calculator import SourceCalculator
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

METALS = [analytic.SuttonChen(epsilon=0.1, a=1.0, c=8.0, n=7, m=6, cutoff=cutoff) for cutoff in (None, 2.5)]
ANALYTIC = [
    analytic.LennardJones(epsilon=0.1, sigma=0.9), analytic.Morse(cutoff=2.0), analytic.AxilrodTeller(nu=0.3),
    analytic.AxilrodTeller(nu=0.3, epsilon=0.1, sigma=0.9, cutoff=2.5), *METALS,
]  # fmt: skip


def check_sums(source, batch):
    """Energies of atoms add up to the energies, which are those that come without, and forces do not change."""
    energies, forces = source.energies_and_forces(batch)
    for found in (source.evaluate_atoms(batch, False), source.evaluate_atoms(batch, True)):
        assert not found.messages
        assert found.atom_energies.shape == batch.numbers.shape
        assert found.atom_energies.dtype == np.float64
        np.testing.assert_allclose(found.atom_energies.sum(axis=1), energies, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(found.energies, energies, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.forces, forces, rtol=1e-12, atol=1e-12)
    return found.atom_energies


def check_follow(source, batch):
    """An atom keeps its energy when it comes at another place in the list."""
    order = np.random.default_rng(0).permutation(batch.n_atoms)
    moved = ClusterBatch.from_atoms([batch.to_atoms(row)[order] for row in range(len(batch))])
    wanted = source.evaluate_atoms(batch, False).atom_energies[:, order]
    np.testing.assert_allclose(source.evaluate_atoms(moved, False).atom_energies, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("source", ANALYTIC, ids=lambda source: source.name)
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_energies_in_closed_form_are_shared_out(source, k):
    batch = pieces(20, k, elements=(1,), spacing=1.1)
    check_sums(source, batch)
    check_follow(source, batch)


def test_both_atoms_of_a_pair_have_half_of_it():
    source, batch = ANALYTIC[0], pieces(10, 5, elements=(1,), spacing=1.1)
    shares = source.evaluate_atoms(batch, False).atom_energies
    for row, atom in np.ndindex(shares.shape):
        others = [other for other in range(5) if other != atom]
        pairs = ClusterBatch.from_atoms([batch.to_atoms(row)[[atom, other]] for other in others])
        assert shares[row, atom] == pytest.approx(source.energies(pairs).sum() / 2, rel=1e-12)


def test_each_atom_of_a_triple_has_a_third_of_it():
    source, batch = analytic.AxilrodTeller(nu=0.3), pieces(6, 5, elements=(1,), spacing=1.1)
    shares = source.evaluate_atoms(batch, False).atom_energies
    for row, atom in np.ndindex(shares.shape):
        rest = np.array([other for other in range(5) if other != atom])
        one, other = np.triu_indices(4, 1)
        others = np.stack([rest[one], rest[other]], axis=1)
        triples = ClusterBatch.from_atoms([batch.to_atoms(row)[[atom, *pair]] for pair in others])
        assert shares[row, atom] == pytest.approx(source.energies(triples).sum() / 3, rel=1e-11, abs=1e-14)


def test_an_atom_of_a_metal_has_its_own_embedding():
    source, batch = METALS[0], pieces(6, 4, elements=(1,), spacing=1.1)
    distances = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=3)
    inverse = source.a / np.where(distances > 0, distances, np.inf)
    wanted = source.epsilon * (
        (inverse**source.n).sum(axis=2) / 2 - source.c * np.sqrt((inverse**source.m).sum(axis=2))
    )
    np.testing.assert_allclose(source.evaluate_atoms(batch, False).atom_energies, wanted, rtol=1e-12)


def test_atoms_on_top_of_each_other_fail_where_they_stand():
    batch = pieces(5, 2, elements=(1,))
    batch.positions[3, 1] = batch.positions[3, 0]
    found = ANALYTIC[0].evaluate_atoms(batch, False)
    assert list(found.messages) == [3]
    assert np.isnan(found.atom_energies[3]).all()
    assert np.isfinite(found.atom_energies[[0, 1, 2, 4]]).all()


CALCULATORS = {
    "lj": (LennardJones(epsilon=0.1, sigma=1.0, rc=4.0, smooth=True), 4.0, (1,)),
    "emt": (EMT(), 7.0, (13, 29)),
    "morse": (MorsePotential(r0=1.0, epsilon=2.0, rcut1=2.0, rcut2=3.5), 3.5, (1,)),
}


@pytest.mark.parametrize("name", CALCULATORS)
@pytest.mark.parametrize("together", [False, True])
def test_ase_calculators_give_theirs_one_by_one_and_together(name, together):
    calculator, cutoff, elements = CALCULATORS[name]
    source = CalculatorSource(calculator, cutoff=cutoff if together else None)
    batch = pieces(12, 4, elements=elements, spacing=2.4 if name == "emt" else 1.1)
    shares = check_sums(source, batch)
    assert not together or not source._apart._useless
    for row in range(len(batch)):
        atoms = batch.to_atoms(row)
        atoms.calc = calculator
        np.testing.assert_allclose(shares[row], atoms.get_potential_energies(), rtol=0, atol=1e-11)
    check_follow(source, batch)


class Shared(Calculator):
    """Energies of atoms that are wrong in one way or another, and fail where x is negative."""

    implemented_properties = ("energy", "energies")

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if self.atoms.positions[0, 0] < 0:
            raise ArithmeticError("no convergence")
        energies = np.arange(1.0, len(self.atoms) + 1)
        shares = {"right": energies, "off": energies + 1e-6, "committee": np.full(7, energies.sum())}
        self.results.update(energy=energies.sum(), energies=shares[self.kind])


def test_energies_of_atoms_must_be_the_energy_together():
    batch = ClusterBatch.from_atoms([ase.Atoms("H3", np.eye(3))])
    assert CalculatorSource(Shared("right")).evaluate_atoms(batch, False).atom_energies.tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match=r"add up to its energy, and gives 6.000003 eV for 6 eV; do without them"):
        CalculatorSource(Shared("off")).evaluate_atoms(batch, False)
    with pytest.raises(InputError, match=r"must be one per atom, of shape \(3,\), and are of \(7,\); do without"):
        CalculatorSource(Shared("committee")).evaluate_atoms(batch, False)
    unfair = CalculatorSource(Shared("off"), cutoff=1.0)
    with pytest.raises(InputError, match="add up to its energy"):
        unfair.evaluate_atoms(ClusterBatch.from_atoms([ase.Atoms("H3", np.eye(3))] * 20), False)


def test_calculators_without_energies_of_atoms_say_so():
    class Bare(Shared):
        implemented_properties = ("energy",)

    with pytest.raises(InputError, match="Bare does not give what is asked for: energies"):
        CalculatorSource(Bare("right")).evaluate_atoms(ClusterBatch.from_atoms([ase.Atoms("H")]), False)


def test_failures_stay_with_their_cluster():
    good, bad = ase.Atoms("H2", np.eye(3)[:2]), ase.Atoms("H2", -np.eye(3)[:2])
    found = CalculatorSource(Shared("right")).evaluate_atoms(ClusterBatch.from_atoms([good, bad, good]), False)
    assert found.messages == {1: "ArithmeticError: no convergence"}
    np.testing.assert_array_equal(found.atom_energies, [[1, 2], [np.nan] * 2, [1, 2]])


def test_a_source_is_a_calculator_with_energies_of_atoms():
    (atoms,) = [ase.Atoms("H3", 1.1 * np.eye(3))]
    source = ANALYTIC[0]
    atoms.calc = SourceCalculator(source)
    wanted = source.evaluate_atoms(ClusterBatch.from_atoms([atoms]), False).atom_energies[0]
    np.testing.assert_allclose(atoms.get_potential_energies(), wanted)
    back = CalculatorSource(SourceCalculator(source)).evaluate_atoms(ClusterBatch.from_atoms([atoms]), True)
    np.testing.assert_allclose(back.atom_energies, [wanted])
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(ComputationError, match="failed: atoms too close"):
        atoms.get_potential_energies()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_mace_gives_what_its_own_calculator_gives(tmp_path, k):
    path = save_model(tmp_path / "a.model")
    source, batch = source_of(path), pieces(8, k)
    shares = check_sums(source, batch)
    alone = source.energies(ClusterBatch.from_atoms([ase.Atoms([number]) for number in (1, 6, 8)]))
    bottom = dict(zip((1, 6, 8), -13.6057 * np.arange(1.0, 4.0) ** 2, strict=True))
    assert np.ptp(alone - list(bottom.values())) < 1e-10  # each has its baseline, and a shift that is the same for all
    with calculator_of(path) as calculator:
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            calculator.calculate(atoms)
            wanted = calculator.results["node_energy"] + [bottom[number] for number in batch.numbers[row].tolist()]
            np.testing.assert_allclose(shares[row], wanted, rtol=0, atol=1e-10)
    check_follow(source, batch)


@pytest.mark.parametrize("name", ["soap-bpnn", "pet", "mace"])
def test_metatomic_models_give_what_its_own_calculator_gives(networks, name):
    path = networks[name]
    source, batch = load_source(f"metatomic:{path}"), pieces(8, 4)
    shares = check_sums(source, batch)
    with warnings.catch_warnings(), torch.jit.optimized_execution(False):
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
        folder = path.parent / "extensions"
        calculator = MetatomicCalculator(
            path, extensions_directory=folder, device="cpu", do_gradients_with_energy=False
        )
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            atoms.calc = calculator
            np.testing.assert_allclose(shares[row], atoms.get_potential_energies(), rtol=0, atol=1e-11)
    check_follow(source, batch)
    found = pickle.loads(pickle.dumps(source)).evaluate_atoms(batch, False)
    np.testing.assert_allclose(found.atom_energies, shares, rtol=0, atol=1e-12)


def test_a_model_that_takes_positions_gives_energies_of_atoms_too(models, tmp_path):
    path = models.export_closed_form(tmp_path / "m.pt", models.PairSum(0.0, 0.0, True), claimed_range=float("inf"))
    source, batch = load_source(f"metatomic:{path}"), pieces(7, 4, elements=(1,))
    assert source.cutoff is None
    shares = check_sums(source, batch)
    distances = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=3)
    wanted = 0.5 / np.where(distances > 0, distances, np.inf)
    np.testing.assert_allclose(shares, wanted.sum(axis=2), rtol=1e-12)


def test_models_without_energies_of_atoms_say_so(models, tmp_path):
    path = models.export_closed_form(
        tmp_path / "m.pt", models.PairSum(2.5, 3.0, True), claimed_range=3.0, kind="system"
    )
    source = load_source(f"metatomic:{path}")
    with pytest.raises(InputError, match=r"m\.pt must give atom_energies, and does not; it has none that add up"):
        source.evaluate_atoms(pieces(2, 3, elements=(1,)), False)
