"""Which atoms are one molecule, held against chemistry."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2

from bodyorder._checks import InputError
from bodyorder.structures import find_bodies
from bodyorder.structures.bodies import divide
from bodyorder.structures.bonds import monatomic
from bodyorder.structures.periodic import put_together, whole_bodies

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def water(place=(0.0, 0.0, 0.0)):
    return Atoms("OHH", WATER + np.array(place))


def labels(atoms):
    return find_bodies(atoms, "molecules").labels.tolist()


@pytest.mark.parametrize("symbol", ["Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba"])
def test_alkali_and_alkaline_earth_metals_stand_alone(symbol):
    """Metal–oxygen distances of the first shell are far below sums of covalent radii + 0.45 Å."""
    assert labels(Atoms(symbol, [[-1.9, 0, 0]]) + water()) == [0, 1, 1, 1]


def test_ions_of_other_metals_stand_alone_if_their_charge_says_so():
    atoms = Atoms("Zn", [[-2.0, 0, 0]]) + water()
    assert labels(atoms) == [0, 0, 0, 0]
    atoms.set_initial_charges([2, 0, 0, 0])
    assert labels(atoms) == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("atoms", "charges"),
    [
        (molecule("OH"), [-1, 0]),
        (
            Atoms("NH4", [[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [0.6, -0.6, -0.6], [-0.6, 0.6, -0.6]]),
            [1, 0, 0, 0, 0],
        ),
        (molecule("HCOOH"), [-1, 0, 0, 0, 0]),
        (molecule("CN"), [-1, 0]),
    ],
)
def test_formal_charges_of_molecular_ions_tear_nothing(atoms, charges):
    atoms.set_initial_charges(charges)
    assert set(labels(atoms)) == {0}


def test_which_formal_charges_leave_no_bond():
    numbers = np.array([1, 1, 2, 8, 8, 9, 9, 17, 7, 7, 26, 26, 5, 11])
    charges = np.array([1, 0.4, 1, -2, -1, -1, 1, -1, -3, 1, 2, -2, -1, 0])
    alone = [True, False, True, True, False, True, False, True, True, False, True, False, False, True]
    assert monatomic(numbers, charges).tolist() == alone


def test_a_hydrogen_belongs_to_its_nearest_heavy_atom():
    shared = Atoms("OHHOHH", [[0, 0, 0], [1.15, 0, 0], [-0.3, 0.92, 0], [2.47, 0, 0], [2.8, 0.9, 0], [2.8, -0.9, 0]])
    assert labels(shared) == [0, 0, 0, 1, 1, 1]
    shared.positions[1, 0] = 1.3
    assert labels(shared) == [0, 1, 0, 1, 1, 1]


def test_a_hydrogen_in_the_middle_is_nobodys():
    zundel = Atoms("OHHOHH", [[0, 0, 0], [1.2, 0, 0], [-0.3, 0.92, 0], [2.4, 0, 0], [2.7, 0.9, 0], [2.7, -0.9, 0]])
    with pytest.raises(
        InputError, match=r"hydrogen must be nearest to one heavy atom, that of structure 1 with number 1 is 1.200 Å"
    ):
        divide([water(), zundel], "molecules")
    bridges = [[0, 0, 0.98], [0, 0, -0.98]]
    terminal = [[side * 1.48, up * 1.03, 0] for side in (-1, 1) for up in (-1, 1)]
    diborane = Atoms("B2H6", [[-0.89, 0, 0], [0.89, 0, 0], *bridges, *terminal])
    assert set(labels(diborane)) == {0}, "where both are one molecule, it does not matter"


def test_molecules_of_hydrogen():
    atoms = molecule("H2") + water((3, 0, 0)) + Atoms("H", [[0, 5, 0]])
    assert labels(atoms) == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("name", [name for name in g2.names if len(g2[name]) > 1])
def test_every_molecule_of_a_collection_is_one(name):
    """But for those of alkali metals, which are ions to this rule."""
    atoms = g2[name]
    metals = np.isin(atoms.numbers, (3, 4, 11, 12))
    if not metals.any():
        assert set(labels(atoms)) == {0}
    else:
        found = find_bodies(atoms, "molecules").labels
        assert all((found == found[atom]).sum() == 1 for atom in np.flatnonzero(metals))


def test_water_of_quantum_nuclei():
    """O–H of 0.75 to 1.25 Å and hydrogen bonds from 1.32 Å on: no bound on distances tells them apart."""
    rng = np.random.default_rng(7)
    chain = Atoms()
    for place in range(20):
        one = Atoms("OHH", [[0, 0, 0], [rng.uniform(0.75, 1.25), 0, 0], [0, rng.uniform(0.75, 1.25), 0]])
        one.translate([2.58 * place, 0, 0])
        chain += one
    assert labels(chain) == np.repeat(np.arange(20), 3).tolist()


def test_many_structures_are_divided_as_one_by_one():
    rng = np.random.default_rng(0)
    structures = []
    for n in rng.integers(1, 60, 40):
        numbers = rng.choice([1, 1, 1, 6, 8, 11, 17], n)
        structures.append(Atoms(numbers, rng.uniform(0, n ** (1 / 3) * 2.2, (n, 3))))
    structures.append(Atoms(rng.choice([1, 8], 300), rng.uniform(0, 15, (300, 3))))
    for atoms, bodies in zip(structures, divide(structures, "molecules"), strict=True):
        np.testing.assert_array_equal(bodies.labels, find_bodies(atoms, "molecules").labels)


def test_across_borders_as_in_a_free_structure():
    atoms = water() + water((2.58, 0, 0))
    atoms.positions[4] = atoms.positions[3] + [1.2, 0, 0]  # its hydrogen, 1.34 Å from the image of the first oxygen
    atoms.set_cell([5.12, 9.0, 9.0])
    atoms.pbc = True
    crystal = whole_bodies(atoms, "molecules")
    assert crystal.bodies.labels.tolist() == [0, 0, 0, 1, 1, 1]
    atoms.set_cell([4.98, 9.0, 9.0])
    atoms.wrap()
    with pytest.raises(
        InputError, match=r"that of it with number 4 is 1.200 Å from atom 0 and no farther from another"
    ):
        whole_bodies(atoms, "molecules", "it")


def test_molecules_are_put_together():
    atoms = water((4.5, 0.2, 0.2))
    atoms.set_cell([5.0, 5.0, 5.0])
    atoms.pbc = True
    atoms.wrap()
    assert np.ptp(atoms.positions[:, 0]) > 3
    whole = put_together(atoms)
    np.testing.assert_allclose(whole.get_all_distances(), water().get_all_distances(), atol=1e-12)
    copper = bulk("Cu", cubic=True)
    np.testing.assert_array_equal(put_together(copper).positions, copper.positions)


def test_columns_say_what_a_body_is():
    atoms = water() + water((2.58, 0, 0))
    atoms.set_array("molecule_id", np.array([5, 5, 5, 5, 5, 5]))
    assert labels(atoms) == [0] * 6
    atoms.set_array("half", np.array(["a", "a", "b", "b", "a", "a"]))
    assert find_bodies(atoms, "column:half").labels.tolist() == [0, 0, 1, 1, 0, 0]
    atoms.set_array("mol-id", np.array([0, 0, 0, 1, 1, 1]))
    with pytest.raises(
        InputError, match="one column must say what the molecules of the structure are, 'molecule_id' and 'mol-id'"
    ):
        labels(atoms)
    atoms.set_array("molecule_id", np.array([4.0, 4, 4, 2, 2, 2]))
    assert labels(atoms) == [1, 1, 1, 0, 0, 0]


def test_columns_that_say_nothing():
    atoms = water()
    atoms.set_array("weight", np.array([0.5, 1.0, 1.5]))
    with pytest.raises(
        InputError, match=r"must name a column of the structure, 'wieght' is none; it has weight; did you mean 'weight'"
    ):
        find_bodies(atoms, "column:wieght")
    with pytest.raises(
        InputError, match=r"column 'weight' of the structure must name the body of each atom by a whole number"
    ):
        find_bodies(atoms, "column:weight")
    with pytest.raises(InputError, match=r"residues must be named by the file, the structure has none"):
        find_bodies(atoms, "residues")


def test_residues_as_ase_reads_them():
    atoms = water() + water((2.58, 0, 0)) + water((0, 3, 0))
    atoms.set_array("residuenumbers", np.array([9999, 9999, 9999, 0, 0, 0, 0, 0, 0]))
    atoms.set_array("residuenames", np.array(["HOH"] * 6 + ["WAT"] * 3))
    assert find_bodies(atoms, "residues").labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_bodies_of_all_frames_in_one_file(tmp_path):
    path = tmp_path / "bodies.txt"
    path.write_text("0 0 0\n0 1 1 1\n")
    first, second = divide([water(), Atoms("Na", [[-2, 0, 0]]) + water()], path)
    assert (first.labels.tolist(), second.labels.tolist()) == ([0, 0, 0], [0, 1, 1, 1])
    with pytest.raises(InputError, match="each of the 3 to 4 atoms of a structure by an integer, got 7 values"):
        divide([water(), water(), Atoms("Na", [[-2, 0, 0]]) + water()], path)


def test_a_stretched_acid_keeps_its_hydrogen():
    """Cl–H 1.45 Å and H…O 1.40 Å: nearer to the oxygen, whose radius is smaller by more than that."""
    atoms = Atoms("ClH", [[0, 0, 0], [1.45, 0, 0]]) + water((2.85, 0, 0))
    atoms.positions[3:, 0] = 2 * 2.85 - atoms.positions[3:, 0] + 1.0
    assert labels(atoms)[:2] == [0, 0]
    assert labels(atoms)[2] != 0


@pytest.mark.parametrize("symbols", ["He2", "Ne2", "ArHe", "Kr2", "XeKr"])
def test_noble_gases_form_no_bonds_with_each_other(symbols):
    assert labels(Atoms(symbols, [[0, 0, 0], [1.5, 0, 0]])) == [0, 1]


def test_a_compound_of_xenon():
    assert set(labels(Atoms("XeF2", [[0, 0, 0], [1.98, 0, 0], [-1.98, 0, 0]]))) == {0}


def test_a_column_of_kinds_names_no_molecules():
    atoms = water() + water((2.58, 0, 0))
    atoms.set_array("molecule", np.array(["WAT"] * 6))
    with pytest.raises(
        InputError,
        match=r"column 'molecule' must give each molecule of the structure a number [^\n]*'WAT' is that of 2;",
    ):
        labels(atoms)
    assert set(find_bodies(atoms, "column:molecule").labels) == {0}
    atoms.set_array("molecule", np.array(["a"] * 3 + ["b"] * 3))
    assert labels(atoms) == [0, 0, 0, 1, 1, 1]
    del atoms.arrays["molecule"]
    atoms.set_array("mol_id", np.zeros(6, dtype=int))
    assert labels(atoms) == [0, 0, 0, 1, 1, 1], "programs write 0 where they know no molecules"


@pytest.mark.parametrize(
    ("symbols", "positions", "charges", "bodies"),
    [
        ("ClO", [[0, 0, 0], [1.69, 0, 0]], [-1, 0], [0, 0]),
        ("I3", [[-2.92, 0, 0], [0, 0, 0], [2.92, 0, 0]], [0, -1, 0], [0, 0, 0]),
        ("ClC", [[0, 0, 0], [2.1, 0, 0]], [-1, 0], [0, 1]),
        ("NaCl", [[0, 0, 0], [1.9, 0, 0]], [1, -1], [0, 1]),
        ("FZn", [[0, 0, 0], [1.8, 0, 0]], [-1, 2], [0, 1]),
    ],
)
def test_a_charge_on_an_atom_of_a_molecular_ion(symbols, positions, charges, bodies):
    """Whether an atom with a closed shell is bonded after all: Cl–O of 1.69 Å is a bond, Cl…C of 2.1 Å is on its way to one."""
    atoms = Atoms(symbols, positions)
    atoms.set_initial_charges(charges)
    assert labels(atoms) == bodies


def test_molecules_that_the_structure_names_are_put_together():
    """Also those that no bond joins, here a zinc ion and a ligand across a border."""
    atoms = Atoms("ZnO", [[0.1, 0, 0], [3.7, 0, 0]], cell=[4, 4, 4], pbc=True, charges=[2, 0])
    assert put_together(atoms).get_distance(0, 1) == pytest.approx(3.6)
    atoms.set_array("molecule", np.array([1, 1]))
    assert put_together(atoms).get_distance(0, 1) == pytest.approx(0.4)
