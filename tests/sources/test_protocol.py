"""What a source says of itself: claims that are checked, names that are not misspelt, one adapter for plain objects."""

import pickle
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from bodyorder import decompose
from bodyorder._checks import ComputationError, InputError
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources import Capabilities, EnergySource, Evaluation, Precision, load_source
from bodyorder.sources.analytic import Morse
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import METHODS
from bodyorder.testing import check_source

CLAIMED = Capabilities(
    forces=True,
    records=("gap",),
    charged=True,
    context=("moments",),
    batch_size=7,
    versions={"program": "1.2"},
    missing={"cell_energy": "it is for clusters"},
)


class Minimal(EnergySource):
    """The least that a third party writes: E = Σ_{i<j} r_ij."""

    name, fingerprint, cutoff, precision = "minimal", "minimal 1", None, Precision(absolute=1e-12)

    def energies(self, batch):
        apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
        return apart.sum(axis=(1, 2)) / 2


class Plain:
    """The same without the base class."""

    name, fingerprint, cutoff, precision = "plain", "plain 1", None, Precision(absolute=1e-12)

    energies = Minimal.energies


class PlainForces(Plain):
    def energies_and_forces(self, batch):
        return self.energies(batch), np.zeros(batch.positions.shape)


TRIANGLE = Atoms("H3", [[0, 0, 0], [3, 0, 0], [0, 4, 0]])


def test_capabilities_are_frozen_and_travel():
    with pytest.raises(FrozenInstanceError):
        CLAIMED.forces = False
    with pytest.raises(TypeError):
        CLAIMED.versions["program"] = "2"
    for copy in (pickle.loads(pickle.dumps(CLAIMED)), deepcopy(CLAIMED), replace(CLAIMED)):
        assert copy == CLAIMED
        assert hash(copy) == hash(CLAIMED)
    assert replace(CLAIMED, batch_size=8) != CLAIMED
    assert repr(Capabilities(forces=True, batch_size=7)) == "Capabilities(forces=True, batch_size=7)"
    assert repr(Capabilities()) == "Capabilities()"


def test_a_capability_is_no_other_thing_than_a_text_made_a_list():
    assert Capabilities(context=["moments", "bodies"]).context == ("moments", "bodies")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batchsize": 5}, "capabilities have no field 'batchsize'; did you mean 'batch_size'?"),
        ({"charge": True}, "capabilities have no field 'charge'; did you mean 'charged'?"),
        ({"xyz": 1}, "capabilities have no field 'xyz'"),
        ({"forces": 1}, "`forces` must be true or false, got 1"),
        ({"batch_size": 0}, "`batch_size` must be between 1 and 1000000000, got 0"),
        ({"batch_size": 2.5}, "`batch_size` must be an integer between 1 and 1000000000, got 2.5"),
        ({"batch_size": True}, "`batch_size` must be an integer between 1 and 1000000000, got True"),
        ({"context": "moments"}, "`context` must be a tuple of names, got 'moments'; write ('moments',)"),
        (
            {"context": ("moment",)},
            "`context` must be one of bodies, charges, field, moments, got 'moment'; did you mean 'moments'?",
        ),
        (
            {"records": ("gaps",)},
            "`records` must be one of contamination, discarded_weight, extrapolation, gap, multiplicity, uncertainty, got "
            "'gaps'; did you mean 'gap'?",
        ),
        ({"counterpoise": "half"}, "`counterpoise` must be one of full, none, vmfc, got 'half'"),
        ({"counterpoise": None}, "`counterpoise` must be a text, got None"),
        ({"spin": ""}, "`spin` must be a text, got ''"),
        ({"versions": {"numpy": 2}}, "`versions` must be a text, got 2"),
        ({"versions": "numpy"}, "`versions` must be a mapping from names to texts, got 'numpy'"),
        ({"missing": {"force": "no"}}, "`missing` must be one of {}, got 'force'; did you mean 'forces'?"),
        ({"missing": {"forces": "no"}, "forces": True}, "`missing` must name what is not claimed, and 'forces' is"),
    ],
)
def test_what_capabilities_cannot_be(given, message):
    with pytest.raises(InputError) as raised:
        Capabilities(**given)
    assert str(raised.value) == message.format(", ".join(sorted(METHODS)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "batch_size",
            5,
            "`batch_size` of Bad must stand in its capabilities, .* write capabilities = Capabilities.batch_size=",
        ),
        (
            "forces",
            True,
            r"must stand in its capabilities, .* Capabilities\(forces=…\) and a method energies_and_forces\(\)",
        ),
        ("seconds", 3.0, r"`seconds` of Bad must be a method, got 3.0; write capabilities = Capabilities\(seconds=…\)"),
        ("energies_and_force", len, "did you mean 'energies_and_forces'"),
        ("batchsize", 5, "did you mean 'batch_size'"),
        ("capabilites", CLAIMED, "did you mean 'capabilities'"),
        ("fingerprints", "a", "did you mean 'fingerprint'"),
    ],
)
def test_names_that_would_be_ignored(name, value, message):
    with pytest.raises(InputError, match=message):
        type("Bad", (Minimal,), {name: value})
    with pytest.raises(InputError, match=message):
        type("Bad", (Minimal, type("Mixed", (), {name: value})), {})
    late = Minimal()
    setattr(late, name, value)
    with pytest.raises(InputError, match=message.replace("Bad", "Minimal")):
        load_source(late)
    plain = type("Bad", (Plain,), {name: value})
    with pytest.raises(InputError, match=message):
        load_source(plain())
    whole = Plain()
    setattr(whole, name, value)
    with pytest.raises(InputError, match=message.replace("Bad", "Plain")):
        load_source(whole)


