"""Samples of connected subsets: probabilities by enumeration, closed families, free and periodic."""

import numpy as np
import pytest

from bodyorder.subsets import ConnectedGrowth, Joints, connected_classes, contributions, sample


def ring(n_bodies, chords=()):
    """Bodies joined to the next two, and some more."""
    pairs = {(i, (i + step) % n_bodies) for i in range(n_bodies) for step in (1, 2)} | set(chords)
    pairs |= {(j, i) for i, j in pairs}
    first, second = np.array(sorted(pairs)).T
    return Joints(n_bodies, first, second, np.zeros((len(first), 3), dtype=np.int64))


def crystal():
    """Two bodies in a cell, joined to each other and to copies along two directions."""
    rows = [(0, 1, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 0, 1, 0), (1, 1, 1, 1, 0), (0, 1, 0, -1, 1)]
    rows += [(b, a, *(-c for c in cell)) for a, b, *cell in rows]
    rows = np.array(sorted(set(rows)))
    return Joints(2, rows[:, 0], rows[:, 1], rows[:, 2:])


def parts():
    """A pair, a triple, and one alone."""
    first, second = np.array([[0, 1], [1, 0], [2, 3], [3, 2], [3, 4], [4, 3]]).T
    return Joints(6, first, second, np.zeros((6, 3), dtype=np.int64))


def strengths(joints, seed=0):
    """Random, the same from both ends of a pair."""
    rng, found, result = np.random.default_rng(seed), {}, []
    for a, b, shift in zip(joints.first.tolist(), joints.second.tolist(), joints.shifts.tolist(), strict=True):
        end = (b, a, *(-c for c in shift))
        result.append(found.setdefault((a, b, *shift), found.get(end) or rng.uniform(0.2, 2.0)))
    return np.array(result)


JOINTS = {"ring": ring(9, [(0, 5)]), "crystal": crystal(), "parts": parts()}


@pytest.mark.parametrize("name", JOINTS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_draws(name, order):
    joints = JOINTS[name]
    growth = ConnectedGrowth(joints, strengths(joints), 4)
    family = connected_classes(joints, order)
    rows = family.arrangement.nodes[family.members[order - 1]]
    p = growth.probabilities(rows)
    assert (p > 0).all()
    n_draws = 100_000
    draws = growth.draw(order, n_draws, np.random.default_rng(1))
    grown = draws[(draws >= 0).all(axis=1)]
    assert (np.diff(grown, axis=1) > 0).all()
    force = strengths(joints)
    # what begins with the pair
    ended = {3: (2 / 5 + force[:2].sum() / force.sum()) / 2, 4: 1.0}.get(order, 0.0) if name == "parts" else 0.0
    assert p.sum() == pytest.approx(1 - ended, abs=1e-12)
    assert 1 - len(grown) / n_draws == pytest.approx(ended, abs=0.01)
    found, counts = np.unique(grown, axis=0, return_counts=True)
    wanted = {tuple(row): chance for row, chance in zip(rows.tolist(), p.tolist(), strict=True)}
    seen = dict(zip(map(tuple, found.tolist()), counts / n_draws, strict=True))
    assert set(seen) <= set(wanted)
    for row, chance in wanted.items():
        assert seen.get(row, 0.0) == pytest.approx(chance, abs=5 * np.sqrt(chance / n_draws))


@pytest.mark.parametrize("name", ["ring", "crystal"])
def test_contributions_are_those_of_the_whole_family_and_totals_are_unbiased(name):
    joints = JOINTS[name]
    growth = ConnectedGrowth(joints, strengths(joints), 4)
    family = connected_classes(joints, 4)
    rng = np.random.default_rng(3)
    energies = [rng.normal(size=size) for size in family.sizes]
    epsilons = contributions(family, energies)
    truth = np.array([epsilon.sum() for epsilon in epsilons])
    estimates, errors = np.empty((2, 200, 4))
    for seed in range(200):
        drawn = sample(growth, [9, 4, 15, 15], seed)
        places = [
            np.searchsorted(family.arrangement.nodes, drawn.family.nodes.nodes[rows]) for rows in drawn.family.members
        ]
        known = [family.index(rows) for rows in places]
        assert all((index >= 0).all() for index in known)
        found = contributions(drawn.family, [values[index] for values, index in zip(energies, known, strict=True)])
        for values, epsilon, index in zip(found, epsilons, known, strict=True):
            np.testing.assert_allclose(values, epsilon[index], atol=1e-12)
        estimates[seed], errors[seed] = drawn.totals(found)
        weighted = [weights @ values for weights, values in zip(drawn.weights(), found, strict=True)]
        np.testing.assert_allclose(weighted, estimates[seed], atol=1e-12)
    np.testing.assert_allclose(estimates[:, 0], truth[0], atol=1e-12)
    assert (errors[:, 0] == 0).all()
    scatter = estimates.std(axis=0, ddof=1)[1:]
    assert (np.abs(estimates.mean(axis=0) - truth)[1:] < 4 * scatter / np.sqrt(200)).all()
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0))[1:], scatter, rtol=0.2)


def test_an_order_with_few_subsets_is_taken_whole():
    joints = JOINTS["crystal"]
    family = connected_classes(joints, 3)
    drawn = sample(ConnectedGrowth(joints, strengths(joints), 3), list(family.sizes), 0)
    assert drawn.probabilities == (None, None, None)
    assert drawn.family.sizes == family.sizes
    short = sample(ConnectedGrowth(joints, strengths(joints), 3), [2, 5, family.sizes[2] - 1], 0)
    assert [p is None for p in short.probabilities] == [True, True, False]


def test_what_does_not_grow_contributes_nothing():
    joints = parts()
    drawn = sample(ConnectedGrowth(joints, strengths(joints), 3), [6, 20, 200], 0)
    assert drawn.family.sizes == (6, 3, 1)
    drawn = sample(ConnectedGrowth(joints, strengths(joints), 4), [6, 10, 10, 10], 0)
    assert drawn.family.sizes == (6, 3, 1, 0)
    assert drawn.totals([np.ones(size) for size in drawn.family.sizes])[0].tolist() == [6, 3, 1, 0]


def test_samples_are_seeded_and_nested():
    joints = ring(60)
    growth = ConnectedGrowth(joints, strengths(joints), 5)
    small, again, large = (sample(growth, [60, 10, 10, 10, n], 7) for n in (70, 70, 200))
    for one, other in zip(small.family.members, again.family.members, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (large.family.index(small.family.members[4]) >= 0).all()
