"""Decompose energies of structures into body orders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, cast

import ase
import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_positive, check_switch
from bodyorder.engine.assembly import assemble
from bodyorder.engine.batching import make_tasks
from bodyorder.engine.cache import RunCache
from bodyorder.engine.computation import Wanted
from bodyorder.engine.field import Field, check_field
from bodyorder.engine.jobs import Outcome
from bodyorder.engine.levels import Decomposed, LevelsLike, check_together, is_by_levels, read_levels, together
from bodyorder.engine.lone_atoms import LoneAtoms
from bodyorder.engine.noise import Measured, measure
from bodyorder.engine.pieces import Piece
from bodyorder.engine.progress import track
from bodyorder.engine.reach import try_boxes, try_cutoff
from bodyorder.engine.sampling import Sampling
from bodyorder.engine.scheduling import evaluate
from bodyorder.engine.selection import Selection
from bodyorder.engine.store import Store, opened
from bodyorder.engine.subset_energies import Evaluated, SampledEnergies, SubsetEnergies, empty
from bodyorder.sources.one_body import OneBodyLike
from bodyorder.sources.protocol import EnergySource, misstated
from bodyorder.sources.registry import SourceLike, load_source
from bodyorder.structures import read_structures
from bodyorder.structures.bodies import BodiesLike, divide
from bodyorder.structures.congruence import SHAPE_RESOLUTION
from bodyorder.structures.field import FieldLike
from bodyorder.structures.io import StructuresLike


def decompose(  # noqa: PLR0913 - the one call that a user makes; every option has a default
    structures: StructuresLike,
    source: SourceLike | LevelsLike,
    *,
    max_order: int | None = None,
    whole: bool = True,
    bodies: BodiesLike = "atoms",
    cutoff: float | None = None,
    field: FieldLike | None = None,
    sampling: Sampling | None = None,
    forces: bool = False,
    hessians: bool = False,
    atom_energies: bool = False,
    members: bool = False,
    subsets: bool = False,
    measure_noise: bool | None = None,
    one_body: OneBodyLike = "model",
    dissociation: bool | None = None,
    same_distance: float = SHAPE_RESOLUTION,
    store: Store | str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
    announce: Callable[[str], object] | None = None,
) -> xr.DataTree:
    """Resolve the energy of structures into one-body, two-body, … N-body contributions.

    E⁽ⁿ⁾ = Σ_{|S|=n} ε(S), ε(S) = Σ_{T⊆S} (−1)^{|S|−|T|} E(T), with E(T) the energy of the sub-cluster T alone in vacuum, or in
    a field of point charges that stand for the other bodies.

    :param structures: a structure, several, or a file of any usual format
    :param source: energy source, ASE calculator, or the spec of a source (see :func:`bodyorder.load_source`); or several by the
        orders that each serves, ``{1: …, "2-3": …, "rest": …}``: the first order by the first, orders 2 and 3 by the second,
        what is above by the last (:mod:`bodyorder.engine.levels`)
    :param max_order: largest order; all if None, or those that levels serve
    :param whole: ask for the energy of the whole structure too where sub-clusters up to ``max_order`` do not hold it, which may
        cost more than all of them. Without it ``total`` and ``residual`` are NaN there, and the attribute ``whole`` says why.
    :param bodies: ``"atoms"``, ``"molecules"``, ``"residues"``, ``"column:NAME"``, the body of each atom as integers, or a file
        that holds those (see :func:`~bodyorder.structures.find_bodies`)
    :param cutoff: distance in Å that limits which sub-clusters are evaluated. If the source is additive at this distance
        (its own cutoff is not larger), the sub-clusters connected by shorter distances are evaluated, and the result is exact.
        Otherwise only those whose bodies are all within it of each other are, and ``residual`` holds what was left out.
    :param field: point charges at the atoms of the bodies that a sub-cluster lacks, in elementary charges: by element,
        ``{"O": -0.834, "H": 0.417}``, ``"column:NAME"``, or an array of all atoms; or the kind of those that the source finds for
        each body in the field of the others, until they change no more: ``"mulliken"``, ``"chelpg"``. ``None`` is vacuum.
    :param sampling: estimate the order totals up to ``max_order`` from a sample of the sub-clusters; ``noise`` holds the error
    :param forces: resolve forces too
    :param hessians: resolve the second derivatives of free structures too: those of the source, or differences of its forces
    :param atom_energies: resolve the energies of atoms that the source itself gives: whose atom carries which order
    :param members: resolve each of the several energies that the source gives beside its energy: members of an ensemble,
        heads, or parts that add up to it
    :param subsets: keep energy and contribution of every sub-cluster
    :param measure_noise: measure the error of one energy on replicas (turned, shifted, permuted, and deformed a little) of some
        sub-clusters, instead of believing what the source claims; None does so for sources that round coarsely (single
        precision), and with few energies for sources that claim nothing. False leaves the noise of these unknown (NaN).
    :param one_body: whose energies lone atoms have: ``"model"``, those of the source; ``"dissociation"``, half of two alike far
        apart; or values in eV by element, ``{"H": -13.6}``, and by charge where there are any, ``{"Na+": …}``. All else
        stays as the source has it, and is stored as such.
    :param dissociation: whether to hold two atoms far apart against two lone ones, for every pair of elements that occurs: what
        they differ by shifts every order from 2 on. None does so unless the source estimates how long it takes.
    :param same_distance: Å by which the distances of two sub-clusters may differ that are evaluated once, by sources whose
        energies are invariant. The default changes no energy by 1e-9 eV; positions read from files with eight decimals need 1e-6,
        which changes energies by that times their slopes.
    :param store: file (or open :class:`Store`) of energies already computed; what is computed is added
    :param executor: anything with the ``concurrent.futures`` interface; None computes in this process
    :param progress: show a progress bar if the terminal can
    :param announce: is told what was read, in one line, before anything is computed; the attribute ``input`` holds it
    :return: a tree: at its root what there is by structure and order, below it ``sites`` (a row an atom), ``subsets`` (a row a
        sub-cluster, if wanted), ``cells`` (of periodic structures) and ``dissociation`` (a row a pair of elements); all
        variables are described in :data:`bodyorder.results.variables.VARIABLES`. What could not be computed is NaN, and
        ``failure`` says why.
    :raises InputError: if the input cannot work
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    options = _Options(
        bodies=bodies,
        cutoff=cutoff,
        field=field,
        sampling=sampling,
        forces=forces,
        hessians=hessians,
        atom_energies=atom_energies,
        members=members,
        subsets=subsets,
        measure_noise=measure_noise,
        one_body=one_body,
        dissociation=dissociation,
        same_distance=same_distance,
        executor=executor,
        progress=progress,
        announce=announce,
    )
    frames = read_structures(structures, periodic=True)
    if not is_by_levels(source):
        engine = _checked_source(cast(SourceLike, source))
        options.check()
        with opened(store) as kept:
            return _decomposed(frames, engine, (max_order, whole), options, kept).result
    levels = read_levels(cast(Mapping[Any, Any], source))
    engines = [_checked_source(given) for given in levels.sources]
    options.check()
    switches = ("atom_energies", "members", "subsets", "dissociation")
    check_together(
        frames,
        field,
        **{name: bool(getattr(options, name)) for name in switches},
        sampling=sampling is not None,
        one_body=not isinstance(one_body, str) or one_body != "model",
    )
    n_bodies = max(len(partition) for partition in divide(frames, bodies))
    shared = levels.up_to(max_order, n_bodies, engines, whole=whole)
    said = replace(options, dissociation=False, announce=None if announce is None else _once(announce))
    with opened(store) as kept:
        parts = [_decomposed(frames, one.source, (one.max_order, one.whole), said, kept) for one in shared.runs]
        return together(shared, parts)


