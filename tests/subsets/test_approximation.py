from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.subsets import (
    SubsetFit,
    complete,
    contributions,
    count_terms,
    largest_order,
    noise_spread,
    size_weights,
    whole_coefficients,
)
from bodyorder.subsets.regression import size_fits

KINDS = ("size", "banzhaf", "shapley", "sizes>=2", "numbers", "constant")


def subsets_of(n_bodies):
    return [tuple(row) for rows in complete(n_bodies).members for row in rows.tolist()]


def random_energies(n_bodies, rng, trailing=(2,)):
    return [rng.normal(size=(comb(n_bodies, size), *trailing)) for size in range(1, n_bodies + 1)]


def from_terms(n_bodies, terms):
    """Energies that are sums of given terms."""
    return [
        np.array([sum(value for part, value in terms.items() if set(part) <= set(row)) for row in rows.tolist()])
        for rows in complete(n_bodies).members
    ]


def some_weights(kind, n_bodies, rng, sum_rule=False):
    if kind == "constant":
        return np.ones(n_bodies + 1)
    spec = rng.uniform(0.1, 1, n_bodies).tolist() if kind == "numbers" else kind
    return size_weights(n_bodies, spec, sum_rule=sum_rule)


def by_least_squares(energies, order, weights):
    """Terms and residuals by an ordinary solver on the whole design matrix; exact sizes by elimination."""
    n_bodies = len(energies)
    subsets = [(), *subsets_of(n_bodies)]
    values = np.concatenate([np.zeros((1, *energies[0].shape[1:])), *energies])
    terms = [subset for subset in subsets if len(subset) <= order]
    design = np.array([[set(term) <= set(subset) for term in terms] for subset in subsets], float)
    counts = weights[[len(subset) for subset in subsets]]
    exact = np.isinf(counts)
    start, free = np.zeros((len(terms), values.shape[1])), np.eye(len(terms))
    if exact.any():
        start = np.linalg.lstsq(design[exact], values[exact])[0]
        free = np.linalg.svd(design[exact])[2][exact.sum() :].T
    root = np.sqrt(counts[~exact])[:, None]
    left = root * (values - design @ start)[~exact]
    found = start + free @ np.linalg.lstsq(root * (design[~exact] @ free), left, rcond=1e-12)[0]
    return found, values - design @ found


