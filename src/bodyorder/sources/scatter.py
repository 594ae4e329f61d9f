"""How energies scatter about a smooth curve: rounding and iterations that stop early, told apart from kinks.

A potential is smooth almost everywhere, its noise is nowhere. Nine energies along a short line leave a rest beside the polynomial
that fits them best, as the difference table of Moré and Wild does (SIAM J. Sci. Comput. 33, 1292 (2011), doi:10.1137/100786125).
A kink of the potential (a cutoff that ends at an angle, units that switch on) leaves a rest too, and is no noise. It shrinks
where one looks closer: with the distance for a kink of the slope, with its square for one of the curvature. Noise does not, and
neither does a jump, such as one iteration more leaves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bodyorder.structures.clusters import FloatArray, IntArray

#: Å between neighbouring energies on a line: so short that a polynomial follows steep walls to some 1e-13 of their energy, and so
#: long that energies rounded in float32 change from one to the next.
STEP = 5e-4
#: Energies on a line, and the degree of the polynomial through them.
N_POINTS, DEGREE = 9, 5
#: Å between neighbouring energies where the kinks of a potential are too far apart to be met, and where on the line (Å) that is:
#: nowhere in particular. What is rounded coarsely may be the same number there.
TINY, ASIDE = 1e-7, 0.2e-3
#: How often it is looked closer, and the share of the rest that is left of noise then, nine energies alone letting it vary by a
#: factor of two. A kink of the slope leaves 1/28 after two times.
N_CLOSER, KEPT = 3, 1 / 4

_PLACES = np.arange(N_POINTS) - (N_POINTS - 1) / 2
#: What is looked at closer is a gap between two energies, and a quarter of it on both sides.
_CLOSER = 1.5 / (N_POINTS - 1)


def _rests(degree: int, steps: FloatArray) -> FloatArray:
    """Matrices that leave of energies on a line what a polynomial with a jump behind one of them does not fit."""
    smooth = np.vander(_PLACES / _PLACES[-1], degree + 1)
    both = [np.column_stack([smooth, step]) for step in steps]
    return np.array([np.eye(N_POINTS) - columns @ np.linalg.pinv(columns) for columns in both])


_SMOOTH = _rests(DEGREE, np.zeros((1, N_POINTS)))[0]
_JUMPS = _rests(DEGREE - 2, np.tri(N_POINTS)[:-1])


def scatter(ask: Callable[[IntArray, FloatArray], FloatArray], n_lines: int) -> FloatArray:
    """1σ of single energies in eV, of each of some lines; NaN where energies failed.

    :param ask: gives energies in eV, NaN for failures, on lines of these numbers, shape (m,), at these places in Å, shape (m,)
    :param n_lines: number of lines. Of each nine energies are asked for where they are smooth to rounding in float64, eighteen
        where they are not wherever one looks, and up to 45 where there is a kink or a jump.
    """
    middles, steps = np.zeros(n_lines), np.full(n_lines, STEP)
    energies = _asked(ask, np.arange(n_lines), middles, steps)
    found = _rest(energies)
    lines = np.flatnonzero(found > _rounding(energies))
    aside = np.zeros(n_lines)
    aside[lines] = _rest(_asked(ask, lines, np.full(len(lines), ASIDE), np.full(len(lines), TINY)))
    everywhere = aside >= KEPT * found
    rests = [found.copy()]
    found[lines] = np.hypot(found, aside)[lines] / np.sqrt(2)
    doubtful = lines = lines[~everywhere[lines]]
    energies = energies[lines]
    for _ in range(N_CLOSER):
        middles[lines] += (_PLACES[_jumps(energies)] + 0.5) * steps[lines]
        steps[lines] *= _CLOSER
        energies = _asked(ask, lines, middles[lines], steps[lines])
        rests.append(np.zeros(n_lines))
        rests[-1][lines] = _rest(energies)
        rough = rests[-1][lines] > _rounding(energies)
        lines, energies = lines[rough], energies[rough]
    stays = rests[-1] >= KEPT * np.maximum(*rests[:2])
    found[doubtful] = np.where(stays, np.sqrt(np.mean(np.square(rests), axis=0)), aside)[doubtful]
    return found


def _asked(
    ask: Callable[[IntArray, FloatArray], FloatArray], lines: IntArray, middles: FloatArray, steps: FloatArray
) -> FloatArray:
    """Energies about some places, shape (m, N_POINTS), from the mean of each line on."""
    if not len(lines):
        return np.zeros((0, N_POINTS))
    places = middles[:, None] + steps[:, None] * _PLACES
    return ask(np.repeat(lines, N_POINTS), places.ravel()).reshape(-1, N_POINTS)


def _jumps(energies: FloatArray) -> IntArray:
    """Behind which energy of each line a jump explains most."""
    return np.argmin(((energies @ _JUMPS) ** 2).sum(axis=2), axis=0)


def _rest(energies: FloatArray) -> FloatArray:
    """1σ beside a polynomial, of each line."""
    from_mean = energies - energies.mean(axis=1, keepdims=True)
    return np.sqrt(((from_mean @ _SMOOTH) ** 2).sum(axis=1) / (N_POINTS - 1 - DEGREE))


def _rounding(energies: FloatArray) -> FloatArray:
    """What energies of each line may scatter by in eV where they are sums in float64."""
    return np.maximum(1e-13, 8 * np.finfo(np.float64).eps * np.abs(energies).max(axis=1))
