"""Energies of a file are given for what they were computed for, and for nothing else; what is no QCSchema is told in one line."""

import json

import numpy as np
import pytest
from ase.units import Hartree
from qcschema_cases import FRAGMENTS, calculations, core, expanded, molecule, quiet, results, written

from bodyorder import InputError, decompose, load_source
from bodyorder.structures import read_structures

with quiet():
    from qcmanybody.utils import delabeler


@pytest.fixture
def structure(tmp_path):
    (atoms,) = read_structures(written(tmp_path, molecule(), "molecule.json"))
    return atoms


@pytest.fixture
def listed():
    """Results of single sub-clusters: three bodies, three pairs, all."""
    return calculations(expanded("nocp")[0], model={"method": "hf", "basis": "x"})


def contributions(atoms, path, *, subsets=False, **options):
    return decompose(atoms, {"source": f"qcschema:{path}"} | options, bodies="molecules", subsets=subsets)


def reason(atoms, path, **options):
    """Why sub-clusters are missing."""
    return contributions(atoms, path, **options).failure.values[0]


def first_pair(listed):
    (found,) = (one for one in listed if len(one["molecule"]["symbols"]) == 4)
    return found


def test_several_models_are_told_apart(tmp_path, structure, listed):
    raised = [
        one | {"model": {"method": "mp2", "basis": "x"}, "return_result": one["return_result"] - 1} for one in listed
    ]
    path = written(tmp_path, [*listed, *raised])
    with pytest.raises(
        InputError, match=r"`model` must say which of hf/x, mp2/x is meant, .*results.json holds them all"
    ):
        load_source(f"qcschema:{path}")
    with pytest.raises(InputError, match=r"`model` must be one of hf/x, mp2/x, got 'mp3/x'; did you mean 'mp2/x'"):
        load_source({"source": f"qcschema:{path}", "model": "mp3/x"})
    alone = contributions(structure, written(tmp_path, listed, "hf.json"))
    hf, mp2 = (contributions(structure, path, model=model) for model in ("hf/x", "mp2/x"))
    np.testing.assert_allclose(hf.contribution, alone.contribution, atol=1e-10)
    assert float((mp2.contribution - hf.contribution).values[0, 0]) == pytest.approx(-3 * Hartree)
    assert float(mp2.total[0] - hf.total[0]) == pytest.approx(-Hartree)
    for model, found in (("hf/x", hf), ("mp2/x", mp2)):
        assert f" {model} " in found.attrs["fingerprint"]
        assert f"model={model}" in found.attrs["source"]
        assert json.loads(found.attrs["versions"])["computed by"] == f"unknown {model}"
    assert hf.attrs["fingerprint"] != mp2.attrs["fingerprint"]
    # what no model is said of is none of those that are named
    bare = [{key: value for key, value in one.items() if key != "model"} for one in raised]
    with pytest.raises(InputError, match="which of hf/x, unnamed is meant"):
        load_source(f"qcschema:{written(tmp_path, [*listed, *bare])}")


def test_keywords_that_differ_are_told(tmp_path, structure, listed):
    for one in listed:
        one["keywords"] = {
            "freeze_core": one["molecule"]["real"] == [True],
            "function_kwargs": {},
            "d_convergence": 1e-8,
        }
    found = contributions(structure, written(tmp_path, listed))
    assert found.attrs["remark"].endswith("results.json differ in keywords of their program: freeze_core")
    listed[0]["keywords"] = listed[1]["keywords"] = listed[2]["keywords"] = listed[3]["keywords"]
    assert contributions(structure, written(tmp_path, listed)).attrs["remark"] == ""


