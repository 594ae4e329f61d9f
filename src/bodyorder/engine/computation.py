"""A batch asked of a source: what fails, fails alone, and what comes back is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources.hessians import numerical_hessians
from bodyorder.sources.protocol import RECORDS, EnergySource, Evaluation, FailedClusters
from bodyorder.sources.rounding import tolerance
from bodyorder.structures import ClusterBatch


@dataclass(frozen=True)
class Wanted:
    """What is asked of a source beside energies.

    :param forces: forces
    :param atom_energies: the source's own energies of atoms
    :param hessians: second derivatives of energies
    :param members: so many energies of each sub-cluster beside its energy, all that the source claims, or none
    """

    forces: bool = False
    atom_energies: bool = False
    members: int = 0
    hessians: bool = False

    @property
    def by_atom(self) -> bool:
        """Whether anything is asked for that belongs to single atoms."""
        return self.forces or self.atom_energies or self.hessians

    def unknown(self, count: int, n_atoms: int) -> Evaluation:
        """Nothing known of so many sub-clusters."""
        return Evaluation.unknown(
            count,
            n_atoms,
            forces=self.forces,
            atom_energies=self.atom_energies,
            members=self.members,
            hessians=self.hessians,
        )


def compute(source: EnergySource, batch: ClusterBatch, wanted: Wanted) -> Evaluation:
    """Energies of a batch from a source. What fails, fails alone.

    A source that reports which rows failed is believed; a batch that raises anything else is halved until the failing
    sub-clusters stand alone.

    :raises InputError: as the source raises it: what the caller asked for cannot work, so no part of it is tried further
    :raises ComputationError: if what the source gives has the wrong shape, or is no numbers
    """
    try:
        given = _ask(source, batch, wanted)
    except InputError:
        raise
    except Exception as error:  # a backend may raise whatever it likes
        if len(batch) > 1:
            middle = len(batch) // 2
            parts = [compute(source, batch.select(rows), wanted) for rows in np.split(np.arange(len(batch)), [middle])]
            return Evaluation.joined(*parts)
        given = wanted.unknown(1, batch.n_atoms)
        given.messages[0] = f"{type(error).__name__}: {first_line(error)}"
    return _checked(source, given, batch, wanted)


def _ask(source: EnergySource, batch: ClusterBatch, wanted: Wanted) -> Any:
    try:
        if wanted.hessians:
            if source.capabilities.hessians:
                return source.evaluate_hessians(batch, wanted.forces)
            given = compute(source, batch, Wanted(forces=True))
            return numerical_hessians(
                lambda moved: compute(source, moved, Wanted(forces=True)), given, batch, source.precision
            )
        if wanted.atom_energies:
            return source.evaluate_atoms(batch, wanted.forces)
        if wanted.members:
            return source.evaluate_members(batch, wanted.forces)
        if source.capabilities.records:
            return source.evaluate(batch, wanted.forces)
        if not wanted.forces:
            return Evaluation(source.energies(batch))
        pair = source.energies_and_forces(batch)
        return Evaluation(*pair) if isinstance(pair, tuple | list) and len(pair) == 2 else pair
    except FailedClusters as failed:
        found = wanted.unknown(len(batch), batch.n_atoms)
        found.energies, found.messages = failed.energies, dict(failed.messages)
        if failed.forces is not None:
            found.forces = failed.forces
        return found


def _checked(source: EnergySource, given: Any, batch: ClusterBatch, wanted: Wanted) -> Evaluation:
    """The answer in float64 arrays of the right shapes, NaN in rows that failed."""
    name = source.name
    if not isinstance(given, Evaluation):
        raise ComputationError(f"{name} must give energies{' and forces' * wanted.forces}, gave {type(given).__name__}")
    n, messages = len(batch), dict(given.messages)
    energies = _numbers(name, "energies", given.energies, (n,))
    gradients = _numbers(name, "forces", given.forces, batch.positions.shape) if wanted.forces else None
    shares = None
    if wanted.atom_energies:
        shares = _numbers(name, "energies of atoms", given.atom_energies, batch.numbers.shape)
    members = _numbers(name, "members", given.members, (n, wanted.members)) if wanted.members else None
    curvatures = None
    if wanted.hessians:
        curvatures = _numbers(name, "hessians", given.hessians, (n, batch.n_atoms, batch.n_atoms, 3, 3))
    if not given.records.keys() <= RECORDS.keys():
        raise ComputationError(f"{name} must give records among {', '.join(RECORDS)}, gave {', '.join(given.records)}")
    records = {label: _numbers(name, label, values, (n,)) for label, values in given.records.items()}
    finite = np.isfinite(energies)
    for array in (gradients, shares, members, curvatures):
        if array is not None:
            finite &= np.isfinite(array).reshape(n, -1).all(axis=1)
    for row in np.flatnonzero(~finite):
        messages.setdefault(
            int(row), "the energy, a force, a second derivative or the energy of an atom or member is not finite"
        )
    if not messages.keys() <= set(range(n)):
        raise ComputationError(f"{name} must name failed rows below {n}, gave {sorted(messages)}")
    # The numbers in a failed row mean nothing, and a finite one would be added to sums as if it did.
    for array in (energies, gradients, shares, members, curvatures):
        if array is not None:
            array[list(messages)] = np.nan
    if members is not None and source.capabilities.member_kind == "parts":
        _check_sums(source, members, energies)
    return Evaluation(energies, gradients, messages, records, shares, members, curvatures)


def _check_sums(source: EnergySource, parts: np.ndarray, energies: np.ndarray) -> None:
    """Check that parts add up to the energy, to the rounding of numbers as large as they are."""
    off = np.abs(parts.sum(axis=1) - energies)
    sizes = np.maximum(np.abs(parts).sum(axis=1), np.abs(energies))
    allowed = [tolerance(source.precision, float(size)) for size in np.nan_to_num(sizes)]
    for row in np.flatnonzero(off > allowed)[:1]:
        raise ComputationError(
            f"{source.name} must give parts that add up to its energy, and gives {parts[row].sum():.9g} eV for "
            f"{energies[row]:.9g} eV; do without members"
        )


def _numbers(name: str, what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A copy in float64, so that nothing of the source is written to."""
    try:
        array = np.asarray(given)
        if array.dtype.kind == "c":  # numpy would drop the imaginary part
            raise TypeError("complex ones")
        array = array.astype(np.float64, order="C")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ComputationError(f"{name} must give {what} as numbers, gave others: {first_line(error)}") from error
    if array.shape != shape:
        raise ComputationError(f"{name} must give {what} of shape {shape}, gave {array.shape}")
    return array
