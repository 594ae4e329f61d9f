"""Whether a cutoff that somebody claims is one: sub-clusters of the structures at hand, two by two, just beyond it.

Expansions of connected sub-clusters leave out what is farther apart than the cutoff. Where that is known (analytic energies) or
measured (networks) nothing is lost; where it is the word of a user, a wrong one would go unnoticed, since no sub-cluster that is
evaluated holds parts farther apart.
"""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
from scipy.spatial.transform import Rotation

from bodyorder._checks import InputError
from bodyorder.sources.protocol import EnergySource, FailedClusters
from bodyorder.sources.rounding import SIGMAS, last_digits, tolerance
from bodyorder.sources.spacing import GAP, at_distance
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray, System

#: What a part may change by when it is moved, as a fraction of what a pair may be off: rounding that the source does not claim.
ROUNDING = 10
#: Where energies are seen to be float32 numbers: pairs over which their change is averaged, how much farther apart (Å) they are
#: put to be compared with, and by how much (Å) their atoms are moved, so that no two of them round alike.
N_PAIRS, FARTHER, MOVED = 24, 50.0, 0.05
#: What is said besides where one part is a lone atom and the energy differs far away, too.
LONE = (
    ", or choose the energy of lone atoms by one_body=dissociation where theirs is another than that of atoms far apart"
)


def check_cutoff(
    source: EnergySource,
    batch: ClusterBatch,
    apart: float = 0.0,
    beside: ClusterBatch | None = None,
    ways: FloatArray | None = None,
) -> None:
    """Try out the cutoff of a source: energies of parts that are farther apart must add up.

    Each sub-cluster is put beside another one, their nearest atoms 0.01 Å beyond the cutoff, or as far apart as is said: E(A ∪ B)
    = E(A) + E(B) within the precision that the source claims (:func:`~bodyorder.sources.rounding.tolerance`), or within what
    it is seen to round by where it claims less: ten times what moving a part does, and where energies are float32 numbers one
    digit for each atom. Energies of thousands of eV hide a good deal behind that. There more pairs are put just as far apart
    and once more 50 Å farther, which rounds the same constants, and their energies must be the same on average. Charged sub-
    clusters are left out where the source takes none, and so is what fails.

    :param source: nothing is looked at if it has no cutoff
    :param batch: a few sub-clusters of the structure that is resolved, of some atoms each, shape (n, k)
    :param apart: in Å, what parts of the structure are all farther apart than
    :param beside: what is put beside each of them, shape (n, m); the next one if not given, a single one beside itself
    :param ways: direction in which it is put, shape (n, 3); a random one where that is zero, or none is given
    :raises InputError: if energies do not add up
    """
    beside = batch.select(np.roll(np.arange(len(batch)), -1)) if beside is None else beside
    ways = np.zeros((len(batch), 3)) if ways is None else ways
    if not source.capabilities.charged:
        neutral = np.flatnonzero((batch.charges == 0) & (beside.charges == 0))
        batch, beside, ways = batch.select(neutral), beside.select(neutral), ways[neutral]
    if source.cutoff is None or not len(batch):
        return
    distance, k, n = max(source.cutoff + GAP, apart), batch.n_atoms, batch.n_atoms + beside.n_atoms
    anywhere = np.random.default_rng(0).normal(size=(len(batch), 3))
    ways = np.where((np.abs(ways) > 0).any(axis=1, keepdims=True), ways, anywhere)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    parts, others = _about_origin(batch), _about_origin(beside)
    pairs = [at_distance(one, other, way, distance) for one, other, way in zip(parts, others, ways, strict=True)]
    alone, both, moved = (
        _energies(source, parts, 0, k),
        _energies(source, pairs, 0, n),
        _energies(source, pairs, k, n),
    )
    after = _energies(source, others, 0, n - k)
    misfits, rounding = np.abs(both - alone - after), np.abs(moved - after)
    seen = np.isfinite(misfits)
    if not seen.any():
        return
    size = np.abs(np.concatenate([both[seen], alone[seen], after[seen]])).max()
    allowed = max(
        tolerance(source.precision, size), ROUNDING * np.max(rounding, where=np.isfinite(rounding), initial=0.0)
    )
    worst = int(np.nanargmax(misfits))
    misfit, over = misfits[worst], "from that of both alone"
    what = (
        f"two sub-clusters {distance:g} Å apart, {formula(parts[worst].numbers)} and {formula(others[worst].numbers)},"
    )
    digits = float(last_digits(both).max())
    if digits:
        allowed = max(allowed, n * digits)
        if misfit <= allowed and n > 2:
            misfit, error = _mean_change(source, list(zip(parts, others, strict=True)), distance, digits)
            allowed = max(tolerance(source.precision, size), SIGMAS / np.sqrt(2) * error)
            what, over = (
                f"sub-clusters {distance:g} Å apart",
                f"on average from that of both {FARTHER:g} Å farther apart",
            )
    if misfit > allowed:
        far = at_distance(parts[worst], others[worst], ways[worst], distance + FARTHER)
        left = abs(_energies(source, [far], 0, n)[0] - alone[worst] - after[worst])
        is_of_atom = 1 in (k, n - k) and left > allowed
        raise InputError(
            f"the cutoff of {source.name} must be the distance beyond which parts do not feel each other at all, and "
            f"{source.cutoff:g} Å is not: of {what} the energy differs by {misfit:.1e} eV {over}; give a larger one, or leave it "
            f"out{LONE if is_of_atom else ''}"
        )


def formula(numbers: IntArray) -> str:
    """Chemical formula of some atoms, such as H2O."""
    return ase.Atoms(numbers=numbers).get_chemical_formula()


def _mean_change(
    source: EnergySource, pairs: list[tuple[System, System]], distance: float, digits: float
) -> tuple[float, float]:
    """By how much (eV) energies of pairs change on average when they are put farther apart, and the error of that mean.

    Parts are deformed a little and turned at random. Rounding to ``digits`` (eV) moves a difference by digits/√6 if it does not
    move it by more.
    """
    rng = np.random.default_rng(1)
    near, far = [], []
    for _ in range(N_PAIRS):
        one, other = (_changed(part, rng) for part in pairs[int(rng.integers(len(pairs)))])
        way = Rotation.random(random_state=rng).as_matrix()[0]
        near.append(at_distance(one, other, way, distance))
        far.append(at_distance(one, other, way, distance + FARTHER))
    n = len(near[0])
    changes = _energies(source, near, 0, n) - _energies(source, far, 0, n)
    changes = changes[np.isfinite(changes)]
    if len(changes) < 2:
        return 0.0, digits
    return abs(float(changes.mean())), float(np.sqrt(max(changes.var(ddof=1), digits**2 / 6) / len(changes)))


def _changed(part: System, rng: np.random.Generator) -> System:
    moved = part.positions + rng.normal(scale=MOVED, size=part.positions.shape)
    return replace(part, positions=moved @ Rotation.random(random_state=rng).as_matrix())


def _about_origin(batch: ClusterBatch) -> list[System]:
    """Every sub-cluster as a structure of its own about the origin, where any two of them meet whatever the direction."""
    return batch.systems_at(batch.positions - batch.positions.mean(axis=1, keepdims=True))


def _energies(source: EnergySource, systems: list[System], first: int, end: int) -> FloatArray:
    """Energies in eV of these atoms of each structure, NaN where they fail."""
    members = np.tile(np.arange(first, end), (len(systems), 1))
    batch = ClusterBatch.cut(dict(enumerate(systems)), np.arange(len(systems)), members)
    try:
        return source.energies(batch)
    except FailedClusters as error:
        return error.energies