def test_the_model_of_a_task_is_named(tmp_path):
    """QCManyBody's label of the only model says nothing; its specification does. Version 2 has models a step further down."""
    energies = {label.replace("made/up", "(auto)"): one for label, one in expanded("nocp")[0].items()}
    content = results(energies)
    model = {"method": "mp2", "basis": "cc-pvdz"}
    content["input_data"]["specification"] = {"specification": {"(auto)": {"program": "psi4", "model": model}}}
    source = load_source(f"qcschema:{written(tmp_path, content)}")
    assert source.capabilities.versions["computed by"] == "psi4 mp2/cc-pvdz"
    second = [
        {
            "input_data": {"molecule": one["molecule"], "specification": {"model": model}},
            "return_result": one["return_result"],
        }
        for one in calculations(expanded("nocp")[0])
    ]
    assert "model=mp2/cc-pvdz" in load_source(f"qcschema:{written(tmp_path, second)}").name


def test_a_charge_that_is_not_asked_for(tmp_path, structure, listed):
    first_pair(listed)["molecule"]["molecular_charge"] = 1
    path = written(tmp_path, listed)
    found = contributions(structure, path)
    assert np.isfinite(found.contribution.values[0]).tolist() == [True, False, False]
    assert found.failure.values[0].endswith("the file holds it with charge +1, and it is asked for with +0")
    charged = structure.copy()
    charged.set_initial_charges([1, 0, 0, 0, 0])
    wanted = decompose(charged, f"qcschema:{path}", bodies="molecules", subsets=True)
    # atoms 0 to 3 with a charge of 1 are what the file has; all else of the charged molecule it has not
    known = wanted.subsets.subset_energy.values[wanted.subsets.subset_order.values == 2]
    assert np.isfinite(known).tolist() == [True, False, True]


def test_charges_and_multiplicities_of_an_expansion(tmp_path):
    """A label has the charges of its fragments, and their unpaired electrons parallel, as QCManyBody computes it."""
    charged = molecule(
        fragment_charges=[1.0, 0.0, 0.0],
        fragment_multiplicities=[2, 3, 1],
        molecular_charge=1.0,
        molecular_multiplicity=4,
    )
    content = results(expanded("nocp")[0])
    content["input_data"]["molecule"] = charged
    path = written(tmp_path, content)
    (atoms,) = read_structures(path)
    found = decompose(atoms, f"qcschema:{path}", bodies="molecules", subsets=True)
    assert found.subsets.subset_multiplicity.values.tolist() == [2, 3, 1, 4, 2, 3, 4]
    with quiet():
        asked = {label: of for _, label, of in core("nocp", of=charged).iterate_molecules()}
    for members, multiplicity in zip(
        found.subsets.subset_members.values, found.subsets.subset_multiplicity.values, strict=True
    ):
        bodies = [int(body) + 1 for body in members if body >= 0]
        assert asked[json.dumps(["made/up", bodies, bodies])].molecular_multiplicity == multiplicity
    neutral = atoms.copy()
    neutral.set_initial_charges(np.zeros(5))
    assert "with charge +1, and it is asked for with +0" in reason(neutral, path)
    singlet = atoms.copy()
    singlet.set_initial_magnetic_moments([0, 0, 1, -1, 0])  # two electrons of opposite spin
    assert "with multiplicity 4, and moments of its atoms say 2" in reason(singlet, path)


def test_a_multiplicity_that_is_not_asked_for(tmp_path, structure, listed):
    first_pair(listed)["molecule"]["molecular_multiplicity"] = 3
    path = written(tmp_path, listed)
    triplet = structure.copy()
    triplet.set_initial_magnetic_moments([1, 1, 0, 0, 0])
    found = decompose(triplet, f"qcschema:{path}", bodies="molecules", subsets=True)
    # of the bodies the first is a singlet in the file, and so are the others with it
    energies = found.subsets.subset_energy.values
    assert np.isfinite(energies).tolist() == [False, True, True, True, False, True, False]
    assert "with multiplicity 1, and moments of its atoms say 3" in found.failure.values[0]
    # nobody asks for a multiplicity: what the file has is given, and told
    found = decompose(structure, f"qcschema:{path}", bodies="molecules", subsets=True)
    assert found.subsets.subset_multiplicity.values.tolist() == [1, 1, 1, 3, 1, 1, 1]
    # of two the user says which
    other = json.loads(json.dumps(first_pair(listed)))
    other["molecule"]["molecular_multiplicity"] = 1
    path = written(tmp_path, [*listed, other | {"return_result": -1.5}])
    assert "multiplicities 1 and 3; moments on its atoms, or a spin rule (spin=low), must say which" in reason(
        structure, path
    )
    chosen = decompose(triplet, f"qcschema:{path}", bodies="molecules", subsets=True).subsets.subset_energy.values
    assert chosen[3] / Hartree == pytest.approx(first_pair(listed)["return_result"], abs=1e-12)


