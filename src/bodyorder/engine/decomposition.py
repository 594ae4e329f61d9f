"""Decompose energies of structures into body orders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.engine.assembly import assemble
from bodyorder.engine.batching import make_tasks
from bodyorder.engine.computation import Wanted
from bodyorder.engine.evaluation import evaluate
from bodyorder.engine.jobs import Outcome
from bodyorder.engine.lattice import Lattice, SampledLattice
from bodyorder.engine.pieces import Piece
from bodyorder.engine.progress import track
from bodyorder.engine.sampling import Sampling
from bodyorder.engine.selection import Selection
from bodyorder.engine.store import Store, opened
from bodyorder.sources.base import EnergySource, SourceLike, load_source
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
    sampling: Sampling | None = None,
    forces: bool = False,
    atom_energies: bool = False,
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
    :param sampling: estimate the order totals up to ``max_order`` from a sample of the sub-clusters; ``noise`` holds the error
    :param forces: resolve forces too
    :param atom_energies: resolve the energies of atoms that the source itself gives: whose atom carries which order
    :param subsets: keep energy and contribution of every sub-cluster
    :param store: file (or open :class:`Store`) of energies already computed; what is computed is added
    :param executor: anything with the ``concurrent.futures`` interface; None computes in this process
    :param progress: show a progress bar if the terminal can
    :return: the dataset described in :data:`bodyorder.engine.variables.VARIABLES`. What could not be computed is NaN, and
        ``failure`` says why.
    :raises InputError: if the input cannot work
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    frames = read_structures(structures, periodic=True)
    engine = load_source(source)
    if forces and getattr(engine, "counterpoise", "none") != "none":
        raise InputError(f"`forces` need a source without counterpoise correction, got {engine.name}")
    if forces and not hasattr(engine, "energies_and_forces"):
        advice = getattr(engine, "forces_advice", "")
        raise InputError(f"`forces` need a source that gives them, {engine.name} gives energies only{advice}")
    if atom_energies and not hasattr(engine, "evaluate_atoms"):
        raise InputError(
            f"`atom_energies` need a source that gives energies of atoms, {engine.name} does not; leave them out"
        )
    if atom_energies and getattr(engine, "counterpoise", "none") != "none":
        raise InputError(f"`atom_energies` need a source without counterpoise correction, got {engine.name}")
    selection = Selection(max_order, bodies, cutoff, sampling, kept=subsets)
    # the rounds of a sample find here what the ones before computed
    shelf_of = ":memory:" if store is None and sampling is not None else store
    with opened(shelf_of) as shelf:
        evaluation = _Evaluation(engine, Wanted(forces, atom_energies), shelf, executor, progress)
        pieces = selection.pieces(frames, engine)
        lattices = evaluation.lattices(pieces)
        while sampling is not None:
            draws = [_draws(lattice.piece) for lattice in lattices]
            wanted = [
                sampling.more(drawn, lattice.sampling_errors(), lattice.piece.n_bodies)
                for drawn, lattice in zip(draws, lattices, strict=True)
                if isinstance(lattice, SampledLattice)
            ]
            if wanted == draws:
                break
            lattices = evaluation.lattices(selection.pieces(frames, engine, wanted))
    return assemble(frames, engine, selection, lattices, subsets=subsets)


@dataclass(frozen=True)
class _Evaluation:
    """How sub-clusters are evaluated: source, what is asked of it, store, executor, progress bar."""

    source: EnergySource
    wanted: Wanted
    store: Store | None
    executor: Executor | None
    progress: bool

    def lattices(self, pieces: Sequence[Piece]) -> list[Lattice]:
        """All energies of all structures."""
        lattices = [Lattice.empty(piece, self.source, self.wanted) for piece in pieces]
        outcomes = evaluate(
            make_tasks(pieces, self.source),
            self.source,
            wanted=self.wanted,
            store=self.store,
            executor=self.executor,
        )
        total = sum(piece.n_clusters for piece in pieces)
        for outcome in track(outcomes, total, f"sub-clusters by {self.source.name}", self.progress):
            for structure, rows in _by_structure(outcome):
                lattices[structure].fill(outcome, rows)
        for lattice in lattices:
            if lattice.piece.cell is not None and hasattr(self.source, "cell_energy"):
                lattice.whole = self.source.cell_energy(lattice.piece.cell.crystal.atoms)
        return lattices


def _draws(piece: Piece) -> list[int]:
    assert piece.sample is not None
    return [int(counts.sum()) for counts in piece.sample.counts]


def _by_structure(outcome: Outcome) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a batch, structure by structure."""
    parents = outcome.task.batch.parents
    order = np.argsort(parents, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(parents[order])) + 1):
        yield int(parents[rows[0]]), rows
