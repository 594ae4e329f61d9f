"""What a user claims of the reach of a source, tried on the structures at hand before anything rests on it.

What a potential does over a distance depends on who is there: lengths of interaction are parameters of pairs of elements, and
where charges are equilibrated unlike molecules feel each other at any distance while equal ones do not. So a claimed cutoff is
tried on every pair of kinds that occurs in one structure, of all structures: kinds of bodies, and kinds of sub-clusters of up to
three of them; where bodies hold several elements, every pair of elements is nearest to each other once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, zip_longest

import numpy as np
from scipy.spatial.transform import Rotation

from bodyorder._checks import InputError
from bodyorder.engine.pieces import Piece
from bodyorder.sources.boxes import WIDER, AcrossBoxes, across_boxes, box_of
from bodyorder.sources.cutoff import check_cutoff
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch, System
from bodyorder.structures.clusters import evenly

#: Bodies in the largest sub-clusters that are tried.
LARGEST = 3
#: Pairs tried at most, of single bodies (all of eleven kinds) and with larger sub-clusters; where there are more, these are
#: spread over all. Sub-clusters tried in boxes, likewise.
PAIRS, BOXED = (66, 32), (8, 8)
#: Seconds after which a slow source is tried no further, and sub-clusters that are asked for at a time.
SECONDS, AT_ONCE = 3.0, 4
#: Sub-clusters kept of each kind, that they differ in shape; structures looked at of each composition.
SHAPES, ALIKE = 2, 4
#: Kinds of one size, and sub-clusters of one order, that are looked at in a structure.
KINDS, ROWS = 24, 4096
#: Å from the middle of a sub-cluster within which an atom faces nobody.
MIDDLE = 0.1

logger = logging.getLogger(__name__)

#: Kinds of the bodies in a sub-cluster, ascending: kinds are numbered as they come.
Kind = tuple[int, ...]


@dataclass(frozen=True)
class _Fragment:
    """A sub-cluster of some structure."""

    system: System
    atoms: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        return self.system.numbers[self.atoms]

    @property
    def apart(self) -> np.ndarray:
        """Its atoms as seen from their middle, shape (n, 3)."""
        positions = self.system.positions[self.atoms]
        return positions - positions.mean(axis=0)


@dataclass
class _Kinds:
    """The kinds of sub-clusters of structures, a few sub-clusters of each, and which of them occur together.

    :param shapes: sub-clusters of each kind
    :param pairs: kinds that occur in one structure without a body in common, and the distance (Å) that they keep in all of them,
        0 where they may be as near as the cutoff lets them
    """

    shapes: dict[Kind, list[_Fragment]] = field(default_factory=dict)
    pairs: dict[tuple[Kind, Kind], float] = field(default_factory=dict)
    _numbered: dict[bytes, int] = field(default_factory=dict)
    _seen: Counter[tuple] = field(default_factory=Counter)

    def add(self, piece: Piece) -> None:
        """Look at one structure."""
        bodies = self._of_bodies(piece)
        there = Counter(bodies.tolist())
        lone = max(np.flatnonzero(piece.family.sizes[:LARGEST]), default=0) == 0
        composition = (lone, piece.cell is None, *sorted(there.items()))
        if not lone and self._seen[composition] >= ALIKE:
            return
        self._seen[composition] += 1
        apart = _spacing(piece) if lone else 0.0
        found = []
        for order in range(1, min(LARGEST, piece.family.max_order) + 1):
            found += self._of_order(piece, bodies, order)
        for pair in combinations_with_replacement(found, 2):
            known = self.pairs.get(pair, np.inf) <= apart
            if not known and (piece.cell is not None or Counter(pair[0] + pair[1]) <= there):
                self.pairs[pair] = min(apart, self.pairs.get(pair, np.inf))

    def _of_bodies(self, piece: Piece) -> np.ndarray:
        """Kind of each body: its elements and its charge, shape (n_bodies,)."""
        table = piece.body_atoms
        numbers = np.sort(np.where(table >= 0, piece.system.numbers[table] + 1, 0), axis=1)
        charges = np.where(table >= 0, piece.system.charges[table], 0.0).sum(axis=1)
        rows, owners = np.unique(
            np.column_stack([numbers, np.rint(charges).astype(np.int64)]), axis=0, return_inverse=True
        )
        named = [row[np.flatnonzero(row[:-1])[0] :].tobytes() for row in rows]  # however wide the table is
        return np.array([self._numbered.setdefault(name, len(self._numbered)) for name in named])[owners.reshape(-1)]

    def _of_order(self, piece: Piece, bodies: np.ndarray, order: int) -> list[Kind]:
        """The kinds of one order, spread over all where they are many."""
        if not piece.family.sizes[order - 1]:
            return []
        members = next(piece.family.chunks(order)).members
        members = members[evenly(len(members), ROWS)]
        kinds, owners = np.unique(np.sort(bodies[members], axis=1), axis=0, return_inverse=True)
        owners = owners.reshape(-1)
        found = []
        for index in evenly(len(kinds), KINDS).tolist():
            kind = tuple(kinds[index].tolist())
            found.append(kind)
            shapes, rows = self.shapes.setdefault(kind, []), np.flatnonzero(owners == index)
            for row in rows[evenly(len(rows), SHAPES - len(shapes))].tolist() if len(shapes) < SHAPES else ():
                atoms = piece.body_atoms[members[row]]
                shapes.append(_Fragment(piece.system, atoms[atoms >= 0]))
        return found


def try_cutoff(pieces: Sequence[Piece], source: EnergySource) -> None:
    """Try out a cutoff that a user claims, where parts of structures are left out because of it.

    What stands in one structure is tried together. Where all bodies of a structure are alone, they are tried as near as any of
    them are: what a source does nearer than that enters no number. Of a source that is slow as much is tried as a few
    seconds allow, pairs of single bodies and of larger sub-clusters in turn.

    :raises InputError: if it is found to be wrong
    """
    resting = [piece for piece in pieces if piece.family.nodes is not None]
    if not resting or not source.capabilities.unproven_cutoff:
        return
    kinds = _Kinds()
    for piece in resting:
        kinds.add(piece)
    begin, meetings = time.monotonic(), list(_meetings(kinds))
    for first in range(0, len(meetings), AT_ONCE):
        for alike in _alike(meetings[first : first + AT_ONCE]):
            ones, others, ways, (apart, *_) = zip(*alike, strict=True)
            check_cutoff(source, _batch(ones), apart, _batch(others), np.array(ways))
        if time.monotonic() - begin > SECONDS:
            logger.info("the cutoff of %s was tried on %d of %d pairs", source.name, first + AT_ONCE, len(meetings))
            return


def try_boxes(pieces: Sequence[Piece], source: EnergySource) -> str:
    """Try out whether anything acts across the boxes that a source puts sub-clusters in, of all kinds of them.

    :return: what must be said of it, empty if nothing acts
    :raises InputError: if something does and the boxes follow from a cutoff that is claimed, which then is wrong
    """
    vacuum = box_of(source)
    if vacuum is None:
        return ""
    kinds = _Kinds()
    for piece in pieces:
        kinds.add(piece)
    shapes = _spread(
        [[own[0] for kind, own in kinds.shapes.items() if (len(kind) == 1) is lone] for lone in (True, False)], BOXED
    )
    begin, worst = time.monotonic(), AcrossBoxes(0.0, "")
    for fragment in shapes:
        worst = max(worst, across_boxes(source, _batch([fragment])) or worst)
        if time.monotonic() - begin > SECONDS:
            break
    if not worst.energy:
        return ""
    differs = f"with {WIDER * vacuum:g} Å the energy of {worst.formula} differs by {worst.energy:.1e} eV"
    if source.cutoff is not None:
        raise InputError(
            f"the boxes of {source.name} must leave more vacuum than anything acts over, and {vacuum:g} Å is not more: "
            f"{differs}; it acts across the box, so give a larger cutoff or a larger box, such as boxed={WIDER * vacuum:g}"
        )
    said = f"{source.name} acts across its boxes of {vacuum:g} Å: {differs}, and orders are not known better than that"
    logger.warning("%s", said)
    return said


#: Two sub-clusters, the direction from one to the other (zero for any), and how far apart (Å) they are in all structures.
_Meeting = tuple[_Fragment, _Fragment, np.ndarray, float]


def _meetings(kinds: _Kinds) -> Iterator[_Meeting]:
    """Pairs to be tried, the most telling ones first."""
    lone = [pair for pair in kinds.pairs if len(pair[0]) == len(pair[1]) == 1]
    larger = [pair for pair in kinds.pairs if len(pair[0]) + len(pair[1]) > 2]
    larger.sort(key=lambda pair: (pair[0] == pair[1], -len(pair[0]) - len(pair[1])))
    faced: set[tuple[int, int]] = set()
    for pair in _spread([lone, larger], PAIRS):
        one, other = kinds.shapes[pair[0]][0], kinds.shapes[pair[1]][-1]
        meetings = list(_facing(one, other, faced)) or [(one, other, np.zeros(3))]
        yield from ((*meeting, kinds.pairs[pair]) for meeting in meetings)


def _facing(
    one: _Fragment, other: _Fragment, faced: set[tuple[int, int]]
) -> Iterator[tuple[_Fragment, _Fragment, np.ndarray]]:
    """Both, the other one turned, and the direction in which elements face each other that have not done so yet."""
    for first in np.unique(one.numbers).tolist():
        for second in np.unique(other.numbers).tolist():
            elements = (min(first, second), max(first, second))
            if elements in faced:
                continue
            faced.add(elements)
            way, back = _outermost(one, first), -_outermost(other, second)
            if way.any() and back.any():
                turned = other.apart @ Rotation.align_vectors(way, back)[0].as_matrix().T
                yield one, _Fragment(_moved(other, turned), np.arange(len(other.atoms))), way
            else:
                yield one, other, way if way.any() else back


def _outermost(fragment: _Fragment, number: int) -> np.ndarray:
    """Where the atom of an element is that is farthest from the middle, as seen from there; zero if it is the middle."""
    places = fragment.apart[fragment.numbers == number]
    found = places[np.argmax(np.linalg.norm(places, axis=1))]
    return found if np.linalg.norm(found) > MIDDLE else np.zeros(3)


def _moved(fragment: _Fragment, positions: np.ndarray) -> System:
    """A sub-cluster as a structure of its own, its atoms somewhere else."""
    system, atoms = fragment.system, fragment.atoms
    return System(system.numbers[atoms], positions, system.charges[atoms], system.moments[atoms], system.bodies[atoms])


def _alike(meetings: Sequence[_Meeting]) -> Iterator[list[_Meeting]]:
    """Those of as many atoms and one distance together."""
    groups: dict[tuple, list[_Meeting]] = {}
    for one, other, way, apart in meetings:
        groups.setdefault((len(one.atoms), len(other.atoms), apart), []).append((one, other, way, apart))
    yield from groups.values()


def _spread(lists: Sequence[list], most: Sequence[int]) -> list:
    """At most so many things of each list, evenly spread over it, and from each in turn."""
    chosen = [[some[row] for row in evenly(len(some), count)] for some, count in zip(lists, most, strict=True)]
    return [one for turn in zip_longest(*chosen) for one in turn if one is not None]


def _batch(fragments: Sequence[_Fragment]) -> ClusterBatch:
    """Sub-clusters of one number of atoms."""
    systems = {index: fragment.system for index, fragment in enumerate(fragments)}
    return ClusterBatch.cut(systems, np.arange(len(fragments)), np.array([fragment.atoms for fragment in fragments]))


def _spacing(piece: Piece) -> float:
    """Shortest distance between atoms of two bodies in Å, infinite for a single body; 0 where images in other cells count too."""
    if piece.cell is not None:
        return 0.0
    apart = piece.bodies.distances(piece.system.positions)
    np.fill_diagonal(apart, np.inf)
    return float(apart.min())
