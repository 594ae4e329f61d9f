"""Results that were edited by hand: one line each, by the library and by every command that reads them."""

import h5netcdf
import numpy as np
import pytest
import xarray as xr
from trees import changed

from bodyorder import atom_shares, combine, compare, environment_orders, load_results, save_results
from bodyorder._checks import InputError
from bodyorder.analysis import order_convergence
from bodyorder.results import flat


def with_root(tree, change):
    groups = {name: child.to_dataset(inherit=False) for name, child in tree.children.items()}
    return xr.DataTree.from_dict({"/": change(tree.to_dataset())} | groups)


def without(group):
    return lambda tree: tree.drop_nodes(group)


def lost_dimension(tree):
    return tree.isel(structure=0)


def lost_order(tree):
    return tree.isel(order=-1)


def lost_variable(name):
    return lambda tree: with_root(tree, lambda root: root.drop_vars(name))


def silent_total(tree):
    tree["total"][1] = np.nan
    return tree


def silent_contribution(tree):
    tree["contribution"][2, 3] = np.nan
    return tree


def no_failure_at_all(tree):
    return lost_variable("failure")(silent_total(tree))


def skipped_order(tree):
    return tree.isel(order=[0, 2])


def renumbered_orders(tree):
    return with_root(tree, lambda root: root.assign_coords(order=np.arange(5)))


def stray_atom(tree):
    tree["sites/site_structure"][0] = 7
    return tree


def negative_owner(tree):
    tree["sites/site_structure"][0] = -1
    return tree


def fractional_owner(tree):
    tree["subsets/subset_structure"] = tree["subsets/subset_structure"] + 0.5
    return tree


def no_owner(tree):
    tree["subsets"] = tree["subsets"].to_dataset(inherit=False).drop_vars("subset_structure")
    return tree


def fewer_bodies(tree):
    tree["n_bodies"][0] = 2
    return tree


def twice(tree):
    return tree.isel(structure=[1, 1])


def nothing(tree):
    return tree.isel(structure=[])


def collapsed(tree):
    return with_root(tree, lambda root: root.assign(contribution=root["contribution"].sum("order")))


def misplaced(tree):
    return with_root(tree, lambda root: root.assign(site_number=("site", tree["sites/site_number"].values)))


def other_unit(tree):
    tree["contribution"] = tree["contribution"] * 1000
    tree["contribution"].attrs["units"] = "meV"
    return tree


def as_text(tree):
    tree["total"] = tree["total"].astype(str)
    return tree


def stray_member(tree):
    tree["subsets/subset_members"][0, 0] = 9
    return tree


def fractional_members(tree):
    tree["subsets/subset_members"] = tree["subsets/subset_members"].astype(float)
    return tree


def other_sizes(tree):
    tree["subsets/subset_order"][0] = 2
    return tree


def no_element(tree):
    tree["sites/site_number"][0] = 200
    return tree


def negative_body(tree):
    tree["sites/site_body"][0] = -1
    return tree


EDITS = {
    "no sites": (without("sites"), r"must have the group `sites`, and lacks it"),
    "one structure": (
        lost_dimension,
        r"must have the dimension and coordinate `structure`, .*; select lists of structures",
    ),
    "one order": (lost_order, r"must have the dimension and coordinate `order`, and lacks it; select lists of orders"),
    "no total": (lost_variable("total"), r"must have `total` at its root, and lacks it"),
    "no contribution": (lost_variable("contribution"), r"must have `contribution` at its root|has no contributions"),
    "no bodies": (lost_variable("n_bodies"), r"must have `n_bodies` at its root, and lacks it"),
    "silent total": (silent_total, r"say in `failure` why numbers are missing, and does not for `total` of methane"),
    "silent order": (silent_contribution, r"and does not for `contribution` of ammonia"),
    "no failure": (no_failure_at_all, r"and does not for `total` of methane"),
    "skipped order": (skipped_order, r"must have the orders 1, 2, 3 … without gaps, and has 1, 3"),
    "orders from 0": (renumbered_orders, r"must have the orders 1, 2, 3 … without gaps, and has 0, 1, 2, 3, 4"),
    "stray atom": (stray_atom, r"must have the atoms of all bodies of each structure, water has those of 2 of 3"),
    "negative": (negative_owner, r"must name structures in `site_structure` by their `structure_index`, 0 or more"),
    "fraction": (fractional_owner, r"must name structures in `subset_structure` by their `structure_index`, 0 or more"),
    "no owner": (no_owner, r"must say whose its subsets are, `subset_structure` is missing"),
    "fewer bodies": (fewer_bodies, r"must have the atoms of all bodies of each structure, water has those of 3 of 2"),
    "twice": (twice, r"must have each structure once, each with a `structure_index` of its own; it has 1, 1"),
    "nothing": (nothing, r"must have one structure or more, and has none"),
    "collapsed": (collapsed, r"must have `contribution` along structure and order, and has it along structure"),
    "other unit": (other_unit, r"must have `contribution` in eV, and has it in meV"),
    "as text": (as_text, r"must have numbers in `total`, and has "),
    "stray member": (
        stray_member,
        r"must have sub-clusters of bodies that there are, water has one of body 9 and 3 bodies",
    ),
    "fractional members": (fractional_members, r"must have whole numbers in `subset_members`, and has float64"),
    "other sizes": (other_sizes, r"must say in `subset_order` how many bodies each of `subset_members` has"),
    "no element": (no_element, r"must have `site_number` of 0 or more, 118 at most, and has 1 to 200"),
    "negative body": (negative_body, r"must have `site_body` of 0 or more, and has -1 to "),
    "misplaced": (misplaced, r"must have `site_number` in the group `sites`, and has it in its root"),
}


