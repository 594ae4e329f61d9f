"""Pair potentials: nothing above body order 2."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from bodyorder.sources.analytic.source import AnalyticSource
from bodyorder.sources.pairs import Pairs
from bodyorder.structures.clusters import FloatArray


class PairPotential(AnalyticSource):
    """E = Σ_{i<j} u(r_ij): nothing above body order 2. Both atoms of a pair have half of its energy."""

    target = "pair"

    @abstractmethod
    def radial(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u(r) in eV and du/dr in eV/Å without the switching function, in the shape of ``distances`` (Å)."""

    def _shares_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        value, slope = self.switched(distances, *self.radial(distances))
        return np.einsum("nij->ni", value) / 2, slope

    def _energy_by_cell(self, pairs: Pairs, n_atoms: int) -> float:
        return float(self.switched(pairs.distances, *self.radial(pairs.distances))[0].sum())


@dataclass(kw_only=True, repr=False)
class LennardJones(PairPotential):
    """u(r) = 4ε[(σ/r)¹² − (σ/r)⁶].

    J. E. Lennard-Jones, Proc. Phys. Soc. 43, 461 (1931), doi:10.1088/0959-5309/43/5/301.

    :param epsilon: depth of the well in eV
    :param sigma: distance of zero energy in Å
    """

    kind = "lennard-jones"
    epsilon: float = 0.01
    sigma: float = 2.0

    def radial(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u(r) in eV and du/dr in eV/Å without the switching function, in the shape of ``distances`` (Å)."""
        return lennard_jones(distances, self.epsilon, self.sigma)


@dataclass(kw_only=True, repr=False)
class Morse(PairPotential):
    """u(r) = ε[e^{−2α(r − r₀)} − 2e^{−α(r − r₀)}].

    P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57. The defaults have the depth, place and curvature
    of the minimum of the hydrogen molecule.

    :param epsilon: depth of the well in eV
    :param alpha: decay in 1/Å
    :param r0: distance of the minimum in Å
    """

    kind = "morse"
    epsilon: float = 4.75
    alpha: float = 1.94
    r0: float = 0.741

    def radial(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u(r) in eV and du/dr in eV/Å without the switching function, in the shape of ``distances`` (Å)."""
        decay = np.exp(-self.alpha * (distances - self.r0))
        return self.epsilon * decay * (decay - 2), -2 * self.alpha * self.epsilon * decay * (decay - 1)


def lennard_jones(distances: FloatArray, epsilon: float, sigma: float) -> tuple[FloatArray, FloatArray]:
    """4ε[(σ/r)¹² − (σ/r)⁶] and its derivative at distances in Å."""
    sixth = (sigma / distances) ** 2
    sixth = sixth * sixth * sixth
    return 4 * epsilon * sixth * (sixth - 1), -24 * epsilon * sixth * (2 * sixth - 1) / distances
