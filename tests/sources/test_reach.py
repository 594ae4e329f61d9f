"""Claimed cutoffs, tried out on pairs of sub-clusters just beyond them."""

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.units import Hartree

from bodyorder._checks import InputError
from bodyorder.sources import analytic
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.cutoff import check_cutoff
from bodyorder.sources.protocol import Precision
from bodyorder.sources.spacing import at_distance
from bodyorder.structures.clusters import ClusterBatch, System

COPPER = bulk("Cu", cubic=True) * (2, 2, 2)
CRYSTAL, ARGON = bulk("Ar", a=5.3, cubic=True) * (3, 3, 3), {"epsilon": 0.0103, "sigma": 3.4, "rc": 9.0, "smooth": True}
MESSAGE = (
    r"^the cutoff of ase:.* must be the distance beyond which parts do not feel each other at all, and {} Å is not: of two "
    r"sub-clusters {} Å apart, .* and .*, the energy differs by .* eV from that of both alone; give a larger one, or leave it "
    r"out$"
)


def pieces(k, n=3, atoms=COPPER, seed=0):
    """Some atoms of a structure with those nearest to them."""
    system = System.from_atoms(atoms)
    rng = np.random.default_rng(seed)
    members = [
        np.argsort(np.linalg.norm(system.positions - system.positions[home], axis=1))[:k]
        for home in rng.choice(len(system), n, replace=False)
    ]
    return ClusterBatch.cut({0: system}, np.zeros(n), np.array(members))


class Placed(LennardJones):
    """Keeps positions in float32 and does not say so."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        rounded = atoms.copy()
        rounded.positions[:] = atoms.positions.astype(np.float32)
        super().calculate(rounded, properties, ["positions", "numbers", "cell", "pbc"])


class Added(LennardJones):
    """Adds up energies in float32 and does not say so."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        self.results["energy"] = float(np.float32(1000.1 * len(atoms) + self.results["energy"]))


class Absolute(LennardJones):
    """Two thousand eV an atom in float32: the energy is a multiple of 1e-3 eV, of parts of it of 1e-4 eV."""

    unit = 1.0

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        whole = (self.results["energy"] - 2000.123 * len(atoms)) / self.unit
        self.results["energy"] = float(np.float32(whole)) * self.unit


class InHartree(Absolute):
    unit = Hartree


class AtomByAtom(Absolute):
    """The same added up one atom after the other, which rounds constants in a way that depends on how many there are."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        shares = (self.results["energies"] - 2000.123).astype(np.float32)
        self.results["energy"] = float(np.cumsum(shares)[-1])


class Fails(LennardJones):
    """Does not converge for more than some atoms."""

    most = 0

    def calculate(self, atoms=None, properties=None, system_changes=()):
        if len(atoms) > self.most:
            raise ArithmeticError("no convergence")
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class Coulomb(Calculator):
    """Charges in vacuum, without end."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        charges, distances = (
            atoms.get_initial_charges(),
            atoms.get_all_distances() + np.diag(np.full(len(atoms), np.inf)),
        )
        self.results["energy"] = float((charges[:, None] * charges / distances).sum() / 2)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_a_cutoff_that_is_too_short_is_refused_and_one_that_is_not_is_not(k):
    with pytest.raises(InputError, match=MESSAGE.format("3", "3.01")):
        check_cutoff(CalculatorSource(EMT(), cutoff=3.0), pieces(k))
    check_cutoff(CalculatorSource(EMT(), cutoff=6.5), pieces(k))
    check_cutoff(CalculatorSource(EMT(), cutoff=6.5), pieces(k, n=1))


def test_the_misfit_is_said():
    calculator = LennardJones(epsilon=0.1, sigma=3.0, rc=8.0, smooth=True)
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [5.01, 0, 0]], calculator=calculator)
    with pytest.raises(InputError, match=f"differs by {abs(dimer.get_potential_energy()):.1e} eV"):
        check_cutoff(CalculatorSource(calculator, cutoff=5.0), pieces(1))
    check_cutoff(CalculatorSource(calculator, cutoff=8.0), pieces(3))


def test_what_a_precision_allows_is_rounding():
    source = CalculatorSource(LennardJones(epsilon=1e-5, sigma=3.0, rc=8.0), cutoff=7.0)
    with pytest.raises(InputError, match="and 7 Å is not"):
        check_cutoff(source, pieces(2))
    source.precision = Precision(absolute=1e-6)
    check_cutoff(source, pieces(2))


