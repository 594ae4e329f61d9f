"""The fit: features and targets as a least-squares problem, solved for every strength of regularisation at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from metatomic.torch import systems_to_torch
from scipy.linalg import qr

from bodyorder.training.soap_ridge.model import LinearSoap

#: Clusters whose features are computed in one call: gradients of the features take most of the memory.
_CHUNK = 100
#: What is smaller than this against the largest of its kind is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Rows:
    """A set as rows of a least-squares problem: first a row for each energy, then one for each component of a force.

    A model predicts ``features @ weights.ravel() + shares @ baseline``.

    :param features: of energies (per atom), then of forces; shape (rows, elements · features)
    :param shares: share of the atoms that are of each element, zero in rows of forces; shape (rows, elements)
    :param targets: in eV per atom, then eV/Å; shape (rows,)
    :param n_energies: how many rows are of energies
    """

    features: np.ndarray
    shares: np.ndarray
    targets: np.ndarray
    n_energies: int


@dataclass(frozen=True)
class Fit:
    """A solution for one strength of regularisation.

    :param strength: λ, relative to the largest squared singular value
    :param weights: of the features in eV, shape (elements, features)
    :param baseline: energy in eV of an atom of each element where its features are zero, shape (elements,)
    """

    strength: float
    weights: np.ndarray
    baseline: np.ndarray


def make_rows(model: LinearSoap, clusters: Sequence[ase.Atoms], forces: bool) -> Rows:
    """Features and targets of a set.

    :param clusters: with ``energy`` (eV) in their ``info`` and, where forces count, ``forces`` (eV/Å) in their ``arrays``
    :param forces: whether they do
    """
    parts = [_features(model, clusters[start : start + _CHUNK], forces) for start in range(0, len(clusters), _CHUNK)]
    of_energies, of_forces = (np.concatenate(column) for column in zip(*parts, strict=True))
    shares = np.array([[np.mean(atoms.numbers == element) for element in model.elements] for atoms in clusters])
    targets = [np.array([atoms.info["energy"] / len(atoms) for atoms in clusters])]
    if forces:
        targets.append(np.concatenate([atoms.arrays["forces"].ravel() for atoms in clusters]))
    return Rows(
        np.concatenate([of_energies, of_forces]),
        np.concatenate([shares, np.zeros((len(of_forces), shares.shape[1]))]),
        np.concatenate(targets),
        len(clusters),
    )


def solve(
    rows: Rows, strengths: Sequence[float], *, energy_weight: float, baseline: np.ndarray | None = None
) -> list[Fit]:
    r"""Minimise w_E ⟨(ΔE/n)²⟩ + ⟨ΔF²⟩ + λ s² ‖w̃‖² over weights w and, unless it is given, the baseline.

    w̃ are the weights of the features divided by their spread, their root mean square over the rows weighted as in the loss; s
    is the largest singular value of those rows. The baseline bears no penalty. One singular value decomposition serves all λ
    (T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning (2009), sec. 3.4.1,
    doi:10.1007/978-0-387-84858-7).

    :param strengths: values of λ
    :param energy_weight: w_E
    :param baseline: energies of atoms that are fixed (eV), shape (elements,), or None to fit them
    :return: a solution for each λ
    :raises ValueError: if no feature varies
    """
    n_forces = len(rows.targets) - rows.n_energies
    scale = np.full(len(rows.targets), 1 / np.sqrt(max(n_forces, 1)))
    scale[: rows.n_energies] = np.sqrt(energy_weight / rows.n_energies)
    targets = rows.targets if baseline is None else rows.targets - rows.shares @ baseline
    features, shares, targets = rows.features * scale[:, None], rows.shares * scale[:, None], targets * scale
    if baseline is None:
        # The baseline is eliminated: what is left of everything is orthogonal to it.
        basis = _basis(shares)
        features, targets = features - basis @ (basis.T @ features), targets - basis @ (basis.T @ targets)
    spread = np.sqrt((features**2).mean(axis=0))
    if not spread.max() > 0:
        raise ValueError("features must vary, and no cluster has atoms within the cutoff of each other")
    # a feature that never varies says nothing
    spread = np.where(spread > _NOTHING * spread.max(), spread, np.inf)
    left, singular, right = np.linalg.svd(features / spread, full_matrices=False)
    projected = left.T @ targets
    fits = []
    for strength in strengths:
        damped = singular / (singular**2 + strength * singular[0] ** 2) * projected
        weights = (right.T @ damped) / spread
        free = baseline
        if free is None:
            free = np.linalg.lstsq(shares, (rows.targets - rows.features @ weights) * scale)[0]
        fits.append(Fit(strength, weights.reshape(rows.shares.shape[1], -1), free))
    return fits


def errors(rows: Rows, fit: Fit) -> tuple[float, float]:
    """Root mean square errors: of energies in eV per atom, of forces in eV/Å (NaN without)."""
    missed = rows.features @ fit.weights.ravel() + rows.shares @ fit.baseline - rows.targets
    energies, forces = missed[: rows.n_energies], missed[rows.n_energies :]
    return float(np.sqrt((energies**2).mean())), float(np.sqrt((forces**2).mean())) if len(forces) else float("nan")


def _basis(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what columns span, fewer than there are if they depend on each other: all clusters water, say."""
    basis, upper, _ = qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(upper))
    return basis[:, sizes > _NOTHING * sizes[0]]


def _features(model: LinearSoap, clusters: Sequence[ase.Atoms], forces: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features of energies per atom, and of the components of forces (no rows where forces do not count).

    Those of an energy are sums over the atoms of each element, those of a force the negative derivatives of these sums.
    """
    spectrum = model.soap.compute(
        systems_to_torch(clusters, dtype=torch.float64), gradients=["positions"] if forces else []
    )
    sizes = np.array([len(atoms) for atoms in clusters])
    starts = torch.from_numpy(np.cumsum(sizes) - sizes)
    shape = (len(model.elements), model.n_features)
    of_energies = torch.zeros(len(clusters), *shape, dtype=torch.float64)
    of_forces = torch.zeros(int(sizes.sum()) if forces else 0, 3, *shape, dtype=torch.float64)
    for key, block in spectrum.keys_to_properties(model.neighbours).items():
        kind = model.elements.index(int(key["center_type"]))
        owners = block.samples.column("system").long()
        of_energies[:, kind].index_add_(0, owners, block.values)
        if forces:
            gradient = block.gradient("positions")
            moved = starts[gradient.samples.column("system").long()] + gradient.samples.column("atom").long()
            of_forces[:, :, kind].index_add_(0, moved, gradient.values, alpha=-1)
    width = shape[0] * shape[1]
    return of_energies.reshape(-1, width).numpy() / sizes[:, None], of_forces.reshape(-1, width).numpy()
