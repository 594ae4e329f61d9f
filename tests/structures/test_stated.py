import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from bodyorder._checks import InputError
from bodyorder.structures import read_structures
from bodyorder.structures.stated import read_stated, settled


def ion(**info) -> ase.Atoms:
    """HeH⁺ … He with the charge on hydrogen."""
    atoms = ase.Atoms("HeHHe", positions=[[0, 0, 0], [0.774, 0, 0], [3, 0, 0]], info=info)
    atoms.set_initial_charges([0, 1, 0])
    return atoms


@pytest.mark.parametrize(
    "key",
    ["charge", "Charge", "total_charge", "net_charge", "totalCharge", "molecular_charge", "TOTAL-CHARGE", "charges"],
)
def test_a_charge_of_the_whole_is_held_against_those_of_the_atoms(key):
    assert read_structures(ion(**{key: 1}))[0].get_initial_charges().sum() == 1
    with pytest.raises(InputError, match=rf"its info has {key}=2 and its initial charges add up to 1$"):
        read_structures(ion(**{key: "2"}))
    bare = ion(**{key: 1})
    bare.set_initial_charges(None)
    with pytest.raises(InputError, match=rf"must name the charge of each body [^\n]*{key}=1 and [^\n]* add up to 0$"):
        read_structures(bare)


def test_a_single_atom_takes_the_charge_of_the_whole():
    atoms = ase.Atoms("Na", info={"total_charge": 1})
    assert read_structures(atoms)[0].get_initial_charges().tolist() == [1]
    assert "initial_charges" not in atoms.arrays


def test_a_word_is_no_charge():
    atoms = molecule("HCl")
    atoms.info |= {"charge": True, "multiplicity": np.True_, "HCl": True}
    assert read_structures(atoms) == [atoms]


@pytest.mark.parametrize("column", ["formal_charges", "formal_charge", "charges", "charge", "atomic_charges"])
def test_whole_charges_of_atoms_are_read_from_any_column(column):
    atoms = ion()
    atoms.set_initial_charges(None)
    atoms.set_array(column, np.array([0, 1, 0]))
    stated = read_stated(atoms, "it")
    assert stated.charges.tolist() == [0, 1, 0]
    assert stated.sources == [f"charges from '{column}'"]
    (read,) = read_structures(atoms)
    assert read.get_initial_charges().tolist() == [0, 1, 0]
    assert "initial_charges" not in atoms.arrays, "the user's structure stays as it is"


def test_computed_charges_are_not_formal_ones():
    atoms = molecule("H2O")
    atoms.set_array("charges", np.array([-0.6, 0.3, 0.3]))
    atoms.set_array("mulliken_charges", np.array([-0.5, 0.2, 0.3]))
    stated = read_stated(atoms, "it")
    assert not stated.charges.any()
    assert stated.unused == ["charges", "mulliken_charges"]


def test_results_of_a_calculator():
    atoms = molecule("OH")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, charges=[-1.0, 0.0], magmoms=[0.9, 0.1])
    (read,) = read_structures(atoms)
    assert read.get_initial_charges().tolist() == [-1, 0]
    assert read.calc is atoms.calc
    assert read_stated(atoms, "it").unused == ["magmoms"]


def test_computed_charges_of_an_ion_that_nothing_else_states():
    atoms = molecule("OH")
    atoms.calc = SinglePointCalculator(atoms, charges=[-1.2, 0.2])
    with pytest.raises(
        InputError, match=r"its column 'charges' adds up to -1 and says of no body which charge it has$"
    ):
        read_structures(atoms)
    atoms.set_initial_charges([-1, 0])
    assert read_structures(atoms)[0].get_initial_charges().tolist() == [-1, 0]


def test_columns_that_differ():
    atoms = ion()
    atoms.set_array("charges", np.array([1, 0, 0]))
    with pytest.raises(InputError, match=r"its columns 'initial_charges' and 'charges' differ; remove one$"):
        read_structures(atoms)