@pytest.mark.parametrize("kind", [Placed, Added])
def test_rounding_that_is_not_claimed_is_not_taken_for_reach(kind):
    calculator = kind(epsilon=0.1, sigma=3.0, rc=8.0, smooth=True)
    for k in (1, 2, 3):
        check_cutoff(CalculatorSource(calculator, cutoff=8.0), pieces(k))
    with pytest.raises(InputError, match="and 4 Å is not"):
        check_cutoff(CalculatorSource(calculator, cutoff=4.0), pieces(3))


@pytest.mark.parametrize(("kind", "wrong"), [(Absolute, (3.5, 6.0)), (InHartree, (6.0,)), (AtomByAtom, (3.5, 5.0))])
@pytest.mark.parametrize(("k", "seed"), [(2, 0), (3, 1), (5, 2)])
def test_a_cutoff_is_held_to_what_it_says_where_energies_of_thousands_of_ev_are_rounded(kind, wrong, k, seed):
    """At 6 Å the pairs of two parts that are left out are 1e-3 eV together, one digit of their energy."""
    calculator, batch = kind(**ARGON), pieces(k, atoms=CRYSTAL, seed=seed)
    for cutoff in wrong:
        with pytest.raises(InputError, match=f"and {cutoff:g} Å is not"):
            check_cutoff(CalculatorSource(calculator, cutoff=cutoff), batch)
    check_cutoff(CalculatorSource(calculator, cutoff=9.0), batch)


def test_what_shows_on_average_only_is_said():
    calculator, batch = Absolute(**ARGON), pieces(2, atoms=CRYSTAL)
    with pytest.raises(InputError, match=r"differs by .* eV on average from that of both 50 Å farther apart; give a"):
        check_cutoff(CalculatorSource(calculator, cutoff=6.5), batch)
    check_cutoff(CalculatorSource(calculator, cutoff=6.5, precision=Precision(absolute=1e-3)), batch)


def test_failures_are_no_evidence():
    for most in (0, 3):  # of parts, and of pairs
        calculator = Fails(epsilon=0.1, sigma=3.0, rc=8.0)
        calculator.most = most
        check_cutoff(CalculatorSource(calculator, cutoff=4.0), pieces(3))
    calculator.most = 6
    with pytest.raises(InputError, match="and 4 Å is not"):
        check_cutoff(CalculatorSource(calculator, cutoff=4.0), pieces(3))


def test_pairs_of_failures_and_others_leave_the_others():
    atoms = COPPER.copy()
    atoms.numbers[::4] = 26  # EMT does not know iron
    batch = pieces(1, n=8, atoms=atoms)
    assert 0 < (batch.numbers == 26).sum() < 6
    check_cutoff(CalculatorSource(EMT(), cutoff=6.5), batch)
    with pytest.raises(InputError, match="and 3 Å is not"):
        check_cutoff(CalculatorSource(EMT(), cutoff=3.0), batch)


def test_charged_sub_clusters_are_looked_at_where_the_source_takes_them():
    atoms = COPPER.copy()
    atoms.set_initial_charges(np.ones(len(atoms)))
    check_cutoff(CalculatorSource(EMT(), cutoff=3.0), pieces(2, atoms=atoms))
    with pytest.raises(InputError, match="and 5 Å is not"):
        check_cutoff(CalculatorSource(Coulomb(), cutoff=5.0, charged=True), pieces(2, atoms=atoms))
    check_cutoff(CalculatorSource(Coulomb(), cutoff=5.0, charged=True), pieces(2))


def test_nothing_to_check():
    check_cutoff(CalculatorSource(EMT()), pieces(2))
    check_cutoff(CalculatorSource(EMT(), cutoff=3.0), pieces(2).select(np.zeros(0, dtype=np.int64)))


def test_calculators_whose_cutoff_was_given_say_that_it_is_a_claim():
    assert CalculatorSource(EMT(), cutoff=6.0).capabilities.unproven_cutoff
    assert not CalculatorSource(EMT()).capabilities.unproven_cutoff
    assert not analytic.Morse(cutoff=6.0).capabilities.unproven_cutoff


def test_both_parts_keep_what_belongs_to_their_atoms():
    one = System(
        np.array([1, 8]), np.zeros((2, 3)) + [[0], [1]], np.array([1.0, -1]), np.array([0.0, 2]), np.array([3, 3])
    )
    both = at_distance(one, one, np.array([0.0, 0, 1]), 4.0)
    np.testing.assert_array_equal(both.numbers, [1, 8, 1, 8])
    np.testing.assert_array_equal(both.charges, [1, -1, 1, -1])
    np.testing.assert_array_equal(both.moments, [0, 2, 0, 2])
    np.testing.assert_array_equal(both.bodies[:2] == both.bodies[2:], False)
    assert len(np.unique(both.bodies)) == 2
