"""Forces from density matrices and the derivatives of the integrals.

dE/dR = Tr γ dh + ½ Σ Γ d(μν|λσ) − Tr W dS + dV_nn, with W = γh + Γ·(μν|λσ) the energy-weighted density. It holds for full
configuration interaction, whose energy no rotation of the orbitals changes (Yamaguchi et al., *A New Dimension to
Quantum Chemistry*, Oxford 1994, chapter 3).
"""

from __future__ import annotations

import numpy as np

from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians
from bodyorder.sources.pyscf.integrals import ClusterGradients
from bodyorder.sources.pyscf.orbitals import unpack


def electronic_gradient(
    hamiltonians: Hamiltonians,
    densities: Densities,
    orbitals: np.ndarray,
    gradients: ClusterGradients,
    atoms: np.ndarray,
) -> np.ndarray:
    """Derivative of the electronic energy with respect to the positions.

    :param hamiltonians: over orthonormal orbitals
    :param densities: over the same orbitals
    :param orbitals: their coefficients in the atomic functions, shape (n, functions, orbitals)
    :param gradients: derivatives of the integrals over the atomic functions
    :param atoms: the atom that each function belongs to, shape (functions,)
    :return: hartree/bohr, shape (n, k, 3)
    """
    n, m = hamiltonians.core.shape[:2]
    repulsion = unpack(hamiltonians.repulsion, m).reshape(n, m, m**3)
    weighted = hamiltonians.core @ densities.one
    weighted = weighted + repulsion @ densities.two.reshape(n, m, m**3).transpose(0, 2, 1)
    weighted = 0.5 * (weighted + weighted.transpose(0, 2, 1))
    across = orbitals.transpose(0, 2, 1)
    one = orbitals @ densities.one @ across
    weighted = orbitals @ weighted @ across
    two = _packed(densities.two, orbitals)

    # each function moves with its atom, and an integral's derivative there is minus the gradient on the electron
    moved = -2.0 * np.einsum("nmv,nxmv->nxm", one, gradients.kinetic)
    moved += 2.0 * np.einsum("nmv,nxmv->nxm", weighted, gradients.overlap)
    moved -= 2.0 * np.einsum("nxmk,nmk->nxm", gradients.repulsion.reshape(*gradients.repulsion.shape[:3], -1), two)
    pulled = 2.0 * np.einsum("nmv,naxmv->naxm", one, gradients.attraction)
    moved -= pulled.sum(axis=1)
    on_atom = (atoms[:, None] == np.arange(gradients.attraction.shape[1])).astype(np.float64)
    # a nucleus that attracts feels what the functions do not: shifting everything at once changes nothing
    return (moved @ on_atom).transpose(0, 2, 1) + pulled.sum(axis=3)


def _packed(two: np.ndarray, orbitals: np.ndarray) -> np.ndarray:
    """Γ in the atomic functions, the first one alone and the other three in one axis: (n, μ, ν·pairs of λσ)."""
    n, functions, m = orbitals.shape
    half = (orbitals @ two.reshape(n, m, m**3)).reshape(n, functions, m, m * m)
    half = orbitals[:, None] @ half
    half = half.reshape(n, functions * functions, m, m) @ orbitals.transpose(0, 2, 1)[:, None]
    full = orbitals[:, None] @ half
    first, second = np.tril_indices(functions)
    twice = np.where(first == second, 1.0, 2.0)
    return (full[:, :, first, second] * twice).reshape(n, functions, -1)
