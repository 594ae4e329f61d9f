"""Lone atoms that are not what two far apart fall into, against sums of pairs by plain loops and the binomial formula."""

import json
from math import comb

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.units import Hartree
from lone_potentials import OWN, TABLE, Dividing, Failing, NotANumber, Tabulated

from bodyorder import load_results, save_results
from bodyorder._checks import InputError
from bodyorder.engine import Sampling, Store, decompose
from bodyorder.engine.executors import open_executor
from bodyorder.engine.lone_atoms import ADVICE
from bodyorder.results.variables import VARIABLES
from bodyorder.sources.protocol import Capabilities, FailedClusters
from bodyorder.sources.registry import load_source


def cluster(formula="H2OH2O", seed=0):
    """Atoms of a distorted chain, more than an Å apart."""
    count = len(Atoms(formula))
    rng = np.random.default_rng(seed)
    return Atoms(formula, np.arange(count)[:, None] * [1.3, 0, 0] + rng.uniform(-0.15, 0.15, (count, 3)))


def pair_sum(atoms):
    """Σ_{i<j} u(r_ij) of the Morse potential with its switch, pair by pair."""
    total = 0.0
    for one in range(len(atoms)):
        for other in range(one):
            r = np.linalg.norm(atoms.positions[one] - atoms.positions[other])
            decay = np.exp(-1.94 * (r - 0.741))
            x = min(max((r - 4.5) / 1.5, 0.0), 1.0)
            total += 4.75 * decay * (decay - 2) * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5)
    return total


def own_energies(atoms):
    return sum(OWN[number] for number in atoms.numbers)


@pytest.mark.parametrize("source", [Tabulated, Failing, NotANumber, Dividing])
@pytest.mark.parametrize("one_body", ["dissociation", {"H": OWN[1], "O": OWN[8]}])
def test_a_sum_of_pairs_ends_with_pairs(source, one_body):
    """Whatever the source says of a lone atom, and if it fails there."""
    atoms = cluster()
    result = decompose(atoms, source(), one_body=one_body)
    expected = np.zeros(6)
    expected[:2] = own_energies(atoms), pair_sum(atoms)
    np.testing.assert_allclose(result.contribution.values[0], expected, rtol=0, atol=1e-12)
    assert result.failure.item() == ""
    assert json.loads(result.attrs["one_body_values"]) == {"H": OWN[1], "O": OWN[8]}
    assert result.attrs["one_body"] == ("dissociation" if one_body == "dissociation" else "values")
    assert not result["dissociation"].dissociation_offset.values.any()


def test_a_lone_atom_that_is_off_shifts_every_order():
    """By (−1)ⁿ⁻¹ C(N − 1, n − 1) Σδ, where lone atoms are off by δ."""
    atoms = cluster()
    model, right = (decompose(atoms, Tabulated(), one_body=choice) for choice in ("model", "dissociation"))
    off = sum(TABLE[number] - OWN[number] for number in atoms.numbers)
    shifts = [(-1) ** (n - 1) * comb(5, n - 1) * off for n in range(1, 7)]
    np.testing.assert_allclose((model.contribution - right.contribution).values[0], shifts, rtol=1e-12, atol=0)
    assert model.total.item() == right.total.item()
    assert (model.attrs["one_body"], "one_body_values" in model.attrs) == ("model", False)


def test_a_result_keeps_what_lone_atoms_miss(tmp_path):
    result = decompose([cluster(), cluster("H2"), cluster("Cl")], Tabulated())
    table = result["dissociation"].to_dataset()
    expected = {
        "H H": (2 * OWN[1], 2 * TABLE[1]),
        "H O": (OWN[1] + OWN[8], TABLE[1] + TABLE[8]),
        "O O": (-15.0, -4082.6),
    }
    assert table["pair"].values.tolist() == list(expected)
    np.testing.assert_array_equal(table.dissociated_energy, [far for far, _ in expected.values()])
    np.testing.assert_allclose(table.dissociation_offset, [far - alone for far, alone in expected.values()], rtol=1e-15)
    assert (table.dissociated_distance == 60).all()
    assert ((table.dissociation_noise > 0) & (table.dissociation_noise < 1e-11)).all()
    for name, array in table.data_vars.items():
        assert (array.dims, array.attrs["units"]) == (VARIABLES[name].dims, VARIABLES[name].unit)
    again = load_results(save_results(result, tmp_path / "r.nc"))
    xr.testing.assert_identical(again["dissociation"].to_dataset(), table.drop_encoding())
    assert again.attrs["one_body"] == "model"