@dataclass(frozen=True)
class _Options:
    """What :func:`decompose` is asked for, whatever the source."""

    bodies: BodiesLike
    cutoff: float | None
    field: FieldLike | None
    sampling: Sampling | None
    forces: bool
    hessians: bool
    atom_energies: bool
    members: bool
    subsets: bool
    measure_noise: bool | None
    one_body: OneBodyLike
    dissociation: bool | None
    same_distance: float
    executor: Executor | None
    progress: bool
    announce: Callable[[str], object] | None

    def check(self) -> None:
        """Check what no source is needed for.

        :raises InputError: if an option is none
        """
        names = ("forces", "hessians", "atom_energies", "members", "subsets")
        optional = [name for name in ("measure_noise", "dissociation") if getattr(self, name) is not None]
        for name in (*names, *optional):
            check_switch(name, getattr(self, name))
        check_positive("same_distance", self.same_distance)
        if self.sampling is not None and not isinstance(self.sampling, Sampling):
            raise InputError(f"`sampling` must be a Sampling, such as Sampling(1000), got {self.sampling!r}")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise InputError(
                f"`executor` must have the interface of concurrent.futures, got {self.executor!r}; "
                "bodyorder.engine.executors opens one"
            )


def _checked_source(source: SourceLike) -> EnergySource:
    engine = load_source(source)
    if wrong := misstated(engine):
        raise InputError(f"a source must mean what it says of itself: {'; '.join(wrong)}")
    return engine


