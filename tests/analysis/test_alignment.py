import json

import numpy as np
import pytest
from ase.build import bulk
from geometries import square
from trees import changed

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis import align, attributes, combine, groups
from bodyorder.results import flat


@pytest.fixture
def structures(terms):
    return {f"s{seed}": terms(4, [1.0, 1.0, 1.0, 1.0], seed) for seed in range(3)}


def shuffled(result, order):
    """The same result with its structures in another order, sites and subsets going with them."""

    def change(held):
        place = np.argsort(order)
        held = held.isel(structure=order)
        for kind in ("site", "subset"):
            moved = place[held[f"{kind}_structure"].values]
            rows = np.argsort(moved, kind="stable")
            held = held.isel({kind: rows}).assign({f"{kind}_structure": (kind, moved[rows])})
        return held

    return changed(result, change)


def test_sources_stand_side_by_side_with_their_numbers(build, structures):
    first, second = build(structures, noise=0.1), build(structures, noise=0.2)
    second.attrs["fingerprint"] = "2"
    combined = combine({"one": first, "two": second})
    assert combined["contribution"].dims == ("source", "structure", "order")
    assert combined["source"].values.tolist() == ["one", "two"]
    np.testing.assert_array_equal(combined["noise"].sel(source="two").values, second["noise"].values)
    assert combined["sites/site_position"].dims == ("site", "xyz")
    assert combined["failure"].values.tolist() == [["", "", ""]] * 2
    assert combined.attrs["bodies"] == "atoms"
    assert "fingerprint" not in combined.attrs
    assert json.loads(combined.attrs["results"])["two"]["fingerprint"] == "2"
    assert attributes(combined)["two"] == second.attrs


def test_structures_in_another_order_are_matched_by_name(build, structures):
    result = build(structures)
    combined = combine({"one": result, "two": shuffled(result, [2, 0, 1])})
    for name in ("contribution", "total", "subsets/subset_energy", "subsets/subset_contribution"):
        np.testing.assert_array_equal(combined[name].values[0], combined[name].values[1])


def test_counts_of_orders_that_one_source_lacks_are_missing(build, structures):
    counted = {
        name: result.assign(n_failed=result["contribution"].astype(int) * 0 + 1)
        for name, result in {"short": build(structures, max_order=2), "full": build(structures)}.items()
    }
    failed = combine(counted)["n_failed"].values
    assert np.isnan(failed[0, :, 2:]).all()
    assert (failed[0, :, :2] == 1).all()
    assert (failed[1] == 1).all()


def test_subsets_of_periodic_structures_are_told_apart_by_their_cells():
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.05, seed=1)
    separate = {
        f"{cutoff}": decompose(crystal, f"analytic:pair?cutoff={cutoff}", max_order=2, subsets=True)
        for cutoff in (3.0, 4.0)
    }
    combined = combine(separate)
    sizes = {name: result["subsets"].sizes["subset"] for name, result in separate.items()}
    assert combined["subsets"].sizes["subset"] == sizes["4.0"] > sizes["3.0"]
    rows = [
        np.column_stack([subsets["subset_members"].values, subsets["subset_cells"].values.reshape(-1, 6)])
        for subsets in (combined["subsets"], separate["4.0"]["subsets"])
    ]
    assert sorted(map(tuple, rows[0])) == sorted(map(tuple, rows[1]))
    subsets = combined["subsets"]
    pairs = subsets["subset_contribution"].values[:, subsets["subset_order"].values == 2]
    np.testing.assert_allclose(pairs.sum(axis=1), combined["contribution"].values[:, 0, 1], rtol=1e-12)


def test_structures_of_other_charges_or_cells_are_refused():
    charged, boxed = square(), square()
    charged.set_initial_charges([1, 0, 0, 0])
    boxed.set_cell([6, 6, 6])
    boxed.pbc = True
    free = decompose(square(), "pyscf:fci/sto-6g?spin=low", max_order=2)
    with pytest.raises(InputError, match="'free' differ in 0: charge of an atom"):
        combine({"free": free, "charged": decompose(charged, "pyscf:fci/sto-6g?spin=low", max_order=2)})
    with pytest.raises(InputError, match="'free' differ in 0: lattice vectors"):
        combine({"free": free, "boxed": decompose(boxed, "analytic:pair?cutoff=4", max_order=2)})


