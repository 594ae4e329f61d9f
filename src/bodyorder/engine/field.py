"""Expansions in a field: point charges stand for the bodies that a sub-cluster lacks.

E(S) is then the energy of S among the point charges of all other bodies, without what these charges have among themselves:
E(all) is that of the whole as in vacuum, and so is the sum of all orders. Dahlke, Truhlar, J. Chem. Theory Comput. 3, 46 (2007),
doi:10.1021/ct600253j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np

from bodyorder._checks import ComputationError, InputError, did_you_mean, first_line
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures.field import FieldLike, field_charges, field_label, is_kind

#: What results say of energies in vacuum.
VACUUM = "none"


@dataclass(frozen=True)
class Field:
    """The point charges of the structures of a run.

    :param label: what they are, one word; :data:`VACUUM` without any
    :param charges: of the atoms of each structure in elementary charges, shape (n_atoms,); none in vacuum
    """

    label: str = VACUUM
    charges: tuple[np.ndarray, ...] = ()

    def __bool__(self) -> bool:
        return self.label != VACUUM

    @classmethod
    def find(
        cls, field: FieldLike | None, structures: Sequence[ase.Atoms], pieces: Sequence[Piece], source: EnergySource
    ) -> Field:
        """The point charges that are given, or that the source finds.

        :param pieces: the structures with their bodies
        :raises InputError: if the charges do not fit the structures, or the source cannot find them
        :raises ComputationError: if it does not find them
        """
        if field is None:
            return cls()
        if not is_kind(field):
            charges = field_charges(field, structures)
        else:
            known = source.capabilities.populations
            if field not in known:
                finds = (
                    f"or kinds that {source.name} finds ({', '.join(known)})" if known else f"{source.name} finds none"
                )
                raise InputError(
                    f"`field` must be charges by atom or element, 'column:NAME', {finds}, got {field!r}"
                    f"{did_you_mean(field, known)}"
                )
            charges = [_found(source, piece, index, str(field)) for index, piece in enumerate(pieces)]
        return cls(field_label(field), tuple(charges))

    def on(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The structures with their point charges."""
        if not self:
            return list(pieces)
        return [
            replace(piece, system=replace(piece.system, field=charges))
            for piece, charges in zip(pieces, self.charges, strict=True)
        ]


def check_field(source: EnergySource, structures: Sequence[ase.Atoms], **asked: object) -> None:
    """Check that an expansion in a field can give what is asked.

    :param asked: options of :func:`bodyorder.decompose` that need vacuum, by their names; those that ask for nothing are false
    :raises InputError: if it cannot
    """
    can = source.capabilities
    periodic = [index for index, atoms in enumerate(structures) if atoms.pbc.any()]
    if periodic:
        raise InputError(
            f"`field` must be that of free clusters, structure {periodic[0]} is periodic; drop its cell (pbc=False, --free)"
        )
    if "field" not in can.context:
        raise InputError(
            f"`field` must be felt by the source, {source.name} takes sub-clusters in vacuum only; use pyscf or another that does"
        )
    if can.counterpoise != "none":
        raise InputError(
            f"`field` needs a source without counterpoise correction, whose ghosts would stand on the charges, got {source.name}"
        )
    if source.cutoff is not None:
        raise InputError(
            f"`field` must not be given to a source with a cutoff, energies among charges are not additive, got {source.name}"
        )
    for name, is_wanted in asked.items():
        if is_wanted:
            raise InputError(f"`{name}` must be asked for in vacuum, and `field` is given; leave one of them out")


def _found(source: EnergySource, piece: Piece, index: int, kind: str) -> np.ndarray:
    """The point charges that a source finds for one structure."""
    try:
        charges = np.asarray(source.iterated_charges(piece.system, kind), dtype=np.float64)
    except ComputationError as error:
        raise ComputationError(f"structure {index}: {first_line(error)}") from None
    if charges.shape != (len(piece.system),) or not np.isfinite(charges).all():
        raise ComputationError(
            f"{source.name} must give a finite charge of each of the {len(piece.system)} atoms of structure {index}, gave "
            f"{np.count_nonzero(np.isfinite(charges))} of shape {charges.shape}"
        )
    return charges