def test_what_is_a_class_own_business_is_left_alone():
    class Own(Minimal):
        _batchsize = 5
        evaluated, epsilon, potential, settings, kind, target = 0, 1.0, None, {}, "a", "b"

        def distance(self):
            """Of something."""

    assert load_source(source := Own()) is source


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"capabilities": Capabilities(forces=True)},
            r"Bad must have a method energies_and_forces\(\) to claim forces",
        ),
        ({"evaluate": Minimal.energies}, r"Bad must claim records in its capabilities, since it has evaluate\(\)"),
        ({"megabytes": Minimal.energies}, r"Bad must claim megabytes .* missing={'megabytes': …} says why"),
        ({"capabilities": {"forces": True}}, "`capabilities` of Bad must be Capabilities, got {'forces': True}"),
        (
            {"capabilities": Capabilities(unproven_cutoff=True)},
            "Bad must have a cutoff to call it unproven, and has none",
        ),
    ],
)
def test_claims_and_methods_that_do_not_fit(body, message):
    for base in (Minimal, Plain):
        if base is Plain and "capabilities" not in body:
            continue  # methods of plain objects speak for themselves
        with pytest.raises(InputError, match=message):
            load_source(type("Bad", (base,), body)())


def test_what_a_source_must_have():
    class Nameless(EnergySource):
        cutoff, precision = None, Precision()

        def energies(self, batch):
            return np.zeros(len(batch))

    with pytest.raises(InputError, match="Nameless must have name and fingerprint, and does not; see"):
        load_source(Nameless())
    with pytest.raises(TypeError, match="abstract"):
        EnergySource()
    for given, what in ((Minimal, "the class Minimal"), (Plain, "the class Plain"), (3, "int"), (None, "NoneType")):
        with pytest.raises(
            InputError, match=f"an object with name, fingerprint, cutoff, precision and energies.*; got {what}"
        ):
            load_source(given)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"precision": 1e-9}, "`precision` must be a Precision, got 1e-09"),
        ({"precision": None}, "`precision` must be a Precision, got None"),
        ({"cutoff": -5}, "`cutoff` must be a length in Å or None, got -5"),
        ({"cutoff": float("nan")}, "`cutoff` must be a length in Å or None, got nan"),
        ({"cutoff": "5"}, "`cutoff` must be a length in Å or None, got '5'"),
        ({"fingerprint": None}, "`fingerprint` must be a text, got None"),
        ({"name": 3, "fingerprint": ""}, "`name` must be a text, got 3; `fingerprint` must be a text, got ''"),
        ({"energies": None}, "`energies` of Bad must be a method, got None"),
    ],
)
@pytest.mark.parametrize("base", [Minimal, Plain])
def test_what_a_source_cannot_say_of_itself(base, body, message):
    with pytest.raises(InputError, match=message):
        decompose(TRIANGLE, type("Bad", (base,), body)())


