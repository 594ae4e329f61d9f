"""Variance shares: how many bodies at a time an energy depends on, found by replacing bodies and not by taking them away.

A many-body expansion in vacuum asks what the energy of fewer atoms is, which are other structures. Here the number of atoms
stays: bodies are drawn anew, one by one, all others left where they are (:mod:`bodyorder.subsets.variance`). Sub-clusters are
those of a structure that holds both draws of every body, one of the two each, so that whatever evaluates sub-clusters evaluates
these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from typing import Any

import ase
import numpy as np
import xarray as xr

from bodyorder._checks import ComputationError, InputError, check_between, check_switch
from bodyorder.engine.batching import make_tasks
from bodyorder.engine.pieces import Piece
from bodyorder.engine.progress import track
from bodyorder.engine.scheduling import evaluate
from bodyorder.engine.store import Store, opened
from bodyorder.results.variables import describe
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.registry import SourceLike, load_source
from bodyorder.structures import Bodies, System, read_structures
from bodyorder.structures.bodies import BodiesLike, divide
from bodyorder.structures.io import StructuresLike, structure_names
from bodyorder.subsets import Family
from bodyorder.subsets.variance import order_variances

#: Displacements (Å) from where every smooth energy is harmonic to where atoms trade places, and draws of each structure.
DISPLACEMENTS, DRAWS = (0.1, 0.2, 0.4), 8
#: Most bodies: each draw is 2**N energies.
MOST_BODIES = 14


def variance_shares(  # noqa: PLR0913 - every option has a default
    structures: StructuresLike,
    source: SourceLike,
    displacements: Sequence[float] = DISPLACEMENTS,
    *,
    draws: int = DRAWS,
    bodies: BodiesLike = "atoms",
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """The part of the variance of an energy that n bodies at a time explain, when bodies move independently of each other.

    Each body is displaced along x, y and z by normal deviates of a width; with the width ``inf`` it is drawn from another one of
    the structures, which must hold the same elements in the same order. The order that an energy has in this sense depends on how
    far bodies go: at small displacements every smooth energy is of low order.

    :param structures: free ones of up to 14 bodies, or a path
    :param source: energy source, ASE calculator, or the spec of a source (see :func:`bodyorder.load_source`)
    :param displacements: widths in Å, ascending; ``inf`` for positions of another structure
    :param draws: pairs of draws of every structure at every displacement, 2**N energies each
    :param bodies: what is displaced as one, as in :func:`bodyorder.decompose`
    :param seed: the same displacements come of it for whatever source
    :param store: file (or open :class:`Store`) of energies already computed; what is computed is added
    :param executor: anything with the ``concurrent.futures`` interface; None computes in this process
    :param progress: show a progress bar if the terminal can
    :return: ``order_variance`` W_n (eV²) by displacement, structure and order; of all structures together
        ``variance_share`` W_n / Σ W_m with ``variance_share_error``, and ``mean_order`` Σ n W_n / Σ W_n with
        ``mean_order_error``: 1σ, over structures where there are several, over draws where there is one (jackknife). Draws with
        an energy that failed are left out, and counted in ``n_failed_draws``; ``variance_failure`` says why. Shares of no
        variance are NaN.
    :raises InputError: if the input cannot work
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    engine = load_source(source)
    check_switch("progress", progress)
    count = check_between("draws", draws, 2, 10_000)
    check_between("seed", seed, 0, 2**63 - 1)
    widths = _widths(displacements)
    frames = read_structures(structures)
    _check_source(engine)
    partitions = divide(frames, bodies)
    if max(map(len, partitions)) > MOST_BODIES:
        raise InputError(
            f"variance shares need structures of at most {MOST_BODIES} bodies, of which each draw is {2**MOST_BODIES:,} "
            f"energies, got {max(map(len, partitions))}; take groups of atoms or molecules as `bodies`"
        )
    top = max(map(len, partitions))
    variances = np.zeros((len(widths), len(frames), count, top))
    failures = np.full((len(widths), len(frames)), "", dtype=object)
    with opened(store) as kept:
        for row, width in enumerate(widths):
            pieces = replaced(frames, partitions, float(width), count, [seed, row])
            energies = _energies(pieces, engine, kept, executor, progress)
            for place, (values, why) in enumerate(energies):
                index, draw = divmod(place, count)
                if why and not failures[row, index]:
                    failures[row, index] = why
                n_bodies = len(partitions[index])
                variances[row, index, draw, :n_bodies] = order_variances(values)
                variances[row, index, draw, n_bodies:] = 0.0 if not why else np.nan
    return _dataset(variances, failures, widths, frames, engine, (count, seed))


