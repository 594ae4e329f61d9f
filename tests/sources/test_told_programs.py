"""Charge and spin told to real programs: tblite, xtbloom, MACE and metatomic, against loops over the bare programs."""

import warnings
from itertools import combinations

import ase
import numpy as np
import pytest
from mace_models import calculator_of, save_model, source_of
from metatomic_ase import MetatomicCalculator
from spin_cases import RULES, SQUARE, pieces_of

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.told import Told
from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch

OZONE = ase.Atoms("O3", [[0, 0, 0], [1.28, 0, 0], [-0.58, 1.14, 0]])
HIGH = {1: 3, 2: 5, 3: 7}  # multiplicities of one, two and three oxygen atoms with parallel spins


def orders(atoms, energy):
    """Order totals in eV by the definition, Σ_{m≤n} (−1)^{n−m} C(N−m, n−m) Σ_{|T|=m} E(T)."""
    from math import comb

    n = len(atoms)
    sums = [sum(energy(atoms[list(chosen)]) for chosen in combinations(range(n), m)) for m in range(1, n + 1)]
    return [sum((-1) ** (k - m) * comb(n - m, k - m) * sums[m - 1] for m in range(1, k + 1)) for k in range(1, n + 1)]


class Xtb:
    """One of the two programs for GFN2-xTB."""

    def __init__(self, package, name):
        self.kind = getattr(pytest.importorskip(f"{package}.ase"), name)
        self.spec = f"ase:{package}.ase.{name}?verbosity=0" if package == "tblite" else f"ase:{package}.ase.{name}"
        self.options = {"verbosity": 0} if package == "tblite" else {}

    def calculator(self, **options):
        return self.kind(**self.options, **options)

    def energy(self, atoms, multiplicity, charge=None):
        """By the bare program, without anything on the atoms."""
        bare = ase.Atoms(atoms.numbers, atoms.positions)
        bare.calc = self.calculator(multiplicity=multiplicity, charge=charge)
        return bare.get_potential_energy()


@pytest.fixture(params=["tblite", "xtbloom"])
def xtb(request):
    return Xtb(*{"tblite": ("tblite", "TBLite"), "xtbloom": ("xtbloom", "XTBloom")}[request.param])


def test_orders_of_oxygen_with_parallel_spins(xtb):
    wanted = orders(OZONE, lambda atoms: xtb.energy(atoms, HIGH[len(atoms)]))
    for source in (
        CalculatorSource(xtb.calculator(), spin="high"),
        load_source(f"{xtb.spec}&spin=high".replace("e.XTBloom&", "e.XTBloom?")),
    ):
        result = decompose(OZONE, source, subsets=True)
        np.testing.assert_allclose(result.contribution.values[0], wanted, atol=1e-8)
        sizes = (result.subsets.subset_members.values >= 0).sum(axis=1)
        assert result.subsets.subset_multiplicity.values.tolist() == [HIGH[size] for size in sizes]


@pytest.mark.parametrize("rule", ["low", "ground", "pattern"])
def test_orders_of_hydrogen_by_each_rule(xtb, rule):
    """Every sub-cluster of a square in the multiplicities that the rule means, by the bare program."""

    def spins(atoms):
        least = 1 + len(atoms) % 2
        chosen = {
            "low": [least],
            "ground": range(least, len(atoms) + 2, 2),
            "pattern": [1 + int(abs(atoms.get_initial_magnetic_moments().sum()))],
        }
        return chosen[rule]

    wanted = orders(SQUARE, lambda atoms: min(xtb.energy(atoms, spin) for spin in spins(atoms)))
    result = decompose(SQUARE, CalculatorSource(xtb.calculator(), spin=rule))
    np.testing.assert_allclose(result.contribution.values[0], wanted, atol=1e-8)


def test_ions_of_a_program(xtb):
    atoms = ase.Atoms("OHHe", [[0, 0, 0], [0.96, 0, 0], [0, 2.2, 0]], charges=[-1, 0, 1])
    bodies = [0, 0, 1]
    result = decompose(atoms, CalculatorSource(xtb.calculator(), charged=True, spin="high"), bodies=bodies)
    parts = [xtb.energy(atoms[:2], 1, -1), xtb.energy(atoms[2:], 2, 1)]
    whole = xtb.energy(atoms, 2, 0)
    np.testing.assert_allclose(result.contribution.values[0], [sum(parts), whole - sum(parts)], atol=1e-8)


