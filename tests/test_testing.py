import re

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.calculators.morse import MorsePotential

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources import analytic
from bodyorder.sources.ase.apart import FEWEST
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.sources.spacing import at_distance
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.testing import ConformanceError, check_source
from bodyorder.testing.clusters import direction, random_cluster
from bodyorder.testing.subject import Subject

CHECKS = [
    "attributes", "output", "repetition", "single atoms", "permutation", "rotation", "translation", "invariance", "batch",
    "batch size", "parent", "additivity", "dissociation", "range", "continuity", "boxes", "precision", "single precision",
    "records", "context", "field", "charges", "counterpoise", "cells", "estimates", "versions", "energies of atoms", "members",
    "energies with forces", "forces", "hessians", "net forces", "forces in a batch", "workers", "pickling", "fingerprint",
]  # fmt: skip
FORCES = {"energies with forces", "forces", "net forces", "forces in a batch"}
#: What applies only to sources that claim it or have it.
OPTIONAL = {
    "boxes", "invariance", "energies of atoms", "batch size", "single precision", "records", "field", "charges", "counterpoise",
    "cells", "estimates", "versions", "members", "workers", "hessians",
}  # fmt: skip

CONFORMING = [
    "analytic:pair",
    "analytic:pair?kind=morse&cutoff=5",
    "analytic:axilrod-teller",
    "analytic:axilrod-teller?epsilon=0.01&cutoff=4",
    "analytic:sutton-chen",
    "analytic:sutton-chen?cutoff=6",
    "ase:ase.calculators.lj.LennardJones?epsilon=0.01&sigma=2.0&rc=12&additive_cutoff=12",
    "ase:ase.calculators.lj.LennardJones?epsilon=0.01&sigma=2.0&rc=8&smooth=True&additive_cutoff=8",
    "ase:ase.calculators.morse.MorsePotential?r0=0.74&epsilon=4.7",
]


class Base(EnergySource):
    """A conforming source without forces: a Morse potential."""

    name = "wrong on purpose"
    fingerprint = "wrong on purpose 1"
    cutoff = 6.0
    precision = Precision(absolute=1e-12, relative=1e-14)
    potential = analytic.Morse(cutoff=6.0)

    def energies(self, batch):
        return self.potential.energies(batch)


class NoName(Base):
    name = 3


class NegativeCutoff(Base):
    cutoff = -1.0


class SinglePrecisionArrays(Base):
    def energies(self, batch):
        return super().energies(batch).astype(np.float32)


class OneEnergyTooMany(Base):
    def energies(self, batch):
        return np.append(super().energies(batch), 0.0)


class Random(Base):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def energies(self, batch):
        return super().energies(batch) + 1e-4 * self.rng.standard_normal(len(batch))


class Remembering(Base):
    """The answer depends on what was asked before, as from an iteration that starts where the last one ended."""

    last = 0.0

    def energies(self, batch):
        energies = super().energies(batch) + 1e-5 * self.last
        self.last = batch.n_atoms
        return energies


class NoSingleAtoms(Base):
    def energies(self, batch):
        return super().energies(batch) + np.where(batch.n_atoms == 1, np.nan, 0.0)


class OrderDependent(Base):
    def energies(self, batch):
        first = np.linalg.norm(batch.positions[:, 0] - batch.positions.mean(axis=1), axis=1)
        return super().energies(batch) + 1e-6 * (batch.n_atoms == 4) * first


class OrientationDependent(Base):
    def energies(self, batch):
        heights = batch.positions[:, :, 2]
        return super().energies(batch) + 1e-6 * (batch.n_atoms == 4) * heights.var(axis=1)


class PlaceDependent(Base):
    """Sees the distance from the origin, whichever way one turns about it; large clusters only."""

    def energies(self, batch):
        return super().energies(batch) + 1e-6 * (batch.n_atoms == 4) * (batch.positions**2).sum(axis=(1, 2))


class BatchDependent(Base):
    def energies(self, batch):
        return super().energies(batch) + 1e-6 * np.arange(len(batch))


class ParentDependent(Base):
    def energies(self, batch):
        sizes = np.array([len(batch.systems[int(parent)]) for parent in batch.parents])
        return super().energies(batch) + 1e-6 * (sizes > batch.n_atoms)


