import ctypes
import pickle
import subprocess
import sys

import ase
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.eam import EAM
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.optimize import BFGS

from bodyorder import decompose
from bodyorder._checks import ComputationError, InputError
from bodyorder.sources import analytic
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.source_calculator import SourceCalculator
from bodyorder.sources.protocol import FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch
from bodyorder.structures.dynamics import LangevinSettings, langevin
from bodyorder.structures.hydrogen import high_density, low_density


class EnergyOnly(Calculator):
    """The number of atoms, without forces."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(len(self.atoms))


class Picky(Calculator):
    """Fails where the first atom has a negative x, and gives no number where its y is negative."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        x, y, _ = self.atoms.positions[0]
        if x < 0:
            raise ArithmeticError("no convergence\nsee the log")
        self.results.update(energy=np.nan if y < 0 else x, forces=np.zeros((len(self.atoms), 3)))


class Charged(Calculator):
    """The total charge that comes with the structure."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(self.atoms.info["charge"])


class Scaled(EnergyOnly):
    """A class that keeps its setting to itself, with a parameter that says nothing."""

    def __init__(self, factor):
        super().__init__(note="the same for all")
        self.factor = factor

    @classmethod
    def doubled(cls, factor):
        """A calculator as some classes make it from what they are given."""
        return cls(2 * factor)

    @staticmethod
    def recorded():
        CALLS.append("recorded")


#: What was called although nobody said that it may be.
CALLS = []


def called():
    CALLS.append("called")


class Recorder:
    """No calculator."""

    def __init__(self):
        CALLS.append("Recorder")

    @classmethod
    def made(cls):
        CALLS.append("made")


def lennard_jones(depth=1.0):
    return LennardJones(epsilon=depth)


def not_a_calculator():
    return 3


def batch_of(*clusters):
    return ClusterBatch.from_atoms([ase.Atoms(f"H{len(positions)}", positions) for positions in clusters])


CLUSTERS = ClusterBatch.from_atoms(low_density(6, 4, 0))


def test_energies_and_forces_are_those_of_ase_and_of_the_formula():
    calculator = LennardJones(epsilon=0.01, sigma=1.1, rc=1e3)
    source = CalculatorSource(calculator)
    energies, forces = source.energies_and_forces(CLUSTERS)
    np.testing.assert_array_equal(source.energies(CLUSTERS), energies)
    for row in range(len(CLUSTERS)):
        atoms = CLUSTERS.to_atoms(row)
        atoms.calc = calculator
        assert energies[row] == atoms.get_potential_energy()
        np.testing.assert_array_equal(forces[row], atoms.get_forces())
    expected = analytic.LennardJones(epsilon=0.01, sigma=1.1).energies_and_forces(CLUSTERS)
    np.testing.assert_allclose(energies, expected[0], rtol=1e-12)
    np.testing.assert_allclose(forces, expected[1], rtol=1e-9, atol=1e-12)


def test_a_spec_makes_the_calculator():
    spec = "ase:ase.calculators.lj.LennardJones?epsilon=0.01&sigma=1.1&rc=12&additive_cutoff=12&energy_error=0.001"
    source = load_source(spec)
    assert isinstance(source, CalculatorSource)
    assert source.name == (
        "ase:ase.calculators.lj.LennardJones?additive_cutoff=12&energy_error=0.001&epsilon=0.01&rc=12&sigma=1.1"
    )
    assert source.cutoff == 12
    assert source.precision == Precision(absolute=0.001)
    assert source.capabilities.serial
    instance = load_source(LennardJones(epsilon=0.01, sigma=1.1, rc=12))
    np.testing.assert_array_equal(source.energies(CLUSTERS), instance.energies(CLUSTERS))
    assert source.fingerprint == instance.fingerprint
    assert instance.cutoff is None


def test_errors_are_claimed_in_ev_and_by_size_and_unclaimed_ones_are_to_be_measured():
    spec = "ase:ase.calculators.lj.LennardJones?epsilon=0.01&relative_error=6e-8"
    relative = load_source(spec)
    assert relative.precision == Precision(relative=6e-8)
    assert load_source(relative.name).precision == relative.precision
    assert load_source(f"{spec}&energy_error=1e-4").precision == Precision(absolute=1e-4, relative=6e-8)
    assert not relative.capabilities.unproven_precision
    for unclaimed in (load_source("ase:ase.calculators.lj.LennardJones"), CalculatorSource(LennardJones())):
        assert unclaimed.capabilities.unproven_precision
        assert not unclaimed.capabilities.tightened
    with pytest.raises(InputError, match="must give tightened, and does not; no option is known that it converges"):
        CalculatorSource(LennardJones()).tightened()


def test_calculators_that_iterate_can_be_had_tighter():
    tblite = pytest.importorskip("tblite.ase")
    for loose in (
        load_source("ase:tblite.ase.TBLite?method=GFN1-xTB&verbosity=0&accuracy=10"),
        CalculatorSource(tblite.TBLite(method="GFN1-xTB", verbosity=0, accuracy=10)),
    ):
        first = loose.energies(CLUSTERS)
        tight = loose.tightened()
        assert tight.calculator.parameters.accuracy == pytest.approx(0.01)
        assert tight.calculator.parameters.method == "GFN1-xTB"
        changed = tight.energies(CLUSTERS) - first
        assert 0 < np.abs(changed).max() < 1e-4
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(tight)).energies(CLUSTERS), tight.energies(CLUSTERS))
        np.testing.assert_array_equal(loose.energies(CLUSTERS), first)  # it is left as it is


def test_a_function_that_returns_a_calculator_will_do_where_it_is_trusted():
    spec = f"ase:{__name__}.lennard_jones?depth=0.5&trust=true"
    source = load_source(spec)
    expected = CalculatorSource(LennardJones(epsilon=0.5)).energies(CLUSTERS)
    np.testing.assert_array_equal(source.energies(CLUSTERS), expected)
    assert source.name == spec.replace("true", "True")
    assert load_source(source.name).fingerprint == source.fingerprint


def test_a_calculator_class_needs_no_trust_and_takes_it():
    plain = load_source("ase:ase.calculators.emt.EMT")
    trusted = load_source("ase:ase.calculators.emt.EMT?trust=true")
    assert (trusted.name, trusted.fingerprint) == (plain.name, plain.fingerprint)


def test_a_class_method_of_a_calculator_needs_no_trust():
    source = load_source(f"ase:{__name__}.Scaled.doubled?factor=1.5")
    assert source.calculator.factor == 3.0
    assert source.name == f"ase:{__name__}.Scaled.doubled?factor=1.5"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("called", "function"),
        ("Recorder", "class"),
        ("Recorder.made", "function"),
        ("Scaled.recorded", "function"),
        ("Scaled.register", "function"),
    ],
)
def test_what_is_not_trusted_is_not_called(target, kind):
    CALLS.clear()
    message = (
        f"^ase:{__name__}.{target} must name an ASE calculator class or one of its class methods, or be trusted: it is "
        f"another {kind}, and calling it runs whatever it does; say trust=true if you know that it makes a calculator$"
    )
    with pytest.raises(InputError, match=message):
        load_source(f"ase:{__name__}.{target}")
    assert not CALLS


def test_nothing_of_the_standard_library_is_called(tmp_path):
    with pytest.raises(InputError, match=r"ase:os.rmdir must name an ASE calculator class .*, or be trusted"):
        load_source({"source": "ase:os.rmdir", "path": str(tmp_path)})
    assert tmp_path.exists()


def test_failures_stay_with_their_cluster():
    good, failing, broken = [[0.25, 0, 0]], [[-1.0, 0, 0]], [[1.0, -1, 0]]
    with pytest.raises(FailedClusters) as failure:
        CalculatorSource(Picky()).energies_and_forces(batch_of(good, failing, broken, good))
    assert failure.value.messages == {
        1: "ArithmeticError: no convergence",
        2: "the calculator gave an energy or forces that are not finite",
    }
    np.testing.assert_array_equal(failure.value.energies, [0.25, np.nan, np.nan, 0.25])
    np.testing.assert_array_equal(failure.value.forces[[0, 3]], 0)


def test_an_element_the_calculator_does_not_know_fails_where_it_stands():
    clusters = ClusterBatch.from_atoms(
        [ase.Atoms("CuAu", [[0, 0, 0], [2.6, 0, 0]]), ase.Atoms("CuFe", [[0, 0, 0], [2.6, 0, 0]])]
    )
    with pytest.raises(FailedClusters, match="No EMT-potential for Fe") as failure:
        CalculatorSource(EMT()).energies(clusters)
    assert list(failure.value.messages) == [1]


def test_forces_that_do_not_exist_are_wrong_input():
    source = CalculatorSource(EnergyOnly())
    np.testing.assert_array_equal(source.energies(CLUSTERS), 6.0)
    with pytest.raises(InputError, match="EnergyOnly does not give what is asked for: forces"):
        source.energies_and_forces(CLUSTERS)


def test_charges_reach_the_calculator_even_where_nothing_else_changes():
    batch = batch_of([[0.0, 0, 0]], [[0.0, 0, 0]], [[0.0, 0, 0]])
    charged = ClusterBatch(
        batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, np.array([0, 1, -1])
    )
    np.testing.assert_array_equal(CalculatorSource(Charged()).energies(charged), [0.0, 1.0, -1.0])


def test_sums_of_calculators_work():
    parts = [LennardJones(epsilon=0.1), EMT()]
    source = CalculatorSource(SumCalculator(parts))
    expected = sum(CalculatorSource(part).energies(CLUSTERS) for part in parts)
    np.testing.assert_allclose(source.energies(CLUSTERS), expected, rtol=1e-14)


def test_fingerprints_tell_settings_apart_and_nothing_else():
    fresh, used = CalculatorSource(LennardJones(rc=3.0)), LennardJones(rc=3.0)
    CalculatorSource(used).energies(CLUSTERS)
    assert CalculatorSource(used).fingerprint == fresh.fingerprint
    assert CalculatorSource(LennardJones(rc=3.1)).fingerprint != fresh.fingerprint
    assert CalculatorSource(EMT()).fingerprint != fresh.fingerprint
    assert f"ase {ase.__version__}" in fresh.fingerprint
    sums = [SumCalculator([LennardJones(epsilon=depth), EMT()]) for depth in (1.0, 1.0, 2.0)]
    same, again, other = (CalculatorSource(calculator).fingerprint for calculator in sums)
    assert same == again != other
    assert CalculatorSource(EMT(), fingerprint="mine").fingerprint == "mine"


def test_fingerprints_tell_that_one_copy_stands_for_all():
    """Its energies are then those of a representative, which another source must not read from a store as its own."""
    plain = CalculatorSource(EMT())
    assert CalculatorSource(EMT(), invariant=True).fingerprint == plain.fingerprint + " invariant"
    assert CalculatorSource(EMT(), cutoff=6.0).fingerprint == plain.fingerprint
    spec = "ase:ase.calculators.emt.EMT"
    assert load_source(f"{spec}?invariant=true").fingerprint == load_source(spec).fingerprint + " invariant"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": 1e-5}, r"`precision` must be a Precision, got 1e-05; say Precision\(absolute=…\), in eV$"),
        ({"charged": "no"}, "`charged` must be true or false, got 'no'$"),
        (
            {"boxed": 1, "cutoff": 5.0},
            "`boxed` must be at least 5 Å of vacuum around the atoms, got 1; boxed=true takes",
        ),
        ({"boxed": 1}, "`boxed` must be at least 5 Å of vacuum around the atoms, got 1; boxed=true takes the cutoff$"),
        ({"boxed": "large"}, "`boxed` must be a positive number, got 'large'$"),
        ({"free_energy": 1}, "`free_energy` must be true or false, got 1$"),
        ({"invariant": None}, "`invariant` must be true or false, got None$"),
        ({"cutoff": -1}, "`cutoff` must be a positive number, got -1$"),
        (
            {"calculator": "EMT"},
            "`calculator` must be an instance of an ASE calculator, got 'EMT'; a name is for a spec",
        ),
        ({"calculator": EMT}, "`calculator` must be an instance of an ASE calculator, got <class .*EMT'>"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(InputError, match=message):
        CalculatorSource(**({"calculator": EMT()} | options))


def test_fingerprints_see_the_attributes_of_a_class_without_parameters():
    one, two, three = Scaled(2.0), Scaled(2.0), Scaled(3.0)
    assert CalculatorSource(one).fingerprint == CalculatorSource(two).fingerprint != CalculatorSource(three).fingerprint
    spec = f"ase:{__name__}.Scaled?factor="
    assert (
        load_source(f"{spec}2").fingerprint
        == load_source(f"{spec}2").fingerprint
        != load_source(f"{spec}3").fingerprint
    )


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "from ase.calculators.lj import LennardJones; from ase.calculators.emt import EMT;"
        "from ase.calculators.mixing import SumCalculator; from bodyorder.sources.ase.calculator import CalculatorSource;"
        "print(CalculatorSource(LennardJones(rc=3.0)).fingerprint);"
        "print(CalculatorSource(SumCalculator([LennardJones(), EMT()])).fingerprint)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    sources = CalculatorSource(LennardJones(rc=3.0)), CalculatorSource(SumCalculator([LennardJones(), EMT()]))
    assert lines == [source.fingerprint for source in sources]


def test_fingerprints_follow_the_content_of_files(tmp_path):
    # An EAM file of one element: embedding, density and pair tables of two points.
    table = "a\nb\nc\n1 X\n2 1.0 2 1.0 1.5\n1 1.0 2.0 fcc\n0.0 {}\n1.0 0.5\n0.0 0.0\n"
    prints = []
    for name, value in (("one.alloy", 1.0), ("two.alloy", 1.0), ("two.alloy", 2.0)):
        (tmp_path / name).write_text(table.format(value))
        prints.append(CalculatorSource(Tabulated(potential=str(tmp_path / name))).fingerprint)
    assert prints[0] == prints[1] != prints[2]


class Tabulated(EAM):
    """ASE's EAM, whose parameters name the file of the potential."""

    def read_potential(self, filename):
        self.elements = ["X"]


