"""Levels by order: QCManyBody fed with plain PySCF, its published cases, potentials whose orders are known, bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree
from geometries import scattered
from plain_pyscf import by_qcmanybody

from bodyorder import InputError, Store, decompose, load_results, save_results
from bodyorder.engine.executors import open_executor
from bodyorder.engine.levels import parse_levels, read_levels
from bodyorder.sources.protocol import Capabilities, EnergySource, FailedClusters, Precision
from bodyorder.sources.registry import load_source

DATA = Path(__file__).parents[1] / "data" / "levels"

#: Counterpoise by QCManyBody's names. Its first order is of bodies in their own functions whatever the scheme.
SCHEMES = {"nocp": "none", "cp": "full", "vmfc": "vmfc"}


def through_orders(result):
    """Energies through each order, and with the rest, where there is one, in eV."""
    energies = np.cumsum(result.contribution.values[0])
    return np.append(energies, result.total.values[0]) if "rest" in result.attrs["source"] else energies


def spec(method, basis, scheme="none"):
    return f"pyscf:{method.replace('hf', 'uhf')}/{basis}?spin=low&counterpoise={scheme}"


def in_functions(levels, basis, scheme):
    """QCManyBody's levels, ``{2: "mp2", 4: "hf"}``, as ours, ``{"1-2": …, "3-4": …}``: bodies alone and the rest in their own
    functions."""
    ours, first = {}, 1
    for order, method in levels.items():
        own = "none" if order in (1, "rest") else SCHEMES[scheme]
        if scheme == "cp" and first == 1 and order not in (1, "rest"):
            ours[1], first = spec(method, basis), 2
        ours[order if order == "rest" else f"{first}-{order}"] = spec(method, basis, own)
        first = order if order == "rest" else order + 1
    return ours


def as_qcmanybody(levels, basis):
    filled, first = {}, 1
    for order, method in levels.items():
        if order == "rest":
            filled["supersystem"] = f"{method}/{basis}"
        else:
            filled |= dict.fromkeys(range(first, order + 1), f"{method}/{basis}")
            first = order + 1
    return filled


HELIUM = Atoms("He5", positions=[[0, 0, 0], [2.1, 0.2, 0], [0.1, 2.3, 0.3], [1.9, 2.0, 1.8], [0.3, 0.4, 2.2]])
HYDROGEN = Atoms(
    "H6", positions=[[0, 0, 0], [0.74, 0, 0], [0.1, 0, 2.4], [0.6, 0.4, 2.6], [2.6, 0.3, 1.2], [2.7, 0.9, 1.5]]
)
NEON = Atoms("Ne2He", positions=[[0, 0, 0], [0, 0, 2.6], [2.2, 0, 1.3]])
WATER = Atoms(
    "OHHOHH",
    positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [2.85, 0, 0.1], [3.2, 0.6, -0.6], [3.2, 0.3, 0.9]],
)

CASES = {
    "five helium atoms": (HELIUM, range(5), "6-31g", {2: "mp2", 5: "hf"}),
    "three levels": (HELIUM[:4], range(4), "6-31g", {1: "ccsd", 3: "mp2", 4: "hf"}),
    "helium with a rest": (HELIUM, range(5), "6-31g", {3: "mp2", "rest": "hf"}),
    "hydrogen molecules with a rest": (HYDROGEN, [0, 0, 1, 1, 2, 2], "6-31g", {1: "ccsd", 2: "mp2", "rest": "hf"}),
    "neon and helium": (NEON, range(3), "sto-3g", {2: "mp2", "rest": "hf"}),
    "water": (WATER, [0, 0, 0, 1, 1, 1], "sto-3g", {1: "mp2", 2: "hf"}),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("case", CASES)
def test_orders_agree_with_qcmanybody_on_plain_pyscf(case, scheme):
    structure, bodies, basis, levels = CASES[case]
    result = decompose(structure, in_functions(levels, basis, scheme), bodies=list(bodies))
    expected = by_qcmanybody(structure, list(bodies), as_qcmanybody(levels, basis), scheme)
    np.testing.assert_allclose(through_orders(result) / Hartree, expected, rtol=0, atol=1e-9)


#: He4, square of 2 Å, 6-31G: energies through each order in hartree as QCManyBody 0.8 publishes them (tests of its computer,
#: ``he4_multilevel``; BSD-3-Clause), for levels 1: ccsd, 2-3: mp2, 4: hf; 1-2: ccsd, 3-4: mp2; 1-2: ccsd, rest: mp2.
PUBLISHED = {
    "121": ({1: "ccsd", 3: "mp2", 4: "hf"}, {
        "nocp": [-11.480648555603, -11.472000052247, -11.472089645469, -11.472068853166],
        "cp": [-11.480648555603, -11.471058574581, -11.471324608815, -11.471272244751],
        "vmfc": [-11.480648555603, -11.471163557706, -11.471402496106, -11.471350132042],
    }),
    "22": ({2: "ccsd", 4: "mp2"}, {
        "nocp": [-11.480648555603, -11.471764016410, -11.471853609632, -11.471834096023],
        "cp": [-11.480648555603, -11.470705938773, -11.470971973006, -11.470913449084],
        "vmfc": [-11.480648555603, -11.470821409457, -11.471060347857, -11.471001823935],
    }),
    # the last one by their contribution of the supersystem; their total beside it is 2.2e-9 from that sum
    "ss22": ({2: "ccsd", "rest": "mp2"}, {"cp": [-11.480648555603, -11.470705938773, -11.470705938773 - 0.000070079612]}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "scheme"), [(name, scheme) for name, (_, own) in PUBLISHED.items() for scheme in own])
def test_helium_of_qcmanybody(name, scheme):
    levels, expected = PUBLISHED[name]
    helium = Atoms("He4", positions=[[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    result = decompose(helium, in_functions(levels, "6-31g", scheme))
    np.testing.assert_allclose(through_orders(result) / Hartree, expected[scheme], rtol=0, atol=1e-9)


class Published(EnergySource):
    """Energies of a table, by the molecules that are there and those whose functions there are."""

    cutoff, precision = None, Precision()

    def __init__(self, method, scheme):
        table = json.loads((DATA / "water_trimer.json").read_text())["components"][method]
        self.table = {(tuple(there), tuple(functions)): value for there, functions, value in table}
        self.name = self.fingerprint = method
        self.capabilities = Capabilities(counterpoise=scheme)

    def energies(self, batch):
        there, lent = (
            np.unique(atoms // 3, axis=1) if atoms.shape[1] else atoms for atoms in (batch.members, batch.ghosts)
        )
        rows = zip(there.tolist(), lent.tolist(), strict=True)
        return np.array([self.table[tuple(row), tuple(sorted(row + others))] for row, others in rows])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["mp2, b3lyp, scf", "mp2, b3lyp, rest scf", "mp2, rest scf"])
def test_water_trimer_of_qcmanybody(name, scheme):
    """Its energies of the trimer by psi4 as a source, its multilevel energies as the answer."""
    expected = json.loads((DATA / "water_trimer.json").read_text())["through_order"][name][scheme]
    levels = {}
    for order, text in enumerate(name.split(", "), start=1):
        rest, method = text.startswith("rest "), text.removeprefix("rest ")
        levels["rest" if rest else order] = Published(method, "none" if rest or order == 1 else SCHEMES[scheme])
    trimer = scattered(9, spread=9.0)
    result = decompose(trimer, levels, bodies=[0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose(through_orders(result), expected, rtol=0, atol=1e-9)


PAIRS, STRONGER = "analytic:pair?epsilon=0.01&sigma=2.0", "analytic:pair?epsilon=0.03&sigma=2.0"
TRIPLES = "analytic:axilrod-teller?nu=40.0"
BOTH = "analytic:axilrod-teller?nu=40.0&epsilon=0.01&sigma=2.0"
MANY = "analytic:sutton-chen?epsilon=0.01&a=3.0&c=30.0&n=8&m=6"


def test_orders_that_are_known():
    """Pairs end at order 2, triples are order 3 alone: a rest by both adds the triples to stronger pairs, and nothing else."""
    atoms = scattered(6, spread=5.0)
    pairs = decompose(atoms, STRONGER, forces=True, dissociation=False)
    triples = decompose(atoms, TRIPLES, forces=True, dissociation=False)
    result = decompose(atoms, {2: STRONGER, "rest": BOTH}, forces=True)
    sum_of_both = float(pairs.total[0] + triples.total[0])
    np.testing.assert_allclose(result.total, sum_of_both, atol=1e-10)
    np.testing.assert_allclose(result.residual, triples.total, atol=1e-10)
    np.testing.assert_allclose(result.contribution[0], pairs.contribution[0, :2], atol=1e-10)
    forces = [part.sites.force_contribution.sum("order") for part in (pairs, triples)]
    np.testing.assert_allclose(result.sites.total_force, forces[0] + forces[1], atol=1e-9)
    numbered = decompose(atoms, {2: STRONGER, 3: BOTH, "4-6": PAIRS}, forces=True)
    np.testing.assert_allclose(numbered.total, sum_of_both, atol=1e-10)
    np.testing.assert_allclose(numbered.sites.total_force, result.sites.total_force, atol=1e-9)
    assert numbered.residual.values == [0.0]


def test_orders_above_the_last_level_are_of_the_rest():
    """The energy of the whole does not change when orders of the rest are told one by one."""
    atoms = scattered(6, spread=6.0)
    short = decompose(atoms, {2: PAIRS, "rest": MANY})
    longer = decompose(atoms, {2: PAIRS, "rest": MANY}, max_order=4)
    named = decompose(atoms, {2: PAIRS, "3-4": MANY, "rest": MANY})
    assert longer.sizes["order"] == 4
    np.testing.assert_allclose(longer.total, short.total, rtol=1e-12)
    np.testing.assert_allclose(longer.contribution, named.contribution, rtol=1e-12)
    alone = decompose(atoms, MANY, max_order=4, dissociation=False)
    np.testing.assert_allclose(longer.contribution[:, 2:], alone.contribution[:, 2:], rtol=1e-12)
    np.testing.assert_allclose(longer.residual, alone.residual, atol=1e-10)


def test_one_source_for_all_levels_is_that_source():
    atoms = scattered(5, spread=5.0)
    alone = decompose(atoms, MANY, max_order=3, forces=True, dissociation=False)
    levels = decompose(atoms, {1: MANY, "2-3": MANY, "rest": MANY}, forces=True)
    for name in ("contribution", "noise", "total", "residual", "n_evaluations"):
        np.testing.assert_array_equal(levels[name], alone[name])
    np.testing.assert_array_equal(levels.sites.force_contribution, alone.sites.force_contribution)
    whole = load_source(MANY)
    np.testing.assert_allclose(
        levels.sites.total_force, decompose(atoms, whole, forces=True).sites.force_contribution.sum("order"), atol=1e-10
    )


def displaced(atoms, step):
    """Each atom moved up and down along x, y and z, in this order."""
    moved = []
    for atom in range(len(atoms)):
        for axis in range(3):
            for sign in (1, -1):
                moved.append(atoms.copy())
                moved[-1].positions[atom, axis] += sign * step
    return moved


@pytest.mark.parametrize(
    "levels", [{1: PAIRS, "2-3": BOTH, "rest": MANY}, {2: MANY, "3-5": BOTH}], ids=["rest", "no rest"]
)
def test_forces_are_the_gradient_of_the_total(levels):
    atoms, step = scattered(5, spread=5.0), 1e-4
    found = decompose(atoms, levels, forces=True).sites.total_force.values
    assert np.abs(found).max() > 1e-3
    moved = displaced(atoms, step)
    energies = decompose(moved, levels).total.values.reshape(5, 3, 2)
    numerical = -(energies[..., 0] - energies[..., 1]) / (2 * step)
    np.testing.assert_allclose(found, numerical, atol=1e-6 * np.abs(found).max())


def test_hessians_are_the_derivatives_of_the_forces():
    levels = {1: spec("hf", "sto-3g", "none"), 2: spec("mp2", "sto-3g", "none"), "rest": spec("hf", "sto-3g", "none")}
    atoms, step = scattered(3, symbol="He", spread=2.5), 1e-3
    result = decompose(atoms, levels, hessians=True)
    hessians = result["hessians"]
    total = hessians.hessian_total.values.reshape(3, 3, 3, 3).transpose(0, 2, 1, 3)  # atom, xyz, atom, xyz
    moved = displaced(atoms, step)
    forces = decompose(moved, levels, forces=True).sites.total_force.values.reshape(3, 3, 2, 3, 3)
    numerical = -(forces[:, :, 0] - forces[:, :, 1]) / (2 * step)
    assert np.abs(total).max() > 0.1
    np.testing.assert_allclose(total, numerical, atol=2e-5 * np.abs(total).max())
    by_high = decompose(atoms, levels[2], hessians=True)["hessians"].hessian_contribution
    np.testing.assert_array_equal(hessians.hessian_contribution.sel(order=2), by_high.sel(order=2))
    frequencies = result.mbe.frequencies()
    assert np.isfinite(frequencies.frequency.sel(order=2)).any()


def test_levels_in_a_field():
    """E = E_rest + Σ (E⁽ⁿ⁾ − E_rest⁽ⁿ⁾) with the orders of each source in the same field."""
    atoms = scattered(3, symbol="He", spread=2.5)
    charges = {"He": 0.3}
    low, high = spec("hf", "sto-3g", "none"), spec("mp2", "6-31g", "none")
    found = decompose(atoms, {2: high, "rest": low}, field=charges)
    by_low, by_high = (decompose(atoms, one, field=charges) for one in (low, high))
    contribution = by_high.contribution.values[:, :2]
    np.testing.assert_allclose(found.contribution, contribution, atol=1e-9)
    total = by_low.total.values + (contribution - by_low.contribution.values[:, :2]).sum(axis=1)
    np.testing.assert_allclose(found.total, total, atol=1e-9)
    vacuum = decompose(atoms, {2: high, "rest": low})
    assert np.abs(found.contribution - vacuum.contribution).max() > 1e-3
    assert found.attrs["field"] == "He=0.3"
    np.testing.assert_array_equal(found.sites.site_field_charge, 0.3)


def test_structures_of_different_sizes():
    """Without a rest the total is the sum where the orders reach it, and was not asked for elsewhere."""
    atoms = [scattered(4, 1), scattered(2, 2), scattered(3, 3)]
    result = decompose(atoms, {1: PAIRS, "2-3": BOTH}, forces=True)
    assert np.isnan(result.total.values).tolist() == [True, False, False]
    assert result.attrs["whole"] == "not asked for"
    assert result.failure.values.tolist() == ["", "", ""]
    np.testing.assert_allclose(result.total[1:], decompose(atoms, BOTH).total[1:], atol=1e-10)
    owner = result.sites.site_structure.values
    assert np.isnan(result.sites.total_force.values[owner == 0]).all()
    assert np.isfinite(result.sites.total_force.values[owner > 0]).all()


class Noisy(EnergySource):
    """A potential whose energies have errors of known size, and fail for chosen sub-clusters."""

    cutoff = None

    def __init__(self, name, sigma, fails=()):
        self.own, self.name, self.fingerprint = load_source(MANY), name, name
        self.precision, self.fails = Precision(absolute=sigma), fails

    def energies(self, batch):
        energies = self.own.energies(batch)
        failed = [row for row, members in enumerate(batch.members.tolist()) if members in self.fails]
        if failed:
            energies[failed] = np.nan
            raise FailedClusters(dict.fromkeys(failed, "no luck"), energies)
        return energies


def test_noise_is_that_of_every_energy_once():
    """E = Σ ε_a(1) + E_r − Σ ε_r(1) of three atoms: 3 energies of a, the whole and 3 energies of r."""
    atoms = scattered(3)
    result = decompose(atoms, {1: Noisy("a", 2e-3), "rest": Noisy("r", 1e-3)})
    np.testing.assert_allclose(result.noise, [[2e-3 * np.sqrt(3)]])
    np.testing.assert_allclose(result.total_noise, [np.sqrt(3 * 4e-6 + 1e-6 + 3e-6)])
    # order 2 by b: pairs count once, lone atoms −2 times; orders 1 and 2 of one source: lone atoms 1 − 2 times
    two = decompose(atoms, {1: Noisy("a", 2e-3), 2: Noisy("b", 1e-3)})
    np.testing.assert_allclose(two.noise, [[2e-3 * np.sqrt(3), 1e-3 * np.sqrt(3 + 3 * 4)]])
    one = decompose(atoms, {2: Noisy("a", 2e-3), 3: Noisy("b", 1e-3)})
    np.testing.assert_allclose(one.total_noise, [np.sqrt(4e-6 * (3 + 3) + 1e-6 * (1 + 3 + 3))])


def test_what_fails_is_told_by_its_level():
    atoms = [scattered(3, 1), scattered(3, 2)]
    result = decompose(atoms, {1: Noisy("a", 1e-3), 2: Noisy("b", 1e-3, fails=([0, 1],)), "rest": Noisy("r", 1e-3)})
    assert np.isnan(result.contribution.values).tolist() == [[False, True]] * 2
    assert np.isnan(result.total.values).all()
    assert result.failure.values[0] == "order 2: 1 of 6 sub-clusters failed, the first: atoms 0, 1: no luck"
    assert result.n_failed.values.tolist() == [[0, 1]] * 2
    # what the orders of the level do not need is missed by nobody
    whole = decompose(atoms, {1: Noisy("a", 1e-3), "rest": Noisy("r", 1e-3, fails=([0, 1, 2],))})
    assert np.isfinite(whole.contribution.values).all()
    assert np.isnan(whole.total.values).all()
    assert whole.failure.values[0].startswith("rest: 1 of 4 sub-clusters failed, the first: atoms 0, 1, 2: no luck")


def test_one_store_serves_all_levels(tmp_path):
    levels = {1: spec("mp2", "6-31g"), 2: spec("mp2", "6-31g", "full"), "rest": spec("hf", "6-31g")}
    with Store(tmp_path / "store.db") as store:
        first = decompose(HELIUM[:3], levels, store=store)
        again = decompose(HELIUM[:3], levels, store=store)
        single = decompose(HELIUM[:3], spec("hf", "6-31g"), max_order=2, store=store)
    # lone atoms are congruent where nothing is lent: 1; 3 atoms and 3 pairs in the functions of all; 1, 3 and the whole
    assert int(first.n_evaluations[0]) == 1 + 6 + 5
    assert int(again.n_evaluations[0]) == 0
    assert int(single.n_evaluations[0]) == 0
    np.testing.assert_array_equal(first.total, again.total)


def test_executors_give_the_same():
    levels = {1: MANY, "2-3": BOTH, "rest": MANY}
    atoms = [scattered(5, seed) for seed in range(3)]
    here = decompose(atoms, levels, forces=True)
    with open_executor(2) as executor:
        there = decompose(atoms, levels, forces=True, executor=executor)
    np.testing.assert_allclose(there.total, here.total, rtol=1e-12)
    np.testing.assert_allclose(there.sites.total_force, here.sites.total_force, atol=1e-12)


def test_results_say_their_levels(tmp_path):
    told = []
    atoms = scattered(4)
    result = decompose(atoms, {1: PAIRS, 2: BOTH, "rest": MANY}, announce=told.append)
    assert len(told) == 1
    held = load_results(save_results(result, tmp_path / "levels.nc"))
    levels = json.loads(held.attrs["levels"])
    assert list(levels) == ["1", "2", "rest"]
    names = [load_source(given).name for given in (PAIRS, BOTH, MANY)]
    assert [level["source"] for level in levels.values()] == names
    assert [level["fingerprint"] for level in levels.values()] == [
        load_source(s).fingerprint for s in (PAIRS, BOTH, MANY)
    ]
    assert held.attrs["source"] == f"1: {names[0]}; 2: {names[1]}; rest: {names[2]}"
    assert {"total_noise", "failure", "n_evaluations"} <= set(held.data_vars)
    assert held.mbe.orders().contribution.tolist() == result.contribution.values[0].tolist()


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({1: PAIRS, "3-4": BOTH}, "levels must follow each other without gaps, got none for order 2 below 3-4"),
        ({1: PAIRS, 3: BOTH}, "got none for order 2 below 3; add it, or write 2-3 in place of 3"),
        ({2: PAIRS, 5: BOTH, "rest": MANY}, "got none for orders 3-4 below 5; add it, or write 3-5 in place of 5"),
        ({"2": PAIRS, "4-6": BOTH, 3: MANY, 7: MANY}, None),
        ({"2-3": PAIRS}, "got none for order 1 below 2-3; add it, or write 1-3 in place of 2-3"),
        ({"1-3": PAIRS, 2: BOTH}, "levels must not share orders, 1-2 and 1-3 do"),
        ({1: PAIRS, "1": BOTH}, "levels must not share orders, 1 and 1 do"),
        ({"rest": PAIRS}, "levels must serve order 1 and on, got one for the rest alone"),
        ({0: PAIRS}, "a level must be an order, orders such as 2-3, or rest, got 0"),
        ({True: PAIRS}, "got True"),
        ({1: PAIRS, 2.0: PAIRS}, "got 2.0"),
        ({1: PAIRS, "3-2": PAIRS}, "got '3-2'"),
        ({1: PAIRS, "supersystem": BOTH}, "got 'supersystem'; did you mean 'rest'?"),
        ({1: PAIRS, "rset": BOTH}, "got 'rset'; did you mean 'rest'?"),
    ],
)
def test_levels_that_are_none(levels, said):
    if said is None:
        assert [str(level) for level in read_levels(levels).numbered] == ["1-2", "3", "4-6", "7"]
        return
    with pytest.raises(InputError) as error:
        decompose(scattered(4), levels)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


FULL, VMFC = spec("hf", "sto-3g", "full"), spec("hf", "sto-3g", "vmfc")


@pytest.mark.parametrize(
    ("levels", "options", "said"),
    [
        (
            {2: PAIRS},
            {"max_order": 3},
            "levels must serve all orders up to `max_order`, 3, and end at 2; add a level, or one",
        ),
        ({2: PAIRS}, {"max_order": 5}, "`max_order` must be between 1 and 4, got 5"),
        ({5: PAIRS}, {}, "levels must serve orders up to the number of bodies, 4, got 1-5; leave out what is above"),
        ({1: PAIRS, "rest": BOTH}, {"whole": False}, "`whole` must be true with a level for the rest"),
        ({1: PAIRS, "rest": VMFC}, {}, "the rest must be in one set of functions, got pyscf"),
        ({1: PAIRS, 2: FULL}, {"forces": True}, "`forces` need a source without counterpoise correction, got pyscf"),
        ({1: PAIRS, 2: VMFC}, {"measure_noise": True}, "`measure_noise` needs a source without counterpoise"),
        ({2: PAIRS}, {"subsets": True}, "`subsets` must be left out with levels"),
        (
            {2: PAIRS},
            {"field": "mulliken"},
            "`field` must be charges by atom or element, or 'column:NAME', with levels",
        ),
        ({2: PAIRS}, {"field": {"He": 0.1}}, "`field` must be felt by the source, "),
        ({2: PAIRS}, {"members": True}, "`members` must be left out with levels"),
        ({2: PAIRS}, {"dissociation": True}, "`dissociation` must be left out with levels"),
        ({2: PAIRS}, {"one_body": {"H": 0.0}}, "`one_body` must be left out with levels"),
        ({2: PAIRS}, {"sampling": 7}, "`sampling` must be a Sampling"),
        ({1: PAIRS, 2: "pyscff:uhf"}, {}, "did you mean 'pyscf'?"),
    ],
)
def test_what_levels_cannot(levels, options, said):
    with pytest.raises(InputError) as error:
        decompose(scattered(4, symbol="He"), levels, **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_samples_and_crystals_are_refused():
    from bodyorder import Sampling

    with pytest.raises(
        InputError, match="`sampling` must be left out with levels; decompose by each source alone for it"
    ):
        decompose(scattered(6), {2: PAIRS}, sampling=Sampling(10), max_order=2)
    crystal = Atoms("He", cell=[3, 3, 3], pbc=True)
    with pytest.raises(InputError, match="levels must be of free clusters, structure 0 is periodic; take one source"):
        decompose(crystal, {2: PAIRS}, max_order=2)


def test_levels_of_the_command_line():
    assert parse_levels(["1-2=pyscf:uhf/6-31g?spin=low", "rest=a:b"]) == {
        "1-2": "pyscf:uhf/6-31g?spin=low",
        "rest": "a:b",
    }
    for texts, said in (
        (
            ["pyscf:uhf/6-31g?spin=low"],
            "a level must look like 1-2=SPEC or rest=SPEC, got 'pyscf:uhf/6-31g\\?spin=low'",
        ),
        (["1="], "a level must look like 1-2=SPEC or rest=SPEC, got '1='"),
        (["1=a:b", "1=c:d"], "levels must be given once, 1 is given twice"),
    ):
        with pytest.raises(InputError, match=said):
            parse_levels(texts)
