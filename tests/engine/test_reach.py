"""Claimed cutoffs and boxes, tried on all kinds of sub-clusters of all structures before anything rests on them."""

import itertools
import time

import ase
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones

from bodyorder._checks import InputError
from bodyorder.engine import Sampling, decompose, reach
from bodyorder.engine.selection import Selection
from bodyorder.results.joined import join
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.registry import load_source

#: Pauling's electronegativities.
CHI = {1: 2.20, 6: 2.55, 8: 3.44, 18: 0.0, 14: 1.90}
ARGON = ase.Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]])
LJ = "ase:ase.calculators.lj.LennardJones?sigma=3.4&epsilon=0.0103&rc=9&smooth=True"


class Equilibrated(Calculator):
    """Charges equilibrate over all atoms, however far apart: E = −½ Σ_i (χ_i − ⟨χ⟩)², so unlike fragments never add up."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        chi = np.array([CHI[number] for number in atoms.numbers])
        self.results["energy"] = float(-((chi - chi.mean()) ** 2).sum() / 2)


class ByElements(Calculator):
    """Springs between atoms whose length, where they end smoothly, is a parameter of the pair of elements."""

    implemented_properties = ("energy",)
    ranges: dict = {}  # noqa: RUF012
    delay = 0.0
    calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        type(self).calls += 1
        time.sleep(self.delay)
        energy = 0.0
        for i, j in itertools.combinations(range(len(atoms)), 2):
            reach_of = self.ranges.get(frozenset(atoms.numbers[[i, j]].tolist()), 2.0)
            energy -= max(0.0, reach_of - np.linalg.norm(atoms.positions[i] - atoms.positions[j])) ** 2
        self.results["energy"] = energy


class Triples(Calculator):
    """Three atoms, all nearer than 6 Å to the first of them, have an energy, pairs have none: two and one feel each other."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        distances = atoms.get_all_distances()
        near = np.clip(6.0 - distances, 0, None)
        np.fill_diagonal(near, 0.0)
        self.results["energy"] = 0.01 * sum(
            near[i, j] * near[i, k] for i in range(len(atoms)) for j, k in itertools.combinations(range(len(atoms)), 2)
        )


