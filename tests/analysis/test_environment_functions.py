"""Functions in their environment against potentials whose functions are known, and against sums by hand."""

from __future__ import annotations

import itertools

import ase
import numpy as np
import pytest
import xarray as xr
from ase.calculators.morse import MorsePotential
from geometries import scattered

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.analysis import environment_orders, environment_terms, group_convergence
from bodyorder.analysis.environment_functions import environment_functions, group_environment, known_functions
from bodyorder.structures.hydrogen import high_density

RANGES = np.arange(0.0, 6.01, 0.25)


@pytest.fixture(scope="module")
def clusters():
    found = high_density(5, 6, 1)
    for index, atoms in enumerate(found):
        atoms.info = {"name": f"c{index}", "group": "even" if index % 2 == 0 else "odd"}
    return found


@pytest.fixture(scope="module")
def many_body(clusters):
    return decompose(clusters, "analytic:sutton-chen", subsets=True)


def test_a_pair_potential_is_its_own_function_in_every_environment(clusters):
    result = decompose(clusters, MorsePotential(epsilon=4.5, r0=0.74, rho0=1.5, rcut1=8.0, rcut2=9.0), subsets=True)
    for order in (2, 3):
        found = environment_functions(result, order, 2, RANGES)
        assert found["n_terms"].sum() == 6 * 10
        np.testing.assert_allclose(found["term_mean"], found["vacuum_mean"], atol=1e-9)
        np.testing.assert_allclose(found["term_spread"], found["vacuum_spread"], atol=1e-7)
    triples = environment_functions(result, 3, 3, RANGES)
    np.testing.assert_allclose(triples["term_mean"].values[triples["n_terms"].values > 0], 0.0, atol=1e-9)


@pytest.mark.parametrize(("order", "size"), [(2, 2), (3, 2), (3, 3)])
def test_means_and_spreads_are_those_of_the_terms_of_each_range(clusters, many_body, order, size):
    found = environment_functions(many_body, order, size, RANGES)
    terms = environment_terms(many_body, order)
    for group in ("even", "odd"):
        own: dict[int, list[tuple[float, float]]] = {}
        for row in np.flatnonzero(terms["subset_order"].values == size):
            structure = int(terms["subset_structure"].values[row])
            if clusters[structure].info["group"] != group:
                continue
            members = [body for body in terms["subset_members"].values[row] if body >= 0]
            distances = [clusters[structure].get_distance(i, j) for i, j in itertools.combinations(members, 2)]
            value = (float(terms["environment_term"].values[row]), _contribution(many_body, structure, members))
            own.setdefault(int(np.digitize(np.mean(distances), RANGES)) - 1, []).append(value)
        part = found.sel(group=group, species="-".join("H" * size))
        assert {int(place) for place in np.flatnonzero(part["n_terms"].values)} == set(own)
        for place, values in own.items():
            column = np.array(values)
            here = part.isel(bin=place)
            assert float(here["n_terms"]) == len(values)
            assert float(here["term_mean"]) == pytest.approx(column[:, 0].mean(), abs=1e-10)
            assert float(here["term_spread"]) == pytest.approx(column[:, 0].std(), abs=1e-7)
            assert float(here["vacuum_mean"]) == pytest.approx(column[:, 1].mean(), abs=1e-10)


def _contribution(result, structure, members):
    subsets = result["subsets"]
    for row in np.flatnonzero(subsets["subset_structure"].values == structure):
        if sorted(body for body in subsets["subset_members"].values[row] if body >= 0) == sorted(members):
            return float(subsets["subset_contribution"].values[row])
    raise AssertionError(members)


def test_distant_pairs_that_a_connected_family_leaves_out_are_there():
    atoms = scattered(7, seed=3, spread=5.0)
    spec = "analytic:sutton-chen?cutoff=3.0"
    whole, part = decompose(atoms, spec, subsets=True), decompose(atoms, spec, subsets=True, cutoff=3.0)
    ranges = np.linspace(0.5, 6.0, 12)
    found, expected = (environment_functions({"m": result}, 2, 2, ranges) for result in (part, whole))
    for name in ("term_mean", "term_spread", "vacuum_mean", "n_terms"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9)
    assert float(found["n_terms"].sum()) == 21


def test_elements_have_functions_of_their_own():
    atoms = ase.Atoms("OH2CH", np.random.default_rng(3).uniform(0, 3.0, (5, 3)))
    found = environment_functions(decompose(atoms, "analytic:pair", subsets=True), 2, 2, RANGES)
    counts = {str(kind): int(found["n_terms"].sel(species=kind).sum()) for kind in found["species"].values}
    assert counts == {"C-H": 3, "C-O": 1, "H-H": 3, "H-O": 3}


def test_groups_are_root_mean_squares_over_their_structures(clusters, many_body):
    found = group_environment({"model": many_body}).sel(source="model")
    single = environment_orders(many_body)
    for group, rows in (("even", [0, 2, 4]), ("odd", [1, 3, 5])):
        own = found.sel(group=group)
        np.testing.assert_allclose(
            own["group_environment_rms"], np.sqrt((single["environment_rms"].values[rows] ** 2).mean(axis=0))
        )
        np.testing.assert_allclose(
            own["group_environment_residual"],
            np.sqrt((single["environment_residual"].values[rows] ** 2).mean(axis=0)) / 5,
        )
    # beside the vacuum: the last order of both is exact
    vacuum = group_convergence(many_body)["group_truncation_error"]
    assert (found["group_environment_residual"].sel(order=[2, 3]) < vacuum.sel(order=[2, 3])).all()


def test_what_has_no_distances_is_refused(many_body):
    for order, size in ((4, 4), (2, 3), (1, 2), (3, "2")):
        with pytest.raises(
            InputError, match="`size` must be 2 for pairs or 3 for triples, and no larger than `order`, got"
        ):
            environment_functions(many_body, order, size, RANGES)
    for ranges in ([1.0], 1.0, "1 2", [1.0, np.nan], [2.0, 1.0], [[1.0, 2.0]], None):
        with pytest.raises(InputError, match="`ranges` must be two or more edges in Å, finite and increasing, got"):
            environment_functions(many_body, 2, 2, ranges)
    molecules = [ase.Atoms("H2H2", [[0, 0, 0], [0, 0, 0.74], [3, 0, 0], [3, 0, 0.74]])]
    result = decompose(molecules, "analytic:pair", bodies="molecules", subsets=True)
    with pytest.raises(InputError, match="must be of bodies that are atoms"):
        environment_functions(result, 2, 2, RANGES)


def test_functions_that_are_known_begin_with_pairs_of_the_commonest_elements():
    counts = xr.DataArray(
        [[[[0, 3], [9, 1], [2, 0]], [[0, 0], [4, 0], [0, 0]]]],
        coords={"group": ["all"], "function": ["one", "other"], "species": ["H-O-O", "O-O", "H-O"], "bin": [1.0, 1.1]},
    )
    found = known_functions(counts)
    assert found == [("one", "O-O"), ("other", "O-O"), ("one", "H-O"), ("one", "H-O-O")]
