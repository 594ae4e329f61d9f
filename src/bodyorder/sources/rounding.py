"""Differences of energies that are rounding, and nothing else."""

from __future__ import annotations

import numpy as np

from bodyorder.sources.protocol import Precision
from bodyorder.structures.clusters import FloatArray

#: Differences in eV, and as a fraction of the energy, that are rounding in float64 whatever precision is claimed.
NEGLIGIBLE, RELATIVE = 1e-10, 1e-12
#: Differences in units of the error of a difference of two energies of the claimed precision that are rounding too.
SIGMAS = 6 * np.sqrt(2)
#: Rounding in float32 in units of its last digit.
FEW = 100


def tolerance(precision: Precision, size: float) -> float:
    """Difference in eV of two energies of some size (eV) and a claimed precision that is rounding."""
    return max(NEGLIGIBLE, RELATIVE * size, SIGMAS * float(precision.sigma(np.array(size))))


def is_single(energies: FloatArray, off: float, size: float) -> bool:
    """Whether a difference is rounding in float32, as energies show that are such numbers.

    :param energies: in eV
    :param off: the difference in eV
    :param size: of the energies that differ, in eV
    """
    are_such = energies.any() and (energies == energies.astype(np.float32)).all()
    return bool(are_such and off < FEW * np.finfo(np.float32).eps * size)
