import itertools
import logging
import pickle
import re
import time

import ase
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.tersoff import Tersoff, TersoffParameters

from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.portions import Portions
from bodyorder.sources.protocol import FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.sources.spacing import side_by_side, spread, structure
from bodyorder.structures.clusters import ClusterBatch

RC = 5.0
#: Silicon: J. Tersoff, Phys. Rev. B 38, 9902 (1988), doi:10.1103/PhysRevB.38.9902.
SILICON = TersoffParameters(
    m=3.0, gamma=1.0, lambda3=1.3258, c=4.8381, d=2.0417, h=0.0, n=22.956, beta=0.33675, lambda2=1.3258, B=95.373,
    R=3.0, D=0.2, lambda1=3.2394, A=3264.7,
)  # fmt: skip


class Recorded(LennardJones):
    """Remembers how many atoms each structure had that it was given."""

    def __init__(self, **kwargs):
        super().__init__(epsilon=0.1, sigma=2.0, rc=RC, **kwargs)
        self.sizes = []

    def calculate(self, atoms=None, properties=None, system_changes=()):
        self.sizes.append(len(atoms))
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class Unfair(Recorded):
    """Its energies of atoms are another quantity."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energies"] = self.results["energies"] * 2


class Committee(Recorded):
    """Its ``energies`` are those of four models."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energies"] = np.full(4, self.results["energy"])


class Promising(Recorded):
    """Says that it has energies of atoms, and has none."""

    def get_property(self, name, atoms=None, allow_calculation=True):
        if name == "energies":
            raise PropertyNotImplementedError("energies")
        return super().get_property(name, atoms, allow_calculation)


class Single(Recorded):
    """Keeps positions in float32."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        rounded = atoms.copy()
        rounded.positions[:] = atoms.positions.astype(np.float32)
        super().calculate(rounded, properties, system_changes)


class Rough(Recorded):
    """Adds up energies in float32."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        energies = self.results["energies"].astype(np.float32)
        self.results.update(energy=energies.sum(), energies=energies * np.float32(1 + 1e-6))


class Absolute(Recorded):
    """Two thousand eV an atom, in float32, with energies of atoms that add up to it as well as that allows."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        energies = (self.results["energies"] - 2000.123).astype(np.float32)
        self.results.update(energy=energies.sum(), energies=energies)


class Periodic(Recorded):
    """Takes periodic structures only."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise ValueError("a cell is needed")
        super().calculate(atoms, properties, system_changes)


class Crowded(Recorded):
    """Has memory for a hundred atoms."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) > 100:
            np.empty(2**58)


class Small(Recorded):
    """Takes ten atoms at most."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) > 10:
            raise ArithmeticError("ten atoms at most")


