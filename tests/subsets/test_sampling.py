"""Sampled orders: probabilities by enumeration, totals that are unbiased, errors that are honest."""

from math import comb

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from bodyorder._checks import InputError
from bodyorder.subsets import CompactGrowth, complete, contributions, sample


def bodies(n_bodies, seed):
    positions = np.random.default_rng(seed).uniform(0, 1.5 * n_bodies ** (1 / 3), (n_bodies, 3))
    distances = cdist(positions, positions)
    return distances, CompactGrowth(1.0 / (0.3 + distances) ** 3)


def known(distances, seed, top):
    """Random contributions that fall off with the extent of a subset, and the energies they add up to."""
    rng = np.random.default_rng(seed)
    family = complete(len(distances), top)
    epsilons = []
    for rows in family.members:
        extent = distances[rows[:, :, None], rows[:, None, :]].sum(axis=(1, 2)) / 2
        epsilons.append(rng.normal(0.3, 1.0, len(rows)) * np.exp(-extent / len(rows[0])))
    return family, epsilons


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_draws(order):
    _, growth = bodies(7, 1)
    rows = complete(7).members[order - 1]
    p = growth.probabilities(rows)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    draws = growth.draw(order, 200_000, np.random.default_rng(2))
    assert (np.diff(draws, axis=1) > 0).all()
    seen = np.bincount(complete(7).index(draws), minlength=len(rows)) / len(draws)
    np.testing.assert_allclose(seen, p, atol=5 * np.sqrt(p.max() / len(draws)))


def test_even_affinities_draw_evenly():
    growth = CompactGrowth(np.ones((9, 9)))
    np.testing.assert_allclose(growth.probabilities(complete(9).members[3]), 1 / comb(9, 4))


@pytest.mark.parametrize("seed", range(3))
def test_intervals_cover_the_truth(seed):
    """Of 200 samples, the interval of 95 % holds the truth in 180 to 200, order by order; the mean of all is the truth."""
    distances, growth = bodies(14, seed)
    family, epsilons = known(distances, seed, 4)
    energies = [np.zeros(size) for size in family.sizes]
    for order in range(1, 5):
        energies[order - 1] += epsilons[order - 1]
        for size, rows, index in family.proper_subsets(order):
            energies[order - 1][rows] += epsilons[size - 1][index]
    truth = np.array([values.sum() for values in epsilons])
    estimates, errors = np.empty((2, 200, 4))
    for run in range(200):
        drawn = sample(growth, [14, 40, 200, 300], seed=run)
        rows = [family.index(members) for members in drawn.family.members]
        found = contributions(drawn.family, [energies[n][rows[n]] for n in range(4)])
        for n in range(4):
            np.testing.assert_allclose(found[n], epsilons[n][rows[n]], atol=1e-12)
        estimates[run], errors[run] = drawn.totals(found)
        weighted = [weights @ values for weights, values in zip(drawn.weights(), found, strict=True)]
        np.testing.assert_allclose(weighted, estimates[run], atol=1e-12)
    assert (errors[:, 0] == 0).all()
    np.testing.assert_allclose(estimates[:, 0], truth[0], atol=1e-12)
    covered = (np.abs(estimates - truth) <= 1.96 * errors).sum(axis=0)[1:]
    assert ((covered >= 180) & (covered <= 200)).all(), covered
    scatter = estimates.std(axis=0, ddof=1)[1:]
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0))[1:], scatter, rtol=0.2)
    assert (np.abs(estimates.mean(axis=0) - truth)[1:] < 4 * scatter / np.sqrt(200)).all()


def test_compact_draws_scatter_less_than_even_ones():
    """For contributions like those of overlapping densities, which fall off exponentially with every distance."""
    distances, growth = bodies(14, 5)
    rows = complete(14).members[3]
    extent = distances[rows[:, :, None], rows[:, None, :]].sum(axis=(1, 2)) / 2
    epsilon = np.random.default_rng(5).normal(size=len(rows)) * np.exp(-extent)
    spread = {}
    for name, chosen in {"compact": growth, "even": CompactGrowth(np.ones((14, 14)))}.items():
        p = chosen.probabilities(rows)
        spread[name] = np.sqrt((epsilon**2 / p).sum() - epsilon.sum() ** 2)
    assert spread["compact"] < 0.5 * spread["even"]


def test_samples_are_seeded_nested_and_hold_their_parts():
    _, growth = bodies(20, 3)
    small, again, large = (sample(growth, [20, 190, n], seed=7) for n in (100, 100, 250))
    assert small.family.sizes[:2] == (20, 190)
    for one, other in zip(small.family.members, again.family.members, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (large.family.index(small.family.members[2]) >= 0).all()
    held = {1: 0, 2: 0}
    for size, _, index in small.family.proper_subsets(3):
        held[size] += index >= 0
    assert all((counts == comb(3, size)).all() for size, counts in held.items())
    assert small.counts[2].sum() == 100
    other = sample(growth, [20, 190, 100], seed=8)
    assert not np.array_equal(other.family.members[2], small.family.members[2])


def test_orders_too_large_are_refused():
    with pytest.raises(InputError, match="`max_order` of a sample must be at most 12, got 13; lower it"):
        sample(bodies(16, 0)[1], [2] * 13, seed=0)
