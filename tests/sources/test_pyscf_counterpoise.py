"""Counterpoise through PySCF: the three schemes for He₄, and ghosts against PySCF's own ghost atoms."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch, System

SQUARE = Atoms("He4", positions=[[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])

#: Interaction energies of orders 2, 3, 4 in hartree: MP2/aug-cc-pVDZ, square of side 2.0 Å.
HE4 = {
    "none": (+0.007817510905, -0.000244063493, +0.000057176007),
    "full": (+0.008200959994, -0.000235106990, +0.000062993429),
    "vmfc": (+0.008219795387, -0.000235600588, +0.000062993429),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("he4") / "store"


@pytest.mark.parametrize("scheme", HE4)
def test_helium_square(scheme, store):
    result = decompose(SQUARE, f"pyscf:mp2/aug-cc-pvdz?spin=low&counterpoise={scheme}", store=store)
    np.testing.assert_allclose(result.contribution[0, 1:] / Hartree, HE4[scheme], rtol=0, atol=1e-9)
    assert result.failure.values[0] == ""


def test_one_store_serves_every_scheme(store):
    """VMFC asks for energies in the functions of every superset, those of the subset itself and of the whole among them."""
    for scheme in ("none", "full"):
        again = decompose(SQUARE, f"pyscf:mp2/aug-cc-pvdz?spin=low&counterpoise={scheme}", store=store)
        assert int(again.n_evaluations[0]) == 0


def test_forces_are_refused():
    with pytest.raises(InputError, match=r"`forces` need a source without counterpoise correction, got pyscf:uhf"):
        decompose(SQUARE, "pyscf:uhf/sto-3g?spin=low&counterpoise=full", forces=True)


@pytest.mark.parametrize("method", ["fci", "uhf"])
def test_ghosts_are_those_of_pyscf(method):
    from pyscf import fci, gto, scf

    positions = np.array([[0, 0, 0], [0.9, 0, 0], [0.2, 1.1, 0.3], [1.5, 0.4, 1.0]])
    system = {0: System(np.array([1, 1, 1, 3]), positions)}
    batch = ClusterBatch.cut(system, np.zeros(1, dtype=int), np.array([[0, 2]]), np.array([[1, 3]]))
    found = load_source(f"pyscf:{method}/6-31g?spin=low").evaluate(batch, False).energies[0] / Hartree
    symbols = ["H", "ghost-H", "H", "ghost-Li"]
    mol = gto.M(atom=list(zip(symbols, positions, strict=True)), basis=dict.fromkeys(symbols, "6-31g"), verbose=0)
    field = scf.UHF(mol).run(conv_tol=1e-12) if method == "uhf" else scf.RHF(mol).run()
    expected = field.e_tot if method == "uhf" else fci.FCI(field).kernel()[0]
    assert found == pytest.approx(expected, abs=1e-8)


def test_order_of_atoms_and_far_ghosts():
    rng = np.random.default_rng(4)
    atoms = Atoms("HeH3", positions=rng.normal(0, 1.2, (4, 3)) + np.arange(4)[:, None])
    result = decompose(atoms, "pyscf:fci/6-31g?spin=ground&counterpoise=vmfc")
    swapped = decompose(atoms[[2, 0, 3, 1]], "pyscf:fci/6-31g?spin=ground&counterpoise=vmfc")
    np.testing.assert_allclose(result.contribution, swapped.contribution, atol=1e-7)
    # functions far away change nothing
    far = Atoms("H2He", positions=[[0, 0, 0], [0.8, 0, 0], [60, 0, 0]])
    plain, full = (
        decompose(far, f"pyscf:fci/6-31g?spin=low&counterpoise={scheme}", bodies=[0, 0, 1])
        for scheme in ("none", "full")
    )
    np.testing.assert_allclose(plain.contribution, full.contribution, atol=1e-7)
