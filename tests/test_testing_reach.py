"""How far energies reach and whether they jump: what the conformance kit finds, against potentials whose answer is known."""

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.data import covalent_radii

from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import Capabilities, EnergySource, FailedClusters, Precision
from bodyorder.structures.clusters import System
from bodyorder.testing import check_source
from bodyorder.testing.subject import Subject

#: Where the potentials of these tests end, in Å.
END = 5.0


class Radial(EnergySource):
    """Pair potentials that end at 5 Å."""

    name = fingerprint = "radial"
    cutoff = None
    precision = Precision(absolute=1e-12)

    def __init__(self, pair, cutoff=None, precision=1e-12):
        self.pair, self.cutoff, self.precision = pair, cutoff, Precision(absolute=precision)
        self.asked = 0

    def energies(self, batch):
        self.asked += len(batch)
        apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
        first, second = np.triu_indices(batch.n_atoms, 1)
        return self.pair(apart[:, first, second]).sum(axis=1)


def exponential(distances):
    """Morse's potential of H2, which would go on."""
    bond = np.exp(-1.94 * (distances - 0.741))
    return 4.75 * bond * (bond - 2)


def truncated(distances, jump=None):
    """It stops at 5 Å, from an energy of its own or by what is given."""
    rest = exponential(distances) if jump is None else exponential(distances) - exponential(END) - jump
    return np.where(distances < END, rest, 0.0)


def shifted(distances):
    """It stops at 5 Å with a kink: the energy is zero there, the force is not."""
    return truncated(distances, 0.0)


def smooth(distances):
    """It stops at 5 Å with all derivatives."""
    left = np.clip(1 - distances / END, 1e-12, None)
    return np.where(distances < END, exponential(distances) * np.exp(1 - 1 / left), 0.0)


def found(source, **options):
    return {check.name: check for check in check_source(source, **options).checks}


@pytest.mark.parametrize("jump", [1.5, -1.5, 0.01, -0.01])
def test_a_jump_is_told_with_its_size_and_its_place(jump):
    checks = found(Radial(lambda distances: truncated(distances, jump)))
    assert checks["continuity"].passed is False
    assert checks["continuity"].value == pytest.approx(abs(jump), rel=1e-3)
    assert checks["continuity"].detail == f"the energy of H|H jumps by {abs(jump):.1e} eV at {END:.4f} Å"


def test_the_jump_of_an_unshifted_potential_is_what_is_cut_off():
    """Lennard-Jones cut at 2.5 σ, as programs do by default: 4 ε (σ/r)⁶ = 1.6 % of ε is left."""

    class Unshifted(LennardJones):
        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            distances = self.atoms.get_all_distances()[np.triu_indices(len(self.atoms), 1)]
            options = self.parameters
            offset = 4 * options.epsilon * ((options.sigma / options.rc) ** 12 - (options.sigma / options.rc) ** 6)
            self.results["energy"] += offset * int((distances < options.rc).sum())

    options = {"sigma": 2.0, "epsilon": 0.2, "rc": 5.0}
    checks = found(CalculatorSource(Unshifted(**options)), forces=False)
    assert checks["continuity"].passed is False
    assert checks["continuity"].value == pytest.approx(0.2 * 4 * (2.5**-6 - 2.5**-12), rel=1e-3)
    assert "at 5.0000 Å" in checks["continuity"].detail
    shifted_by_ase = found(CalculatorSource(LennardJones(**options), cutoff=5.0))
    assert shifted_by_ase["continuity"].passed is True
    assert shifted_by_ase["range"].passed is True


@pytest.mark.parametrize("pair", [exponential, shifted, smooth])
def test_slopes_and_kinks_are_no_jumps(pair):
    checks = found(Radial(pair))
    assert checks["continuity"].passed is True
    assert checks["continuity"].value == 0
    assert checks["range"].passed is None


def test_a_slope_as_steep_as_a_wall_is_no_jump():
    """By 2 eV within a hundredth of an Å, smoothly; and the same at once."""
    steep = found(Radial(lambda distances: np.tanh((distances - 3.0) / 1e-3)))
    assert steep["continuity"].passed is True
    wall = found(Radial(lambda distances: np.where(distances < 3.0, -1.0, 1.0)))
    assert wall["continuity"].value == pytest.approx(2.0)


def test_noise_is_no_jump_where_it_is_claimed():
    class Noisy(Radial):
        def energies(self, batch):
            grain = np.sin(1e9 * batch.positions.sum(axis=(1, 2)))
            return super().energies(batch) + 3e-3 * grain

    assert found(Noisy(smooth, precision=3e-3))["continuity"].passed is True


def test_a_jump_that_takes_three_atoms_is_found():
    class Crowded(Radial):
        """An atom within 4 Å of two others has an energy of its own; the fixed ones are 0.744 Å apart."""

        def energies(self, batch):
            apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
            return super().energies(batch) + 0.1 * ((apart < 4.0).sum(axis=2) > 2).sum(axis=1)

    checks = found(Crowded(smooth))
    assert checks["continuity"].passed is False
    assert checks["continuity"].detail.startswith("the energy of HH|H jumps by 2.0e-01 eV at 3.2560 Å")