def test_a_spin_rule_chooses(tmp_path, structure, listed):
    """Of a pair there are singlet and triplet, of another the triplet alone."""
    first, second = [one for one in listed if one["molecule"]["real"].count(True) == 3]
    triplet = json.loads(json.dumps(first))
    triplet["molecule"]["molecular_multiplicity"] = second["molecule"]["molecular_multiplicity"] = 3
    triplet["return_result"] = first["return_result"] - 0.25
    path = written(tmp_path, [*listed, triplet])
    low, ground = (contributions(structure, path, spin=spin, subsets=True) for spin in ("low", "ground"))
    assert low.failure.values[0].endswith("the file holds it with multiplicity 3, and the spin rule says 1")
    rows = low.subsets.subset_multiplicity.values[4:6]
    (row,) = 4 + np.flatnonzero(np.isfinite(rows))
    assert low.subsets.subset_multiplicity.values[row] == 1
    assert ground.subsets.subset_multiplicity.values[4:6].tolist() == [3, 3]
    lower = ground.subsets.subset_energy.values[row] - low.subsets.subset_energy.values[row]
    assert lower / Hartree == pytest.approx(-0.25, abs=1e-12)
    assert low.attrs["spin"] == "low"
    assert low.attrs["fingerprint"] != ground.attrs["fingerprint"]


@pytest.mark.parametrize("where", ["list", "expansion"])
def test_what_failed_is_no_energy(tmp_path, structure, listed, where):
    """As QCEngine and QCManyBody say it, with what was computed before it failed, or nothing."""
    text = "QCEngine Execution Error:\nTraceback (most recent call last):\n  File it\nValueError: no convergence in 100 steps"
    failure = {"success": False, "error": {"error_type": "convergence_error", "error_message": text}}
    if where == "list":
        first_pair(listed).update(failure)
        content = listed
    else:
        content = results(expanded("nocp")[0])
        content["component_results"] = {
            '["made/up", [1, 2], [1, 2]]': {"input_data": {"molecule": first_pair(listed)["molecule"]}} | failure
        }
    found = decompose(structure, f"qcschema:{written(tmp_path, content)}", bodies="molecules", subsets=True)
    assert np.isfinite(found.subsets.subset_energy).values.tolist() == [True] * 3 + [False] + [True] * 3
    assert found.failure.values[0].endswith("its calculation failed: ValueError: no convergence in 100 steps")
    # a second attempt that succeeded counts
    if where == "list":
        again = [*listed, first_pair(listed) | {"success": True, "error": None}]
        assert reason(structure, written(tmp_path, again)) == ""