def test_pairs_are_those_that_occur_in_a_structure():
    results = decompose([cluster("HO"), cluster("H2"), cluster("NaCl")], Tabulated())
    assert results["dissociation"]["pair"].values.tolist() == ["Cl Na", "H H", "H O"]
    assert "dissociation" not in decompose(cluster("HO"), Tabulated(), max_order=1).children
    assert "dissociation" not in decompose(cluster("HO"), Tabulated(), dissociation=False).children


class Counted(Tabulated):
    """Counts the sub-clusters that it is asked for, by size."""

    def energies(self, batch):
        self.asked[batch.n_atoms] = self.asked.get(batch.n_atoms, 0) + len(batch)
        return super().energies(batch)


def test_it_takes_an_energy_for_each_pair_of_elements_where_the_reach_is_known():
    for cutoff, more in ((6.0, 3), (None, 6)):
        source = Counted(asked={}, cutoff=cutoff)
        decompose(cluster(), source)
        assert source.asked[2] == comb(6, 2) + more


def test_another_choice_evaluates_lone_atoms_alone(tmp_path):
    """All else is in the store under the name of the source itself."""
    with Store(tmp_path / "s.sqlite") as store:
        decompose(cluster(), Tabulated(), store=store)
        for choice in ("model", "dissociation", {"H": 1.0, "O": 2.0}):
            source = Counted(asked={})
            result = decompose(cluster(), source, one_body=choice, store=store)
            assert source.asked == {}
            assert result.n_evaluations.item() == (0 if choice == "model" else 2)  # one of each element
        values = [decompose(cluster(), Tabulated(), one_body={"H": e, "O": 0.0}, store=store) for e in (1.0, 2.0)]
    np.testing.assert_allclose([result.contribution[0, 0] for result in values], [4.0, 8.0])


@pytest.mark.parametrize("source", [Failing, NotANumber, Dividing])
def test_a_model_that_fails_for_lone_atoms_says_what_to_do(source):
    result = decompose(cluster("H3"), source())
    assert result.failure.item().startswith("3 of 7 sub-clusters failed, the first: atoms 0: ")
    assert result.failure.item().endswith(f"; {ADVICE}")
    offset = result["dissociation"]
    assert np.isnan(offset.dissociation_offset.item())
    assert offset.dissociated_energy.item() == 2 * OWN[1]
    assert offset.dissociation_failure.item() == "no energy of a lone H"


class NoPairs(Tabulated):
    """Fails for pairs, as ASE's Tersoff potential does with some parameters."""

    def energies(self, batch):
        if batch.n_atoms == 2:
            raise FailedClusters(dict.fromkeys(range(len(batch)), "division by zero"), np.full(len(batch), np.nan))
        return super().energies(batch)


def test_where_pairs_fail_lone_atoms_are_no_remedy():
    result = decompose(cluster("H3"), NoPairs())
    assert ADVICE not in result.failure.item()
    assert np.isfinite(result.contribution.values[0, 0])
    assert result["dissociation"].dissociation_failure.item() == "30 Å apart: division by zero"
    failed = decompose(cluster("H3"), NoPairs(), one_body="dissociation").failure.item()
    assert failed == "6 of 7 sub-clusters failed, the first: atoms 0, 1: division by zero"
    lone = decompose(cluster("H3"), NoPairs(), one_body="dissociation", max_order=1, whole=False).failure.item()
    assert lone.endswith("atoms 0: the energy of a lone H is not known: of two 30 Å apart: division by zero")


def test_connected_sub_clusters_add_up_with_lone_atoms_that_are_the_models():
    """With a table they do not: parts that fall apart hold lone atoms."""
    atoms = Atoms("H4", [[0, 0, 0], [1.2, 0, 0], [9, 0, 0], [20, 0, 0]])
    off, right = (
        decompose(atoms, Tabulated(cutoff=6.0), cutoff=6.0, one_body=choice) for choice in ("model", "dissociation")
    )
    assert right.attrs["family"] == "connected"
    assert abs(right.residual.item()) < 1e-12
    complete = decompose(atoms, Tabulated(), one_body="dissociation").contribution.values[0]
    np.testing.assert_allclose(right.contribution.values[0], complete[: right.sizes["order"]], rtol=0, atol=1e-12)
    assert abs(off.residual.item()) > 10


