"""Point charges of bodies in each other's field, from unrestricted Hartree–Fock densities in the basis of the source.

Each body is solved among the point charges of the others, and its own follow from its density, until they change no more. A body
of one atom has its charge. Charges are linear in the density matrix P, q_a = c_a + Σ_{μν} w_{a,μν} P_{νμ}:

- ``mulliken``: q_a = Z_a − Σ_{μ∈a} (PS)_{μμ} (J. Chem. Phys. 23, 1833 (1955), doi:10.1063/1.1740588). They depend on the basis,
  and make little sense with diffuse functions.
- ``chelpg``: those whose potential is nearest to that of the body on a grid around it, and that add up to its charge (Breneman,
  Wiberg, J. Comput. Chem. 11, 361 (1990), doi:10.1002/jcc.540110311). The grid follows the axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols, vdw_radii
from ase.units import Bohr
from pyscf import gto
from pyscf.scf import uhf
from scipy.spatial.distance import cdist

from bodyorder._checks import ComputationError
from bodyorder.sources.pyscf.correlated.reference import tightened
from bodyorder.sources.pyscf.integrals import IntegralCache, attraction_by, charges_of
from bodyorder.sources.pyscf.mean_field import lowest_fields
from bodyorder.sources.pyscf.mean_field.fields import molecule_of, unrestricted
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.structures.clusters import ClusterBatch, System

#: Charges are found when none changes by more than this in a round (elementary charges), and rounded to it.
CHARGE = 1e-8
#: Rounds before giving up.
ROUNDS = 100
#: Points of a grid are so far apart, and at most so far from an atom (Å).
SPACING, REACH = 0.3, 2.8
#: Points whose integrals are evaluated at once.
POINTS = 500

#: Charges in a density matrix: weights, shape (k, m, m), and what they are without electrons, shape (k,).
Linear = tuple[np.ndarray, np.ndarray]


def iterated(
    system: System, kind: str, problem_of: Callable[[ClusterBatch], Problem], cache: IntegralCache
) -> np.ndarray:
    """Point charges of all atoms in elementary charges, shape (n_atoms,).

    :param system: a structure
    :param kind: one of :data:`KINDS`
    :param problem_of: what is asked of a body
    :param cache: where integrals come from
    :raises ComputationError: if a body has no mean field, or the charges do not settle
    """
    charges = system.charges.copy()
    bodies = [np.flatnonzero(system.bodies == body) for body in np.unique(system.bodies)]
    solvers = [_Body(system, atoms, kind, problem_of, cache) for atoms in bodies if len(atoms) > 1]
    change = 0.0
    for _ in range(ROUNDS):
        found = charges.copy()
        for body in solvers:
            found[body.atoms] = body.charges(charges)
        change, charges = float(np.abs(found - charges).max(initial=0.0)), found
        if change < CHARGE:
            return _rounded(charges, bodies, [float(np.rint(system.charges[atoms].sum())) for atoms in bodies])
    raise ComputationError(
        f"iterated charges ({kind}) must settle, and still change by {change:.1e} e after {ROUNDS} rounds; give charges"
    )


class _Body:
    """One body among the charges of the others.

    :param system: the structure
    :param atoms: of the body, shape (k,)
    """

    def __init__(
        self,
        system: System,
        atoms: np.ndarray,
        kind: str,
        problem_of: Callable[[ClusterBatch], Problem],
        cache: IntegralCache,
    ):
        self.atoms = atoms
        self._system, self._problem_of, self._cache = system, problem_of, cache
        self._total = float(np.rint(system.charges[atoms].sum()))
        self._charges_in = KINDS[kind]
        self._linear: Linear | None = None
        self._solved: uhf.UHF | None = None

    def charges(self, field: np.ndarray) -> np.ndarray:
        """Charges of its atoms, shape (k,), among those of all atoms, shape (n_atoms,)."""
        batch = ClusterBatch.cut({0: replace(self._system, field=field)}, np.zeros(1, dtype=int), self.atoms[None])
        problem = self._problem_of(batch)
        if problem.n_electrons == 0:
            return charges_of(self._system.numbers[self.atoms], self._cache.basis)
        before = self._first(problem) if self._solved is None else self._solved
        mol = molecule_of(batch, 0, self._cache.basis, before.mol.spin)
        solved = unrestricted(mol, self._cache.integrals(batch), 0)
        solved.kernel(dm0=before.make_rdm1())
        if not solved.converged:
            second = solved.newton().set(verbose=0)
            second.kernel(solved.mo_coeff, solved.mo_occ)
            solved.mo_coeff, solved.mo_occ, solved.mo_energy = second.mo_coeff, second.mo_occ, second.mo_energy
            solved.e_tot = second.e_tot
        found = tightened(solved)
        if isinstance(found, str):
            raise ComputationError(f"iterated charges need a mean field of atoms {self.atoms.tolist()}: {found}")
        self._solved = solved = found
        if self._linear is None:
            self._linear = self._charges_in(mol, self._total)
        weights, bare = self._linear
        return bare + np.einsum("amn,nm->a", weights, solved.make_rdm1().sum(axis=0))

    def _first(self, problem: Problem) -> uhf.UHF:
        (found,) = lowest_fields(problem, self._cache)
        if isinstance(found, str):
            raise ComputationError(f"iterated charges need a mean field of atoms {self.atoms.tolist()}: {found}")
        return found


def _mulliken(mol: gto.Mole, total: float) -> Linear:
    """Weights that halve what two atoms have between them."""
    overlap, weights = mol.intor("int1e_ovlp"), np.zeros((mol.natm, mol.nao, mol.nao))
    for atom, (first, last) in enumerate(mol.aoslice_by_atom()[:, 2:]):
        weights[atom, first:last] = -overlap[first:last]
    return weights, mol.atom_charges().astype(np.float64)


def _chelpg(mol: gto.Mole, total: float) -> Linear:
    """Weights of the least squares on a grid, under the constraint that charges add up."""
    atoms = mol.atom_coords()
    points = _around(mol)
    near = 1.0 / cdist(points, atoms)
    # the normal equations, and in the last row and column that charges add up
    k = mol.natm
    matrix = np.ones((k + 1, k + 1))
    matrix[:k, :k], matrix[k, k] = near.T @ near, 0.0
    inverse = np.linalg.inv(matrix)
    seen = np.zeros((k, mol.nao, mol.nao))
    for first in range(0, len(points), POINTS):
        some = slice(first, first + POINTS)
        seen += np.tensordot(near[some].T, attraction_by(mol, points[some]), axes=1)
    bare = np.append(near.T @ (near @ mol.atom_charges()), total)
    return np.tensordot(inverse[:k, :k], seen, axes=1), inverse[:k] @ bare


def _around(mol: gto.Mole) -> np.ndarray:
    """Points of a grid outside of the atoms' van der Waals spheres and near one of them, in bohr, shape (n, 3).

    :raises ComputationError: for an element without a radius
    """
    numbers = [gto.charge(mol.atom_symbol(atom)) for atom in range(mol.natm)]
    radii = vdw_radii[numbers] / Bohr
    if np.isnan(radii).any():
        symbol = chemical_symbols[numbers[int(np.argmax(np.isnan(radii)))]]
        raise ComputationError(
            f"chelpg charges need a van der Waals radius of {symbol}, and none is known; use mulliken"
        )
    atoms, spacing, reach = mol.atom_coords(), SPACING / Bohr, REACH / Bohr
    low, high = atoms.min(axis=0) - reach, atoms.max(axis=0) + reach
    # the middle of the box is that of the grid, which then moves with the body
    counts = np.floor((high - low) / spacing).astype(int) + 1
    axes = [
        middle + spacing * (np.arange(count) - (count - 1) / 2)
        for middle, count in zip((low + high) / 2, counts, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = cdist(points, atoms)
    return points[(apart > radii).all(axis=1) & (apart <= reach).any(axis=1)]


def _rounded(charges: np.ndarray, bodies: list[np.ndarray], totals: list[float]) -> np.ndarray:
    """Charges to the digits that are found, so that they are the same ones next time; they still add up."""
    steps = np.rint(charges / CHARGE).astype(np.int64)
    for atoms, total in zip(bodies, totals, strict=True):
        largest = atoms[np.argmax(np.abs(charges[atoms]))]
        steps[largest] += round(total / CHARGE) - int(steps[atoms].sum())
    return steps * CHARGE


#: Kinds of charges.
KINDS: dict[str, Callable[[gto.Mole, float], Linear]] = {"mulliken": _mulliken, "chelpg": _chelpg}