@pytest.mark.parametrize(
    ("key", "value", "multiplicity"),
    [
        *(("multiplicity", 3, 3), ("mult", "3", 3), ("spin", 3, 3), ("total_spin", 1.0, 1), ("uhf", 2, 3)),
        *(("spin", 0, None), ("spin_multiplicity", 1, 1), ("molecular_multiplicity", 5, 5)),
    ],
)
def test_multiplicities_of_oxygen(key, value, multiplicity):
    atoms = molecule("O2")
    atoms.set_initial_magnetic_moments(None)
    atoms.info[key] = value
    assert read_stated(atoms, "it").multiplicity == multiplicity


@pytest.mark.parametrize("info", [{"spin": 2}, {"uhf": 1}, {"multiplicity": 19}, {"multiplicity": 1, "uhf": 2}])
def test_multiplicities_that_cannot_be(info):
    atoms = molecule("O2")
    atoms.info |= info
    with pytest.raises(InputError, match=r"must fit its 16 electrons|must state its multiplicity once"):
        read_structures(atoms)
    atoms.info = {"spin": 0.5}
    with pytest.raises(
        InputError, match=r"the multiplicity of .* must be a whole number 2S \+ 1, its info has spin=0.5; correct"
    ):
        read_structures(atoms)


def test_the_charge_counts_for_the_electrons():
    assert read_stated(ion(total_spin=1), "it").multiplicity == 1
    with pytest.raises(InputError, match="must fit its 4 electrons, its info has total_spin=2"):
        read_stated(ion(total_spin=2), "it")


def test_moments():
    atoms = molecule("O2")
    atoms.set_initial_magnetic_moments(None)
    atoms.set_array("magmoms", np.array([1.0, 1.0]))
    assert read_structures(atoms)[0].get_initial_magnetic_moments().tolist() == [1, 1]
    atoms.set_array("magmoms", None)
    atoms.set_initial_magnetic_moments(np.ones((2, 3)))
    with pytest.raises(
        InputError, match=r"must have one number for each atom as initial magnetic moments, [^\n]*collinear"
    ):
        read_structures(atoms)


def test_what_is_settled_stays():
    atoms = ion(total_charge=1)
    assert settled(atoms, "it") is atoms


@pytest.mark.parametrize("value", [np.nan, "nan", "None", "n/a", "", None])
def test_what_states_that_nothing_is_known(value):
    atoms = molecule("CH4")
    atoms.info |= {"charge": value, "multiplicity": value}
    assert read_structures(atoms) == [atoms]


def test_charge_and_multiplicity_alone_in_a_comment():
    atoms = ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"comment": "-1 1"})
    with pytest.raises(InputError, match=r"its comment reads as a charge of -1 and its initial charges add up to 0$"):
        read_structures(atoms)
    atoms.set_initial_charges([-1, 0])
    assert read_stated(atoms, "it").multiplicity == 1
    for comment in ("0 2", "12 34", "-1 1 and more", "1.0 2", "3 2"):
        atoms.set_initial_charges(None)
        atoms.info["comment"] = comment
        assert len(read_structures(atoms)) == 1, "no charge, or no multiplicity that fits: something else is counted"


def test_attributes_as_pymatgen_sets_them():
    atoms = ase.Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])
    atoms.charge, atoms.spin_multiplicity = -1, 1
    with pytest.raises(InputError, match=r"its info has charge=-1 and its initial charges add up to 0$"):
        read_structures(atoms)


@pytest.mark.parametrize("column", ["mulliken_charges", "REF_charges", "mbis_charges"])
def test_any_charges_that_add_up_to_an_ion(column):
    atoms = molecule("OH")
    atoms.set_array(column, np.array([-1.2, 0.2]))
    with pytest.raises(InputError, match=rf"its column '{column}' adds up to -1"):
        read_structures(atoms)
    atoms.info["total_charge"] = 0
    assert len(read_structures(atoms)) == 1


