"""A potential of pairs and triples: nothing above body order 3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.sources.analytic.pairs import lennard_jones
from bodyorder.sources.analytic.source import AnalyticSource
from bodyorder.sources.pairs import Pairs, pairs_inside
from bodyorder.structures.clusters import FloatArray


@dataclass(kw_only=True, repr=False)
class AxilrodTeller(AnalyticSource):
    """E = Σ_{i<j<l} ν (1 + 3 cos γ_i cos γ_j cos γ_l) / (r_ij r_jl r_il)³: nothing above body order 3.

    γ are the angles of the triangle; each of its atoms has a third of its energy. B. M. Axilrod and E. Teller, J. Chem. Phys. 11,
    299 (1943), doi:10.1063/1.1723844.
    With the squares A, B, C of the three distances a term is ν[(ABC)^{−3/2} + ⅜ (B+C−A)(A+C−B)(A+B−C)(ABC)^{−5/2}].

    :param nu: strength in eV Å⁹
    :param epsilon: depth in eV of a Lennard-Jones pair potential that is added, or None for the triples alone
    :param sigma: its distance of zero energy in Å
    """

    nu: float = 1.0
    epsilon: float | None = None
    sigma: float = 2.0

    target = "axilrod-teller"

    def _shares_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        n, k = distances.shape[:2]
        if self.epsilon is None:
            shares, slopes = np.zeros((n, k)), np.zeros(distances.shape)
        else:
            pair, slopes = self.switched(distances, *lennard_jones(distances, self.epsilon, self.sigma))
            shares = np.einsum("nij->ni", pair) / 2
        for first in range(k - 2):
            rest = slice(first + 1, k)
            near, far = distances[:, first, rest, None], distances[:, rest, rest].copy()
            itself = np.arange(far.shape[1])
            far[:, itself, itself] = 1.0  # any number will do: an atom makes no triangle with itself
            # Each triangle is met twice, as (first, j, l) and as (first, l, j).
            weight = np.where(np.eye(len(itself), dtype=bool), 0.0, 0.5)
            value, slope_near, slope_far = self._triangle(near, near.swapaxes(1, 2), far)
            third = np.einsum("jl,njl->nj", weight / 3, value)
            shares[:, first] += third.sum(axis=1)
            shares[:, rest] += 2 * third
            slope_first = 2 * (weight * slope_near).sum(axis=2)
            slopes[:, first, rest] += slope_first
            slopes[:, rest, first] += slope_first
            slopes[:, rest, rest] += 2 * weight * slope_far
        return shares, slopes

    def _energy_by_cell(self, pairs: Pairs, n_atoms: int) -> float:
        assert self.cutoff is not None
        energy, around = 0.0, pairs.both_ways()
        if self.epsilon is not None:
            pair, slope = lennard_jones(pairs.distances, self.epsilon, self.sigma)
            energy += float(self.switched(pairs.distances, pair, slope)[0].sum())
        order = np.argsort(around.first, kind="stable")
        ends = np.cumsum(np.bincount(around.first, minlength=n_atoms))
        for neighbours in np.split(around.vectors[order], ends[:-1]):
            # Each triangle is met at its three corners, in this cell or, as a copy, in another.
            far, lengths = pairs_inside(neighbours[None], self.cutoff), np.linalg.norm(neighbours, axis=1)
            energy += float(self._triangle(lengths[far.first], lengths[far.second], far.distances)[0].sum()) / 3
        return energy

    def _triangle(self, a: FloatArray, b: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Energy of triangles with sides a, b, c (Å), and its derivatives with respect to a and to c."""
        aa, bb, cc = a * a, b * b, c * c
        u, v, w = bb + cc - aa, aa + cc - bb, aa + bb - cc
        product = aa * bb * cc
        shape = 0.375 * u * v * w / product
        size = self.nu * product**-1.5
        value, common = size * (1 + shape), size * (3 + 5 * shape)
        slope_a = (0.75 * size * (u * (v + w) - v * w) / product * aa - common) / a
        slope_c = (0.75 * size * (w * (u + v) - u * v) / product * cc - common) / c
        if self.cutoff is None:
            return value, slope_a, slope_c
        (switch_a, down_a), (switch_b, _), (switch_c, down_c) = self.switch(a), self.switch(b), self.switch(c)
        return (
            value * switch_a * switch_b * switch_c,
            (slope_a * switch_a + value * down_a) * switch_b * switch_c,
            (slope_c * switch_c + value * down_c) * switch_a * switch_b,
        )
