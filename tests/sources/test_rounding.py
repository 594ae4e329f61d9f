"""Energies that are float32 numbers, in whatever unit they were when they were."""

import numpy as np
import pytest
from ase import units

from bodyorder.sources.rounding import last_digits

ENERGIES = np.random.default_rng(0).normal(scale=1000.0, size=64)


@pytest.mark.parametrize("unit", [1.0, units.Hartree, 27.211386245988, units.kcal / units.mol, units.kJ / units.mol])
def test_float32_numbers_are_seen_and_their_steps_known(unit):
    single = (ENERGIES / unit).astype(np.float32)
    steps = (np.nextafter(np.abs(single), np.float32(np.inf)) - np.abs(single)).astype(np.float64) * unit
    np.testing.assert_allclose(last_digits(single.astype(np.float64) * unit), steps, rtol=1e-12)
    # rounding to steps of length s is an error of s/√12
    errors = single.astype(np.float64) * unit - ENERGIES
    assert np.sqrt(np.mean((errors / steps) ** 2)) == pytest.approx(1 / np.sqrt(12), rel=0.2)


def test_others_are_not():
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(last_digits(ENERGIES), 0)
    assert not any(last_digits(rng.normal(size=1)).any() for _ in range(5000))
    mixed = np.append(ENERGIES[:3].astype(np.float32).astype(np.float64), ENERGIES[3])
    np.testing.assert_array_equal(last_digits(mixed), 0)


def test_numbers_of_few_digits_are_rounded_by_nobody():
    for energies in ([0.0, 0.0], [1.0, -2.5, 1024.0], []):
        np.testing.assert_array_equal(last_digits(np.array(energies)), 0)


def test_what_is_not_finite_or_too_large_is_not_looked_at():
    single = ENERGIES.astype(np.float32).astype(np.float64)
    single[3], single[5] = np.nan, 0.0
    steps = last_digits(single)
    assert np.isfinite(steps).all()
    assert steps[0] > 0
    np.testing.assert_array_equal(last_digits(np.array([1e200, 1e-3])), 0)