def by_size(values, n_bodies):
    sizes = np.array([len(subset) for subset in subsets_of(n_bodies)])
    return np.array([(values[sizes == size] ** 2).sum(axis=0) for size in range(1, n_bodies + 1)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sum_rule", [False, True])
@pytest.mark.parametrize("n_bodies", [2, 3, 4, 5, 6, 7])
def test_agrees_with_least_squares_on_the_whole_design_matrix(n_bodies, kind, sum_rule):
    rng = np.random.default_rng(n_bodies)
    energies = random_energies(n_bodies, rng)
    weights = some_weights(kind, n_bodies, rng, sum_rule)
    fit = SubsetFit(energies)
    orders = range(1, largest_order(weights) + 1)
    assert len(orders) == (n_bodies - 2 if kind == "sizes>=2" else n_bodies)
    for order in orders:
        terms, residuals = by_least_squares(energies, order, weights)
        np.testing.assert_allclose(np.concatenate(fit.terms(order, weights)), terms, atol=1e-9)
        np.testing.assert_allclose(np.concatenate(fit.residuals(order, weights)), residuals[1:], atol=1e-10)
        np.testing.assert_allclose(fit.whole_residual(order, weights), residuals[-1], atol=1e-10)
        np.testing.assert_allclose(fit.squared_residuals(order, weights), by_size(residuals[1:], n_bodies), atol=1e-10)


@pytest.mark.parametrize("kind", ["size", "banzhaf", "shapley"])
@pytest.mark.parametrize("n_bodies", [4, 6, 7])
def test_sizes_left_out_are_predicted_from_all_others(n_bodies, kind):
    rng = np.random.default_rng(n_bodies)
    energies = random_energies(n_bodies, rng)
    weights = size_weights(n_bodies, kind)
    design_sizes = np.array([len(subset) for subset in subsets_of(n_bodies)])
    for order in range(1, n_bodies + 1):
        found = SubsetFit(energies).left_out_residuals(order, weights)
        for size in range(1, n_bodies + 1):
            subsets = [subset for subset in subsets_of(n_bodies) if len(subset) != size]
            terms = [subset for subset in subsets_of(n_bodies) if len(subset) <= order]
            design = np.array([[set(term) <= set(subset) for term in terms] for subset in subsets])
            if np.linalg.matrix_rank(design) < len(terms):
                assert np.isnan(found[size - 1]).all()
                continue
            others = weights.copy()
            others[size] = 0.0
            _, residuals = by_least_squares(energies, order, others)
            expected = (residuals[1:][design_sizes == size] ** 2).sum(axis=0)
            np.testing.assert_allclose(found[size - 1], expected, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_bodies", [3, 5])
def test_subsets_left_out_are_predicted_from_all_others(n_bodies, kind):
    rng = np.random.default_rng(n_bodies)
    energies = random_energies(n_bodies, rng)
    weights = some_weights(kind, n_bodies, rng)
    subsets = [(), *subsets_of(n_bodies)]
    values = np.concatenate([np.zeros((1, 2)), *energies])
    fit = SubsetFit(energies)
    for order in range(1, largest_order(weights) + 1):
        terms = [subset for subset in subsets if len(subset) <= order]
        design = np.array([[set(term) <= set(subset) for term in terms] for subset in subsets], float)
        # An exact subset weighs as much as digits allow.
        root = np.sqrt(np.minimum(weights[[len(subset) for subset in subsets]], 1e10))[:, None]
        found = fit.left_one_out_residuals(order, weights)
        for size in range(1, n_bodies + (weights[-1] < np.inf)):
            squares = 0.0
            for row, subset in enumerate(subsets):
                if len(subset) == size:
                    kept = np.arange(len(subsets)) != row
                    kept &= root[:, 0] > 0
                    if np.linalg.matrix_rank(design[kept]) < len(terms):
                        squares = np.nan
                        break
                    solution = np.linalg.lstsq((root * design)[kept], (root * values)[kept], rcond=1e-13)[0]
                    squares = squares + (values[row] - design[row] @ solution) ** 2
            np.testing.assert_allclose(found[size - 1], squares, rtol=1e-5)


@settings(max_examples=30)
@given(st.integers(2, 8), st.data(), st.integers(0, 2**32 - 1))
def test_potentials_of_few_bodies_are_recovered_by_all_weights(n_bodies, data, seed):
    order = data.draw(st.integers(1, n_bodies))
    rng = np.random.default_rng(seed)
    terms = {subset: rng.normal() for subset in subsets_of(n_bodies) if len(subset) <= order}
    fit = SubsetFit(from_terms(n_bodies, terms))
    for kind in KINDS:
        weights = some_weights(kind, n_bodies, rng)
        for above in range(order, largest_order(weights) + 1):
            found = np.concatenate(fit.terms(above, weights))
            expected = np.array([0.0, *terms.values(), *[0.0] * (len(found) - len(terms) - 1)])
            np.testing.assert_allclose(found, expected, atol=1e-8)
            np.testing.assert_allclose(fit.squared_residuals(above, weights), 0, atol=1e-16)
        if order > 1 and kind in ("size", "banzhaf"):
            assert fit.squared_residuals(order - 1, weights).sum() > 1e-8


def test_a_three_body_potential_of_sixteen_bodies_is_recovered():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 3))
    energies = []
    for rows in complete(16).members:
        sums = x[rows].sum(axis=1)
        energies.append(-14.0 * rows.shape[1] + sums[:, 0] ** 3 + sums[:, 1] * sums[:, 2])
    fit, weights = SubsetFit(energies), size_weights(16)
    errors = np.sqrt([fit.squared_residuals(order, weights).max() for order in range(1, 17)])
    assert (errors[:2] > 1).all()
    np.testing.assert_allclose(errors[2:], 0, atol=1e-7)
    expected = contributions(complete(16, 3), energies[:3])
    for order in (3, 4):
        found = fit.terms(order, weights)
        for mine, theirs in zip(found[1:4], expected, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4, 6])
