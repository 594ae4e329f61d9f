"""How order totals are estimated from a sample of sub-clusters, and when the sample is large enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder._checks import check_between, check_positive
from bodyorder.subsets import CompactGrowth, ConnectedGrowth, Growth, Joints, Sample, sample

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

    def draw(self, growth: Growth, draws: list[int], structure: int) -> Sample:
        """The sample of one structure.

        :param growth: how its subsets are drawn
        :param draws: subsets of each order
        :param structure: its place among all, so that no two share their random numbers
        """
        return sample(growth, draws, self.seed + structure * 2**32)

    def first(self, max_order: int) -> list[int]:
        """How many subsets of each order the first round draws."""
        return [self.samples if self.error is None else max(self.samples, LEAST)] * max_order

    def more(self, drawn: Sample, errors: np.ndarray) -> list[int]:
        """How many subsets of each order the next round draws; as before where the error is reached or out of reach.

        :param drawn: the sample so far
        :param errors: standard errors of the order totals in eV, shape (max_order,); NaN where energies are missing
        """
        needed = self._needed(drawn, errors)
        return [draws if more > MOST else more for draws, more in zip(drawn.draws, needed, strict=True)]

    def shortfalls(self, drawn: Sample, errors: np.ndarray) -> list[str]:
        """One line for each order whose error is out of reach; parameters as for :meth:`more`."""
        return [
            f"order {order}: an error of {self.error:g} eV must be within reach of {MOST} draws, and would need about {more} (it "
            f"is {error:.2g} eV after {draws}); ask for a larger error or a lower max_order"
            for order, (draws, more, error) in enumerate(
                zip(drawn.draws, self._needed(drawn, errors), errors, strict=True), start=1
            )
            if more > MOST
        ]

    def _needed(self, drawn: Sample, errors: np.ndarray) -> list[int]:
        """How many draws of each order the error takes, as far as is known."""
        if self.error is None:
            return list(drawn.draws)
        return [
            int(min(np.ceil(MARGIN * draws * (error / self.error) ** 2), most)) if error > self.error else draws
            for draws, error, most in zip(drawn.draws, errors, drawn.most, strict=True)
        ]


def by_distance(distances: np.ndarray) -> Growth:
    """Draws of any subsets, compact ones more often.

    :param distances: between bodies in Å, shape (N, N)
    """
    apart = np.where(np.eye(len(distances), dtype=bool), np.inf, distances)
    nearest = float(np.median(apart.min(axis=1))) if len(distances) > 1 else 1.0
    return CompactGrowth(_affinity(distances, nearest))


def along_joints(joints: Joints, distances: np.ndarray, max_order: int) -> Growth:
    """Draws of connected subsets, compact ones more often.

    :param joints: which bodies are joined
    :param distances: between them in Å, shape (n_pairs,)
    :param max_order: largest order that will be drawn
    """
    nearest = np.full(joints.n_bodies, np.inf)
    np.minimum.at(nearest, joints.first, distances)
    nearest = nearest[np.isfinite(nearest)]
    strengths = _affinity(distances, float(np.median(nearest)) if len(nearest) else 1.0)
    return ConnectedGrowth(joints, strengths, max_order)


def _affinity(distances: np.ndarray, nearest: float) -> np.ndarray:
    """(d₀/max(d, d₀))³ with d₀ the median distance of nearest neighbours: every shell of bodies weighs about the same."""
    return (nearest / np.maximum(distances, nearest)) ** 3
