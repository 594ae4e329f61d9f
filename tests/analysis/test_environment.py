from math import comb

import ase
import numpy as np
import pytest
import xarray as xr
from ase.build import bulk
from geometries import scattered
from references import Tabulated
from trees import changed

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis import combine, order_convergence
from bodyorder.analysis.environment import environment_orders
from bodyorder.results import flat, grown
from bodyorder.results.files import save
from bodyorder.results.variables import VARIABLES


@pytest.fixture(scope="module")
def dense():
    source = Tabulated("high_density_0", "ground")
    return decompose(source.atoms, source, subsets=True)


def row(result, name):
    return result[name].isel(structure=0).values


def test_a_dense_hydrogen_cluster_is_of_low_order_in_its_environment_but_not_in_vacuum(dense):
    """FCI of H8 in the ground state of every sub-cluster; the errors were computed before, with an ordinary solver."""
    found = environment_orders(dense)
    rms = [0.462723, 0.491257, 0.315521, 0.124861, 0.080162, 0.025489, 0.017027, 0]
    np.testing.assert_allclose(row(found, "environment_rms"), rms, atol=1e-6)
    missed = [0.753, -4.804, 10.715, -14.640, 13.883, -7.908, 2.376, 0]
    np.testing.assert_allclose(-row(found, "vacuum_residual") / 8, missed, atol=5e-4)
    assert np.abs(row(found, "environment_residual") / 8).max() < 0.04
    np.testing.assert_allclose(
        row(found, "vacuum_residual") / 8, order_convergence(dense)["truncation_error"].values[0], atol=1e-11
    )
    assert found["n_parameters"].values.tolist() == [8, 36, 92, 162, 218, 246, 254, 255]
    assert found["n_data"].values.tolist() == [255]


def test_errors_are_those_of_least_squares(dense):
    subsets = dense["subsets"]
    energies = subsets["subset_energy"].values
    members = subsets["subset_members"].values
    sizes = subsets["subset_order"].values
    masks = ((members >= 0) << np.maximum(members, 0)).sum(axis=1)
    design = ((masks[:, None] & masks) == masks).astype(float)
    for name, weights in {"size": 1 / np.array([comb(8, size) for size in sizes]), "banzhaf": np.ones(255)}.items():
        found = environment_orders(dense, weights=name)
        for order in range(1, 8):
            matrix, root = design[:, sizes <= order], np.sqrt(weights)[:, None]
            terms = np.linalg.lstsq(root * matrix, root[:, 0] * energies)[0]
            left = energies - matrix @ terms
            rms = np.sqrt((weights * (left / sizes) ** 2).sum() / weights.sum())
            here = found.sel(order=order).isel(structure=0)
            assert here["environment_rms"].item() == pytest.approx(rms, abs=1e-10)
            assert here["environment_residual"].item() == pytest.approx(left[-1], abs=1e-9)
            by_size = [np.sqrt(((left / sizes)[sizes == size] ** 2).mean()) for size in range(1, 9)]
            np.testing.assert_allclose(here["size_rms"], by_size, atol=1e-10)


def test_a_good_fit_is_not_a_good_prediction(dense):
    """From order 4 on some sizes are needed to determine the terms; single sub-clusters are not before order 8."""
    found = environment_orders(dense)
    validation = row(found, "environment_validation")
    assert (validation[:3] > row(found, "environment_rms")[:3]).all()
    # those of order 4 are not determined without the sub-clusters of four atoms, and so on
    assert found["n_validated"].values.tolist() == [8, 8, 8, 7, 5, 3, 1, 0]
    assert np.isnan(validation[7])
    left_out = row(found, "environment_left_out")
    assert (left_out[:7] > row(found, "environment_rms")[:7]).all()
    assert left_out[6] > left_out[3] > 0.2
    assert np.isnan(left_out[7])
    # What one sub-cluster of five atoms is predicted to be by all others improves up to three bodies, and no further.
    assert np.argmin(row(found, "size_left_out")[:7, 4]) == 2
    parallel = Tabulated("high_density_0", "high_spin")
    converged = environment_orders(decompose(parallel.atoms, parallel, subsets=True))
    assert (np.diff(row(converged, "environment_left_out")[:7]) < 0).all()
    sizes = row(found, "size_validation")
    np.testing.assert_allclose(np.sqrt(np.nanmean(sizes[:7] ** 2, axis=1)), validation[:7], atol=1e-12)
    # Without the full cluster, its terms of up to seven bodies are those in vacuum.
    assert sizes[6, 7] == pytest.approx(abs(row(found, "vacuum_residual")[6]) / 8, abs=1e-9)
    assert np.isnan(sizes[7]).all()