class NeedsCell(LennardJones):
    """Takes periodic structures only, and inverts their cell."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        np.linalg.inv(atoms.cell.array)
        super().calculate(atoms, properties, system_changes)


def ranges(kind=ByElements, **lengths):
    """Springs that end at these lengths, by pairs of symbols."""

    class Own(kind):
        calls = 0

    Own.ranges = {frozenset(ase.Atoms(pair).numbers.tolist()): length for pair, length in lengths.items()}
    return Own()


def together(*parts, apart=4.0):
    """Structures in a row."""
    row = ase.Atoms()
    for place, part in enumerate(parts):
        part = part.copy()
        part.positions += [apart * place, 0, 0]
        row += part
    return row


def test_unlike_fragments_are_tried_wherever_they_stand_in_a_list():
    """Argon adds up with argon, and water with water; what comes last of all does not."""
    water, methane = molecule("H2O"), molecule("CH4")
    source = CalculatorSource(Equilibrated(), cutoff=5.0)
    same = [ARGON, together(water, water), together(methane, methane)]
    result = decompose(same, source, cutoff=5.0, bodies="molecules", max_order=2, whole=False)
    np.testing.assert_allclose(result.contribution.sel(order=2), 0, atol=1e-12)
    with pytest.raises(
        InputError, match=r"^the cutoff of .* 5 Å is not: .* apart, (CH4|H2O) and (CH4|H2O), the energy"
    ):
        decompose([*same, together(water, methane)], source, cutoff=5.0, bodies="molecules")


def test_unlike_sub_clusters_of_equal_elements_are_tried():
    """Single atoms of one element have no charge to share: of H and O it takes unlike parts of both."""
    hydroxyls = together(
        ase.Atoms("OH", [[0, 0, 0], [0.97, 0, 0]]), ase.Atoms("OH", [[0, 0, 0], [0.97, 0, 0]]), apart=9
    )
    source = CalculatorSource(Equilibrated(), cutoff=5.0)
    with pytest.raises(InputError, match=r"the cutoff of .* 5 Å is not"):
        decompose([ARGON, hydroxyls], source, cutoff=5.0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_pair_of_elements_is_tried(place):
    """Si–C ends before the claim, Si–Si does not; no two silicon atoms are neighbours."""
    carbide = ase.Atoms("SiCSi", [[0, 0, 0], [1.8, 0, 0], [3.6, 0, 0]])
    carbons = ase.Atoms("C3", [[0, 0, 0], [1.8, 0, 0], [3.6, 0, 0]])
    structures = [carbons, carbons]
    structures.insert(place, carbide)
    with pytest.raises(
        InputError, match=r"two sub-clusters 2\.11 Å apart, .*Si and .*Si, the energy differs by 7\.9e-01 eV"
    ):
        decompose(structures, CalculatorSource(ranges(Si2=3.0), cutoff=2.1), cutoff=2.1)
    decompose(structures, CalculatorSource(ranges(Si2=3.0), cutoff=3.0), cutoff=3.0)


def test_elements_inside_molecules_face_each_other_once():
    """Chlorine at one end of each molecule reaches farther than all else does."""
    chain = ase.Atoms("CH2Cl", [[0, 0, 0], [0, 1.1, 0], [0, -1.1, 0], [1.8, 0, 0]])
    ranged = ranges(Cl2=4.5)
    with pytest.raises(InputError, match=r"3\.01 Å apart, CH2Cl and CH2Cl"):
        decompose(
            together(chain, chain, apart=4.6),
            CalculatorSource(ranged, cutoff=3.0),
            cutoff=3.0,
            bodies=[0] * 4 + [1] * 4,
        )


def test_larger_parts_are_tried_where_single_bodies_feel_nothing():
    row = ase.Atoms("Ar4", [[3.0 * place, 0, 0] for place in range(4)])
    with pytest.raises(InputError, match=r"5\.01 Å apart, Ar\d? and Ar\d?, the energy"):
        decompose(row, CalculatorSource(Triples(), cutoff=5.0), cutoff=5.0)
    decompose(row, CalculatorSource(Triples(), cutoff=6.0), cutoff=6.0)


def test_images_of_the_only_atom_of_a_cell_are_tried():
    crystal = bulk("Ar", "fcc", 5.26)
    with pytest.raises(InputError, match=r"the cutoff of .* of two sub-clusters 4\.01 Å apart, Ar\d? and Ar\d?"):
        decompose(crystal, f"{LJ}&additive_cutoff=4", max_order=2)
    with pytest.raises(InputError, match=r"the cutoff of .* of two sub-clusters 4\.01 Å apart"):
        decompose(crystal, f"{LJ}&additive_cutoff=4", max_order=2, sampling=Sampling(20))


def test_what_never_stands_in_one_structure_is_not_tried():
    """Silicon reaches farther than is claimed, and there is one atom of it in each structure."""
    structures = [ase.Atoms("SiC2", [[0, 0, 0], [1.8, 0, 0], [-1.8, 0, 0]]) for _ in range(2)]
    source = CalculatorSource(ranges(Si2=5.0), cutoff=2.1)
    loop = ranges(Si2=5.0)
    result = decompose(structures, source, cutoff=2.1)
    for row, atoms in enumerate(structures):
        assert float(result.total[row]) == pytest.approx(loop.get_potential_energy(atoms), abs=1e-12)


@pytest.mark.parametrize("far", [(0, 0), (0, 7), (3, 5)])
def test_all_pairs_of_eight_elements_are_tried_at_a_bounded_cost(far):
    numbers = np.random.default_rng(0).permutation(np.repeat(np.arange(21, 29), 3))
    grid = np.array(list(itertools.product(range(3), range(3), range(3))))[: len(numbers)]
    atoms = ase.Atoms(numbers, 1.9 * grid)
    symbols = "".join(ase.Atoms([21 + far[0], 21 + far[1]]).get_chemical_symbols())
    wrong, right = (CalculatorSource(ranges(**lengths), cutoff=2.0) for lengths in ({symbols: 2.5}, {}))
    pieces = Selection(max_order=3, cutoff=2.0).pieces([atoms], right)
    assert pieces[0].family.sizes[2] > 100
    with pytest.raises(InputError, match=r"2 Å is not: of two sub-clusters 2\.01 Å apart"):
        reach.try_cutoff(pieces, wrong)
    reach.try_cutoff(pieces, right)
    assert 4 * 8 * 9 / 2 <= type(right.calculator).calls <= 4 * sum(reach.PAIRS)


def test_a_slow_source_is_tried_no_longer_than_some_seconds(monkeypatch):
    structure = ase.Atoms("SiCOH", [[0, 0, 0], [1.9, 0, 0], [3.8, 0, 0], [5.7, 0, 0]])
    counts = []
    for seconds in (60.0, 0.1):
        monkeypatch.setattr(reach, "SECONDS", seconds)
        calculator = ranges()
        type(calculator).delay = 0.02
        source = CalculatorSource(calculator, cutoff=2.0)
        others = {"measure_noise": False, "dissociation": False}
        decompose(structure, source, cutoff=2.0, max_order=2, whole=False, **others)
        counts.append(type(calculator).calls)
    assert counts[1] == 4 * reach.AT_ONCE + 7 < counts[0]  # four energies a trial, and four atoms and three pairs


def test_what_is_too_much_is_spread():
    assert reach._spread([[], list(range(100))], (10, 10)) == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert reach._spread([[1, 2], [10, 20, 30]], (64, 64)) == [1, 10, 2, 20, 30]
    assert len(reach._spread([list(range(100)), list(range(50))], (60, 20))) == 80
    assert reach._spread([[], []], (4, 4)) == []


@pytest.mark.parametrize("one_body", ["model", "dissociation", {"Ar": 0.0}])
def test_a_box_that_a_short_claim_makes_is_refused_without_a_cutoff(one_body):
    """Right are 0, −0.0096, 0, 0 eV per body; images across boxes of 5 Å gave −0.0132, +0.0031, −0.0076, +0.0036."""
    square = ase.Atoms("Ar4", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0], [3.8, 3.8, 0]])
    with pytest.raises(
        InputError,
        match=r"^the boxes of ase:.* must leave more vacuum than anything acts over, and 5 Å is not more: with 10 Å the energy "
        r"of Ar\d? differs by .* eV; it acts across the box, so give a larger cutoff or a larger box, such as boxed=10$",
    ):
        decompose(square, f"{LJ}&boxed=true&additive_cutoff=5", one_body=one_body)
    free = decompose(square, LJ).contribution
    for boxes in ("boxed=true&additive_cutoff=9", "boxed=9", "boxed=30", "boxed=12&additive_cutoff=9"):
        result = decompose(square, f"{LJ}&{boxes}")
        np.testing.assert_allclose(result.contribution, free, atol=1e-12)
        assert "boxes" not in result.attrs


def test_what_acts_across_boxes_without_a_claim_is_said(caplog):
    """Of one argon atom, by hand: six images at 7.01 Å, and those at √2 and beyond 9 Å have nothing."""
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    alone, there = ase.Atoms("Ar"), ase.Atoms("Ar2", [[0, 0, 0], [7.01, 0, 0]])
    loop = LennardJones(sigma=3.4, epsilon=0.0103, rc=9, smooth=True)
    image = loop.get_potential_energy(there) - 2 * loop.get_potential_energy(alone)
    result = decompose(dimer, f"{LJ}&boxed=7", subsets=True)
    assert result.contribution.values[0, 0] == pytest.approx(2 * 3 * image, abs=1e-9)
    assert result.attrs["boxes"].startswith("ase:ase.calculators.lj.LennardJones?boxed=7&")
    assert "acts across its boxes of 7 Å: with 14 Å the energy of Ar2 differs by" in result.attrs["boxes"]
    assert result.attrs["boxes"] in caplog.text


def test_joined_results_say_what_one_of_them_says_of_boxes():
    near, lone = (decompose(ase.Atoms("Ar"), f"{LJ}&boxed=7") for _ in range(2))
    del lone.attrs["boxes"]
    assert join({"near": near, "lone": lone}).attrs["boxes"] == near.attrs["boxes"]


def test_programs_that_need_a_cell_say_how_they_get_one():
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [3.8, 0, 0]])
    options = {"sigma": 3.4, "epsilon": 0.0103, "rc": 9.0, "smooth": True}
    result = decompose(dimer, CalculatorSource(NeedsCell(**options)))
    assert (
        "LinAlgError: Singular matrix (a calculator that needs a periodic cell gets one by boxed=true or boxed=30)"
        in result.failure.item()
    )
    boxed = decompose(dimer, CalculatorSource(NeedsCell(**options), boxed=30))
    free = decompose(dimer, CalculatorSource(LennardJones(**options)))
    np.testing.assert_allclose(boxed.contribution, free.contribution, atol=1e-12)


def test_a_box_is_part_of_the_name_and_of_the_fingerprint():
    spec = f"ase:{__name__}.NeedsCell?boxed=30"
    source = load_source(spec)
    assert source.name == spec
    assert source.boxed == 30.0
    assert source.fingerprint.endswith(" boxed=30")


def test_dispersion_with_charge_equilibration_never_adds_up():
    """D4 of a list that begins with argon: E(2) of methane and water at 33 Å and beyond is +1 meV, whatever is claimed."""
    dftd4 = pytest.importorskip("dftd4.ase")
    source = CalculatorSource(dftd4.DFTD4(method="PBE"), cutoff=33.0)
    mixed = together(molecule("CH4"), molecule("H2O"), apart=40.0)
    loop = [dftd4.DFTD4(method="PBE").get_potential_energy(atoms) for atoms in (mixed, mixed[:5], mixed[5:])]
    assert loop[0] - loop[1] - loop[2] > 1e-3
    for bodies in ("molecules", "atoms"):
        near = together(molecule("CH4"), molecule("H2O"), apart=4.0)
        with pytest.raises(InputError, match=r"the cutoff of ase:dftd4.* must be .* and 33 Å is not"):
            decompose([ARGON, near], source, cutoff=33.0, bodies=bodies, max_order=2, whole=False)


@pytest.mark.filterwarnings("ignore:'where' used without 'out'")
@pytest.mark.parametrize("claim", [2.11, 2.6])
def test_a_claim_shorter_than_the_longest_bond_of_silicon_carbide_is_found(claim):
    """Tersoff's carbide: C–C ends at 2.1 Å, Si–C at 2.51, Si–Si at 3.0 (Phys. Rev. B 39, 5566 (1989)); no Si–Si is that near."""
    calculators = pytest.importorskip("matscipy.calculators.manybody")
    tersoff = pytest.importorskip("matscipy.calculators.manybody.explicit_forms.tersoff_brenner")
    crystal = bulk("SiC", "zincblende", 4.3596, cubic=True)
    calculator = calculators.Manybody(**tersoff.TersoffBrenner(tersoff.Tersoff_PRB_39_5566_Si_C))
    message = rf"{claim} Å is not: of two sub-clusters {claim + 0.01:g} Å apart, .* and .*Si, the energy"
    with pytest.raises(InputError, match=message):
        decompose(crystal, CalculatorSource(calculator, cutoff=claim, boxed=12.0), max_order=2)
    whole = decompose(crystal, CalculatorSource(calculator, cutoff=3.0, boxed=12.0), max_order=2)
    assert whole.failure.item() == ""
