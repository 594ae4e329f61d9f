"""Results of parts are one result, that of all structures at once."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from geometries import clusters, square
from trees import changed

from bodyorder import Sampling, combine, compare, decompose, join, load_results, save_results, write_report
from bodyorder._checks import InputError
from bodyorder.analysis import atom_shares, environment_orders, order_convergence
from bodyorder.report import Report
from bodyorder.results import flat, select
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import EnergySource, Precision


def attributed(tree, **attributes):
    tree = tree.copy()
    tree.attrs.update(attributes)
    return tree


def identical(found, expected, *, but=("created", "input")):
    """To the bit: values, kinds of numbers, names, units, attributes; not when they were made."""
    for tree in (found, expected):
        for name in but:
            assert tree.attrs[name]
    found, expected = (attributed(tree, **dict.fromkeys(but, "")) for tree in (found, expected))
    assert list(found.children) == list(expected.children)
    xr.testing.assert_identical(found, expected)
    for name, array in flat(expected).variables.items():
        if array.dtype.kind != "U":
            assert flat(found)[name].dtype == array.dtype, name


def sizes():
    """Of one to five atoms, in groups, two of them in none."""
    found = [clusters(1, size, seed=size)[0] for size in (3, 5, 1, 4, 2)]
    for place, (name, atoms) in enumerate(zip("abcde", found, strict=True)):
        atoms.info["name"] = name
        if place < 3:
            atoms.info["group"] = "odd"
    return found


def cells():
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05, seed=1)
    frames = [molecule("H2O"), copper, molecule("CH4"), bulk("Cu") * (2, 1, 1)]
    for name, atoms in zip("wxyz", frames, strict=True):
        atoms.info["name"] = name
    return frames


def charged():
    frames = [square(), Atoms("H2", [[0, 0, 0], [0.8, 0, 0]]), square(1.2)]
    frames[2].set_initial_charges([1, 0, 0, 0])
    for name, atoms in zip("pqr", frames, strict=True):
        atoms.info["name"] = name
    return frames


def waters():
    frames = [molecule("H2O"), molecule("CH4")]
    for name, atoms in zip("st", frames, strict=True):
        other = molecule("H2O")
        other.translate([4, 0, 0])
        atoms += other
        atoms.info["name"] = name
    return frames


#: Structures, how they are cut into parts, source and options of the run.
RUNS = {
    "sizes": (sizes, [2, 4], "analytic:sutton-chen", {"forces": True, "subsets": True}),
    "orders": (sizes, [1, 2, 3, 4], "analytic:axilrod-teller", {"max_order": 2}),
    "without wholes": (sizes, [1, 3], "analytic:pair", {"max_order": 2, "whole": False}),
    "connected": (sizes, [2], "analytic:pair?cutoff=2.5", {"cutoff": 2.5, "subsets": True, "forces": True}),
    "cliques": (sizes, [3], "analytic:axilrod-teller", {"cutoff": 2.0, "subsets": True}),
    "cells": (cells, [1, 2, 3], "analytic:sutton-chen?cutoff=3.0", {"max_order": 2, "forces": True, "subsets": True}),
    "one free part": (cells, [1], "analytic:sutton-chen?cutoff=3.0", {"max_order": 2}),
    "states": (charged, [1, 2], "pyscf:uhf/sto-3g?spin=low", {"subsets": True}),
    "exact states": (charged, [2], "pyscf:fci/sto-3g?spin=ground", {"subsets": True, "max_order": 3}),
    "molecules": (waters, [1], "analytic:pair", {"bodies": "molecules", "subsets": True}),
    "atom energies": (
        waters,
        [1],
        CalculatorSource(EMT(), precision=Precision(absolute=1e-12)),
        {"bodies": "molecules", "atom_energies": True},
    ),
}


def resolved(run):
    """All at once, and in parts."""
    frames, cuts, source, options = RUNS[run]
    structures = frames()
    parts = [structures[start:stop] for start, stop in zip([0, *cuts], [*cuts, None], strict=True)]
    at_once = decompose(structures, source, **options)
    # orders that no structure of a part has cannot be asked for
    own = [
        options | ({"max_order": min(options["max_order"], *[max(map(len, part))])} if "max_order" in options and not any(
            atoms.pbc.any() for atoms in part) else {})
        for part in parts
    ]  # fmt: skip
    return at_once, [decompose(part, source, **given) for part, given in zip(parts, own, strict=True)]


@pytest.mark.parametrize("run", RUNS)
def test_parts_are_what_one_run_gives(run, tmp_path):
    at_once, parts = resolved(run)
    found = join(parts)
    # one run evaluates sub-clusters once that are congruent to those of another structure
    own = np.concatenate([part["n_evaluations"].values for part in parts])
    np.testing.assert_array_equal(found["n_evaluations"], own)
    assert (own >= at_once["n_evaluations"].values).all()
    at_once["n_evaluations"].values[:] = own
    identical(found, at_once)
    assert found.attrs["created"] == max(part.attrs["created"] for part in parts)
    loaded = load_results(save_results(found, tmp_path / "joined.nc"))
    assert loaded.mbe.orders().equals(at_once.mbe.orders())
    assert repr(found.mbe) == repr(at_once.mbe)
    # parts that were read are joined alike
    read = [load_results(save_results(part, tmp_path / f"{place}.nc")) for place, part in enumerate(parts)]
    assert join(read).mbe.orders().equals(at_once.mbe.orders())


def test_samples():
    """Random numbers are those of a place in a run; what was drawn stays what it is."""
    parts = [
        decompose(some, "analytic:pair", max_order=3, sampling=Sampling(8)) for some in (sizes()[:2], sizes()[3:4])
    ]
    found = join(parts)
    assert found.attrs["family"] == "sampled"
    for name in ("contribution", "noise", "total", "n_evaluations"):
        np.testing.assert_array_equal(found[name], np.concatenate([part[name].values for part in parts]))


def test_selected_structures_keep_their_rows():
    """Parts of which some structures were taken, in another order."""
    _, parts = resolved("sizes")
    chosen = [parts[0].isel(structure=[1]), parts[1].isel(structure=[1, 0])]
    expected = decompose([sizes()[place] for place in (1, 3, 2)], RUNS["sizes"][2], **RUNS["sizes"][3])
    identical(join(chosen), expected)
    identical(join([select(parts[0], "b"), select(parts[1], ["d", "c"])]), expected)


def test_analyses_of_what_was_joined():
    at_once, parts = resolved("sizes")
    found = join(parts)
    for analysis in (atom_shares, environment_orders, order_convergence):
        xr.testing.assert_identical(analysis(found), analysis(at_once))
    other = decompose(sizes(), "analytic:pair", subsets=True, forces=True)
    xr.testing.assert_identical(compare({"a": found, "b": other}, "b"), compare({"a": at_once, "b": other}, "b"))


def test_a_join_of_joins():
    at_once, parts = resolved("orders")
    identical(join([join(parts[:2]), join(parts[2:4]), parts[4]]), at_once)


def test_one_result_is_itself():
    at_once, _ = resolved("cells")
    identical(join([at_once]), at_once, but=())
    identical(join({"any": at_once}), at_once, but=())


def deep_and_shallow():
    """Of 4 and 2 atoms to all orders; of 5, 2 and 1 atoms to order 2."""
    frames = clusters(1, 4, seed=1) + clusters(1, 2, seed=2)
    few = clusters(1, 5, seed=3) + clusters(1, 2, seed=4) + clusters(1, 1, seed=5)
    for name, atoms in zip("abcde", frames + few, strict=True):
        atoms.info["name"] = name
    deep = decompose(frames, "analytic:axilrod-teller", forces=True)
    return deep, decompose(few, "analytic:axilrod-teller", max_order=2, forces=True)


@pytest.mark.parametrize("turned", [False, True])
def test_orders_that_a_part_was_not_asked_for(turned, tmp_path):
    parts = deep_and_shallow()[:: -1 if turned else 1]
    found = select(join(parts), list("abcde"))
    orders = found["contribution"].values
    assert found["asked_order"].values.tolist() == [4, 4, 2, 4, 4]
    assert np.isfinite(orders[:, :2]).all()
    assert np.isnan(orders[2, 2:]).all()  # five atoms: orders 3 and 4 were never asked for
    assert np.isnan(found["noise"].values[2, 2:]).all()
    assert not found["above_noise"].values[2, 2:].any()
    assert (orders[[1, 3, 4], 2:] == 0).all()  # of two atoms and one they are zero
    assert (found["failure"].values == "").all()
    forces = found["sites/force_contribution"].values
    owner = found["sites/site_structure"].values
    assert np.isnan(forces[2:, owner == 2]).all()
    assert (forces[2:, np.isin(owner, [1, 3, 4])] == 0).all()
    # what is left of a part is the part
    for part in parts:
        own = select(found, [str(name) for name in part["structure"].values])
        top = part.sizes["order"]
        xr.testing.assert_allclose(
            own.mbe.truncation().isel(order=slice(top)).drop_vars("effective_body_order"),
            part.mbe.truncation().drop_vars("effective_body_order"),
        )
        np.testing.assert_array_equal(
            order_convergence(own)["effective_body_order"], order_convergence(part)["effective_body_order"]
        )
        np.testing.assert_array_equal(own["total"], part["total"])
        np.testing.assert_array_equal(own["residual"], part["residual"])
    assert "no orders above 2 of 1 of 5 structures: they were not asked for" in repr(found.mbe)
    loaded = load_results(save_results(found, tmp_path / "joined.nc"))
    assert loaded.mbe.orders().equals(found.mbe.orders())
    page = write_report(tmp_path / "page.html", Report("parts", found)).read_text()
    assert "lacks contributions" not in page
    assert "No orders above 2 of 1 of 5 structures: they were not asked for." in page
    both = combine({"a": found, "b": found})
    assert both["asked_order"].values.tolist() == [[4, 4, 2, 4, 4]] * 2


def test_what_lower_orders_leave_is_no_misfit():
    """Of a connected family all orders add up to the energy; those that were asked for need not."""
    frames, spec = clusters(1, 5, seed=3) + clusters(1, 5, seed=4), "analytic:sutton-chen?cutoff=9"
    parts = [decompose(atoms, spec, cutoff=9.0, max_order=order) for atoms, order in zip(frames, (5, 3), strict=True)]
    found = join(parts)
    assert abs(found["residual"].values[1]) > 1
    assert "miss" not in repr(found.mbe)
    assert "no orders above 3 of 1 of 2 structures: they were not asked for" in repr(found.mbe)


def test_contributions_that_were_not_asked_for_are_not_zero_beside_others():
    """Sub-clusters that a connected family does not hold are zero, but for orders that it was not asked for."""
    frames = clusters(1, 5, seed=3, spread=2) + clusters(1, 5, seed=4, spread=2)
    spec, given = "analytic:sutton-chen?cutoff=9", {"cutoff": 9.0, "subsets": True}
    parts = [decompose(atoms, spec, max_order=order, **given) for atoms, order in zip(frames, (5, 3), strict=True)]
    both = combine({"parts": join(parts), "full": decompose(frames, spec, **given)})
    orders, owners = (both[f"subsets/subset_{name}"].values for name in ("order", "structure"))
    values = both["subsets/subset_contribution"].sel(source="parts").values
    np.testing.assert_array_equal(np.isnan(values), (owners == 1) & (orders > 3))


def test_without_a_reason_orders_may_not_be_missing(tmp_path):
    found = join(deep_and_shallow())
    del found["asked_order"]
    with pytest.raises(InputError, match="must say in `failure` why numbers are missing"):
        save_results(found, tmp_path / "joined.nc")


def test_structures_without_names_are_numbered_through():
    frames = clusters(5, 3)
    identical(join([decompose(frames[:2], "analytic:pair"), decompose(frames[2:], "analytic:pair")]),
              decompose(frames, "analytic:pair"))  # fmt: skip


def renamed(tree, *names):
    return changed(tree, lambda data: data.assign_coords(structure=list(names)))


def test_names_that_come_twice_get_those_of_their_results():
    part, other = (decompose(sizes()[:2], spec) for spec in ("analytic:pair", "analytic:pair"))
    assert join([part, other])["structure"].values.tolist() == ["0/a", "0/b", "1/a", "1/b"]
    assert join({"cold": part, "hot": other})["structure"].values.tolist() == ["cold/a", "cold/b", "hot/a", "hot/b"]
    assert join([part, renamed(other.isel(structure=[1]), "c")])["structure"].values.tolist() == [*"abc"]
    named = renamed(part, "b/c", "d"), renamed(other, "c", "d")
    with pytest.raises(
        InputError, match="must have different names, several would be called a/b/c; name results otherw"
    ):
        join({"a": named[0], "a/b": named[1]})


def plain(**attributes):
    return attributed(decompose(clusters(1, 3), "analytic:pair"), **attributes)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"fingerprint": "x"}, r"they differ in `fingerprint`: 'x' in 'b', '.*' in 'a'"),
        ({"source": "mace:x"}, r"they differ in `source`: 'mace:x' in 'b', 'analytic:pair.*' in 'a'"),
        ({"bodies": "molecules"}, r"they differ in `bodies`: 'molecules' in 'b', 'atoms' in 'a'"),
        ({"bodies": "bodies.txt"}, r"they differ in `bodies`: 'given' in 'b', 'atoms' in 'a'"),
        ({"spin": "low"}, r"they differ in `spin`: 'low' in 'b', 'none' in 'a'"),
        ({"counterpoise": "full"}, r"they differ in `counterpoise`: 'full' in 'b', 'none' in 'a'"),
        ({"cutoff": 4.5}, r"they differ in `cutoff`: 4.5 in 'b', 'none' in 'a'"),
        ({"whole": "not asked for"}, r"they differ in `whole`: 'not asked for' in 'b', 'asked for' in 'a'"),
        ({"precision_absolute": 1e-3}, r"they differ in `precision_absolute`: 0.001 in 'b', 1e-14 in 'a'"),
    ],
)
def test_results_of_other_sources_are_refused(attributes, said):
    with pytest.raises(InputError, match=f"^results that are joined must be made alike; {said}$") as caught:
        join({"a": plain(), "b": plain(**attributes)})
    assert "\n" not in str(caught.value)


def test_attributes_that_may_differ():
    parts = [plain(bodies="a.txt", created="2026-01-02T00:00:00+00:00", versions='{"bodyorder": "1", "ase": "3"}', mine=1),
             plain(bodies="given", created="2026-01-01T00:00:00+00:00", versions='{"bodyorder": "2", "ase": "3"}', mine=1,
                   noise="measured", yours=2)]  # fmt: skip
    del parts[0].attrs["whole"]  # as results have it that are older
    found = join(parts).attrs
    assert found["bodies"] == "given"
    assert found["created"] == "2026-01-02T00:00:00+00:00"
    assert found["versions"] == '{"bodyorder": "1, 2", "ase": "3"}'
    assert found["noise"] == "different from part to part: claimed by the source, measured"
    assert found["whole"] == "asked for"
    assert found["mine"] == 1
    assert "yours" not in found


def test_what_was_asked_for_all_must_have():
    def part(**options):
        return decompose(clusters(1, 3), "analytic:sutton-chen", **options)

    with pytest.raises(
        InputError, match="must all have `force_contribution`, or none; '1' has it, '0' not; leave it out"
    ):
        join([part(), part(forces=True)])
    mixed = [part(subsets=True), part()]
    with pytest.raises(
        InputError, match=r"all have `subset_\w+`, or none; '0' has it, '1' not; leave sub-clusters out"
    ):
        join(mixed)
    assert "subsets" not in join(mixed, subsets=False).children
    own, other = (
        changed(part(), lambda data, value=value: data.assign_coords(temperature=("structure", [value])))
        for value in (300.0, 10.0)
    )
    with pytest.raises(InputError, match="must all have `temperature`, or none; '0' has it, '1' not"):
        join([own, part()])
    assert join([own, other])["temperature"].values.tolist() == [300, 10]
    with pytest.raises(
        InputError, match="variables of their own along structure, site or subset alone, `mine` of '0' is"
    ):
        join([changed(part(), lambda data: data.assign(mine=("order", [1.0, 2.0, 3.0]))), part()])


def test_what_other_versions_counted():
    """Where a part does not say how many states are in doubt, none are if the same program made it; else nobody knows."""
    part, other = plain(), plain()
    counted = changed(part, lambda data: data.assign(n_contaminated=(("structure", "order"), [[0, 1, 2]])))
    assert join([counted, other])["n_contaminated"].values.tolist() == [[0, 1, 2], [0, 0, 0]]
    found = join([counted, attributed(other, versions='{"bodyorder": "0.1"}')])["n_contaminated"].values
    np.testing.assert_array_equal(found, [[0, 1, 2], [np.nan] * 3])


def test_what_cannot_be_joined():
    result = plain()
    with pytest.raises(InputError, match="at least one result must be given to join, got none"):
        join([])
    with pytest.raises(InputError, match="must be a list, or given by name, got DataTree"):
        join(result)
    with pytest.raises(InputError, match="result '1' must be a tree, as decompose and load_results give it, got str"):
        join([result, "part.nc"])
    with pytest.raises(InputError, match="must be different ones, '0' and '1' are the same"):
        join([result, result])
    both = combine({"x": plain(), "y": plain()})
    for aligned in (both, both.sel(source="x")):
        with pytest.raises(
            InputError, match="result '1' must be of one source, and has a `source` coordinate; join parts"
        ):
            join([result, aligned])
    with pytest.raises(InputError, match="`subsets` must be true or false, got 1"):
        join([result], subsets=1)
    lacking = plain()
    del lacking["total"]
    with pytest.raises(InputError, match="result 'b' must have `total` at its root, and lacks it"):
        join({"a": result, "b": lacking})


def test_parts_that_failed_keep_their_reasons():
    class Failing(EnergySource):
        name, fingerprint, cutoff, precision = "failing", "failing 1", None, Precision()

        def energies(self, batch):
            return np.where((batch.members == 0).any(axis=1), np.nan, 1.0)

    bad, good = decompose(clusters(1, 4), Failing()), decompose(clusters(1, 5, seed=2), Failing())
    found = join([bad, good])
    assert found["failure"].values.tolist() == [*bad["failure"].values, *good["failure"].values]
    assert found["n_failed"].values.tolist() == [[1, 3, 3, 1, 0], [1, 4, 6, 4, 1]]
    identical(found, decompose(clusters(1, 4) + clusters(1, 5, seed=2), Failing()))


class Tabulated(EnergySource):
    """Pairs, and a lone atom that is off by 2 eV, by 3 eV if it is no hydrogen."""

    name, fingerprint, cutoff, precision = "off", "off 1", None, Precision(absolute=1e-12)

    def energies(self, batch):
        if batch.n_atoms == 1:
            return np.where(batch.numbers[:, 0] == 1, 2.0, 3.0)
        apart = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1)
        return np.exp(-apart).sum(axis=(1, 2)) - batch.n_atoms


def pair_of(symbols):
    return Atoms(symbols, [[0, 0, 0], [1.1, 0, 0]], info={"name": symbols})


@pytest.mark.parametrize("one_body", ["model", "dissociation"])
def test_what_lone_atoms_miss_is_that_of_all_parts(one_body):
    """Each pair of elements once; parts know their own."""
    frames = [pair_of("HHe"), pair_of("H2"), pair_of("He2"), pair_of("HHe")]
    frames[3].info["name"] = "again"
    parts = [decompose(frame, Tabulated(), one_body=one_body) for frame in frames]
    whole = decompose(frames, Tabulated(), one_body=one_body)
    assert whole["dissociation"]["pair"].values.tolist() == ["H H", "H He", "He He"]
    identical(join(parts), whole)
    missing = xr.DataTree.from_dict(
        {f"/{name}": parts[0][name].to_dataset() for name in ("sites",)} | {"/": parts[0].to_dataset()}
    )
    joined = join([missing, *parts[1:3]])  # a file of a former version says nothing of its pairs
    assert joined["dissociation"]["pair"].values.tolist() == ["H H", "He He"]


def test_results_of_different_lone_atoms_are_not_joined():
    parts = [
        decompose(pair_of(name), Tabulated(), one_body=choice)
        for name, choice in (("H2", "model"), ("HHe", "dissociation"))
    ]
    with pytest.raises(InputError, match=r"differ in `one_body`: 'dissociation' in '1', 'model' in '0'$"):
        join(parts)
    former = attributed(parts[0])
    del former.attrs["one_body"]  # which knew the model alone
    assert join([former, decompose(pair_of("He2"), Tabulated())]).sizes["structure"] == 2