def test_a_multiplicity_of_the_program_is_refused(xtb):
    """Held for all sub-clusters, a triplet is the spin of one oxygen atom, and neither that of two nor that of three."""
    message = r"multiplicity=3 of (tblite|xtbloom)\.ase\.\w+ must be left out, it would be the multiplicity of every sub-cluster"
    with pytest.raises(InputError, match=message):
        decompose(OZONE, CalculatorSource(xtb.calculator(multiplicity=3)))
    with pytest.raises(InputError, match=message):
        load_source({"source": xtb.spec, "multiplicity": 3})
    with pytest.raises(InputError, match=r"charge=1 of .* must be left out"):
        CalculatorSource(xtb.calculator(charge=1))
    with pytest.raises(
        InputError, match=r"multiplicity=1 of .* and atoms \[0\] of structure 0 have 1 electrons; choose a spin"
    ):
        CalculatorSource(xtb.calculator(multiplicity=1)).energies(pieces_of(SQUARE, 1))
    pairs = CalculatorSource(xtb.calculator(multiplicity=1)).energies(pieces_of(SQUARE, 2))
    np.testing.assert_allclose(
        pairs, CalculatorSource(xtb.calculator(), spin="low").energies(pieces_of(SQUARE, 2)), atol=1e-9
    )


def test_moments_that_the_electrons_cannot_have(xtb):
    """tblite takes a doublet for a singlet of three electrons without a word."""
    source = CalculatorSource(xtb.calculator())
    for moments, message in (
        (
            [1, -1, 0],
            r"moments must fit the electrons, atoms \[0, 1, 2\] of structure 0 have 3 electrons and moments that add",
        ),
        ([1, 1, 3], "have 3 electrons and moments that add up to 5; change their moments"),
        ([0.5, 0.2, 0], "must add up to whole numbers of unpaired electrons, .* add up to 0.7"),
    ):
        with pytest.raises(InputError, match=message):
            source.energies(ClusterBatch.from_atoms([ase.Atoms("H3", SQUARE.positions[:3], magmoms=moments)]))
    turned = ase.Atoms("H3", SQUARE.positions[:3], magmoms=[-1, -1, -1])
    quartet = source.energies(ClusterBatch.from_atoms([turned]))[0]
    assert quartet == pytest.approx(xtb.energy(turned, 4), abs=1e-8)


def quintet(numbers, positions, charge):
    return 5


def test_a_spin_that_valence_orbitals_cannot_hold_fails(xtb):
    """Four unpaired electrons of the six in the 2s and 2p orbitals of oxygen: tblite computes a cation of five electrons."""
    with pytest.raises(FailedClusters, match=r"must add up to|orbital space"):
        CalculatorSource(xtb.calculator()).energies(ClusterBatch.from_atoms([ase.Atoms("O", magmoms=[4])]))
    source = CalculatorSource(xtb.calculator(), spin=f"{__name__}:quintet", charged=True)
    found = source.evaluate(ClusterBatch.from_atoms([ase.Atoms("O")]), False)
    assert np.isnan(found.energies[0])
    assert np.isnan(found.records["multiplicity"][0])
    assert any(
        part in found.messages[0] for part in ("must add up to +0 and add up to +1: the orbitals of", "orbital space")
    )
    pair = ase.Atoms("O2", OZONE.positions[:2], charges=[0, 0])  # which have a place for them
    assert source.energies(ClusterBatch.from_atoms([pair]))[0] == pytest.approx(xtb.energy(pair, 5), abs=1e-8)


def test_a_program_that_is_told_nothing_does_what_it_did():
    """tblite's own default, the sum of moments or else the lowest, under the fingerprint that it always had."""
    xtb = Xtb("tblite", "TBLite")
    source = CalculatorSource(xtb.calculator())
    assert Told(xtb.calculator()).identity == ""
    assert source.capabilities.context == ("moments",)
    for size in (1, 2, 3, 4):
        batch = pieces_of(ase.Atoms("H4", SQUARE.positions), size)
        found = source.energies(batch)
        for row in range(len(batch)):
            assert found[row] == pytest.approx(xtb.energy(batch.to_atoms(row), None), abs=1e-9)


# ---------------------------------------------------------------------------------------------------------------- models


SPECS = {
    "total_charge": {"type": "categorical", "per": "graph", "num_classes": 7, "offset": 3, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 6, "emb_dim": 4},
}


def charged_batch(size, elements="OHHeHHC"):
    """Sub-clusters of some atoms with charges and moments."""
    atoms = ase.Atoms(elements.replace("He", "O"), 1.3 * np.random.default_rng(3).normal(size=(6, 3)))
    atoms.set_initial_charges([0, 1, 0, 0, -1, 0])
    atoms.set_initial_magnetic_moments([2, 0, -2, 1, 0, 2])
    return pieces_of(atoms, size)


def by_mace(path, batch, spins):
    """The lowest energy of each sub-cluster over its multiplicities, and which it is, by mace's own calculator."""
    energies, lowest = [], []
    with calculator_of(path) as calculator:
        for row, allowed in enumerate(spins):
            found = {}
            for unpaired in allowed:
                atoms = batch.to_atoms(row)
                atoms.info["spin"] = unpaired + 1
                calculator.calculate(atoms)
                found[unpaired + 1] = calculator.results["energy"]
            lowest.append(min(found, key=found.get))
            energies.append(found[lowest[-1]])
    return np.array(energies), lowest


