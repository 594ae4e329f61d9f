"""The first answers of a report: against numbers that are put in by hand, and states of atoms that are far apart."""

import ase
import numpy as np
import pytest
import xarray as xr
from geometries import square

from bodyorder._checks import InputError
from bodyorder.analysis import doubts, findings, group_convergence
from bodyorder.analysis.convergence import steepest_growth
from bodyorder.analysis.findings import overall
from bodyorder.analysis.multiplicity import doubt_totals, doubtful
from bodyorder.engine import decompose
from bodyorder.results import grown


def result(totals, groups=None, noise=0.0, n_bodies=None, **attributes):
    """One structure for each row of order totals per body (eV); the energy is their sum. Those that lack orders say why."""
    totals = np.asarray(totals, dtype=float)
    bodies = np.array(n_bodies or [totals.shape[1]] * len(totals))
    failure = ["no three" if np.isnan(row).any() else "" for row in totals]
    dataset = xr.Dataset(
        {
            "contribution": (("structure", "order"), totals * bodies[:, None]),
            "noise": (("structure", "order"), np.full(totals.shape, noise) * bodies[:, None]),
            "total": ("structure", np.nansum(totals, axis=1) * bodies),
            "n_bodies": ("structure", bodies),
            "failure": ("structure", failure),
            "site_structure": ("site", np.repeat(np.arange(len(totals)), bodies)),
            "site_number": ("site", np.ones(bodies.sum(), dtype=int)),
            "site_body": ("site", np.concatenate([np.arange(size) for size in bodies])),
            "site_position": (("site", "xyz"), np.zeros((bodies.sum(), 3))),
        },
        coords={"structure": [f"s{index}" for index in range(len(totals))], "order": np.arange(1, totals.shape[1] + 1)}
        | {"xyz": ["x", "y", "z"]},
        attrs={"source": "FCI", "schema_version": 1} | attributes,
    )
    return grown(dataset if groups is None else dataset.assign_coords(group=("structure", groups)))


def values(found, *names):
    return [float(found[name].squeeze()) for name in names]


def test_growth_and_what_suffices():
    found = findings(result([[-13.0, -5.0, 12.5, -21.0, 26.04, -8.0]]))
    assert values(
        found, "largest_order", "largest_contribution", "largest_ratio", "group_alternation"
    ) == pytest.approx([5, 26.04, 5.208, 1])
    assert values(found, "sufficient_order", "last_order", "last_error", "pair_contribution_per_body") == pytest.approx(
        [6, 6, 0, -5], abs=1e-12
    )


def test_orders_grow_most_from_where_the_next_is_largest_over_them():
    """Growths from order 2 on are 2.5, 1.68 and 1.24; that of order 1, 5.2, does not count."""
    found = steepest_growth(group_convergence(result([[-1.0, -5.2, 13.0, -21.84, 27.0816]])))
    assert values(found, "largest_growth", "growth_order") == pytest.approx([2.5, 2])
    assert np.isnan(
        values(steepest_growth(group_convergence(result([[-1.0, -5.2]]))), "largest_growth", "growth_order")
    ).all()


def test_totals_within_noise_are_counted_over_all_sources_and_groups():
    totals = [[0.0, -2.0, 0.05, -0.02], [0.0, -1.0, 0.01, 0.03]]
    parts = {name: result(totals, groups=["thin", "thick"], noise=noise) for name, noise in (("a", 0.02), ("b", 1e-3))}
    counts = overall(findings(parts))
    assert values(counts, "n_within_noise", "n_totals", "n_dissociated_states") == [3, 12, 0]


def test_small_orders_suffice_where_the_error_of_the_group_does():
    found = findings(result([[-13.0, -2.8, 0.006, -0.0104, 0.004]] * 2, groups=["thin", "thick"]), tolerance=0.005)
    assert found["sufficient_order"].values.tolist() == [4, 4]
    assert findings(result([[-1.0, 1.0, 0.0]]), tolerance=0.01)["sufficient_order"].item() == 2
    errors = group_convergence(result([[-1.0, -2.0, 0.012], [-1.0, -2.0, 0.0]]))["group_truncation_error"]
    assert errors.sel(order=2).item() == pytest.approx(0.012 / 2**0.5)
    assert findings(result([[-1.0, -2.0, 0.012], [-1.0, -2.0, 0.0]]))["sufficient_order"].item() == 2


def test_what_noise_can_undo_is_not_certain():
    for noise, certain in ((0.0, True), (1e-3, True), (2e-3, False)):
        found = findings(result([[-1.0, -2.0, 0.001, 0.0]], noise=noise))
        assert (found["sufficient_order"].item(), found["is_certain"].item()) == (2, certain)


def test_totals_within_their_noise_are_counted():
    found = findings(result([[0.0, -2.0, 0.05, -0.02]], noise=0.02))
    assert values(found, "n_within_noise", "n_above_noise", "largest_noise") == pytest.approx([1, 2, 0.02])


