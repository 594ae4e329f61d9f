"""How calculators of ASE are told charge and spin, and what of their own they may not keep."""

import logging
import pickle

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.calculators.mopac import MOPAC
from spin_cases import RULES, SQUARE, Recorder, exchange, pieces_of

from bodyorder import check_source, decompose
from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.told import Told
from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.pyscf.source import PyscfSource
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch

IONS = ase.Atoms("OHHeH", 1.1 * np.eye(4)[:, :3] + [0.1, 0.2, 0.3], charges=[-1, 0, 1, 0], magmoms=[1, -1, 1, 1])
BODIES = np.array([0, 0, 1, 2])


# ------------------------------------------------------------------------------------------------------------- one rule


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("atoms", "bodies"), [(SQUARE, None), (IONS, None), (IONS, BODIES)], ids=["H4", "ions", "bodies"]
)
def test_a_potential_and_a_mean_field_are_told_the_same_spins(rule, atoms, bodies, monkeypatch):
    """What a calculator finds in ``info``, and what Hartree-Fock by PySCF is asked for, of the same sub-clusters."""
    asked = []

    def spy(self, batch, spins, forces, compute=PyscfSource._compute, **wanted):
        asked.extend((tuple(members), spin + 1) for members in batch.members.tolist() for spin in spins)
        return compute(self, batch, spins, forces, **wanted)

    monkeypatch.setattr(PyscfSource, "_compute", spy)
    calculator = Recorder()
    potential = CalculatorSource(calculator, charged=True, spin=rule, spin_key="spin")
    mean_field = load_source(f"pyscf:uhf/6-31g?spin={rule}")
    assert potential.capabilities.spin == mean_field.capabilities.spin == rule
    assert set(mean_field.capabilities.context) - {"field"} <= set(potential.capabilities.context)
    for size in range(1, len(atoms) + 1):
        batch = pieces_of(atoms, size, bodies)
        if atoms is IONS and rule == "pattern":  # OH⁻ and He⁺ alone have no such moments as were given to their atoms
            batch = batch.select(np.flatnonzero((batch.members != 0).all(axis=1)))
        if not len(batch):
            continue
        asked.clear()
        calculator.told.clear()
        known = mean_field.evaluate(batch, False)
        found = potential.evaluate(batch, False)
        told = [info["spin"] for info in calculator.told]
        assert [info["charge"] for info in calculator.told] == [
            int(batch.charges[row]) for row in range(len(batch)) for _ in _of(asked, batch, row)
        ]
        assert told == [spin for row in range(len(batch)) for spin in _of(asked, batch, row)]
        if rule in ("low", "high", "pattern"):
            np.testing.assert_array_equal(found.records["multiplicity"], known.records["multiplicity"])


def _of(asked, batch, row):
    return sorted({spin for members, spin in asked if members == tuple(batch.members[row].tolist())})


# ----------------------------------------------------------------------------------------------------------- the lowest


def by_hand(batch, row, spins):
    """The lowest energy over some multiplicities, with its forces, energies of atoms and multiplicity."""
    found = [(*exchange(batch.positions[row], spin), spin) for spin in spins]
    return min(found, key=lambda one: one[0].sum())


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_lowest_of_all_multiplicities_counts(size):
    batch = pieces_of(SQUARE, size)
    source = CalculatorSource(Recorder(), spin="ground", spin_key="spin")
    assert source.capabilities.records == ("multiplicity",)
    found, resolved = source.evaluate(batch, True), source.evaluate_atoms(batch, True)
    for row in range(len(batch)):
        shares, forces, spin = by_hand(batch, row, range(1 + size % 2, size + 2, 2))
        for given in (found, resolved):
            assert given.energies[row] == shares.sum()
            np.testing.assert_array_equal(given.forces[row], forces)
            assert given.records["multiplicity"][row] == spin
        np.testing.assert_array_equal(resolved.atom_energies[row], shares)
    np.testing.assert_array_equal(source.energies_and_forces(batch)[0], found.energies)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.energies(batch), found.energies)


