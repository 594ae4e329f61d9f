import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from bodyorder import decompose
from bodyorder.engine.selection import Selection
from bodyorder.sources.registry import load_source
from bodyorder.structures import read_structures
from bodyorder.structures.bodies import divide
from bodyorder.structures.inventory import inventory


def said(structures, bodies="atoms"):
    structures = read_structures(structures, periodic=True)
    return inventory(structures, divide(structures, bodies), bodies)


def solvated():
    """Na⁺(H2O)2."""
    atoms = Atoms("Na") + molecule("H2O") + molecule("H2O")
    atoms.positions[1:4, 2] += 2.4
    atoms.positions[4:, 2] -= 2.4
    atoms.set_initial_charges([1] + 6 * [0])
    return atoms


def test_one_line_of_what_was_read():
    assert said(solvated(), "molecules") == (
        "1 structure of H4NaO2; free; charge +1; no moments; bodies (molecules): 2 × H2O, 1 × Na⁺"
    )
    sulphate = Atoms(
        "SO4", 1.5 * np.array([[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [0.6, -0.6, -0.6], [-0.6, 0.6, -0.6]])
    )
    sulphate.set_array("formal_charges", np.array([2, -1, -1, -1, -1]))
    assert said([solvated(), sulphate], "molecules") == (
        "2 structures: 1 × H4NaO2, 1 × O4S; free; charges -2 to +1 (charges from 'formal_charges'); no moments; "
        "bodies (molecules): 2 × H2O, 1 × Na⁺, 1 × O4S²⁻"
    )


def test_cells_and_moments():
    iron = bulk("Fe", cubic=True)
    iron.set_initial_magnetic_moments([2.2, 2.2])
    slab = bulk("Fe", cubic=True)
    slab.set_initial_magnetic_moments(None)
    slab.pbc = (True, True, False)
    assert said([iron, slab, slab]) == (
        "3 structures of Fe2; 2 periodic along a, b, 1 periodic along a, b, c; charge 0; moments of +4.4 in all in 1 of them; "
        "bodies (atoms): 6 × Fe"
    )


def test_what_is_not_used():
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((3, 3)))
    atoms.set_constraint(FixAtoms([0]))
    atoms.set_velocities(np.ones((3, 3)))
    atoms.info |= {"spin_density": 3.0, "comment": "an anion once", "dft_charge_method": "Hirshfeld"}
    assert said(atoms).split("; ")[-1] == (
        "not used: results of a calculator (energy, forces), constraints, velocities, 'spin_density', 'dft_charge_method', "
        "words on charge or spin in comments"
    )


def test_what_the_source_does_not_use():
    atoms = molecule("O2")
    atoms.info["multiplicity"] = 3
    source = load_source("analytic:pair")
    selection = Selection()
    assert selection.inventory([atoms], selection.pieces([atoms], source), source).endswith(
        "not used: moments (the source takes none), multiplicity 3 (the source takes none)"
    )


def test_it_is_kept_with_the_result_and_told_before():
    said = []
    result = decompose(molecule("H2"), "analytic:pair", announce=said.append)
    line = "1 structure of H2; free; charge 0; no moments; bodies (atoms): 2 × H"
    assert result.attrs["input"] == line
    assert said == [line]


@pytest.mark.parametrize("n_atoms", [1, 200_000])
def test_many_atoms(n_atoms):
    atoms = Atoms(np.resize([1, 8], n_atoms), np.arange(3.0 * n_atoms).reshape(-1, 3))
    line = inventory([atoms], divide([atoms]), "atoms")
    assert line.endswith("bodies (atoms): 1 × H" if n_atoms == 1 else "bodies (atoms): 100000 × H, 100000 × O")


def test_many_kinds():
    atoms = [Atoms([number]) for number in range(1, 11)]
    assert said(atoms).endswith("bodies (atoms): 1 × H, 1 × He, 1 × Li, 1 × Be, 1 × B, 1 × C and 4 more")


def test_ions_whose_charges_were_forgotten():
    atoms = solvated()
    atoms.set_initial_charges(None)
    assert said(atoms, "molecules").endswith("bodies (molecules): 2 × H2O, 1 × Na; odd electrons: 1 × Na")
    assert said(atoms).endswith("bodies (atoms): 4 × H, 2 × O, 1 × Na")


def test_constraints_that_hold_nothing(tmp_path):
    """ASE's reader of Turbomole's coord sets one."""
    (tmp_path / "coord").write_text("$coord\n0 0 0 he\n$end\n")
    assert "not used" not in said(tmp_path / "coord")
