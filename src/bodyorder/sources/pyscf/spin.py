"""Spins in a basis: which of those that a rule allows its orbitals can hold. Spins are counted as unpaired electrons, 2S."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.spin.electrons import electrons
from bodyorder.sources.spin.rules import SpinRule
from bodyorder.structures.clusters import ClusterBatch


def spins_in_basis(
    rule: SpinRule, batch: ClusterBatch, n_orbitals: np.ndarray, cores: np.ndarray | None = None
) -> list[tuple[int, ...]]:
    """Numbers of unpaired electrons that each sub-cluster may have by a rule and can have in its basis, ascending.

    Rules look at atoms with all their electrons: the shells that a core potential stands for are closed.

    :param n_orbitals: basis functions of each sub-cluster, shape (n,)
    :param cores: electrons of each that core potentials stand for, shape (n,); none if not given
    :raises InputError: if there are none, or what the rule looks at is missing or does not fit
    """
    return [
        tuple(possible_spins(spins, numbers, charge, room, rule.name, core))
        for spins, numbers, charge, room, core in zip(
            rule.spins(batch),
            batch.numbers,
            batch.charges.tolist(),
            n_orbitals.tolist(),
            [0] * len(batch) if cores is None else cores.tolist(),
            strict=True,
        )
    ]


def possible_spins(
    wanted: Iterable[int], numbers: Sequence[int] | np.ndarray, charge: int, n_orbitals: int, rule: str, core: int = 0
) -> list[int]:
    """Those of some numbers of unpaired electrons that the orbitals can hold.

    :param wanted: of the parity of the number of electrons, ascending
    :param rule: what the user calls the rule
    :param core: electrons that core potentials stand for
    :raises InputError: if there is none
    """
    count, wanted = electrons(numbers, charge, core), list(wanted)
    if min(wanted) > count:
        raise InputError(
            f"spin={rule} must leave no more electrons unpaired than there are, it asks for {min(wanted)} of {count} electrons "
            f"of atomic numbers {[int(number) for number in numbers]} with charge {charge:+d}; change charges or moments"
        )
    spins = [spin for spin in wanted if spin <= min(count, 2 * n_orbitals - count)]
    if not spins:
        raise InputError(
            f"the basis must hold the electrons, {n_orbitals} orbitals cannot hold {count} electrons of atomic numbers "
            f"{[int(number) for number in numbers]} with spin={rule}; use a larger basis"
        )
    return spins