def test_a_used_calculator_still_travels_to_another_process():
    source = CalculatorSource(EMT(), cutoff=6.0)
    energies = source.energies(CLUSTERS)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.energies(CLUSTERS), energies)
    assert (copy.fingerprint, copy.cutoff, copy.precision) == (source.fingerprint, source.cutoff, source.precision)


def compiled():
    """A function of torch, as networks have them."""
    torch = pytest.importorskip("torch")
    return torch.jit.script(_twice)


def _twice(value: float) -> float:
    return 2 * value


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize(
    ("hook", "error", "message"),
    [
        (lambda: lambda: None, (AttributeError, pickle.PicklingError), "lambda"),
        (lambda: ctypes.pointer(ctypes.c_int(1)), ValueError, "ctypes objects containing pointers"),
        (compiled, pickle.PickleError, "ScriptFunction cannot be pickled"),
    ],
    ids=["lambda", "pointer", "compiled"],
)
def test_a_calculator_that_cannot_be_pickled_works_and_is_never_found_again(hook, error, message):
    def made():
        calculator = Picky()
        calculator.hook = hook()
        return CalculatorSource(calculator)

    assert made().energies(batch_of([[0.5, 0, 0]]))[0] == 0.5
    assert made().fingerprint != made().fingerprint
    with pytest.raises(error, match=message):
        pickle.dumps(made())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ase:LennardJones", "an ASE calculator must be named 'package.module.Class', got 'LennardJones'"),
        ("ase:ase.calculators.ljj.LennardJones", "could not be imported .*No module named 'ase.calculators.ljj'"),
        ("ase:no_such_package.Calculator", "install the package that has it"),
        (
            "ase:ase.calculators.lj.LenardJones",
            "ase.calculators.lj has no 'LenardJones'; calculators there: LennardJones",
        ),
        ("ase:ase.calculators.lj.np", "must name an ASE calculator class, or a function that returns a calculator"),
        ("ase:ase.Atoms", "must name an ASE calculator class"),
        ("ase:os.getcwd?trust=true", "must give an ASE calculator, got str"),
        ("ase:os.getcwd?trust=yes", "`trust` must be true or false, got 'yes'"),
        ("ase:ase.calculators.emt.EMT.nothing", "ase.calculators.emt.EMT has no 'nothing'"),
        ("ase:ase.calculators.emt.Nothing.made", "No module named 'ase.calculators.emt.Nothing'"),
        (
            "ase:ase.calculators.lj.LennardJones?epsilom=1",
            "has no option 'epsilom'; options: .*; did you mean 'epsilon'",
        ),
        (
            "ase:ase.calculators.lj.LennardJones?cutoff=4",
            "has no option 'cutoff'; options: additive_cutoff, .*'additive_cutoff'",
        ),
        (
            "ase:ase.calculators.lj.LennardJones?sigma=wide",
            "could not be built with the options {'sigma': 'wide'}: TypeError",
        ),
        (
            "ase:ase.calculators.lj.LennardJones?additive_cutoff=-1",
            "^`additive_cutoff` must be a positive number, got -1",
        ),
        ("ase:ase.calculators.lj.LennardJones?energy_error=low", "`energy_error` must be a positive number, got 'low'"),
        ("ase:ase.calculators.lj.LennardJones?relative_error=0", "`relative_error` must be a positive number, got 0"),
        (f"ase:{__name__}.not_a_calculator?trust=true", "must give an ASE calculator, got int"),
        (
            f"ase:{__name__}.lennard_jones?width=1&trust=true",
            "has no option 'width'; options: additive_cutoff, boxed, charge_key, charged, depth, energy_error",
        ),
    ],
)
def test_wrong_specs_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        load_source(spec)


