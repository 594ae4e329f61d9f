import numpy as np
import pytest
from geometries import scattered
from references import Tabulated
from trees import changed

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis.interactions import context_orders, environment_terms, interaction_indices
from bodyorder.results.variables import VARIABLES
from bodyorder.subsets import INDICES


@pytest.fixture(scope="module", params=["high_density_0", "low_density_0"])
def reference(request):
    source = Tabulated(request.param)
    return decompose(source.atoms, source, subsets=True)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_potential_of_few_bodies_keeps_its_terms(build, terms, order):
    structures = {"a": terms(6, [1.0] * order, 1), "b": terms(4, [1.0] * order, 2), "c": terms(6, [1.0] * order, 3)}
    result = build(structures)
    subsets = result["subsets"]
    expected = subsets["subset_contribution"].values[subsets["subset_order"].values <= order]
    for weights in ("size", "banzhaf", "shapley", "sizes>=2") if order < 3 else ("size", "shapley"):
        found = environment_terms(result, order, weights=weights)
        np.testing.assert_allclose(found["environment_term"], expected, atol=1e-10)
    found = interaction_indices(result, order, indices=("moebius", "shapley_taylor", "faith_shap", "faith_banzhaf"))
    np.testing.assert_allclose(found["interaction"], np.tile(expected, (4, 1)), atol=1e-10)
    assert found["subset_order"].values.max() == order
    assert found["subset_members"].sizes["slot"] == order


def test_terms_belong_to_their_subsets(reference):
    """In whatever order the subsets and the bodies within them stand."""
    rows = np.random.default_rng(0).permutation(255)
    moved = changed(reference, lambda held: held.isel(subset=rows))
    members = moved["subsets/subset_members"].values
    members[:] = -np.sort(-members, axis=1)
    expected, found = environment_terms(reference, 3), environment_terms(moved, 3)

    def table(result):
        members = result["subset_members"].values
        keys = [frozenset(row[row >= 0].tolist()) for row in members]
        return dict(zip(keys, result["environment_term"].values, strict=True))

    mine, theirs = table(found), table(expected)
    assert mine.keys() == theirs.keys()
    assert len(mine) == 92
    for key, value in theirs.items():
        assert mine[key] == pytest.approx(value, abs=1e-10)


def test_indices_of_the_whole_order_are_contributions(reference):
    found = interaction_indices(reference, 8, indices=("moebius", "shapley_taylor", "faith_shap"))
    vacuum = reference["subsets/subset_contribution"].values
    np.testing.assert_allclose(found["interaction"], np.tile(vacuum, (3, 1)), atol=1e-8)


def test_efficient_indices_of_pairs_add_up_to_the_energy(reference):
    found = interaction_indices(reference, 2)
    assert found["index"].values.tolist() == list(INDICES)
    for index in ("shapley_taylor", "faith_shap"):
        assert found["interaction"].sel(index=index).sum().item() == pytest.approx(reference["total"].item(), abs=1e-9)


def test_environments_of_no_and_of_all_bodies(reference):
    """In vacuum the mean contribution is E⁽ⁿ⁾ over the number of subsets, and between all others that of the last n bodies."""
    found = context_orders(reference).isel(structure=0)
    sizes = np.array([8, 28, 56, 70, 56, 28, 8, 1])
    vacuum = reference["contribution"].values[0] / sizes
    np.testing.assert_allclose(found["context_mean"].sel(environment=0), vacuum, atol=1e-9)
    energies, orders = (reference[f"subsets/subset_{name}"].values for name in ("energy", "order"))
    removal = energies[orders == 8] - energies[orders == 7].mean()
    assert found["context_mean"].sel(order=1, environment=7).item() == pytest.approx(removal.item(), abs=1e-9)
    for order in range(1, 9):
        here = found.sel(order=order)
        assert here["context_mean"].notnull().sum() == 9 - order
        assert (here["context_rms"] >= abs(here["context_mean"]) - 1e-12).sum() == 9 - order