def test_the_sum_rule_holds_at_the_full_cluster(dense):
    for options in ({"sum_rule": True}, {"weights": "shapley"}, {"weights": "banzhaf", "sum_rule": True}):
        found = environment_orders(dense, **options)
        np.testing.assert_allclose(row(found, "environment_residual"), 0, atol=1e-9)
        np.testing.assert_allclose(row(found, "size_rms")[:, -1], 0, atol=1e-10)
        assert (row(found, "environment_rms")[:7] > 0.01).all()


def test_sizes_that_do_not_count_do_not_enter(dense):
    found = environment_orders(dense, weights="sizes>=5")
    assert found["order"].values.tolist() == [1, 2, 3]
    assert found["n_data"].item() == 56 + 28 + 8 + 1
    sizes = row(found, "size_rms")
    np.testing.assert_allclose(row(found, "environment_rms"), np.sqrt((sizes[:, 4:] ** 2).mean(axis=1)))
    assert (sizes[:, 0] > 3 * sizes[:, 4]).all()
    assert found.attrs["weights"] == "sizes>=5"
    numbers = environment_orders(dense, weights=[0, 0, 0, 0, 1 / 56, 1 / 28, 1 / 8, 1])
    np.testing.assert_allclose(numbers["environment_rms"], found["environment_rms"])


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_potential_of_few_bodies_has_that_order_in_any_environment(build, terms, order):
    result = build({name: terms(6, [1.0] * order, seed) for name, seed in [("a", 1), ("b", 2)]})
    for weights in ("size", "banzhaf", "shapley"):
        found = environment_orders(result, weights=weights)
        np.testing.assert_allclose(found["environment_rms"].values[:, order - 1 :], 0, atol=1e-12)
        np.testing.assert_allclose(found["environment_residual"].values[:, order - 1 :], 0, atol=1e-11)
        assert (found["environment_rms"].values[:, : order - 1] > 0.01).all()
    if order < 3:
        np.testing.assert_allclose(found["environment_validation"].values[:, order - 1 : 2], 0, atol=1e-11)


def test_the_order_of_atoms_and_of_subsets_does_not_matter(dense):
    moved = np.random.default_rng(0).permutation(8)
    result = flat(dense).copy(deep=True)
    members = dense["subsets/subset_members"].values
    result["subset_members"].values[:] = np.where(members < 0, -1, moved[members])
    result = grown(result.isel(subset=np.random.default_rng(1).permutation(255)))
    found, expected = environment_orders(result), environment_orders(dense)
    for name in ("environment_rms", "environment_residual", "size_validation", "vacuum_residual"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-10)


def test_structures_of_several_sizes(build, terms):
    result = build({"a": terms(5, [1.0] * 5, 1), "b": terms(3, [1.0] * 3, 2), "c": terms(5, [1.0] * 5, 3)})
    found = environment_orders(result)
    assert found["environment_rms"].dims == ("structure", "order")
    assert np.isnan(found["environment_rms"].values[1, 3:]).all()
    assert np.isfinite(found["environment_rms"].values[[0, 2]]).all()
    for index, name in enumerate("abc"):
        alone = environment_orders(build({name: terms(3 if name == "b" else 5, [1.0] * 5, index + 1)}))
        orders = alone.sizes["order"]
        np.testing.assert_allclose(
            found["environment_rms"].values[index, :orders], alone["environment_rms"].values[0], atol=1e-12
        )
    assert found["n_parameters"].sel(structure="b", order=2).item() == 6
    assert found["n_parameters"].sel(structure="a", order=2).item() == 15
    assert found["n_data"].values.tolist() == [31, 7, 31]


