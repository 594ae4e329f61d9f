import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from lone_potentials import OWN, TABLE, Failing, Tabulated

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.dissociation import DISTANCES, far_pairs, with_lone_atoms
from bodyorder.sources.one_body import OneBodySource, check_one_body, parse_one_body, stored_as
from bodyorder.sources.protocol import FailedClusters, Precision
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch
from bodyorder.structures.kinds import AtomKind, pair_label
from bodyorder.testing import check_source

H, O = AtomKind(1), AtomKind(8)  # noqa: E741 - oxygen
SODIUM, CHLORIDE = AtomKind(11, 1), AtomKind(17, -1)


def lone(*symbols, charges=None):
    given = charges or [0] * len(symbols)
    return ClusterBatch.from_atoms([Atoms(symbol, charges=[own]) for symbol, own in zip(symbols, given, strict=True)])


@pytest.mark.parametrize(
    ("label", "kind"),
    [("H", H), ("Na+", SODIUM), ("Cl-", CHLORIDE), ("O2-", AtomKind(8, -2)), ("Fe3+", AtomKind(26, 3))],
)
def test_kinds_are_written_as_chemistry_writes_them(label, kind):
    assert AtomKind.parse(label) == kind
    assert str(kind) == label


def test_pairs_are_named_in_alphabetical_order():
    assert pair_label((O, H)) == "H O"
    assert pair_label((SODIUM, CHLORIDE)) == "Cl- Na+"
    assert str(AtomKind(26, 0, 4.0)) == "Fe(4)"


@pytest.mark.parametrize("label", ["h", "HO", "Xx", "H+1", "", 1, "X2"])
def test_what_is_no_kind_of_atom(label):
    with pytest.raises(
        InputError, match=r"^a lone atom must be an element, with its charge if it has one \(H, Na\+, O2-\), got "
    ):
        AtomKind.parse(label)


def test_choices_in_words_and_as_the_command_line_has_them():
    assert check_one_body("dissociation") == ("dissociation", {})
    assert check_one_body({"H": -13.6, "Na+": 1}) == ("values", {H: -13.6, SODIUM: 1.0})
    assert parse_one_body("model") == "model"
    assert parse_one_body("H=-13.6, Na+=-4410.5") == {"H": -13.6, "Na+": -4410.5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dissociate", r"^`one_body` must be one of dissociation, model, got 'dissociate'; did you mean 'dissociation'\?$"),
        ("values", r"^`one_body` must be one of model, dissociation, or energies .* such as \{'H': -13\.6\}, got 'values'$"),
        (None, r"^`one_body` must be one of model, dissociation, or energies in eV"),
        ({}, r"^`one_body` must give the energy of one element or more, got none$"),
        ({"H": np.nan}, r"^`one_body` must give energies in eV, got nan for H$"),
        ({"H": "-13.6"}, r"^`one_body` must give energies in eV, got '-13\.6' for H$"),
        ({"H": True}, r"^`one_body` must give energies in eV, got True for H$"),
        ({"h": -13.6}, r"^a lone atom must be an element"),
    ],
)  # fmt: skip
def test_wrong_choices(given, message):
    with pytest.raises(InputError, match=message):
        check_one_body(given)


@pytest.mark.parametrize("text", ["H=", "H=-13.6,", "H=a", "H=1;O=2"])
def test_wrong_choices_of_the_command_line(text):
    with pytest.raises(
        InputError, match=r"^`one_body` must give energies in eV as H=-13\.6,O=-2041\.3, and '.*' is none$"
    ):
        parse_one_body(text)


