import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import changed

from bodyorder._checks import InputError
from bodyorder.analysis import combine, compare, one_body_energies
from bodyorder.analysis.comparison import one_body_deviations
from bodyorder.results import grown
from bodyorder.results.variables import VARIABLES


@pytest.fixture
def structures(terms):
    return {f"s{seed}": terms(4, [1.0, 1.0, 1.0, 1.0], seed) for seed in range(4)}


def shifted(structures, order, by):
    """Every ε(S) of one order raised by the same energy."""
    return {
        name: {s: value + by * (len(s) == order) for s, value in terms.items()} for name, terms in structures.items()
    }


def test_a_shift_of_one_order_is_found_in_that_order_alone(build, structures):
    results = {"true": build(structures), "model": build(shifted(structures, 3, 0.25))}
    found = compare(results, reference="true").sel(source="model", group="all")
    n_subsets, n_bodies = 4, 4
    for score in ("bias", "mae", "rmse"):
        np.testing.assert_allclose(found[f"subset_{score}"].values, [0, 0, 0.25, 0], atol=1e-14)
        np.testing.assert_allclose(found[f"order_{score}"].values, [0, 0, 0.25 * n_subsets / n_bodies, 0], atol=1e-14)
        assert found[f"total_{score}"].item() == pytest.approx(0.25)
    np.testing.assert_allclose(found["subset_correlation"].values[1:3], 1)
    np.testing.assert_allclose(found["order_correlation"].values, 1)


def test_the_reference_agrees_with_itself(build, structures):
    found = compare({"true": build(structures), "model": build(shifted(structures, 2, 1.0))}, "true").sel(source="true")
    for name, values in found.data_vars.items():
        if name.endswith(("bias", "mae", "rmse")):
            assert (values == 0).all(), name
    assert found.attrs["reference"] == "true"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=12))
def test_scores_are_those_of_the_definitions(pairs):
    mine, theirs = np.array(pairs).T
    names = [f"s{index}" for index in range(len(pairs))]

    def result(values):
        return grown(
            xr.Dataset(
                {
                    "contribution": (("structure", "order"), values[:, None]),
                    "total": ("structure", values),
                    "n_bodies": ("structure", np.full(len(values), 2)),
                    "site_structure": ("site", np.repeat(np.arange(len(values)), 2)),
                },
                coords={"structure": names, "order": [1]},
            )
        )

    found = compare({"a": result(mine), "b": result(theirs)}, "b").sel(source="a", group="all", order=1)
    difference = (mine - theirs) / 2
    assert found["order_bias"] == pytest.approx(difference.mean(), abs=1e-12)
    assert found["order_mae"] == pytest.approx(abs(difference).mean(), abs=1e-12)
    assert found["order_rmse"] == pytest.approx(np.linalg.norm(difference) / np.sqrt(len(difference)), abs=1e-12)
    assert abs(found["order_bias"]) <= found["order_mae"] + 1e-12 <= found["order_rmse"] + 2e-12
    if min(mine.std(), theirs.std()) > 1e-6:
        covariance = ((mine - mine.mean()) * (theirs - theirs.mean())).mean()
        assert found["order_correlation"] == pytest.approx(covariance / mine.std() / theirs.std(), abs=1e-9)


def test_groups_are_compared_apart_and_missing_values_left_out(build, structures):
    reference = build(structures, groups=["low", "low", "high", "high"])
    model = build(shifted(structures, 1, 0.5), groups=["low", "low", "high", "high"])
    model["contribution"][2] = np.nan
    model["contribution"][3] = np.nan
    model["total"][2] = np.nan
    model["failure"][2:] = "no energy"
    found = compare({"true": reference, "model": model}, "true").sel(source="model")
    np.testing.assert_allclose(found["order_bias"].sel(order=1).values, [0.5, np.nan])
    np.testing.assert_allclose(found["total_bias"].values, [0.5, 0.5])
    assert found["total_correlation"].isnull().all()