def test_a_source_is_a_calculator_for_ase():
    dimer = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    dimer.positions[1, 2] += 0.3
    dimer.calc = SourceCalculator(analytic.Morse())
    BFGS(dimer, logfile=None).run(fmax=1e-5)
    assert dimer.get_distance(0, 1) == pytest.approx(0.741, abs=1e-6)
    assert dimer.get_potential_energy() == pytest.approx(-4.75, abs=1e-10)


def test_there_and_back_again_is_the_same():
    source = analytic.SuttonChen()
    back = CalculatorSource(SourceCalculator(source))
    energies, forces = source.energies_and_forces(CLUSTERS)
    np.testing.assert_allclose(back.energies_and_forces(CLUSTERS)[0], energies, rtol=1e-14)
    np.testing.assert_allclose(back.energies_and_forces(CLUSTERS)[1], forces, rtol=1e-12)
    other = CalculatorSource(SourceCalculator(analytic.SuttonChen(a=3.0)))
    assert back.fingerprint != other.fingerprint


def test_a_source_calculator_says_what_it_cannot_do():
    periodic = ase.Atoms("H", cell=[5, 5, 5], pbc=True, calculator=SourceCalculator(analytic.Morse()))
    with pytest.raises(InputError, match="clusters in vacuum, got a structure with periodic boundaries"):
        periodic.get_potential_energy()
    spot = ase.Atoms("H2", np.zeros((2, 3)), calculator=SourceCalculator(analytic.SuttonChen()))
    with pytest.raises(ComputationError, match=r"analytic:sutton-chen.* failed: atoms too close"):
        spot.get_potential_energy()


