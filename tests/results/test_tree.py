"""The tree of a result: what stands where, and what is left when some structures are taken."""

import numpy as np
import pytest
import xarray as xr
from geometries import clusters

from bodyorder import atom_shares, combine, compare, decompose, environment_orders, load_results, save_results
from bodyorder._checks import InputError
from bodyorder.analysis import align, context_orders, environment_terms, group_convergence, order_convergence
from bodyorder.analysis.comparison import one_body_energies
from bodyorder.results import flat, grown, select
from bodyorder.results.tree import GROUPS
from bodyorder.results.variables import VARIABLES

SPECS = ("analytic:sutton-chen", "analytic:axilrod-teller")


def frames():
    """Of several sizes, so that rows of different structures are different in number."""
    found = [clusters(1, size, seed=size)[0] for size in (3, 5, 2, 4)]
    for name, atoms in zip("abcd", found, strict=True):
        atoms.info |= {"name": name, "group": "even" if name in "bd" else "odd"}
    return found


def resolved(chosen, spec=SPECS[0]):
    return decompose(chosen, spec, forces=True, subsets=True)


def test_every_variable_stands_in_the_group_of_its_dimensions(any_result):
    several = ("source",) if "source" in any_result.dims else ()
    groups = {"": any_result.to_dataset()} | {
        name: child.to_dataset(inherit=False) for name, child in any_result.children.items()
    }
    for group, held in groups.items():
        for name, array in held.data_vars.items():
            assert set(array.dims) - set(several) == set(VARIABLES[name].dims)
            own = [other for other, dims in GROUPS.items() if set(dims) & set(array.dims)]
            assert own == ([group] if group else [])
            assert array.attrs["units"] == VARIABLES[name].unit
    # a table of the orders has a row for each order of each structure, whatever else is below
    assert groups[""].sizes.keys() == {"structure", "order", *several}
    assert len(any_result.to_dataset().to_dataframe()) == np.prod(list(any_result.to_dataset().sizes.values()))


def test_flat_and_grown_are_inverses(any_result):
    held = flat(any_result)
    xr.testing.assert_identical(grown(held), any_result)
    xr.testing.assert_identical(flat(grown(held)), held)
    for name, array in held.data_vars.items():
        (found,) = (
            part[name] for part in (any_result.to_dataset(), *any_result.children.values()) if name in part.data_vars
        )
        assert np.shares_memory(array.values, found.values) or array.dtype.kind in "OU"


def test_dimensions_in_another_order_are_the_same_result(result):
    turned = result.map_over_datasets(lambda part: part.transpose())
    assert turned["contribution"].dims == ("order", "structure")
    assert turned["subsets/subset_members"].dims == ("slot", "subset")
    xr.testing.assert_identical(flat(turned), flat(result))
    for analysis in (environment_orders, order_convergence, atom_shares, context_orders):
        xr.testing.assert_identical(analysis(turned), analysis(result))
    both = combine({"turned": turned, "straight": result})
    for name in ("contribution", "sites/force_contribution", "subsets/subset_energy"):
        np.testing.assert_array_equal(both[name].values[0], both[name].values[1])


def test_turned_files_come_back(result, tmp_path):
    turned = result.map_over_datasets(lambda part: part.transpose())
    found = load_results(save_results(turned, tmp_path / "r.nc"))
    xr.testing.assert_identical(flat(found), flat(result))


@pytest.mark.parametrize("rows", [[0], [2], [3, 1], [0, 1], [1, 2, 3], [3, 2, 1, 0]])
def test_some_structures_are_those_alone(rows):
    """Whichever way they are taken, analyses of them are analyses of what was resolved without the others."""
    whole, alone = resolved(frames()), resolved([frames()[row] for row in rows])
    names = ["abcd"[row] for row in rows]
    top = int(alone["n_bodies"].max())
    for part in (whole.isel(structure=rows), whole.sel(structure=names), select(whole, names)):
        np.testing.assert_allclose(part["contribution"][:, :top], alone["contribution"], rtol=1e-12)
        np.testing.assert_array_equal(part["contribution"][:, top:], 0)
        held, expected = flat(part), flat(alone)
        for name in ("site_structure", "site_number", "site_position", "subset_structure", "subset_order"):
            np.testing.assert_array_equal(held[name], expected[name])
        np.testing.assert_array_equal(held["subset_members"][:, :top], expected["subset_members"])
        np.testing.assert_allclose(held["subset_energy"], expected["subset_energy"], rtol=1e-12)
        np.testing.assert_allclose(held["force_contribution"][:top], expected["force_contribution"], atol=1e-9)
        for analysis in (environment_orders, context_orders, lambda given: environment_terms(given, 2)):
            same(analysis(part), analysis(alone))
        for analysis in (order_convergence, group_convergence, atom_shares):
            found = analysis(part).sel(order=alone["order"])
            same(found, analysis(alone))
        same(one_body_energies(part).to_dataset(), one_body_energies(alone).to_dataset())


def same(found, expected):
    assert set(found.data_vars) == set(expected.data_vars)
    for name, array in expected.data_vars.items():
        if array.dtype.kind in "fiub":
            np.testing.assert_allclose(found[name], array, rtol=1e-7, atol=1e-9, err_msg=str(name))
        else:
            np.testing.assert_array_equal(found[name], array)


def test_some_structures_of_several_sources():
    several = combine({spec: resolved(frames(), spec) for spec in SPECS})
    expected = combine({spec: select(resolved(frames(), spec), ["d", "b"]) for spec in SPECS})
    for part in (several.isel(structure=[3, 1]), select(several, ["d", "b"])):
        same(environment_orders(part), environment_orders(expected))
        same(compare(part, SPECS[0]), compare(expected, SPECS[0]))
        assert align(part).data["structure"].values.tolist() == ["d", "b"]
    one = several.sel(source=SPECS[1])
    same(environment_orders(one), environment_orders(resolved(frames(), SPECS[1])))


def test_some_of_some(any_result):
    names = [str(name) for name in any_result["structure"].values]
    backwards = any_result.isel(structure=slice(None, None, -1))
    xr.testing.assert_identical(grown(flat(backwards)), select(any_result, names[::-1]))
    again = backwards.isel(structure=slice(None, None, -1))
    xr.testing.assert_identical(flat(again), flat(any_result))
    xr.testing.assert_identical(select(select(any_result, names[::-1]), names), any_result)
    last = select(backwards, names[-1])
    xr.testing.assert_identical(last, select(any_result, [names[-1]]))
    assert last["structure"].values.tolist() == [names[-1]]
    if "cells" in last.children:
        np.testing.assert_array_equal(last["cells/cell"], any_result["cells/cell"].isel(structure=[-1]))


def test_a_structure_by_its_number_alone_is_no_result(result):
    for way in (flat, order_convergence, environment_orders, lambda tree: combine({"a": tree})):
        with pytest.raises(
            InputError, match=r"must have the dimension and coordinate `structure`.*; select lists of st"
        ):
            way(result.isel(structure=0))


def test_names_that_are_not_there(result):
    with pytest.raises(InputError, match=r"a structure must be one of the result's, got 'watr'; did you mean 'water'"):
        select(result, "watr")
    with pytest.raises(InputError, match=r"must be one of the result's, got 'xyz'$"):
        select(result, ["water", "xyz"])
