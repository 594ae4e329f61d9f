"""Spin rules by name: from sub-clusters to the numbers of unpaired electrons, 2S, that each may have."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.spin.atoms import unpaired_of_atom
from bodyorder.sources.spin.electrons import (
    electrons,
    electrons_of_atoms,
    most_unpaired_electrons,
    unpaired_electrons,
)
from bodyorder.structures.clusters import ClusterBatch

#: Sums of moments and charges that are this close to a whole number are one.
WHOLE = 1e-3


class SpinRule(ABC):
    """What a source asks a rule.

    :param name: what the user calls it
    """

    #: what of the structure around its atoms a sub-cluster's spin depends on
    context: tuple[str, ...] = ()
    #: what the fingerprint must hold beside the name of the rule
    identity = ""

    def __init__(self, name: str):
        self.name = name

    @abstractmethod
    def spins(self, batch: ClusterBatch) -> list[tuple[int, ...]]:
        """Numbers of unpaired electrons that each sub-cluster may have, ascending and at least one: what its electrons can be.

        :raises InputError: if there are none, or what the rule looks at is missing or does not fit
        """

    def moments(self, batch: ClusterBatch) -> np.ndarray | None:
        """Unpaired electrons of each atom, shape (n, k), or None where the rule says nothing of atoms."""
        return None


class ElectronRule(SpinRule):
    """``low`` and ``ground``, which look at the number of electrons alone.

    ``low`` is not additive for parts far from each other: two parts whose ground states are triplets couple to a singlet of
    the whole at no cost, while each of them alone is held in its own, higher singlet.

    For ``ground`` a mean field is not asked for more unpaired electrons than its atoms can have without leaving their open
    shells, a potential not for more than atoms have in their measured ground states, and either of them for one broken pair at
    least: such states are never the lowest, a mean field seldom finds them, and no potential has learnt them.

    :param total_spin: whether the states of the source have a total spin
    :param mean_field: whether they are determinants, which favour parallel spins
    """

    def __init__(self, name: str, total_spin: bool, mean_field: bool):
        super().__init__(name)
        self.total_spin, self._mean_field = total_spin, mean_field

    def spins(self, batch: ClusterBatch) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        # most sub-clusters of a batch are of few kinds
        kinds, kind = np.unique(np.column_stack([batch.charges, batch.numbers]), axis=0, return_inverse=True)
        known = [self._of_kind(numbers, charge) for charge, *numbers in kinds.tolist()]
        return [known[place] for place in kind.reshape(-1).tolist()]

    def _of_kind(self, numbers: list[int], charge: int) -> tuple[int, ...]:
        count = electrons(numbers, charge)
        most = least = count % 2
        if self.name == "ground":
            most = count
            if not self.total_spin:
                atoms = most_unpaired_electrons if self._mean_field else unpaired_electrons
                most = min(count, max(sum(atoms(numbers, charge)), 2 + least))
        return tuple(range(least, most + 1, 2))


class HighRule(SpinRule):
    """``high``: the sum over the bodies of their unpaired electrons.

    A body of one atom counts those of the ground state of the atom (an ion those of the neutral atom with as many electrons:
    He⁺ like H, C⁻ like N), a body of several atoms the moments given on its atoms, or 0 or 1 where none are.
    """

    context = ("bodies", "charges", "moments")

    def spins(self, batch: ClusterBatch) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        found: list[tuple[int, ...]] = []
        bodies, moments, charges = (batch.of_members(name) for name in ("bodies", "moments", "charges"))
        for row, numbers in enumerate(batch.numbers):
            total = int(batch.charges[row])
            if round(charges[row].sum()) == total:
                counts = numbers - charges[row]
            else:  # a charge that was given to the sub-cluster as a whole
                counts = np.array(electrons_of_atoms(numbers, total), dtype=np.float64)
            unpaired = 0
            for body in np.unique(bodies[row]):
                atoms = np.flatnonzero(bodies[row] == body)
                count = round(counts[atoms].sum())
                if len(atoms) == 1:
                    unpaired += unpaired_of_atom(max(count, 0))
                elif moments[row, atoms].any():
                    unpaired += whole_moment(self.name, moments[row, atoms], count, place_of(batch, row, atoms))
                else:
                    unpaired += count % 2
            found.append((unpaired,))
        return found


class PatternRule(SpinRule):
    """``pattern``: twice Sz of a sub-cluster is the sum of the moments given on its atoms.

    A method whose states have a total spin takes the lowest of all with that Sz, which are those with S ≥ |Sz|; a determinant has
    that many unpaired electrons, and starts from these moments.

    :param total_spin: whether the method's states have a total spin
    """

    context = ("moments",)

    def __init__(self, name: str, total_spin: bool):
        super().__init__(name)
        self.total_spin = total_spin

    def moments(self, batch: ClusterBatch) -> np.ndarray:
        """The moments given on the atoms, turned over where more of them point down than up."""
        moments = batch.of_members("moments")
        return np.where(moments.sum(axis=1, keepdims=True) < 0, -moments, moments)

    def spins(self, batch: ClusterBatch) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        for parent, system in batch.systems.items():
            if not system.moments.any():
                raise InputError(
                    f"spin={self.name} must find moments on the atoms, structure {parent} has none; set its initial magnetic "
                    "moments (column initial_magmoms of an extended XYZ file), or choose another rule"
                )
        moments, found = batch.of_members("moments"), []
        for row, numbers in enumerate(batch.numbers):
            count = electrons(numbers, int(batch.charges[row]))
            least = whole_moment(self.name, moments[row], count, place_of(batch, row, np.arange(batch.n_atoms)))
            found.append(tuple(range(least, count + 1, 2)) if self.total_spin else (least,))
        return found


def whole_moment(rule: str, moments: np.ndarray, count: int, place: str) -> int:
    """The sum of the moments of some atoms, turned upwards; these atoms have ``count`` electrons.

    :raises InputError: if it is no whole number, or the electrons cannot have it
    """
    total = abs(float(moments.sum()))
    if not abs(total - np.rint(total)) <= WHOLE:
        raise InputError(
            f"with spin={rule} moments must add up to whole numbers of unpaired electrons, those of {place} add up to "
            f"{total:g}; give whole moments"
        )
    if (round(total) - count) % 2 or round(total) > count:
        raise InputError(
            f"with spin={rule} moments must fit the electrons, {place} have {count} electrons and moments that add up to "
            f"{total:g}; change their moments or charges"
        )
    return round(total)


def place_of(batch: ClusterBatch, row: int, atoms: np.ndarray) -> str:
    """What messages call some atoms of a sub-cluster."""
    return f"atoms {batch.members[row, atoms].tolist()} of structure {batch.parents[row]}"