def test_terms_are_those_in_vacuum_if_only_small_subsets_count(order):
    energies = random_energies(6, np.random.default_rng(order))
    weights = size_weights(6, [1.0] * order + [0.0] * (6 - order))
    assert largest_order(weights) == order
    vacuum = contributions(complete(6, order), energies[:order])
    for found, expected in zip(SubsetFit(energies).terms(order, weights)[1:], vacuum, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_the_order_of_bodies_does_not_matter(n_bodies, seed):
    rng = np.random.default_rng(seed)
    energies = random_energies(n_bodies, rng)
    family, moved = complete(n_bodies), rng.permutation(n_bodies)
    places = [family.index(np.sort(moved[rows], axis=1)) for rows in family.members]
    fit = SubsetFit(energies)
    other = SubsetFit([values[place] for values, place in zip(energies, places, strict=True)])
    weights = size_weights(n_bodies)
    for order in range(1, n_bodies + 1):
        pairs = zip(fit.terms(order, weights)[1:], other.terms(order, weights)[1:], places[:order], strict=True)
        for mine, theirs, place in pairs:
            np.testing.assert_allclose(mine[place], theirs, atol=1e-10)
        np.testing.assert_allclose(
            fit.left_out_residuals(order, weights), other.left_out_residuals(order, weights), atol=1e-9
        )


def test_trailing_axes_are_carried_along():
    energies = random_energies(5, np.random.default_rng(0), trailing=(3, 2))
    weights = size_weights(5, "banzhaf")
    fit = SubsetFit(energies)
    for first, second in [(0, 0), (2, 1)]:
        alone = SubsetFit([values[:, first, second] for values in energies])
        np.testing.assert_allclose(fit.whole_residual(2, weights)[first, second], alone.whole_residual(2, weights))
        np.testing.assert_allclose(fit.terms(2, weights)[2][:, first, second], alone.terms(2, weights)[2])
        np.testing.assert_allclose(fit.residuals(2, weights)[2][:, first, second], alone.residuals(2, weights)[2])
        np.testing.assert_allclose(
            fit.squared_residuals(2, weights)[:, first, second], alone.squared_residuals(2, weights)
        )


@pytest.mark.parametrize("kind", ["size", "banzhaf", "shapley", "sizes>=3"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_noise_is_that_of_the_linear_map(kind, order):
    """Each energy alone, one after the other, gives the linear map itself."""
    n_bodies = 6
    count = 2**n_bodies - 1
    sizes = np.array([len(subset) for subset in subsets_of(n_bodies)])
    unit = np.split(np.eye(count), np.cumsum([comb(n_bodies, size) for size in range(1, n_bodies)]))
    weights = size_weights(n_bodies, kind)
    fit = SubsetFit(unit)
    residuals = np.concatenate(fit.residuals(order, weights))
    variance = np.random.default_rng(0).uniform(size=count)
    expected = [(residuals**2 @ variance)[sizes == size].sum() for size in range(1, n_bodies + 1)]
    sums = [variance[sizes == size].sum() for size in range(1, n_bodies + 1)]
    np.testing.assert_allclose(noise_spread(weights, order) @ sums, expected, atol=1e-12)
    whole = np.repeat(
        whole_coefficients(weights, order) / [comb(n_bodies, k) for k in range(1, 7)], np.bincount(sizes)[1:]
    )
    np.testing.assert_allclose(np.eye(count)[-1] - whole, fit.whole_residual(order, weights), atol=1e-12)


@pytest.mark.parametrize("n_bodies", [1, 2, 5])
def test_terms_are_counted(n_bodies):
    fit = SubsetFit(random_energies(n_bodies, np.random.default_rng(0)))
    for order in range(1, n_bodies + 1):
        terms = fit.terms(order, size_weights(n_bodies))
        assert count_terms(n_bodies, order) == sum(len(values) for values in terms[1:])


def test_one_body_alone():
    fit = SubsetFit([np.array([-3.0])])
    for kind in ("size", "banzhaf", "shapley", "sizes>=1"):
        weights = size_weights(1, kind)
        assert fit.terms(1, weights)[1] == pytest.approx([-3.0])
        assert fit.squared_residuals(1, weights) == pytest.approx([0.0])
        assert np.isnan(fit.left_out_residuals(1, weights)).all()


def test_weights_of_each_size():
    np.testing.assert_allclose(size_weights(4), [np.inf, 1 / 4, 1 / 6, 1 / 4, 1])
    np.testing.assert_allclose(size_weights(4, "banzhaf"), [np.inf, 1, 1, 1, 1])
    np.testing.assert_allclose(size_weights(4, "shapley"), [np.inf, 1 / 4, 1 / 8, 1 / 4, np.inf])
    np.testing.assert_allclose(size_weights(4, "sizes >= 3"), [np.inf, 0, 0, 1 / 4, 1])
    np.testing.assert_allclose(size_weights(4, [1, 2, 0, 4]), [np.inf, 1, 2, 0, 4])
    np.testing.assert_allclose(size_weights(4, "banzhaf", sum_rule=True), [np.inf, 1, 1, 1, np.inf])


@given(st.integers(2, 6), st.data())
def test_the_largest_order_is_what_the_rank_says(n_bodies, data):
    counted = data.draw(st.lists(st.booleans(), min_size=n_bodies, max_size=n_bodies).filter(any))
    weights = size_weights(n_bodies, [float(yes) for yes in counted])
    subsets = [subset for subset in subsets_of(n_bodies) if counted[len(subset) - 1]]
    best = 0
    for order in range(1, n_bodies + 1):
        terms = [subset for size in range(1, order + 1) for subset in combinations(range(n_bodies), size)]
        design = np.array([[set(term) <= set(subset) for term in terms] for subset in subsets])
        best = order if np.linalg.matrix_rank(design) == len(terms) else best
    assert largest_order(weights) == best


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("sise", "`weights` must be one of banzhaf, shapley, size, sizes>=2, got 'sise'; did you mean 'size'"),
        ("sizes>=9", "`weights` must count sizes between 1 and 5, got 'sizes>=9'"),
        ("sizes>=m", "`weights` must be one of .*did you mean 'sizes>=2'"),
        ([1.0, 2.0], "`weights` must be 5 numbers, of the sizes 1 to 5, got .1.0, 2.0"),
        (["a"] * 5, "`weights` must be 5 numbers, of the sizes 1 to 5, got .'a', "),
        (None, "`weights` must be 5 numbers, of the sizes 1 to 5, got None"),
        ([1.0, -2.0, 0.0, 0.0, 1.0], "`weights` must be finite, not negative and not all zero, got"),
        ([0.0] * 5, "`weights` must be finite, not negative and not all zero"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        size_weights(5, weights)


def test_weights_that_leave_terms_undetermined_are_refused():
    fit = SubsetFit(random_energies(5, np.random.default_rng(0)))
    weights = size_weights(5, "sizes>=3")
    message = (
        "`weights` must count enough sizes to determine all terms up to order 3 of 5 bodies, sizes 3, 4, 5 do not; "
        "lower `max_order` to 2 or count more sizes"
    )
    for method in (fit.terms, fit.residuals, fit.squared_residuals, fit.whole_residual):
        with pytest.raises(InputError, match=message):
            method(3, weights)
    with pytest.raises(InputError, match=r"sizes 5 do not; count more sizes"):
        fit.terms(1, size_weights(5, "sizes>=5"))


@pytest.mark.parametrize("weights", [[1, 1, 1e-40, 0, 0, 0, 0, 0], [1, 1, 1, 1e-40, 0, 0, 0, 0]])
def test_weights_that_are_lost_beside_others_are_refused(weights):
    """Where such a fit is not refused, its terms are wrong by the size of the energies."""
    order = np.count_nonzero(weights)
    table = size_weights(8, weights)
    assert largest_order(table) == order - 1
    with pytest.raises(InputError, match=rf"raise the smallest, or lower `max_order` to {order - 1}$"):
        size_fits(table, order)
    energies = random_energies(8, np.random.default_rng(0))
    table = size_weights(8, [1e-16 if 0 < weight < 1 else weight for weight in weights])
    terms = SubsetFit(energies).terms(order, table)[1:]
    for found, expected in zip(terms, contributions(complete(8), energies), strict=False):
        np.testing.assert_allclose(found, expected, atol=1e-6)
