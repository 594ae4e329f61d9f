"""Spin rules, charges of bodies and options: which state is asked for, and what is refused."""

import importlib
import pickle
import re

import ase
import numpy as np
import pytest
from ase.data import chemical_symbols, ground_state_magnetic_moments
from ase.units import Hartree
from pyscf import ao2mo, fci, gto, scf

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.sources.pyscf.basis import BasisSet
from bodyorder.sources.pyscf.options import check_names, check_values
from bodyorder.sources.pyscf.problem import Settings
from bodyorder.sources.pyscf.source import PyscfSource
from bodyorder.sources.pyscf.spin import spins_in_basis
from bodyorder.sources.registry import load_source
from bodyorder.sources.spin import spin_rule
from bodyorder.sources.spin.atoms import unpaired_of_atom
from bodyorder.structures import ClusterBatch, System

SQUARE = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], magmoms=[1, -1, 1, -1])
RECORD = []


def lowest_or_triplet(numbers, positions, charge):
    """A rule as a user writes it."""
    RECORD.append((numbers.tolist(), positions.round(9).tolist(), charge))
    electrons = numbers.sum() - charge
    return 2 if electrons % 2 else (1, 3)[: max(1, electrons)]


def mean_field(atoms, basis, charge=0):
    """Unrestricted Hartree-Fock without unpaired electrons in hartree, by PySCF alone, led away from saddle points."""
    mol = gto.M(atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis=basis, charge=charge, verbose=0)
    field = scf.UHF(mol).run(conv_tol=1e-11)
    for _ in range(5):
        orbitals, _, stable, _ = field.stability(return_status=True)
        if stable:
            break
        field.kernel(dm0=field.make_rdm1(orbitals, field.mo_occ))
    return field.e_tot


