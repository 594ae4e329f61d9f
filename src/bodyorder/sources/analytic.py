"""Energies in closed form, whose body orders are known exactly: what the rest of the package is tested against.

All atoms are alike to these potentials, whatever their element. With a ``cutoff`` every term is multiplied by a switch
of each pair distance in it, S(x) = 1 − 10x³ + 15x⁴ − 6x⁵ with x = (r − r_on)/(r_cut − r_on) and r_on = 0.75 r_cut:
terms are smooth to their second derivatives, and parts farther apart than the cutoff do not feel each other at all.
Without a cutoff the energies of distant parts never add up exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from bodyorder._checks import InputError, check_choice, check_positive, did_you_mean
from bodyorder.sources.base import EnergySource, Precision, format_spec, package_version
from bodyorder.sources.evaluation import FailedClusters
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: Where the switching function leaves 1, as a fraction of the cutoff.
SWITCH_ONSET = 0.75
#: Pair distances treated at once: a bound on memory (a few dozen arrays of this length) that also suits the cache.
CHUNK = 2**17


@dataclass(kw_only=True)
class AnalyticSource(ABC):
    """An energy that is a function of the pair distances alone, evaluated for many sub-clusters at once in float64.

    :param cutoff: strict cutoff in Å of every pair distance, or None
    :raises InputError: if a parameter is not a positive number
    """

    cutoff: float | None = None
    name: str = field(init=False)
    fingerprint: str = field(init=False)
    precision: Precision = field(init=False, default=Precision(absolute=1e-14, relative=4e-15))

    #: what follows ``analytic:`` in a spec, and the option ``kind`` where the target has several
    target, kind = "", ""

    def __post_init__(self) -> None:
        settings: dict[str, Any] = {"kind": self.kind} if self.kind else {}
        for key in _parameters(type(self)):
            if (value := getattr(self, key)) is not None:
                settings[key] = check_positive(key, value)
                setattr(self, key, settings[key])
        self.name = format_spec("analytic", self.target, settings)
        self.fingerprint = f"{self.name} bodyorder {package_version('bodyorder')}"

    @abstractmethod
    def _energy_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies (n,) and their derivatives dE/dr_ij (n, k, k) from distances (n, k, k), infinite on the diagonal."""

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV.

        :raises FailedClusters: for sub-clusters with atoms so close that the energy is not finite
        """
        return self._evaluate(batch, None)

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å, by analytic differentiation.

        :raises FailedClusters: for sub-clusters with atoms so close that energy or forces are not finite
        """
        forces = np.empty(batch.positions.shape)
        return self._evaluate(batch, forces), forces

    def _evaluate(self, batch: ClusterBatch, forces: FloatArray | None) -> FloatArray:
        energies = np.empty(len(batch))
        step = max(1, CHUNK // batch.n_atoms**2)
        with np.errstate(all="ignore"):
            for rows in (slice(start, start + step) for start in range(0, len(batch), step)):
                separations, distances = _geometry(batch.positions[rows])
                energies[rows], slopes = self._energy_and_slopes(distances)
                if forces is not None:
                    forces[rows] = -np.einsum("nij,nijx->nix", slopes / distances, separations)
            finite = np.isfinite(energies if forces is None else energies + forces.sum(axis=(1, 2)))
        if not finite.all():
            messages = dict.fromkeys(np.flatnonzero(~finite).tolist(), "atoms too close: the energy is not finite")
            raise FailedClusters(messages, np.where(finite, energies, np.nan), forces)
        return energies

    def _switched(self, distances: FloatArray, value: FloatArray, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A function of the distance and its derivative, brought smoothly to zero at the cutoff."""
        switch, switch_slope = self._switch(distances)
        return value * switch, slope * switch + value * switch_slope

    def _switch(self, distances: FloatArray) -> tuple[FloatArray | float, FloatArray | float]:
        if self.cutoff is None:
            return 1.0, 0.0
        width = (1 - SWITCH_ONSET) * self.cutoff
        y = np.clip((self.cutoff - distances) / width, 0.0, 1.0)  # 1 − x: S goes to zero without cancellation
        return y**3 * (10 - 15 * y + 6 * y**2), -30 * (y * (1 - y)) ** 2 / width


class PairPotential(AnalyticSource):
    """E = Σ_{i<j} u(r_ij): nothing above body order 2."""

    target = "pair"

    @abstractmethod
    def radial(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """u(r) in eV and du/dr in eV/Å without the switching function, in the shape of ``distances`` (Å)."""

    def _energy_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        value, slope = self._switched(distances, *self.radial(distances))
        return value.sum(axis=(1, 2)) / 2, slope


@dataclass(kw_only=True)
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
        return _lennard_jones(distances, self.epsilon, self.sigma)


@dataclass(kw_only=True)
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


@dataclass(kw_only=True)
class AxilrodTeller(AnalyticSource):
    """E = Σ_{i<j<l} ν (1 + 3 cos γ_i cos γ_j cos γ_l) / (r_ij r_jl r_il)³: nothing above body order 3.

    γ are the angles of the triangle. B. M. Axilrod and E. Teller, J. Chem. Phys. 11, 299 (1943), doi:10.1063/1.1723844.
    With the squares A, B, C of the three distances a term is ν[(ABC)^{−3/2} + ⅜ (B+C−A)(A+C−B)(A+B−C)(ABC)^{−5/2}].

    :param nu: strength in eV Å⁹
    :param epsilon: depth in eV of a Lennard-Jones pair potential that is added, or None for the triples alone
    :param sigma: its distance of zero energy in Å
    """

    nu: float = 1.0
    epsilon: float | None = None
    sigma: float = 2.0

    target = "axilrod-teller"

    def _energy_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        n, k = distances.shape[:2]
        if self.epsilon is None:
            energy, slopes = np.zeros(n), np.zeros(distances.shape)
        else:
            pair, slopes = self._switched(distances, *_lennard_jones(distances, self.epsilon, self.sigma))
            energy = pair.sum(axis=(1, 2)) / 2
        for first in range(k - 2):
            rest = slice(first + 1, k)
            near, far = distances[:, first, rest, None], distances[:, rest, rest].copy()
            itself = np.arange(far.shape[1])
            far[:, itself, itself] = 1.0  # any number will do: an atom makes no triangle with itself
            # Each triangle is met twice, as (first, j, l) and as (first, l, j).
            weight = np.where(np.eye(len(itself), dtype=bool), 0.0, 0.5)
            value, slope_near, slope_far = self._triangle(near, near.swapaxes(1, 2), far)
            energy += (weight * value).sum(axis=(1, 2))
            slope_first = 2 * (weight * slope_near).sum(axis=2)
            slopes[:, first, rest] += slope_first
            slopes[:, rest, first] += slope_first
            slopes[:, rest, rest] += 2 * weight * slope_far
        return energy, slopes

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
        (switch_a, down_a), (switch_b, _), (switch_c, down_c) = self._switch(a), self._switch(b), self._switch(c)
        return (
            value * switch_a * switch_b * switch_c,
            (slope_a * switch_a + value * down_a) * switch_b * switch_c,
            (slope_c * switch_c + value * down_c) * switch_a * switch_b,
        )


@dataclass(kw_only=True)
class SuttonChen(AnalyticSource):
    """E = ε[Σ_{i<j} (a/r_ij)ⁿ − c Σ_i √ρ_i] with ρ_i = Σ_{j≠i} (a/r_ij)ᵐ: every body order from 2 on.

    A. P. Sutton and J. Chen, Philos. Mag. Lett. 61, 139 (1990), doi:10.1080/09500839008206493. The defaults
    are its copper.

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

    def _energy_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        repulsion, repulsion_slope = self._switched(distances, *self._power(distances, self.n))
        density, density_slope = self._switched(distances, *self._power(distances, self.m))
        root = np.sqrt(density.sum(axis=2))
        # d√ρ/dρ of an atom without neighbours: its density stays zero, whatever the (infinite) slope of the root.
        half = np.divide(0.5, root, out=np.zeros_like(root), where=root > 0)
        embedding_slope = (half[:, :, None] + half[:, None, :]) * density_slope
        energy = repulsion.sum(axis=(1, 2)) / 2 - self.c * root.sum(axis=1)
        return self.epsilon * energy, self.epsilon * (repulsion_slope - self.c * embedding_slope)

    def _power(self, distances: FloatArray, exponent: float) -> tuple[FloatArray, FloatArray]:
        value = (self.a / distances) ** exponent
        return value, -exponent * value / distances


TARGETS: dict[str, dict[str, type[AnalyticSource]]] = {
    "pair": {"lennard-jones": LennardJones, "morse": Morse},
    "axilrod-teller": {"": AxilrodTeller},
    "sutton-chen": {"": SuttonChen},
}


def load(target: str, **options: Any) -> EnergySource:
    """The source ``analytic:target?option=value``.

    :param target: ``pair``, ``axilrod-teller`` or ``sutton-chen``
    :param options: the parameters of the class; for ``pair`` also ``kind``, ``lennard-jones`` (default) or ``morse``
    :raises InputError: for an unknown target, kind or option, with the nearest known name, or a value that cannot be
    """
    check_choice("analytic source", target, TARGETS)
    kinds = TARGETS[target]
    kind = check_choice("kind", options.pop("kind", next(iter(kinds))), kinds) if len(kinds) > 1 else ""
    known = _parameters(kinds[kind]) + ["kind"] * (len(kinds) > 1)
    for option in options:
        if option not in known:
            raise InputError(
                f"analytic:{target} has no option {option!r}; options: {', '.join(known)}{did_you_mean(option, known)}"
            )
    return kinds[kind](**options)


def _parameters(source: type[AnalyticSource]) -> list[str]:
    return [parameter.name for parameter in fields(source) if parameter.init]


def _lennard_jones(distances: FloatArray, epsilon: float, sigma: float) -> tuple[FloatArray, FloatArray]:
    sixth = (sigma / distances) ** 2
    sixth = sixth * sixth * sixth
    return 4 * epsilon * sixth * (sixth - 1), -24 * epsilon * sixth * (2 * sixth - 1) / distances


def _geometry(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Separations r_i − r_j (n, k, k, 3) and distances (n, k, k), infinite between an atom and itself."""
    separations = positions[:, :, None] - positions[:, None, :]
    distances = np.sqrt(np.einsum("nijx,nijx->nij", separations, separations))
    itself = np.arange(positions.shape[1])
    distances[:, itself, itself] = np.inf
    return separations, distances
