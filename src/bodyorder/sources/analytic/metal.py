"""A potential with an embedding energy: every body order from 2 on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.analytic.source import AnalyticSource
from bodyorder.sources.pairs import Pairs
from bodyorder.structures.clusters import FloatArray


@dataclass(kw_only=True, repr=False)
class SuttonChen(AnalyticSource):
    """E = ε[Σ_{i<j} (a/r_ij)ⁿ − c Σ_i √ρ_i] with ρ_i = Σ_{j≠i} (a/r_ij)ᵐ: every body order from 2 on.

    An atom has half of the repulsion of its pairs, and its own embedding. A. P. Sutton and J. Chen, Philos. Mag. Lett. 61, 139
    (1990), doi:10.1080/09500839008206493. The defaults are its copper.

    :param epsilon: energy scale in eV
    :param a: length scale in Å
    :param c: strength of the embedding, no unit
    :param n: exponent of the repulsion
    :param m: exponent of the density
    :raises InputError: also if n is not above m/2, where atoms would fall into each other
    """

    epsilon: float = 0.012382
    a: float = 3.61
    c: float = 39.432
    n: float = 9
    m: float = 6

    target = "sutton-chen"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n <= self.m / 2:
            raise InputError(f"`n` must be above m/2 = {self.m / 2:g}, got {self.n:g}")

    def _shares_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        repulsion, repulsion_slope = self.switched(distances, *self._power(distances, self.n))
        density, density_slope = self.switched(distances, *self._power(distances, self.m))
        root = np.sqrt(np.einsum("nij->ni", density))
        # d√ρ/dρ of an atom without neighbours: its density stays zero, whatever the (infinite) slope of the root.
        half = np.divide(0.5, root, out=np.zeros_like(root), where=root > 0)
        embedding_slope = (half[:, :, None] + half[:, None, :]) * density_slope
        shares = np.einsum("nij->ni", repulsion) / 2 - self.c * root
        return self.epsilon * shares, self.epsilon * (repulsion_slope - self.c * embedding_slope)

    def _energy_by_cell(self, pairs: Pairs, n_atoms: int) -> float:
        repulsion, density = (
            self.switched(pairs.distances, *self._power(pairs.distances, exponent))[0] for exponent in (self.n, self.m)
        )
        densities = np.bincount(pairs.both_ways().first, np.tile(density, 2), minlength=n_atoms)
        return float(self.epsilon * (repulsion.sum() - self.c * np.sqrt(densities).sum()))

    def _power(self, distances: FloatArray, exponent: float) -> tuple[FloatArray, FloatArray]:
        value = (self.a / distances) ** exponent
        return value, -exponent * value / distances