@pytest.mark.parametrize("rule", RULES)
def test_mace_models_are_told_the_spin_of_a_rule(tmp_path, rule):
    """Which spins a rule means is held against what PySCF is asked for in test_told.py."""
    from bodyorder.sources.spin import spin_rule

    path = save_model(tmp_path / "a.model", embedding_specs=SPECS)
    source = source_of(path, charged=True, spin=rule)
    assert source.capabilities.spin == rule
    assert source.capabilities.records == ("multiplicity",)
    assert source.name == f"mace:{path}?charged=True&spin={rule}"
    assert source.fingerprint.partition(" spin=")[2].startswith(rule)
    for size in (1, 2):
        batch = charged_batch(size)
        spins = [[spin for spin in allowed if spin < 5] for allowed in spin_rule(rule).spins(batch)]
        wanted, lowest = by_mace(path, batch, spins)
        found, resolved = source.evaluate(batch, True), source.evaluate_atoms(batch, True)
        np.testing.assert_allclose(found.energies, wanted, rtol=0, atol=1e-10)
        assert found.records["multiplicity"].tolist() == lowest
        np.testing.assert_allclose(resolved.atom_energies.sum(axis=1), wanted, rtol=0, atol=1e-10)
        np.testing.assert_allclose(resolved.forces, found.forces, rtol=0, atol=1e-11)
        with calculator_of(path) as calculator:
            through_ase = CalculatorSource(calculator, charged=True, spin=rule).evaluate(batch, True)
        np.testing.assert_allclose(through_ase.energies, wanted, rtol=0, atol=1e-10)
        np.testing.assert_allclose(through_ase.forces, found.forces, rtol=0, atol=1e-9)


def test_ground_states_are_those_that_a_mace_model_has_a_place_for(tmp_path):
    few = SPECS | {"total_spin": SPECS["total_spin"] | {"num_classes": 3}}
    path = save_model(tmp_path / "a.model", embedding_specs=few)
    source = source_of(path, spin="ground")
    atoms = ase.Atoms("H4", SQUARE.positions)
    batch = pieces_of(atoms, 4)
    wanted, _ = by_mace(path, batch, [[0]])  # multiplicities 3 and 5 have no place
    np.testing.assert_allclose(source.energies(batch), wanted, rtol=0, atol=1e-10)
    with pytest.raises(InputError, match=r"`total_spin` for mace:.*a\.model must be between 0 and 2, got 5"):
        source_of(path, spin="high").energies(batch)


def test_mace_through_ase_must_be_told_a_spin_under_its_own_keys(tmp_path):
    path = save_model(tmp_path / "a.model", embedding_specs=SPECS)
    batch = pieces_of(ase.Atoms("H4", SQUARE.positions), 3)
    wanted, _ = by_mace(path, batch, [[3]] * 4)
    with calculator_of(path) as calculator:
        with pytest.raises(
            InputError, match=r"`spin` must be given for mace\.calculators.mace\.MACECalculator, which takes"
        ):
            CalculatorSource(calculator)
        usual = CalculatorSource(calculator, spin="high")
        calculator.info_keys = {"total_charge": "my_charge", "total_spin": "total_spin"}
        other = CalculatorSource(calculator, spin="high")
        found = other.energies(batch)
        calculator.info_keys = {"total_charge": "charge", "total_spin": "spin"}
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)
    assert usual.fingerprint.endswith(" spin=high spin_key=spin")
    assert other.fingerprint.endswith(" spin=high spin_key=total_spin charge_key=my_charge")


@pytest.mark.parametrize("rule", ["low", "high", "ground"])
def test_metatomic_models_are_told_the_spin_of_a_rule(models, tmp_path, rule):
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("spin_multiplicity", "system"), claimed_range=3.0)
    source = load_source(f"metatomic:{path}?spin={rule}")
    assert (source.cutoff, source.capabilities.spin) == (None, rule)
    calculator = MetatomicCalculator(path, device="cpu")
    through_ase = CalculatorSource(calculator, spin=rule)
    with pytest.raises(InputError, match="`spin` must be given for metatomic_ase"):
        CalculatorSource(calculator)
    for size in (1, 2, 3, 4):
        batch = pieces_of(SQUARE, size)
        spins = {"low": [1 + size % 2], "high": [size + 1], "ground": range(1 + size % 2, size + 2, 2)}[rule]
        wanted = [min(self_energy(batch.positions[row], spin) for spin in spins) for row in range(len(batch))]
        for one in (source, through_ase):
            found = one.evaluate(batch, True)
            np.testing.assert_allclose(found.energies, wanted, rtol=0, atol=1e-12)
            # the least factor of a repulsion is the lowest energy, whatever the spin of one atom
            assert found.records["multiplicity"].tolist() == [min(spins)] * len(batch)


def self_energy(positions, multiplicity):
    """The model in closed form: half the sum of (1 − r/2.5 Å)³ over neighbours, times (1 + 0.3 m)²."""
    apart = np.linalg.norm(positions[:, None] - positions, axis=2) + np.diag(np.full(len(positions), np.inf))
    return 0.5 * (np.clip(1 - apart / 2.5, 0, None) ** 3).sum() * (1 + 0.3 * multiplicity) ** 2


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
        yield
