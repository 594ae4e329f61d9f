"""What is recorded of the lowest solution among several numbers of unpaired electrons."""

from __future__ import annotations

from collections.abc import Sequence

from bodyorder.sources.pyscf.problem import Answer

#: Solutions of two numbers of unpaired electrons closer than this (hartree) may stand in the wrong order.
DEGENERATE = 1e-3


def record_state(answer: Answer, row: int, unpaired: int, energies: Sequence[float], doubt: float = 0.0) -> None:
    """Keep the energy and multiplicity of a solution, and how much both may be trusted.

    :param unpaired: electrons of the lowest solution
    :param energies: the lowest with each number of unpaired electrons, ascending, in hartree
    :param doubt: uncertainty of the lowest one for another reason, in hartree
    """
    answer.energies[row] = energies[0]
    answer.record("multiplicity", row, unpaired + 1)
    gap = energies[1] - energies[0] if len(energies) > 1 else DEGENERATE
    if gap < DEGENERATE:
        answer.record("gap", row, gap)
        doubt = max(doubt, gap)
    if doubt:
        answer.record("uncertainty", row, doubt)