def test_subsets_and_orders_that_one_source_lacks_are_missing(build, structures):
    combined = combine({"all": build(structures), "pairs": build(structures, max_order=2)})
    assert combined["subsets"].sizes["subset"] == 3 * 15
    pairs = combined.sel(source="pairs")
    subsets = pairs["subsets"]
    high = subsets["subset_order"].values > 2
    assert np.isnan(subsets["subset_energy"].values[high]).all()
    assert np.isfinite(subsets["subset_energy"].values[~high]).all()
    assert np.isnan(pairs["contribution"].values[:, 2:]).all()
    assert combined["subsets/subset_members"].values.min() == -1


def test_subsets_outside_a_connected_family_contribute_nothing(build, structures):
    result = build(structures)
    apart = np.arange(result["subsets"].sizes["subset"]) % 4 == 3
    connected, cliques = (
        changed(result, lambda held, family=family: held.isel(subset=~apart).assign_attrs(family=family))
        for family in ("connected", "cliques")
    )
    combined = combine({"all": result, "connected": connected, "cliques": cliques})["subsets"]
    contribution = combined["subset_contribution"]
    lacking = np.isnan(contribution.sel(source="cliques").values)
    assert lacking.sum() == apart.sum()
    assert (contribution.sel(source="connected").values[lacking] == 0).all()
    assert np.isnan(combined["subset_energy"].sel(source="connected").values[lacking]).all()


def test_a_source_without_subsets_stands_beside_one_with(build, structures):
    combined = combine({"with": build(structures), "without": build(structures, subsets=False)})["subsets"]
    assert np.isnan(combined["subset_contribution"].sel(source="without")).all()
    assert np.isfinite(combined["subset_contribution"].sel(source="with")).all()


def test_one_result_alone_is_named_by_its_source(build, structures):
    result = build(structures)
    alone = align(result)
    assert alone.data["source"].values.tolist() == ["terms"]
    assert align(alone) is alone


def test_groups_come_in_the_order_of_appearance(build, structures):
    result = build(structures, groups=["low", "high", "low"])
    found = {name: rows.tolist() for name, rows in groups(result).items()}
    assert found == {"low": [0, 2], "high": [1]}
    assert {name: rows.tolist() for name, rows in groups(build(structures)).items()} == {"all": [0, 1, 2]}


def test_results_of_other_structures_are_refused_by_name(build, structures):
    result = build(structures)
    renamed = changed(result, lambda held: held.assign_coords(structure=["s0", "s1", "s7"]))
    with pytest.raises(InputError, match="same structures; compared with 'one', 'two' lacks s2"):
        combine({"one": result, "two": renamed})
    with pytest.raises(InputError, match="compared with 'one', 'two' has s1, s2 besides"):
        combine({"one": result.isel(structure=[0]), "two": result})
    moved = result.copy(deep=True)
    moved["sites/site_position"][5, 0] += 0.1
    with pytest.raises(InputError, match="'two' and 'one' differ in s1: position of an atom"):
        combine({"one": result, "two": moved})
    bodies = np.where(np.arange(12) == 11, 2, flat(result)["site_body"])
    fewer = changed(result, lambda held: held.assign(n_bodies=("structure", [4, 4, 3]), site_body=("site", bodies)))
    fewer = fewer.drop_nodes("subsets")  # those of a body that is gone are refused before
    with pytest.raises(InputError, match="'two' and 'one' differ in s2: number of bodies"):
        combine({"one": result, "two": fewer})


def test_what_cannot_be_stacked_is_refused(build, structures):
    result = build(structures)
    with pytest.raises(InputError, match="at least one result must be given"):
        combine({})
    with pytest.raises(InputError, match="each result must be of one source, 'both' has a `source` dimension"):
        combine({"both": combine({"one": result})})
    with pytest.raises(InputError, match="must have different names, 'one' has several called s0"):
        combine({"one": changed(result, lambda held: held.assign_coords(structure=["s0", "s0", "s2"]))})
    with pytest.raises(InputError, match="must have the dimension and coordinate `structure`, and lacks it"):
        combine({"one": changed(result, lambda held: held.drop_vars("structure"))})