class LongerThanItSays(Base):
    cutoff = 3.0


class NotAdditive(Base):
    def energies(self, batch):
        return super().energies(batch) + 1e-6 * batch.n_atoms**2


class CoarserThanItSays(Base):
    """Energies rounded to 1e-7 eV; all that sees it but the noise is told to expect it."""

    def energies(self, batch):
        return np.round(super().energies(batch) / 1e-7) * 1e-7


class WithForces(Base):
    capabilities = Capabilities(forces=True)

    def energies_and_forces(self, batch):
        return self.potential.energies_and_forces(batch)


class SinglePrecision(WithForces):
    def energies(self, batch):
        return np.float64(np.float32(super().energies(batch)))

    def energies_and_forces(self, batch):
        return self.energies(batch), np.float64(np.float32(super().energies_and_forces(batch)[1]))


class Kinked(WithForces):
    """Springs that begin or bend at the distance of two of the atoms on which forces are tried, and 3e-4 Å more.

    :param slope: in eV/Å by which the energy of each pair bends there
    :param curvature: in eV/Å² by which its slope does
    """

    cutoff, capabilities = None, Capabilities(forces=True)
    precision = Precision(absolute=1e-12)

    def __init__(self, slope, curvature, seed):
        self.slope, self.curvature = slope, curvature
        cluster = Subject(Base(), ["H"], seed).clusters[-1]
        self.beyond = np.linalg.norm(cluster.positions[0] - cluster.positions[1]) + 3e-4

    def energies(self, batch):
        return self.energies_and_forces(batch)[0]

    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        apart = batch.positions[:, :, None] - batch.positions[:, None]
        lengths = np.linalg.norm(apart, axis=-1) + np.eye(batch.n_atoms) * 2 * self.beyond
        less = np.maximum(0, self.beyond - lengths)
        energies = energies + (self.slope * less + self.curvature * less**2 / 2).sum(axis=(1, 2)) / 2
        pushes = (self.slope * (less > 0) + self.curvature * less) / lengths
        return energies, forces + (pushes[..., None] * apart).sum(axis=2)


class KinkedAndCoarse(Kinked):
    """The same, its energies rounded to 1e-7 eV."""

    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return np.round(energies / 1e-7) * 1e-7, forces


class KinkedAndWrong(Kinked):
    """The same with forces off by 1e-4 of themselves."""

    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies, forces * (1 + 1e-4)


class WrongSign(WithForces):
    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies, -forces


class SlightlyWrongForces(WithForces):
    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies, forces * (1 + 1e-4)


class ForcesOfTheNext(WithForces):
    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies, np.roll(forces, 1, axis=0)


class OtherEnergiesWithForces(WithForces):
    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies + 1e-6, forces


class ForcesOfOneAtomMissing(WithForces):
    def energies_and_forces(self, batch):
        energies, forces = super().energies_and_forces(batch)
        return energies, forces[:, 1:]


class Handed(Base):
    """Tells left from right, and says that it does not."""

    cutoff = None
    capabilities = Capabilities(invariant=True)

    def energies(self, batch):
        if batch.n_atoms < 4:
            return super().energies(batch)
        middle = batch.positions.mean(axis=1, keepdims=True)
        far = np.argsort(-np.linalg.norm(batch.positions - middle, axis=2), axis=1)[:, :3, None]
        return super().energies(batch) + 1e-6 * np.linalg.det(np.take_along_axis(batch.positions - middle, far, axis=1))


class WithAtoms(Base):
    """A Morse potential, each atom with half of its bonds."""

    capabilities = Capabilities(atom_energies=True)

    def evaluate_atoms(self, batch, forces):
        return self.potential.evaluate_atoms(batch, forces)


class AtomsOfAnotherEnergy(WithAtoms):
    def evaluate_atoms(self, batch, forces):
        found = super().evaluate_atoms(batch, forces)
        found.atom_energies = found.atom_energies + 1e-6
        return found