def test_sources_and_structures_of_several_sizes(build, terms):
    result = build({"a": terms(4, [1.0] * 4, 1), "b": terms(3, [1.0] * 3, 2)})
    both = {
        "first": result,
        "second": changed(result, lambda held: held.assign(subset_energy=2 * held["subset_energy"])),
    }
    for found, alone in (
        (environment_terms(both, 2), environment_terms(result, 2)),
        (interaction_indices(both, 2), interaction_indices(result, 2)),
        (context_orders(both), context_orders(result)),
    ):
        for name in ("environment_term", "interaction", "context_mean", "context_rms"):
            if name in alone:
                assert found[name].dims == ("source", *alone[name].dims)
                np.testing.assert_allclose(found[name].sel(source="first"), alone[name], atol=1e-12)
                np.testing.assert_allclose(found[name].sel(source="second"), 2 * alone[name], atol=1e-12)


def test_a_small_structure_has_all_its_terms_beside_a_large_one(build, terms):
    small, large = terms(2, [1.0] * 2, 1), terms(5, [1.0] * 3, 2)
    found = environment_terms(build({"small": small, "large": large}), 3)
    alone = [environment_terms(build({name: own}), order) for name, own, order in (("s", small, 2), ("l", large, 3))]
    expected = np.concatenate([part["environment_term"].values for part in alone])
    np.testing.assert_allclose(found["environment_term"], expected, atol=1e-10)
    assert np.bincount(found["subset_structure"].values).tolist() == [3, 25]


@pytest.mark.parametrize("order", [2, 3])
def test_what_a_connected_family_leaves_out_has_terms_too(order):
    """Terms of distant pairs are not zero: both feel what is between them."""
    atoms = scattered(7, seed=3, spread=5.0)
    spec = "analytic:sutton-chen?cutoff=3.0"
    whole = decompose(atoms, spec, subsets=True)
    part = decompose(atoms, spec, subsets=True, cutoff=3.0)
    assert part["subsets"].sizes["subset"] < whole["subsets"].sizes["subset"]

    def table(found, values):
        members = found["subset_members"].transpose("subset", "slot").values
        keys = [frozenset(row[row >= 0].tolist()) for row in members]
        assert len(set(keys)) == len(keys)
        return dict(zip(keys, values.transpose("subset", ...).values, strict=True))

    for rule, name in ((environment_terms, "environment_term"), (interaction_indices, "interaction")):
        found, expected = rule(part, order), rule(whole, order)
        mine, theirs = table(found, found[name]), table(expected, expected[name])
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            np.testing.assert_allclose(mine[key], value, atol=1e-9)
    energies = interaction_indices(part, order).interaction.sel(index=["faith_shap", "shapley_taylor"]).sum("subset")
    np.testing.assert_allclose(energies, float(whole["total"].item()), atol=1e-9)


def test_wrong_requests_are_refused(build, terms):
    result = build({"a": terms(4, [1.0], 1), "b": terms(3, [1.0], 1)})
    with pytest.raises(InputError, match=r"`order` must be between 1 and 4, got 5"):
        environment_terms(result, 5)
    with pytest.raises(InputError, match=r"`order` must be between 1 and 4, got 0"):
        interaction_indices(result, 0)
    with pytest.raises(InputError, match=r"`indices` must be one of .*; did you mean 'banzhaf'"):
        interaction_indices(result, 2, indices=["banzaf"])
    with pytest.raises(InputError, match=r"`indices` must be several of .*, got 'banzhaf'"):
        interaction_indices(result, 2, indices="banzhaf")
    with pytest.raises(InputError, match=r"`indices` must be several of .*, got \[\]"):
        interaction_indices(result, 2, indices=[])
    with pytest.raises(InputError, match=r"`max_order` must be between 1 and 4, got 5"):
        context_orders(result, 5)
    with pytest.raises(InputError, match=r"sizes 2, 3 do not; lower `max_order` to 1 or count more sizes"):
        environment_terms(result, 2, weights="sizes>=2")
    with pytest.raises(InputError, match=r"`subset_energy` is missing; decompose with subsets=True"):
        context_orders(build({"a": terms(4, [1.0], 1)}, subsets=False))


def test_every_variable_has_the_unit_and_meaning_of_the_table(reference):
    for found in (environment_terms(reference, 2), interaction_indices(reference, 2), context_orders(reference)):
        for name, array in found.data_vars.items():
            assert array.dims == VARIABLES[name].dims
            assert array.attrs == {"units": VARIABLES[name].unit, "long_name": VARIABLES[name].meaning}
