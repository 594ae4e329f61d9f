from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyorder.subsets import complete
from bodyorder.subsets.harmonics import dimension, harmonic_parts, layer_norms, superset_sums, synthesise


def random_layers(n_bodies, seed, batch=2):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(comb(n_bodies, size), batch)) for size in range(n_bodies + 1)]


def all_subsets(n_bodies):
    return [[()], *([tuple(row) for row in rows.tolist()] for rows in complete(n_bodies).members)]


@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.data())
def test_superset_sums(n_bodies, seed, data):
    layers = random_layers(n_bodies, seed)[: data.draw(st.integers(1, n_bodies + 1))]
    subsets = all_subsets(n_bodies)
    for size, sums in superset_sums(layers, n_bodies):
        assert sums.shape == (len(layers) - size, comb(n_bodies, size), 2)
        for more, found in enumerate(sums):
            holds = np.array([[set(low) <= set(high) for high in subsets[size + more]] for low in subsets[size]])
            np.testing.assert_allclose(found, holds @ layers[size + more], atol=1e-12)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_parts_put_the_function_together(n_bodies, seed):
    layers = random_layers(n_bodies, seed)
    for found, expected in zip(synthesise(harmonic_parts(layers)), layers, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_parts_are_what_the_definition_says(n_bodies, seed):
    layers = random_layers(n_bodies, seed)
    parts = harmonic_parts(layers)
    subsets = all_subsets(n_bodies)
    for size, layer in enumerate(layers):
        summed = np.zeros_like(layer)
        for part in range(min(size, n_bodies - size) + 1):
            inside = np.array([[set(low) <= set(high) for low in subsets[part]] for high in subsets[size]])
            summed += inside @ parts[part][size - part]
        np.testing.assert_allclose(summed, layer, atol=1e-12)
    for part in range(1, len(parts)):
        below = np.array([[set(low) <= set(high) for high in subsets[part]] for low in subsets[part - 1]])
        np.testing.assert_allclose(below @ parts[part], 0, atol=1e-11)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_squares_add_up_over_the_parts(n_bodies, seed):
    layers = random_layers(n_bodies, seed)
    parts = harmonic_parts(layers)
    for size, layer in enumerate(layers):
        squares = sum(
            layer_norms(n_bodies, part)[size - part] * (parts[part][size - part] ** 2).sum()
            for part in range(min(size, n_bodies - size) + 1)
        )
        assert squares == pytest.approx((layer**2).sum(), rel=1e-12)


@pytest.mark.parametrize("n_bodies", range(1, 10))
def test_dimensions_add_up_to_all_subsets(n_bodies):
    held = range(n_bodies // 2 + 1)
    assert sum(dimension(n_bodies, part) * (n_bodies - 2 * part + 1) for part in held) == 2**n_bodies


def test_digits_are_kept_for_sixteen_bodies_with_large_energies():
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(comb(16, size), 1)) - 14.0 * size for size in range(17)]
    for found, expected in zip(synthesise(harmonic_parts(layers)), layers, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11)
