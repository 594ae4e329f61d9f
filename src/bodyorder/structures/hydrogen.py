"""Hydrogen clusters drawn at random, molecular or metallic. The same seed gives the same clusters."""

from __future__ import annotations

import ase
import numpy as np
from ase import units

from bodyorder._checks import ComputationError, InputError, check_between, check_positive
from bodyorder.structures.clusters import FloatArray

#: Bond length (Å) and harmonic wavenumber (1/cm) of H2 in its electronic ground state: K. P. Huber and G. Herzberg,
#: Constants of Diatomic Molecules (1979), doi:10.1007/978-1-4757-0961-2.
H2_BOND_LENGTH = 0.74144
H2_WAVENUMBER = 4401.213
H_MASS = 1.00783

#: Share of the sphere that the molecules of a low-density cluster fill, each counted with half the separation as its
#: radius: compact, and below the 0.38 at which spheres placed one by one jam.
LOW_DENSITY_FILLING = 0.25

#: Largest share of space that equal spheres can fill.
CLOSEST_PACKING = np.pi / np.sqrt(18)
MAX_ATOMS = 100_000
CANDIDATES = 200
RESTARTS = 500


def low_density(
    n_atoms: int, n_clusters: int, seed: int, *, temperature: float = 300.0, separation: float = 3.0
) -> list[ase.Atoms]:
    """Compact clusters of H2 molecules with thermal bond lengths and random orientations.

    Bond lengths have the normal distribution of a harmonic quantum oscillator around r_e, of variance
    σ² = ħ/(2μω) coth(ħω/2kT) (R. P. Feynman, Statistical Mechanics (1972), ch. 2); the zero-point motion alone makes
    σ = 0.09 Å. An odd number of atoms leaves one lone atom in each cluster.

    :param n_atoms: atoms in each cluster
    :param n_clusters: how many clusters
    :param seed: not negative; cluster i is the same however many are drawn
    :param temperature: of the vibration in K, 0 … 5000
    :param separation: smallest distance between the centres of molecules in Å
    :return: clusters around the origin, with ``group``, ``seed`` and ``index`` in their ``info``
    :raises InputError: for a number out of range
    """
    _check_counts(n_atoms, n_clusters, seed)
    sigma = bond_length_spread(temperature)
    spacing = check_positive("separation", separation)
    if spacing < 2 * H2_BOND_LENGTH:
        raise InputError(
            f"`separation` must be at least two bond lengths ({2 * H2_BOND_LENGTH:.2f} Å), got {spacing:g}"
        )
    n_molecules, n_lone = divmod(n_atoms, 2)
    n_centres = n_molecules + n_lone
    radius = spacing / 2 * (n_centres / LOW_DENSITY_FILLING) ** (1 / 3)
    clusters = []
    for index in range(n_clusters):
        rng = np.random.default_rng([seed, index])
        centres = _separated_points(rng, n_centres, radius, spacing)
        bonds = _directions(rng, n_molecules) * rng.normal(H2_BOND_LENGTH, sigma, size=(n_molecules, 1))
        molecules = np.stack([centres[:n_molecules] - bonds / 2, centres[:n_molecules] + bonds / 2], axis=1)
        positions = np.concatenate([molecules.reshape(-1, 3), centres[n_molecules:]])
        clusters.append(_cluster(positions, "low-density", seed, index))
    return clusters