def test_single_results_in_a_field(tmp_path, structure):
    """Charges stand where QCManyBody puts them for programs, or where Psi4 reads them."""
    field = np.array([0.3, -0.3, 0.25, -0.2, 0.1])
    charges = {index + 1: field[fragment].tolist() for index, fragment in enumerate(FRAGMENTS)}
    energies, theirs = expanded("nocp")
    listed = dict(zip(energies, calculations(energies), strict=True))
    with quiet():
        placed = {
            label: of.extras["embedding_charges"] for _, label, of in core("nocp", charges=charges).iterate_molecules()
        }
    for label, rows in placed.items():
        around = [[charge, list(map(float, place))] for charge, place in rows]
        if len(delabeler(label)[1]) == 1:
            listed[label]["molecule"]["extras"] = {"embedding_charges": around}
        else:
            listed[label]["keywords"] = {"function_kwargs": {"external_potentials": around[::-1]}}
    path = written(tmp_path, list(listed.values()))
    found = decompose(structure, f"qcschema:{path}", bodies="molecules", field=field)
    ours = found.contribution.values[0, 1:] / Hartree
    wanted = [theirs[f"nocp_corrected_{order}_body_contribution_to_energy"] for order in (2, 3)]
    assert ours == pytest.approx(wanted, abs=1e-11)
    assert "in a field of point charges, and it is asked for in vacuum" in reason(structure, path)
    vacuum = written(tmp_path, calculations(energies), "vacuum.json")
    other = decompose(structure, f"qcschema:{vacuum}", bodies="molecules", field=field)
    assert "the file holds it in vacuum, and it is asked for in a field" in other.failure.values[0]
    listed[label]["keywords"] = {"external_potentials": {"A": "charges.dat"}}
    with pytest.raises(InputError, match=r"point charges around a calculation must be rows .* object 6 of .* are not"):
        load_source(f"qcschema:{written(tmp_path, list(listed.values()))}")


def test_what_an_energy_is_of_is_in_the_fingerprint(tmp_path, listed):
    seen = set()
    changes = [
        {},
        {"molecular_charge": 1},
        {"molecular_multiplicity": 3},
        {"extras": {"embedding_charges": [[0.5, [0.0, 0.0, 9.0]]]}},
        {"extras": {"embedding_charges": [[0.5, [0.0, 0.0, 9.5]]]}},
    ]
    for change in changes:
        altered = json.loads(json.dumps(listed))
        first_pair(altered)["molecule"] |= change
        seen.add(load_source(f"qcschema:{written(tmp_path, altered)}").fingerprint)
    failed = json.loads(json.dumps(listed))
    first_pair(failed)["success"] = False
    seen.add(load_source(f"qcschema:{written(tmp_path, failed)}").fingerprint)
    assert len(seen) == len(changes) + 1


def test_a_file_that_contradicts_itself(tmp_path, listed):
    path = written(tmp_path, [*listed, listed[0] | {"return_result": listed[0]["return_result"] + 1e-3}])
    with pytest.raises(InputError, match=r"must not contradict each other, .*: object 0 of .* and object 7 of "):
        load_source(f"qcschema:{path}")
    assert load_source(f"qcschema:{written(tmp_path, [*listed, listed[0]])}")
    twice = listed[0] | {"properties": {"return_energy": listed[0]["return_result"] - 1.0}}
    with pytest.raises(InputError, match="`return_energy` and `return_result` must be one energy, got "):
        load_source(f"qcschema:{written(tmp_path, [twice, *listed[1:]])}")


