"""From a batch of sub-clusters to energies and their derivatives, by method, in hartree and bohr."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.configurations import dimension
from bodyorder.sources.pyscf.fci import lowest_states
from bodyorder.sources.pyscf.gradient import electronic_gradient
from bodyorder.sources.pyscf.hamiltonian import Hamiltonians
from bodyorder.sources.pyscf.integrals import IntegralCache, molecule, nuclear_gradient
from bodyorder.sources.pyscf.orbitals import orthonormal, transform_one, transform_two
from bodyorder.sources.pyscf.relax import AtomicMatrices
from bodyorder.sources.pyscf.spin import electrons, unpaired_electrons
from bodyorder.sources.pyscf.uhf import SpinPolarised
from bodyorder.structures.clusters import ClusterBatch


@dataclass
class Task:
    """Sub-clusters with one sequence of elements and one charge, and what is wanted of them.

    :param spins: numbers of unpaired electrons to choose the lowest state from
    :param gradient: whether derivatives are wanted
    :param memory: bytes for wave functions
    """

    batch: ClusterBatch
    spins: list[int]
    gradient: bool
    memory: float

    @property
    def n_electrons(self) -> int:
        """Electrons of each sub-cluster."""
        return electrons(self.batch.numbers[0], int(self.batch.charges[0]))


@dataclass
class Outcome:
    """Energies in hartree, shape (n,), NaN where ``messages`` says why; derivatives in hartree/bohr, shape (n, k, 3)."""

    energies: np.ndarray
    gradients: np.ndarray
    messages: dict[int, str]

    @classmethod
    def empty(cls, batch: ClusterBatch) -> Outcome:
        """Nothing computed yet."""
        return cls(np.full(len(batch), np.nan), np.full((len(batch), batch.n_atoms, 3), np.nan), {})


def fci(task: Task, cache: IntegralCache) -> Outcome:
    """Full configuration interaction."""
    outcome = Outcome.empty(task.batch)
    integrals = cache.integrals(task.batch)
    coefficients, ranks = orthonormal(integrals.overlap)
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        orbitals = coefficients[rows][:, :, -rank:]
        hamiltonians = Hamiltonians(
            transform_one(integrals.core[rows], orbitals),
            transform_two(integrals.repulsion[rows], orbitals),
            task.n_electrons,
        )
        whole = rank == coefficients.shape[1]
        spins = [spin for spin in task.spins if dimension(rank, task.n_electrons, spin)]
        if not spins or (task.gradient and not whole):
            wanted = "forces" if spins else "this spin"
            message = f"{wanted} must have linearly independent functions, the atoms are too close; use a smaller basis"
            outcome.messages.update(dict.fromkeys(rows.tolist(), message))
            continue
        states = lowest_states(hamiltonians, spins, task.memory, task.gradient)
        outcome.energies[rows] = states.energies + integrals.nuclear[rows]
        outcome.messages.update({int(rows[place]): message for place, message in states.messages.items()})
        if task.gradient:
            part = task.batch.select(rows)
            gradients = nuclear_gradient(part) + electronic_gradient(
                hamiltonians, states.densities, orbitals, cache.gradients(part), integrals.atoms
            )
            outcome.gradients[rows] = np.where(np.isnan(states.energies)[:, None, None], np.nan, gradients)
    return outcome


def uhf(task: Task, cache: IntegralCache) -> Outcome:
    """Unrestricted Hartree–Fock."""
    outcome = Outcome.empty(task.batch)
    integrals = cache.integrals(task.batch)
    numbers, charge = task.batch.numbers[0], int(task.batch.charges[0])
    # beyond the atoms' own moments and one pair broken up lie states that a mean field seldom finds and that are never the lowest
    most = max(sum(unpaired_electrons(numbers, charge)), 2 + task.n_electrons % 2)
    spins = [spin for spin in task.spins if spin <= most]
    for row in range(len(task.batch)):
        mol = molecule(numbers, task.batch.positions[row], cache.basis)
        mol.charge = charge
        matrices = AtomicMatrices(integrals.overlap[row], integrals.core[row], integrals.repulsion[row])
        field = SpinPolarised(mol, cache.basis, matrices, task.batch.positions[row]).lowest(spins)
        if field is None:
            outcome.messages[row] = "unrestricted Hartree-Fock has no converged and stable solution"
            continue
        outcome.energies[row] = field.e_tot
        if task.gradient:
            outcome.gradients[row] = field.nuc_grad_method().set(verbose=0).kernel()
    return outcome
