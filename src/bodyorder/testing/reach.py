"""Checks of how far energies reach, and whether they change without jumps on the way: atoms that are taken apart.

An atom is moved away from another one, and from a pair, along a line. Where the energy comes to rest is the range of a
potential, at least as far as two and three atoms show it. Where it changes between two distances, however near they are to each
other, it jumps: quartering an interval quarters what a slope does in it, and leaves a jump as it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from bodyorder.sources.boxes import WIDER, across_boxes, box_of
from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.spacing import GAP
from bodyorder.structures.clusters import ClusterBatch, FloatArray, System
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone
from bodyorder.testing.subject import Subject, measured

#: Distances in sums of covalent radii and in Å: the nearest, those that are looked at closely, and the farthest.
NEAREST, CLOSE, FARTHEST = 0.9, 12.0, 100.0
#: The farthest in boxes, whose cost can grow with their volume.
FARTHEST_BOXED = 30.0
#: Distances up to :data:`CLOSE` and beyond it, and energies that one scan takes with what is looked at closer.
POINTS, BEYOND, ASKED = 72, 16, 160
#: Seconds that all scans may take before they are of fewer distances, down to a share of them.
SECONDS, FEWEST = 20.0, 0.2
#: Intervals by each of three measures that are quartered, and the width (Å) down to which that is done.
SUSPECTS, NARROW = 3, 1e-6
#: How well a range is told (Å).
RESOLVED = 5e-3
#: Jumps (eV) that nobody minds, such as those of a potential that is cut off where it is almost nothing (EMT: 1e-5).
SMALL_JUMP = 1e-4
#: What is said where the source fails for all distances.
UNKNOWN = "no energy of atoms that are moved away could be computed"


@dataclass
class Scan:
    """The energy of some atoms of which the last one is moved away.

    :param label: the atoms, with a bar before the one that is moved
    :param numbers: atomic numbers, shape (n,)
    :param fixed: where the others are in Å, shape (n − 1, 3), the last of them at the origin
    :param distances: of the moved atom from the nearest other one in Å, ascending, shape (m,)
    :param energies: in eV, NaN where the source fails, shape (m,)
    :param share: of what is looked at where a source is fast
    """

    label: str
    numbers: np.ndarray
    fixed: FloatArray
    distances: FloatArray
    energies: FloatArray
    share: float

    def at(self, subject: Subject, distances: FloatArray) -> FloatArray:
        """Energies in eV at some distances, NaN where the source fails."""
        systems = [System(self.numbers, np.vstack([self.fixed, [distance, 0.0, 0.0]])) for distance in distances]
        return _energies(subject, systems)

    def off(self, energies: FloatArray) -> FloatArray:
        """How far energies are from that of the largest distance, in eV."""
        return np.abs(energies - self.energies[-1])


def reach(subject: Subject, name: str) -> Check:
    """Nothing changes beyond the claimed cutoff where an atom is moved away; without a claim, how far anything changes."""
    claimed, tolerance = subject.source.cutoff, _tolerance(subject)
    ends = {}
    for scan in scans(subject):
        if (end := _end(subject, scan, tolerance)) is not None:
            ends[scan.label] = end
    if not ends:
        return Check(name, None, detail=UNKNOWN)
    label, end = max(ends.items(), key=lambda item: item[1])
    found = f"energies of {label} change up to {end:.2f} Å" if end else "no energy changes"
    if claimed is None:
        advice = ", beyond which one may be claimed (additive_cutoff)" if 0 < end < CLOSE else ""
        return Check(name, None, detail=f"no cutoff is claimed; {found}{advice}")
    beyond = [scan.energies[scan.distances >= claimed + GAP] for scan in scans(subject) if scan.label in ends]
    worst = max(np.nanmax(np.abs(energies - energies[-1])) for energies in beyond)
    return measured(name, worst, tolerance, "eV", f"atoms farther apart than {claimed:g} Å; {found}")


def continuity(subject: Subject, name: str) -> Check:
    """The energy does not jump where an atom is moved away."""
    tolerance, worst, where = max(SMALL_JUMP, _tolerance(subject)), 0.0, ""
    for scan in scans(subject):
        for distance, size in _jumps(subject, scan, tolerance):
            if size > 1.01 * worst:  # of jumps alike the first: that of two atoms
                worst, where = size, f"the energy of {scan.label} jumps by {size:.1e} eV at {distance:.4f} Å"
    n_seen = sum(int(np.isfinite(scan.energies).sum()) for scan in scans(subject))
    if not n_seen:
        return Check(name, None, detail=UNKNOWN)
    return measured(name, worst, tolerance, "eV", where or f"no jump larger than that over {n_seen} distances")


def boxes(subject: Subject, name: str) -> Check:
    """Energies in boxes are those in larger ones."""
    vacuum = box_of(subject.source)
    if vacuum is None:
        return Check(name, None, detail="no boxes are made")
    found = [across_boxes(subject.source, alone(cluster)) for cluster in subject.clusters]
    worst = max((one.energy for one in found if one is not None), default=0.0)
    tolerance = subject.tolerance(subject.energies(subject.clusters))
    return measured(name, worst, tolerance, "eV", f"boxes that leave {vacuum:g} Å, and {WIDER * vacuum:g} Å")


def scans(subject: Subject) -> list[Scan]:
    """Every pair of species, and each species moved away from a pair, made once."""
    if not subject.scans:
        species = list(dict.fromkeys(subject.species))
        groups: list[tuple[int, ...]] = [(one, other) for place, one in enumerate(species) for other in species[place:]]
        turned = species[1:] + species[:1]
        groups += [(one, two, one) for one, two in zip(species, turned, strict=True)]
        begin = time.monotonic()
        _energy(subject, subject.clusters[1])
        took = max(time.monotonic() - begin, 1e-9)
        share = float(np.clip(SECONDS / (took * ASKED * len(groups)), FEWEST, 1.0))
        subject.scans += [_scan(subject, np.array(numbers), share) for numbers in groups]
    return subject.scans


def _scan(subject: Subject, numbers: np.ndarray, share: float) -> Scan:
    """One scan, of a share of the distances."""
    symbols = [chemical_symbols[number] for number in numbers]
    fixed = np.zeros((len(numbers) - 1, 3))
    if len(numbers) == 3:
        fixed[0, 0] = -1.2 * covalent_radii[numbers[:2]].sum()
    cutoff = subject.source.cutoff or 0.0
    close = max(CLOSE, cutoff + 1.0)
    farthest = FARTHEST if box_of(subject.source) is None else FARTHEST_BOXED
    nearest = NEAREST * covalent_radii[numbers[-2:]].sum()
    distances = np.concatenate(
        [
            np.linspace(nearest, close, int(share * POINTS)),
            np.geomspace(close, max(farthest, 2 * close), int(share * BEYOND) + 1)[1:],
            [cutoff + GAP] if cutoff else [],
        ]
    )
    scan = Scan(f"{''.join(symbols[:-1])}|{symbols[-1]}", numbers, fixed, np.unique(distances), np.empty(0), share)
    scan.energies = scan.at(subject, scan.distances)
    return scan


def _end(subject: Subject, scan: Scan, tolerance: float) -> float | None:
    """The largest distance (Å) at which the energy is seen to change, 0 if it never does, None if that is not known."""
    changed = np.flatnonzero(scan.off(scan.energies) > tolerance)
    if not np.isfinite(scan.energies[-1]):
        return None
    if not len(changed):
        return 0.0
    low, high = scan.distances[changed[-1]], scan.distances[changed[-1] + 1]
    while high - low > RESOLVED:
        middle = (low + high) / 2
        if scan.off(scan.at(subject, np.array([middle])))[0] > tolerance:
            low = middle
        else:
            high = middle
    return float(low)


def _jumps(subject: Subject, scan: Scan, tolerance: float) -> list[tuple[float, float]]:
    """Distances (Å) at which the energy jumps, and by how much (eV).

    Intervals are quartered, going on with the quarter in which the energy changes unlike the slopes beside it. What of a change
    is due to a slope is quartered too, and what is due to a jump stays. Jumps of some meV can be missed where slopes hide them.
    """
    seen = np.isfinite(scan.energies)
    distances, energies = scan.distances[seen], scan.energies[seen]
    if len(distances) < 4:
        return []
    slopes = np.pad(np.diff(energies) / np.diff(distances), 1, mode="edge")
    chosen = _suspects(np.diff(distances), np.diff(energies), slopes, tolerance, max(1, int(scan.share * SUSPECTS)))
    ends, values = (np.stack([some[chosen], some[chosen + 1]]) for some in (distances, energies))
    beside, before, found = np.stack([slopes[chosen], slopes[chosen + 2]]), np.full(len(chosen), np.inf), []
    while ends.shape[1]:
        n, quarters = ends.shape[1], np.linspace(ends[0], ends[1], 5)
        inner = scan.at(subject, quarters[1:-1].ravel()).reshape(3, n)
        known, widths = np.vstack([values[:1], inner, values[1:]]), (ends[1] - ends[0]) / 4
        changes = np.diff(known, axis=0)
        slopes = np.vstack([beside[:1], changes / widths, beside[1:]])
        # of each quarter, what neither slope beside it accounts for
        strange = np.minimum(np.abs(changes - slopes[:-2] * widths), np.abs(changes - slopes[2:] * widths))
        row, column = np.where(np.isfinite(strange), strange, -1.0).argmax(axis=0), np.arange(n)
        strange = strange[row, column]
        ends, values = quarters[[row, row + 1], column], known[[row, row + 1], column]
        beside = slopes[[row, row + 2], column]
        ended, stays = widths <= NARROW, (strange > before / 2) & (strange > tolerance)
        found += list(zip(ends.mean(axis=0)[ended & stays].tolist(), strange[ended & stays].tolist(), strict=True))
        left = ~ended & (strange > tolerance / 2)
        ends, values, beside, before = ends[:, left], values[:, left], beside[:, left], strange[left]
    return found


def _suspects(widths: FloatArray, changes: FloatArray, slopes: FloatArray, tolerance: float, count: int) -> np.ndarray:
    """Intervals in which the energy changes unlike the slopes beside them, or whose slopes on either side are unlike each other.

    Those by most, and by most of what the slopes let expect; a jump and a bend where a potential ends can hide each other.
    """
    usual = np.maximum(np.abs(slopes[:-2]), np.abs(slopes[2:])) * widths + tolerance
    excess = np.abs(changes - (slopes[:-2] + slopes[2:]) / 2 * widths)
    bend = np.abs(slopes[:-2] - slopes[2:]) * widths
    most = [np.argsort(-by, kind="stable")[:count] for by in (excess, excess / usual, bend / usual)]
    chosen = np.unique(np.concatenate(most))
    return chosen[np.maximum(excess, bend)[chosen] > tolerance / 2]


def _tolerance(subject: Subject) -> float:
    seen = np.concatenate([scan.energies for scan in scans(subject)])
    return subject.tolerance(seen[np.isfinite(seen)] if np.isfinite(seen).any() else np.zeros(1))


def _energies(subject: Subject, systems: Sequence[System]) -> FloatArray:
    """Energies in eV, in batches where these were found to be right and pay off, NaN where the source fails."""
    source = subject.source
    if not subject.batches_agree or source.capabilities.serial:
        return np.array([_energy(subject, system) for system in systems])
    step = source.capabilities.batch_size or len(systems)
    found = np.full(len(systems), np.nan)
    for first in range(0, len(systems), step):
        some = dict(enumerate(systems[first : first + step]))
        members = np.tile(np.arange(len(systems[0])), (len(some), 1))
        try:
            found[first : first + step] = source.energies(ClusterBatch.cut(some, np.arange(len(some)), members))
        except FailedClusters as error:
            found[first : first + step] = error.energies
    return found


def _energy(subject: Subject, system: System) -> float:
    try:
        return float(subject.source.energies(alone(system))[0])
    except FailedClusters:
        return np.nan
