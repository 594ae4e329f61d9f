"""The lowest eigenvalue of many large symmetric matrices at once, each known by its action on vectors.

A block Davidson iteration (Davidson, J. Comput. Phys. 17, 87 (1975), doi:10.1016/0021-9991(75)90065-0) with two changes
that keep it from settling on an excited state: it starts from random vectors, which overlap with every state of whatever
symmetry, and follows several of them; and its preconditioner is positive definite, so it pulls towards the bottom of the
spectrum and not towards whatever lies near the present estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Vectors followed. One misses the lowest of several close states of different symmetry once in a few hundred times.
BLOCK = 3
#: Vectors kept when the space is full or handed on.
KEPT = 8
#: Largest number of vectors.
SPACE = 40
#: Distance in hartree that the preconditioner keeps from the bottom of the diagonal.
SHIFT = 0.3
ITERATIONS = 400
#: Error of an energy (hartree) that no further step is worth.
ACCURACY = 1e-11


@dataclass(frozen=True)
class Matrices:
    """``n`` symmetric matrices of dimension d.

    :param apply: ``apply(vectors, rows)`` multiplies vectors of shape (rows, count, d) by the matrices of these rows
    :param diagonal: shape (n, d)
    :param project: keeps of vectors of shape (…, d) what belongs to the wanted space; None if that is the whole space
    :param block: vectors to follow
    :param kept: vectors to keep when the space is full or handed on
    :param capacity: vectors to hold at most
    """

    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]
    diagonal: np.ndarray
    project: Callable[[np.ndarray], np.ndarray] | None = None
    block: int = BLOCK
    kept: int = KEPT
    capacity: int = SPACE


@dataclass
class Subspace:
    """Orthonormal vectors that contain the estimates, and the matrices' action on them.

    :param vectors: shape (n, count, d); the first one belongs to the lowest energy
    :param images: the same shape
    :param energies: lowest eigenvalue in the subspace, shape (n,)
    :param residuals: |Hx − Ex| of its vector x, shape (n,), infinite where nothing has converged; an eigenvalue lies within
        this of the energy
    """

    vectors: np.ndarray
    images: np.ndarray
    energies: np.ndarray
    residuals: np.ndarray


def start(matrices: Matrices, seed: int = 0) -> Subspace:
    """Random vectors weighted towards small diagonal elements."""
    n, size = matrices.diagonal.shape
    noise = np.random.default_rng(seed).standard_normal((matrices.block, size))
    bottom = matrices.diagonal.min(axis=1, keepdims=True)
    vectors = noise[None] / (matrices.diagonal - bottom + SHIFT)[:, None]
    if matrices.project is not None:
        vectors = matrices.project(vectors)
    vectors = _orthonormal_rows(vectors)
    return Subspace(vectors, matrices.apply(vectors, np.arange(n)), np.full(n, np.inf), np.full(n, np.inf))


def converge(matrices: Matrices, space: Subspace, rows: np.ndarray, tolerance: float) -> None:
    """Improve the estimates of some rows, in place, until their residuals are below ``tolerance`` (hartree).

    A residual r that is larger is enough where the next state is known to lie a gap g above, so that the error of the energy,
    at most r²/g (Kato, J. Phys. Soc. Jpn. 4, 334 (1949), doi:10.1143/JPSJ.4.334), is below :data:`ACCURACY`. The residual of
    rows that do not get there in :data:`ITERATIONS` steps becomes infinite.
    """
    rows = rows[space.residuals[rows] > tolerance]
    space.residuals[rows] = np.inf
    count = space.vectors.shape[1]
    shape = (len(rows), matrices.capacity, space.vectors.shape[2])
    held, held_images = np.empty(shape), np.empty(shape)
    held[:, :count], held_images[:, :count] = space.vectors[rows], space.images[rows]
    floor = matrices.diagonal.min(axis=1)
    finished: dict[int, tuple[np.ndarray, ...]] = {}
    for _ in range(ITERATIONS):
        if not len(rows):
            break
        vectors, images = held[:, :count], held_images[:, :count]
        small = vectors @ images.transpose(0, 2, 1)
        values, coefficients = np.linalg.eigh(0.5 * (small + small.transpose(0, 2, 1)))
        energies = values[:, : matrices.block]
        wanted = coefficients[:, :, : matrices.block].transpose(0, 2, 1)
        residual = wanted @ images - energies[:, :, None] * (wanted @ vectors)
        norms = np.linalg.norm(residual, axis=2)
        gap = np.maximum(energies[:, 1] - norms[:, 1] - energies[:, 0], 0.0)
        done = (norms[:, 0] <= tolerance) | (norms[:, 0] ** 2 <= ACCURACY * gap)
        done &= count >= matrices.kept
        kept = coefficients[:, :, : matrices.kept].transpose(0, 2, 1)
        for place in np.flatnonzero(done):
            shrunk = kept[place] @ vectors[place], kept[place] @ images[place]
            finished[int(rows[place])] = (*shrunk, energies[place, 0], norms[place, 0])
        if count + matrices.block > matrices.capacity:
            count = matrices.kept
            held[:, :count], held_images[:, :count] = kept @ vectors, kept @ images
        if done.any():
            stay = ~done
            rows, held, held_images = rows[stay], held[stay], held_images[stay]
            residual, energies = residual[stay], energies[stay]
            if not len(rows):
                break
        bottom = np.minimum(floor[rows], energies[:, 0])
        step = residual / (matrices.diagonal[rows] - bottom[:, None] + SHIFT)[:, None]
        if matrices.project is not None:
            step = matrices.project(step)
        step = _orthonormal_rows(_without(step, held[:, :count]))
        step = _orthonormal_rows(_without(step, held[:, :count]))
        held[:, count : count + matrices.block] = step
        held_images[:, count : count + matrices.block] = matrices.apply(step, rows)
        count += matrices.block
    if finished:
        _store(space, finished, matrices.kept)


def _store(space: Subspace, finished: dict[int, tuple[np.ndarray, ...]], kept: int) -> None:
    if space.vectors.shape[1] != kept:
        shape = (len(space.vectors), kept, space.vectors.shape[2])
        space.vectors, space.images = np.zeros(shape), np.zeros(shape)
    for row, (vectors, images, energy, residual) in finished.items():
        space.vectors[row], space.images[row] = vectors, images
        space.energies[row], space.residuals[row] = energy, residual


def _without(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    return vectors - (vectors @ others.transpose(0, 2, 1)) @ others


def _orthonormal_rows(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.qr(vectors.transpose(0, 2, 1))[0].transpose(0, 2, 1)
