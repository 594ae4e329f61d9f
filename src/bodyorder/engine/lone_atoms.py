"""Lone atoms of structures: whose energies they have, and what they miss of two atoms far apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import combinations

import numpy as np
import xarray as xr

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.engine.batching import Task
from bodyorder.engine.computation import Wanted
from bodyorder.engine.noise import Measured, variance
from bodyorder.engine.pieces import Piece
from bodyorder.engine.scheduling import evaluate
from bodyorder.engine.store import Store
from bodyorder.engine.subset_energies import SubsetEnergies
from bodyorder.results.variables import describe
from bodyorder.sources.dissociation import FarPair, Pair, far_pairs, halves
from bodyorder.sources.one_body import OneBodyLike, OneBodySource, check_one_body, kinds_of
from bodyorder.sources.protocol import EnergySource, Evaluation
from bodyorder.structures import ClusterBatch
from bodyorder.structures.kinds import AtomKind, pair_label

#: What is said where lone atoms have no energy.
ADVICE = (
    "lone atoms can have another energy: one_body=dissociation (half of two far apart), or values by element (H=-13.6)"
)


class LoneAtoms:
    """The lone atoms of a run.

    :param pieces: the structures; their lone atoms are the bodies of one atom
    :param source: where energies come from
    :param one_body: whose energies lone atoms have (:data:`~bodyorder.sources.one_body.OneBodyLike`)
    :param store: of energies already computed
    :param executor: where energies are computed; None for this process
    :raises InputError: if ``one_body`` cannot be, or lacks a kind of atom that occurs
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        source: EnergySource,
        one_body: OneBodyLike,
        store: Store | None,
        executor: Executor | None,
    ):
        self.choice, values = check_one_body(one_body)
        self._own, self._store, self._executor = source, store, executor
        self._far: dict[Pair, FarPair] = {}
        if self.choice != "model" and source.capabilities.counterpoise != "none":
            raise InputError(f"`one_body` must be model with counterpoise correction, which {source.name} makes")
        #: Where energies come from, those of lone atoms as they were chosen.
        self.source = source
        if self.choice != "model":
            there = _Lone(pieces, by_moment=self.choice != "values" and "moments" in source.capabilities.context)
            if self.choice == "values":
                there.check_known(values)
                self.source = OneBodySource(source, self.choice, values)
            else:
                self._look([(kind, kind) for kind in there.kinds])
                self.source = halves(source, self._far)

    def advise(self, by_structure: Iterable[SubsetEnergies]) -> None:
        """Say what to do about lone atoms that the source has no energy for."""
        if self.choice == "model" and self._own.capabilities.counterpoise == "none":
            for own in by_structure:
                if own.counts["n_failed"][1] and own.energies and _knows_larger(own):
                    rows = _lone_atoms(own.piece)[0]
                    own.shortfalls += [ADVICE] * bool(np.isnan(own.energies[0][rows]).any())

    def missed(self, by_structure: Sequence[SubsetEnergies], known: Measured, wanted: bool | None) -> xr.Dataset | None:
        """What two lone atoms miss of two far apart, for all pairs of kinds that occur in a structure.

        :param by_structure: energies of the run
        :param known: what was measured of the error of one energy
        :param wanted: whether to look; None for sources that do not estimate how long they take
        :return: a table along ``pair``; None where there are none, or it is not looked
        """
        can = self._own.capabilities
        if wanted is False or (wanted is None and can.seconds) or can.counterpoise != "none":
            return None
        larger = [own for own in by_structure if own.piece.family.max_order > 1 and _knows_larger(own)]
        there = _Lone([own.piece for own in larger], by_moment="moments" in can.context)
        pairs = there.pairs() if larger else []
        if not pairs:
            return None
        try:
            self._look(pairs)
        except (ComputationError, InputError) as error:  # what the run has computed is worth more than this table
            lost = FarPair(np.nan, np.nan, np.nan, f"two atoms far apart: {first_line(error)}")
            self._far = dict.fromkeys(pairs, lost) | self._far
        alone = there.energies(larger)
        far = {pair: self._far[pair] for pair in pairs}
        energies = np.array([[far[pair].energy, *(alone.get(kind, np.nan) for kind in pair)] for pair in pairs])
        none = np.zeros(1)
        squares = variance(self._own, energies[:, :1], none, none, known.of(2)).sum(axis=1)
        squares += variance(self._own, energies[:, 1:], none, none, known.of(1)).sum(axis=1)
        changes = np.array([far[pair].change for pair in pairs])
        is_far = np.array([not far[pair].message for pair in pairs])
        offsets = np.where(is_far, energies[:, 0] - energies[:, 1:].sum(axis=1), np.nan)
        table = xr.Dataset(
            {
                "dissociated_distance": ("pair", [far[pair].distance for pair in pairs]),
                "dissociated_energy": ("pair", energies[:, 0]),
                "dissociation_offset": ("pair", offsets),
                "dissociation_noise": ("pair", np.where(is_far, np.sqrt(squares + changes**2), np.nan)),
                "dissociation_failure": ("pair", [_failure(far[pair], pair, alone) for pair in pairs]),
            },
            coords={"pair": [pair_label(pair) for pair in pairs]},
        )
        return describe(table.sortby("pair"))

    def keep(self, result: xr.DataTree, missed: xr.Dataset | None) -> None:
        """Write into a result what its lone atoms are."""
        result.attrs["one_body"] = self.choice
        if isinstance(self.source, OneBodySource):
            values = {str(kind): energy for kind, energy in self.source.values.items()}
            result.attrs["one_body_values"] = json.dumps(values, sort_keys=True)
        if missed is not None:
            result["dissociation"] = xr.DataTree(missed)

    def _look(self, pairs: Iterable[Pair]) -> None:
        """Have the energies of pairs far apart, each once, from the store if it has them."""
        self._far |= far_pairs([pair for pair in pairs if pair not in self._far], self._own, self._ask)

    def _ask(self, batch: ClusterBatch) -> Evaluation:
        n, most = len(batch), self._own.capabilities.batch_size or len(batch)
        parts = np.split(np.arange(n), range(most, n, most))
        tasks = [
            Task(
                batch.select(rows),
                np.full(len(rows), 2),
                rows,
                np.full(len(rows), 2),
                np.empty((len(rows), 0), dtype=np.int32),
            )
            for rows in parts
        ]
        found = Evaluation.unknown(n)
        outcomes = evaluate(tasks, self._own, wanted=Wanted(), store=self._store, executor=self._executor)
        for rows, outcome in zip(parts, outcomes, strict=True):
            found.take(rows, Evaluation(outcome.computed.energies, messages=outcome.computed.messages))
        return found


