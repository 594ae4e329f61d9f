"""Scalar relativity: the spin-free exact two-component Hamiltonian of one electron (X2C-1e).

Kutzelnigg, Liu, J. Chem. Phys. 123, 241102 (2005), doi:10.1063/1.2137315; Cheng, Gauss, doi:10.1063/1.3624397. The transformation
mixes all functions that are there, so it is done for every sub-cluster and is no slice of its structure.
"""

from __future__ import annotations

import numpy as np
from pyscf import gto
from pyscf.x2c import sfx2c1e

#: Hamiltonians by name.
HAMILTONIANS = ("none", "x2c")


def relativistic_core(mol: gto.Mole) -> np.ndarray:
    """One-electron integrals of a molecule without core potentials, shape (m, m)."""
    return sfx2c1e.SpinFreeX2CHelper(mol).get_hcore(mol)