def test_lone_atoms_are_of_the_table_and_all_else_is_of_the_source():
    source = Tabulated(charged=True)
    given = OneBodySource(source, "values", {H: -1.5, SODIUM: 2.5})
    np.testing.assert_array_equal(given.energies(lone("H", "Na", "H", charges=[0, 1, 0])), [-1.5, 2.5, -1.5])
    energies, forces = given.energies_and_forces(lone("H"))
    assert (energies.tolist(), forces.tolist()) == ([-1.5], [[[0.0, 0.0, 0.0]]])
    pair = ClusterBatch.from_atoms([Atoms("HO", [[0, 0, 0], [1, 0, 0]])])
    for found, expected in zip(given.energies_and_forces(pair), source.energies_and_forces(pair), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert pickle.loads(pickle.dumps(given)).energies(lone("H")).tolist() == [-1.5]


def test_the_same_element_in_another_state_of_charge_is_another_atom():
    given = OneBodySource(Tabulated(charged=True), "values", {H: -1.5})
    with pytest.raises(FailedClusters, match=r"^the energy of a lone H\+ is not known: `one_body` lacks it$") as failed:
        given.energies(lone("H", "H", charges=[0, 1]))
    np.testing.assert_array_equal(failed.value.energies, [-1.5, np.nan])


def test_energies_of_atoms_are_those_of_lone_ones():
    source = load_source("analytic:pair?kind=morse")
    found = OneBodySource(source, "values", {H: -1.5}).evaluate_atoms(lone("H"), True)
    assert found.atom_energies.tolist() == [[-1.5]]
    assert found.forces.tolist() == [[[0, 0, 0]]]


def test_what_changes_numbers_is_in_the_fingerprint_and_larger_sub_clusters_are_the_sources():
    source = Tabulated()
    names = {
        OneBodySource(source, choice, values).fingerprint
        for choice, values in [("values", {H: -1.5}), ("values", {H: -1.25}), ("dissociation", {H: -1.5})]
    }
    assert len(names | {source.fingerprint}) == 4
    given = OneBodySource(source, "values", {H: -1.5, O: 2.0})
    assert given.fingerprint == OneBodySource(source, "values", {O: 2.0, H: -1.5}).fingerprint
    assert stored_as(given, 1) == given.fingerprint
    assert stored_as(given, 2) == stored_as(source, 1) == source.fingerprint
    assert given.name == source.name


@pytest.mark.parametrize("one_body", ["dissociation", {"H": -1.0, "O": 2.0}])
@pytest.mark.parametrize("kind", [Tabulated, Failing])
def test_a_source_with_other_lone_atoms_conforms(kind, one_body):
    check_source(kind(), species=["H", "O"], one_body=one_body).raise_if_failed()


def test_a_check_says_what_to_do_about_lone_atoms_that_fail():
    (failed,) = check_source(Failing()).failures
    assert failed.detail == (
        "the source failed for a lone atom: no neighbours; one_body=dissociation, or values by element, gives it another energy"
    )


def test_far_pairs_are_what_atoms_of_the_model_have():
    found = far_pairs([(H, H), (H, O)], Tabulated())
    assert {pair: far.energy for pair, far in found.items()} == {(H, H): 2 * OWN[1], (H, O): OWN[1] + OWN[8]}
    assert {far.distance for far in found.values()} == {DISTANCES[1]}
    assert all(far.message == "" for far in found.values())


def test_a_cutoff_of_its_own_says_how_far():
    source = load_source("analytic:pair?kind=morse&cutoff=5")
    (far,) = far_pairs([(H, H)], source).values()
    assert (far.energy, far.distance, far.change) == (0.0, 5.01, 0.0)


def test_a_cutoff_by_the_word_of_a_user_is_looked_beyond():
    """Lennard-Jones reaches 9 Å, where 5 are claimed."""
    source = load_source(
        "ase:ase.calculators.lj.LennardJones?sigma=3.4&epsilon=0.0103&rc=9&smooth=true&additive_cutoff=5"
    )
    (far,) = far_pairs([(H, H)], source).values()
    assert far.energy == 0.0
    assert far.distance > 9


def test_tails_are_followed_until_they_end():
    """Of 4εσ⁶/r⁶ nothing that counts is left where the last two distances agree to 1e-10 eV."""
    (far,) = far_pairs([(H, H)], load_source("analytic:pair?epsilon=0.01&sigma=3.4")).values()
    assert far.message == ""
    assert abs(far.energy) < 1e-11
    assert far.distance in DISTANCES[2:]


class Coulomb(Tabulated):
    """With q² of the charges of both atoms over their distance, in eV."""

    def energies(self, batch):
        charges, positions = batch.of_members("charges"), batch.positions
        attraction = (
            14.399645 * charges[:, 0] * charges[:, -1] / np.linalg.norm(positions[:, 0] - positions[:, -1], axis=1)
        )
        return super().energies(batch) + attraction


def test_charges_that_feel_each_other_at_any_distance_have_no_such_energy():
    source = Coulomb(charged=True)
    (far,) = far_pairs([(SODIUM, CHLORIDE)], source).values()
    assert far.message == "1000 Å apart the energy still changes, by 1.4e-02 eV"
    ions = with_lone_atoms(source, "dissociation", [SODIUM])
    with pytest.raises(
        FailedClusters, match=r"^the energy of a lone Na\+ is not known: of two 1000 Å apart the energy still"
    ):
        ions.energies(lone("Na", charges=[1]))


class Scattering(Tabulated):
    """Energies that converge to 1e-7 eV, and claim to be exact."""

    calls = 0

    def energies(self, batch):
        self.calls += 1
        return super().energies(batch) + 1e-7 * np.sin(1e6 * self.calls)


def test_energies_that_converge_only_so_far_count_as_those_of_dissociated_atoms():
    (far,) = far_pairs([(H, H)], Scattering(precision=Precision(absolute=1e-14))).values()
    assert far.message == ""
    assert far.energy == pytest.approx(2 * OWN[1], abs=2e-7)
    assert 1e-10 < far.change < 4e-7


class Blind(Tabulated):
    """Fails for atoms more than 100 Å apart."""

    def energies(self, batch):
        if batch.n_atoms > 1 and np.ptp(batch.positions[..., 0]) > self.reach:
            raise FailedClusters(dict.fromkeys(range(len(batch)), "too far"), np.full(len(batch), np.nan))
        return super().energies(batch)


def test_a_source_that_fails_far_apart_has_no_such_energy():
    (far,) = far_pairs([(H, H)], Blind(reach=10)).values()
    assert (far.message, np.isnan(far.energy)) == ("30 Å apart: too far", True)
    (far,) = far_pairs([(H, H)], Blind(reach=40)).values()
    assert (far.message, far.energy) == ("60 Å apart: too far", 2 * OWN[1])


def test_check_reports_what_lone_atoms_miss():
    (found,) = [check for check in check_source(Tabulated(), species=["H", "O"]).checks if check.name == "dissociation"]
    assert found.passed is None
    assert found.value == pytest.approx(2 * (OWN[8] - TABLE[8]))
    assert found.detail == (
        "two atoms far apart minus two lone ones: H–H +2.07e+01 eV at 60 Å, H–O +2.04e+03 eV at 60 Å, O–O +4.07e+03 eV at 60 Å; "
        "every order from 2 on is shifted, unless one_body gives lone atoms another energy"
    )
    (found,) = [check for check in check_source("analytic:pair?cutoff=5").checks if check.name == "dissociation"]
    assert (found.passed, found.value) == (True, 0.0)
    assert found.detail == "two atoms far apart minus two lone ones: H–H +0.00e+00 eV at 5.01 Å"


def test_an_element_has_one_energy():
    with pytest.raises(InputError, match="one energy for each element, and gives two for H"):
        parse_one_body("H=-13.6,O=-2041.3,H=-13.5")
    with pytest.raises(InputError, match=r"one energy for each element, and gives two for Na\+"):
        check_one_body({"Na+": -1.0, "Na1+": -2.0})


class TabulatedLennardJones(LennardJones):
    """A pair potential of ASE whose lone atoms are an entry of a table."""

    def calculate(self, atoms=None, properties=None, system_changes=("positions", "numbers")):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) == 1 and not atoms.pbc.any():
            self.results["energy"] = -0.25


@pytest.mark.parametrize(("kind", "one_body"), [(TabulatedLennardJones, "model"), (LennardJones, {"H": -3.0})])
def test_lone_atoms_that_spoil_a_cutoff_are_named(kind, one_body):
    crystal = Atoms("H", cell=[2.5, 2.6, 2.7], pbc=True)
    source = CalculatorSource(kind(rc=4.0, smooth=True), cutoff=4.0, together=False)
    with pytest.raises(InputError, match=r"Å apart, H and H, .* leave it out, or choose .* one_body=dissociation"):
        decompose(crystal, source, one_body=one_body, cutoff=4.0, max_order=2)
    found = decompose(crystal, source, one_body="dissociation", cutoff=4.0, max_order=2)
    plain = decompose(crystal, CalculatorSource(LennardJones(rc=4.0, smooth=True), cutoff=4.0), cutoff=4.0, max_order=2)
    np.testing.assert_allclose(found.contribution, plain.contribution, rtol=0, atol=1e-12)