def test_the_range_is_told_and_held_against_the_claim():
    unclaimed = found(Radial(shifted))["range"]
    assert (unclaimed.passed, unclaimed.unit) == (None, "")
    end = float(unclaimed.detail.split(" Å")[0].split()[-1])
    assert end == pytest.approx(END, abs=0.011)
    assert "no cutoff is claimed; energies of " in unclaimed.detail
    assert unclaimed.detail.endswith(", beyond which one may be claimed (additive_cutoff)")
    right = found(Radial(shifted, cutoff=END))["range"]
    assert (right.passed, right.value) == (True, 0.0)
    short = found(Radial(shifted, cutoff=4.0))["range"]
    assert short.passed is False
    bond = 1.2 * 2 * covalent_radii[1]
    assert short.value == pytest.approx(abs(shifted(np.array([4.01, 4.01 + bond])).sum()), rel=1e-9)
    assert short.detail.startswith("atoms farther apart than 4 Å; energies of ")


def test_what_has_no_end_is_told():
    endless = found(Radial(lambda distances: 14.4 / distances))["range"]
    assert endless.passed is None
    assert "additive_cutoff" not in endless.detail
    nothing = found(Radial(lambda distances: 0.0 * distances, cutoff=3.0))["range"]
    assert nothing.detail == "atoms farther apart than 3 Å; no energy changes"


def test_every_pair_of_species_is_looked_at():
    class Ends(Calculator):
        """Pairs of hydrogen end at 3 Å, of oxygen at 5, of both at 4, where these have a jump."""

        implemented_properties = ("energy",)

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            distances, z = atoms.get_all_distances(), atoms.numbers
            first, second = np.triu_indices(len(atoms), 1)
            ends = {2: 3.0, 9: 4.0, 16: 5.0}
            energy = 0.0
            for i, j in zip(first, second, strict=True):
                end = ends[int(z[i] + z[j])]
                energy -= max(0.0, end - distances[i, j]) ** 3 + 0.02 * (end == 4.0 and distances[i, j] < end)
            self.results["energy"] = energy

    checks = found(CalculatorSource(Ends(), cutoff=4.5), species=["H", "O"])
    assert checks["range"].passed is False
    assert checks["range"].value == pytest.approx(0.49**3, rel=1e-6)
    assert "energies of O|O change up to 5.00 Å" in checks["range"].detail or "4.99 Å" in checks["range"].detail
    assert checks["continuity"].value == pytest.approx(0.02, rel=1e-3)
    assert checks["continuity"].detail.startswith("the energy of H|O jumps by 2.0e-02 eV at 4.0000 Å")


def test_distances_that_fail_are_left_out():
    class Fails(Radial):
        """Does not converge between 2 and 3 Å."""

        def energies(self, batch):
            energies = super().energies(batch)
            apart = np.linalg.norm(batch.positions[:, -1] - batch.positions[:, 0], axis=1)
            rows = np.flatnonzero((apart > 2) & (apart < 3) & (batch.n_atoms == 2))
            if len(rows):
                energies[rows] = np.nan
                raise FailedClusters({int(row): "no convergence" for row in rows}, energies)
            return energies

    checks = found(Fails(lambda distances: truncated(distances, 0.3)))
    assert checks["continuity"].value == pytest.approx(0.3, rel=1e-3)


def test_energies_are_few_and_asked_for_together():
    source = Radial(smooth)
    check_source(source)
    before = Radial(smooth)
    subject = Subject(before, ["H"], 0)
    from bodyorder.testing import reach

    reach.reach(subject, "range")
    reach.continuity(subject, "continuity")
    assert before.asked < 2 * 200  # two atoms, and three
    assert [scan.label for scan in subject.scans] == ["H|H", "HH|H"]

    class Counted(Radial):
        calls = 0
        capabilities = Capabilities(batch_size=50)

        def energies(self, batch):
            assert len(batch) <= 50
            self.calls += 1
            return super().energies(batch)

    counted = Counted(smooth)
    subject = Subject(counted, ["H"], 0)
    subject.batches_agree = True
    reach.continuity(subject, "continuity")
    assert counted.calls < 60


def test_scans_move_the_last_atom_away_from_the_nearest():
    from bodyorder.testing import reach

    subject = Subject(Radial(smooth), ["H", "O"], 0)
    seen = []
    subject.source.energies = lambda batch: (
        seen.append(System(batch.numbers[0], batch.positions[0])) or np.zeros(len(batch))
    )
    scans = reach.scans(subject)
    assert [scan.label for scan in scans] == ["H|H", "H|O", "O|O", "HO|H", "OH|O"]
    assert reach.scans(subject) is scans
    for system in seen[1:]:  # the first is timed
        apart = np.linalg.norm(system.positions[-1] - system.positions[:-1], axis=1)
        assert apart.min() == pytest.approx(system.positions[-1, 0])


def test_a_metal_ends_where_its_neighbour_list_does():
    checks = found(CalculatorSource(EMT(), cutoff=7.0), species=["Cu"])
    assert checks["range"].passed is True
    assert checks["continuity"].passed is True


def test_what_acts_across_boxes_fails():
    options = {"epsilon": 0.01, "sigma": 2.0, "rc": 8.0, "smooth": True}
    small, large = (found(CalculatorSource(LennardJones(**options), boxed=vacuum)) for vacuum in (6, 20))
    assert (small["boxes"].passed, large["boxes"].passed) == (False, True)
    assert small["boxes"].detail == "boxes that leave 6 Å, and 12 Å"
    assert found(Radial(smooth))["boxes"].passed is None


def test_boxes_are_tried_whoever_gives_the_energies_of_lone_atoms():
    spec = "ase:ase.calculators.lj.LennardJones?sigma=3.4&epsilon=0.0103&rc=9&smooth=True&boxed=5"
    for one_body in ("model", {"Ar": 0.0}):
        assert found(spec, species=["Ar"], one_body=one_body)["boxes"].passed is False
