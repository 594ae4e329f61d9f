"""Electrons of sub-clusters, and the unpaired ones among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bodyorder._checks import InputError
from bodyorder.sources.spin.atoms import most_unpaired_of_atom, unpaired_of_atom


def electrons(numbers: Iterable[int], charge: int, core: int = 0) -> int:
    """Number of electrons.

    :param core: how many of them are not counted, as core potentials stand for them
    :raises InputError: if the charge leaves fewer than none
    """
    count = sum(int(number) for number in numbers) - charge - core
    if count < 0:
        outside = f" beside the {core} that core potentials stand for" if core else ""
        raise InputError(
            f"a charge must leave no fewer than 0 electrons{outside}, {charge:+d} on atomic numbers "
            f"{[int(number) for number in numbers]} does"
        )
    return count


def unpaired_electrons(numbers: Iterable[int], charge: int) -> list[int]:
    """Unpaired electrons of every atom in its ground state, the charge placed where it leaves the most of them.

    An ion counts like the neutral atom with as many electrons: He⁺ like H, C⁻ like N.
    """
    return [unpaired_of_atom(count) for count in electrons_of_atoms(numbers, charge)]


def most_unpaired_electrons(numbers: Iterable[int], charge: int) -> list[int]:
    """Unpaired electrons that every atom can have without leaving its open shells, the charge placed where that is most."""
    return [most_unpaired_of_atom(count) for count in electrons_of_atoms(numbers, charge, most_unpaired_of_atom)]


def electrons_of_atoms(
    numbers: Iterable[int], charge: int, unpaired: Callable[[int], int] = unpaired_of_atom
) -> list[int]:
    """Electrons of every atom, the charge placed where it leaves the most unpaired ones.

    :param unpaired: how many of those an atom has, given all its electrons
    """
    counts = [int(number) for number in numbers]
    step = 1 if charge > 0 else -1
    for _ in range(abs(charge)):
        possible = [atom for atom, count in enumerate(counts) if count - step >= 0]
        gains = {atom: unpaired(counts[atom] - step) - unpaired(counts[atom]) for atom in possible}
        counts[max(possible, key=gains.__getitem__)] -= step
    return counts
