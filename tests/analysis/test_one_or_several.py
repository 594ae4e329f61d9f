"""A result alone gives no ``source`` dimension; several, a mapping or a combined tree, give one."""

import inspect

import numpy as np
import pytest
import xarray as xr
from trees import changed

import bodyorder.analysis
from bodyorder.analysis import align, combine, environment_orders
from bodyorder.analysis.environment_functions import environment_functions, group_environment
from bodyorder.analysis.nominal import nominal_orders

#: What each needs beside the results. Those that compare with a reference are of several, whatever is given.
ALONE = {
    "atom_shares": {},
    "context_orders": {},
    "doubts": {},
    "environment_orders": {},
    "environment_terms": {"order": 2},
    "findings": {},
    "group_convergence": {},
    "interaction_indices": {"order": 2},
    "missing_contributions": {},
    "multiplicities": {},
    "net_forces": {},
    "one_body_energies": {},
    "order_convergence": {},
}
COMPARED = {"compare", "error_cancellation", "size_errors"}
#: Of those that have a reference, of those with members, and of pairs of sources; what is no analysis.
OTHERS = {
    "group_members",
    "harmonic_frequencies",
    "single_reference_errors",
    "multiplicity_changes",
    "order_changes",
    "align",
    "attributes",
    "combine",
}

#: Public in modules of their own.
ELSEWHERE = {
    group_environment: {},
    environment_functions: {"order": 2, "size": 2, "ranges": [0.0, 2.0, 9.0]},
    nominal_orders: {"nominal": {"terms": 2}},
}
ANALYSES = {getattr(bodyorder.analysis, name): options for name, options in ALONE.items()} | ELSEWHERE


@pytest.fixture(scope="module")
def result(build, terms):
    """Two structures in two groups with all that analyses ask for."""
    made = build({"a": terms(4, [1.0] * 4, 1), "b": terms(3, [1.0] * 3, 2)}, groups=["low", "high"], noise=0.01)
    return changed(
        made,
        lambda held: held.assign(
            subset_multiplicity=("subset", 1.0 + held["subset_order"].values % 2),
            subset_gap=("subset", np.full(held.sizes["subset"], 5.0)),
            n_degenerate=(("structure", "order"), np.zeros((2, 4))),
            force_contribution=(("order", "site", "xyz"), np.ones((4, held.sizes["site"], 3))),
        ),
    )


def test_every_analysis_is_held_to_the_rule():
    public = [getattr(bodyorder.analysis, name) for name in bodyorder.analysis.__all__]
    taking = {
        own.__name__ for own in public if inspect.isfunction(own) and "results" in inspect.signature(own).parameters
    }
    assert taking == {*ALONE, *COMPARED, *OTHERS}


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.__name__)
def test_one_alone_gives_no_source_and_a_mapping_of_one_does(analysis, result):
    options = ANALYSES[analysis]
    alone = analysis(result, **options)
    assert "source" not in alone.dims
    assert "source" not in alone.coords
    for given in ({"terms": result}, combine({"terms": result}), align(result).several):
        several = analysis(given, **options)
        assert several.sizes["source"] == 1
        assert several["source"].values.tolist() == ["terms"]
        xr.testing.assert_equal(several.isel(source=0, drop=True), alone)
    for given in (align(result), combine({"terms": result}).sel(source="terms")):
        xr.testing.assert_equal(analysis(given, **options), alone)


@pytest.mark.parametrize("name", sorted(COMPARED))
def test_deviations_from_a_reference_always_have_a_source(name, result):
    analysis = getattr(bodyorder.analysis, name)
    for given in (result, {"terms": result}):
        assert analysis(given, "terms").sizes["source"] == 1


def test_findings_with_a_reference_follow_the_rule(result):
    alone = bodyorder.analysis.findings(result, "terms")
    assert "source" not in alone.dims
    assert "total_rmse" in alone


def test_what_goes_on_with_sources_shares_the_tables(result):
    aligned = align(result)
    environment_orders(aligned.several)
    assert aligned.tables("tables") is aligned.several.tables("tables")
    several = align({"terms": result})
    assert several.several is several
