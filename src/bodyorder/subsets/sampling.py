"""Order totals from a sample of their subsets: drawn with known probabilities, compact ones more often, and weighted back.

With subsets S₁ … S_M of one order drawn independently with probabilities p(S) > 0, the mean of ε(S_i)/p(S_i) is an unbiased
estimate of E⁽ⁿ⁾ = Σ ε(S), and their scatter tells its error (Hansen and Hurwitz, Ann. Math. Stat. 14, 333 (1943),
doi:10.1214/aoms/1177731356). Whole contributions are drawn, not energies: they scatter far less.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from bodyorder._checks import InputError
from bodyorder.subsets.family import Family, complete, unique_rows

#: Draws are made so many at a time, each block from a random stream of its own: a longer sample begins with a shorter one.
BLOCK = 64

#: Largest order that is sampled: the probability of a subset is a sum over the 2ⁿ parts it can grow through.
LARGEST = 12

#: Probabilities of parts that stand in memory at a time.
_CHUNK = 2**22


class Growth:
    """Subsets grown body by body: the first any, each next one b with a probability in proportion to Σ_t affinity(b, t).

    :param affinity: how strongly bodies attract each other, positive and symmetric, shape (N, N)
    """

    def __init__(self, affinity: np.ndarray):
        self.affinity = np.array(affinity, dtype=np.float64)
        np.fill_diagonal(self.affinity, 0.0)
        self._reach = self.affinity.sum(axis=1)

    def draw(self, order: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Subsets of ``order`` bodies, ascending within a row, shape (count, order)."""
        rows, n_bodies = np.arange(count), len(self.affinity)
        chosen = np.empty((count, order), dtype=np.int32)
        chosen[:, 0] = rng.integers(n_bodies, size=count)
        pull = np.zeros((count, n_bodies))
        for place in range(1, order):
            pull += self.affinity[chosen[:, place - 1]]
            pull[rows[:, None], chosen[:, :place]] = 0.0
            reached = np.cumsum(pull, axis=1)
            # a number drawn from (0, total] stops at a body whose pull is positive
            wanted = (1.0 - rng.random(count)) * reached[:, -1]
            chosen[:, place] = (reached < wanted[:, None]).sum(axis=1)
        return np.sort(chosen, axis=1)

    def probabilities(self, subsets: np.ndarray) -> np.ndarray:
        """Probability of each subset, over all ways to grow it, shape (n,).

        P(T ∪ b) = Σ_b P(T)·A(b, T)/A(T), with A(b, T) = Σ_{t∈T} affinity(b, t) and A(T) its sum over all b outside T.
        """
        length = max(1, _CHUNK >> subsets.shape[1])
        starts = range(0, max(1, len(subsets)), length)
        return np.concatenate([self._probabilities(subsets[start : start + length]) for start in starts])

    def _probabilities(self, subsets: np.ndarray) -> np.ndarray:
        count, order = subsets.shape
        inside = self.affinity[subsets[:, :, None], subsets[:, None, :]]
        found = np.zeros((1 << order, count))
        outward = np.empty((1 << order, count))
        for part in range(1, 1 << order):
            members = [place for place in range(order) if part >> place & 1]
            outward[part] = self._reach[subsets[:, members]].sum(axis=1) - inside[:, members][:, :, members].sum((1, 2))
            if len(members) == 1:
                found[part] = 1.0 / len(self.affinity)
                continue
            for last in members:
                before = part ^ (1 << last)
                rest = [place for place in members if place != last]
                found[part] += found[before] * inside[:, last][:, rest].sum(axis=1) / outward[before]
        return found[-1]


@dataclass(frozen=True)
class Sample:
    """Subsets drawn for every order, and all their parts.

    :param family: the subsets drawn and every part of them, so that their contributions follow from its energies
    :param counts: for each order how often each subset was drawn, shape (n_subsets,); one each for an order that is complete
    :param probabilities: for each order the probability of each subset, NaN where it was not drawn; None for an order that is
        complete
    """

    family: Family
    counts: tuple[np.ndarray, ...]
    probabilities: tuple[np.ndarray | None, ...]

    def totals(self, epsilons: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of the order totals and their standard errors, shapes (max_order,).

        :param epsilons: ε(S) of the family, shape (n_subsets,) for each order
        """
        totals, errors = np.zeros(len(epsilons)), np.zeros(len(epsilons))
        for place, (epsilon, counts, p) in enumerate(zip(epsilons, self.counts, self.probabilities, strict=True)):
            if p is None:
                totals[place] = epsilon.sum()
                continue
            drawn = counts > 0
            terms, often = epsilon[drawn] / p[drawn], counts[drawn]
            draws = often.sum()
            totals[place] = often @ terms / draws
            errors[place] = np.sqrt(often @ (terms - totals[place]) ** 2 / (draws - 1) / draws)
        return totals, errors

    def weights(self) -> list[np.ndarray]:
        """How much each contribution counts in the estimate of its order total, shape (n_subsets,) for each order."""
        return [
            np.ones(len(counts))
            if p is None
            else np.where(counts > 0, counts / counts.sum() / np.where(counts > 0, p, 1.0), 0)
            for counts, p in zip(self.counts, self.probabilities, strict=True)
        ]


def sample(growth: Growth, n_draws: list[int], seed: int) -> Sample:
    """Draw subsets of every order; an order that has no more subsets than draws is taken whole.

    The same seed gives the same subsets, and more draws begin with those of fewer.

    :param growth: over N bodies
    :param n_draws: for each order 1 … max_order how many, at least two where there are more subsets
    :raises InputError: for an order above :data:`LARGEST` that is not taken whole
    """
    n_bodies = len(growth.affinity)
    layers: list[np.ndarray] = []
    for order, wanted in enumerate(n_draws, start=1):
        if comb(n_bodies, order) <= wanted:
            layers.append(complete(n_bodies, order).members[-1])
            continue
        if order > LARGEST:
            raise InputError(f"`max_order` of a sample must be at most {LARGEST}, got {order}; lower it")
        blocks = [
            growth.draw(order, BLOCK, np.random.default_rng([seed, order, block]))
            for block in range(-(-wanted // BLOCK))
        ]
        layers.append(np.concatenate(blocks)[: max(2, wanted)])
    members: list[np.ndarray] = []
    for order in range(len(layers), 0, -1):
        above = members[-1] if members else np.empty((0, order + 1), dtype=np.int32)
        parts = [above[:, columns] for columns in combinations(range(order + 1), order)]
        members.append(unique_rows(np.concatenate([layers[order - 1], *parts]), n_bodies))
    family = Family(n_bodies, tuple(reversed(members)), "sampled")
    counts: list[np.ndarray] = []
    probabilities: list[np.ndarray | None] = []
    for order, (rows, drawn) in enumerate(zip(family.members, layers, strict=True), start=1):
        if comb(n_bodies, order) <= n_draws[order - 1]:
            counts.append(np.ones(len(rows), dtype=np.int64))
            probabilities.append(None)
            continue
        often = np.bincount(family.index(drawn), minlength=len(rows))
        p = np.full(len(rows), np.nan)
        p[often > 0] = growth.probabilities(rows[often > 0])
        counts.append(often)
        probabilities.append(p)
    return Sample(family, tuple(counts), tuple(probabilities))