def _widths(given: Sequence[float]) -> np.ndarray:
    try:
        widths = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`displacements` must be numbers in Å, got {given!r}") from None
    if widths.ndim != 1 or not len(widths) or not (widths > 0.0).all() or (np.diff(widths) <= 0.0).any():
        raise InputError(f"`displacements` must be positive and ascending, such as 0.1, 0.2, inf, got {given!r}")
    return widths


def _check_source(source: EnergySource) -> None:
    if source.capabilities.counterpoise != "none":
        raise InputError(
            f"variance shares need a source without counterpoise correction, as no body is ever taken away, got {source.name}"
        )


def replaced(
    frames: Sequence[ase.Atoms], partitions: Sequence[Bodies], width: float, draws: int, seed: Sequence[int]
) -> list[Piece]:
    """Structures that hold two draws of every body, and all ways to take one of each: structure by structure, draw by draw.

    :param partitions: of the structures into bodies
    :param width: of the displacements in Å
    :param draws: of each structure
    """
    return [
        _drawn(frames, partitions, index, width, np.random.default_rng([*seed, index, draw]))
        for index in range(len(frames))
        for draw in range(draws)
    ]


def _drawn(
    frames: Sequence[ase.Atoms], partitions: Sequence[Bodies], index: int, width: float, rng: np.random.Generator
) -> Piece:
    """One structure with both draws of each of its bodies: bodies 2i and 2i + 1."""
    atoms, labels = frames[index], partitions[index].labels
    n_bodies = len(partitions[index])
    if np.isinf(width):
        places = [atoms.positions, frames[_another(frames, partitions, index, rng)].positions]
    else:
        places = [atoms.positions + width * rng.standard_normal((n_bodies, 3))[labels] for _ in range(2)]
    plain = System.from_atoms(atoms)
    system = System(
        np.tile(plain.numbers, 2), np.concatenate(places), np.tile(plain.charges, 2), np.tile(plain.moments, 2)
    )
    both = Bodies(np.concatenate([2 * labels, 2 * labels + 1]))
    return Piece(system, both, _one_of_each(n_bodies), whole=False)


def _another(frames: Sequence[ase.Atoms], partitions: Sequence[Bodies], index: int, rng: np.random.Generator) -> int:
    alike = [
        place
        for place, (atoms, bodies) in enumerate(zip(frames, partitions, strict=True))
        if place != index
        and np.array_equal(atoms.numbers, frames[index].numbers)
        and np.array_equal(bodies.labels, partitions[index].labels)
    ]
    if not alike:
        raise InputError(
            f"a displacement of inf needs structures with the same elements in the same order, structure {index} is alone; give "
            "more, or finite displacements"
        )
    return int(rng.choice(alike))


@lru_cache(maxsize=4)
def _one_of_each(n_bodies: int) -> Family:
    """All ways to take one of each pair of bodies; which one of pair i is bit i of the row."""
    second = np.arange(2**n_bodies)[:, None] >> np.arange(n_bodies) & 1
    smaller = tuple(np.empty((0, order), dtype=np.int32) for order in range(1, n_bodies))
    return Family(2 * n_bodies, (*smaller, (2 * np.arange(n_bodies) + second).astype(np.int32)), "sampled")


