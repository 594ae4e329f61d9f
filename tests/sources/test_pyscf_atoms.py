"""Lone atoms with open d and f shells: the lowest of any spin and of any configuration, against PySCF alone."""

import ase
import numpy as np
import pytest
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Hartree
from pyscf import gto, scf
from pyscf.data import elements
from pyscf.scf import atom_hf
from scipy.stats import ortho_group

from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source
from bodyorder.sources.spin import spin_rule
from bodyorder.sources.spin.atoms import most_unpaired_of_atom, unpaired_of_atom
from bodyorder.structures.clusters import ClusterBatch


def alone(symbol, charge=0):
    return ase.Atoms(symbol, positions=[[0.0, 0.0, 0.0]], charges=[charge])


def ours(symbol, basis, charge=0):
    """Energy in hartree and unpaired electrons."""
    source = load_source(f"pyscf:uhf/{basis}?spin=ground")
    found = source.evaluate(ClusterBatch.from_atoms([alone(symbol, charge)]), forces=False)
    return found.energies[0] / Hartree, int(found.records["multiplicity"][0]) - 1


def plain(symbol, basis, unpaired, charge=0, starts=4):
    """Energy in hartree of the lowest solution that PySCF's own guess, and shells filled by hand, lead to."""
    mol = gto.M(atom=[(symbol, (0, 0, 0))], basis=basis, ecp=basis, spin=unpaired, charge=charge, verbose=0)
    found = [stable(scf.UHF(mol), None)]
    found += [stable(scf.UHF(mol), by_hand(mol, symbol, number)) for number in range(starts)]
    return min(found)


def by_hand(mol, symbol, number):
    """A determinant with two electrons, one or none in the outer s shell, the others in d orbitals turned at random."""
    ((_, _, orbitals, occupations),) = atom_hf.get_atm_nrhf(
        gto.M(atom=mol._atom, unit="B", basis=mol.basis, ecp=mol.ecp, spin=None, verbose=0), elements.CONFIGURATION
    ).values()
    momenta = sorted(mol.bas_angular(shell) for shell in range(mol.nbas) for _ in range(mol.bas_nctr(shell)))
    angular = np.concatenate([[momentum] * (2 * momentum + 1) for momentum in momenta])
    outer = np.flatnonzero((angular == 0) & (occupations > 0))[-1:]
    shell = np.flatnonzero((angular == 2) & (occupations > 0) & (occupations < 2))
    inner = np.setdiff1d(np.flatnonzero(occupations > 0), np.concatenate([outer, shell]))
    rng = np.random.default_rng(number)
    turned = orbitals[:, shell] @ ortho_group.rvs(len(shell), random_state=rng)
    density = []
    for spin, count in enumerate(mol.nelec):
        first = [orbitals[:, outer]] if number % 3 + spin < 2 else []
        valence = np.hstack([*first, turned[:, rng.permutation(len(shell))], *([] if first else [orbitals[:, outer]])])
        filled = np.hstack([orbitals[:, inner], valence[:, : count - len(inner)]])
        density.append(filled @ filled.T)
    return np.array(density)


def stable(field, density):
    field.conv_tol = 1e-10
    field.kernel(density)
    for _ in range(6):
        if not field.converged:
            field = field.newton()
            field.kernel(field.mo_coeff, field.mo_occ)
        orbitals, _, minimum, _ = field.stability(return_status=True)
        if minimum:
            break
        field = field.newton()
        field.kernel(orbitals, field.mo_occ)
    return field.e_tot if field.converged else np.inf


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("symbol", "basis", "charge", "unpaired"),
    [
        ("W", "lanl2dz", 0, 6),  # 5d⁵6s¹; measured is 5d⁴6s²
        ("Co", "def2-svp", 0, 3),  # 3d⁷4s², which is not found from 3d⁹
        ("Ni", "def2-svp", 0, 2),  # 3d⁸4s², which is not found from 3d¹⁰
        ("Fe", "lanl2dz", 2, 4),
    ],
)
def test_the_lowest_of_a_lone_metal(symbol, basis, charge, unpaired):
    energy, found = ours(symbol, basis, charge)
    assert found == unpaired
    assert energy == pytest.approx(plain(symbol, basis, unpaired, charge), abs=1e-7)
    for other in (unpaired - 2, unpaired + 2):
        assert energy < plain(symbol, basis, other, charge, starts=2) + 1e-7


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("symbol", ["V", "Cr", "Mn", "Pd", "W"])
def test_no_spin_of_a_lone_metal_is_lower(symbol):
    """Beyond the spins that the rule asks for, too."""
    energy, found = ours(symbol, "def2-svp")
    spins = range(atomic_numbers[symbol] % 2, most_unpaired_of_atom(atomic_numbers[symbol]) + 3, 2)
    theirs = {spin: plain(symbol, "def2-svp", spin, starts=6) for spin in spins}
    assert min(theirs, key=theirs.__getitem__) == found
    assert energy == pytest.approx(theirs[found], abs=1e-7)


def test_spins_that_atoms_can_have():
    """At least those of the ground state and as whole shells allow; s²d⁴ can become s¹d⁵, 4f⁷5d¹6s² can become 4f⁷5d²6s¹."""
    for number in range(1, 104):
        most = most_unpaired_of_atom(number)
        assert most >= unpaired_of_atom(number)
        assert (number - most) % 2 == 0
    expected = {
        "H": 1,
        "He": 0,
        "Be": 2,
        "C": 2,
        "N": 3,
        "Ne": 0,
        "Ca": 2,
        "Sc": 3,
        "V": 5,
        "Cr": 6,
        "Mn": 5,
        "Zn": 0,
        "Pd": 2,
    }
    expected |= {"W": 6, "Au": 1, "Pb": 2, "La": 3, "Eu": 9, "Gd": 10, "Yb": 4, "U": 6, "Og": 0}
    assert {symbol: most_unpaired_of_atom(chemical_symbols.index(symbol)) for symbol in expected} == expected
    with pytest.raises(InputError, match="an atom must have at most 118 electrons here, got 119"):
        most_unpaired_of_atom(119)


@pytest.mark.parametrize(
    ("symbols", "charge", "spins"),
    [
        ("W", 0, (0, 2, 4, 6)),
        ("Fe", 3, (1, 3, 5)),
        ("Gd", 3, (1, 3, 5, 7)),
        ("Be2", 0, (0, 2, 4)),
        ("OH2", 0, (0, 2, 4)),
    ],
)
def test_spins_that_ground_asks_for(symbols, charge, spins):
    atoms = ase.Atoms(symbols, positions=3.0 * np.arange(3 * len(ase.Atoms(symbols))).reshape(-1, 3))
    atoms.set_initial_charges([charge] + [0] * (len(atoms) - 1))
    (asked,) = spin_rule("ground", mean_field=True).spins(ClusterBatch.from_atoms([atoms]))
    assert asked == spins