@pytest.fixture(params=list(EDITS))
def edited(request, result):
    edit, message = EDITS[request.param]
    return edit(result), message


def test_every_way_in_says_it_in_one_line(edited, tmp_path):
    tree, message = edited
    ways = (
        flat,
        lambda tree: combine({"a": tree}),
        order_convergence,
        environment_orders,
        atom_shares,
        lambda tree: compare({"a": tree}, "a"),
        lambda tree: save_results(tree, tmp_path / "r.nc"),
    )
    for way in ways:
        with pytest.raises(InputError, match=message.split("|")[0]) as caught:
            way(tree)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def written(tree, path):
    """As somebody writes it who does not ask the library."""
    tree.to_netcdf(path, engine="h5netcdf")
    return path


def test_a_file_is_told_in_one_line_too(edited, tmp_path, run):
    tree, message = edited
    path = written(tree, tmp_path / "edited.nc")
    with pytest.raises(InputError, match=message) as caught:
        load_results(path)
    assert str(path) in str(caught.value)
    commands = (
        ("report", path, "-o", tmp_path / "r.html"),
        ("compare", path, path, "--reference", "edited", "-o", tmp_path / "c.nc"),
        ("environment", path, "-o", tmp_path / "e.nc"),
    )
    for command in commands:
        code, out, err = run(*command)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("bodyorder")
    assert [file.name for file in tmp_path.iterdir()] == ["edited.nc"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.attrs.__setitem__("schema_version", 3), r"layout 2 or older, .* has 3; upgrade bodyorder"),
        (lambda file: file.attrs.__delitem__("schema_version"), r"say their layout in `schema_version`, .* does not"),
        (
            lambda file: file._h5file["sites"].__delitem__("site_number"),
            r"must have `site_number` in the group `sites`",
        ),
        (lambda file: file._h5file["contribution"].attrs.__setitem__("units", "meV"), r"in eV, and has it in meV"),
        (lambda file: file._h5file.__delitem__("sites"), r"must have the group `sites`, and lacks it"),
        (lambda file: file._h5file["subsets"].__delitem__("subset_structure"), r"`subset_structure` is missing"),
        (lambda file: file._h5file.__delitem__("total"), r"must have `total` at its root, and lacks it"),
    ],
)
def test_files_that_other_programs_changed(result, tmp_path, run, edit, message):
    path = save_results(result, tmp_path / "r.nc")
    with h5netcdf.File(path, "a") as file:
        edit(file)
    with pytest.raises(InputError, match=message):
        load_results(path)
    for command in (
        ("report", path, "-o", tmp_path / "r.html"),
        ("compare", path, path, "--reference", "r", "-o", tmp_path / "c.nc"),
    ):
        code, _, err = run(*command)
        assert (code, err.count("\n")) == (2, 1)


def test_cells_of_other_structures_than_the_root_has(tmp_path):
    root = xr.Dataset(
        {"contribution": (("structure", "order"), [[1.0], [2.0]])},
        coords={"structure": ["a", "b"], "order": [1]},
        attrs={"schema_version": 2},
    )
    cells = xr.Dataset(
        {"cell": (("structure", "vector", "xyz"), np.ones((3, 3, 3)))}, coords={"structure": list("abc")}
    )
    for number, part in enumerate((root, cells)):
        part.to_netcdf(
            tmp_path / "r.nc", engine="h5netcdf", mode="a" if number else "w", group="cells" if number else None
        )
    with pytest.raises(InputError, match=r"^results must be NetCDF files written by bodyorder, .*r\.nc is not: .*\Z"):
        load_results(tmp_path / "r.nc")


def test_a_reason_makes_missing_numbers_a_result(result, tmp_path):
    def fail(held):
        held["total"][1] = np.nan
        held["contribution"][2, 3] = np.nan
        return held.assign(failure=("structure", ["", "no energy of the whole", "a set of four failed"]))

    with_reasons = changed(result, fail)
    path = save_results(with_reasons, tmp_path / "r.nc")
    xr.testing.assert_identical(load_results(path), with_reasons)
