"""Matrix product states of one total spin, optimised by block2.

Density-matrix renormalisation group: White, Phys. Rev. Lett. 69, 2863 (1992), doi:10.1103/PhysRevLett.69.2863; with total
spin as a symmetry: Sharma and Chan, J. Chem. Phys. 136, 124121 (2012), doi:10.1063/1.3695642; block2: Zhai et al.,
J. Chem. Phys. 159, 234801 (2023), doi:10.1063/5.0180424.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyorder._checks import require
from bodyorder.sources.pyscf.dmrg.chain import Chain
from bodyorder.sources.pyscf.integrals import single_thread

#: Of the random states to begin with: the same for every sub-cluster, so that a result does not depend on what came before.
SEED = 1
#: Hopping between neighbours in the chain (hartree) that is added at first, and the noise of the sweeps with it. Fragments that
#: have nothing to do with each other exchange neither electrons nor spin, so sweeps that begin with a wrong share for each of
#: them never mend it (seen 15 millihartree, and 2.2 hartree, too high). With the hopping a state keeps all shares.
HOPPING, MIXING = 0.1, (1e-3, 1e-3, 1e-4)
#: Residual of the local eigenvalue problems (hartree): an eigenvalue lies within it of the energy, however close the next state.
#: It is the tolerance of the sweeps, within these limits.
FINEST, COARSEST = 1e-8, 1e-3


#: Bytes that block2 takes for anything, and for each pair of orbitals and pair of states (262 MB for 12 orbitals and 502 MB for
#: 14 at bond dimension 250 were seen).
FIXED, EACH = 64e6, 48.0


def room(n_orbitals: int, bond_dimension: int) -> float:
    """Bytes that a state takes, operators included.

    Half of the orbitals have no more than binomial(2k + 1, k) multiplets, k their number, so the bond dimension grows no further.
    """
    half = n_orbitals // 2
    return FIXED + EACH * (n_orbitals * min(bond_dimension, math.comb(2 * half + 1, half))) ** 2


@contextmanager
def workspace(memory: float) -> Iterator[Any]:
    """block2's driver with a scratch folder and memory of its own, both given back at the end.

    Its memory is one for the whole process: there can be no more than one workspace at a time, and nothing made in it may be
    used after it. The folder is made where ``TMPDIR`` says.

    :param memory: bytes to keep for states and operators; taken from the system as they are used
    :raises InputError: if block2 is not installed
    """
    require("block2", "qc")
    driver_module = require("pyblock2.driver.core", "qc")
    with single_thread(), tempfile.TemporaryDirectory(prefix="bodyorder-dmrg-") as folder:
        # an own number of threads would be set for all of the process, and worker processes share the machine
        driver = driver_module.DMRGDriver(
            stack_mem=int(memory), scratch=folder, n_threads=1, symm_type=driver_module.SymmetryTypes.SU2
        )
        try:
            yield driver
        finally:
            driver.finalize()


@dataclass(frozen=True)
class Sweeps:
    """What some sweeps over the chain came to.

    :param energies: lowest energy of each sweep in hartree, without the repulsion of the nuclei, shape (sweeps,)
    :param weights: largest discarded weight of each sweep, shape (sweeps,)
    """

    energies: np.ndarray
    weights: np.ndarray


class SpinState:
    """The lowest state of spin S = ``unpaired``/2, at first that of a Hamiltonian with some hopping along the chain.

    :param driver: of a :func:`workspace`
    :param bond_dimension: to begin with
    """

    def __init__(self, driver: Any, chain: Chain, unpaired: int, bond_dimension: int):
        self._driver = driver
        driver.initialize_system(n_sites=chain.n_orbitals, n_elec=chain.n_electrons, spin=unpaired)
        self._operator = driver.get_qc_mpo(h1e=chain.core, g2e=chain.repulsion, ecore=0.0, iprint=0)
        driver.bw.b.Random.rand_seed(SEED)
        self._state = driver.get_random_mps(tag=f"SPIN{unpaired}", bond_dim=bond_dimension, nroots=1)
        hopping = HOPPING * (np.eye(chain.n_orbitals, k=1) + np.eye(chain.n_orbitals, k=-1))
        mixing = driver.get_qc_mpo(h1e=chain.core + hopping, g2e=chain.repulsion, ecore=0.0, iprint=0)
        self._optimise(mixing, bond_dimension, MIXING, 0.0)

    def sweep(self, bond_dimension: int, noises: Sequence[float], tolerance: float = 0.0) -> Sweeps:
        """Optimise two neighbouring orbitals at a time, from one end of the chain to the other.

        :param noises: of each sweep (Hubig et al.'s and White's perturbation, it lets in states that were left out)
        :param tolerance: change of the energy (hartree) between two sweeps without noise that ends the sweeps; 0 for all
        """
        self._optimise(self._operator, bond_dimension, noises, tolerance)
        _, weights, energies = self._driver.get_dmrg_results()
        return Sweeps(np.asarray(energies, dtype=np.float64).reshape(-1), np.asarray(weights, dtype=np.float64))

    def _optimise(self, operator: Any, bond_dimension: int, noises: Sequence[float], tolerance: float) -> None:
        residual = float(np.clip(tolerance, FINEST, COARSEST)) if tolerance else COARSEST
        self._driver.dmrg(
            operator,
            self._state,
            n_sweeps=len(noises),
            tol=tolerance,
            bond_dims=[bond_dimension],
            noises=list(noises),
            thrds=[residual**2],
            iprint=0,
            store_wfn_spectra=False,
        )
