"""Differences of energies that are rounding and nothing else, and energies that are seen to be rounded to float32."""

from __future__ import annotations

import numpy as np
from ase import units

from bodyorder.sources.protocol import Precision
from bodyorder.structures.clusters import FloatArray

#: Differences in eV, and as a fraction of the energy, that are rounding in float64 whatever precision is claimed.
NEGLIGIBLE, RELATIVE = 1e-10, 1e-12
#: Differences in units of the error of a difference of two energies of the claimed precision that are rounding too.
SIGMAS = 6 * np.sqrt(2)

#: What programs count energies in, in eV: float32 numbers of these are none in eV. CODATA moved the hartree in 2018 and 2022.
_COUNTED_IN = np.array(
    [1.0, units.Hartree, 27.211386245988, 27.211386245981, units.kcal / units.mol, units.kJ / units.mol]
)
#: Significant bits that energies must need to be taken for float32 numbers: 1.5 is one, and rounded by nobody.
_BITS = 16
#: Rounding of products with a unit in float64, as a fraction.
_PRODUCT = 4 * np.finfo(np.float64).eps


def tolerance(precision: Precision, size: float) -> float:
    """Difference in eV of two energies of some size (eV) and a claimed precision that is rounding."""
    return max(NEGLIGIBLE, RELATIVE * size, SIGMAS * float(precision.sigma(np.array(size))))


def seen_tolerance(precision: Precision, energies: FloatArray, n_atoms: int) -> float:
    """The same for energies at hand: those that are float32 numbers may be off by a digit for each atom.

    :param energies: in eV
    :param n_atoms: of the structure that they are of
    """
    digits = n_atoms * float(last_digits(energies).max())
    return max(tolerance(precision, float(np.abs(energies).max())), digits)


def last_digits(energies: FloatArray) -> FloatArray:
    """Steps in eV between float32 numbers at each energy where all energies are such numbers; zero where they are not.

    Energies in hartree, kcal/mol or kJ/mol that were float32 numbers before they became eV count too. That other energies are
    taken for such numbers has a chance of 1e-8 for a single one, and none for several.

    :param energies: in eV; what is not finite is not looked at
    """
    with np.errstate(over="ignore"):  # of atoms on top of each other
        known = energies[np.isfinite(energies) & (energies != 0)]
        # the first one tells almost always
        for unit in _COUNTED_IN[_are_single(known[0] / _COUNTED_IN)] if len(known) else ():
            if _are_single(known / unit).all() and _need_bits(known / unit):
                return np.nan_to_num(unit * np.spacing(np.abs(energies / unit).astype(np.float32)).astype(np.float64))
    return np.zeros(energies.shape)


def _are_single(numbers: FloatArray) -> np.ndarray:
    return np.abs(numbers - numbers.astype(np.float32)) <= _PRODUCT * np.abs(numbers)


def _need_bits(numbers: FloatArray) -> bool:
    mantissas = np.ldexp(np.frexp(numbers.astype(np.float32))[0], _BITS)
    return bool((mantissas != np.rint(mantissas)).any())
