"""Products with vectors of determinants are those of PySCF."""

import numpy as np
import pytest
from pyscf import fci

from bodyorder.sources.pyscf.fci import contraction
from bodyorder.sources.pyscf.fci.contraction import Contraction, centred, hamiltonian, squared_spin

CASES = [(6, (3, 3), 1), (6, (3, 3), -1), (6, (3, 3), 0), (7, (4, 2), 0), (5, (2, 0), 0), (6, (1, 1), 1)]


def random_hamiltonian(n_orbitals, rng):
    pairs = n_orbitals * (n_orbitals + 1) // 2
    core, repulsion = rng.standard_normal((n_orbitals,) * 2), rng.standard_normal((pairs, pairs))
    return core + core.T, repulsion + repulsion.T


def random_vectors(n_orbitals, electrons, parity, rng):
    """Two of them."""
    strings = [fci.cistring.num_strings(n_orbitals, count) for count in electrons]
    vectors = rng.standard_normal([*strings, 2])
    return vectors + parity * vectors.transpose(1, 0, 2) if parity else vectors


@pytest.mark.parametrize(("n_orbitals", "electrons", "parity"), CASES)
def test_products_are_those_of_pyscf(n_orbitals, electrons, parity):
    rng = np.random.default_rng(0)
    core, repulsion = random_hamiltonian(n_orbitals, rng)
    vectors = random_vectors(n_orbitals, electrons, parity, rng)
    products = Contraction(n_orbitals, electrons, parity)
    absorbed = fci.direct_spin1.absorb_h1e(core, repulsion, n_orbitals, electrons, 0.5)
    operator = hamiltonian(core, repulsion, electrons)
    centre, squared = centred(operator, electrons), squared_spin(n_orbitals, electrons)
    assert centre.constant != 0.0
    for place in range(2):
        vector = np.ascontiguousarray(vectors[:, :, place])
        expected = fci.direct_spin1.contract_2e(absorbed, vector, n_orbitals, electrons)
        spin = fci.spin_op.contract_ss(vector, n_orbitals, electrons)
        for given, wanted in ((operator, expected), (centre, expected), (squared, spin)):
            found = products.apply(given, vectors)[:, :, place] + given.constant * vector
            assert found == pytest.approx(wanted, abs=2e-11)
        assert products.squared_spin(vector) == pytest.approx(spin, abs=1e-12)


@pytest.mark.parametrize(("n_orbitals", "electrons", "parity"), CASES)
def test_parts_of_a_product_are_those_of_the_whole(n_orbitals, electrons, parity, monkeypatch):
    """However little is held at once."""
    rng = np.random.default_rng(1)
    operator = hamiltonian(*random_hamiltonian(n_orbitals, rng), electrons)
    vectors = random_vectors(n_orbitals, electrons, parity, rng)
    whole = Contraction(n_orbitals, electrons, parity).apply(operator, vectors)
    monkeypatch.setattr(contraction, "TOGETHER", 4 * 8 * 2 * n_orbitals * len(vectors[0]))
    monkeypatch.setattr(contraction, "ROWS", 3)
    assert Contraction(n_orbitals, electrons, parity).apply(operator, vectors) == pytest.approx(whole, abs=1e-11)