def test_results_record_the_multiplicity(tmp_path):
    source = CalculatorSource(Recorder(), spin="ground", spin_key="spin")
    result = decompose(SQUARE, source, subsets=True, store=tmp_path / "energies.sqlite")
    assert result.attrs["spin"] == "ground"
    again = decompose(SQUARE, source, subsets=True, store=tmp_path / "energies.sqlite")
    for one in (result, again):
        members, found = one.subsets.subset_members.values, one.subsets.subset_multiplicity.values
        for chosen, multiplicity in zip(members, found, strict=True):
            atoms = SQUARE[chosen[chosen >= 0]]
            spins = range(1 + len(atoms) % 2, len(atoms) + 2, 2)
            assert multiplicity == min(spins, key=lambda spin: exchange(atoms.positions, spin)[0].sum())


class Fails(Recorder):
    """Computes no triplet, and no energy of a quartet."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        if atoms.info["spin"] == 3:
            raise RuntimeError("no triplets here")
        super().calculate(atoms, properties, system_changes)
        if atoms.info["spin"] == 4:
            self.results["energy"] = np.nan


def test_a_multiplicity_that_fails_could_have_been_the_lowest():
    source = CalculatorSource(Fails(), spin="ground", spin_key="spin")
    for size, message in ((2, "multiplicity 3: RuntimeError: no triplets here"), (3, "multiplicity 4: .* not finite")):
        batch = pieces_of(SQUARE, size)
        found = source.evaluate(batch, True)
        assert np.isnan(found.energies).all()
        assert np.isnan(found.records["multiplicity"]).all()
        assert sorted(found.messages) == list(range(len(batch)))
        with pytest.raises(FailedClusters, match=message):
            source.energies(batch)
    assert np.isfinite(source.energies(pieces_of(SQUARE, 1))).all()


def test_a_spin_that_nothing_depends_on_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        decompose(SQUARE, CalculatorSource(LennardJones(), spin="ground", spin_key="spin"), max_order=3)
    assert caplog.messages == [
        "ase.calculators.lj.LennardJones gives one energy for every spin that it is told by spin: it may not read it"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        decompose(SQUARE, CalculatorSource(Recorder(), spin="ground", spin_key="spin"), max_order=3)
    assert caplog.messages == []


def test_the_conformance_kit_takes_it():
    for rule in ("low", "ground", "high"):
        check_source(CalculatorSource(Recorder(), spin=rule, spin_key="spin")).raise_if_failed()


def test_two_patterns_in_one_store(tmp_path):
    parallel = SQUARE.copy()
    parallel.set_initial_magnetic_moments([1, 1, 1, 1])
    source = CalculatorSource(Recorder(), spin="pattern", spin_key="spin")
    fresh = [decompose(atoms, source).total.values[0] for atoms in (SQUARE, parallel)]
    kept = [decompose(atoms, source, store=tmp_path / "s.db").total.values[0] for atoms in (SQUARE, parallel)]
    assert kept == fresh == [exchange(SQUARE.positions, spin)[0].sum() for spin in (1, 5)]


def test_what_a_structure_states_is_held_against_the_rule():
    atoms = molecule("O2")
    atoms.info["spin"] = 3
    with pytest.raises(
        InputError, match="takes the lowest spin, structure 0 states a multiplicity of 3; choose another"
    ):
        decompose(atoms, CalculatorSource(Recorder(), spin="low", spin_key="spin"))
    result = decompose(atoms, CalculatorSource(Recorder(), spin="high", spin_key="spin"))
    assert "multiplicity 3 (spin=high chooses its own)" in result.attrs["input"]


def test_a_cell_has_no_spin():
    source = CalculatorSource(Recorder(), cutoff=3.0, spin="high", spin_key="spin")
    assert not source.capabilities.cell_energy
    cell = ase.Atoms("H", cell=[9, 9, 9], pbc=True)
    with pytest.raises(
        InputError, match="must give cell_energy, and does not; a cell has no spin by a rule for sub-cl"
    ):
        source.cell_energy(cell)
    additive = CalculatorSource(LennardJones(rc=5.0), cutoff=5.0, spin="high", spin_key="spin")
    assert np.isnan(decompose(cell, additive, max_order=2).total.values[0])


# ----------------------------------------------------------------------------------------------------------------- keys


class Reads(Calculator):
    """Remembers ``info``, charges and moments of what it was given, and has an energy of 0."""

    implemented_properties = ("energy",)

    def __init__(self, **own):
        super().__init__()
        self.given = []
        vars(self).update(own)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        charges, moments = atoms.get_initial_charges(), atoms.get_initial_magnetic_moments()
        self.given.append((dict(atoms.info), charges.tolist(), moments.tolist()))
        self.results["energy"] = 0.0


def told(calculator, atoms, **options):
    CalculatorSource(calculator, **options).energies(ClusterBatch.from_atoms([atoms]))
    return calculator.given[-1]


OXYGEN_ION = ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.3]], charges=[-1, 0])


@pytest.mark.parametrize(
    ("options", "info", "charges", "moments"),
    [
        ({}, {"charge": 0}, [0, 0], [0, 0]),
        ({"charged": True}, {"charge": -1}, [-1, 0], [0, 0]),
        ({"charged": True, "charge_key": "total_charge"}, {"total_charge": -1}, [-1, 0], [0, 0]),
        ({"spin": "high", "spin_key": "mult"}, {"charge": 0, "mult": 5}, [0, 0], [0, 0]),
        ({"charged": True, "spin": "high", "spin_key": "total_spin"}, {"charge": -1, "total_spin": 4}, [-1, 0], [0, 0]),
        ({"charged": True, "spin": "high", "spin_key": "uhf"}, {"charge": -1, "uhf": 3}, [-1, 0], [0, 0]),
        ({"spin": "high", "spin_key": "moments"}, {"charge": 0}, [0, 0], [2, 2]),
        ({"charged": True, "spin": "high", "spin_key": "moments"}, {"charge": -1}, [-1, 0], [1.5, 1.5]),
    ],
)  # fmt: skip
def test_what_a_calculator_finds(options, info, charges, moments):
    atoms = OXYGEN_ION.copy()
    if "charged" not in options:
        atoms.set_initial_charges(None)
    assert told(Reads(), atoms, **options) == (info, charges, moments)
    assert all(type(value) is int for value in info.values())  # Orb refuses numbers of numpy


def test_moments_by_a_pattern_are_those_of_the_structure():
    atoms = SQUARE.copy()
    atoms.set_initial_magnetic_moments([-1, 1, -1, -1])
    assert told(Reads(), atoms, spin="pattern", spin_key="moments")[2] == [1, -1, 1, 1]
    assert told(Reads(), atoms, spin="low", spin_key="moments")[2] == [0, 0, 0, 0]
    assert told(Reads(), atoms)[2] == [-1, 1, -1, -1]  # without a rule they are what the calculator makes of them


@pytest.mark.parametrize("count", [1, 3, 7, 11])
def test_shares_of_unpaired_electrons_add_up_exactly(count):
    """Programs cut off what is behind the point."""
    atoms = ase.Atoms(f"N{count}", np.random.default_rng(0).normal(scale=3, size=(count, 3)))
    moments = told(Reads(), atoms, spin="high", spin_key="moments")[2]
    assert sum(moments) == sum(reversed(moments)) == np.sum(moments) == 3 * count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spin_key": "spin"}, "`spin_key` must come with a spin rule, which says what is told under it; say spin=low or"),
        (
            {"spin": "low"},
            r"`spin_key` must be given for .*Reads, of which it is not known how .* reads \(spin, mult, .*\), or moments, where",
        ),
        ({"spin": "hi", "spin_key": "spin"}, "`spin` must be one of ground, high, low, pattern, got 'hi'; did you mean"),
        (
            {"spin": "low", "spin_key": "spn"},
            "`spin_key` must be a name under which a calculator reads a multiplicity, such as .*, got 'spn'; did you mean 'spin'",
        ),
        ({"spin": "low", "spin_key": 3}, "`spin_key` must be a name .*, got 3"),
        ({"charge_key": "moments"}, "`charge_key` must be a name under which a calculator reads a charge, such as charge, tot"),
        ({"charge_key": "totalcharg"}, "got 'totalcharg'; did you mean 'total_charge'"),
    ],
)  # fmt: skip
def test_keys_that_mean_nothing(options, message):
    with pytest.raises(InputError, match=message) as raised:
        CalculatorSource(Reads(), **options)
    assert "\n" not in str(raised.value)


def test_names_and_fingerprints_hold_what_is_told():
    plain = CalculatorSource(LennardJones())
    assert plain.name == "ase:ase.calculators.lj.LennardJones"
    assert CalculatorSource(LennardJones(), charge_key="charge").fingerprint == plain.fingerprint
    prints = {
        CalculatorSource(LennardJones(), **options).fingerprint
        for options in (
            {},
            {"charge_key": "total_charge"},
            {"spin": "low", "spin_key": "spin"},
            {"spin": "high", "spin_key": "spin"},
            {"spin": "high", "spin_key": "mult"},
            {"spin": f"{RULES[-1]}", "spin_key": "mult"},
        )
    }
    assert len(prints) == 6
    spec = "ase:ase.calculators.lj.LennardJones?charge_key=total_charge&epsilon=2&spin=high&spin_key=moments"
    source = load_source(spec)
    assert source.name == spec
    assert load_source(source.name).fingerprint == source.fingerprint
    assert source.fingerprint.endswith(" spin=high spin_key=moments charge_key=total_charge")
    made = CalculatorSource(LennardJones(epsilon=2), spin="high", spin_key="moments", charge_key="total_charge")
    assert made.fingerprint == source.fingerprint
    own = CalculatorSource(LennardJones(), spin=RULES[-1], spin_key="spin", invariant=True)
    assert not own.capabilities.invariant  # it is given positions


# ------------------------------------------------------------------------------------------------- what the field reads


class Neural:
    """The part of AIMNet2's calculator that says whether it takes a spin."""

    def __init__(self, is_nse):
        self.is_nse = is_nse


