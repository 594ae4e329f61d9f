"""Spin rules: which total spins a sub-cluster is computed in. Spins are counted as unpaired electrons, 2S.

Rules are named, or functions that a user writes in Python.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bodyorder._checks import InputError, did_you_mean, first_line
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


class FunctionRule(SpinRule):
    """A function ``rule(numbers, positions, charge)`` that says which multiplicities 2S + 1 a sub-cluster may have.

    It is given atomic numbers, shape (k,), positions in Å, shape (k, 3), and the charge, and returns one multiplicity or several,
    of which the lowest state is taken. Atoms come in an order that does not depend on their order in the structure, and positions
    are counted from the corner of the box around them: the same sub-cluster elsewhere must have the same spin, or stored
    energies would be wrong.

    The text of the file in which the function stands is part of the fingerprint; what it imports from elsewhere is not.

    :param name: ``module:function``
    :raises InputError: if there is no such function
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.function = _find(name)
        self.identity = f" rule={hashlib.blake2b(_code(self.function, name).encode(), digest_size=16).hexdigest()}"

    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:  # noqa: D102 - as its base
        if not len(batch):
            return []
        order = batch.canonical()[1]
        numbers = np.take_along_axis(batch.numbers, order, axis=1)
        positions = batch.positions - batch.positions.min(axis=1, keepdims=True)
        positions = np.take_along_axis(positions, order[:, :, None], axis=1)
        wanted = [self._of_one(*row) for row in zip(numbers, positions, batch.charges.tolist(), strict=True)]
        return self.possible(batch, wanted, n_orbitals)

    def _of_one(self, numbers: np.ndarray, positions: np.ndarray, charge: int) -> list[int]:
        count = electrons(numbers, charge)
        try:
            answer = self.function(numbers, positions, charge)
        except Exception as error:  # whatever a function of the user's raises
            raise InputError(
                f"spin={self.name} must give multiplicities, and raised {type(error).__name__}: {first_line(error)}"
            ) from error
        multiplicities = _multiplicities(answer)
        if not multiplicities or multiplicities[0] < 1 or isinstance(answer, bool):
            raise InputError(
                f"spin={self.name} must give a multiplicity 2S + 1 (1, 2, …) or several, got {' '.join(repr(answer).split())} "
                f"for atomic numbers {numbers.tolist()}"
            )
        for multiplicity in multiplicities:
            if (multiplicity - 1 - count) % 2 or multiplicity > count + 1:
                least = 1 + count % 2
                raise InputError(
                    f"spin={self.name} must give multiplicities that the electrons can have, got {multiplicity} for {count} "
                    f"electrons of atomic numbers {numbers.tolist()}; they can have {_listed(least, count + 1)}"
                )
        return [multiplicity - 1 for multiplicity in multiplicities]


def spin_rule(name: str, total_spin: bool) -> SpinRule:
    """The rule of a name.

    :param name: one of :data:`bodyorder.sources.pyscf.SPIN_RULES`, or ``module:function``
    :param total_spin: whether the states of the method that it serves have a total spin
    :raises InputError: if there is no such function
    """
    if ":" in name:
        return FunctionRule(name)
    if name == "pattern":
        return PatternRule(name, total_spin)
    return HighRule(name) if name == "high" else ElectronRule(name, total_spin)


def reference(function: Callable[..., Any]) -> str:
    """How a function is named, ``module:function``.

    :raises InputError: if it cannot be found by that name, as worker processes must
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if not inspect.isfunction(function) or getattr(module, name, None) is not function:
        raise InputError(
            f"`spin` must be a function at the top level of a module, where worker processes find it, got {name!r}; "
            "define it there with def"
        )
    return f"{function.__module__}:{name}"


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


def _multiplicities(answer: Any) -> list[int]:
    """One whole number or several, ascending; none if it is neither."""
    try:
        return [operator.index(answer)]
    except TypeError:
        pass
    try:
        return sorted({operator.index(value) for value in answer})
    except TypeError:
        return []


def _listed(least: int, most: int) -> str:
    known = [str(multiplicity) for multiplicity in range(least, most + 1, 2)]
    return ", ".join(known if len(known) < 5 else [*known[:2], "…", known[-1]])


def _find(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may raise anything
        raise InputError(
            f"the module of spin={name} could not be imported ({first_line(error)}); check its name, and set PYTHONPATH to "
            "the folder that has it"
        ) from error
    found = getattr(module, function_name, None)
    if not inspect.isfunction(found):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise InputError(
            f"spin={name} must name a function, {module_name} has none of that name{did_you_mean(function_name, known)}"
        )
    reference(found)
    return found


def _code(function: Callable[..., Any], name: str) -> str:
    for thing in (sys.modules[function.__module__], function):
        try:
            return inspect.getsource(thing)
        except (OSError, TypeError):  # not read from a file
            continue
    raise InputError(
        f"the text of spin={name} must be known, so that stored energies are told apart; write it to a file"
    )
