"""What quantum chemistry cannot compute as it is asked for: one line, from the command as from Python, before anything runs."""

import json

import pytest
from ase import Atoms
from ase.units import Bohr

from bodyorder import InputError, decompose
from bodyorder.structures import read_structures, write_structures

SOURCE = "pyscf:uhf/sto-3g?spin=low"
WATERS = Atoms(
    "OH2OH2",
    positions=[[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48], [0, 0, 3.0], [0, 0.76, 2.4], [0, -0.76, 2.4]],
)
HEAVY = Atoms("I2", positions=[[0, 0, 0], [0, 0, 2.7]])


@pytest.mark.parametrize(
    ("levels", "options", "words"),
    [
        ({"1": SOURCE, "3": SOURCE}, {}, "levels must follow each other without gaps, got none for order 2 below 3; add it"),
        ({"1": SOURCE, "3-6": SOURCE}, {}, "got none for order 2 below 3-6; add it, or write 2-6 in place of 3-6"),
        ({"1": SOURCE}, {"max_order": 2}, "levels must serve all orders up to `max_order`, 2, and end at 1; add a level"),
        ({"2-3": SOURCE, "rest": SOURCE}, {}, "got none for order 1 below 2-3; add it, or write 1-3 in place of 2-3"),
    ],
)  # fmt: skip
def test_levels(run, tmp_path, levels, options, words):
    path = write_structures(tmp_path / "waters.xyz", [WATERS])
    given = [text for orders, spec in levels.items() for text in ("--level", f"{orders}={spec}")]
    given += [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
    code, _, err = run("decompose", path, *given, "-o", tmp_path / "o.nc")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    by_number = {int(orders) if orders.isdigit() else orders: spec for orders, spec in levels.items()}
    with pytest.raises(InputError) as error:
        decompose(WATERS, by_number, **options)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("atoms", "spec", "words"),
    [
        (HEAVY, "pyscf:uhf/6-31g?spin=low", "`basis` must have functions for every element, 6-31g has none for I; use one"),
        (HEAVY, "pyscf:uhf/6-31g?spin=low&ecp=I:lanl2dz", "`basis` must have functions for every element, 6-31g has none for I"),
        (
            HEAVY,
            "pyscf:uhf/sto-3g?spin=low&ecp=I:lanl2dz",
            "`ecp` must fit the functions of its element, lanl2dz replaces 46 electrons of I and the functions of sto-3g",
        ),
        (HEAVY, "pyscf:uhf/sto-3g?spin=low&ecp=lanl2dz", "`ecp` must name elements and what each is given, such as ecp=H:sto-3g"),
        (WATERS, "pyscf:uhf/sto-3g?spin=low&ecp=O:lanl2dz", "`ecp` must have a potential for every element it is given for"),
    ],
)  # fmt: skip
def test_basis_sets_and_core_potentials(run, tmp_path, atoms, spec, words):
    path = write_structures(tmp_path / "some.xyz", [atoms])
    code, _, err = run("decompose", path, "--source", spec, "-o", tmp_path / "o.nc")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    with pytest.raises(InputError) as error:
        decompose(atoms, spec)
    assert words in str(error.value)


def water(moment=0.0, **info):
    """Two waters, the first with an unpaired electron on its oxygen, and what is said of both."""
    atoms = WATERS.copy()
    if moment:
        atoms.set_initial_magnetic_moments([moment, 0, 0, 0, 0, 0])
    atoms.info |= info
    return atoms


@pytest.mark.parametrize(
    ("atoms", "spin", "words"),
    [
        (water(charge=0, multiplicity=2), "low", "must fit its 20 electrons"),
        (water(charge=1, multiplicity=2), "low", "must name the charge of each body by initial charges"),
        (water(moment=1.0), "high", "atoms [0, 1, 2] of structure 0 have 10 electrons and moments that add up to 1"),
        (
            water(moment=1.0),
            "pattern",
            "of structure 0 have 20 electrons and moments that add up to 1; change their moments",
        ),
    ],
)
def test_charge_and_multiplicity_of_a_body(run, tmp_path, atoms, spin, words):
    path, spec = write_structures(tmp_path / "some.xyz", [atoms]), f"pyscf:uhf/sto-3g?spin={spin}"
    code, _, err = run("decompose", path, "--source", spec, "--bodies", "molecules", "-o", tmp_path / "o.nc")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    with pytest.raises(InputError) as error:
        decompose(atoms, spec, bodies="molecules")
    assert words in str(error.value)


def test_charge_and_multiplicity_of_a_fragment(run, tmp_path):
    path = tmp_path / "waters.json"
    molecule = {
        "symbols": list(WATERS.symbols),
        "geometry": (WATERS.positions / Bohr).ravel().tolist(),
        "fragments": [[0, 1, 2], [3, 4, 5]],
        "fragment_charges": [0.0, 1.0],
        "fragment_multiplicities": [1, 1],
    }
    path.write_text(json.dumps({"molecule": molecule}))
    words = "`fragment_multiplicities.1` must fit the charge, +1 leaves 9 electrons, which cannot have multiplicity 1; correct"
    code, _, err = run("decompose", path, "--source", SOURCE, "--bodies", "molecules", "-o", tmp_path / "o.nc")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    with pytest.raises(InputError) as error:
        read_structures(path)
    assert words in str(error.value)