def sector(atoms, basis, charge, unpaired):
    """Lowest energy in hartree of all states with 2Sz = ``unpaired``, by PySCF alone."""
    mol = gto.M(atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis=basis, spin=None, verbose=0)
    electrons = int(atoms.numbers.sum()) - charge
    overlap = mol.intor("int1e_ovlp")
    values, vectors = np.linalg.eigh(overlap)
    orbitals = vectors / np.sqrt(values)
    core = orbitals.T @ scf.hf.get_hcore(mol) @ orbitals
    repulsion = ao2mo.kernel(mol, orbitals)
    spins = ((electrons + unpaired) // 2, (electrons - unpaired) // 2)
    solver = fci.direct_spin1.FCI()
    solver.pspace_size = 5000
    return solver.kernel(core, repulsion, len(values), spins)[0] + mol.energy_nuc()


def batch_of(*frames, bodies=None):
    systems = {index: System.from_atoms(atoms, bodies) for index, atoms in enumerate(frames)}
    n = len(frames[0])
    return ClusterBatch.cut(systems, np.arange(len(frames)), np.tile(np.arange(n), (len(frames), 1)))


def asked(rule, batch, room=50, total_spin=True):
    return spins_in_basis(spin_rule(rule, total_spin), batch, np.full(len(batch), room))


# ---------------------------------------------------------------------------------------------------------------- atoms

#: Multiplicities that do not follow from filling shells in order, or that lists often have wrong.
EXCEPTIONS = {
    "B": 2, "C": 3, "N": 4, "O": 3, "V": 4, "Cr": 7, "Mn": 6, "Fe": 5, "Co": 4, "Ni": 3, "Cu": 2, "Nb": 6, "Mo": 7, "Tc": 6,
    "Ru": 5, "Rh": 4, "Pd": 1, "Ag": 2, "La": 2, "Ce": 1, "Pr": 4, "Nd": 5, "Eu": 8, "Gd": 9, "Tb": 6, "Yb": 1, "Lu": 2, "Hf": 3,
    "Ta": 4, "W": 5, "Re": 6, "Os": 5, "Ir": 4, "Pt": 3, "Au": 2, "Hg": 1, "Tl": 2, "Pb": 3, "Bi": 4, "Th": 3, "U": 5, "Es": 4,
}  # fmt: skip


def test_ground_states_of_atoms():
    """Against ASE's list, whose cerium and einsteinium have a moment that their number of electrons cannot have."""
    for number in range(1, 103):
        unpaired = unpaired_of_atom(number)
        assert (number - unpaired) % 2 == 0
        if chemical_symbols[number] not in ("Ce", "Es"):
            assert unpaired == ground_state_magnetic_moments[number], chemical_symbols[number]
    for symbol, multiplicity in EXCEPTIONS.items():
        assert unpaired_of_atom(chemical_symbols.index(symbol)) == multiplicity - 1, symbol
    with pytest.raises(InputError, match="that of 104 electrons is not; use spin=ground or a rule of your own"):
        unpaired_of_atom(104)


# -------------------------------------------------------------------------------------------------------------- charges


@pytest.mark.parametrize(
    ("symbols", "charges", "distance"), [("H2", [1, 0], 1.06), ("He2", [0, 1], 1.08), ("LiH", [1, -1], 1.6)]
)
def test_ions_as_bodies(symbols, charges, distance):
    atoms = ase.Atoms(symbols, [[0, 0, 0], [0, 0, distance]], charges=charges)
    result = decompose(atoms, "pyscf:fci/sto-6g?spin=ground")
    alone = [
        sector(atoms[[index]], "sto-6g", charge, (atoms.numbers[index] - charge) % 2)
        for index, charge in enumerate(charges)
        if atoms.numbers[index] > charge
    ]
    total = sector(atoms, "sto-6g", sum(charges), (atoms.numbers.sum() - sum(charges)) % 2)
    expected = np.array([sum(alone), total - sum(alone)]) * Hartree
    np.testing.assert_allclose(result.contribution.values[0], expected, atol=1e-6)


def test_a_proton_moved_from_one_water_to_the_other():
    """OH⁻ and H₃O⁺ as bodies: without their charges their energies would be those of two radicals."""
    atoms = ase.Atoms(
        "OHOH3",
        [[0, 0, 0], [-0.3, 0.92, 0], [2.5, 0, 0], [1.48, 0, 0], [2.9, 0.75, 0.5], [2.9, -0.75, 0.5]],
        charges=[-1, 0, 1, 0, 0, 0],
    )
    parts = [[0, 1], [2, 3, 4, 5]]
    alone = [mean_field(atoms[part], "sto-3g", charge) for part, charge in zip(parts, (-1, 1), strict=True)]
    total = mean_field(atoms, "sto-3g")
    result = decompose(atoms, "pyscf:uhf/sto-3g?spin=high", bodies="molecules")
    expected = np.array([sum(alone), total - sum(alone)]) * Hartree
    np.testing.assert_allclose(result.contribution.values[0], expected, atol=1e-5)


def test_charges_that_no_body_has():
    atoms = ase.Atoms("OH2OH2", [[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]] * 2, charges=[-0.834, 0.417, 0.417] * 2)
    atoms.positions[3:, 0] += 3.0
    with pytest.raises(
        InputError, match=r"the initial charges of atoms \[0\] of structure 0 add up to -0.834; set formal"
    ):
        decompose(atoms, "analytic:pair")
    decompose(atoms, "analytic:pair", bodies="molecules")
    atoms.set_initial_charges([-1, 0, 0, 1, 0, 0])
    with pytest.raises(
        InputError, match=r"^analytic:pair\?[^ ]* takes no charges, structure 0 has a body of charge -1; use"
    ):
        decompose(atoms, "analytic:pair", bodies="molecules")
    with pytest.raises(
        InputError, match=r"no fewer than 0 electrons, atoms \[0\] of structure 0 have 1 electrons and a charge of \+2"
    ):
        decompose(ase.Atoms("H", charges=[2]), "pyscf:fci/sto-6g?spin=low")


def test_spins_that_a_determinant_is_asked_for():
    """Those of the atoms and one broken pair in the ground state; what a user asks for is never left out."""
    batches = [
        batch_of(ase.Atoms(symbols, 2.0 * np.eye(3)[: len(symbols)])) for symbols in (["He"] * 2, ["H"] * 3, ["N"])
    ]
    assert [asked("ground", batch, 4, total_spin=True)[0] for batch in batches] == [(0, 2, 4), (1, 3), (1,)]
    assert [asked("ground", batch, 9, total_spin=False)[0] for batch in batches] == [(0, 2), (1, 3), (1, 3)]
    assert [asked("low", batch, 9, total_spin=False)[0] for batch in batches] == [(0,), (1,), (1,)]


# ----------------------------------------------------------------------------------------------------------------- high


@pytest.mark.parametrize(
    ("symbols", "bodies", "arrays", "unpaired"),
    [
        ("OHH", [0, 1, 2], {}, 4),
        ("OHH", [0, 1, 1], {}, 2),  # hydrogen molecule: no unpaired electron
        ("OHH", [0, 0, 1], {}, 2),  # hydroxyl radical and hydrogen atom
        ("OOOO", [0, 0, 1, 1], {"magmoms": [1, 1, 1, 1]}, 4),  # two oxygen molecules
        ("OOOO", [0, 0, 1, 1], {"magmoms": [1, 1, -1, -1]}, 4),  # each of which is turned upwards
        ("OOOO", [0, 0, 1, 1], {"magmoms": [0, 0, 1, 1]}, 2),
        ("LiHCr", [0, 1, 2], {"charges": [1, -1, 0]}, 6),  # Li⁺ like He, H⁻ like He
        ("NaClH", [0, 1, 2], {"charges": [1, -1, 1]}, 0),
        ("OHO", [0, 0, 1], {"charges": [-1, 0, -1]}, 1),  # hydroxide, O⁻ like F
    ],
)
def test_unpaired_electrons_of_bodies(symbols, bodies, arrays, unpaired):
    atoms = ase.Atoms(symbols, 3.0 * np.arange(3 * len(bodies)).reshape(-1, 3), **arrays)
    assert asked("high", batch_of(atoms, bodies=np.array(bodies))) == [(unpaired,)]


def test_molecules_as_bodies_in_high_spin():
    """A hydrogen atom and a molecule keep one unpaired electron, three atoms have three."""
    atoms = ase.Atoms("H3", [[0, 0, 0], [0, 0, 0.74], [0, 0, 2.5]])
    for bodies, unpaired in (([0, 0, 1], 1), ([0, 1, 2], 3)):
        result = decompose(atoms, "pyscf:fci/sto-6g?spin=high", bodies=bodies)
        assert result.total.values[0] == pytest.approx(sector(atoms, "sto-6g", 0, unpaired) * Hartree, abs=1e-6)


# -------------------------------------------------------------------------------------------------------------- pattern


def test_pattern_takes_the_lowest_state_of_its_sector():
    """Every sub-cluster of a square against PySCF in the sector of Sz that its own moments add up to."""
    result = decompose(SQUARE, "pyscf:fci/sto-6g?spin=pattern", subsets=True)
    for members, energy in zip(result.subsets.subset_members.values, result.subsets.subset_energy.values, strict=True):
        part = SQUARE[members[members >= 0]]
        unpaired = int(abs(part.get_initial_magnetic_moments().sum()))
        assert energy == pytest.approx(sector(part, "sto-6g", 0, unpaired) * Hartree, abs=1e-6)
    turned = SQUARE.copy()
    turned.set_initial_magnetic_moments(-SQUARE.get_initial_magnetic_moments())
    again = decompose(turned, "pyscf:fci/sto-6g?spin=pattern")
    np.testing.assert_allclose(again.contribution, result.contribution, atol=1e-9)


def test_a_pattern_is_part_of_what_a_store_knows(tmp_path):
    """Two patterns on one structure have energies of their own, in one store."""
    parallel = SQUARE.copy()
    parallel.set_initial_magnetic_moments([1, 1, 1, 1])
    spec = "pyscf:fci/sto-6g?spin=pattern"
    fresh = [decompose(atoms, spec).total.values[0] for atoms in (SQUARE, parallel)]
    kept = [decompose(atoms, spec, store=tmp_path / "s.db").total.values[0] for atoms in (SQUARE, parallel)]
    assert kept == fresh
    assert fresh[1] - fresh[0] > 1.0


def test_pattern_of_a_determinant():
    """A mean field has exactly the unpaired electrons of its moments, and is given them to start from."""
    batch = ClusterBatch.cut({0: System.from_atoms(SQUARE)}, np.zeros(2, dtype=int), np.array([[0, 2], [1, 3]]))
    assert asked("pattern", batch, total_spin=False) == [(2,), (2,)]
    assert asked("pattern", batch, total_spin=True) == [(2,), (2,)]
    neighbours = ClusterBatch.cut({0: System.from_atoms(SQUARE)}, np.zeros(2, dtype=int), np.array([[0, 1], [2, 3]]))
    assert asked("pattern", neighbours, total_spin=False) == [(0,), (0,)]
    assert asked("pattern", neighbours, total_spin=True) == [(0, 2), (0, 2)]
    assert spin_rule("pattern", False).moments(batch).tolist() == [[1, 1], [1, 1]]
    assert spin_rule("pattern", False).moments(neighbours).tolist() == [[1, -1], [1, -1]]
    source = load_source("pyscf:uhf/sto-6g?spin=pattern")
    assert source.capabilities.context == ("moments", "field")
    answer = source.evaluate(batch_of(SQUARE), forces=False)
    assert answer.records["multiplicity"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        ([0, 0], "spin=pattern must find moments on the atoms, structure 0 has none; set its initial magnetic moments"),
        (
            [0.5, 0.2],
            r"whole numbers of unpaired electrons, those of atoms \[0, 1\] of structure 0 add up to 0.7; give",
        ),
        ([np.nan, 0], "must add up to whole numbers of unpaired electrons, .* add up to nan; give whole moments"),
        ([1, 0], r"atoms \[0, 1\] of structure 0 have 2 electrons and moments that add up to 1; change their moments"),
        ([2, 2], r"atoms \[0, 1\] of structure 0 have 2 electrons and moments that add up to 4"),
    ],
)
def test_patterns_that_cannot_be(moments, message):
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 1]], magmoms=moments)
    source = load_source("pyscf:fci/sto-6g?spin=pattern")
    with pytest.raises(InputError, match=message) as raised:
        source.energies(batch_of(atoms))
    assert "\n" not in str(raised.value)