class Quadratic(Recorded):
    """Takes a time that grows with the square of the number of atoms."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        end = time.process_time() + 1e-4 * len(atoms) ** 2
        while time.process_time() < end:
            pass


class Charged(Calculator):
    """The charge that comes with the structure, shared by its atoms."""

    implemented_properties = ("energy", "energies")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        charge = float(atoms.info["charge"])
        self.results.update(energy=charge, energies=np.full(len(atoms), charge / len(atoms)))


def pieces(n, k, *, elements=("H",), spacing=2.2, seed=0):
    """Distorted pieces of a cubic lattice, somewhere in space."""
    rng = np.random.default_rng(seed)
    lattice = np.array(list(itertools.product(range(3), repeat=3)))
    sites = np.array([rng.permutation(lattice)[:k] for _ in range(n)])
    positions = spacing * (sites + rng.uniform(-0.1, 0.1, (n, k, 3))) + rng.normal(scale=5.0, size=(n, 1, 3))
    return ClusterBatch.from_atoms([ase.Atoms(rng.choice(elements, k), place) for place in positions])


def compare(calculator, cutoff, batch):
    """Largest differences to the loop, in eV and eV/Å."""
    fast, slow = CalculatorSource(calculator, cutoff=cutoff), CalculatorSource(calculator)
    energies, forces = fast.energies_and_forces(batch)
    wanted, slopes = slow.energies_and_forces(batch)
    assert not fast._apart._useless
    np.testing.assert_allclose(fast.energies(batch), energies, rtol=0, atol=1e-12)
    assert np.ptp(wanted) > 0.01 or batch.n_atoms == 1
    return np.abs(energies - wanted).max(), np.abs(forces - slopes).max()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (8, 3), (61, 4), (30, 8)])
def test_clusters_keep_their_distance_in_a_compact_box(n, k):
    batch = pieces(n, k)
    positions, lengths = spread(batch.positions, 3.0)
    inside = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1), inside, atol=1e-12)
    # in a box that repeats itself, where all images are seen
    atoms = ase.Atoms(f"H{n * k}", positions.reshape(-1, 3), cell=lengths, pbc=True)
    between = atoms.get_all_distances(mic=True).reshape(n, k, n, k).transpose(0, 2, 1, 3)
    assert n == 1 or between[~np.eye(n, dtype=bool)].min() > 3.0 - 1e-9
    pitch = np.ptp(batch.positions, axis=1).max(axis=0) + 3.0
    edge = (n * pitch.prod()) ** (1 / 3)
    assert (lengths < edge + 1.5 * pitch).all()
    np.testing.assert_allclose(np.abs(positions).max(axis=(0, 1)), lengths / 2, atol=pitch.max() / 2)


@pytest.mark.parametrize("k", [1, 2, 4, 8])
@pytest.mark.parametrize("smooth", [False, True])
def test_pair_potentials_give_what_they_give_one_by_one(k, smooth):
    calculator = LennardJones(epsilon=0.1, sigma=2.0, rc=RC, smooth=smooth)
    energies, forces = compare(calculator, RC, pieces(64, k))
    assert energies < 1e-10
    assert forces < 1e-10


@pytest.mark.parametrize("asap_cutoff", [False, True])
@pytest.mark.parametrize("k", [1, 3, 6])
def test_many_body_potentials_give_what_they_give_one_by_one(asap_cutoff, k):
    # With asap_cutoff the parameters depend on the elements that a structure holds.
    batch = pieces(96, k, elements=("Au", "Cu", "H"), spacing=2.6)
    energies, forces = compare(EMT(asap_cutoff=asap_cutoff), 6.0, batch)
    assert energies < 1e-10
    assert forces < 1e-10


def test_three_body_potentials_give_what_they_give_one_by_one():
    calculator = Tersoff({("Si", "Si", "Si"): SILICON})
    energies, forces = compare(calculator, 3.2, pieces(24, 4, elements=("Si",), spacing=2.3))
    assert energies < 1e-10
    assert forces < 1e-10


def test_many_sub_clusters_take_one_call():
    calculator = Recorded()
    source = CalculatorSource(calculator, cutoff=RC)
    batch = pieces(64, 4)
    source.energies(batch)
    assert calculator.sizes[0] == 256
    # three of them alone, where they were and where they were put, and in a row
    assert calculator.sizes[1:] == [4] * 6 + [12]
    source.energies(batch)
    assert calculator.sizes[8:] == [256]
    source.energies_and_forces(batch)
    assert calculator.sizes[9:] == [256] + [4] * 6 + [12]
    calculator.sizes.clear()
    source.energies(pieces(7, 4))
    assert calculator.sizes == [4] * 7
    calculator.sizes.clear()
    source.energies(pieces(600, 4))
    assert len(calculator.sizes) == 10
    assert sum(calculator.sizes) == 2400


def test_without_a_cutoff_or_energies_of_atoms_it_is_a_loop():
    calculator = Recorded()
    CalculatorSource(calculator).energies(pieces(10, 2))
    assert calculator.sizes == [2] * 10
    calculator = Recorded()
    calculator.implemented_properties = ["energy", "forces"]
    CalculatorSource(calculator, cutoff=RC).energies(pieces(10, 2))
    assert calculator.sizes == [2] * 10


@pytest.mark.parametrize(("n", "k"), [(2, 1), (3, 4), (3, 12)])
def test_clusters_in_a_row_are_as_near_as_they_may_be(n, k):
    row = side_by_side(pieces(n, k).positions, 2.5)
    for index in range(1, n):
        gaps = np.linalg.norm(row[:index].reshape(-1, 1, 3) - row[index], axis=-1)
        assert gaps.min() == pytest.approx(2.5, abs=1e-12)


def test_a_cutoff_that_fails_only_between_nearest_atoms_is_refused():
    # Boxes a little less than 5 Å apart hold next to no atoms that near.
    with pytest.raises(InputError, match=r"and 4.97 Å is not: set farther apart, a sub-cluster changes by .* eV"):
        CalculatorSource(Recorded(), cutoff=4.97).energies(pieces(20, 6))


@pytest.mark.parametrize("forces", [False, True])
def test_a_cutoff_that_does_not_hold_is_refused(forces):
    source = CalculatorSource(Recorded(), cutoff=2.0)
    message = (
        r"cutoff of ase:.*Recorded must be the distance .*, and 2 Å is not: .* by .* eV; give a larger one, or leave"
    )
    with pytest.raises(InputError, match=message):
        (source.energies_and_forces if forces else source.energies)(pieces(20, 3))


def test_a_cutoff_that_does_not_hold_is_no_rounding_of_large_energies(caplog):
    """Of two sub-clusters 3 Å apart some hundredths of an eV are left out, of 6,000 eV in steps of 5e-4 eV."""
    with pytest.raises(InputError, match=r"cutoff of ase:.*Absolute must be the distance .*, and 3 Å is not"):
        CalculatorSource(Absolute(), cutoff=3.0).energies(pieces(20, 3))
    source, batch = CalculatorSource(Absolute(), cutoff=RC), pieces(20, 3)
    np.testing.assert_allclose(source.energies(batch), CalculatorSource(Absolute()).energies(batch), rtol=0, atol=3e-3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unfair, "its energies of atoms add up to .* eV, its energy is .* eV"),
        (Committee, r"its `energies` must be one per atom, of shape \(60,\), and are of \(4,\)"),
        (Promising, "it does not give what it says it does, energies"),
        (Rough, "it rounds energies by some .* eV"),
        (Single, "it rounds energies by some .* eV, as float32 does, and claims less; an `energy_error` that says so"),
    ],
)
def test_where_it_would_be_wrong_sub_clusters_are_evaluated_one_by_one_and_the_log_says_so(kind, message, caplog):
    calculator = kind()
    source, batch = CalculatorSource(calculator, cutoff=RC), pieces(20, 3)
    wanted, slopes = CalculatorSource(kind()).energies_and_forces(batch)
    for _ in range(2):
        energies, forces = source.energies_and_forces(batch)
        np.testing.assert_array_equal(energies, wanted)
        np.testing.assert_array_equal(forces, slopes)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{source.name} evaluates its sub-clusters one by one, not many at once: ")
    assert re.search(message, record.getMessage())


def test_a_float32_calculator_that_says_so_is_fast_within_its_error(caplog):
    calculator = Single()
    source = CalculatorSource(calculator, cutoff=RC, precision=Precision(absolute=1e-5))
    batch = pieces(80, 3)
    energies = source.energies(batch)
    assert calculator.sizes[0] == 240
    assert not caplog.records
    exact = CalculatorSource(Recorded()).energies(batch)
    assert 1e-10 < np.sqrt(np.mean((energies - exact) ** 2)) < 1e-5


def test_failures_stay_with_their_cluster():
    elements = [["Cu", "Au"], ["Cu", "Fe"], ["Cu", "Au"]] * 10
    batch = ClusterBatch.from_atoms(
        [ase.Atoms(pair, [[0, 0, 0], [2.6, 0, row / 100]]) for row, pair in enumerate(elements)]
    )
    with pytest.raises(FailedClusters, match="No EMT-potential for Fe") as failure:
        CalculatorSource(EMT(), cutoff=6.0).energies(batch)
    assert sorted(failure.value.messages) == list(range(1, 30, 3))
    good = np.setdiff1d(np.arange(30), list(failure.value.messages))
    wanted = CalculatorSource(EMT()).energies(batch.select(good))
    np.testing.assert_allclose(failure.value.energies[good], wanted, rtol=0, atol=1e-12)


def test_what_is_not_finite_stays_with_its_cluster():
    batch = pieces(20, 2)
    batch.positions[7, 1] = batch.positions[7, 0]
    with np.errstate(all="ignore"), pytest.raises(FailedClusters) as failure:
        CalculatorSource(Recorded(), cutoff=RC).energies_and_forces(batch)
    assert failure.value.messages == {7: "the calculator gave an energy or forces that are not finite"}
    assert np.isnan(failure.value.energies).sum() == 1
    assert np.isfinite(failure.value.forces[np.arange(20) != 7]).all()


def test_charged_sub_clusters_stand_alone():
    batch = pieces(20, 2)
    charges = np.where(np.arange(20) % 3, 0, 1)
    charged = ClusterBatch(batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, charges)
    np.testing.assert_array_equal(CalculatorSource(Charged(), cutoff=RC).energies(charged), charges)


def test_calculators_that_need_a_box_get_one():
    calculator, batch = Periodic(), pieces(30, 3)
    with pytest.raises(FailedClusters, match="a cell is needed"):
        CalculatorSource(calculator, cutoff=RC).energies(batch)
    source = CalculatorSource(calculator, cutoff=RC, boxed=True)
    wanted, slopes = CalculatorSource(Recorded()).energies_and_forces(batch)
    for rows in (np.arange(30), np.arange(3)):  # together, and one by one
        energies, forces = source.energies_and_forces(batch.select(rows))
        np.testing.assert_allclose(energies, wanted[rows], rtol=0, atol=1e-12)
        np.testing.assert_allclose(forces, slopes[rows], rtol=0, atol=1e-11)
    assert calculator.sizes[0] == 90
    assert source.fingerprint == CalculatorSource(calculator).fingerprint + " boxed"
    with pytest.raises(InputError, match=r"`boxed` must come with a cutoff \(`additive_cutoff` in a spec\)"):
        CalculatorSource(calculator, boxed=True)
    spec = f"ase:{__name__}.Periodic?additive_cutoff={RC}&boxed=True"
    assert load_source(spec).boxed
    assert load_source(spec).name == spec


def test_one_atom_has_a_box_too():
    atoms = structure(np.array([[1]]), np.array([[[3.0, -20.0, 0.0]]]), 5.0)
    np.testing.assert_allclose(atoms.cell.lengths(), 5.01)
    np.testing.assert_allclose(atoms.positions, 5.01 / 2)


def test_memory_that_runs_out_makes_smaller_structures():
    calculator, batch = Crowded(), pieces(61, 4)
    source = CalculatorSource(calculator, cutoff=RC)
    wanted = CalculatorSource(Recorded()).energies(batch)
    np.testing.assert_allclose(source.energies(batch), wanted, rtol=0, atol=1e-12)
    assert calculator.sizes[:3] == [244, 84, 4]
    calculator.sizes.clear()
    source.energies(batch)
    assert max(calculator.sizes) == 84


def test_portions_are_halved_until_they_fit_and_rows_come_in_order():
    portions, done = Portions(1000), []

    def work(rows):
        if rows.stop - rows.start > 3:
            np.empty(2**58)
        done.extend(range(rows.start, rows.stop))

    portions.over(100, 10, work)
    assert done == list(range(100))
    assert portions.clusters(10) == 2
    with pytest.raises(MemoryError):
        Portions(10).over(1, 20, lambda rows: np.empty(2**58))
    with pytest.raises(ZeroDivisionError):
        Portions(10).over(4, 2, lambda rows: 1 // 0)


def test_what_takes_longer_together_is_done_one_by_one(caplog):
    caplog.set_level(logging.INFO)
    calculator, batch = Quadratic(), pieces(16, 2)
    source = CalculatorSource(calculator, cutoff=RC)
    for _ in range(4):
        energies = source.energies(batch)
    assert calculator.sizes.count(32) == 3
    assert calculator.sizes[-16:] == [2] * 16
    np.testing.assert_allclose(energies, CalculatorSource(Recorded()).energies(batch), rtol=0, atol=1e-12)
    (record,) = caplog.records
    assert (
        record.getMessage() == f"{source.name} evaluates its sub-clusters one by one, not many at once: it takes longer"
    )


def test_what_fails_together_is_done_one_by_one(caplog):
    caplog.set_level(logging.INFO)
    calculator, batch = Small(), pieces(16, 2)
    source = CalculatorSource(calculator, cutoff=RC)
    for _ in range(4):
        energies = source.energies(batch)
    assert calculator.sizes.count(32) == 3
    np.testing.assert_allclose(energies, CalculatorSource(Recorded()).energies(batch), rtol=0, atol=1e-12)
    (record,) = caplog.records
    assert record.getMessage().endswith("not many at once: ArithmeticError: ten atoms at most")


def test_what_was_found_out_travels_with_the_source():
    source, batch = CalculatorSource(EMT(), cutoff=6.0), pieces(20, 3, elements=("Cu",), spacing=2.6)
    energies = source.energies(batch)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(source)).energies(batch), energies, rtol=0, atol=1e-12)
