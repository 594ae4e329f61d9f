"""Work handed over and back in QCSchema: QCManyBody's own models and arithmetic decide."""

import json

import ase
import numpy as np
import pytest
from ase.units import Hartree
from qcschema_cases import (
    FRAGMENTS,
    POSITIONS,
    SYMBOLS,
    calculations,
    expanded,
    molecule,
    quiet,
    results,
    written,
)

from bodyorder import InputError, decompose, load_source
from bodyorder.cli import main
from bodyorder.structures import find_bodies, read_structures

with quiet():
    from qcmanybody.models.v1 import ManyBodyInput, ManyBodyResult


@pytest.mark.parametrize(("scheme", "bsse"), [("none", "nocp"), ("full", "cp"), ("vmfc", "vmfc")])
@pytest.mark.parametrize("version", [1, 2])
def test_orders_of_what_another_program_computed(tmp_path, scheme, bsse, version):
    energies, theirs = expanded(bsse)
    path = written(tmp_path, results(energies, version))
    result = decompose(path, f"qcschema:{path}?counterpoise={scheme}", bodies="molecules")
    ours = result.contribution.values[0] / Hartree
    for order in (2, 3):
        wanted = theirs[f"{bsse}_corrected_{order}_body_contribution_to_energy"]
        assert ours[order - 1] == pytest.approx(wanted, abs=1e-11)
    assert result.failure.values[0] == ""


def test_missing_energies_are_named(tmp_path):
    energies, _ = expanded("nocp")
    energies.pop('["made/up", [1, 3], [1, 3]]')
    path = written(tmp_path, results(energies))
    result = decompose(path, f"qcschema:{path}", bodies="molecules")
    assert "the file holds no energy of it" in result.failure.values[0]
    assert np.isnan(result.contribution.values[0, 1])
    other = ase.Atoms("He2", positions=[[0, 0, 0], [0, 0, 3]])
    assert "not those of the molecule" in decompose(other, f"qcschema:{path}").failure.values[0]


def test_results_of_single_sub_clusters(tmp_path):
    """A list of AtomicResults, ghosts among their atoms."""
    energies, theirs = expanded("cp")
    listed = calculations(energies)
    path = written(tmp_path, listed)
    structure = read_structures(written(tmp_path, molecule(), "molecule.json"))
    result = decompose(structure, f"qcschema:{path}?counterpoise=full", bodies="molecules")
    wanted = theirs["cp_corrected_2_body_contribution_to_energy"]
    assert result.contribution.values[0, 1] / Hartree == pytest.approx(wanted, abs=1e-11)


def test_a_molecule_is_read_as_it_says(tmp_path):
    path = written(
        tmp_path,
        molecule(
            fragment_charges=[1.0, 0.0, 0.0],
            molecular_charge=1.0,
            fragment_multiplicities=[2, 3, 1],
            molecular_multiplicity=4,
        ),
    )
    (atoms,) = read_structures(path)
    np.testing.assert_allclose(atoms.positions, POSITIONS, atol=1e-12)
    assert find_bodies(atoms, "molecules").labels.tolist() == [0, 0, 1, 1, 2]
    assert atoms.get_initial_charges().tolist() == [1, 0, 0, 0, 0]
    assert atoms.get_initial_magnetic_moments().tolist() == [0, 0, 2, 0, 0]


def test_without_fragments_the_whole_is_stated(tmp_path):
    content = {
        "symbols": ["O", "H"], "geometry": [0, 0, 0, 0, 0, 1.8], "molecular_charge": -1, "molecular_multiplicity": 1,
    }  # fmt: skip
    path = written(tmp_path, {"molecule": content, "driver": "energy"})
    with pytest.raises(InputError, match=r"must name the charge of each body.*molecular_charge=-1"):
        read_structures(path)
    neutral = content | {"molecular_charge": 0, "molecular_multiplicity": 2}
    (atoms,) = read_structures(written(tmp_path, {"molecule": neutral, "driver": "energy"}))
    assert atoms.info["molecular_multiplicity"] == 2


def test_tasks_and_results_by_the_command(tmp_path, capsys):
    path = written(tmp_path, molecule(), "molecule.json")
    task = tmp_path / "task.json"
    arguments = ["--model", "mp2/cc-pvdz", "--max-order", "2", "--counterpoise", "vmfc"]
    assert main(["export", str(path), *arguments, "-o", str(task)]) == 0
    with quiet():
        model = ManyBodyInput(**json.loads(task.read_text()))
    assert model.specification.keywords.max_nbody == 2
    assert [str(one.value) for one in model.specification.keywords.bsse_type] == ["vmfc"]
    assert [fragment.tolist() for fragment in model.molecule.fragments] == FRAGMENTS
    output = tmp_path / "result.nc"
    spec = "pyscf:uhf/sto-3g?spin=low&counterpoise=full"
    command = ["decompose", str(path), "--source", spec, "--bodies", "molecules", "--subsets", "-o", str(output)]
    assert main(command) == 0
    assert main(["export", str(output), "-o", str(tmp_path / "many.json")]) == 0
    with quiet():
        found = ManyBodyResult(**json.loads((tmp_path / "many.json").read_text()))
    assert len(found.component_properties) == 7
    assert main(["export", str(output), "--model", "hf/sto-3g", "-o", str(tmp_path / "x.json")]) == 2
    assert "`--model` belongs to tasks" in capsys.readouterr().err
    assert main(["export", str(path), "-o", str(tmp_path / "x.json")]) == 2
    assert "`--model` must name method and basis set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fragments": [[0, 1], [2, 3]]}, "leaves out atom 4 of 5"),
        ({"fragments": [[0, 1], [1, 2, 3], [4]]}, "atom 1 of .* is in two"),
        ({"real": [True, True, False, True, True]}, "1 ghosts; counterpoise=full"),
        ({"symbols": [*SYMBOLS[:4], "Q"]}, "chemical elements, .* has 'Q'"),
        ({"geometry": [0.0] * 12}, "three coordinates for each of 5 symbols"),
        ({"molecular_charge": 2.0}, "must add up to `molecular_charge`"),
    ],
)
def test_wrong_molecules(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_structures(written(tmp_path, molecule(**changes)))


def test_wrong_results(tmp_path):
    energies, _ = expanded("nocp")
    two = results(energies)
    two["component_properties"]['["other", [1], [1]]'] = {"return_energy": -1.0}
    path = written(tmp_path, two)
    with pytest.raises(InputError, match="`model` must say which of made/up, other"):
        load_source(f"qcschema:{path}")
    assert load_source({"source": f"qcschema:{path}", "model": "made/up"})
    with pytest.raises(InputError, match="must be an existing file"):
        load_source("qcschema:nothing.json")
    with pytest.raises(InputError, match="must hold results of sub-clusters"):
        load_source(f"qcschema:{written(tmp_path, molecule(), 'm.json')}")
    broken = results({"[nonsense": {"energy": 1.0}})
    with pytest.raises(InputError, match="labels of sub-clusters must look like"):
        load_source(f"qcschema:{written(tmp_path, broken, 'b.json')}")