@pytest.mark.parametrize("given", [{"absolute": -1.0}, {"relative": float("nan")}, {"absolute": "1e-9"}])
def test_a_precision_is_no_negative_number(given):
    with pytest.raises(InputError, match="of a precision must be a number, 0 or more, got"):
        Precision(**given)


def test_energies_are_no_complex_numbers():
    bad = type("Bad", (Minimal,), {"energies": lambda self, batch: np.full(len(batch), 1 + 1j)})
    with pytest.raises(ComputationError, match="minimal must give energies as numbers, gave others: complex ones"):
        decompose(TRIANGLE, bad())


def test_a_method_that_cannot_be_asked_says_why():
    class Sometimes(Minimal):
        capabilities = Capabilities(missing={"forces": "ask for derivatives=true"})

        def energies_and_forces(self, batch):
            raise AssertionError("it is not asked")

    with pytest.raises(InputError, match=r"minimal gives energies only; ask for derivatives=true"):
        decompose(TRIANGLE, Sometimes(), forces=True)
    with pytest.raises(InputError, match="minimal must give atom_energies, and does not"):
        Minimal().evaluate_atoms(None, False)


def test_plain_objects_can_what_they_have_methods_for():
    source = load_source(Plain())
    assert source.capabilities == Capabilities()
    assert isinstance(source, EnergySource)
    forces = load_source(PlainForces())
    assert forces.capabilities == Capabilities(forces=True)
    result = decompose(TRIANGLE, PlainForces(), forces=True)
    np.testing.assert_allclose(result.contribution[0], [0, 12, 0], atol=1e-12)
    with pytest.raises(InputError, match="plain gives energies only"):
        decompose(TRIANGLE, Plain(), forces=True)


def test_plain_objects_may_say_more():
    class Told(PlainForces):
        capabilities = Capabilities(forces=True, records=("gap",), batch_size=2)
        largest = 0

        def evaluate(self, batch, forces):
            self.largest = max(self.largest, len(batch))
            return Evaluation(self.energies(batch), records={"gap": np.ones(len(batch))})

    told = Told()
    result = decompose(TRIANGLE, told, subsets=True)
    assert told.largest == 2
    assert (result.subsets.subset_gap == 1).all()


def test_a_plain_source_is_what_its_object_is():
    plain = Plain()
    source = load_source(plain)
    plain.name, plain.cutoff = "renamed", 3.0
    assert (source.name, source.cutoff, repr(source)) == ("renamed", 3.0, "Plain('renamed', cutoff=3.0)")
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.name, copy.capabilities) == ("renamed", Capabilities())


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (Minimal(), "Minimal('minimal')"),
        (CalculatorSource(EMT(), cutoff=6.5), "CalculatorSource('ase:ase.calculators.emt.EMT', cutoff=6.5)"),
        (
            load_source("analytic:pair?kind=morse&cutoff=5"),
            "Morse('analytic:pair?alpha=1.94&cutoff=5.0&epsilon=4.75&kind=morse",
        ),
        (load_source("pyscf:uhf/sto-3g?spin=low"), "PyscfSource('pyscf:uhf/sto-3g?spin=low')"),
    ],
)
def test_a_source_says_what_it_is(source, shown):
    assert repr(source).startswith(shown)
    assert "0x" not in repr(source)


class Unsized(EnergySource):
    """Leaves the size of batches to the engine."""

    name = fingerprint = "unsized"
    cutoff, precision = None, Precision(absolute=1e-12)
    capabilities = Capabilities(seconds=True, batch_size=None)

    def energies(self, batch):
        return Morse().energies(batch)

    def seconds(self, batch):
        return 1e-6


def test_no_size_of_batches_is_as_good_as_nothing_said():
    atoms = Atoms("H4", [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(
        decompose(atoms, Unsized()).contribution, decompose(atoms, Morse()).contribution, atol=1e-12
    )
    assert plan([atoms], Unsized(), Selection()).n_clusters.sum() == 15
    check_source(Unsized()).raise_if_failed()