def high_density(
    n_atoms: int, n_clusters: int, seed: int, *, wigner_seitz_radius_bohr: float = 1.5, min_distance: float = 0.9
) -> list[ase.Atoms]:
    """Atoms placed at random in a sphere whose volume is that of ``n_atoms`` Wigner–Seitz spheres, (4π/3) r_s³ each.

    Atoms are placed one by one, each uniformly among the places that are not too close to those before it (random
    sequential addition; B. Widom, J. Chem. Phys. 44, 3888 (1966), doi:10.1063/1.1726548). A cluster in which no such
    place is left is begun anew.

    :param n_atoms: atoms in each cluster
    :param n_clusters: how many clusters
    :param seed: not negative; cluster i is the same however many are drawn
    :param wigner_seitz_radius_bohr: r_s in bohr, the field's measure of density; metallic hydrogen has about 1.3 to 1.6
    :param min_distance: smallest distance between two atoms in Å
    :return: clusters around the origin, with ``group``, ``seed`` and ``index`` in their ``info``
    :raises InputError: for a number out of range, or a density that no packing of spheres reaches
    :raises ComputationError: if the density could be reached but random placement did not
    """
    _check_counts(n_atoms, n_clusters, seed)
    radius = check_positive("wigner_seitz_radius_bohr", wigner_seitz_radius_bohr) * units.Bohr * n_atoms ** (1 / 3)
    distance = check_positive("min_distance", min_distance)
    filling = n_atoms * (distance / 2 / (radius + distance / 2)) ** 3
    if n_atoms > 1 and (filling > CLOSEST_PACKING or distance > 2 * radius):
        raise InputError(
            f"{n_atoms} atoms with `min_distance` {distance:g} Å cannot fit into a sphere of radius {radius:.3f} Å "
            f"(wigner_seitz_radius_bohr {wigner_seitz_radius_bohr:g}); lower min_distance or raise the radius"
        )
    clusters = []
    for index in range(n_clusters):
        rng = np.random.default_rng([seed, index])
        clusters.append(_cluster(_separated_points(rng, n_atoms, radius, distance), "high-density", seed, index))
    return clusters


def bond_length_spread(temperature: float) -> float:
    """Standard deviation in Å of the bond length of H2 as a harmonic oscillator, √(ħ/(2μω) coth(ħω/2kT)).

    :param temperature: in K, 0 … 5000
    :raises InputError: for a temperature outside of these
    """
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 5000:
        raise InputError(f"`temperature` must be between 0 and 5000 K, got {temperature!r}")
    quantum = H2_WAVENUMBER * units.invcm
    hbar = units._hbar * units.J * units.s
    coth = 1 / np.tanh(quantum / (2 * units.kB * temperature)) if temperature > 0 else 1.0
    return float(np.sqrt(hbar**2 / (2 * (H_MASS / 2) * quantum) * coth))


def _check_counts(n_atoms: int, n_clusters: int, seed: int) -> None:
    check_between("n_atoms", n_atoms, 1, MAX_ATOMS)
    check_between("n_clusters", n_clusters, 1, 2**31)
    check_between("seed", seed, 0, 2**63)


def _cluster(positions: FloatArray, group: str, seed: int, index: int) -> ase.Atoms:
    return ase.Atoms(
        numbers=np.ones(len(positions), dtype=int),
        positions=positions,
        info={"group": group, "seed": int(seed), "index": index},
    )


def _directions(rng: np.random.Generator, n: int) -> FloatArray:
    """Random unit vectors (n, 3)."""
    vectors = rng.standard_normal((n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _separated_points(rng: np.random.Generator, n: int, radius: float, min_distance: float) -> FloatArray:
    """Random points (n, 3) in a sphere, no two closer than ``min_distance`` (both Å)."""
    for _ in range(RESTARTS):
        points = np.empty((n, 3))
        for placed in range(n):
            candidates = _directions(rng, CANDIDATES) * (radius * np.cbrt(rng.random((CANDIDATES, 1))))
            gaps = np.linalg.norm(candidates[:, None] - points[None, :placed], axis=2)
            free = np.flatnonzero((gaps >= min_distance).all(axis=1))
            if not len(free):
                break
            points[placed] = candidates[free[0]]
        else:
            return points
    raise ComputationError(
        f"could not place {n} points at least {min_distance:g} Å apart in a sphere of radius {radius:.3f} Å "
        f"in {RESTARTS} tries; lower the distance or the density"
    )
