"""Products with vectors of determinants are those of PySCF."""

import numpy as np
import pytest
from pyscf import fci

from bodyorder.sources.pyscf.fci.contraction import Contraction, hamiltonian, squared_spin

CASES = [(6, (3, 3), 1), (6, (3, 3), -1), (6, (3, 3), 0), (7, (4, 2), 0), (5, (2, 0), 0), (6, (1, 1), 1)]


@pytest.mark.parametrize(("n_orbitals", "electrons", "parity"), CASES)
def test_products_are_those_of_pyscf(n_orbitals, electrons, parity):
    rng, pairs = np.random.default_rng(0), n_orbitals * (n_orbitals + 1) // 2
    core, repulsion = rng.standard_normal((n_orbitals,) * 2), rng.standard_normal((pairs, pairs))
    core, repulsion = core + core.T, repulsion + repulsion.T
    vector = rng.standard_normal([fci.cistring.num_strings(n_orbitals, count) for count in electrons])
    if parity:
        vector = vector + parity * vector.T
    contraction = Contraction(n_orbitals, electrons, parity)
    absorbed = fci.direct_spin1.absorb_h1e(core, repulsion, n_orbitals, electrons, 0.5)
    expected = fci.direct_spin1.contract_2e(absorbed, vector, n_orbitals, electrons)
    found = contraction.apply(hamiltonian(core, repulsion, electrons), vector)
    assert found == pytest.approx(expected, abs=1e-11)
    squared = fci.spin_op.contract_ss(vector, n_orbitals, electrons)
    assert contraction.squared_spin(vector) == pytest.approx(squared, abs=1e-12)
    assert contraction.apply(squared_spin(n_orbitals, electrons), vector) == pytest.approx(squared, abs=1e-12)
