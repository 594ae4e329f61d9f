"""Variance by order, against polynomials whose terms are known, and against a design that draws everything anew."""

import numpy as np
import pytest

from bodyorder.subsets.variance import order_variances, walsh_coefficients

N = 5


def hybrids(function, first, second):
    """Values with bodies of the second draw where bits are set; draws have shape (count, N)."""
    bits = (np.arange(2**N)[:, None] >> np.arange(N) & 1).astype(bool)
    return function(np.where(bits, second[:, None], first[:, None]))


POLYNOMIALS = {
    "linear": (lambda z: 3.0 * z[..., 0] - z[..., 4], [10.0, 0, 0, 0, 0]),
    "a square is of order one": (lambda z: 0.5 * z[..., 3] ** 2, [0.5, 0, 0, 0, 0]),
    "pairs": (lambda z: 2.0 * z[..., 1] * z[..., 2] + z[..., 0], [1.0, 4.0, 0, 0, 0]),
    "what is no centred product is lower, too": (lambda z: (1.0 + z[..., 0]) * (2.0 + z[..., 1]), [5.0, 1.0, 0, 0, 0]),
    "triples": (lambda z: z[..., 0] * z[..., 3] * z[..., 4], [0, 0, 1.0, 0, 0]),
    "all": (lambda z: z.prod(axis=-1), [0, 0, 0, 0, 1.0]),
}


@pytest.mark.parametrize(("function", "known"), POLYNOMIALS.values(), ids=POLYNOMIALS)
def test_polynomials_of_normal_deviates(function, known):
    first, second = np.random.default_rng(0).standard_normal((2, 40_000, N))
    found = order_variances(hybrids(function, first, second))
    errors = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - known) <= 4.0 * errors + 1e-12).all()
    top = max(order for order, value in enumerate(known, start=1) if value)
    assert np.abs(found[:, top:]).max(initial=0.0) < 1e-18 * max(1.0, (found**2).max())


def test_the_sum_is_the_variance():
    """Of a function without an order, against the variance of independent values."""
    rng = np.random.default_rng(1)

    def function(z):
        return np.exp(0.3 * z.sum(axis=-1)) + np.sin(z[..., 0] * z[..., 1] - z[..., 2])

    found = order_variances(hybrids(function, *rng.standard_normal((2, 20_000, N)))).sum(axis=1)
    plain = function(rng.standard_normal((400_000, N)))
    error = found.std() / np.sqrt(len(found)) + (plain**2).std() / np.sqrt(len(plain))
    assert abs(found.mean() - plain.var()) < 4.0 * error


def test_errors_of_single_values_are_of_the_largest_order():
    noise = np.random.default_rng(2).standard_normal((20_000, 2**N))
    found = order_variances(noise)
    errors = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - [0, 0, 0, 0, 1.0]) < 4.0 * errors).all()


def test_walsh_coefficients_by_their_definition():
    values = np.random.default_rng(3).standard_normal(8)
    subsets = np.arange(8)
    signs = (-1.0) ** np.bitwise_count(subsets[:, None] & subsets)
    np.testing.assert_allclose(walsh_coefficients(values), signs @ values / 8, atol=1e-14)
