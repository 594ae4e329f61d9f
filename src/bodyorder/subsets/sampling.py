"""Order totals from a sample of their subsets: drawn with known probabilities, compact ones more often, and weighted back.

With subsets S₁ … S_M of one order drawn independently with probabilities p(S) > 0, the mean of ε(S_i)/p(S_i) is an unbiased
estimate of E⁽ⁿ⁾ = Σ ε(S), and their scatter tells its error (Hansen and Hurwitz, Ann. Math. Stat. 14, 333 (1943),
doi:10.1214/aoms/1177731356). Whole contributions are drawn, not energies: they scatter far less.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Growth(ABC):
    """A way to draw subsets of each order with known probabilities."""

    @abstractmethod
    def count(self, order: int) -> float:
        """How many subsets of an order there are, infinity where that is not known."""

    @abstractmethod
    def whole(self, order: int, most: int) -> np.ndarray | None:
        """All subsets of an order if there are no more than ``most``, shape (n, order)."""

    @abstractmethod
    def draw(self, order: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Subsets of ``order`` bodies, ascending within a row, shape (count, order); −1 in rows that became none."""

    @abstractmethod
    def probabilities(self, subsets: np.ndarray) -> np.ndarray:
        """Probability of each subset, shape (n,)."""

    @abstractmethod
    def closed(self, layers: list[np.ndarray]) -> tuple[Family, list[np.ndarray]]:
        """The family of some subsets and all their parts that contribute, and the rows of the subsets in it.

        :param layers: subsets of each order, shape (n, order)
        """


class CompactGrowth(Growth):
    """Subsets grown body by body: the first any, each next one b with a probability in proportion to Σ_t affinity(b, t).

    :param affinity: how strongly bodies attract each other, positive and symmetric, shape (N, N)
    """

    def __init__(self, affinity: np.ndarray):
        self.affinity = np.array(affinity, dtype=np.float64)
        np.fill_diagonal(self.affinity, 0.0)
        self._reach = self.affinity.sum(axis=1)

    def count(self, order: int) -> float:
        """C(N, order)."""
        return float(comb(len(self.affinity), order))

    def whole(self, order: int, most: int) -> np.ndarray | None:
        """All subsets of an order if there are no more than ``most``, shape (n, order)."""
        n_bodies = len(self.affinity)
        return complete(n_bodies, order).members[-1] if comb(n_bodies, order) <= most else None

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
        """Probability of each subset, over all ways to grow it, shape (n,)."""
        inside = self.affinity[subsets[:, :, None], subsets[:, None, :]]
        starts = np.full(subsets.shape, 1 / len(self.affinity))
        return probabilities(inside, self._reach[subsets], starts)

    def closed(self, layers: list[np.ndarray]) -> tuple[Family, list[np.ndarray]]:
        """The family of some subsets and all their parts, and the rows of the subsets in it."""
        n_bodies = len(self.affinity)
        members: list[np.ndarray] = []
        for order in range(len(layers), 0, -1):
            above = members[-1] if members else np.empty((0, order + 1), dtype=np.int32)
            parts = [above[:, columns] for columns in combinations(range(order + 1), order)]
            members.append(unique_rows(np.concatenate([layers[order - 1], *parts]), n_bodies))
        family = Family(n_bodies, tuple(reversed(members)), "sampled")
        return family, [family.index(rows) for rows in layers]


