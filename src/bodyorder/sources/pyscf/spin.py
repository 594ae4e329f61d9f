"""Spin rules: which total spins a sub-cluster is computed in. Spins are counted as unpaired electrons, 2S."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from ase.data import ground_state_magnetic_moments

from bodyorder._checks import InputError
from bodyorder.structures.clusters import ClusterBatch


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
    counts = [int(number) for number in numbers]
    step = 1 if charge > 0 else -1
    for _ in range(abs(charge)):
        possible = [atom for atom, count in enumerate(counts) if count - step >= 0]
        best = max(possible, key=lambda atom: _unpaired(counts[atom] - step) - _unpaired(counts[atom]))
        counts[best] -= step
    return [_unpaired(count) for count in counts]


def candidate_spins(rule: str, numbers: Sequence[int] | np.ndarray, charge: int, n_orbitals: int) -> list[int]:
    """Numbers of unpaired electrons that a spin rule allows, ascending.

    :param rule: ``low``: 0 or 1; ``ground``: all that the orbitals can hold; ``high``: the sum over the atoms of their
        unpaired electrons (the parity follows from the number of electrons)
    :raises InputError: if the orbitals cannot hold the electrons in that way
    """
    count = electrons(numbers, charge)
    most = min(count, 2 * n_orbitals - count)
    wanted = {
        "low": [count % 2],
        "ground": range(count % 2, most + 1, 2),
        "high": [sum(unpaired_electrons(numbers, charge))],
    }[rule]
    spins = [spin for spin in wanted if spin <= most]
    if not spins:
        raise InputError(
            f"the basis must hold the electrons, {n_orbitals} orbitals cannot hold {count} electrons of atomic numbers "
            f"{[int(number) for number in numbers]} with spin={rule}; use a larger basis"
        )
    return spins


class NamedRule:
    """A spin rule that looks at the elements and the charge alone.

    :param name: one of :data:`bodyorder.sources.pyscf.SPIN_RULES`
    """

    #: what of the structure around its atoms a sub-cluster's spin depends on
    context: tuple[str, ...] = ()
    #: what the fingerprint must hold beside the name of the rule
    identity = ""

    def __init__(self, name: str):
        self.name = name

    def spins(self, batch: ClusterBatch, n_orbitals: np.ndarray) -> list[tuple[int, ...]]:
        """Numbers of unpaired electrons that each sub-cluster may have, ascending.

        :param n_orbitals: basis functions of each sub-cluster, shape (n,)
        :raises InputError: if the orbitals cannot hold the electrons in that way
        """
        return [
            tuple(candidate_spins(self.name, batch.numbers[row], int(batch.charges[row]), int(n_orbitals[row])))
            for row in range(len(batch))
        ]

    def moments(self, batch: ClusterBatch) -> np.ndarray | None:
        """Unpaired electrons of each atom to start a mean field from, shape (n, k), or None where the method chooses."""
        return None


def spin_rule(name: str) -> NamedRule:
    """The rule of a name."""
    return NamedRule(name)


def _unpaired(n_electrons: int) -> int:
    return int(ground_state_magnetic_moments[n_electrons])
