from itertools import combinations
from math import comb

import networkx
import numpy as np
import pytest
from complete_family import noise_amplification, order_totals
from hypothesis import given
from hypothesis import strategies as st
from qcelemental.models.v2 import Molecule
from qcmanybody.core import ManyBodyCore
from qcmanybody.utils import labeler

from bodyorder.subsets import (
    cliques,
    complete,
    connected,
    contributions,
    order_coefficients,
    summed_energies,
    truncations,
)
from bodyorder.subsets.moebius import moebius_transform, zeta_transform


def random_energies(family, rng, trailing=()):
    return [rng.normal(size=(size, *trailing)) for size in family.sizes]


def by_definition(family, energies):
    """Σ_{T⊆S} (−1)^{|S|−|T|} E(T), written out."""
    table = {
        tuple(row): value
        for rows, values in zip(family.members, energies, strict=True)
        for row, value in zip(rows.tolist(), values, strict=True)
    }
    return [
        np.array(
            [
                sum(
                    (-1) ** (len(row) - k) * table[subset]
                    for k in range(1, len(row) + 1)
                    for subset in combinations(row, k)
                )
                for row in rows.tolist()
            ]
        )
        for rows in family.members
    ]


@given(st.integers(1, 7), st.data(), st.integers(0, 2**32 - 1))
def test_contributions_of_a_complete_family(n_bodies, data, seed):
    family = complete(n_bodies, data.draw(st.integers(1, n_bodies)))
    energies = random_energies(family, np.random.default_rng(seed), trailing=(2,))
    for found, expected in zip(contributions(family, energies), by_definition(family, energies), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.integers(1, 9), st.data(), st.integers(0, 2**32 - 1))
def test_energies_are_the_sums_of_contributions(n_bodies, data, seed):
    top = data.draw(st.integers(1, n_bodies))
    adjacency = networkx.to_numpy_array(networkx.gnp_random_graph(n_bodies, 0.5, seed=seed)) > 0
    for family in (complete(n_bodies, top), connected(adjacency, top), cliques(adjacency, top)):
        energies = random_energies(family, np.random.default_rng(seed), trailing=(2,))
        for found, expected in zip(summed_energies(family, contributions(family, energies)), energies, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-10)