class _Lone:
    """The sub-clusters of some structures that are single atoms.

    :param pieces: the structures
    :param by_moment: whether moments tell kinds apart
    """

    def __init__(self, pieces: Sequence[Piece], *, by_moment: bool):
        self._pieces = pieces
        lone = [_lone_atoms(piece) for piece in pieces]
        self._rows, atoms = [rows for rows, _ in lone], [own for _, own in lone]
        self._owners = np.repeat(np.arange(len(pieces)), [len(own) for own in atoms])
        columns = [
            np.concatenate([_NONE, *(getattr(p.system, name)[own] for p, own in zip(pieces, atoms, strict=True))])
            for name in ("numbers", "charges", "moments")[: 2 + by_moment]
        ]
        #: The kinds that there are, and which of them each atom is, structure by structure.
        self.kinds, self._which = kinds_of(columns[0], columns[1], columns[2] if by_moment else None)

    def check_known(self, values: Mapping[AtomKind, float]) -> None:
        """Check that all kinds have an energy.

        :raises InputError: if one has not
        """
        for place, kind in enumerate(self.kinds):
            if kind not in values:
                first = self._owners[self._which == place][0]
                raise InputError(
                    f"`one_body` must give the energy of every lone atom, and lacks {kind} of structure {first}; it has "
                    f"{', '.join(map(str, values))}"
                )

    def pairs(self) -> list[Pair]:
        """Pairs of kinds that occur in a structure; in a crystal an atom meets its images."""
        found: dict[Pair, None] = {}
        shape = (len(self._pieces), len(self.kinds))
        counts = np.bincount(self._owners * shape[1] + self._which, minlength=shape[0] * shape[1]).reshape(shape)
        counts[[piece.cell is not None for piece in self._pieces]] *= 2
        for own in np.unique(np.minimum(counts, 2), axis=0):
            there = np.flatnonzero(own).tolist()
            alike = [(kind, kind) for kind in there if own[kind] > 1]
            found |= dict.fromkeys(
                (self.kinds[one], self.kinds[other]) for one, other in [*alike, *combinations(there, 2)]
            )
        return list(found)

    def energies(self, by_structure: Sequence[SubsetEnergies]) -> dict[AtomKind, float]:
        """The energy of a lone atom of each kind in eV, as the run has it; NaN where all failed.

        :param by_structure: of the same structures
        """
        held = (own.energies[0][rows] for own, rows in zip(by_structure, self._rows, strict=True) if len(rows))
        energies = np.concatenate([_NONE, *held])
        order = np.argsort(np.isnan(energies), kind="stable")  # those that are known come first
        kinds, first = np.unique(self._which[order], return_index=True)
        return {self.kinds[kind]: float(energies[order[row]]) for kind, row in zip(kinds, first, strict=True)}


#: No atoms.
_NONE = np.empty(0, dtype=np.int64)


def _lone_atoms(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the sub-clusters of one body that are single atoms, and their atoms in the system of the piece."""
    if not piece.family.members:
        return _NONE, _NONE
    atoms = piece.body_atoms[piece.family.members[0][:, 0]]
    if atoms.shape[1] == 1:
        return np.arange(len(atoms)), atoms[:, 0]
    rows = np.flatnonzero((atoms >= 0).sum(axis=1) == 1)
    return rows, atoms[rows].max(axis=1, initial=-1)


def _knows_larger(own: SubsetEnergies) -> bool:
    """Whether the source gave the energy of anything that is more than one body."""
    return (
        own.piece.family.streams or np.isfinite(own.whole) or any(np.isfinite(some).any() for some in own.energies[1:])
    )


def _failure(far: FarPair, pair: Pair, alone: Mapping[AtomKind, float]) -> str:
    """Why an offset is not known; empty if it is."""
    unknown = [str(kind) for kind in dict.fromkeys(pair) if not np.isfinite(alone.get(kind, np.nan))]
    lacking = f"no energy of a lone {' or '.join(unknown)}" * bool(unknown)
    return "; ".join(filter(None, (far.message, lacking)))
