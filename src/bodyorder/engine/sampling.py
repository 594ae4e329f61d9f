"""How order totals are estimated from a sample of sub-clusters, and when the sample is large enough."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from bodyorder._checks import ComputationError, check_between, check_positive
from bodyorder.subsets import Growth, Sample, sample

#: More draws of one order than this are refused: their sub-clusters would not fit in memory.
MOST = 2_000_000
#: The next round draws this much more than the errors so far ask for, since they are estimates themselves.
MARGIN = 1.2
#: Draws of an order whose error decides whether to go on: that of a few draws is too small whenever the rare large contributions
#: are not among them, and stopping then would choose just these samples.
LEAST = 100


@dataclass(frozen=True)
class Sampling:
    """Order totals from sampled sub-clusters, compact ones more often, weighted back (see :mod:`bodyorder.subsets.sampling`).

    :param samples: subsets drawn of each order of each structure; an order with no more subsets than that is taken whole
    :param error: standard error in eV that every order total must reach; more is drawn until it does, and at least
        :data:`LEAST` from the beginning. None to draw once.
    :param seed: of the random numbers; the same seed draws the same subsets, and a larger sample holds the smaller one
    :raises InputError: for options out of range
    """

    samples: int = 1000
    error: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_between("samples", self.samples, 2, MOST)
        check_between("seed", self.seed, 0, 2**63)
        if self.error is not None:
            check_positive("error", self.error)

    def draw(self, distances: np.ndarray, draws: list[int], structure: int) -> Sample:
        """The sample of one structure.

        :param distances: between bodies in Å, shape (N, N)
        :param draws: subsets of each order
        :param structure: its place among all, so that no two share their random numbers
        """
        return sample(Growth(_affinity(distances)), draws, self.seed + structure * 2**32)

    def first(self, n_bodies: int, max_order: int) -> list[int]:
        """How many subsets of each order the first round draws."""
        draws = self.samples if self.error is None else max(self.samples, LEAST)
        return [min(draws, comb(n_bodies, order)) for order in range(1, max_order + 1)]

    def more(self, draws: list[int], errors: np.ndarray, n_bodies: int) -> list[int]:
        """How many subsets of each order the next round draws; as before where the error is reached.

        :param draws: so far
        :param errors: standard errors of the order totals in eV, shape (max_order,); NaN where energies are missing
        :raises ComputationError: if an order would need more than :data:`MOST`
        """
        if self.error is None:
            return draws
        wanted = list(draws)
        for place, (drawn, error) in enumerate(zip(draws, errors, strict=True)):
            if not error > self.error:
                continue
            needed = min(int(np.ceil(MARGIN * drawn * (error / self.error) ** 2)), comb(n_bodies, place + 1))
            if needed > MOST:
                raise ComputationError(
                    f"an error of {self.error:g} eV must be within reach of {MOST} draws, order {place + 1} would need about "
                    f"{needed} (its error is {error:.2g} eV after {drawn}); ask for a larger error or a lower max_order"
                )
            wanted[place] = needed
        return wanted


def _affinity(distances: np.ndarray) -> np.ndarray:
    """(d₀/max(d, d₀))³ with d₀ the median distance of nearest neighbours: every shell of bodies weighs about the same."""
    apart = np.where(np.eye(len(distances), dtype=bool), np.inf, distances)
    nearest = float(np.median(apart.min(axis=1))) if len(distances) > 1 else 1.0
    return (nearest / np.maximum(distances, nearest)) ** 3