def test_dynamics_on_a_source_keeps_molecules_whole():
    (start,) = high_density(2, 1, 0, wigner_seitz_radius_bohr=1.2, min_distance=0.7)
    settings = LangevinSettings(wall_radius=4.0, interval=20, equilibration=200, friction=0.1)
    samples = langevin(start, SourceCalculator(analytic.Morse()), 40, 0, settings)
    bonds = np.array([atoms.get_distance(0, 1) for atoms in samples])
    assert 0.5 < bonds.min() < bonds.max() < 1.1
    assert bonds.mean() == pytest.approx(0.741, abs=0.03)


class Magnet(Calculator):
    """E = −(Σ m)², and remembers which moments it was given."""

    implemented_properties = ("energy",)

    def __init__(self):
        super().__init__()
        self.given = []

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        moments = self.atoms.get_initial_magnetic_moments()
        self.given.append(moments.tolist())
        self.results["energy"] = -(float(moments.sum()) ** 2)


def test_moments_of_atoms_reach_the_calculator():
    atoms = Atoms("OHH", [[0, 0, 0], [0.97, 0, 0], [0, 3, 0]], magmoms=[2, 1, 0])
    calculator = Magnet()
    result = decompose(atoms, calculator, dissociation=False, measure_noise=False)
    np.testing.assert_allclose(result.contribution.values, [[-5.0, -4.0, 0.0]])
    assert sorted(calculator.given) == sorted([[2], [1], [0], [2, 1], [2, 0], [1, 0], [2, 1, 0]])