def test_a_pattern_that_the_basis_cannot_hold():
    atoms = ase.Atoms("He", magmoms=[2])
    with pytest.raises(InputError, match=r"1 orbitals cannot hold 2 electrons of atomic numbers .* with spin=pattern"):
        load_source("pyscf:fci/sto-6g?spin=pattern").energies(batch_of(atoms))


# -------------------------------------------------------------------------------------------------------- own functions


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """Write a module of rules that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()

    return write


def test_a_rule_of_ones_own(rules):
    rules("own_low", "def low(numbers, positions, charge):\n    return 1 + (numbers.sum() - charge) % 2\n")
    batch = ClusterBatch.cut({0: System.from_atoms(SQUARE)}, np.zeros(2, dtype=int), np.array([[0, 1, 2], [1, 2, 3]]))
    own, named = load_source("pyscf:fci/sto-6g?spin=own_low:low"), load_source("pyscf:fci/sto-6g?spin=low")
    assert own.name == "pyscf:fci/sto-6g?spin=own_low:low"
    np.testing.assert_allclose(own.energies(batch), named.energies(batch), atol=1e-9)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(own)).energies(batch), own.energies(batch), atol=0)
    given = load_source({"source": "pyscf:fci/sto-6g", "spin": lowest_or_triplet})
    assert given.name.endswith(":lowest_or_triplet")
    ground = load_source("pyscf:fci/sto-6g?spin=ground").energies(batch_of(SQUARE))
    np.testing.assert_allclose(given.energies(batch_of(SQUARE)), ground, atol=1e-9)


def test_a_rule_sees_a_sub_cluster_alike_wherever_it_stands():
    atoms = ase.Atoms("OHHe", [[0, 0, 0], [0.7, 0.4, 0], [-0.3, 2.0, 0.9]], charges=[0, 0, 1])
    moved = atoms[[2, 0, 1]]
    moved.positions += [1.5, -2.0, 0.25]
    rule = load_source({"source": "pyscf:fci/sto-6g", "spin": lowest_or_triplet})._rule
    RECORD.clear()
    for frame in (atoms, moved):
        assert spins_in_basis(rule, batch_of(frame), np.array([7])) == [(0, 2)]
    assert RECORD[0] == RECORD[1]
    assert (sorted(RECORD[0][0]), RECORD[0][2]) == ([1, 2, 8], 1)
    assert np.min(RECORD[0][1], axis=0).tolist() == [0, 0, 0]


def test_the_text_of_a_rule_is_part_of_the_fingerprint(rules):
    text = "def {}(numbers, positions, charge):\n    return {}\n"
    rules("rules_a", text.format("rule", 1))
    rules("rules_b", text.format("rule", 1))
    rules("rules_c", "STEP = 2\n\n" + text.format("rule", 1))
    prints = [load_source(f"pyscf:fci/sto-6g?spin=rules_{name}:rule")._rule.identity for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
    source = load_source("pyscf:fci/sto-6g?spin=rules_a:rule")
    assert source.fingerprint.endswith(prints[0])
    assert "rules_a:rule" in source.fingerprint


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("2", r"that the electrons can have, got 2 for 2 electrons of atomic numbers \[1, 1\]; they can have 1, 3$"),
        ("[1, 2]", "got 2 for 2 electrons"),
        ("5", "got 5 for 2 electrons"),
        ("0", r"must give a multiplicity 2S \+ 1 \(1, 2, …\) or several, got 0 for atomic numbers \[1, 1\]"),
        ("1.0", "or several, got 1.0 for"),
        ("None", "or several, got None for"),
        ("[]", r"or several, got \[\] for"),
        ("'1'", "or several, got '1' for"),
        ("True", "or several, got True for"),
        ("{2.0, 3}", "or several, got {"),
        ("{1, 3, 5}", "got 5 for 2 electrons"),
        ("1 / 0", "must give multiplicities, and raised ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_rules_of_ones_own_that_cannot_work(rules, answer, message):
    name = f"bad_{abs(hash(answer))}"
    rules(name, f"def rule(numbers, positions, charge):\n    return {answer}\n")
    source = load_source(f"pyscf:fci/sto-6g?spin={name}:rule")
    with pytest.raises(InputError, match=f"^spin={name}:rule " + f".*{message}") as raised:
        source.energies(batch_of(ase.Atoms("H2", [[0, 0, 0], [0, 0, 1]])))
    assert "\n" not in str(raised.value)


def test_a_multiplicity_that_the_basis_cannot_hold(rules):
    rules("triplet", "def rule(numbers, positions, charge):\n    return 3\n")
    with pytest.raises(InputError, match=r"1 orbitals cannot hold 2 electrons .* with spin=triplet:rule; use a larger"):
        load_source("pyscf:fci/sto-6g?spin=triplet:rule").energies(batch_of(ase.Atoms("He")))


def test_a_multiplicity_far_above_the_ground_state(rules):
    """Two helium atoms with all spins parallel, which no rule by name would ask a determinant for."""
    rules("quintet", "def rule(numbers, positions, charge):\n    return len(numbers) * 2 + 1\n")
    atoms = ase.Atoms("He2", [[0, 0, 0], [0, 0, 30.0]])
    source = load_source("pyscf:uhf/6-31g?spin=quintet:rule")
    pair, one = (source.evaluate(batch_of(part), forces=False) for part in (atoms, atoms[:1]))
    assert (pair.records["multiplicity"][0], one.records["multiplicity"][0]) == (5, 3)
    assert pair.energies[0] == pytest.approx(2 * one.energies[0], abs=1e-6)


def test_functions_that_cannot_be_found(rules):
    rules("broken", "raise RuntimeError('first\\nsecond')\n")
    rules("good", "def rule(numbers, positions, charge):\n    return 1\n\nnumber = 3\n")
    for spec, message in (
        ("nothing_here:rule", r"module of spin=nothing_here:rule could not be imported \(No module .*set PYTHONPATH"),
        ("broken:rule", r"could not be imported \(first\)"),
        ("good:rul", "spin=good:rul must name a function, good has none of that name; did you mean 'rule'"),
        ("good:number", "spin=good:number must name a function"),
        (":rule", "module of spin=:rule could not be imported"),
    ):
        with pytest.raises(InputError, match=message) as raised:
            load_source(f"pyscf:fci/sto-6g?spin={spec}")
        assert "\n" not in str(raised.value)

    def inner(numbers, positions, charge):
        return 1

    for function in (lambda *_: 1, inner, len, lowest_or_triplet.__get__(3)):
        with pytest.raises(InputError, match=r"^`spin` must be a function at the top level of a module, .* with def$"):
            load_source({"source": "pyscf:fci/sto-6g", "spin": function})


# -------------------------------------------------------------------------------------------------------------- options


def test_options_go_to_the_methods_that_take_them():
    known = "options: spin, counterpoise, memory, basis, ecp"
    with pytest.raises(InputError, match=rf"^pyscf:fci/sto-6g has no option 'xc'; {known}"):
        load_source("pyscf:fci/sto-6g?spin=low&xc=pbe")
    with pytest.raises(InputError, match=rf"^mine has no option 'grd'; {known}, grid, gap; did you mean 'grid'\?$"):
        check_names("mine", ("grid", "gap"), ["grid", "grd"])
    assert check_values("mine", ("grid", "gap"), {"gap": True}) == {"grid": 4, "gap": True}
    for name, value, message in (
        ("xc", None, "`xc` must be given for mine: the exchange-correlation functional"),
        ("grid", 10, "`grid` must be between 0 and 9, got 10"),
        ("gap", 1, "`gap` must be true or false, got 1"),
        ("bond_dimension", 2.5, "`bond_dimension` must be an integer between 2 and 100000, got 2.5"),
        ("forces", "numeric", "`forces` must be one of analytic, numerical, got 'numeric'; did you mean 'numerical'"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            check_values("mine", (name,), {name: value})


def test_every_option_is_in_the_fingerprint_and_those_given_in_the_name():
    basis = BasisSet.of("sto-6g")
    quiet, shown = (
        PyscfSource(Settings("fci", basis, "low", options={"gap": False}, shown=names)) for names in ((), ("gap",))
    )
    other = PyscfSource(Settings("fci", basis, "low", options={"gap": True}, shown=("gap",)))
    assert (quiet.name, shown.name) == ("pyscf:fci/sto-6g?spin=low", "pyscf:fci/sto-6g?gap=False&spin=low")
    assert quiet.fingerprint == shown.fingerprint != other.fingerprint
    assert "gap=False&spin=low" in quiet.fingerprint
