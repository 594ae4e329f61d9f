"""Second-order perturbation theory of one reference."""

from __future__ import annotations

import numpy as np
from pyscf.mp import ump2
from pyscf.scf import uhf

from bodyorder.sources.pyscf.correlated.reference import Correlated, excitations, uncorrelated


def second_order(reference: uhf.UHF, frozen: int, memory: float) -> Correlated:
    """MP2 of a converged reference.

    :param frozen: core orbitals that are not correlated
    :param memory: bytes to use for forces
    """
    if not excitations(reference, 2, frozen):
        return uncorrelated(reference)
    reference.mol.incore_anyway = True  # the source has made sure that the integrals fit
    perturbed = ump2.UMP2(reference, frozen=frozen)
    perturbed.verbose, perturbed.max_memory = 0, 1e-6 * memory
    perturbed.kernel(with_t2=False)

    def gradient() -> np.ndarray:
        perturbed.kernel(with_t2=True)
        return perturbed.nuc_grad_method().set(verbose=0).kernel()

    return Correlated(float(reference.e_tot + perturbed.e_corr), gradient)