def test_forces_and_samples_come_with_it():
    atoms = cluster("H6")
    result = decompose(atoms, Tabulated(), one_body="dissociation", forces=True)
    forces = result.sites.force_contribution.transpose("order", "site", "xyz").values
    plain = decompose(atoms, Tabulated(), forces=True).sites.force_contribution.transpose("order", "site", "xyz").values
    np.testing.assert_array_equal(forces, plain)
    assert not forces[0].any()
    sampled = decompose(atoms, Tabulated(), one_body="dissociation", max_order=3, sampling=Sampling(50))
    np.testing.assert_allclose(sampled.contribution.values[0], result.contribution.values[0, :3], rtol=0, atol=1e-10)


def test_ions_have_energies_of_their_own():
    """A charge adds 2 eV to its atom, in the toy model."""
    atoms = cluster("NaClNaH")
    atoms.set_initial_charges([1, -1, 0, 0])
    source = Tabulated(charged=True)
    result = decompose(atoms, source, one_body="dissociation")
    assert json.loads(result.attrs["one_body_values"]) == {
        "Cl-": OWN[17] + 2,
        "H": OWN[1],
        "Na": OWN[11],
        "Na+": OWN[11] + 2,
    }
    values = {"Cl-": 1.0, "H": 2.0, "Na": 4.0, "Na+": 8.0}
    assert decompose(atoms, source, one_body=values).contribution[0, 0] == 15.0
    assert decompose(atoms, source)["dissociation"]["pair"].values.tolist() == [
        "Cl- H", "Cl- Na", "Cl- Na+", "H Na", "H Na+", "Na Na+",
    ]  # fmt: skip


def test_molecules_are_no_lone_atoms():
    """Of a water molecule and an ion the ion is one."""
    atoms = Atoms("OH2Na", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [3.0, 0, 0]])
    plain, given = (
        decompose(atoms, Tabulated(), bodies="molecules", one_body=one_body) for one_body in ("model", {"Na": 5.0})
    )
    assert given.n_bodies.item() == 2
    shift = 5.0 - TABLE[11]
    np.testing.assert_allclose((given.contribution - plain.contribution).values[0], [shift, -shift], rtol=1e-12)


class Magnetic(Tabulated):
    """An unpaired electron adds 0.5 eV to its atom."""

    def energies(self, batch):
        return super().energies(batch) + 0.5 * np.abs(batch.of_members("moments")).sum(axis=1)


def test_atoms_of_different_moments_are_different():
    atoms = cluster("H4")
    atoms.set_initial_magnetic_moments([1, -1, 0, 0])
    source = Magnetic(capabilities=Capabilities(forces=True, context=("moments",)))
    result = decompose(atoms, source, one_body="dissociation")
    assert json.loads(result.attrs["one_body_values"]) == {"H": OWN[1], "H(1)": OWN[1] + 0.5}
    assert abs(result.contribution.values[0, 2:]).max() < 1e-12
    given = decompose(atoms, source, one_body={"H": 1.0})  # by element, whatever the moment
    assert given.contribution[0, 0] == 4.0


def test_a_crystal_has_pairs_of_an_atom_with_its_images():
    crystal = Atoms("H", cell=[3.0, 3.0, 3.0], pbc=True)
    source = Tabulated(cutoff=6.0)
    result = decompose(crystal, source, max_order=2)
    assert result["dissociation"]["pair"].values.tolist() == ["H H"]
    assert result["dissociation"].dissociation_offset.item() == pytest.approx(2 * (OWN[1] - TABLE[1]))
    assert decompose(crystal, source, max_order=1, one_body="dissociation").contribution[0, 0] == OWN[1]


def test_workers_give_the_same():
    one = decompose(cluster(), Tabulated(), one_body="dissociation")
    with open_executor(workers=2) as executor:
        other = decompose(cluster(), Tabulated(), one_body="dissociation", executor=executor)
    np.testing.assert_array_equal(one.contribution, other.contribution)
    xr.testing.assert_identical(one["dissociation"].to_dataset(), other["dissociation"].to_dataset())


def test_ab_initio_is_asked_where_it_is_wanted():
    """Restricted Hartree–Fock: two atoms far apart in one orbital, against PySCF run by itself."""
    from pyscf import gto, scf

    def energy(atoms, spin):
        return scf.RHF(gto.M(atom=atoms, basis="sto-6g", spin=spin, verbose=0)).run(conv_tol=1e-12).e_tot

    pair, source = Atoms("H2", [[0, 0, 0], [0.74, 0, 0]]), "pyscf:rhf/sto-6g?spin=low"
    assert "dissociation" not in decompose(pair, source).children
    found = decompose(pair, source, dissociation=True)["dissociation"]
    expected = (energy("H 0 0 0; H 0 0 1000", 0) - 2 * energy("H 0 0 0", 1)) * Hartree
    assert expected > 5
    # 1/r of the ionic part is left at the largest distance, and said
    assert "the energy still changes" in found.dissociation_failure.item()
    assert np.isnan(found.dissociation_offset.item())