def probabilities(inside: np.ndarray, reach: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Probability that subsets are grown, over all ways to grow them, shape (n,).

    P(T ∪ b) = Σ_b P(T)·A(b, T)/A(T), with A(b, T) = Σ_{t∈T} affinity(b, t) and A(T) its sum over all b outside T.

    :param inside: affinities between their bodies, shape (n, order, order)
    :param reach: sum of the affinities of each body to all others, shape (n, order)
    :param starts: probability to begin with each of their bodies, shape (n, order)
    """
    length = max(1, _CHUNK >> inside.shape[1])
    rows = [slice(at, at + length) for at in range(0, max(1, len(inside)), length)]
    return np.concatenate([_probabilities(inside[part], reach[part], starts[part]) for part in rows])


def _probabilities(inside: np.ndarray, reach: np.ndarray, starts: np.ndarray) -> np.ndarray:
    count, order = reach.shape
    found = np.zeros((1 << order, count))
    outward = np.empty((1 << order, count))
    for part in range(1, 1 << order):
        members = [place for place in range(order) if part >> place & 1]
        outward[part] = reach[:, members].sum(axis=1) - inside[:, members][:, :, members].sum((1, 2))
        if len(members) == 1:
            found[part] = starts[:, members[0]]
            continue
        for last in members:
            before = part ^ (1 << last)
            joined = inside[:, last][:, [place for place in members if place != last]].sum(axis=1)
            # what is not joined to the rest is not how it grew, and a part without neighbours does not grow
            grew = joined > 0
            found[part, grew] += found[before, grew] * joined[grew] / outward[before, grew]
    return found[-1]


@dataclass(frozen=True)
class Sample:
    """Subsets drawn for every order, and all their parts.

    :param family: the subsets drawn and every part of them that contributes, so that their contributions follow from its energies
    :param draws: for each order how many subsets were drawn; those that became none contribute nothing
    :param counts: for each order how often each subset was drawn, shape (n_subsets,); one each for an order that is complete
    :param probabilities: for each order the probability of each subset, NaN where it was not drawn; None for an order that is
        complete
    :param most: for each order how many subsets there are, infinity where that is not known
    """

    family: Family
    draws: tuple[int, ...]
    counts: tuple[np.ndarray, ...]
    probabilities: tuple[np.ndarray | None, ...]
    most: tuple[float, ...]

    @property
    def is_estimate(self) -> bool:
        """Whether any order is less than complete; of few bodies a sample may be all there is."""
        return any(p is not None for p in self.probabilities)

    def totals(self, epsilons: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of the order totals and their standard errors, shapes (max_order,).

        :param epsilons: ε(S) of the family, shape (n_subsets,) for each order
        """
        totals, errors = np.zeros(len(epsilons)), np.zeros(len(epsilons))
        columns = zip(epsilons, self.draws, self.counts, self.probabilities, strict=True)
        for place, (epsilon, draws, counts, p) in enumerate(columns):
            if p is None:
                totals[place] = epsilon.sum()
                continue
            drawn = counts > 0
            terms, often = epsilon[drawn] / p[drawn], counts[drawn]
            totals[place] = often @ terms / draws
            none = draws - often.sum()
            squares = often @ (terms - totals[place]) ** 2 + none * totals[place] ** 2
            errors[place] = np.sqrt(squares / (draws - 1) / draws)
        return totals, errors

    def weights(self) -> list[np.ndarray]:
        """How much each contribution counts in the estimate of its order total, shape (n_subsets,) for each order."""
        return [
            np.ones(len(counts))
            if p is None
            else np.where(counts > 0, counts / draws / np.where(counts > 0, p, 1.0), 0)
            for draws, counts, p in zip(self.draws, self.counts, self.probabilities, strict=True)
        ]


def sample(growth: Growth, n_draws: list[int], seed: int) -> Sample:
    """Draw subsets of every order; an order that has no more subsets than draws is taken whole.

    The same seed gives the same subsets, and more draws begin with those of fewer.

    :param growth: over N bodies
    :param n_draws: for each order 1 … max_order how many; two where fewer are asked for and there are more subsets
    :param seed: of the random numbers
    :raises InputError: for an order above :data:`LARGEST` that is not taken whole
    """
    layers: list[np.ndarray] = []
    is_whole: list[bool] = []
    draws = [max(2, wanted) for wanted in n_draws]
    for order, wanted in enumerate(draws, start=1):
        whole = growth.whole(order, wanted)
        is_whole.append(whole is not None)
        if whole is not None:
            layers.append(whole)
            continue
        if order > LARGEST:
            raise InputError(f"`max_order` of a sample must be at most {LARGEST}, got {order}; lower it")
        blocks = [
            growth.draw(order, BLOCK, np.random.default_rng([seed, order, block]))
            for block in range(-(-wanted // BLOCK))
        ]
        layers.append(np.concatenate(blocks)[:wanted])
    grown = [rows[(rows >= 0).all(axis=1)] for rows in layers]
    family, places = growth.closed(grown)
    counts: list[np.ndarray] = []
    p: list[np.ndarray | None] = []
    for size, held, found, whole_order in zip(family.sizes, grown, places, is_whole, strict=True):
        counts.append(np.bincount(found, minlength=size))
        if whole_order:
            p.append(None)
            continue
        chosen, first = np.unique(found, return_index=True)
        known = np.full(size, np.nan)
        known[chosen] = growth.probabilities(held[first])
        p.append(known)
    return Sample(
        family,
        tuple(draws),
        tuple(counts),
        tuple(p),
        tuple(growth.count(order) for order in range(1, len(n_draws) + 1)),
    )
