"""Exchange and correlation of determinants, integrated over points.

The density and its derivatives come from the occupied orbitals, and what a potential makes of those orbitals is all that a
gradient needs: a look costs a small part of what whole matrices cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pyscf.dft import numint

from bodyorder.sources.pyscf.mean_field.kohn_sham.functional import Functional
from bodyorder.sources.pyscf.mean_field.kohn_sham.points import Points, Portion

_NUMINT = numint.NumInt()
#: Components of the density and its derivatives.
COMPONENTS = {"LDA": 1, "GGA": 4, "MGGA": 5}


def acting(functional: Functional, points: Points, orbitals: Sequence[np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """Energy of a determinant in hartree, and its potential times its occupied orbitals, shape (m, occupied) each.

    :param orbitals: occupied ones; of both spins, or one set that holds pairs
    """
    energy, images = 0.0, [np.zeros_like(some) for some in orbitals]
    if functional.kind == "HF":
        return energy, images
    for portion, waves, density, potential in _looks(functional, points, orbitals):
        energy += density
        for wave, weighted, image in zip(waves, potential, images, strict=True):
            image[portion.own] += _act(portion, wave, weighted[None])[portion.held, 0]
    return energy, images


def matrices(functional: Functional, points: Points, orbitals: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """The same energy, and its potentials as matrices, shape (sets, m, m)."""
    m = len(orbitals[0])
    energy, result = 0.0, np.zeros((len(orbitals), m, m))
    if functional.kind == "HF":
        return energy, result
    for portion, _, density, potential in _looks(functional, points, orbitals):
        energy += density
        place, held = np.ix_(portion.own, portion.own), np.ix_(portion.held, portion.held)
        for weighted, matrix in zip(potential, result, strict=True):
            matrix[place] += _matrix(portion.functions, weighted)[held]
    return energy, result


def _looks(
    functional: Functional, points: Points, orbitals: Sequence[np.ndarray]
) -> Iterator[tuple[Portion, list[np.ndarray], float, np.ndarray]]:
    """Portions, the orbitals there, the energy there, and weighted derivatives by the density, shape (sets, components, p)."""
    count, closed = COMPONENTS[functional.kind], len(orbitals) == 1
    for portion in points.portions():
        waves = [waves_on(portion, some, count) for some in orbitals]
        density = np.array([density_of(wave, count, 2.0 if closed else 1.0) for wave in waves])
        each, slopes, *_ = _NUMINT.eval_xc_eff(
            functional.name, density[0] if closed else density, deriv=1, xctype=functional.kind, spin=int(not closed)
        )
        energy = float((density[:, 0].sum(axis=0) * portion.weights) @ np.ravel(each))
        yield portion, waves, energy, slopes.reshape(density.shape) * portion.weights


def waves_on(portion: Portion, orbitals: np.ndarray, count: int) -> np.ndarray:
    """Values and derivatives of orbitals, shape (1 or 4, orbitals, p)."""
    return portion.gather(orbitals) @ portion.functions[: min(count, 4)]


def density_of(wave: np.ndarray, count: int, filling: float) -> np.ndarray:
    """Density, its gradient and the kinetic energy density, shape (components, p)."""
    result = np.empty((count, wave.shape[2]))
    result[0] = filling * np.einsum("ip,ip->p", wave[0], wave[0])
    if count > 1:
        result[1:4] = 2.0 * filling * np.einsum("ip,xip->xp", wave[0], wave[1:])
    if count > 4:
        result[4] = 0.5 * filling * np.einsum("xip,xip->p", wave[1:], wave[1:])
    return result


def _act(portion: Portion, wave: np.ndarray, potential: np.ndarray) -> np.ndarray:
    """∫ φ V ψ over some points for some V, shape (f, potentials, orbitals).

    :param potential: shape (potentials, components, p)
    """
    shape = len(potential), *wave.shape[1:]
    image = np.zeros((len(portion.functions[0]), shape[0] * shape[1]))
    for axis in range(len(wave)):
        if axis:
            part = potential[:, axis, None] * wave[0]
            if potential.shape[1] > 4:
                part += (0.5 * potential[:, 4, None]) * wave[axis]
        else:
            part = potential[:, 0, None] * wave[0]
            for other in range(1, len(wave)):
                part += potential[:, other, None] * wave[other]
        image += portion.functions[axis] @ part.reshape(shape[0] * shape[1], shape[2]).T
    return image.reshape(len(image), *shape[:2])


def _matrix(functions: np.ndarray, potential: np.ndarray) -> np.ndarray:
    half = (0.5 * potential[0]) * functions[0]
    for axis in range(1, min(len(potential), 4)):
        half += potential[axis] * functions[axis]
    matrix = half @ functions[0].T
    if len(potential) > 4:
        for axis in range(1, 4):
            matrix += ((0.25 * potential[4]) * functions[axis]) @ functions[axis].T
    return matrix + matrix.T


def weighted_images(
    portion: Portion,
    waves: list[np.ndarray],
    moved: list[np.ndarray],
    kernel: np.ndarray,
    images: list[np.ndarray],
) -> None:
    """Add what occupied orbitals feel when they move: ∫ φ δV ψ over some points.

    :param waves: occupied orbitals there
    :param moved: how they move, shape (count, m, occupied) each
    :param kernel: weighted second derivatives of the functional, shape (sets, components, sets, components, p)
    :param images: what is added to, shape (count, m, occupied) each
    """
    count = kernel.shape[1]
    changes = []
    for wave, some in zip(waves, moved, strict=True):
        number, m, occupied = some.shape
        flat = np.ascontiguousarray(some.transpose(1, 0, 2)).reshape(m, -1)
        shape = len(wave), number, occupied, wave.shape[2]
        changes.append(_change(wave, waves_on(portion, flat, count).reshape(shape), count))
    for wave, change, image in zip(
        waves, np.einsum("sxtyp,tnyp->snxp", kernel, np.array(changes), optimize=True), images, strict=True
    ):
        image[:, portion.own] += _act(portion, wave, change)[portion.held].transpose(1, 0, 2)


def _change(wave: np.ndarray, moved: np.ndarray, count: int) -> np.ndarray:
    """Change of a density of one spin and its derivatives, shape (number, components, p)."""
    result = np.empty((moved.shape[1], count, wave.shape[2]))
    result[:, 0] = 2.0 * np.einsum("ip,nip->np", wave[0], moved[0])
    if count > 1:
        result[:, 1:4] = 2.0 * np.einsum("xip,nip->nxp", wave[1:], moved[0])
        result[:, 1:4] += 2.0 * np.einsum("ip,xnip->nxp", wave[0], moved[1:])
    if count > 4:
        result[:, 4] = np.einsum("xip,xnip->np", wave[1:], moved[1:])
    return result
