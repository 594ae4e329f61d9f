"""Mean fields of many sub-clusters: the lowest stable solution of each, found from several starts."""

from __future__ import annotations

from bodyorder.sources.pyscf.integrals import IntegralCache, molecule
from bodyorder.sources.pyscf.mean_field.relax import AtomicMatrices
from bodyorder.sources.pyscf.mean_field.uhf import SpinPolarised
from bodyorder.sources.pyscf.spin import unpaired_electrons
from bodyorder.sources.pyscf.task import Outcome, Task


def evaluate(task: Task, cache: IntegralCache) -> Outcome:
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
        outcome.record("multiplicity", row, field.mol.spin + 1)
        if task.gradient:
            outcome.gradients[row] = field.nuc_grad_method().set(verbose=0).kernel()
    return outcome
