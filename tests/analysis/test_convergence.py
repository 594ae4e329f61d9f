import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.analysis import combine, group_convergence, order_convergence
from bodyorder.results import grown
from bodyorder.results.variables import VARIABLES


def totals(values, noise=None):
    """A result whose only structure has the given order totals, in eV; the last order closes the sum."""
    values = np.asarray(values, dtype=float)
    result = xr.Dataset(
        {
            "contribution": (("structure", "order"), values[None]),
            "total": ("structure", [values.sum()]),
            "n_bodies": ("structure", [len(values)]),
            "site_structure": ("site", [0] * len(values)),
        },
        coords={"structure": ["a"], "order": np.arange(1, len(values) + 1)},
        attrs={"source": "given"},
    )
    if noise is not None:
        result["noise"] = xr.full_like(result["contribution"], noise)
    return grown(result)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_a_potential_of_one_body_order_is_found_to_have_it(build, terms, order):
    scale = [1.0] * order
    result = build({name: terms(6, scale, seed) for name, seed in [("a", 1), ("b", 2)]})
    found = order_convergence(result, tolerance=1e-9)
    assert found["effective_body_order"].values.tolist() == [order, order]
    np.testing.assert_allclose(found["truncation_error"].values[:, order - 1 :], 0, atol=1e-14)
    assert (abs(found["truncation_error"].values[:, : order - 1]) > 1e-3).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-20, 20, allow_nan=False), min_size=1, max_size=9))
def test_truncations_end_in_the_energy_and_differ_by_one_order(values):
    found = order_convergence(totals(values)).squeeze("structure")
    n_bodies = len(values)
    for order in range(1, n_bodies + 1):
        assert found["truncation"].sel(order=order) == pytest.approx(math.fsum(values[:order]), abs=1e-10)
        assert found["truncation_error"].sel(order=order) == pytest.approx(
            math.fsum(values[order:]) / n_bodies, abs=1e-10
        )


def test_an_alternating_growing_expansion_is_called_so():
    energies = [-1.0, -2.0, 4.0, -8.0, 16.0]
    found = order_convergence(totals(energies)).squeeze("structure")
    assert found["alternation"] == 1
    np.testing.assert_allclose(found["growth"].values, [2, 2, 2, 2, np.nan])
    assert found["effective_body_order"] == 5


def test_a_decaying_expansion_of_one_sign_does_not_alternate():
    found = order_convergence(totals([-1.0, -0.5, -0.25, -0.125])).squeeze("structure")
    assert found["alternation"] == 0
    np.testing.assert_allclose(found["growth"].values, [0.5, 0.5, 0.5, np.nan])


@pytest.mark.parametrize("rate", [0.7, -0.3])
def test_decay_is_the_rate_of_an_exponential(rate):
    orders = np.arange(1, 7)
    # order 1, a baseline, does not count
    values = np.where(orders == 1, 50.0, (-1.0) ** orders * np.exp(-rate * orders))
    assert order_convergence(totals(values))["decay"].item() == pytest.approx(rate)


def test_decay_leaves_out_orders_within_their_noise():
    values = np.array([1.0, 1.0, 0.1, 1e-6, -1e-6])
    result = totals(values, noise=1e-5)
    assert order_convergence(result)["decay"].item() == pytest.approx(np.log(10))
    assert np.isnan(order_convergence(totals([1.0, 2.0]))["decay"].item())
    both = order_convergence(totals([1.0, 2.0, 0.0, 0.5]))["decay"].item()
    assert both == pytest.approx(np.log(4) / 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-1.5, -0.5, 0.5, 2.0]), min_size=3, max_size=9))
def test_alternation_is_the_fraction_of_sign_changes_from_order_two_on(values):
    signs = np.sign(values[1:])
    expected = np.mean([first != second for first, second in itertools.pairwise(signs)])
    assert order_convergence(totals(values))["alternation"].item() == pytest.approx(expected)


def test_orders_within_their_noise_neither_alternate_nor_grow():
    result = totals([-1.0, -0.5, 1e-6, -1e-6, 1e-6], noise=1e-5)
    found = order_convergence(result).squeeze("structure")
    assert np.isnan(found["alternation"])
    assert np.isnan(found["growth"].values[2:]).all()
    np.testing.assert_allclose(found["truncation_noise"].values, np.arange(1, 6) * 1e-5 / 5)


