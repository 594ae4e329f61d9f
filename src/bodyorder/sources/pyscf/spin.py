"""Spin rules: which total spins a sub-cluster is computed in. Spins are counted as unpaired electrons, 2S."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.pyscf.atoms import unpaired_of_atom
from bodyorder.structures.clusters import ClusterBatch

#: Sums of moments and charges that are this close to a whole number are one.
WHOLE = 1e-3


def electrons(numbers: Iterable[int], charge: int) -> int:
    """Number of electrons.

    :raises InputError: if the charge leaves fewer than none
    """
    count = sum(int(number) for number in numbers) - charge
    if count < 0:
        raise InputError(
            f"a charge must leave no fewer than 0 electrons, {charge:+d} on atomic numbers "
            f"{[int(number) for number in numbers]} does"
        )
    return count


def unpaired_electrons(numbers: Iterable[int], charge: int) -> list[int]:
    """Unpaired electrons of every atom in its ground state, the charge placed where it leaves the most of them.

    An ion counts like the neutral atom with as many electrons: He⁺ like H, C⁻ like N.
    """
    return [unpaired_of_atom(count) for count in _electrons_of_atoms(numbers, charge)]


def candidate_spins(rule: str, numbers: Sequence[int] | np.ndarray, charge: int, n_orbitals: int) -> list[int]:
    """Numbers of unpaired electrons that a rule allows which looks at the number of electrons alone, ascending.

    :param rule: ``low``: 0 or 1; ``ground``: all that the orbitals can hold (the parity follows from the electrons)
    :raises InputError: if the orbitals cannot hold the electrons in that way
    """
    count = electrons(numbers, charge)
    wanted = [count % 2] if rule == "low" else range(count % 2, count + 1, 2)
    return possible_spins(wanted, numbers, charge, n_orbitals, rule)


def possible_spins(
    wanted: Iterable[int], numbers: Sequence[int] | np.ndarray, charge: int, n_orbitals: int, rule: str
) -> list[int]:
    """Those of some numbers of unpaired electrons that the orbitals can hold.

    :param wanted: of the parity of the number of electrons, ascending
    :param rule: what the user calls the rule
    :raises InputError: if there is none
    """
    count = electrons(numbers, charge)
    spins = [spin for spin in wanted if spin <= min(count, 2 * n_orbitals - count)]
    if not spins:
        raise InputError(
            f"the basis must hold the electrons, {n_orbitals} orbitals cannot hold {count} electrons of atomic numbers "
            f"{[int(number) for number in numbers]} with spin={rule}; use a larger basis"
        )
    return spins


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
    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:
        """Numbers of unpaired electrons that each sub-cluster may have, ascending.

        :param n_orbitals: basis functions of each sub-cluster, shape (n,)
        :raises InputError: if there are none, or what the rule looks at is missing or does not fit
        """

    def moments(self, batch: ClusterBatch) -> np.ndarray | None:
        """Unpaired electrons of each atom to start a mean field from, shape (n, k), or None where the method chooses."""
        return None

    def possible(self, batch: ClusterBatch, wanted: Sequence[Iterable[int]], room: np.ndarray) -> list[tuple[int, ...]]:
        """For each sub-cluster those of some numbers of unpaired electrons that its orbitals can hold.

        :raises InputError: if there is none
        """
        return [
            tuple(possible_spins(spins, batch.numbers[row], int(batch.charges[row]), int(room[row]), self.name))
            for row, spins in enumerate(wanted)
        ]


class ElectronRule(SpinRule):
    """``low`` and ``ground``, which look at the number of electrons alone.

    ``low`` is not additive for parts far from each other: two parts whose ground states are triplets couple to a singlet of
    the whole at no cost, while each of them alone is held in its own, higher singlet.

    For ``ground`` a determinant is not asked for more unpaired electrons than those of its atoms, or than one broken pair: such
    solutions are never the lowest, and seldom found.

    :param total_spin: whether the states of the method have a total spin
    """

    def __init__(self, name: str, total_spin: bool):
        super().__init__(name)
        self.total_spin = total_spin

    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        result = []
        for numbers, charge, room in zip(batch.numbers, batch.charges.tolist(), n_orbitals.tolist(), strict=True):
            spins = candidate_spins(self.name, numbers, charge, room)
            if not self.total_spin:
                most = max(sum(unpaired_electrons(numbers, charge)), 2 + spins[0])
                spins = [spin for spin in spins if spin <= most]
            result.append(tuple(spins))
        return result


class HighRule(SpinRule):
    """``high``: the sum over the bodies of their unpaired electrons.

    A body of one atom counts those of the ground state of the atom (an ion those of the neutral atom with as many electrons:
    He⁺ like H, C⁻ like N), a body of several atoms the moments given on its atoms, or 0 or 1 where none are.
    """

    context = ("bodies", "charges", "moments")

    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        bodies, moments, charges = (batch.of_members(name) for name in ("bodies", "moments", "charges"))
        wanted = []
        for row, numbers in enumerate(batch.numbers):
            total = int(batch.charges[row])
            if round(charges[row].sum()) == total:
                counts = numbers - charges[row]
            else:  # a charge that was given to the sub-cluster as a whole
                counts = np.array(_electrons_of_atoms(numbers, total), dtype=np.float64)
            unpaired = 0
            for body in np.unique(bodies[row]):
                atoms = np.flatnonzero(bodies[row] == body)
                count = round(counts[atoms].sum())
                if len(atoms) == 1:
                    unpaired += unpaired_of_atom(max(count, 0))
                elif moments[row, atoms].any():
                    unpaired += _whole_moment(self.name, moments[row, atoms], count, _place(batch, row, atoms))
                else:
                    unpaired += count % 2
            wanted.append([unpaired])
        return self.possible(batch, wanted, n_orbitals)


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

    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        for parent, system in batch.systems.items():
            if not system.moments.any():
                raise InputError(
                    f"spin={self.name} must find moments on the atoms, structure {parent} has none; set its initial magnetic "
                    "moments (column initial_magmoms of an extended XYZ file), or choose another rule"
                )
        moments, wanted = batch.of_members("moments"), []
        for row, numbers in enumerate(batch.numbers):
            count = electrons(numbers, int(batch.charges[row]))
            least = _whole_moment(self.name, moments[row], count, _place(batch, row, np.arange(batch.n_atoms)))
            wanted.append(range(least, count + 1, 2) if self.total_spin else [least])
        return self.possible(batch, wanted, n_orbitals)


def spin_rule(name: str, total_spin: bool) -> SpinRule:
    """The rule of a name.

    :param name: one of :data:`bodyorder.sources.pyscf.SPIN_RULES`, or ``module:function``
    :param total_spin: whether the states of the method that it serves have a total spin
    :raises InputError: if there is no such function
    """
    if ":" in name:
        from bodyorder.sources.pyscf.user_spin import FunctionRule

        return FunctionRule(name)
    if name == "pattern":
        return PatternRule(name, total_spin)
    return HighRule(name) if name == "high" else ElectronRule(name, total_spin)


def _whole_moment(rule: str, moments: np.ndarray, count: int, place: str) -> int:
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


def _place(batch: ClusterBatch, row: int, atoms: np.ndarray) -> str:
    return f"atoms {batch.members[row, atoms].tolist()} of structure {batch.parents[row]}"


def _electrons_of_atoms(numbers: Iterable[int], charge: int) -> list[int]:
    counts = [int(number) for number in numbers]
    step = 1 if charge > 0 else -1
    for _ in range(abs(charge)):
        possible = [atom for atom, count in enumerate(counts) if count - step >= 0]
        gains = {atom: unpaired_of_atom(counts[atom] - step) - unpaired_of_atom(counts[atom]) for atom in possible}
        counts[max(possible, key=gains.__getitem__)] -= step
    return counts
