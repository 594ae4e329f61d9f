from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapiq.game_theory.exact import ExactComputer
from shapiq.game_theory.moebius_converter import MoebiusConverter

from bodyorder._checks import InputError
from bodyorder.subsets import INDICES, SubsetFit, complete, context_contributions, interactions, size_weights

THEIR_NAMES = {
    "moebius": "Moebius",
    "shapley_taylor": "STII",
    "faith_shap": "FSII",
    "shapley": "SII",
    "banzhaf": "BII",
    "faith_banzhaf": "FBII",
}
#: Computed from the Möbius transform in closed form; the others by definition.
CONVERTED = ("shapley_taylor", "faith_shap", "faith_banzhaf")
EXACT = ("moebius", "shapley_taylor", "faith_shap", "faith_banzhaf")


def random_energies(n_bodies, seed, trailing=()):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(comb(n_bodies, size), *trailing)) for size in range(1, n_bodies + 1)]


def as_table(energies):
    """Energy of each subset by its bodies."""
    table = {(): 0.0}
    for rows, values in zip(complete(len(energies)).members, energies, strict=True):
        table |= {tuple(row): value for row, value in zip(rows.tolist(), values, strict=True)}
    return table


def as_energies(n_bodies, function):
    return [np.array([function(tuple(row)) for row in rows.tolist()]) for rows in complete(n_bodies).members]


@pytest.mark.parametrize("n_bodies", [2, 3, 4, 5, 6, 8, 10])
def test_agreement_with_shapiq(n_bodies):
    energies = random_energies(n_bodies, n_bodies)
    table = as_table(energies)

    def game(coalitions):
        return np.array([table[tuple(np.flatnonzero(row).tolist())] for row in np.atleast_2d(coalitions)])

    exact = ExactComputer(game, n_bodies)
    converter = MoebiusConverter(exact("Moebius"))
    orders = range(1, n_bodies + 1) if n_bodies < 8 else (1, 2, 3)
    for index in INDICES:
        for order in orders:
            theirs = (converter if index in CONVERTED else exact)(THEIR_NAMES[index], order)
            for rows, values in zip(complete(n_bodies).members, interactions(energies, index, order), strict=False):
                expected = [theirs[tuple(row)] for row in rows.tolist()]
                np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10, err_msg=f"{index} {order}")


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_context_contributions_by_definition(n_bodies, seed):
    energies = random_energies(n_bodies, seed)
    table = as_table(energies)
    for size, found in enumerate(context_contributions(energies), start=1):
        assert found.shape == (n_bodies - size + 1, comb(n_bodies, size))
        for row, subset in enumerate(complete(n_bodies).members[size - 1].tolist()):
            others = [body for body in range(n_bodies) if body not in subset]
            for count in range(n_bodies - size + 1):
                expected = np.mean(
                    [
                        sum(
                            (-1) ** (size - part) * table[tuple(sorted(environment + inner))]
                            for part in range(size + 1)
                            for inner in combinations(subset, part)
                        )
                        for environment in combinations(others, count)
                    ]
                )
                assert found[count, row] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_potential_of_few_bodies_has_the_same_terms_in_every_index(order):
    rng = np.random.default_rng(order)
    terms = {subset: rng.normal() for size in range(1, order + 1) for subset in combinations(range(7), size)}
    energies = as_energies(7, lambda row: sum(v for part, v in terms.items() if set(part) <= set(row)))
    expected = as_energies(7, lambda row: terms.get(row, 0.0))
    for index in INDICES:
        found = interactions(energies, index, order)
        np.testing.assert_allclose(found[-1], expected[order - 1], atol=1e-11)
        if index in EXACT:
            for above in (order, order + 1, 7):
                for mine, theirs in zip(interactions(energies, index, above), expected, strict=False):
                    np.testing.assert_allclose(mine, theirs, atol=1e-10)
    for values in context_contributions(energies, 7)[order:]:
        np.testing.assert_allclose(values, 0, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_efficient_indices_share_out_the_whole_energy(order):
    energies = random_energies(6, order)
    for index in ("shapley_taylor", "faith_shap"):
        total = sum(values.sum() for values in interactions(energies, index, order))
        assert total == pytest.approx(energies[-1][0], abs=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_body_that_interacts_with_none_has_terms_with_none(order):
    """Body 0 adds 1.5 to every environment."""
    inner = as_table(random_energies(6, order))
    energies = as_energies(6, lambda row: inner[tuple(b for b in row if b)] + 1.5 * (0 in row))
    with_it = [(rows == 0).any(axis=1) for rows in complete(6, order).members]
    for index in INDICES:
        found = interactions(energies, index, order)
        assert found[0][0] == pytest.approx(1.5, abs=1e-12)
        for values, here in zip(found[1:], with_it[1:], strict=True):
            np.testing.assert_allclose(values[here], 0, atol=1e-12)
    if order > 1:
        terms = SubsetFit(energies).terms(order, size_weights(6))
        assert np.abs(terms[2][with_it[1]]).max() > 1e-3


def test_weights_of_environments_are_those_of_the_table():
    n_bodies, energies = 7, random_energies(7, 0)
    for order in (1, 2, 3, 5, 7):
        contexts = context_contributions(energies, order)[-1]
        sizes = range(n_bodies - order + 1)
        ways = [comb(n_bodies - order, k) for k in sizes]
        table = {
            "moebius": [float(k == 0) for k in sizes],
            "shapley_taylor": [order / n_bodies * ways[k] / comb(n_bodies - 1, k) for k in sizes],
            "faith_shap": [ways[k] * factorial(n_bodies - k - 1) * factorial(order + k - 1) for k in sizes],
            "shapley": [1.0 for k in sizes],
            "banzhaf": ways,
            "faith_banzhaf": ways,
        }
        for index, weights in table.items():
            expected = np.average(contexts, axis=0, weights=np.array(weights, float))
            np.testing.assert_allclose(interactions(energies, index, order)[-1], expected, atol=1e-12)


def test_trailing_axes_are_carried_along():
    energies = random_energies(5, 0, trailing=(3, 2))
    alone = [values[:, 2, 1] for values in energies]
    for index in INDICES:
        for found, expected in zip(interactions(energies, index, 3), interactions(alone, index, 3), strict=True):
            np.testing.assert_allclose(found[:, 2, 1], expected, atol=1e-14)


def test_wrong_requests_are_refused():
    energies = random_energies(4, 0)
    with pytest.raises(InputError, match=r"`order` must be between 1 and 4, got 5"):
        interactions(energies, "moebius", 5)
    with pytest.raises(InputError, match=r"`index` must be one of .*, got 'shap'; did you mean"):
        interactions(energies, "shap", 2)
    with pytest.raises(InputError, match=r"`max_order` must be between 1 and 4, got 0"):
        context_contributions(energies, 0)