def test_orders_that_failed_are_unknown_whatever_smaller_structures_have():
    totals = [[-0.5, -1.5, 0, 0], [-0.5, -4.5, np.nan, np.nan], [-0.5, -4.5, np.nan, np.nan]]
    found = findings(result(totals, n_bodies=[2, 4, 4]))
    assert found["is_unknown"].squeeze().values.tolist() == [False, False, True, True]
    assert np.isnan(found["largest_contribution"].item())
    assert values(found, "n_lacking", "pair_contribution_per_body") == pytest.approx([2, -3.5])


def test_an_order_that_nobody_asked_for_is_not_lacking():
    short, whole = result([[-1.0, -2.0]], n_bodies=[3]), result([[-1.0, -2.0, 0.5]])
    found = findings({"short": short, "whole": whole}, "whole")
    assert found["n_lacking"].values.tolist() == [0, 0]
    assert not found["is_unknown"].any()


def test_deviations_are_of_the_order_that_is_most_wrong():
    found = findings({"a": result([[-1.0, -2.0, 0.5]]), "b": result([[-1.1, -1.7, 0.4]])}, "a").sel(source="b")
    assert values(found, "deviation_order", "largest_deviation", "total_rmse") == pytest.approx([2, 0.3, 0.1])
    with pytest.raises(InputError, match="`reference` must be one of a, got 'c'"):
        findings({"a": result([[-1.0, -2.0]])}, "c")


def test_samples_and_families_that_are_cut_are_told():
    kinds = {"cut": "cliques", "drawn": "complete, sampled", "whole": "connected"}
    found = findings({name: result([[-1.0, -2.0]], family=family) for name, family in kinds.items()})
    assert found["is_cut"].values.tolist() == [True, False, False]
    assert found["is_sampled"].values.tolist() == [False, True, False]


def test_all_variables_are_described():
    found = findings({"a": result([[-1.0, -2.0, 0.5]]), "b": result([[-1.1, -1.7, 0.4]])}, "a")
    assert all(found[name].attrs.get("long_name") for name in found.data_vars)


@pytest.fixture(scope="module")
def apart():
    """H2 and two atoms so far from everything that no spins are coupled, and an H4 whose singlet and triplet are near."""
    far = ase.Atoms("H4", [[0, 0, 0], [0.75, 0, 0], [6, 0, 0], [12, 0, 0]])
    return [far, square(1.25)]


def test_spins_of_atoms_apart_are_physics_and_no_doubt(apart):
    """Every pair of lone atoms, and whatever holds one: five pairs, two triples (H H H), all four. Not H2 with one atom."""
    found = doubts(decompose(apart[:1], "pyscf:fci/sto-6g?spin=ground", subsets=True)).squeeze()
    assert found["n_degenerate"].values.tolist() == [0, 5, 2, 1]
    assert found["n_dissociated"].values.tolist() == [0, 5, 2, 1]


def test_a_state_that_is_near_another_without_falling_apart_is_in_doubt(apart):
    whole = decompose(apart[1:], "pyscf:fci/sto-6g?spin=ground", subsets=True)
    whole["subsets"]["subset_gap"][-1] = 0.01  # of all four, which are bound to each other
    whole["n_degenerate"][0, 3] = 1
    found = findings(whole)
    assert values(found, "n_doubtful_degenerate", "n_dissociated_states") == [1, 0]


def test_contaminated_states_are_never_excused(apart):
    found = findings(decompose(apart[:1], "pyscf:uhf/sto-6g?spin=ground", subsets=True))
    assert values(found, "n_doubtful_contaminated", "n_doubtful_degenerate", "n_dissociated_states") == [8, 8, 0]


def test_without_sub_clusters_nothing_is_excused(apart):
    found = doubts(decompose(apart[:1], "pyscf:fci/sto-6g?spin=ground"))
    assert found["n_degenerate"].sum() == 8
    assert np.isnan(found["n_dissociated"].values).any()


def test_doubts_that_remain_are_counted_by_order_over_all_groups(apart):
    for structure, group in zip(apart, ("far", "near"), strict=True):
        structure.info["group"] = group
    whole = decompose(apart, "pyscf:fci/sto-6g?spin=ground", subsets=True)
    whole["subsets"]["subset_gap"][-1] = 0.01
    whole["n_degenerate"][1, 3] = 1
    counts = doubts(whole)
    totals = doubt_totals(counts).squeeze()
    assert totals["n_degenerate"].sel(group=["far", "near"]).values.tolist() == [8, 1]
    assert totals["n_clusters"].sel(group=["far", "near"]).values.tolist() == [15, 15]
    found = doubtful(counts).squeeze()
    assert found["n_doubtful_degenerate"].values.tolist() == [0, 0, 0, 1]
    assert found["n_dissociated_states"].values.tolist() == [0, 5, 2, 1]
    assert found["n_all"].values.tolist() == [8, 12, 8, 2]
    assert all(found[name].attrs["long_name"] for name in found.data_vars)
    assert not doubtful(doubts(result([[-1.0, -2.0]]))).data_vars