def test_multiplicities_by_name_and_vectors_that_a_program_computed():
    atoms = molecule("O2")
    atoms.info["multiplicity"] = "triplet"
    atoms.set_array("magmoms", np.ones((2, 3)))
    stated = read_stated(atoms, "it")
    assert (stated.multiplicity, stated.unused) == (3, ["magmoms"])


def test_a_wave_vector_is_no_charge():
    atoms = molecule("H2O")
    atoms.info |= {"q": np.array([0.5, 0.0, 0.0]), "charges": "mulliken"}
    assert read_structures(atoms) == [atoms]
    atoms.info["q"] = -1
    with pytest.raises(InputError, match="its info has q=-1"):
        read_structures(atoms)


@pytest.mark.parametrize(
    "key",
    [
        "molecule_charge",
        "REF_charge",
        "charge_state",
        "cluster_charge",
        "ion_charge",
        "chg",
        "Qtot",
        "mol_chg",
        "charges",
    ],
)
def test_any_key_that_ends_as_a_charge(key):
    atoms = ion(**{key: 1})
    assert read_structures(atoms)[0].get_initial_charges().sum() == 1
    atoms.set_initial_charges(None)
    with pytest.raises(InputError, match=rf"{key}=1 and its initial charges add up to 0"):
        read_structures(atoms)
    atoms.info[key] = 0
    assert len(read_structures(atoms)) == 1


def test_numbers_that_are_no_charges_of_the_whole():
    atoms = molecule("H2O")
    atoms.info |= {"dft_charge": 0.37, "charge_a": -1, "charge_cutoff": 5.0}
    assert read_structures(atoms) == [atoms]
    assert sorted(read_stated(atoms, "it").unused) == ["charge_a", "charge_cutoff", "dft_charge"]


@pytest.mark.parametrize(
    "column", ["initial_charge", "atom_charge", "q", "Qs", "chg", "mulliken_charges", "charge_states"]
)
@pytest.mark.parametrize("kind", [int, float])
def test_any_column_of_whole_charges(column, kind):
    atoms = ion()
    atoms.set_initial_charges(None)
    atoms.set_array(column, np.array([0, 1, 0], dtype=kind))
    assert read_structures(atoms)[0].get_initial_charges().tolist() == [0, 1, 0]


def test_charges_in_words():
    atoms = ion()
    atoms.set_initial_charges(None)
    atoms.set_array("charge", np.array(["0", "1+", "0"]))
    with pytest.raises(InputError, match="must have one number for each atom as 'charge'"):
        read_structures(atoms)


@pytest.mark.parametrize("column", ["magmom", "moments", "magnetic_moments", "spin"])
def test_moments_under_other_names(column):
    atoms = ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.2]])
    atoms.set_array(column, np.array([1.0, 1.0]))
    assert read_structures(atoms)[0].get_initial_magnetic_moments().tolist() == [1, 1]
    atoms.set_array(column, None)
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results["magmom"] = np.array([1.0, 1.0])
    assert read_structures(atoms)[0].get_initial_magnetic_moments().tolist() == [1, 1]


@pytest.mark.parametrize("name", ["nuclear_charges", "core_charges", "effective_charge", "partial_charges", "Zcharge"])
def test_other_charges_are_no_charges_of_atoms(name):
    atoms = molecule("H2O")
    atoms.set_array(name, np.array([6, 1, 1]))
    atoms.info[name] = 8
    assert not read_structures(atoms)[0].get_initial_charges().any()


def test_atomic_numbers_and_truths_are_no_charges():
    atoms = molecule("H2O")
    atoms.set_array("atomic_charges", atoms.numbers.copy())
    atoms.set_array("charge", np.array([True, False, False]))
    assert not read_structures(atoms)[0].get_initial_charges().any()
    assert read_stated(atoms, "it").unused == ["atomic_charges", "charge"]