def test_sources_side_by_side():
    rules = {rule: Tabulated("high_density_0", rule) for rule in ("ground", "low_spin", "high_spin")}
    results = {rule: decompose(source.atoms, source, subsets=True) for rule, source in rules.items()}
    found = environment_orders(results)
    assert found["environment_rms"].dims == ("source", "structure", "order")
    assert found["n_parameters"].dims == ("order",)
    for rule, result in results.items():
        alone = environment_orders(result)
        for name in ("environment_rms", "environment_residual", "vacuum_noise", "size_rms"):
            np.testing.assert_allclose(found[name].sel(source=rule), alone[name], atol=1e-13)
    xr.testing.assert_identical(found, environment_orders(combine(results)))
    # All spins parallel: dull in vacuum, and as dull in an environment.
    rms = found["environment_rms"].isel(structure=0)
    assert rms.sel(source="high_spin", order=3).item() < 0.2 * rms.sel(source="ground", order=3).item()


def test_groups_are_kept(build, terms):
    result = build({"a": terms(3, [1.0], 1), "b": terms(3, [1.0], 2)}, groups=["low", "high"])
    assert environment_orders(result)["group"].values.tolist() == ["low", "high"]


def test_connected_subclusters_of_an_additive_source_suffice():
    atoms = scattered(7, seed=3, spread=5.0)
    spec = "analytic:sutton-chen?cutoff=3.0"
    whole = decompose(atoms, spec, subsets=True)
    part = decompose(atoms, spec, subsets=True, cutoff=3.0)
    assert part["subsets"].sizes["subset"] < whole["subsets"].sizes["subset"]
    found, expected = environment_orders(part), environment_orders(whole)
    for name in ("environment_rms", "environment_residual", "size_validation"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9)
    both = environment_orders({"part": part, "whole": whole})
    np.testing.assert_allclose(both["environment_rms"].values[0], expected["environment_rms"], atol=1e-9)
    with pytest.raises(InputError, match=r"lacks those of sizes 2, 3, 4, 5, 6, 7"):
        environment_orders(decompose(atoms, spec, subsets=True, cutoff=3.0, max_order=5))


def test_an_energy_of_a_connected_family_that_failed_leaves_the_other_structures():
    frames = [scattered(6, seed, spread=4.5) for seed in (3, 4)]
    result = decompose(frames, "analytic:sutton-chen?cutoff=3.0", subsets=True, cutoff=3.0)
    subsets = result["subsets"]
    assert subsets.sizes["subset"] < 2 * 63
    expected = environment_orders(result)["environment_rms"]
    lost = np.flatnonzero((subsets["subset_structure"].values == 1) & (subsets["subset_order"].values == 2))[0]
    for name in ("subset_energy", "subset_contribution"):
        subsets[name][lost] = np.nan
    result["contribution"][1, 1:] = np.nan
    result["failure"][:] = ["", "1 of 40 sub-clusters failed"]
    found = environment_orders(result)["environment_rms"]
    np.testing.assert_allclose(found.isel(structure=0), expected.isel(structure=0))
    assert found.isel(structure=1).isnull().all()


def test_energies_that_failed_are_missing_where_they_are_needed(build, terms):
    result = build({"a": terms(4, [1.0] * 4, 1), "b": terms(4, [1.0] * 4, 2)})
    result["subsets/subset_energy"][3] = np.nan
    result["failure"] = result["failure"].copy(data=["1 of 15 sub-clusters failed", ""])
    found = environment_orders(result)
    for name in ("environment_rms", "environment_residual", "size_rms", "vacuum_residual"):
        assert found[name].isel(structure=0).isnull().all()
        assert found[name].isel(structure=1).notnull().all()


