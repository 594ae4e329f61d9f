"""Decompose energies of structures into body orders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.engine.assembly import assemble
from bodyorder.engine.batching import DEFAULT_BATCH_SIZE, make_tasks
from bodyorder.engine.evaluation import Outcome, evaluate
from bodyorder.engine.lattice import Lattice
from bodyorder.engine.progress import track
from bodyorder.engine.selection import Selection
from bodyorder.engine.store import Store, opened
from bodyorder.sources.base import SourceLike, load_source
from bodyorder.structures import read_structures
from bodyorder.structures.bodies import BodiesLike
from bodyorder.structures.io import StructuresLike


def decompose(  # noqa: PLR0913 - the one call that a user makes; every option has a default
    structures: StructuresLike,
    source: SourceLike,
    *,
    max_order: int | None = None,
    bodies: BodiesLike = "atoms",
    cutoff: float | None = None,
    forces: bool = False,
    subsets: bool = False,
    store: Store | str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Resolve the energy of structures into one-body, two-body, … N-body contributions.

    E⁽ⁿ⁾ = Σ_{|S|=n} ε(S), ε(S) = Σ_{T⊆S} (−1)^{|S|−|T|} E(T), with E(T) the energy of the sub-cluster T alone in vacuum.

    :param structures: a structure, several, or a file that ASE reads
    :param source: energy source, ASE calculator, or the spec of a source (see :func:`bodyorder.load_source`)
    :param max_order: largest order; all if None
    :param bodies: ``"atoms"``, ``"molecules"``, the body of each atom as integers, or a file that holds those
    :param cutoff: distance in Å that limits which sub-clusters are evaluated. If the source is additive at this distance
        (its own cutoff is not larger), the sub-clusters connected by shorter distances are evaluated, and the result is exact.
        Otherwise only those whose bodies are all within it of each other are, and ``residual`` holds what was left out.
    :param forces: resolve forces too
    :param subsets: keep energy and contribution of every sub-cluster
    :param store: file (or open :class:`Store`) of energies already computed; what is computed is added
    :param executor: anything with the ``concurrent.futures`` interface; None computes in this process
    :param progress: show a progress bar if the terminal can
    :return: the dataset described in :data:`bodyorder.engine.results.VARIABLES`. What could not be computed is NaN, and
        ``failure`` says why.
    :raises InputError: if the input cannot work
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    frames = read_structures(structures)
    engine = load_source(source)
    if forces and not hasattr(engine, "energies_and_forces"):
        raise InputError(f"`forces` need a source that gives them, {engine.name} gives energies only")
    if forces and getattr(engine, "counterpoise", "none") != "none":
        raise InputError(f"`forces` need a source without counterpoise correction, got {engine.name}")
    selection = Selection(max_order, bodies, cutoff)
    pieces = selection.pieces(frames, engine)
    lattices = [Lattice.empty(piece, engine, forces) for piece in pieces]
    with opened(store) as shelf:
        outcomes = evaluate(
            make_tasks(pieces, getattr(engine, "batch_size", DEFAULT_BATCH_SIZE)),
            engine,
            forces=forces,
            store=shelf,
            executor=executor,
        )
        total = sum(piece.n_clusters for piece in pieces)
        for outcome in track(outcomes, total, f"sub-clusters by {engine.name}", progress):
            for structure, rows in _by_structure(outcome):
                lattices[structure].fill(outcome, rows)
    return assemble(frames, engine, selection, lattices, subsets=subsets)


def _by_structure(outcome: Outcome) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a batch, structure by structure."""
    parents = outcome.task.batch.parents
    order = np.argsort(parents, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(parents[order])) + 1):
        yield int(parents[rows[0]]), rows
