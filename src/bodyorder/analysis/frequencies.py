"""Harmonic frequencies of truncated expansions against those of the whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from ase import units
from ase.data import atomic_masses, chemical_symbols

from bodyorder._checks import InputError, check_positive
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.results.variables import describe

#: cm⁻¹ for a force constant of 1 eV/Å² and a mass of 1 u.
WAVENUMBER = units._hbar * 1e10 / np.sqrt(units._e * units._amu) / units.invcm
#: A combination of rigid motions shorter than this (relative) is none: atoms on one line turn about two axes alone.
RIGID = 1e-6


def harmonic_frequencies(results: SeveralResults, masses: Mapping[str, float] | None = None) -> xr.Dataset:
    """Frequencies by the sum of all orders up to each, and by the whole.

    The mass-weighted Hessian is diagonalised in the space without rigid motions (Wilson, Decius and Cross, *Molecular
    Vibrations*, 1955). A truncated expansion has its minimum elsewhere than the whole: what is compared is the
    curvature at one place.

    :param results: a result with Hessians, several on the same structures by name, or a combined one
    :param masses: in u by chemical symbol, where they are not the standard ones
    :return: ``frequency`` with dims (structure, order, mode) and ``frequency_total`` (structure, mode) in cm⁻¹, ascending,
        imaginary ones negative, NaN for modes that a structure does not have and orders above its bodies; ``frequency_error``,
        the root mean square of their difference over modes in the order of their frequencies (structure, order); behind
        ``source`` if several results were given
    :raises InputError: if no result holds Hessians, for a mass that is none
    """
    aligned = align(results)
    data = aligned.data
    if "hessian_contribution" not in data:
        raise InputError("frequencies must come from a result with Hessians; decompose with hessians=True")
    table = atomic_masses.copy()
    for symbol, mass in (masses or {}).items():
        if symbol not in chemical_symbols:
            raise InputError(f"`masses` must be given by chemical symbol, got {symbol!r}")
        table[chemical_symbols.index(symbol)] = check_positive("masses", mass)
    numbers, positions = data["site_number"].values, data["site_position"].transpose("site", "xyz").values
    owners, owners_of_pairs = data["site_structure"].values, data["atoms_structure"].values
    by_order = data["hessian_contribution"].transpose("source", "order", "atoms", "xyz", "by_xyz").values.cumsum(axis=1)
    wholes = data["hessian_total"].transpose("source", "atoms", "xyz", "by_xyz").values
    n_sources, top = by_order.shape[:2]
    structures = data["structure"].values
    n_modes = max(1, 3 * int(np.bincount(owners).max()) - 5)
    frequency = np.full((n_sources, len(structures), top, n_modes), np.nan)
    total = np.full((n_sources, len(structures), n_modes), np.nan)
    for index in range(len(structures)):
        sites, pairs = np.flatnonzero(owners == index), np.flatnonzero(owners_of_pairs == index)
        weights = np.sqrt(table[numbers[sites]])
        inner = _vibrations(positions[sites], weights)
        n_bodies = int(data["n_bodies"].values[index])
        for source in range(n_sources):
            own = [by_order[source, order, pairs] for order in range(min(top, n_bodies))]
            for order, hessian in enumerate(own):
                found = _frequencies(hessian, weights, inner)
                frequency[source, index, order, : len(found)] = found
            found = _frequencies(wholes[source, pairs], weights, inner)
            total[source, index, : len(found)] = found
    known = ~np.isnan(frequency).all(axis=(0, 1, 2)) | ~np.isnan(total).all(axis=(0, 1))
    apart = np.square(frequency - total[:, :, None])
    counted = np.maximum(np.isfinite(apart).sum(axis=3), 1)
    error = np.where(np.isnan(apart).all(axis=3), np.nan, np.sqrt(np.nansum(apart, axis=3) / counted))
    dataset = xr.Dataset(
        {
            "frequency": (("source", "structure", "order", "mode"), frequency[..., known]),
            "frequency_total": (("source", "structure", "mode"), total[..., known]),
            "frequency_error": (("source", "structure", "order"), error),
        },
        coords={"source": data["source"], "structure": structures, "order": data["order"]},
    )
    return describe(aligned.of_one(dataset))


def _vibrations(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Orthonormal mass-weighted motions that are neither shifts nor turns, as columns, shape (3k, modes)."""
    centred = positions - np.average(positions, axis=0, weights=weights**2)
    shifts = weights[:, None, None] * np.eye(3)
    turns = weights[:, None, None] * np.cross(np.eye(3)[None], centred[:, None, :]).transpose(0, 2, 1)
    rigid = np.concatenate([shifts, turns], axis=2).reshape(-1, 6)
    left, sizes, _ = np.linalg.svd(rigid, full_matrices=True)
    return left[:, int((sizes > RIGID * sizes.max()).sum()) :]


def _frequencies(hessian: np.ndarray, weights: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """In cm⁻¹, ascending, imaginary ones negative; NaN where a second derivative is.

    :param hessian: shape (k², 3, 3)
    :param inner: shape (3k, modes)
    """
    k = len(weights)
    matrix = (hessian.reshape(k, k, 3, 3) / np.multiply.outer(weights, weights)[..., None, None]).transpose(0, 2, 1, 3)
    if not np.isfinite(matrix).all():
        return np.full(inner.shape[1], np.nan)
    values = np.linalg.eigvalsh(inner.T @ matrix.reshape(3 * k, 3 * k) @ inner)
    return np.sign(values) * np.sqrt(np.abs(values)) * WAVENUMBER
