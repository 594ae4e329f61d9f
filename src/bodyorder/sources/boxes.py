"""Whether anything acts across the periodic boxes that sub-clusters are put in: the same ones in larger boxes.

A program that takes periodic structures only sees images of a sub-cluster in all directions. What acts between them is in its
energy, and nothing in the energy tells it from what acts inside. In a box with twice as much vacuum around the atoms less of it
is left: nothing where the reach of the potential is finite, 1/8 where dipoles meet, 1/2 where charges do (Makov and Payne,
Phys. Rev. B 51, 4014 (1995), doi:10.1103/PhysRevB.51.4014).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from bodyorder._checks import InputError, check_positive
from bodyorder.sources.cutoff import formula
from bodyorder.sources.one_body import own_source
from bodyorder.sources.protocol import EnergySource, FailedClusters
from bodyorder.sources.rounding import seen_tolerance
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: Vacuum of the larger boxes, in that of the boxes tried.
WIDER = 2.0
#: Å of vacuum without a claimed cutoff: in less, covalent bonds would reach across.
LEAST = 5.0
#: What programs raise, or speak of, that find no cell where they need one.
_NO_CELL = (np.linalg.LinAlgError, ZeroDivisionError)
_CELL = re.compile(r"\b(cell|lattice|volume|singular|periodic|pbc)\b", re.IGNORECASE)


def vacuum_of(boxed: Any, cutoff: float | None) -> float | None:
    """Å of vacuum in the boxes that a user asks for, None if there are to be none.

    :param boxed: True for boxes that leave the cutoff, or a length in Å
    :param cutoff: that is claimed, in Å
    :raises InputError: if it is neither, or what acts over the cutoff would act across the boxes
    """
    if boxed is False:
        return None
    if boxed is True:
        if cutoff is None:
            raise InputError(
                "`boxed` must come with a cutoff (`additive_cutoff` in a spec), which sets the size of the box, or say how "
                "much vacuum is around the atoms in Å, such as boxed=30"
            )
        return cutoff
    vacuum = check_positive("boxed", boxed)
    if vacuum < (least := LEAST if cutoff is None else cutoff):
        raise InputError(
            f"`boxed` must be at least {least:g} Å of vacuum around the atoms, got {boxed!r}; boxed=true takes the cutoff"
        )
    return vacuum


def needs_box(error: BaseException) -> bool:
    """Whether what a program raised looks as if it had missed a cell."""
    return isinstance(error, _NO_CELL) or _CELL.search(str(error)) is not None


@runtime_checkable
class Boxing(Protocol):
    """A source that puts sub-clusters into periodic boxes.

    :param boxed: Å of vacuum that it leaves around the atoms; None where there is no box
    """

    boxed: float | None

    def energies_in_boxes(self, batch: ClusterBatch, vacuum: float) -> FloatArray:
        """Energies in eV, shape (n,), in boxes that leave this many Å of vacuum.

        :raises FailedClusters: as :meth:`~bodyorder.sources.protocol.EnergySource.energies`
        """
        ...


class AcrossBoxes(NamedTuple):
    """What acts across boxes.

    :param energy: the largest change in eV when boxes are made larger, above rounding
    :param formula: of the sub-cluster whose energy changes by it
    """

    energy: float
    formula: str


def box_of(source: EnergySource) -> float | None:
    """Å of vacuum that a source leaves around the atoms in its boxes, None if it has none."""
    own = own_source(source)
    return own.boxed if isinstance(own, Boxing) else None


def across_boxes(source: EnergySource, batch: ClusterBatch) -> AcrossBoxes | None:
    """What acts across the boxes of a source, None if nothing is seen. What fails is left out.

    Whoever gives the energies of lone atoms, boxes are those of the source that makes them.

    :param batch: a few sub-clusters, of some atoms each
    """
    own = own_source(source)
    if not isinstance(own, Boxing) or own.boxed is None:
        return None
    given, wide = (_energies(own, batch, vacuum) for vacuum in (own.boxed, WIDER * own.boxed))
    changes = np.abs(wide - given)
    if not np.isfinite(changes).any():
        return None
    worst = int(np.nanargmax(changes))
    change = float(changes[worst])
    if change <= seen_tolerance(source.precision, np.array([given[worst], wide[worst]]), batch.n_atoms):
        return None
    return AcrossBoxes(change, formula(batch.numbers[worst]))


def _energies(source: Boxing, batch: ClusterBatch, vacuum: float) -> FloatArray:
    try:
        return source.energies_in_boxes(batch, vacuum)
    except FailedClusters as error:
        return error.energies