def _energies(
    pieces: list[Piece], source: EnergySource, store: Store | None, executor: Executor | None, progress: bool
) -> Iterator[tuple[np.ndarray, str]]:
    """Of each structure the energies of all sub-clusters in eV, shape (2**N,), and why some are missing."""
    found = [np.full(piece.family.sizes[-1], np.nan) for piece in pieces]
    reasons = [""] * len(pieces)
    total = sum(len(values) for values in found)
    outcomes = evaluate(make_tasks(pieces, source), source, store=store, executor=executor, count=total)
    for outcome in track(outcomes, total, f"replaced bodies by {source.name}", progress):
        parents = outcome.task.batch.parents
        for piece in np.unique(parents):
            rows = np.flatnonzero(parents == piece)
            found[piece][outcome.task.rows[rows]] = outcome.computed.energies[rows]
        for row, message in outcome.computed.messages.items():
            reasons[parents[row]] = reasons[parents[row]] or message
    for values, reason in zip(found, reasons, strict=True):
        yield values, reason or ("" if np.isfinite(values).all() else "an energy is missing")


def _dataset(
    variances: np.ndarray,
    failures: np.ndarray,
    widths: np.ndarray,
    frames: Sequence[ase.Atoms],
    source: EnergySource,
    drawn: tuple[int, int],
) -> xr.Dataset:
    """:param variances: shape (displacements, structures, draws, orders), NaN for draws that failed"""
    known = np.isfinite(variances).all(axis=3)
    if not known.any():
        raise ComputationError(f"every draw has an energy that failed: {next(filter(None, failures.ravel()))}")
    counts = known.sum(axis=2)
    sums = np.where(known[..., None], variances, 0.0).sum(axis=2)
    by_structure = np.divide(sums, counts[..., None], out=np.full(sums.shape, np.nan), where=counts[..., None] > 0)
    orders = np.arange(1, variances.shape[3] + 1)
    shares, spread, mean, mean_spread = [], [], [], []
    for own, there, draws in zip(by_structure, known, variances, strict=True):
        samples = own[np.isfinite(own).all(axis=1)] if len(frames) > 1 else draws[0][there[0]]
        share, error = _jackknifed(samples, lambda total: total / _positive(total.sum()))
        shares.append(share)
        spread.append(error)
        middle, error = _jackknifed(samples, lambda total: np.atleast_1d(orders @ total / _positive(total.sum())))
        mean.append(middle[0])
        mean_spread.append(error[0])
    return describe(
        xr.Dataset(
            {
                "order_variance": (("displacement", "structure", "order"), by_structure),
                "variance_share": (("displacement", "order"), np.array(shares)),
                "variance_share_error": (("displacement", "order"), np.array(spread)),
                "mean_order": ("displacement", np.array(mean)),
                "mean_order_error": ("displacement", np.array(mean_spread)),
                "n_failed_draws": (("displacement", "structure"), variances.shape[2] - counts),
                "variance_failure": (("displacement", "structure"), failures.astype(str)),
            },
            coords={"displacement": widths, "structure": structure_names(frames), "order": orders},
            attrs={
                "source": source.name,
                "fingerprint": source.fingerprint,
                "spin": source.capabilities.spin,
                "draws": drawn[0],
                "seed": drawn[1],
            },
        )
    )


def _positive(variance: float) -> float:
    """NaN for a variance that there is none of, as shares of it."""
    return variance if variance > 0.0 else np.nan


def _jackknifed(samples: np.ndarray, ratio: Any) -> tuple[np.ndarray, np.ndarray]:
    """A ratio of sums over samples, and its 1σ by leaving one sample out at a time; NaN of fewer than two."""
    if not len(samples):
        unknown = np.full(ratio(np.ones(samples.shape[1])).shape, np.nan)
        return unknown, unknown
    total = samples.sum(axis=0)
    found = ratio(total)
    if len(samples) < 2:
        return found, np.full(found.shape, np.nan)
    without = np.array([ratio(total - sample) for sample in samples])
    n = len(samples)
    return found, np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