def test_lone_atoms_of_an_exact_method_are_half_of_two_far_apart():
    """Full configuration interaction of ground states is size consistent."""
    triangle, source = Atoms("H3", [[0, 0, 0], [1, 0, 0], [0.5, 0.87, 0]]), "pyscf:fci/sto-6g?spin=ground"
    model, halves = (decompose(triangle, source, one_body=choice) for choice in ("model", "dissociation"))
    np.testing.assert_allclose(halves.contribution, model.contribution, rtol=0, atol=1e-6)
    assert json.loads(halves.attrs["one_body_values"])["H"] == pytest.approx(-0.471039054 * Hartree, abs=1e-7)


class Unwilling(Tabulated):
    """Refuses atoms that are far apart, as input that cannot be."""

    def energies(self, batch):
        if batch.n_atoms > 1 and np.ptp(batch.positions[..., 0]) > 20:
            raise InputError("atoms must be within 20 Å")
        return super().energies(batch)


def test_a_source_that_refuses_atoms_far_apart_loses_no_orders():
    result = decompose(cluster("H3"), Unwilling())
    assert result.failure.item() == ""
    assert np.isfinite(result.contribution).all()
    assert result["dissociation"].dissociation_failure.item() == "two atoms far apart: atoms must be within 20 Å"


def test_gfn2_xtb_has_two_hydrogen_atoms_below_two_lone_ones():
    """Against ASE alone, and by some 0.07 eV."""
    tblite = pytest.importorskip("tblite.ase")

    def energy(atoms):
        atoms.calc = tblite.TBLite(method="GFN2-xTB", verbosity=0)
        return atoms.get_potential_energy()

    expected = energy(Atoms("H2", [[0, 0, 0], [60, 0, 0]])) - 2 * energy(Atoms("H"))
    assert -0.08 < expected < -0.06
    trio = Atoms("H3", [[0, 0, 0], [0.9, 0, 0], [0, 0.9, 0]])
    source = load_source("ase:tblite.ase.TBLite?method=GFN2-xTB&verbosity=0")
    model, halves = (decompose(trio, source, one_body=choice) for choice in ("model", "dissociation"))
    assert model["dissociation"].dissociation_offset.item() == pytest.approx(expected, abs=1e-6)
    shifts = [comb(2, n - 1) * (-1) ** n * 3 * expected / 2 for n in (1, 2, 3)]
    np.testing.assert_allclose((model.contribution - halves.contribution).values[0], shifts, rtol=0, atol=1e-5)


def test_mace_falls_apart_into_lone_atoms(tmp_path):
    """Without neighbours each atom is what it is alone, whatever number that is."""
    pytest.importorskip("mace")
    from mace_models import save_model, source_of

    source = source_of(save_model(tmp_path / "m.model"))
    result = decompose(Atoms("HOH", [[0, 0, 0], [1, 0, 0], [2, 0.5, 0]]), source)
    table = result["dissociation"].to_dataset()
    assert table["pair"].values.tolist() == ["H H", "H O"]
    assert (abs(table.dissociation_offset) <= 2 * table.dissociation_noise).all()
    assert (abs(table.dissociation_offset) < 1e-9).all()
    np.testing.assert_allclose(table.dissociated_distance, source.cutoff + 0.01)


@pytest.mark.parametrize(
    ("one_body", "message"),
    [
        ("dissociated", r"^`one_body` must be one of dissociation, model, got 'dissociated'; did you mean 'dissociation'\?$"),
        (
            {"H": 1.0, "Na+": 2.0},
            r"^`one_body` must give the energy of every lone atom, and lacks O of structure 1; it has H, Na\+$",
        ),
    ],
)  # fmt: skip
def test_wrong_choices(one_body, message):
    with pytest.raises(InputError, match=message):
        decompose([cluster("H2"), cluster()], Tabulated(), one_body=one_body)


def test_what_does_not_go_together():
    with pytest.raises(
        InputError, match=r"^`one_body` must be model with counterpoise correction, which pyscf:.* makes$"
    ):
        decompose(cluster("H2"), "pyscf:fci/sto-6g?spin=low&counterpoise=full", one_body="dissociation")
    with pytest.raises(InputError, match=r"^`dissociation` must be true or false, got 'yes'$"):
        decompose(cluster("H2"), Tabulated(), dissociation="yes")