def test_equal_atoms_of_other_moments_are_not_taken_for_one():
    """Neither in a store nor among congruent sub-clusters."""
    pair = Atoms("H2", [[0, 0, 0], [1.0, 0, 0]], magmoms=[1, 0])
    others = [Atoms("H2", pair.positions, magmoms=moments) for moments in ([1, 1], [-1, 1], [0, 0])]
    source = CalculatorSource(Magnet(), invariant=True)
    totals = [float(decompose(one, source, store=None).total[0]) for one in [pair, *others]]
    assert totals == [-1, -4, 0, 0]
    np.testing.assert_array_equal(decompose([pair, *others], source).total.values, totals)


def test_a_store_keeps_moments_apart(tmp_path):
    source = CalculatorSource(Magnet(), fingerprint="magnet")
    for moments, energy, n_evaluated in (([0, 0], 0.0, 2), ([1, 1], -4.0, 2), ([-1, -1], -4.0, 0), ([0, 0], 0.0, 0)):
        atoms = Atoms("H2", [[0, 0, 0], [1.0, 0, 0]], magmoms=moments)
        result = decompose(atoms, source, store=tmp_path / "store.sqlite")
        assert (float(result.total[0]), int(result.n_evaluations[0])) == (energy, n_evaluated)


class AtTemperature(LennardJones):
    """Lennard-Jones whose electrons have an entropy: free energy and energy differ by 0.01 eV an atom."""

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        self.results["free_energy"] = self.results["energy"] - 0.01 * len(self.atoms)