def _once(announce: Callable[[str], object]) -> Callable[[str], None]:
    """What tells a line that was not told before."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            announce(line)
        told.add(line)

    return tell


def _decomposed(
    frames: Sequence[ase.Atoms],
    engine: EnergySource,
    orders: tuple[int | None, bool],
    asked: _Options,
    opened_store: Store | None,
) -> Decomposed:
    """The result by one source.

    :param orders: the largest one, and whether the whole is asked for beyond it
    """
    _check_asked(
        engine,
        forces=asked.forces,
        hessians=asked.hessians,
        atom_energies=asked.atom_energies,
        members=asked.members,
    )
    if asked.field is not None:
        needs_vacuum = {
            "forces": asked.forces,
            "hessians": asked.hessians,
            "measure_noise": asked.measure_noise,
            "dissociation": asked.dissociation,
        }
        check_field(engine, frames, one_body=asked.one_body != "model", **needs_vacuum)
    n_members = len(engine.capabilities.members) if asked.members else 0
    wanted = Wanted(asked.forces, asked.atom_energies, n_members, asked.hessians)
    sampling, executor = asked.sampling, asked.executor
    max_order, whole = orders
    selection = Selection(max_order, asked.bodies, asked.cutoff, sampling, kept=asked.subsets, whole=whole)
    pieces = selection.pieces(frames, engine)
    if asked.hessians and any(piece.cell is not None for piece in pieces):
        raise InputError("`hessians` need free structures, and some are periodic; drop the cell (boundaries='free')")
    surrounding = Field.find(asked.field, frames, pieces, engine)
    pieces = surrounding.on(pieces)
    said = selection.inventory(frames, pieces, engine)
    if asked.announce is not None:
        asked.announce(said)
    lone = LoneAtoms(pieces, engine, asked.one_body, opened_store, executor)
    engine = lone.source
    across = try_boxes(pieces, engine)
    try_cutoff(pieces, engine)
    measures = _measures(asked.measure_noise, engine)
    known = measure(pieces, engine, executor, asked=bool(asked.measure_noise)) if measures else Measured()
    # the rounds of a sample find in memory what the ones before computed
    kept = RunCache() if opened_store is None and sampling is not None else opened_store
    run = _Run(Evaluated(engine, wanted, known), kept, executor, asked.progress, asked.same_distance)
    by_structure = run.energies(pieces)
    if sampling is not None:
        by_structure = _sampled_on(
            sampling, run, by_structure, lambda draws: surrounding.on(selection.pieces(frames, engine, draws))
        )
    missed = lone.missed(by_structure, known, False if surrounding else asked.dissociation)
    for own in by_structure:
        own.take_cell()
    if not surrounding:
        lone.advise(by_structure)
    result = assemble(frames, run.evaluated, selection, by_structure, subsets=asked.subsets, field=surrounding.label)
    result.attrs["input"] = said
    lone.keep(result, missed)
    if across:
        result.attrs["boxes"] = across
    return Decomposed(result, by_structure)


def _sampled_on(
    sampling: Sampling, run: _Run, by_structure: list[SubsetEnergies], pieces: Callable[[list[list[int]]], list[Piece]]
) -> list[SubsetEnergies]:
    """Samples large enough for the error that is asked for.

    :param run: how sub-clusters are evaluated
    :param by_structure: of the first round
    :param pieces: the structures with so many draws of each order
    """
    while True:
        drawn = [
            (found.sample, found.sampling_errors()) for found in by_structure if isinstance(found, SampledEnergies)
        ]
        wanted = [sampling.more(*found) for found in drawn]
        if wanted == [list(sample.draws) for sample, _ in drawn]:
            break
        before, by_structure = by_structure, run.energies(pieces(wanted))
        for old, new in zip(before, by_structure, strict=True):
            new.n_evaluations += old.n_evaluations
    for own, found in zip(by_structure, drawn, strict=True):
        own.shortfalls += sampling.shortfalls(*found)
    return by_structure


@dataclass(frozen=True)
class _Run:
    """How sub-clusters are evaluated: what is asked of which source, store, executor, progress bar."""

    evaluated: Evaluated
    store: Store | RunCache | None
    executor: Executor | None
    progress: bool
    same_distance: float

    def energies(self, pieces: Sequence[Piece]) -> list[SubsetEnergies]:
        """All energies of all structures."""
        source = self.evaluated.source
        by_structure = [empty(piece, self.evaluated) for piece in pieces]
        total = sum(piece.n_clusters for piece in pieces)
        outcomes = evaluate(
            make_tasks(pieces, source),
            source,
            wanted=self.evaluated.wanted,
            store=self.store,
            executor=self.executor,
            same_distance=self.same_distance,
            count=total,
        )
        for outcome in track(outcomes, total, f"sub-clusters by {source.name}", self.progress):
            for structure, rows in _by_structure(outcome):
                by_structure[structure].fill(outcome, rows)
        return by_structure


def _check_asked(source: EnergySource, **asked: bool) -> None:
    """Check that a source gives what is asked of it beside energies."""
    can = source.capabilities
    alone = [name for name in ("hessians", "members", "atom_energies") if asked[name]]
    if len(alone) > 1:
        raise InputError(f"`{alone[0]}` and `{alone[1]}` must be asked for one at a time, got both; run twice")
    for name, is_wanted in asked.items():
        # of sources with forces that are gradients second derivatives are differences
        differs = name == "hessians" and can.forces and can.force_kind == "gradient"
        is_claimed = bool(getattr(can, name)) or differs
        if is_wanted and can.counterpoise != "none":
            raise InputError(f"`{name}` need a source without counterpoise correction, got {source.name}")
        if is_wanted and not is_claimed:
            raise InputError(
                f"`{name}` need a source that gives them, {source.name} gives energies only{can.why_not(name)}"
            )


def _measures(wanted: bool | None, source: EnergySource) -> bool:
    """Whether the noise of energies is measured: where it is wanted, or nothing is said and claims are not to be relied on."""
    if wanted and source.capabilities.counterpoise != "none":
        raise InputError(f"`measure_noise` needs a source without counterpoise correction, got {source.name}")
    can = source.capabilities
    unproven = (can.single_precision or can.unproven_precision) and can.counterpoise == "none"
    return unproven if wanted is None else wanted


def _by_structure(outcome: Outcome) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a batch, structure by structure."""
    parents = outcome.task.batch.parents
    order = np.argsort(parents, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(parents[order])) + 1):
        yield int(parents[rows[0]]), rows
