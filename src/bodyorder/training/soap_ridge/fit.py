"""The fit: features and targets as a least-squares problem, solved for every strength of regularisation at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import torch
from metatomic.torch import systems_to_torch

from bodyorder.training.soap_ridge.model import LinearSoap

#: Clusters whose features are computed in one call: gradients of the features take most of the memory.
_CHUNK = 100


@dataclass(frozen=True)
class Rows:
    """A set as rows of a least-squares problem.

    :param features: of energies per atom, then of forces; shape (n, elements · features)
    :param counts: share of atoms of each element, shape (n, elements), zero for forces
    :param targets: in eV per atom, then eV/Å
    :param n_energies: how many rows are of energies
    """

    features: np.ndarray
    counts: np.ndarray
    targets: np.ndarray
    n_energies: int


@dataclass(frozen=True)
class Fit:
    """A solution for one strength of regularisation.

    :param strength: λ, relative to the largest squared singular value
    :param weights: of the features, shape (elements, features)
    :param baseline: energy in eV of an atom of each element where its features are zero
    """

    strength: float
    weights: np.ndarray
    baseline: np.ndarray


def make_rows(model: LinearSoap, clusters: Sequence[ase.Atoms], forces: bool) -> Rows:
    """Features and targets of a set.

    :param clusters: with ``energy`` (eV) in their ``info`` and, where forces count, ``forces`` (eV/Å) in their ``arrays``
    :param forces: whether they do
    """
    parts = [_rows(model, clusters[start : start + _CHUNK], forces) for start in range(0, len(clusters), _CHUNK)]
    energies, slopes, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    targets = [np.array([atoms.info["energy"] / len(atoms) for atoms in clusters])]
    if forces:
        targets.append(np.concatenate([atoms.arrays["forces"].ravel() for atoms in clusters]))
    return Rows(
        np.concatenate([energies, slopes]),
        np.concatenate([counts, np.zeros((len(slopes), counts.shape[1]))]),
        np.concatenate(targets),
        len(clusters),
    )


def solve(
    rows: Rows, strengths: Sequence[float], *, energy_weight: float, baseline: np.ndarray | None, n_elements: int
) -> list[Fit]:
    r"""Minimise w_E ⟨(ΔE/n)²⟩ + ⟨ΔF²⟩ + λ s² \|w\|², features scaled to unit spread, the baseline free of the penalty.

    One singular value decomposition serves all λ (T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical
    Learning (2009), sec. 3.4.1, doi:10.1007/978-0-387-84858-7); s is the largest singular value.

    :param strengths: values of λ
    :param energy_weight: w_E
    :param baseline: energies of atoms that are fixed (eV), or None to fit them
    """
    scale = np.ones(len(rows.targets))
    scale[: rows.n_energies] = np.sqrt(energy_weight / rows.n_energies)
    n_forces = len(scale) - rows.n_energies
    scale[rows.n_energies :] = 1 / np.sqrt(max(n_forces, 1))
    targets = rows.targets if baseline is None else rows.targets - rows.counts @ baseline
    features, counts, targets = rows.features * scale[:, None], rows.counts * scale[:, None], targets * scale
    if baseline is None:
        # The baseline is eliminated: what is left of everything is orthogonal to it.
        basis, _ = np.linalg.qr(counts)
        features, targets = features - basis @ (basis.T @ features), targets - basis @ (basis.T @ targets)
    spread = np.sqrt((features**2).mean(axis=0))
    # a feature that never varies says nothing
    spread = np.where(spread > 1e-12 * spread.max(), spread, np.inf)
    left, singular, right = np.linalg.svd(features / spread, full_matrices=False)
    projected = left.T @ targets
    fits = []
    for strength in strengths:
        damped = singular / (singular**2 + strength * singular[0] ** 2) * projected
        weights = (right.T @ damped) / spread
        free = baseline
        if free is None:
            rest = (rows.targets - rows.features @ weights) * scale
            free = np.linalg.lstsq(counts, rest)[0]
        fits.append(Fit(strength, weights.reshape(n_elements, -1), free))
    return fits


def errors(rows: Rows, fit: Fit) -> tuple[float, float]:
    """Root mean square errors: of energies in eV per atom, of forces in eV/Å (NaN without)."""
    missed = rows.features @ fit.weights.ravel() + rows.counts @ fit.baseline - rows.targets
    energies, forces = missed[: rows.n_energies], missed[rows.n_energies :]
    return float(np.sqrt((energies**2).mean())), float(np.sqrt((forces**2).mean())) if len(forces) else float("nan")


def _rows(model: LinearSoap, clusters: Sequence[ase.Atoms], forces: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of energies per atom and of forces, and shares of atoms of each element."""
    systems = systems_to_torch(clusters, dtype=torch.float64)
    spectrum = model.soap.compute(systems, gradients=["positions"] if forces else [])
    sizes = np.array([len(atoms) for atoms in clusters])
    starts = torch.from_numpy(np.cumsum(sizes) - sizes)
    shape = (len(model.elements), model.n_features)
    energies = torch.zeros(len(clusters), *shape, dtype=torch.float64)
    slopes = torch.zeros(int(sizes.sum()) if forces else 0, 3, *shape, dtype=torch.float64)
    for key, block in spectrum.keys_to_properties(model.neighbours).items():
        kind = model.elements.index(int(key["center_type"]))
        energies[:, kind].index_add_(0, block.samples.column("system").long(), block.values)
        if forces:
            gradient = block.gradient("positions")
            moved = starts[gradient.samples.column("system").long()] + gradient.samples.column("atom").long()
            slopes[:, :, kind].index_add_(0, moved, gradient.values, alpha=-1)
    counts = np.array([[np.sum(atoms.numbers == element) for element in model.elements] for atoms in clusters])
    width = shape[0] * shape[1]
    return (
        energies.reshape(len(clusters), width).numpy() / sizes[:, None],
        slopes.reshape(-1, width).numpy(),
        counts / sizes[:, None],
    )
