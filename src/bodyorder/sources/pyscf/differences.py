"""Forces as differences of energies, for any method.

The repulsion of the nuclei is differentiated exactly; what the electrons make of it is smooth, down to nuclei that nearly meet.
Central differences of fourth order leave h⁴/30 of the fifth derivative. As shifting everything changes nothing, the last
atom needs none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ase.units import Bohr

from bodyorder.sources.differences import PLACES, derivatives, displaced, displacements
from bodyorder.sources.pyscf.integrals import IntegralCache, all_numbers, nuclear_gradient, nuclear_repulsion
from bodyorder.sources.pyscf.problem import Answer, Problem

#: Displacement in bohr.
STEP = 0.01
#: Weights of the energies of a derivative, and of the one in the middle, in a fourth difference.
CURVED, MIDDLE = np.array([1.0, -4.0, -4.0, 1.0]), 6.0
#: A larger fourth difference (hartree) is looked into with shorter steps: the energies may belong to more than one state, so
#: that their differences grow, or a mean field may begin to break its symmetry here, which bends the curve but does no harm.
SMOOTH = 1e-6
#: What the derivatives with two steps may differ by (hartree/bohr), and how often a step is halved until they do not.
AGREEMENT, HALVINGS = 1e-5, 3
#: Bytes that a displaced sub-cluster takes for each (pq|rs).
PER_INTEGRAL = 40.0

Run = Callable[[Problem, IntegralCache], Answer]


def gradients(run: Run, problem: Problem, cache: IntegralCache, step: float = STEP) -> Answer:
    """Energies and what is known of the states as ``run`` gives them, gradients by differences of its energies.

    Every displaced sub-cluster is computed in the spin that the one in place has.

    :param run: computes energies
    :param step: displacement in bohr
    :return: gradients in hartree/bohr; rows whose energies do not lie on one smooth curve have a message and no energy
    """
    answer = run(replace(problem, gradient=False), cache)
    slopes = np.zeros((len(problem.batch), problem.batch.n_atoms, 3))
    if problem.batch.n_atoms > 1:
        _differentiate(run, problem, cache, answer, slopes, step)
    answer.gradients[:] = slopes + nuclear_gradient(problem.batch, cache.basis)
    for values in (answer.energies, answer.gradients, *answer.records.values()):
        values[list(answer.messages)] = np.nan
    return answer


def _differentiate(
    run: Run, problem: Problem, cache: IntegralCache, answer: Answer, slopes: np.ndarray, step: float
) -> None:
    """Derivatives of the energies without the repulsion of the nuclei, in ``slopes``."""
    middle = answer.energies - nuclear_repulsion(problem.batch, cache.basis)
    for unpaired, rows in _by_spin(answer):
        asked = replace(problem, gradient=False, spins=problem.spins if unpaired is None else [unpaired])
        energies = _displaced_energies(run, asked, cache, answer, rows, step)
        bends = np.abs(energies @ CURVED + MIDDLE * middle[rows][:, None, None]).max(axis=(1, 2))
        slopes[rows] = derivatives(energies, step)
        doubtful = rows[bends > SMOOTH]
        for closer in step / 2.0 ** np.arange(1, HALVINGS + 1):
            if not len(doubtful):
                break
            better = derivatives(_displaced_energies(run, asked, cache, answer, doubtful, closer), closer)
            apart = np.abs(better - slopes[doubtful]).max(axis=(1, 2))
            slopes[doubtful] = better
            doubtful, apart = doubtful[apart > AGREEMENT], apart[apart > AGREEMENT]
        for row, difference in zip(doubtful.tolist(), apart if len(doubtful) else [], strict=True):
            answer.messages.setdefault(
                row,
                "energies must lie on one smooth curve for forces=numerical, with the last two steps, down to "
                f"{closer:.1g} bohr, their derivatives differ by {difference:.1e} hartree/bohr; states cross here",
            )


def _displaced_energies(
    run: Run, problem: Problem, cache: IntegralCache, answer: Answer, rows: np.ndarray, step: float
) -> np.ndarray:
    """Without the repulsion of the nuclei, of all atoms but the last moved each way, shape (rows, k − 1, 3, places)."""
    k = problem.batch.n_atoms
    shifts = displacements(k).reshape(-1, k, 3) * step * Bohr
    energies = np.empty(len(rows) * len(shifts))
    functions = float(cache.functions(all_numbers(problem.batch)[0]).sum())
    size = max(1, int(problem.memory / (PER_INTEGRAL * functions**4)))
    owners, kinds = np.repeat(rows, len(shifts)), np.tile(np.arange(len(shifts)), len(rows))
    for first in range(0, len(energies), size):
        part = slice(first, first + size)
        batch = displaced(problem.batch, owners[part], shifts[kinds[part]])
        moments = None if problem.moments is None else problem.moments[owners[part]]
        moved = run(replace(problem, batch=batch, moments=moments), cache)
        energies[part] = moved.energies - nuclear_repulsion(batch, cache.basis)
        for place, message in moved.messages.items():
            answer.messages.setdefault(int(owners[part][place]), f"displaced for its forces: {message}")
    return energies.reshape(len(rows), k - 1, 3, len(PLACES))


def _by_spin(answer: Answer) -> list[tuple[int | None, np.ndarray]]:
    """Rows that have an energy, by the unpaired electrons of their states; None where these are not known."""
    rows = np.array([row for row in range(len(answer.energies)) if row not in answer.messages], dtype=np.int64)
    multiplicities = np.nan_to_num(answer.records.get("multiplicity", np.zeros(len(answer.energies)))[rows])
    return [(int(value) - 1 if value else None, rows[multiplicities == value]) for value in np.unique(multiplicities)]
