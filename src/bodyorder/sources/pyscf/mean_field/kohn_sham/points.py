"""Points around the nuclei of sub-clusters, and the basis functions on them.

The points of an atom do not know the other atoms, nor do the functions on them: both are those of the structure, evaluated
once for all of its sub-clusters. What knows the others is how much a point weighs (Becke, J. Chem. Phys. 88, 2547 (1988),
doi:10.1063/1.454033). Points, weights and radii are PySCF's own. Atomic units.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from pyscf import gto
from pyscf.dft import gen_grid

from bodyorder.sources.pyscf.integrals import IntegralCache, molecule
from bodyorder.structures.clusters import ClusterBatch

#: Points that are looked at together.
PORTION = 2500
#: A function that is smaller than this on all points of a portion, with its derivatives, is left out there.
FAINT = 1e-9
#: Edge of the boxes that points are grouped by (bohr), and how many of them there are either way.
BOX, BOXES = 3.0, 512
#: Bytes up to which functions on the points of a sub-cluster are cut out and kept.
SMALL = 40e6
#: Part of the functions of a portion that a sub-cluster must have to use them as they stand.
DENSE = 0.5
#: Bytes that functions on points may take, as a multiple of those of a cache of integrals, and grids of one structure.
SHARE, LEVELS = 1.4, 3


@dataclass(frozen=True)
class Portion:
    """Some points.

    :param weights: shape (p,)
    :param functions: values and derivatives along x, y and z of f functions, shape (4, f, p)
    :param own: which functions of the sub-cluster are among them
    :param held: and where they stand
    """

    weights: np.ndarray
    functions: np.ndarray
    own: np.ndarray
    held: np.ndarray

    def gather(self, orbitals: np.ndarray) -> np.ndarray:
        """Orbitals in these functions, shape (orbitals, f), from coefficients of shape (m, orbitals)."""
        result = np.zeros((orbitals.shape[1], self.functions.shape[1]))
        result[:, self.held] = orbitals[self.own].T
        return result


class FunctionsOnPoints:
    """Functions of a structure on the points of each of its atoms, evaluated when first asked for.

    :param mol: the structure
    :param level: of the grid
    """

    def __init__(self, mol: gto.Mole, level: int):
        self._mol = mol
        self._points = atom_points(mol, level)
        #: first and last function of each atom
        self.ranges = mol.aoslice_by_atom()[:, 2:]
        self._atoms: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        #: of all that is held
        self.bytes = 0

    def on(self, atom: int, room: float) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Which functions reach portions of the points of one atom, and what they are there, shape (4, functions, points).

        :param room: bytes that may be held; None is returned where they are too few
        """
        if atom not in self._atoms:
            points = self._points[self._mol.atom_symbol(atom)][0] + self._mol.atom_coord(atom)
            if self.bytes + 32 * self._mol.nao * len(points) > room:
                return None
            self._atoms[atom] = list(reaching(self._mol, points))
            self.bytes += sum(functions.nbytes for _, functions in self._atoms[atom])
        return self._atoms[atom]