def test_the_free_energy_can_be_asked_for():
    energies = CalculatorSource(AtTemperature()).energies(CLUSTERS)
    source = CalculatorSource(AtTemperature(), free_energy=True)
    np.testing.assert_allclose(source.energies(CLUSTERS), energies - 0.01 * CLUSTERS.n_atoms, atol=1e-12)
    np.testing.assert_allclose(source.energies_and_forces(CLUSTERS)[0], source.energies(CLUSTERS), atol=1e-12)
    cell = ase.Atoms("Ar", cell=np.eye(3) * 9, pbc=True)
    assert source.cell_energy(cell) - CalculatorSource(AtTemperature()).cell_energy(cell) == pytest.approx(-0.01)
    assert source.fingerprint == CalculatorSource(AtTemperature()).fingerprint + " free_energy"
    spec = f"ase:{__name__}.AtTemperature?free_energy=True"
    assert load_source(spec).name == spec
    np.testing.assert_array_equal(load_source(spec).energies(CLUSTERS), source.energies(CLUSTERS))


def test_a_calculator_without_a_free_energy_is_refused():
    message = (
        r"^`free_energy` must be something that the calculator implements, EnergyOnly implements energy; leave it out: where "
        r"there is one energy only, it often is the free energy$"
    )
    with pytest.raises(InputError, match=message):
        CalculatorSource(EnergyOnly(), free_energy=True)


def test_the_energy_of_tblite_is_the_free_energy():
    tblite = pytest.importorskip("tblite.ase")
    with pytest.raises(InputError, match="`free_energy` must be something that the calculator implements, TBLite"):
        CalculatorSource(tblite.TBLite(method="GFN2-xTB", verbosity=0), free_energy=True)


class Exits(LennardJones):
    """Ends the process where it should raise an error, as scripts do that became a calculator."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        if len(atoms) == 2:
            sys.exit("no pairs")
        super().calculate(atoms, properties, ["positions"])


class NeverMade(LennardJones):
    def __init__(self, **options):
        sys.exit(3)


def test_a_calculator_that_calls_exit_ends_nothing():
    found = decompose(Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 4.0]]), CalculatorSource(Exits()))
    assert "SystemExit: no pairs" in found.failure.item()
    assert found.contribution.values[0, 0] == 0
    with pytest.raises(InputError, match=r"could not be built .* SystemExit: 3"):
        load_source(f"ase:{__name__}.NeverMade")
