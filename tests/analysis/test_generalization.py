"""Errors whose cancellation is known."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis import environment_orders, error_cancellation, size_errors
from bodyorder.structures.hydrogen import high_density


@pytest.fixture(scope="module")
def results():
    clusters = named(high_density(4, 5, 1))
    right = decompose(clusters, MorsePotential(epsilon=4.5, r0=0.74, rho0=1.5, rcut1=8.0, rcut2=9.0), subsets=True)
    wrong = decompose(clusters, LennardJones(sigma=0.7, epsilon=1.0, rc=20.0), subsets=True)
    return {"right": right, "wrong": wrong}


def test_errors_in_one_order_do_not_cancel(results):
    found = error_cancellation(results, "right")
    # both are pair potentials, so all errors are in order 2
    assert float(found.cancellation.sel(source="wrong", group="high")) == pytest.approx(1.0)
    assert np.isnan(found.cancellation.sel(source="right")).all()
    assert float(found.error_correlation.sel(source="wrong", group="high", order=2, other_order=2)) != 0


def test_orders_that_undo_each_other(results):
    turned = results["right"].copy(deep=True)
    generator = np.random.default_rng(1)
    error = generator.normal(size=5)
    turned["contribution"].loc[{"order": 2}] += error
    turned["contribution"].loc[{"order": 3}] -= error
    found = error_cancellation({"right": results["right"], "turned": turned}, "right").sel(
        source="turned", group="high"
    )
    assert float(found.cancellation) == pytest.approx(0.0, abs=1e-12)
    assert float(found.error_correlation.sel(order=2, other_order=3)) == pytest.approx(-1.0)
    turned["contribution"].loc[{"order": 3}] += 2 * error
    found = error_cancellation({"right": results["right"], "turned": turned}, "right").sel(
        source="turned", group="high"
    )
    assert float(found.cancellation) == pytest.approx(np.sqrt(2))


def named(clusters):
    for index, atoms in enumerate(clusters):
        atoms.info = {"name": f"c{index}", "group": "high"}
    return clusters


def test_how_unknown_orders_cancel_is_unknown_but_known_ones_correlate(results):
    short = {name: result.sel(order=[1, 2, 3]) for name, result in results.items()}
    turned = {"right": short["right"], "turned": short["right"].copy(deep=True)}
    error = np.random.default_rng(1).normal(size=5)
    turned["turned"]["contribution"].loc[{"order": 2}] += error
    turned["turned"]["contribution"].loc[{"order": 3}] += error
    found = error_cancellation(turned, "right").sel(source="turned", group="high")
    assert np.isnan(found.cancellation)
    assert float(found.error_correlation.sel(order=2, other_order=3)) == pytest.approx(1.0)


def test_a_constant_has_the_orders_of_the_reference_as_its_errors():
    clusters = named([*high_density(3, 3, 1), *high_density(5, 3, 2)])
    right = decompose(clusters, "analytic:sutton-chen")
    constant = right.copy(deep=True)
    sizes = right["n_bodies"].values
    constant["contribution"][:] = 0.0
    constant["contribution"].loc[{"order": 1}] = sizes * (right["total"].values / sizes).mean()
    found = error_cancellation({"right": right, "constant": constant}, "right")
    expected = float(found.cancellation.sel(source="constant", group="high"))
    assert found.constant_cancellation.dims == ("group",)
    assert float(found.constant_cancellation.sel(group="high")) == pytest.approx(expected)
    assert expected < 0.5


def test_structures_of_several_sizes_count_with_the_orders_that_they_have():
    clusters = named([*high_density(3, 3, 1), *high_density(5, 3, 2)])
    right = decompose(clusters, "analytic:axilrod-teller?nu=2.0")
    wrong = decompose(clusters, "analytic:axilrod-teller?nu=3.0")
    for column, atoms in enumerate(clusters):
        for order in range(1, len(atoms) + 1):
            wrong["contribution"].loc[{"order": order}][column] += 0.1 * order * column
    found = error_cancellation({"right": right, "wrong": wrong}, "right").sel(source="wrong", group="high")
    errors = (wrong["contribution"] - right["contribution"]).values / right["n_bodies"].values[:, None]
    expected = np.sqrt((np.nansum(errors, axis=1) ** 2).sum() / np.nansum(errors**2))
    assert float(found.cancellation) == pytest.approx(expected)
    # order 5 is known of three structures alone
    both = errors[3:, [1, 4]].T
    assert float(found.error_correlation.sel(order=2, other_order=5)) == pytest.approx(np.corrcoef(both)[0, 1])
    failed = wrong.copy(deep=True)
    failed["contribution"].loc[{"order": 2}][0] = np.nan
    failed["failure"] = failed["failure"].copy(data=["a pair failed", *[""] * 5])
    found = error_cancellation({"right": right, "wrong": failed}, "right").sel(source="wrong", group="high")
    expected = np.sqrt((np.nansum(errors[1:], axis=1) ** 2).sum() / np.nansum(errors[1:] ** 2))
    assert float(found.cancellation) == pytest.approx(expected)


def test_large_structures_have_errors_by_size_up_to_their_order():
    clusters = named(high_density(30, 2, 1))
    spec = "analytic:sutton-chen?cutoff=1.8"
    whole = decompose(clusters, spec, max_order=3, subsets=True)
    connected = decompose(clusters, spec, max_order=3, subsets=True, cutoff=1.8)
    found = size_errors({"whole": whole, "connected": connected}, "whole").sel(source="connected").squeeze("group")
    np.testing.assert_allclose(found.size_error.sel(size=[1, 2, 3, 30]), 0.0, atol=1e-9)
    assert found.size_error.notnull().sum() == 4
    with pytest.raises(InputError, match="at most 67,108,864, 30 bodies have 1,073,741,823"):
        environment_orders(whole)


def test_errors_by_size_are_those_of_all_subclusters(results):
    found = size_errors(results, "right").sel(source="wrong", group="high")
    right, wrong = (results[name]["subsets"] for name in ("right", "wrong"))
    sizes = right["subset_order"].values
    for size in (1, 2, 3, 4):
        chosen = sizes == size
        errors = (wrong["subset_energy"].values - right["subset_energy"].values)[chosen] / size
        assert float(found.size_error.sel(size=size)) == pytest.approx(np.sqrt((errors**2).mean()))
        assert float(found.size_bias.sel(size=size)) == pytest.approx(errors.mean())


def test_what_cannot_be_compared_is_refused(results):
    with pytest.raises(InputError, match="`reference` must be one of right, wrong, got 'rihgt'"):
        error_cancellation(results, "rihgt")
    with pytest.raises(InputError, match="errors by size must come from results with subsets"):
        size_errors({name: result.drop_nodes("subsets") for name, result in results.items()}, "right")


def test_errors_of_truncated_results_are_known_up_to_their_order_and_for_the_whole(results):
    clusters = named(high_density(4, 5, 1))
    potentials = {
        "right": MorsePotential(epsilon=4.5, r0=0.74, rho0=1.5, rcut1=8.0, rcut2=9.0),
        "wrong": LennardJones(sigma=0.7, epsilon=1.0, rc=20.0),
    }
    short = {name: decompose(clusters, source, max_order=2, subsets=True) for name, source in potentials.items()}
    found, whole = size_errors(short, "right"), size_errors(results, "right")
    assert found.size_error.sel(source="wrong", size=3).isnull().all()
    for size in (1, 2, 4):
        np.testing.assert_allclose(found.size_error.sel(size=size), whole.size_error.sel(size=size), atol=1e-12)
    with pytest.raises(InputError, match="c0 by wrong lacks those of sizes 3, 4"):
        size_errors({"right": results["right"], "wrong": short["wrong"]}, "right")


def test_connected_subclusters_of_an_additive_source_suffice_up_to_an_order():
    clusters = high_density(5, 3, 1)
    spec = "analytic:sutton-chen?cutoff=1.8"
    whole = decompose(clusters, spec, max_order=3, subsets=True)
    connected = decompose(clusters, spec, max_order=3, subsets=True, cutoff=1.8)
    assert connected["subsets"].sizes["subset"] < whole["subsets"].sizes["subset"]
    found = size_errors({"whole": whole, "connected": connected}, "whole").sel(source="connected").squeeze("group")
    np.testing.assert_allclose(found.size_error.sel(size=[1, 2, 3, 5]), 0.0, atol=1e-9)
    assert np.isnan(found.size_error.sel(size=4))
