"""Results and tasks of ours in QCSchema: QCManyBody's models take them, and its arithmetic and plain PySCF say the same."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree
from pyscf import gto, qmmm, scf
from qcschema_cases import core, molecule, quiet, written

from bodyorder import InputError, Sampling, decompose
from bodyorder.results.files import save
from bodyorder.results.qcschema import many_body_result
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import read_structures, write_structures

with quiet():
    from qcelemental.models.v1 import AtomicResult, Molecule
    from qcmanybody.models.v1 import ManyBodyInput, ManyBodyResult
    from qcmanybody.utils import delabeler

SOURCE = "pyscf:uhf/sto-3g?spin=low"
#: Charges at the atoms of two hydrogen molecules and a helium atom.
CHARGES = np.array([0.3, -0.3, 0.25, -0.2, 0.1])


@pytest.fixture
def structure(tmp_path):
    (atoms,) = read_structures(written(tmp_path, molecule(), "molecule.json"))
    return atoms


def by_qcmanybody(content, bsse, **options):
    """The properties that QCManyBody makes of the energies of a result, and what it returns."""
    with quiet():
        model = ManyBodyResult(**content)
        asked = core(bsse, of=content["input_data"]["molecule"], label="it", **options)
        energies = {
            label.replace(json.dumps(delabeler(label)[0]), '"it"'): {"energy": one.return_energy}
            for label, one in model.component_properties.items()
        }
        found = asked.analyze(energies)
    return found["results"], found["ret_energy"]


@pytest.mark.parametrize("max_order", [1, 2, 3])
@pytest.mark.parametrize(("scheme", "bsse"), [("none", "nocp"), ("full", "cp")])
def test_sums_are_those_of_qcmanybody(structure, scheme, bsse, max_order):
    spec = f"{SOURCE}&counterpoise={scheme}"
    result = decompose(structure, spec, bodies="molecules", max_order=max_order, subsets=True)
    content = many_body_result(result)
    # without bodies in their own functions QCManyBody has energies of interaction alone
    theirs, returned = by_qcmanybody(content, bsse, max_nbody=max_order, total=scheme == "none")
    assert content["return_result"] == pytest.approx(returned, abs=1e-10)
    assert content["properties"]["return_energy"] == content["return_result"]
    assert content["input_data"]["specification"]["keywords"]["return_total_data"] is (scheme == "none")
    named = {name: value for name, value in content["properties"].items() if name.startswith(bsse)}
    assert {name: pytest.approx(theirs[name], abs=1e-10) for name in named} == named


def test_results_come_back(tmp_path, structure):
    result = decompose(structure, SOURCE, bodies="molecules", subsets=True)
    back = written(tmp_path, many_body_result(result), "back.json")
    again = decompose(back, f"qcschema:{back}", bodies="molecules", subsets=True)
    np.testing.assert_allclose(again.contribution, result.contribution, atol=1e-10)
    np.testing.assert_array_equal(again.subsets.subset_multiplicity, result.subsets.subset_multiplicity)


def test_charges_of_a_field_are_handed_over(tmp_path, structure):
    """QCManyBody places our charges around the sub-clusters, and plain PySCF finds our energies among them."""
    result = decompose(structure, SOURCE, bodies="molecules", field=CHARGES, subsets=True)
    content = many_body_result(result)
    with quiet():
        keywords = ManyBodyInput(**content["input_data"]).specification.keywords
        asked = core("nocp", of=content["input_data"]["molecule"], charges=keywords.embedding_charges, label=SOURCE)
        molecules = {label: of for _, label, of in asked.iterate_molecules()}
    assert molecules.keys() == content["component_properties"].keys()
    for label, of in molecules.items():
        placed = of.extras["embedding_charges"]
        mol = gto.M(
            atom=list(zip(of.symbols, of.geometry.tolist(), strict=True)), basis="sto-3g", unit="Bohr", verbose=0
        )
        field = scf.RHF(mol)
        if placed:
            field = qmmm.mm_charge(field, [place for _, place in placed], [one for one, _ in placed], unit="Bohr")
        field.conv_tol = 1e-12
        with without_checkpoints():
            assert content["component_properties"][label]["return_energy"] == pytest.approx(field.kernel(), abs=1e-9)
    theirs, returned = by_qcmanybody(content, "nocp", charges=keywords.embedding_charges)
    assert content["return_result"] == pytest.approx(returned, abs=1e-10)
    named = {name: value for name, value in content["properties"].items() if name.startswith("nocp")}
    assert {name: pytest.approx(theirs[name], abs=1e-10) for name in named} == named

    back = written(tmp_path, content, "back.json")
    (atoms,) = read_structures(back)
    np.testing.assert_allclose(atoms.arrays["field"], CHARGES)
    again = decompose(atoms, f"qcschema:{back}", bodies="molecules", field="column:field")
    np.testing.assert_allclose(again.contribution, result.contribution, atol=1e-10)
    vacuum = decompose(atoms, f"qcschema:{back}", bodies="molecules", subsets=True)
    assert "in a field of point charges, and it is asked for in vacuum; give the charges" in vacuum.failure.values[0]
    assert np.isfinite(vacuum.subsets.subset_energy).values.tolist() == [False] * 6 + [True]
    other = decompose(atoms, f"qcschema:{back}", bodies="molecules", field=CHARGES * 1.01)
    assert "in a field of other point charges" in other.failure.values[0]


RADICALS = Atoms(
    "OHO2",
    positions=[[0, 0, 0], [0, 0, 0.97], [0, 4, 0], [0, 4, 1.21]],
)
BODIES = [0, 0, 1, 1]


HYDROXYLS = Atoms("OHOH", positions=RADICALS.positions)


@pytest.mark.parametrize(
    ("atoms", "spin", "expected"), [(HYDROXYLS, "low", [2, 2, 1]), (RADICALS, "high", [2, 3, 4])], ids=["low", "high"]
)
def test_multiplicities_are_those_that_were_found(tmp_path, atoms, spin, expected):
    """Two hydroxyl radicals as a singlet, whose spins are not parallel as QCManyBody takes them; one with O2 as a quartet."""
    atoms = atoms.copy()
    if spin == "high":
        atoms.set_initial_magnetic_moments([0, 0, 1, 1])
    result = decompose(atoms, f"pyscf:uhf/sto-3g?spin={spin}", bodies=BODIES, subsets=True)
    assert result.subsets.subset_multiplicity.values.tolist() == expected
    content = many_body_result(result)
    of = content["input_data"]["molecule"]
    assert (of["fragment_multiplicities"], of["molecular_multiplicity"]) == (expected[:2], expected[2])
    with quiet():
        model = ManyBodyResult(**content)
    assert model.input_data.molecule.molecular_multiplicity == expected[2]
    with quiet():
        own = {
            label: AtomicResult(**one).molecule.molecular_multiplicity
            for label, one in content["component_results"].items()
        }
    label = json.dumps([result.attrs["source"], [1, 2], [1, 2]])
    assert own == ({label: 1} if spin == "low" else {})
    back = written(tmp_path, content, "back.json")
    again = decompose(back, f"qcschema:{back}", bodies="molecules", subsets=True)
    assert again.subsets.subset_multiplicity.values.tolist() == expected
    np.testing.assert_allclose(again.subsets.subset_energy, result.subsets.subset_energy, atol=1e-9)


def test_multiplicities_of_tasks(run, tmp_path):
    """A body without moments has the fewest unpaired electrons that it can have, whatever others state."""
    moments, path, task = RADICALS.copy(), tmp_path / "radicals.xyz", tmp_path / "task.json"
    moments.set_initial_magnetic_moments([0, 0, 1, 1])
    write_structures(path, [moments])
    assert run("export", path, "--model", "hf/sto-3g", "-o", task)[0] == 0
    of = json.loads(task.read_text())["molecule"]
    assert (of["fragment_multiplicities"], of["molecular_multiplicity"]) == ([2, 3], 4)
    with quiet():
        assert Molecule(**of).fragment_multiplicities == [2, 3]
    moments.set_initial_magnetic_moments([0, 0, 1, 0])
    write_structures(path, [moments])
    code, _, err = run("export", path, "--model", "hf/sto-3g", "-o", task)
    assert code == 2
    assert "moments of a body must fit its electrons, body 1 has 16 electrons and moments that add up to 1" in err
    alone = RADICALS[2:]
    alone.info["multiplicity"] = 3
    write_structures(path, [alone])
    assert run("export", path, "--model", "hf/sto-3g", "-o", task)[0] == 0
    assert json.loads(task.read_text())["molecule"]["fragment_multiplicities"] == [3]
    both = RADICALS.copy()
    both.info["multiplicity"] = 4
    write_structures(path, [both])
    code, _, err = run("export", path, "--model", "hf/sto-3g", "-o", task)
    assert code == 2
    assert "structure 0 states 4 of the whole and moments of none; give moments" in err


PAIR = "analytic:pair?epsilon=0.01&sigma=2.0"
ROW = Atoms("He4", positions=[[3.0 * place, 0, 0] for place in range(4)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cutoff": 4.0}, "must have all sub-clusters up to its largest order, this one has 3 of 6 of order 2"),
        ({"sampling": Sampling(3), "max_order": 2}, "must have all sub-clusters up to its largest order"),
        ({"one_body": {"He": 0.0}}, "must have the energies of lone atoms by its source"),
    ],
)
def test_what_is_not_whole_is_refused(run, tmp_path, options, words):
    result = decompose(ROW, PAIR, subsets=True, **options)
    with pytest.raises(InputError, match=words):
        many_body_result(result)
    save(result, tmp_path / "some.nc")
    code, _, err = run("export", tmp_path / "some.nc", "-o", tmp_path / "many.json")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (tmp_path / "many.json").exists()


def test_a_cutoff_that_leaves_nothing_out_is_none(tmp_path):
    whole, cut = (decompose(ROW, PAIR, subsets=True, cutoff=cutoff, max_order=2) for cutoff in (None, 20.0))
    first, second = many_body_result(whole), many_body_result(cut)
    assert first["component_properties"] == second["component_properties"]
    assert first["return_result"] * Hartree == pytest.approx(float(whole.contribution.values.sum()))
    assert np.array(first["input_data"]["molecule"]["geometry"])[3] * Bohr == pytest.approx(3.0)