class AtomsInOrder(WithAtoms):
    """The first atom in the list has more of the energy."""

    def evaluate_atoms(self, batch, forces):
        found = super().evaluate_atoms(batch, forces)
        found.atom_energies[:, 0] += 1e-6
        found.atom_energies[:, -1] -= 1e-6
        return found


class AtomsOfTheNext(WithAtoms):
    def evaluate_atoms(self, batch, forces):
        found = super().evaluate_atoms(batch, forces)
        found.atom_energies = np.roll(found.atom_energies, 1, axis=0)
        return found


class FewAtoms(WithAtoms):
    def evaluate_atoms(self, batch, forces):
        found = super().evaluate_atoms(batch, forces)
        found.atom_energies = found.atom_energies[:, 1:]
        return found


class WithParts(Base):
    """Half the energy, and half of it."""

    capabilities = Capabilities(members=("one", "other"), member_kind="parts")

    def evaluate_members(self, batch, forces):
        energies = self.energies(batch)
        return Evaluation(energies, members=np.stack([energies / 2, energies / 2], axis=1))


class PartsOfAnotherEnergy(WithParts):
    def evaluate_members(self, batch, forces):
        found = super().evaluate_members(batch, forces)
        found.members[:, 0] += 1e-6
        return found


class PartsOfTheNext(WithParts):
    def evaluate_members(self, batch, forces):
        found = super().evaluate_members(batch, forces)
        found.members[:] = np.roll(found.members, 1, axis=0)
        return found


class MembersInOrder(WithParts):
    """What the parts are depends on which atom is first."""

    def evaluate_members(self, batch, forces):
        found = super().evaluate_members(batch, forces)
        moved = 1e-6 * batch.positions[:, 0, 0]
        found.members[:, 0] += moved
        found.members[:, 1] -= moved
        return found


class FewMembers(WithParts):
    def evaluate_members(self, batch, forces):
        found = super().evaluate_members(batch, forces)
        found.members = found.members[:, :1]
        return found


class MembersWithAnotherEnergy(WithParts):
    def evaluate_members(self, batch, forces):
        found = super().evaluate_members(batch, forces)
        return Evaluation(found.energies + 1e-6, members=found.members)


class NotPicklable(Base):
    def __init__(self):
        self.hook = lambda: None


class ForgetsOnPickling(Base):
    def __init__(self):
        self.potential = analytic.Morse(cutoff=6.0)

    def __getstate__(self):
        return {"potential": analytic.Morse(cutoff=6.0, epsilon=1.0)}


class MovingFingerprint(Base):
    calls = 0

    def energies(self, batch):
        self.calls += 1
        self.fingerprint = f"after {self.calls} calls"
        return super().energies(batch)


class FailsForFour(Base):
    def energies(self, batch):
        energies = super().energies(batch)
        if batch.n_atoms == 4:
            raise FailedClusters({0: "no convergence"}, np.full(len(batch), np.nan))
        return energies


class Breaks(Base):
    def energies(self, batch):
        raise ComputationError("the program is not there")


class KnowsCopperOnly(Base):
    def energies(self, batch):
        if (batch.numbers != 29).any():
            raise InputError("the model knows Cu, got H")
        return super().energies(batch)


class MorseWithoutAtoms(MorsePotential):
    """A calculator of ASE that gives energies of whole structures only."""

    implemented_properties = ("energy", "forces")

    def get_property(self, name, atoms=None, allow_calculation=True):
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(f"no {name} here")
        return super().get_property(name, atoms, allow_calculation)


class Rolled(AseLennardJones):
    """Gives energies of atoms of large structures to the atoms next to them in the list."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        if len(self.atoms) >= 24:
            self.results["energies"] = np.roll(self.results["energies"], 1)


class Counted(AseLennardJones):
    """Remembers how many atoms each structure had that it was given."""

    sizes = []  # noqa: RUF012 - of all copies

    def calculate(self, atoms=None, properties=None, system_changes=()):
        self.sizes.append(len(atoms))
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class TornInside(AseLennardJones):
    """Shares out the energy of large structures wrongly where nobody looks who evaluates three sub-clusters of them only."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        if len(self.atoms) >= 24:
            self.results["energies"][3] += 1e-6
            self.results["energies"][6] -= 1e-6