class AIMNet2ASE(Reads):
    """As aimnet 0.3: what is told comes before its own charge and multiplicity."""

    def __init__(self, charge=0, mult=1, is_nse=True):
        super().__init__(base_calc=Neural(is_nse), charge=charge, mult=mult)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.charge = atoms.info.get("charge", self.charge)
        self.mult = atoms.info.get("mult", self.mult)
        self.results["energy"] = 1.0 * self.charge + 0.1 * self.mult


class ORBCalculator(Reads):
    """As orb-models 0.6: both or neither."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        assert self.expects_charge_and_spin == ("spin" in atoms.info) == ("charge" in atoms.info)


class FAIRChemCalculator(Reads):
    """As fairchem-core 2."""


for kind, home in (
    (AIMNet2ASE, "aimnet"),
    (ORBCalculator, "orb_models.forcefield"),
    (FAIRChemCalculator, "fairchem.core"),
):
    kind.__module__ = f"{home}.calculator"


def test_calculators_of_the_field_are_told_under_their_names():
    high = {"spin": "high", "charged": True}
    ion = ({"charge": -1}, [-1, 0], [0, 0])
    assert told(AIMNet2ASE(), OXYGEN_ION, **high)[0] == {"charge": -1, "mult": 4}
    assert told(FAIRChemCalculator(task_name="omol"), OXYGEN_ION, **high)[0] == {"charge": -1, "spin": 4}
    assert told(FAIRChemCalculator(task_name="omat"), OXYGEN_ION, charged=True) == ion
    assert told(ORBCalculator(expects_charge_and_spin=True), OXYGEN_ION, **high)[0] == {"charge": -1, "spin": 4}
    assert told(ORBCalculator(expects_charge_and_spin=False), molecule("O2"))[0] == {}
    assert told(AIMNet2ASE(is_nse=False), OXYGEN_ION, charged=True) == ion

    class Mine(AIMNet2ASE):
        """What derives from a known class is told like it."""

    assert told(Mine(), OXYGEN_ION, **high)[0] == {"charge": -1, "mult": 4}


def test_calculators_that_take_a_spin_must_be_told_one():
    for calculator in (
        AIMNet2ASE(),
        FAIRChemCalculator(task_name="omol"),
        ORBCalculator(expects_charge_and_spin=True),
        SumCalculator([LennardJones(), AIMNet2ASE()]),
    ):
        with pytest.raises(
            InputError, match=r"^`spin` must be given for .*, which takes the spin of every sub-cluster; cho"
        ):
            CalculatorSource(calculator)
    for calculator in (
        AIMNet2ASE(is_nse=False), FAIRChemCalculator(task_name="omat"), ORBCalculator(expects_charge_and_spin=False),
    ):  # fmt: skip
        for options in ({}, {"spin_key": "spin"}):
            with pytest.raises(InputError, match=r"^`spin` must be left out for .*, which takes no spin$"):
                CalculatorSource(calculator, spin="low", **options)
    with pytest.raises(InputError, match=r"^`spin_key` must be mult for aimnet.*, which reads that, got 'total_spin'$"):
        CalculatorSource(AIMNet2ASE(), spin="low", spin_key="total_spin")
    with pytest.raises(
        InputError, match=r"^`charge_key` must be charge for aimnet.*, which reads that, got 'total_charge'$"
    ):
        CalculatorSource(AIMNet2ASE(), spin="low", charge_key="total_charge")


def test_parts_of_a_calculator_are_told_each_in_its_way():
    one, other = AIMNet2ASE(), Reads()
    source = CalculatorSource(SumCalculator([one, other]), spin="high", charged=True)
    source.energies(ClusterBatch.from_atoms([OXYGEN_ION]))
    assert one.given == other.given == [({"charge": -1, "mult": 4}, [-1, 0], [0, 0])]


# --------------------------------------------------------------------------------------------------- what is its own


@pytest.mark.parametrize(
    ("calculator", "options", "message"),
    [
        (AIMNet2ASE(charge=1), {"spin": "low"}, r"charge=1 of aimnet\.calculator\.AIMNet2ASE must be left out, it would be"),
        (AIMNet2ASE(mult=3), {"spin": "high"}, r"mult=3 of aimnet.* multiplicity of every sub-cluster, and spin=high says which"),
        (Reads(multiplicity=3), {}, "and unpaired electrons of parts add up in the whole; choose a spin rule, such as spin=h"),
        (Reads(uhf=2), {}, "uhf=2 of .* would be the multiplicity of every sub-cluster"),
        (Reads(total_charge=-1), {}, "total_charge=-1 of .* and theirs are those of their atoms; give it to the atoms that carr"),
        (Reads(parameters={"dft": {"mult": 3}}), {}, "mult=3 of "),
        (Reads(parameters={"charge": 0.5}), {}, "charge=0.5 of "),
        (MOPAC(charge=1, command="mopac PREFIX.mop"), {}, "charge=1 of ase.calculators.mopac.MOPAC must be left out"),
        (SumCalculator([EMT(), Reads(charge=1)]), {}, "charge=1 of "),
    ],
)  # fmt: skip
def test_a_charge_or_spin_of_its_own_is_never_overridden(calculator, options, message):
    with pytest.raises(InputError, match=message) as raised:
        CalculatorSource(calculator, **options)
    assert "\n" not in str(raised.value)


def made(charge=None):
    """A calculator that does not show what it was made with."""
    return Reads()


def test_what_a_calculator_was_made_with_need_not_show_on_it():
    with pytest.raises(InputError, match=f"charge=1 of {__name__}.Reads must be left out"):
        load_source(f"ase:{__name__}.made?charge=1&trust=true")
    assert load_source(f"ase:{__name__}.made?trust=true").capabilities.records == ()


def test_a_calculator_that_overwrites_its_own_is_given_it_back():
    """Else a second source of it would find the charge and multiplicity of the last sub-cluster, as if they had been given."""
    calculator = AIMNet2ASE()
    found = [
        decompose(
            OXYGEN_ION, CalculatorSource(SumCalculator([EMT(), calculator]), charged=True, spin="high")
        ).total.values[0]
        for _ in range(2)
    ]
    assert (found[0], calculator.charge, calculator.mult) == (found[1], 0, 1)
    assert {info["mult"] for info, _, _ in calculator.given} == {2, 3, 4}


def test_a_charge_that_all_sub_clusters_have_stays():
    atoms = ase.Atoms("He2", [[0, 0, 0], [0, 0, 3]], charges=[1, 0])
    charged = CalculatorSource(Reads(charge=1), charged=True)
    charged.energies(pieces_of(atoms, 2))
    with pytest.raises(
        InputError, match=r"every sub-cluster, and atoms \[1\] of structure 0 have a charge of \+0; give it to"
    ):
        decompose(atoms, charged)
    zero = Reads(parameters={"charge": 0})  # as Q-Chem's, which then computes an atom for an ion
    decompose(SQUARE, CalculatorSource(zero))
    decompose(SQUARE, CalculatorSource(zero, charged=True))
    for options in ({}, {"charge_key": "charge"}):
        with pytest.raises(InputError, match=r"atoms \[0, 1\] of structure 0 have a charge of \+1"):
            decompose(atoms, CalculatorSource(zero, charged=True, **options))
    heeds = Reads(charge=0)
    with pytest.raises(InputError, match=r"charge=0 of .* have a charge of \+1"):
        decompose(atoms, CalculatorSource(heeds, charged=True))
    decompose(atoms, CalculatorSource(heeds, charged=True, charge_key="charge"))  # a user who knows that it reads it
    with pytest.raises(InputError, match=r"charge=1 of .* and the cell has a charge of \+0"):
        charged.cell_energy(ase.Atoms("He", cell=[5, 5, 5], pbc=True))


def test_a_multiplicity_that_all_sub_clusters_have_stays():
    """Closed shells, one body or all."""
    decompose(ase.Atoms("He2", [[0, 0, 0], [0, 0, 3]]), CalculatorSource(Reads(mult=1)))
    for multiplicity in (1, 2):
        with pytest.raises(
            InputError, match=rf"mult={multiplicity} of .* it would be the multiplicity of every sub-cluster, and at"
        ):
            decompose(ase.Atoms("H2", [[0, 0, 0], [0, 0, 3]]), CalculatorSource(Reads(mult=multiplicity)))
    decompose(SQUARE, CalculatorSource(AIMNet2ASE(is_nse=False)))  # its `mult` means nothing
    decompose(
        SQUARE,
        CalculatorSource(Reads(mult=2.5, charge=0.4, multiplicity=None, spin=3, uhf=0, charges=[1])),
        max_order=2,
    )


def test_orders_of_a_calculator_that_is_told_everything():
    """One eV for each charge and 0.1 for each multiplicity, by a plain loop."""
    atoms = ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.3]], charges=[-1, 0])
    result = decompose(atoms, CalculatorSource(AIMNet2ASE(), charged=True, spin="high"))
    lone = (-1 + 0.1 * 2) + (0 + 0.1 * 3)  # O⁻ like F, O
    np.testing.assert_allclose(result.contribution.values[0], [lone, (-1 + 0.1 * 4) - lone], atol=1e-12)


def test_told_says_what_was_always_told():
    for calculator in (LennardJones(), EMT()):
        for charged in (False, True):
            one = Told(calculator, charged=charged)
            assert (one.identity, one.options, one.context) == ("", {}, ("charges",) * charged + ("moments",))