def test_rounding_neither_alternates_nor_decays():
    found = order_convergence(totals([-1.0, -0.5, 1e-13, -1e-12, 1e-13])).squeeze("structure")
    assert np.isnan(found["alternation"])
    assert np.isnan(found["decay"])


def test_a_sum_right_by_chance_does_not_count_as_converged():
    found = order_convergence(totals([-3.0, 1.0, 5.0, -5.0]), tolerance=0.01)
    assert abs(found["truncation_error"].sel(order=2).item()) < 1e-12
    assert found["effective_body_order"].item() == 4


def test_truncated_results_that_do_not_suffice_have_no_effective_order(build, terms):
    result = build({"a": terms(6, [1.0] * 6, 3)}, max_order=3)
    found = order_convergence(result, tolerance=1e-6)
    assert np.isnan(found["effective_body_order"].item())
    assert abs(found["truncation_error"].sel(order=3).item()) == pytest.approx(abs(result["residual"].item()) / 6)


def test_missing_orders_leave_the_others_alone(build, terms):
    result = build({"a": terms(4, [1.0, 1.0], 3), "b": terms(4, [1.0, 1.0], 4)})
    result = combine({"terms": result})  # which may lack orders that another source has
    result["contribution"][0, 1, 2:] = np.nan
    found = order_convergence(result).squeeze("source")
    assert np.isfinite(found["truncation"].values[1, :2]).all()
    assert np.isnan(found["truncation"].values[1, 2:]).all()
    assert found["effective_body_order"].values.tolist() == [2, 2]
    groups = group_convergence(result)
    assert groups["group_size"].item() == 2
    assert groups["group_contribution"].sel(order=3).item() == pytest.approx(0, abs=1e-14)


def test_what_failed_above_an_order_may_lead_away_again(build, terms):
    result = build({"a": terms(4, [1.0, 1.0], 3), "b": terms(4, [1.0, 1.0], 4)})
    result["contribution"][1, 2:] = np.nan
    result["failure"] = result["failure"].copy(data=["", "no triples"])
    found = order_convergence(result)
    np.testing.assert_array_equal(found["effective_body_order"].values, [2, np.nan])


def test_groups_are_summed_up_apart(build, terms):
    structures = {f"{group}_{seed}": terms(4, [1, scale, scale], seed) for seed in range(3) for group, scale in
                  [("low", 0.01), ("high", 5.0)]}  # fmt: skip
    result = build(structures, groups=["low", "high"] * 3, noise=0.02)
    found = group_convergence(result)
    assert found["group"].values.tolist() == ["low", "high"]
    high = result["contribution"].values[1::2] / 4
    np.testing.assert_allclose(found["group_contribution"].sel(group="high").values, high.mean(axis=0))
    np.testing.assert_allclose(found["group_spread"].sel(group="high").values, high.std(axis=0))
    np.testing.assert_allclose(found["group_noise"].values, 0.02 / 4)
    errors = (result["total"].values[1::2, None] - np.cumsum(result["contribution"].values[1::2], axis=1)) / 4
    np.testing.assert_allclose(
        found["group_truncation_error"].sel(group="high").values, np.sqrt((errors**2).mean(axis=0)), atol=1e-15
    )
    assert found["group_size"].values.tolist() == [3, 3]


def test_a_group_that_failed_altogether_is_missing_without_a_warning(build, terms):
    result = build({"a": terms(3, [1.0], 1), "b": terms(3, [1.0], 2)}, groups=["low", "high"])
    result["contribution"][1] = np.nan
    result["failure"][1] = "no energy"
    found = group_convergence(result)
    assert found["group_size"].values.tolist() == [1, 0]
    assert found["group_contribution"].sel(group="high").isnull().all()
    assert np.isnan(found["group_body_order"].sel(group="high").item())


def test_every_variable_has_the_unit_and_meaning_of_the_table(build, terms):
    result = build({"a": terms(3, [1.0], 1)})
    for dataset in (order_convergence(result), group_convergence(result)):
        for name, array in dataset.data_vars.items():
            assert array.dims == VARIABLES[name].dims
            assert array.attrs == {"units": VARIABLES[name].unit, "long_name": VARIABLES[name].meaning}


def test_a_tolerance_that_is_no_length_of_energy_is_refused(build, terms):
    with pytest.raises(InputError, match="`tolerance` must be a positive number, got 0"):
        order_convergence(build({"a": terms(3, [1.0], 1)}), tolerance=0)
