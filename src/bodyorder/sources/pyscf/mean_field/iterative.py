"""One mean field at a time through PySCF, checked for stability.

For restricted ones, and for unrestricted ones with too many rotations to look at all together.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from pyscf import gto
from pyscf.scf import hf

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.integrals import ClusterIntegrals
from bodyorder.sources.pyscf.mean_field.descent import CURVATURE
from bodyorder.sources.pyscf.mean_field.fields import Solution, unrestricted

#: Rotations up to this many are looked at all together, more by iteration to a residual.
DENSE, RESIDUAL = 40, 1e-4
#: Angle (radians) by which a saddle point is left.
TURN = 0.5
#: Saddle points left one after the other before giving up.
ESCAPES = 8


def solve_iteratively(mol: gto.Mole, integrals: ClusterIntegrals, row: int, density: np.ndarray) -> Solution | None:
    """A stable unrestricted solution that a density leads to, or None."""
    field = stable(unrestricted(mol, integrals, row), density)
    if field is None:
        return None
    order = np.argsort(-field.mo_occ, axis=1, kind="stable")  # occupied ones first
    return Solution(
        mol.spin,
        float(field.e_tot),
        np.take_along_axis(np.array(field.mo_coeff), order[:, None], axis=2),
        np.take_along_axis(np.array(field.mo_energy), order, axis=1),
    )


def stable(field: hf.SCF, density: np.ndarray) -> hf.SCF | None:
    """Solve a mean field of any kind from a density, and on from every saddle point; None where that fails."""
    field.kernel(dm0=density)
    if not field.converged:
        _by_second_order(field, field.mo_coeff)
    for _ in range(ESCAPES):
        if not field.converged:
            return None
        curvature, lower = downhill(field)
        if curvature > CURVATURE:
            return field if np.isfinite(curvature) else None
        # a first-order method may fall back to the saddle point
        _by_second_order(field, lower)
    return None


def _by_second_order(field: hf.SCF, orbitals: np.ndarray) -> None:
    second = field.newton()
    second.verbose = 0
    second.kernel(orbitals, field.mo_occ)
    field.converged, field.e_tot = second.converged, second.e_tot
    field.mo_coeff, field.mo_occ, field.mo_energy = second.mo_coeff, second.mo_occ, second.mo_energy


def downhill(field: hf.SCF) -> tuple[float, np.ndarray]:
    """Lowest second derivative, infinite if it was not found, and the orbitals rotated along its direction."""
    second = field.newton()
    second.verbose = 0
    gradient, action, diagonal = second.gen_g_hop(field.mo_coeff, field.mo_occ)[:3]
    size = gradient.size
    if not size:
        return 0.0, field.mo_coeff
    if size <= DENSE:
        hessian = np.array([action(unit) for unit in np.eye(size)])
        values, vectors = scipy.linalg.eigh(0.5 * (hessian + hessian.T), subset_by_index=[0, 0])
        value, direction = values[0], vectors[:, 0]
    else:
        matrix = eigensolver.Matrix(
            lambda vectors: np.array([action(vector) for vector in vectors]), np.array(diagonal)
        )
        space = eigensolver.start(matrix)
        eigensolver.converge(matrix, space, RESIDUAL)
        value = space.energies[0] if space.residuals[0] <= RESIDUAL else np.inf
        direction = space.state
    turn = second.update_rotate_matrix(TURN * direction, field.mo_occ, mo_coeff=field.mo_coeff)
    return float(value), second.rotate_mo(field.mo_coeff, turn)