@given(st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_transforms_are_inverse(n_bodies, seed):
    values = np.random.default_rng(seed).normal(size=(2**n_bodies, 3))
    np.testing.assert_allclose(zeta_transform(moebius_transform(values.copy())), values, atol=1e-11)


@pytest.mark.parametrize("n_bodies", range(4, 11))
def test_order_totals_agree_with_qcmanybody(n_bodies):
    rng = np.random.default_rng(n_bodies)
    family = complete(n_bodies)
    energies = random_energies(family, rng)
    molecule = Molecule(
        symbols=["He"] * n_bodies, geometry=rng.uniform(0, 30, (n_bodies, 3)), fragments=[[i] for i in range(n_bodies)]
    )
    core = ManyBodyCore(
        molecule,
        ["nocp"],
        dict.fromkeys(range(1, n_bodies + 1), "m"),
        return_total_data=True,
        supersystem_ie_only=False,
        embedding_charges=None,
    )
    components = {}
    for rows, values in zip(family.members, energies, strict=True):
        for row, value in zip(rows.tolist(), values, strict=True):
            bodies = tuple(body + 1 for body in row)
            components[labeler("m", bodies, bodies)] = {"energy": float(value)}
    theirs = core.analyze(components)["results"]

    totals = order_totals(np.array([values.sum() for values in energies]), n_bodies)
    summed = np.array([values.sum() for values in contributions(family, energies)])
    scale = np.abs(totals).max()
    np.testing.assert_allclose(summed, totals, rtol=0, atol=1e-11 * scale)
    for order, total in enumerate(truncations(totals), start=1):
        expected = theirs[f"nocp_corrected_total_energy_through_{order}_body"]
        np.testing.assert_allclose(total, expected, rtol=0, atol=1e-10 * scale)
    for order in range(2, n_bodies + 1):
        expected = theirs[f"nocp_corrected_{order}_body_contribution_to_energy"]
        np.testing.assert_allclose(totals[order - 1], expected, rtol=1e-10)


@given(st.integers(2, 8), st.floats(0.1, 0.9), st.integers(0, 2**32 - 1))
def test_connected_family_is_exact_for_additive_energies(n_bodies, density, seed):
    """Energies that add over components: the inversion over connected subsets alone gives every contribution."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((n_bodies, n_bodies)) < density, k=1)
    adjacency = upper | upper.T
    graph = networkx.from_numpy_array(adjacency)
    whole = complete(n_bodies)
    own = {frozenset(row): rng.normal() for rows in whole.members for row in rows.tolist()}

    def energy(row):
        return sum(own[frozenset(part)] for part in networkx.connected_components(graph.subgraph(row)))

    all_energies = [np.array([energy(row) for row in rows.tolist()]) for rows in whole.members]
    family = connected(adjacency)
    energies = [np.array([energy(row) for row in rows.tolist()]) for rows in family.members]
    found = contributions(family, energies)
    expected = contributions(whole, all_energies)
    for order, (mine, exact) in enumerate(zip(found, expected, strict=True), start=1):
        held = whole.index(family.members[order - 1])
        np.testing.assert_allclose(mine, exact[held], atol=1e-12)
        missing = np.ones(len(exact), dtype=bool)
        missing[held] = False
        np.testing.assert_allclose(exact[missing], 0, atol=1e-12)


@pytest.mark.parametrize("grow", [connected, cliques])
@pytest.mark.parametrize("n_groups", [10, 250])
def test_distant_groups_one_by_one(grow, n_groups):
    """Groups of 4 bodies that do not feel each other, against the complete inversion of each group alone."""
    family = grow(np.kron(np.eye(n_groups, dtype=bool), np.ones((4, 4), dtype=bool)))
    energies = random_energies(family, np.random.default_rng(n_groups), trailing=(2,))
    found = contributions(family, energies)
    alone = complete(4)
    for group in range(n_groups):
        here = [family.index(rows + np.int32(4 * group)) for rows in alone.members]
        expected = by_definition(alone, [values[index] for values, index in zip(energies, here, strict=False)])
        for mine, index, exact in zip(found, here, expected, strict=False):
            np.testing.assert_allclose(mine[index], exact, atol=1e-13)
    weights = order_coefficients(family)
    assert [table.shape for table in weights] == [(4 * n_groups, size) for size in family.sizes]
    totals = sum(table @ values for table, values in zip(weights, energies, strict=True))
    np.testing.assert_allclose(totals, [values.sum(axis=0) for values in found], atol=1e-11)


def test_a_chain_is_a_second_difference():
    """Of the parts of an interval only those without its first body, its last, or both count."""
    n_bodies = 30
    family = connected(np.abs(np.subtract.outer(np.arange(n_bodies), np.arange(n_bodies))) == 1)
    energies = random_energies(family, np.random.default_rng(6))
    padded = [np.zeros(n_bodies + 1), *energies]
    found = contributions(family, energies)
    np.testing.assert_array_equal(found[0], energies[0])
    for order in range(2, n_bodies + 1):
        expected = padded[order] - padded[order - 1][1:] - padded[order - 1][:-1] + padded[order - 2][1:-1]
        np.testing.assert_allclose(found[order - 1], expected, atol=1e-12)
    totals = sum(table @ values for table, values in zip(order_coefficients(family), energies, strict=True))
    np.testing.assert_allclose(totals, [values.sum() for values in found], atol=1e-11)


def test_a_missing_energy_spoils_only_what_holds_it():
    family = cliques(np.kron(np.eye(3, dtype=bool), np.ones((3, 3), dtype=bool)))
    energies = random_energies(family, np.random.default_rng(7))
    energies[1][0] = np.nan
    spoilt = [np.flatnonzero(np.isnan(values)).tolist() for values in contributions(family, energies)]
    assert spoilt == [[], [0], [0], *[[]] * 6]


@pytest.mark.parametrize("grow", [connected, cliques, lambda adjacency: complete(len(adjacency), 5)])
def test_order_coefficients_give_the_order_totals(grow):
    rng = np.random.default_rng(3)
    upper = np.triu(rng.random((8, 8)) < 0.5, k=1)
    family = grow(upper | upper.T)
    energies = random_energies(family, rng)
    coefficients = order_coefficients(family)
    totals = sum((weights * values).sum(axis=1) for weights, values in zip(coefficients, energies, strict=True))
    expected = [values.sum() for values in contributions(family, energies)]
    np.testing.assert_allclose(totals, expected, atol=1e-11)


def test_order_totals_are_forward_differences_of_the_mean():
    """E⁽ⁿ⁾ = C(N, n)·Δⁿ⟨E⟩ at 0."""
    n_bodies = 7
    family = complete(n_bodies)
    energies = random_energies(family, np.random.default_rng(1))
    means = np.array([0.0, *(values.mean() for values in energies)])
    expected = [comb(n_bodies, order) * np.diff(means, n=order)[0] for order in range(1, n_bodies + 1)]
    totals = [values.sum() for values in contributions(family, energies)]
    np.testing.assert_allclose(totals, expected, rtol=1e-10)


@pytest.mark.parametrize(("n_bodies", "largest", "order"), [(8, 166.66133, 5), (14, 16_259.03, 9)])
def test_noise_is_amplified_most_in_the_middle_orders(n_bodies, largest, order):
    family = complete(n_bodies)
    variances = sum(
        (weights**2).sum(axis=1) * (size if weights.shape[1] == 1 else 1)
        for size, weights in zip(family.sizes, order_coefficients(family), strict=True)
    )
    np.testing.assert_allclose(np.sqrt(variances), noise_amplification(n_bodies), rtol=1e-12)
    assert np.sqrt(variances).max() == pytest.approx(largest, rel=1e-6)
    assert np.sqrt(variances).argmax() + 1 == order


def test_noise_amplification_is_what_random_errors_do():
    n_bodies, samples = 6, 20_000
    family = complete(n_bodies)
    errors = random_energies(family, np.random.default_rng(5), trailing=(samples,))
    totals = np.stack([values.sum(axis=0) for values in contributions(family, errors)])
    # The standard deviation of a sample of this size is known to 0.5 %; five of those.
    np.testing.assert_allclose(
        totals.std(axis=1), noise_amplification(n_bodies), rtol=5 * 0.5 / np.sqrt(samples) * np.sqrt(2)
    )


def test_dense_and_recursive_inversion_agree():
    from bodyorder.subsets.family import Family

    family = complete(9)
    energies = random_energies(family, np.random.default_rng(2))
    recursive = Family(9, family.members, "cliques")
    for dense, other in zip(contributions(family, energies), contributions(recursive, energies), strict=True):
        np.testing.assert_allclose(dense, other, atol=1e-11)