def test_structures_too_small_for_an_order_do_not_dilute_its_deviation(build, terms):
    structures = {"big": terms(4, [1.0] * 4, 1), "small": terms(2, [1.0] * 2, 2)}
    results = {"true": build(structures), "model": build(shifted(structures, 4, 0.8))}
    found = compare(results, "true").sel(source="model", group="all")
    assert found["order_rmse"].sel(order=4).item() == pytest.approx(0.8 / 4)


def test_forces_are_compared_by_order_and_in_sum(build, structures):
    draw = np.random.default_rng(0)
    forces = draw.normal(size=(4, 16, 3))
    error = np.zeros_like(forces)
    error[1], error[2] = 0.3, -0.3
    dims = ("order", "site", "xyz")
    results = {
        name: changed(build(structures), lambda held, own=own: held.assign(force_contribution=(dims, own)))
        for name, own in (("true", forces), ("model", forces + error))
    }
    found = compare(results, "true").sel(source="model", group="all")
    np.testing.assert_allclose(found["force_order_rmse"].values, [0, 0.3, 0.3, 0], atol=1e-14)
    assert found["force_rmse"].item() == pytest.approx(0, abs=1e-14)
    truncated = {name: result.isel(order=slice(0, 2)) for name, result in results.items()}
    assert compare(truncated, "true")["force_rmse"].isnull().all()


def test_one_body_energies_are_those_of_each_element(build):
    energies = {1: -13.5, 8: -2040.0}

    def water(numbers, pair):
        return {(atom,): energies[number] for atom, number in enumerate(numbers)} | {
            (0, 1): pair, (0, 2): pair, (1, 2): 0.0, (0, 1, 2): 0.1,
        }  # fmt: skip

    numbers = {"a": [8, 1, 1], "b": [8, 8, 1]}
    result = build({name: water(kinds, -3.0) for name, kinds in numbers.items()}, numbers=numbers)
    for given_result in (result, result.drop_nodes("subsets")):
        found = one_body_energies(given_result)
        assert found["element"].values.tolist() == [1, 8]
        np.testing.assert_allclose(found.values, [-13.5, -2040.0])
    alone = build({"a": water(numbers["a"], -3.0)}, numbers={"a": numbers["a"]})
    np.testing.assert_allclose(one_body_energies(alone).values, [-13.5, -2040.0])
    assert np.isnan(one_body_energies(alone.drop_nodes("subsets"))).all()


def test_bodies_that_are_not_atoms_have_no_energy_of_an_element(build, terms):
    result = build({"a": terms(4, [1.0], 1)})
    molecules = changed(
        result.drop_nodes("subsets"),
        lambda atoms: atoms.assign(n_bodies=("structure", [2]), site_body=("site", [0, 0, 1, 1])),
    )
    assert one_body_energies(molecules) is None
    assert "one_body_energy" not in compare({"a": molecules}, "a")


def test_every_variable_has_the_unit_and_meaning_of_the_table(build, structures):
    found = compare({"a": build(structures), "b": build(structures)}, "a")
    for name, array in found.data_vars.items():
        assert array.dims == ("source", *VARIABLES[name].dims)
        assert array.attrs == {"units": VARIABLES[name].unit, "long_name": VARIABLES[name].meaning}


def test_an_unknown_reference_is_refused_with_the_nearest_name(build, structures):
    combined = combine({"FCI": build(structures), "MACE": build(structures)})
    with pytest.raises(InputError, match="`reference` must be one of FCI, MACE, got 'mace'"):
        compare(combined, reference="mace")


def test_deviations_of_atoms_are_from_the_reference_which_has_none():
    energies = xr.DataArray(
        [[-13.6, -2040.0], [-13.5, -2041.5], [np.nan, -2040.0]],
        coords={"source": ["exact", "model", "other"], "element": [1, 8]},
    )
    found = one_body_deviations(energies, "exact")
    np.testing.assert_allclose(found.values, [[np.nan, np.nan], [0.1, -1.5], [np.nan, 0.0]], atol=1e-12)
    assert found.attrs["units"] == "eV"