def test_properties_and_results_of_one_label_that_contradict_each_other(tmp_path):
    label = '["made/up", [1], [1]]'
    expansion = {
        "molecule": molecule(),
        "component_properties": {label: {"return_energy": -2.0}},
        "component_results": {label: {"return_result": -3.0, "success": True}},
    }
    with pytest.raises(
        InputError, match=r"must not contradict each other, .* properties are -2\.0+ and results -3\.0+ hartree"
    ):
        load_source(f"qcschema:{written(tmp_path, expansion)}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fragment_charges": [0.0]}, "`fragment_charges` must have the charge of each of 3 fragments, and has 1"),
        (
            {"fragment_multiplicities": [1, 1]},
            "`fragment_multiplicities` must have the multiplicity of each of 3 fragments",
        ),
        (
            {"fragment_multiplicities": [2, 1, 1]},
            r"`fragment_multiplicities.0` must fit the charge, \+0 leaves 2 electrons",
        ),
        ({"fragment_multiplicities": [5, 1, 1]}, "leaves 2 electrons, which cannot have multiplicity 5"),
        ({"fragment_multiplicities": [1.5, 1, 1]}, "`fragment_multiplicities.0` must be a valid integer, got 1.5"),
        ({"molecular_multiplicity": 2}, r"`molecular_multiplicity` must fit the charge, \+0 leaves 6 electrons"),
        ({"molecular_multiplicity": 0}, "`molecular_multiplicity` must be greater than or equal to 1, got 0"),
        ({"fragments": [[], [0, 1, 2, 3], [4]]}, r"`fragments.0` must have at least 1 item, got \[\]"),
        ({"fragments": [["a"]]}, "`fragments.0.0` must be a valid integer, got 'a'"),
        ({"fragments": "abc"}, "`fragments` must be a valid list, got 'abc'"),
        ({"fragments": None}, "`fragments` must be given with their charges and multiplicities"),
        ({"geometry": ["a"] * 15}, "`geometry.0` must be a valid number, got 'a'"),
        ({"geometry": [float("nan")] * 15}, "`geometry.0` must be a finite number, got nan"),
        ({"geometry": [1e300] * 15}, "`geometry.0` must be less than or equal to"),
        ({"symbols": 5}, "`symbols` must be a valid list, got 5"),
        ({"symbols": []}, "`symbols` must have at least 1 item"),
        ({"symbols": [1] * 5}, "`symbols.0` must be a valid string, got 1"),
        ({"real": [True] * 3}, "`real` must say of each of 5 atoms whether it is there, and says it of 3"),
        ({"molecular_charge": "none"}, "`molecular_charge` must be a valid number, got 'none'"),
    ],
)
def test_molecules_that_are_none(run, tmp_path, changes, words):
    """As structures, and as what a source reads."""
    path = written(tmp_path, molecule(**changes))
    with pytest.raises(InputError, match=words):
        read_structures(path)
    content = results(expanded("nocp")[0])
    content["input_data"]["molecule"] = molecule(**changes)
    with pytest.raises(InputError, match=words.replace("`", "`(input_data.molecule.)?", 1)):
        load_source(f"qcschema:{written(tmp_path, content, 'results.json')}")
    output = tmp_path / "o.nc"
    code, _, err = run("decompose", path, "--source", "analytic:pair?epsilon=0.01&sigma=2.0", "-o", output)
    assert (code, err.count("\n")) == (2, 1)


WATER = {"symbols": ["O", "H"], "geometry": [0, 0, 0, 0, 0, 1.8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (5, "a qcschema source must hold results, .* holds int"),
        ([], "a qcschema source must hold energies, .* holds none"),
        ([{"molecule": WATER, "return_result": 10**400}], "`return_result` must be a finite energy in hartree, got inf"),
        ({}, "must hold results of sub-clusters .* holds nothing"),
        ([None], "object 0 of .*: what stands there must be a valid dictionary, got None"),
        ([{"molecule": WATER, "return_result": float("nan")}], "`return_result` must be a finite energy in hartree, got nan"),
        ([{"molecule": WATER, "return_result": None}], "must have a molecule and an energy in each, object 0 of .* has not"),
        ([{"molecule": WATER, "return_result": 1.0, "model": "hf"}], "`model` must be a valid dictionary, got 'hf'"),
        ([{"molecule": [], "return_result": 1.0}], r"`molecule` must be a valid dictionary, got \[\]"),
        ([{"molecule": WATER, "return_result": 1.0, "success": "yes"}], "`success` must be a valid boolean, got 'yes'"),
        ({"molecule": molecule(), "component_properties": ["x"]}, "`component_properties` must be a valid dictionary, got"),
        ({"molecule": molecule(), "component_properties": {"a": 1.0}}, "`component_properties.a` must be a valid dict"),
        ({"molecule": molecule(), "component_properties": {"a": {"return_energy": "x"}}}, "return_energy` must be a valid num"),
        ({"molecule": molecule(), "component_properties": {}}, "a qcschema source must hold energies"),
        ({"molecule": WATER, "component_properties": {}}, "must have a molecule with fragments"),
        ([{"molecule": molecule(), "component_properties": {}}], "must be of single sub-clusters, object 0 .* give it alone"),
        ({"molecule": molecule(), "component_properties": {'["a", 1, [1]]': {"return_energy": 1.0}}}, "labels of sub-clusters"),
        ({"molecule": molecule(), "component_properties": {'["a", ["1"], [1]]': {"return_energy": 1.0}}}, "labels of sub-clu"),
        (
            {
                "input_data": {"molecule": molecule(), "specification": {"keywords": {"embedding_charges": {"1": [0.1]}}}},
                "component_properties": {'["a", [1], [1]]': {"return_energy": 1.0}},
            },
            "`embedding_charges` must have a finite charge for each atom of each of 3 fragments",
        ),
    ],
)  # fmt: skip
def test_results_that_are_none(run, tmp_path, content, words):
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=words) as error:
        load_source(f"qcschema:{path}")
    assert "\n" not in str(error.value)
    structure, output = written(tmp_path, molecule(), "molecule.json"), tmp_path / "o.nc"
    code, _, err = run("decompose", structure, "--source", f"qcschema:{path}", "-o", output)
    assert (code, err.count("\n")) == (2, 1)