def test_incomplete_lattices_are_refused(build, terms):
    with pytest.raises(InputError, match=r"must come from results with subsets, `subset_energy` is missing"):
        environment_orders(build({"a": terms(3, [1.0], 1)}, subsets=False))
    with pytest.raises(
        InputError,
        match=r"environment orders need the energy of every sub-cluster, a lacks those of sizes 3, 4; "
        r"decompose without max_order, cutoff and samples",
    ):
        environment_orders(build({"a": terms(4, [1.0], 1)}, max_order=2))
    result = build({"a": terms(4, [1.0], 1), "b": terms(4, [1.0], 1)})
    one_missing = changed(result, lambda held: held.isel(subset=np.arange(held.sizes["subset"]) != 20))
    with pytest.raises(InputError, match=r"b lacks those of size 2; decompose"):
        environment_orders(one_missing)
    part = build({"a": terms(4, [1.0], 1), "b": terms(4, [1.0], 1)}, max_order=3)
    with pytest.raises(InputError, match=r"a by short lacks those of size 4; decompose"):
        environment_orders({"long": result, "short": part})


def test_results_that_are_no_lattice_of_energies_are_refused():
    crystal = bulk("Cu", cubic=True)
    periodic = decompose(crystal, "analytic:pair?cutoff=3", max_order=2, subsets=True)
    with pytest.raises(InputError, match="environment orders must be of free clusters, some of these are periodic"):
        environment_orders(periodic)
    helium = ase.Atoms("He2", positions=[[0, 0, 0], [0, 0, 2]])
    dressed = decompose(helium, "pyscf:fci/6-31g?spin=low&counterpoise=vmfc", subsets=True)
    with pytest.raises(InputError, match="must come from energies in one set of functions"):
        environment_orders(dressed)
    slab = crystal.repeat((3, 3, 1))
    slab.pbc = False
    many = decompose(slab, "analytic:pair", max_order=1, subsets=True)
    with pytest.raises(InputError, match="which must be at most 67,108,864, 36 bodies have 68,719,476,735"):
        environment_orders(many)


def test_wrong_options_are_refused(dense):
    with pytest.raises(InputError, match=r"`max_order` must be between 1 and 8, got 9"):
        environment_orders(dense, max_order=9)
    with pytest.raises(InputError, match=r"sizes 6, 7, 8 do not; lower `max_order` to 2 or count more sizes"):
        environment_orders(dense, weights="sizes>=6", max_order=3)
    with pytest.raises(InputError, match=r"sizes 8 do not; count more sizes"):
        environment_orders(dense, weights="sizes>=8")
    with pytest.raises(InputError, match=r"`weights` must be one of .*; did you mean 'shapley'"):
        environment_orders(dense, weights="shaply")
    with pytest.raises(InputError, match=r"`sum_rule` must be true or false, got 'no'"):
        environment_orders(dense, sum_rule="no")
    with pytest.raises(
        InputError,
        match=r"results must be trees, as decompose and load_results give them, or several by name; got list",
    ):
        environment_orders([dense])
    with pytest.raises(InputError, match=r"results must be trees, .* or several by name; got Dataset"):
        environment_orders(flat(dense))


def test_every_variable_has_the_unit_and_meaning_of_the_table(dense, tmp_path):
    found = environment_orders(dense)
    for name, array in found.data_vars.items():
        assert array.dims == VARIABLES[name].dims
        assert array.attrs == {"units": VARIABLES[name].unit, "long_name": VARIABLES[name].meaning}
    path = save(found, tmp_path / "environment.nc")
    with xr.open_dataset(path, engine="h5netcdf") as read:
        np.testing.assert_array_equal(read["environment_rms"], found["environment_rms"])