class Points:
    """The points of one sub-cluster.

    :param mol: with all functions
    :param nuclei: the same without the functions of other atoms
    :param level: of the grid
    :param kept: where its functions are
    """

    def __init__(self, mol: gto.Mole, nuclei: gto.Mole, level: int, kept: Kept):
        self._mol, self._kept = mol, kept
        self._coordinates, self._weights = gen_grid.get_partition(
            nuclei,
            atom_points(nuclei, level),
            gen_grid.Grids.radii_adjust,
            gen_grid.Grids.atomic_radii,
            gen_grid.Grids.becke_scheme,
            concat=False,
        )
        self._count = sum(len(some) for some in self._weights)
        self._cut: list[Portion] = []

    def portions(self) -> Iterator[Portion]:
        """All of them, some at a time."""
        m = self._mol.nao
        if not self._cut and 32 * self._count * m <= SMALL:
            functions, used = np.zeros((4, m, self._count)), 0
            for part in self._parts():
                functions[:, part.own, used : used + len(part.weights)] = part.functions[:, part.held]
                used += len(part.weights)
            everything = np.arange(m)
            self._cut = [Portion(np.concatenate(self._weights), functions, everything, everything)]
        yield from self._cut or self._parts()

    def _parts(self) -> Iterator[Portion]:
        whole, sites = self._kept.whole, self._kept.sites
        mine = np.full(whole.ranges[-1, 1], -1)
        used = 0
        for first, last in whole.ranges[sites]:
            mine[first:last] = np.arange(used, used + last - first)
            used += last - first
        for site, weights, points in zip(sites, self._weights, self._coordinates, strict=False):
            used = 0
            kept = whole.on(int(site), self._kept.room)
            for own, functions in reaching(self._mol, points) if kept is None else kept:
                some = weights[used : used + functions.shape[2]]
                used += functions.shape[2]
                places = own if kept is None else mine[own]
                held = np.flatnonzero(places >= 0)
                if not len(held):
                    continue
                first, last = held[0], held[-1] + 1
                if len(held) < DENSE * (last - first):
                    yield Portion(some, functions[:, held], places[held], np.arange(len(held)))
                else:
                    yield Portion(some, functions[:, first:last], places[held], held - first)


def atom_points(mol: gto.Mole, level: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Points about the origin and their volumes, by the symbols of atoms; those close to each other follow each other."""
    grids = gen_grid.Grids(mol).set(level=level, verbose=0)
    result = {}
    for symbol, (points, volumes) in grids.gen_atomic_grids(mol).items():
        box = np.clip(np.floor(points / BOX).astype(np.int64), -BOXES, BOXES - 1) + BOXES
        order = np.argsort((box[:, 0] * 2 * BOXES + box[:, 1]) * 2 * BOXES + box[:, 2], kind="stable")
        result[symbol] = points[order], volumes[order]
    return result


def functions_at(mol: gto.Mole, points: np.ndarray) -> np.ndarray:
    """Values and derivatives of the functions of a molecule, shape (4, functions, points)."""
    return mol.eval_gto("GTOval_sph_deriv1", points, comp=4).transpose(0, 2, 1)


def reaching(mol: gto.Mole, points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which functions of a molecule reach some points, a portion at a time, and what they are there."""
    for first in range(0, len(points), PORTION):
        functions = functions_at(mol, points[first : first + PORTION])
        own = np.flatnonzero(np.abs(functions).max(axis=(0, 2)) > FAINT)
        yield own, functions if len(own) == mol.nao else np.ascontiguousarray(functions[:, own])


@dataclass(frozen=True)
class Kept:
    """Where a sub-cluster finds its functions on points.

    :param whole: those of the structure
    :param sites: its atoms there, ghosts behind the others
    :param room: bytes that may be held for the structure
    """

    whole: FunctionsOnPoints
    sites: np.ndarray
    room: float


class PointCache:
    """Functions on points of the structures seen last.

    :param cache: that of their integrals
    """

    def __init__(self, cache: IntegralCache):
        self._basis, self._limit = cache.basis, SHARE * cache.limit
        self._held: OrderedDict[tuple[bytes, int], FunctionsOnPoints] = OrderedDict()

    def of(self, batch: ClusterBatch, row: int, level: int) -> Kept:
        """Functions on the points of the structure that a sub-cluster is cut from."""
        system = batch.systems[int(batch.parents[row])]
        key = system.numbers.tobytes() + system.positions.tobytes(), level
        if key not in self._held:
            self._held[key] = FunctionsOnPoints(molecule(system.numbers, system.positions, self._basis), level)
        self._held.move_to_end(key)
        while len(self._held) > LEVELS and self._bytes > self._limit:
            self._held.popitem(last=False)
        room = self._limit - self._bytes + self._held[key].bytes
        return Kept(self._held[key], np.concatenate([batch.members[row], batch.ghosts[row]]), room)

    @property
    def _bytes(self) -> int:
        return sum(one.bytes for one in self._held.values())


_CACHES: WeakKeyDictionary[IntegralCache, PointCache] = WeakKeyDictionary()


def point_cache(cache: IntegralCache) -> PointCache:
    """The one that lives as long as a cache of integrals."""
    return _CACHES.setdefault(cache, PointCache(cache))