#: What may stand where something else is meant.
ANYTHING = (None, True, -1, 1.5, 1e308, 10**400, float("nan"), "a", [], [[]], [None], {}, {"1": "b"}, [[0.1, [0, 0]]])


def places_in(content, path=()):
    """Every place in what JSON holds."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places_in(value, (*path, key))


def files():
    energies, _ = expanded("nocp")
    whole, more = (
        results(energies),
        {"model": {"method": "hf", "basis": {"name": "x"}}, "properties": {"return_energy": -1.0}},
    )
    whole["input_data"]["specification"] = {
        "keywords": {"embedding_charges": {"1": [0.1, 0.2], "2": [0.1, 0.2], "3": [0.3]}},
        "specification": {"(auto)": {"model": {"method": "hf", "basis": "x"}}},
    }
    failed = calculations(energies)[3] | {"success": False, "error": {"error_type": "x", "error_message": "y"}}
    whole["component_results"] = {'["made/up", [1, 2], [1, 2]]': failed}
    keywords = {"external_potentials": [[0.1, [0, 0, 1]]], "function_kwargs": {}}
    return whole, calculations(dict(list(energies.items())[-1:]), keywords=keywords, **more)


def complaint(read, path):
    """What a reader says of a file that it refuses; empty if it takes it."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("which", [0, 1])
def test_anything_anywhere_is_read_or_refused_in_one_line(tmp_path, which):
    said = []
    text = json.dumps(files()[which])
    for index, place in enumerate(places_in(files()[which])):
        for value in ANYTHING[index % 7 :: 7]:
            held = content = json.loads(text)
            for key in place[:-1]:
                held = held[key]
            held[place[-1]] = value
            path = written(tmp_path, content)
            said += [complaint(read, path) for read in (read_structures, lambda path: load_source(f"qcschema:{path}"))]
    assert sum(map(bool, said)) > 50
    assert not [line for line in said if "\n" in line]


def test_a_file_that_is_nested_without_end(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"must be a file in JSON, .* is not: it is nested too deeply"):
        load_source(f"qcschema:{path}")
    with pytest.raises(InputError):
        read_structures(path)


@pytest.mark.parametrize("content", [5, [], [None], {}, "text", {"schema_name": "qcschema_molecule", "symbols": ["H"]}])
def test_structures_that_are_none(tmp_path, content):
    with pytest.raises(InputError) as error:
        read_structures(written(tmp_path, content))
    assert "\n" not in str(error.value)