class Coarse(AseLennardJones):
    """Computes in float32."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        self.results["energy"] = float(np.float32(self.results["energy"] - 20.123 * len(atoms)))


class TooManyAtOnce(Base):
    """Says that it takes 300 at once, and keeps room for 100."""

    capabilities = Capabilities(batch_size=300)

    def energies(self, batch):
        energies = super().energies(batch)
        return energies[np.minimum(np.arange(len(batch)), 99)]


class OneByOne(Base):
    """Takes no more than it says."""

    capabilities = Capabilities(batch_size=1)

    def energies(self, batch):
        assert len(batch) == 1
        return super().energies(batch)


class CoarseByHalf(Base):
    capabilities = Capabilities(single_precision=True)


class Recording(Base):
    capabilities = Capabilities(records=("gap",))

    def evaluate(self, batch, forces):
        return Evaluation(self.energies(batch), records={"gap": np.ones(len(batch))})


class OtherRecords(Recording):
    def evaluate(self, batch, forces):
        return Evaluation(self.energies(batch), records={"multiplicity": np.ones(len(batch))})


class OneRecord(Recording):
    def evaluate(self, batch, forces):
        return Evaluation(self.energies(batch), records={"gap": np.ones(1)})


class Magnetic(Base):
    """Sees the moments given on its atoms, and does not say so."""

    capabilities = Capabilities(context=("bodies", "charges"))

    def energies(self, batch):
        return super().energies(batch) + 1e-6 * batch.of_members("moments").var(axis=1)


class MagneticByName(Magnetic):
    capabilities = Capabilities(context=("bodies", "charges", "moments"))


class BlindToBodies(Base):
    def energies(self, batch):
        if batch.n_atoms > 1 and (batch.of_members("bodies") == 0).all():
            raise InputError("bodies must be atoms here")
        return super().energies(batch)


class Ionic(Base):
    capabilities = Capabilities(charged=True)

    def energies(self, batch):
        return super().energies(batch) + 10.0 * batch.charges


class DeafToCharge(Base):
    capabilities = Capabilities(charged=True)


class NoIons(Base):
    capabilities = Capabilities(charged=True)

    def energies(self, batch):
        if batch.charges.any():
            raise InputError("neutral clusters only")
        return super().energies(batch)


class Ghostly(Base):
    """Functions of other atoms lower the energy by a meV each."""

    capabilities = Capabilities(counterpoise="full")

    def energies(self, batch):
        return super().energies(batch) - 1e-3 * batch.ghosts.shape[1]


class BlindToGhosts(Base):
    capabilities = Capabilities(counterpoise="vmfc")


class WithCells(Base):
    capabilities = Capabilities(cell_energy=True)

    def cell_energy(self, atoms):
        return self.potential.cell_energy(atoms)


class CellsOfOneAtom(WithCells):
    """The energy of a cell by atom, not by cell."""

    def cell_energy(self, atoms):
        return super().cell_energy(atoms) / len(atoms)


class CellsWithoutImages(WithCells):
    """Knows no periodic boundaries, and does not say so."""

    def cell_energy(self, atoms):
        return float(self.energies(ClusterBatch.from_atoms([atoms]))[0])


class CellsFarAway(WithCells):
    """Twice a cell has twice its energy, which is not that of the cluster in it."""

    def cell_energy(self, atoms):
        return super().cell_energy(atoms) + 1e-6 * len(atoms)


class CellsInArrays(WithCells):
    def cell_energy(self, atoms):
        return np.array([super().cell_energy(atoms)])


class FailsInCells(WithCells):
    def cell_energy(self, atoms):
        raise ComputationError("the program takes isolated clusters only")


class Estimating(Base):
    capabilities = Capabilities(seconds=True, megabytes=True)

    def seconds(self, batch):
        return 1e-3 * batch.n_atoms

    def megabytes(self, batch, forces):
        return 100.0 + len(batch)


class NoTime(Estimating):
    def seconds(self, batch):
        return 0.0


class NoRoom(Estimating):
    def megabytes(self, batch, forces):
        return np.nan if len(batch) > 1 else 1.0


class OldNumpy(Base):
    capabilities = Capabilities(versions={"numpy": "0.1", "a program of another kind": "7"})


class ThisNumpy(Base):
    capabilities = Capabilities(versions={"numpy": np.__version__, "a program of another kind": "7"})


def failed(source, **options):
    return {check.name for check in check_source(source, **options).failures}


@pytest.mark.parametrize("spec", CONFORMING)
def test_conforming_sources_pass_every_check(spec):
    source = load_source(spec)
    report = check_source(source, forces=True)
    report.raise_if_failed()
    assert report.passed
    assert [check.name for check in report.checks] == CHECKS
    outcome = {check.name: check.passed for check in report.checks}
    assert outcome.pop("additivity") is (None if source.cutoff is None else True)
    assert outcome.pop("range") is (None if source.cutoff is None else True)
    assert outcome.pop("cells") is (True if source.capabilities.cell_energy else None)
    assert outcome.pop("precision") is (None if source.capabilities.unproven_precision else True)
    unclaimed = OPTIONAL - {"cells", "energies of atoms"}
    assert {name for name, passed in outcome.items() if passed is None} == unclaimed
    assert set(outcome.values()) == {True, None}


def test_metals_and_mixtures_pass():
    for species in (["Cu"], ["Cu", "Au"], ["H", "Ni", "O"]):
        check_source(CalculatorSource(EMT(), cutoff=7.0), species=species, forces=True).raise_if_failed()


def test_a_source_without_forces_passes_unless_they_are_asked_for():
    report = check_source(Base())
    report.raise_if_failed()
    assert {check.name for check in report.checks if check.passed is None} == FORCES | OPTIONAL
    assert failed(Base(), forces=True) == {"output"}
    unforced = check_source(WrongSign(), forces=False)
    assert {check.name for check in unforced.checks if check.passed is None} == FORCES | OPTIONAL


def test_energies_of_atoms_are_looked_at_where_there_are_any():
    found = {check.name: check for check in check_source(WithAtoms()).checks}["energies of atoms"]
    assert found.passed is True
    calculator = CalculatorSource(MorseWithoutAtoms())
    silent = {check.name: check for check in check_source(calculator).checks}["energies of atoms"]
    assert silent.passed is None
    assert silent.detail == "not claimed; the calculator implements energy, forces"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (NoName, {"attributes"}),
        (NegativeCutoff, {"attributes"}),
        (SinglePrecisionArrays, {"output"}),
        (OneEnergyTooMany, {"output"}),
        (ForcesOfOneAtomMissing, {"output"}),
        (Breaks, {"output"}),
        (Random, {"repetition"}),
        (Remembering, {"repetition"}),
        (NoSingleAtoms, {"single atoms", "parent", "additivity"}),
        (OrderDependent, {"permutation"}),
        (OrientationDependent, {"rotation"}),
        (PlaceDependent, {"translation"}),
        (BatchDependent, {"batch"}),
        (ParentDependent, {"parent"}),
        (LongerThanItSays, {"additivity", "range"}),
        (NotAdditive, {"additivity"}),
        (WrongSign, {"forces"}),
        (SlightlyWrongForces, {"forces"}),
        (ForcesOfTheNext, {"forces in a batch"}),
        (OtherEnergiesWithForces, {"energies with forces"}),
        (Handed, {"invariance"}),
        (AtomsOfAnotherEnergy, {"energies of atoms"}),
        (AtomsInOrder, {"energies of atoms"}),
        (AtomsOfTheNext, {"energies of atoms"}),
        (FewAtoms, {"energies of atoms"}),
        (PartsOfAnotherEnergy, {"members"}),
        (PartsOfTheNext, {"members"}),
        (MembersInOrder, {"members"}),
        (FewMembers, {"members"}),
        (MembersWithAnotherEnergy, {"members"}),
        (NotPicklable, {"pickling"}),
        (ForgetsOnPickling, {"pickling"}),
        (MovingFingerprint, {"fingerprint"}),
        (TooManyAtOnce, {"batch size"}),
        (CoarseByHalf, {"single precision"}),
        (OtherRecords, {"records"}),
        (OneRecord, {"records"}),
        (Magnetic, {"context"}),
        (BlindToBodies, {"context"}),
        (DeafToCharge, {"charges"}),
        (NoIons, {"charges"}),
        (BlindToGhosts, {"counterpoise"}),
        (CellsOfOneAtom, {"cells"}),
        (CellsWithoutImages, {"cells"}),
        (CellsFarAway, {"cells"}),
        (CellsInArrays, {"cells"}),
        (NoTime, {"estimates"}),
        (NoRoom, {"estimates"}),
        (OldNumpy, {"versions"}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_wrong_fails_its_own_check(source, names, seed):
    assert failed(source(), seed=seed) == names


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (OneByOne, "batch size"),
        (Recording, "records"),
        (Ionic, "charges"),
        (Ghostly, "counterpoise"),
        (WithCells, "cells"),
        (Estimating, "estimates"),
        (ThisNumpy, "versions"),
    ],
)
def test_claims_that_hold_pass(source, name):
    report = check_source(source())
    report.raise_if_failed()
    assert {check.name: check.passed for check in report.checks}[name] is True


def test_what_is_claimed_as_context_may_be_seen():
    checks = {check.name: check for check in check_source(MagneticByName()).checks}
    assert (checks["context"].passed, checks["context"].detail) == (True, "another structure's field")


def test_a_program_that_fails_for_cells_is_told_and_does_not_fail():
    checks = {check.name: check for check in check_source(FailsInCells()).checks}
    assert (checks["cells"].passed, checks["cells"].detail) == (None, "the program takes isolated clusters only")


@pytest.mark.parametrize(("slope", "curvature"), [(0.5, 0.0), (0.0, 50.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kinks_are_neither_noise_nor_wrong_forces(slope, curvature, seed):
    check_source(Kinked(slope, curvature, seed), forces=True, seed=seed).raise_if_failed()
    assert failed(KinkedAndCoarse(slope, curvature, seed), seed=seed) >= {"precision"}
    assert failed(KinkedAndWrong(slope, curvature, seed), seed=seed) == {"forces"}


def test_what_claims_nothing_is_held_to_what_is_measured():
    source = CalculatorSource(Coarse(epsilon=0.01, sigma=2.0, rc=9.0, smooth=True))
    report = check_source(source)
    report.raise_if_failed()
    (found,) = [check for check in report.checks if check.name == "precision"]
    assert found.passed is None
    (sigma,) = re.fullmatch(r"not claimed, so it is measured; one energy scatters by (\S+) eV", found.detail).groups()
    subject = Subject(source, ["H"], 0)
    digit = np.spacing(np.float32(subject.energy(subject.clusters[-1])))
    assert 0.3 < float(sigma) / (digit / np.sqrt(12)) < 3
    source = CalculatorSource(Coarse(epsilon=0.01, sigma=2.0, rc=9.0, smooth=True), precision=Precision(absolute=1e-12))
    assert "precision" in failed(source)


def test_noise_above_the_claim_is_seen_and_noise_within_it_is_not():
    assert "precision" in failed(CoarserThanItSays())
    honest = CoarserThanItSays()
    honest.precision = Precision(absolute=3e-8)
    check_source(honest).raise_if_failed()


def test_single_precision_passes_with_an_honest_claim():
    source = SinglePrecision()
    source.capabilities = Capabilities(forces=True, single_precision=True)
    assert failed(source) >= {"precision", "single precision"}
    source.precision = Precision(relative=6e-8)
    check_source(source, forces=True).raise_if_failed()


def test_failures_of_the_source_are_told():
    report = check_source(FailsForFour())
    assert {check.detail for check in report.failures} == {"the source failed: no convergence"}
    assert "repetition" in {check.name for check in report.failures}
    assert "batch" not in {check.name for check in report.failures}
    broken = check_source(Breaks())
    assert [check.name for check in broken.checks] == ["attributes", "output"]
    assert broken.checks[1].detail == "the source failed: the program is not there"


def test_the_report_says_what_was_measured_and_allowed():
    report = check_source(LongerThanItSays())
    text = str(report)
    assert text.splitlines()[0] == "wrong on purpose"
    assert "pass  rotation:" in text
    line, _ = [line for line in text.splitlines() if line.startswith("FAIL")]
    check = report.failures[0]
    assert check.value > 1e-3 > check.tolerance
    assert line == f"FAIL  additivity: {check.value:.1e} (allowed 1.0e-09) eV parts 3.01 Å apart"
    with pytest.raises(
        ConformanceError,
        match=r"wrong on purpose does not conform:\nFAIL  additivity: .* parts 3.01 Å apart\nFAIL  range: ",
    ):
        report.raise_if_failed()
    assert isinstance(ConformanceError("x"), AssertionError)


def test_without_a_claim_additivity_is_reported_only():
    far = check_source(analytic.LennardJones(epsilon=1.0, sigma=3.0))
    check = next(check for check in far.checks if check.name == "additivity")
    assert check.passed is None
    assert check.value > check.tolerance
    assert "no cutoff is claimed; parts 30 Å apart" in check.detail


def test_elements_a_source_does_not_know_are_wrong_input():
    with pytest.raises(InputError, match="the model knows Cu, got H"):
        check_source(KnowsCopperOnly())
    check_source(KnowsCopperOnly(), species=["Cu"])
    with pytest.raises(InputError, match="`species` must be chemical symbols, got 'Hydrogen'"):
        check_source(Base(), species=["Hydrogen"])
    with pytest.raises(InputError, match="`seed` must be between 0"):
        check_source(Base(), seed=-1)


def test_parts_are_set_apart_exactly():
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = random_cluster(rng, [1, 8], 4), random_cluster(rng, [6], 3)
        both = at_distance(one, other, direction(rng), 5.0)
        gaps = np.linalg.norm(both.positions[:4, None] - both.positions[None, 4:], axis=2)
        assert gaps.min() == pytest.approx(5.0, abs=1e-12)
        np.testing.assert_array_equal(both.numbers, [1, 8, 1, 8, 6, 6, 6])
    assert isinstance(both, System)


def test_a_calculator_with_a_wrong_claim_is_caught():
    calculator = AseLennardJones(epsilon=0.01, sigma=2.0, rc=12)
    check_source(CalculatorSource(calculator, cutoff=12.0)).raise_if_failed()
    # many at once are put just beyond it
    batches = {"batch", "energies of atoms", "forces in a batch"}
    assert failed(CalculatorSource(calculator, cutoff=5.0)) == {"additivity", "range", "cells"} | batches


@pytest.mark.parametrize("species", [["H"], ["H", "O"], ["H", "C", "N", "O"]])
def test_batches_are_large_enough_to_be_evaluated_in_one_structure(species):
    Counted.sizes.clear()
    source = CalculatorSource(Counted(epsilon=0.01, sigma=2.0, rc=8.0, smooth=True), cutoff=8.0)
    check_source(source, species=species).raise_if_failed()
    large = [size for size in Counted.sizes if size >= 3 * 2 * FEWEST]
    assert len(large) == 3  # energies, with forces, of atoms
    n_scans = len(species) * (len(species) + 1) // 2 + len(species)
    assert len(Counted.sizes) < 400 + 200 * n_scans


def test_what_is_wrong_with_many_at_once_fails_the_checks_of_batches():
    batches = {"batch", "energies of atoms", "forces in a batch"}
    report = check_source(CalculatorSource(Rolled(epsilon=0.01, sigma=2.0, rc=8.0, smooth=True), cutoff=8.0))
    assert {check.name for check in report.failures} == batches
    (check,) = [check for check in report.failures if check.name == "batch"]
    assert check.detail.startswith(
        "the source failed: what it takes one by one must do together, and does not: the additive cutoff of ase:"
    )
    inside = CalculatorSource(TornInside(epsilon=0.01, sigma=2.0, rc=8.0, smooth=True), cutoff=8.0)
    assert failed(inside) == {"batch", "energies of atoms"}


def test_an_evaluation_that_disagrees_with_the_energies_is_seen():
    class Torn(Base):
        capabilities = Capabilities(records=("gap",))

        def evaluate(self, batch, forces):
            return Evaluation(self.energies(batch) + 1e-3)

    report = check_source(Torn())
    assert next(check.name for check in report.checks if check.passed is False) == "batch"
