"""Many sub-clusters as one large structure, set apart by more than the cutoff, for calculators that give energies of atoms.

A calculator with a strict cutoff cannot tell parts farther apart than that from parts that stand alone, message passing
included, because there is no atom in between. One call on one large structure then does the work of hundreds of calls, and
energies of atoms add up to energies of sub-clusters. Forces come as they are.

Whether that is right follows from the calculator, and is therefore tried out, never assumed: see :class:`SetApart`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

import ase
import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from bodyorder._checks import InputError, first_line
from bodyorder.sources.ase.survival import survives
from bodyorder.sources.cutoff import check_cutoff
from bodyorder.sources.portions import Portions, is_out_of_memory, keep_freed_memory
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.rounding import last_digits, tolerance
from bodyorder.sources.spacing import GAP, side_by_side, spread, structure
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray, evenly

#: Atoms in one structure: more gain nothing on a CPU, where networks are fastest while their arrays fit into its cache, and would
#: spread the positions wider.
ATOMS_PER_CALL = 256
#: Fewer sub-clusters than this are not worth a structure of their own.
FEWEST = 8
#: Sub-clusters of the first structure of each kind that are evaluated alone as well.
N_CHECKED = 3
#: Structures in a row that fail, or take more processor time than their sub-clusters one by one, after which it is given up.
N_WASTED = 3
#: What may be rounding of a sum in float32, in units of the last digit of a part of it.
FEW = 100

#: A program that may end the process is tried on its first large structure in a process of its own once it has worked for so many
#: seconds, about as many as that takes.
WORTH_TRYING = 1.0

logger = logging.getLogger(__name__)


class Asked(Protocol):
    """A source that has an ASE calculator.

    :param name: for messages
    :param cutoff: in Å, beyond which parts do not feel each other
    :param precision: of one energy, as it is claimed
    :param capabilities: where they say ``charged``, the calculator is given the charges of atoms
    :param boxed: Å of vacuum in the periodic box that the calculator needs, None if it needs none
    """

    name: str
    cutoff: float | None
    precision: Precision
    capabilities: Capabilities
    boxed: float | None

    def ask(self, atoms: ase.Atoms, names: Sequence[str]) -> list[Any]:
        """Some of ``energy``, ``energies`` and ``forces`` of one structure, by the calculator."""
        ...


class _Answer(NamedTuple):
    """What a large structure says: energies of its sub-clusters and their atoms, forces if wanted, the energy of all."""

    energies: FloatArray
    shares: FloatArray
    forces: FloatArray | None
    total: float


class SetApart:
    """How the sub-clusters of one calculator are evaluated together, and whether that is right.

    Sub-clusters of one size and one set of elements go together, since some calculators choose parameters by the elements that
    are there (EMT with ``asap_cutoff``). The first structure of each kind is checked: three of its sub-clusters, those at two
    corners of the grid among them, are evaluated alone as well, and once more side by side, just beyond the claimed cutoff
    from each other. If the numbers are not the same within the claimed precision

    - because the calculator computes in float32 and does not say so (``energy_error`` in a spec), or
    - because its energies of atoms do not add up to its energy,

    sub-clusters are evaluated one by one from then on, and one line in the log says so. Else the claimed cutoff is wrong, on
    which more than speed may rest, and an error is raised. Where it is right and yet no gain (neighbour lists that are slow
    where space is empty, programs that fail on large structures), it is given up too.

    :param may_end_process: whether the program behind the calculator may end the process on a large structure. It is then tried
        in another process first (:func:`~bodyorder.sources.ase.survival.survives`), and given up if that ends.
    """

    def __init__(self, may_end_process: bool = False) -> None:
        if "torch" in sys.modules:  # networks, and not potentials of a few numbers for each atom
            keep_freed_memory()
        self._portions = Portions(ATOMS_PER_CALL)
        #: seconds that one sub-cluster of each kind takes alone, for kinds that were found to be right
        self._seconds: dict[tuple, float] = {}
        self._n_wasted = 0
        self._useless = False
        self._forces_alone = False
        self._unsafe = may_end_process
        self._began: float | None = None

    def fill(self, source: Asked, batch: ClusterBatch, found: Evaluation) -> IntArray:
        """Evaluate what can be evaluated together.

        :param found: written to: energies, and forces and energies of atoms if it has them
        :return: rows that are left to be evaluated one by one: charged or magnetic ones, few of their kind, and whatever failed
        :raises InputError: if the claimed cutoff is found to be wrong
        """
        bare = batch.charges == 0
        if source.capabilities.charged:
            bare &= ~batch.of_members("charges").any(axis=1)
        bare &= ~batch.of_members("moments").any(axis=1)
        left = [np.flatnonzero(~bare)]
        forces = found.forces is not None
        waits = self._unsafe and not self._has_worked()
        for kind, rows in _kinds(batch, np.flatnonzero(bare)):
            if waits or self._is_useless(forces) or min(len(rows), self._portions.clusters(batch.n_atoms)) < FEWEST:
                left.append(rows)
                continue
            checked = (*kind, forces)

            def work(part: slice, rows: IntArray = rows, checked: tuple = checked) -> None:
                chosen = rows[part]
                answer = None
                if not self._is_useless(forces) and len(chosen) >= FEWEST:
                    answer = self._together(source, batch.select(chosen), checked, forces)
                left.append(chosen if answer is None else chosen[~_taken(answer, found, chosen)])

            self._portions.over(len(rows), batch.n_atoms, work)
        return np.sort(np.concatenate(left))

    def _is_useless(self, forces: bool) -> bool:
        """Whether sub-clusters are evaluated one by one from now on."""
        return self._useless or (forces and self._forces_alone)

    def _together(self, source: Asked, batch: ClusterBatch, kind: tuple, forces: bool) -> _Answer | None:
        """The answer of one large structure, or None if it fails or is found not to be right."""
        assert source.cutoff is not None
        positions, _ = spread(batch.positions, source.cutoff + GAP)
        atoms = structure(batch.numbers, positions, source.boxed)
        names = ["forces"] * forces + ["energies", "energy"]
        if self._unsafe and not survives(source, atoms, names):
            self._give_up(source, f"on a structure of {len(atoms)} atoms it ends the process in which it runs")
            return None
        self._unsafe = False
        start = time.process_time()
        try:
            *slopes, shares, total = source.ask(atoms, names)
        except PropertyNotImplementedError as error:
            self._give_up(source, f"it does not give what it says it does, {error}")
            return None
        except InputError:
            raise
        except Exception as error:  # whatever a foreign program raises: the loop finds the sub-cluster behind it
            if is_out_of_memory(error):
                raise
            self._waste(source, f"{type(error).__name__}: {first_line(error)}")
            return None
        seconds = (time.process_time() - start) / len(batch)
        if np.shape(shares) != (len(atoms),):
            self._give_up(
                source, f"its `energies` must be one per atom, of shape ({len(atoms)},), and are of {np.shape(shares)}"
            )
            return None
        parts = np.asarray(shares, dtype=np.float64).reshape(batch.numbers.shape)
        found = _Answer(
            parts.sum(axis=1),
            parts,
            np.asarray(slopes[0], dtype=np.float64).reshape(batch.positions.shape) if forces else None,
            float(total),
        )
        if kind not in self._seconds and not self._is_right(source, batch, positions, found, kind):
            return None
        if seconds > self._seconds[kind]:
            self._waste(source, "it takes longer")
        else:
            self._n_wasted = 0
        return found

    def _is_right(self, source: Asked, batch: ClusterBatch, positions: FloatArray, found: _Answer, kind: tuple) -> bool:
        """Hold some sub-clusters against the same ones alone, where they come from and where they were put."""
        assert source.cutoff is not None
        rows = evenly(len(batch), N_CHECKED)
        numbers = batch.numbers[rows]
        try:
            start = time.process_time()
            energies, forces = _alone(source, numbers, batch.positions[rows], found.forces is not None)
            seconds = (time.process_time() - start) / len(rows)
            moved, _ = _alone(source, numbers, positions[rows], False)
            beside = side_by_side(batch.positions[rows], source.cutoff + GAP)
            (close,) = source.ask(structure(numbers, beside, source.boxed), ["energy"])
        except InputError:
            raise
        except Exception:  # found again, and reported, by the loop
            return False
        if not (np.isfinite(energies).all() and np.isfinite(found.energies[rows]).all()):
            return False
        size = np.abs(energies).max()
        allowed = tolerance(source.precision, size)
        off = np.abs(found.energies[rows] - energies).max()
        off = max(off, abs(float(close) - energies.sum()) / len(rows))
        if off <= allowed and found.forces is not None and forces is not None:
            # an error of the energy is one of the force over the length at which energies change, at worst about 0.01 Å
            pushed = np.abs(found.forces[rows] - forces).max()
            if 0.01 * pushed > allowed:
                self._forces_alone = True
                logger.warning(
                    "%s gives forces of its sub-clusters one by one, not many at once: %s",
                    source.name,
                    f"they change by {pushed:.1e} eV/Å when others are far away, though energies do not: they are direct ones, "
                    f"made to balance over all atoms, or the cutoff is too short for them",
                )
                return False
        rounding = np.abs(moved - energies).max()
        if off <= allowed:
            self._seconds[kind] = seconds
            return True
        is_single = last_digits(np.array([found.total])).any() and off < FEW * np.finfo(np.float32).eps * size
        if rounding > allowed or is_single:
            self._give_up(
                source,
                f"it rounds energies by some {max(rounding, off * is_single):.1e} eV, as float32 does, and claims less; an "
                f"`energy_error` that says so makes it fast",
            )
            check_cutoff(cast(EnergySource, source), batch.select(rows))
        elif abs(found.energies.sum() - found.total) > allowed * len(batch):
            self._give_up(
                source,
                f"its energies of atoms add up to {found.energies.sum():.9g} eV, its energy is {found.total:.9g} eV",
            )
        else:
            raise InputError(
                f"the additive cutoff of {source.name} must be the distance beyond which parts do not feel each other at "
                f"all, and {source.cutoff:g} Å is not: set farther apart, a sub-cluster changes by {off:.1e} eV; "
                f"give a larger one, or leave it out"
            )
        return False

    def _has_worked(self) -> bool:
        """Whether it is worth a second process to find out whether there is no danger in going on in this one."""
        now = time.time()
        if self._began is None:
            self._began = now
        return now - self._began >= WORTH_TRYING

    def _waste(self, source: Asked, why: str) -> None:
        self._n_wasted += 1
        if self._n_wasted == N_WASTED:
            self._give_up(source, why, logging.INFO)

    def _give_up(self, source: Asked, why: str, level: int = logging.WARNING) -> None:
        self._useless = True
        logger.log(level, "%s evaluates its sub-clusters one by one, not many at once: %s", source.name, why)


def _taken(answer: _Answer, found: Evaluation, rows: IntArray) -> np.ndarray:
    """Take what is finite, and say which rows that were."""
    good = np.isfinite(answer.energies)
    if answer.forces is not None:
        good &= np.isfinite(answer.forces).all(axis=(1, 2))
    found.energies[rows[good]] = answer.energies[good]
    if found.forces is not None and answer.forces is not None:
        found.forces[rows[good]] = answer.forces[good]
    if found.atom_energies is not None:
        found.atom_energies[rows[good]] = answer.shares[good]
    return good


def _alone(
    source: Asked, numbers: IntArray, positions: FloatArray, forces: bool
) -> tuple[FloatArray, FloatArray | None]:
    """Energies and, if wanted, forces of sub-clusters one by one."""
    names = ["forces"] * forces + ["energy"]
    answers = [
        source.ask(structure(n[None], p[None], source.boxed), names) for n, p in zip(numbers, positions, strict=True)
    ]
    energies = np.array([float(answer[-1]) for answer in answers])
    return energies, np.array([answer[0] for answer in answers], dtype=np.float64) if forces else None


def _kinds(batch: ClusterBatch, rows: IntArray) -> Iterator[tuple[tuple, IntArray]]:
    """Rows of one size and one set of elements, in turn, and a name for what they share."""
    if not len(rows):
        return
    elements = np.unique(batch.numbers[rows])
    present = (batch.numbers[rows, :, None] == elements).any(axis=1)
    sets, owners = np.unique(present, axis=0, return_inverse=True)
    for number, members in enumerate(sets):
        name = (batch.n_atoms, *elements[members].tolist())
        yield name, rows[owners.reshape(-1) == number]
