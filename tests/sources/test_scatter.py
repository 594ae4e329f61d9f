"""How energies scatter about smooth curves: noise of every kind is found, kinks and steep walls are not taken for it."""

import numpy as np
import pytest

from bodyorder.sources.scatter import N_POINTS, STEP, scatter

N_LINES = 300
WINDOW = STEP * (N_POINTS - 1) / 2


def steep(places):
    """A wall of some 100 eV that falls with the twelfth power of a distance of some 2 Å."""
    return 97.3 * (1 + places / 2.03) ** -12


def looked_at(curve, n_lines=N_LINES, seed=0):
    """Errors by line, and energies asked for by line; each line has a number of its own between −1 and 1."""
    rng, asked = np.random.default_rng(seed), []
    own = rng.uniform(-1, 1, n_lines)

    def ask(lines, places):
        asked.append(len(lines))
        return curve(places, own[lines], rng)

    return scatter(ask, n_lines), sum(asked) / n_lines


def rms(values):
    return np.sqrt(np.mean(values**2))


@pytest.mark.parametrize(
    "curve",
    [
        lambda places, own, rng: 50 * np.sin(places + own),
        lambda places, own, rng: steep(places + 0.3 * own),
        lambda places, own, rng: -8000.1 + 1e-3 * steep(places),
        lambda places, own, rng: np.zeros(len(places)),
    ],
)
def test_what_is_smooth_has_the_noise_of_its_rounding(curve):
    sigmas, asked = looked_at(curve)
    assert sigmas.max() < 1e-16 * 8000 * 8
    assert asked <= 4 * N_POINTS


def test_nine_energies_do_where_nothing_is_found():
    assert looked_at(lambda places, own, rng: np.sin(places + own))[1] == N_POINTS
    assert looked_at(lambda places, own, rng: np.full(len(places), -8000.123))[1] == N_POINTS


@pytest.mark.parametrize("sigma", [1e-10, 1e-6, 1e-2])
def test_noise_is_found_whatever_it_lies_on(sigma):
    def curve(places, own, rng):
        return steep(places + 0.1 * own) + sigma * rng.normal(size=len(places))

    sigmas, asked = looked_at(curve)
    assert rms(sigmas) == pytest.approx(sigma, rel=0.1)
    assert asked < 2.2 * N_POINTS


@pytest.mark.parametrize("step", [1e-7, 1e-4, 1e-3])
def test_numbers_rounded_to_steps_are_off_by_a_step_over_root_twelve(step):
    """Where energies change by as much as a step along the line."""

    def curve(places, own, rng):
        return np.round((steep(places) + (0.5 + own**2) * places + own) / step) * step

    sigmas, _ = looked_at(curve)
    assert rms(sigmas) == pytest.approx(step / np.sqrt(12), rel=0.3)


def test_a_jump_is_noise_as_large_as_it_is():
    """As iterations leave where from some place on one is made more."""
    sigmas, _ = looked_at(lambda places, own, rng: np.sin(places) + 1e-7 * (places > own * 0.8 * WINDOW))
    assert 1e-8 < np.median(sigmas) < 1e-7
    assert (sigmas > 1e-8).mean() > 0.8


@pytest.mark.parametrize("middle", [0.0, 0.3, 1.0, 2.0])
def test_kinks_are_none(middle):
    """5 eV/Å more from somewhere on, in the middle, near an end, and now and then outside."""
    sigmas, _ = looked_at(lambda places, own, rng: np.sin(places) + 5 * np.abs(places - own * middle * WINDOW), 1000)
    assert np.median(sigmas) < 1e-15
    assert rms(sigmas) < 1e-8


def test_kinks_of_the_curvature_are_none_and_nor_are_very_many():
    def one(places, own, rng):
        return np.sin(places) + 50 * np.maximum(0, places - own * WINDOW) ** 2

    assert looked_at(one)[0].max() < 1e-14

    places_of, sizes = np.random.default_rng(1).uniform(-0.02, 0.02, 500), np.random.default_rng(2).normal(size=500)

    def many(places, own, rng):
        beyond = np.maximum(0, places[:, None] - places_of - 1e-3 * own[:, None])
        return (sizes * beyond**2).sum(axis=1)

    assert looked_at(many)[0].max() < 1e-14


def test_noise_beside_a_kink_is_found():
    def curve(places, own, rng):
        return 5 * np.abs(places - own * WINDOW) + 1e-8 * rng.normal(size=len(places))

    assert rms(looked_at(curve)[0]) == pytest.approx(1e-8, rel=0.2)


def test_lines_with_failures_are_not_known_and_spoil_no_other():
    def curve(places, own, rng):
        noisy = np.sin(places) + 1e-6 * rng.normal(size=len(places))
        return np.where((own > 0.5) & (places > 0), np.nan, noisy)

    sigmas, _ = looked_at(curve)
    own = np.random.default_rng(0).uniform(-1, 1, N_LINES)
    np.testing.assert_array_equal(np.isnan(sigmas), own > 0.5)
    assert rms(sigmas[own <= 0.5]) == pytest.approx(1e-6, rel=0.1)


def test_failures_where_it_looks_closer_leave_what_is_known():
    def curve(places, own, rng):
        jump = 1e-6 * (places > 0)
        return np.where((np.abs(places) < 1e-5) & (places > 0), np.nan, np.sin(places) + jump)

    sigmas, _ = looked_at(curve)
    assert np.isfinite(sigmas).all()
