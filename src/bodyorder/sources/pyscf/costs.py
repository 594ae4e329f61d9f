"""Roughly what methods cost: seconds and memory of one sub-cluster, to size batches and to plan runs. Imports no PySCF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

#: MB of a process that has loaded PySCF; with block2 beside it.
PROCESS, PROCESS_BLOCK2 = 160.0, 700.0

#: Vectors (and as many images of them) that a large diagonalisation holds: at best, at least, and beside.
_BEST, _LEAST, _BESIDE = 12, 12, 4

#: Bytes that smaller ones hold for each configuration and pair of orbitals, up to so many configurations of one spin.
_TABLE_BYTES, _TABLE = 60.0, 5_000


@dataclass(frozen=True)
class Size:
    """What the cost of a sub-cluster depends on.

    :param functions: basis functions, those of other atoms included
    :param electrons: electrons
    :param spins: numbers of unpaired electrons it is searched for
    """

    functions: int
    electrons: int
    spins: Sequence[int]


@dataclass(frozen=True)
class Cost:
    """Of one method.

    :param seconds: of one sub-cluster on one core
    :param bytes: of wave functions, beside what all methods hold of the integrals, given how many they should not exceed
    :param process: MB of a process that does nothing
    """

    seconds: Callable[[Size], float]
    bytes: Callable[[Size, float], float]
    process: float = PROCESS


def cost_of(method: str) -> Cost:
    """The cost of a method; that of a density functional for one that is not in the table."""
    return COSTS.get(method, _KOHN_SHAM)


def determinants(size: Size, unpaired: int) -> int:
    """Slater determinants with that many unpaired electrons, all of them up."""
    up, down = (size.electrons + unpaired) // 2, (size.electrons - unpaired) // 2
    return comb(size.functions, up) * comb(size.functions, down) if down >= 0 else 0


def _full(size: Size) -> float:
    # every vector is multiplied by the Hamiltonian in a time like determinants × pairs of orbitals
    return 5e-4 + 5e-8 * size.functions**2 * sum(determinants(size, spin) for spin in size.spins)


def _full_bytes(size: Size, limit: float) -> float:
    tables = vectors = 0.0
    for spin in size.spins:
        count = determinants(size, spin)
        configurations = count - determinants(size, spin + 2)
        if configurations <= _TABLE:
            tables += _TABLE_BYTES * configurations * size.functions**2
        else:
            fitting = min(_BEST, max(_LEAST, limit / (16.0 * count) - _BESIDE))
            vectors = max(vectors, 16.0 * count * (fitting + _BESIDE))
    return tables + vectors


def _field(each: float, factor: float, power: int) -> Callable[[Size], float]:
    """Of each spin: iterations of small matrices, more of them the more electrons there are, and a power of the functions."""
    return lambda size: max(1, len(size.spins)) * (5e-4 + each * size.electrons + factor * size.functions**power)


def _squares(size: Size, _: float) -> float:
    return 8.0 * 100 * size.functions**2


def _on_points(size: Size, limit: float) -> float:
    """Functions on the points of a structure up to twice as large, as far as they are held."""
    return _squares(size, limit) + min(4e5 * size.functions**2, 0.7 * limit)


def _pairs(copies: float) -> Callable[[Size, float], float]:
    """So many copies of all pairs of two functions."""
    return lambda size, _: 8.0 * copies * size.functions**4


def _chain(size: Size) -> float:
    # spaces that are small for full configuration interaction are diagonalised whole
    return min(_full(size), 7e-4 * size.functions**4)


_KOHN_SHAM = Cost(_field(0.04, 1e-6, 3), _on_points)
_RESTRICTED = Cost(_field(5e-3, 2e-7, 4), _squares)

#: By the names of :data:`bodyorder.sources.pyscf.METHODS`, fitted to hydrogen clusters on one core of a present-day machine.
COSTS = {
    "fci": Cost(_full, _full_bytes),
    "dmrg": Cost(_chain, _pairs(4.0), PROCESS_BLOCK2),
    "uhf": Cost(_field(6e-4, 2e-8, 4), _squares),
    "rhf": _RESTRICTED,
    "rohf": _RESTRICTED,
    "uks": _KOHN_SHAM,
    "rks": _KOHN_SHAM,
    "mp2": Cost(_field(8e-4, 3e-8, 4), _pairs(0.5)),
    "ccsd": Cost(_field(0.012, 5e-10, 6), _pairs(2.0)),
    "ccsd(t)": Cost(_field(0.012, 6e-10, 6), _pairs(2.5)),
}
