"""Basis sets by name, by element and from files, and the core potentials that come along, against plain PySCF."""

from pathlib import Path

import ase.build
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import cc, dft, fci, gto, mp, scf
from pyscf.gto.basis import parse_nwchem, parse_nwchem_ecp

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.sources.pyscf.basis import BasisSet, core_electrons, element, read_basis
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System

pytestmark = pytest.mark.usefixtures("no_temporary_files")

NAH = ase.Atoms("NaH", [[0, 0, 0], [0.3, 1.8, 0.2]])
HI = ase.Atoms("HI", [[0, 0, 0], [0.1, 0.2, 1.6]])
CHAIN = ase.Atoms("NaHKH", [[0, 0, 0], [0.3, 1.9, 0.2], [1.0, 4.1, 0.3], [0.2, 5.9, 1.8]])


def plain(atoms, basis, ecp=None, unpaired=0, symbols=None):
    sites = list(zip(symbols or atoms.symbols, atoms.positions / Bohr, strict=True))
    return gto.M(atom=sites, unit="Bohr", basis=basis, ecp=ecp or {}, spin=unpaired, verbose=0)


def energy_of(spec, atoms):
    return load_source(spec).energies(ClusterBatch.from_atoms([atoms]))[0] / Hartree


# ------------------------------------------------------------------------------------------------------ core potentials


@pytest.mark.parametrize(
    ("atoms", "basis", "unpaired"),
    [(HI, "lanl2dz", 0), (ase.Atoms("I"), "lanl2dz", 1), (ase.Atoms("Au"), "def2-svp", 1), (NAH, "lanl2dz", 0)],
)
def test_a_mean_field_with_core_potentials(atoms, basis, unpaired):
    heavy = dict.fromkeys(set(atoms.symbols) - {"H"}, basis)
    field = scf.UHF(plain(atoms, basis, heavy, unpaired)).run(conv_tol=1e-12)
    source = load_source(f"pyscf:uhf/{basis}?spin=ground")
    batch = ClusterBatch.from_atoms([atoms])
    found = source.evaluate(batch, forces=True)
    assert found.energies[0] / Hartree == pytest.approx(field.e_tot, abs=1e-8)
    assert found.records["multiplicity"][0] == unpaired + 1
    assert found.forces[0] == pytest.approx(-field.nuc_grad_method().kernel() * Hartree / Bohr, abs=2e-4)


def test_density_functionals_with_core_potentials():
    field = dft.RKS(plain(NAH, "lanl2dz", {"Na": "lanl2dz"}), xc="pbe").set(conv_tol=1e-11)
    field.grids.level = 1
    field.run()
    gradient = field.nuc_grad_method().set(verbose=0, grid_response=True)
    found = load_source("pyscf:rks/lanl2dz?spin=low&xc=pbe&grid=1").evaluate(
        ClusterBatch.from_atoms([NAH]), forces=True
    )
    assert found.energies[0] / Hartree == pytest.approx(field.e_tot, abs=1e-8)
    assert found.forces[0] == pytest.approx(-gradient.kernel() * Hartree / Bohr, abs=2e-4)


def test_correlated_methods_with_core_potentials():
    field = scf.UHF(plain(NAH, "lanl2dz", {"Na": "lanl2dz"})).run(conv_tol=1e-13)
    expected = {
        "mp2": mp.UMP2(field).run().e_tot,
        "ccsd": cc.UCCSD(field).run(conv_tol=1e-11).e_tot,
        "fci": fci.FCI(scf.RHF(field.mol).run()).kernel()[0],
    }
    for method, energy in expected.items():
        assert energy_of(f"pyscf:{method}/lanl2dz?spin=low", NAH) == pytest.approx(energy, abs=1e-8)


@pytest.mark.parametrize("method", ["fci", "mp2", "ccsd"])
def test_forces_with_core_potentials(method):
    batch = ClusterBatch.from_atoms([NAH])
    analytic, numerical = (
        load_source(f"pyscf:{method}/lanl2dz?spin=low&forces={kind}").energies_and_forces(batch)[1]
        for kind in ("analytic", "numerical")
    )
    assert np.abs(analytic).max() > 0.1
    assert analytic == pytest.approx(numerical, abs=2e-5)


def test_integrals_with_core_potentials_are_slices():
    batch = ClusterBatch.cut(
        {0: System.from_atoms(CHAIN)}, np.zeros(2, dtype=int), np.array([[0, 1], [2, 3]]), np.array([[2], [0]])
    )
    cache, cores = IntegralCache("lanl2dz", 1e9), {"Na": "lanl2dz", "K": "lanl2dz"}
    for row in range(2):
        found = cache.integrals(batch.select(np.array([row])))
        sites = [*batch.members[row], *batch.ghosts[row]]
        symbols = [CHAIN.symbols[site] for site in sites]
        symbols[-1] = f"ghost-{symbols[-1]}"
        mol = plain(CHAIN[sites], dict.fromkeys(symbols, "lanl2dz"), cores, symbols=symbols)
        assert mol.natm == 3
        assert found.core[0] == pytest.approx(scf.hf.get_hcore(mol), abs=1e-12)
        assert found.nuclear[0] == pytest.approx(mol.energy_nuc(), abs=1e-12)


def test_ghosts_bring_no_potential():
    batch = ClusterBatch.cut(
        {0: System.from_atoms(CHAIN)}, np.zeros(1, dtype=int), np.array([[0, 1]]), np.array([[2, 3]])
    )
    symbols = ["Na", "H", "ghost-K", "ghost-H"]
    mol = plain(CHAIN, dict.fromkeys(symbols, "lanl2dz"), {"Na": "lanl2dz"}, symbols=symbols)
    assert mol.nelectron == 2
    found = load_source("pyscf:uhf/lanl2dz?spin=low").energies(batch)[0] / Hartree
    assert found == pytest.approx(scf.UHF(mol).run(conv_tol=1e-12).e_tot, abs=1e-8)


@pytest.mark.parametrize(("rule", "multiplicity"), [("high", 3), ("low", 1), ("ground", 1)])
def test_spins_are_those_of_the_whole_atoms(rule, multiplicity):
    """Two sodium atoms with one electron each outside their cores, close enough to bind."""
    result = decompose(ase.Atoms("Na2", [[0, 0, 0], [0, 0, 3.1]]), f"pyscf:uhf/lanl2dz?spin={rule}", subsets=True)
    assert result.subsets.subset_multiplicity.values.tolist() == [2, 2, multiplicity]


def test_cores_of_elements():
    for basis, cores in (
        ("def2-svp", {1: 0, 53: 28, 54: 28, 79: 60}),
        ("lanl2dz", {6: 0, 11: 10, 29: 10, 53: 46}),
        ("ccecp-cc-pvdz", {1: 0, 6: 2, 8: 2}),
        ("cc-pvdz", {6: 0, 35: 0}),
    ):
        assert core_electrons(basis, np.array([[*cores]])).tolist() == [[*cores.values()]]


def test_potentials_that_stand_for_no_electrons():
    """Those of the ccECP family smooth the nucleus of hydrogen, too."""
    water = ase.build.molecule("H2O")
    expected = scf.UHF(plain(water, "ccecp-cc-pvdz", "ccecp")).run(conv_tol=1e-12).e_tot
    for spec in ("spin=low", "spin=low&ecp=H:ccecp,O:ccecp"):
        assert energy_of(f"pyscf:uhf/ccecp-cc-pvdz?{spec}", water) == pytest.approx(expected, abs=1e-8)


# ------------------------------------------------------------------------------------------------- elements and files


def test_a_basis_set_by_element():
    atoms = ase.build.molecule("CH3OH")
    basis = {"C": "6-31g*", "O": "cc-pvdz", "H": "sto-3g"}
    expected = scf.RHF(plain(atoms, basis)).run(conv_tol=1e-12).e_tot
    spec = "pyscf:uhf/cc-pvdz?spin=low&basis=H:sto-3g,C:6-31g*"
    assert energy_of(spec, atoms) == pytest.approx(expected, abs=1e-8)
    mapped = load_source({"source": "pyscf:uhf/cc-pvdz", "spin": "low", "basis": {"c": "6-31G*", "H": "sto-3g"}})
    assert mapped.name == "pyscf:uhf/cc-pvdz?basis=C:6-31g*,H:sto-3g&spin=low"
    assert mapped.fingerprint == load_source(spec).fingerprint == load_source(mapped.name).fingerprint


def test_names_with_commas():
    source = load_source("pyscf:uhf/cc-pvdz?spin=low&basis=H:6-31g(d,p),O:sto-3g")
    assert source.name == "pyscf:uhf/cc-pvdz?basis=H:6-31g(d,p),O:sto-3g&spin=low"


def gaussian(symbol, basis):
    """A basis set of the library in the format of Gaussian and Psi4."""
    lines = [f"{symbol}     0"]
    for momentum, *rows in gto.basis.load(basis, symbol):
        for place in range(1, len(rows[0])):
            held = [row for row in rows if row[place]]
            lines += [
                f"{'SPDF'[momentum]}   {len(held)}   1.00",
                *(f"  {row[0]:.10E}  {row[place]:.10E}" for row in held),
            ]
    return "\n".join([*lines, "****", ""])


@pytest.fixture
def written(tmp_path):
    psi4 = tmp_path / "mine.gbs"
    psi4.write_text(
        "spherical\n\n! a comment\n****\n" + "".join(gaussian(symbol, "6-31g") for symbol in ("H", "O", "C"))
    )
    potential = parse_nwchem_ecp.convert_ecp_to_nwchem("Na", gto.basis.load_ecp("lanl2dz", "Na"))
    functions = [parse_nwchem.convert_basis_to_nwchem(s, gto.basis.load("lanl2dz", s)) for s in ("H", "Na")]
    nwchem = tmp_path / "mine.nw"
    nwchem.write_text("# mine\nBASIS SPHERICAL\n#BASIS SET:\n" + "\n#BASIS SET:\n".join(functions) + "\nEND\n")
    both = tmp_path / "both.nw"
    both.write_text(nwchem.read_text() + f"\nECP\n{potential}\nEND\n")
    return {"gbs": str(psi4), "nw": str(nwchem), "both": str(both)}


def test_basis_sets_from_files(written):
    water = ase.build.molecule("H2O")
    named = energy_of("pyscf:uhf/6-31g?spin=low", water)
    assert energy_of(f"pyscf:uhf/{written['gbs']}?spin=low", water) == pytest.approx(named, abs=1e-9)
    assert energy_of(f"pyscf:uhf/cc-pvdz?spin=low&basis=H:{written['gbs']},O:6-31g", water) == pytest.approx(
        named, abs=1e-9
    )
    expected = energy_of("pyscf:uhf/lanl2dz?spin=low", NAH)
    for spec in (f"uhf/{written['both']}?spin=low", f"uhf/{written['nw']}?spin=low&ecp=Na:lanl2dz"):
        assert energy_of(f"pyscf:{spec}", NAH) == pytest.approx(expected, abs=1e-9)
    assert energy_of(f"pyscf:uhf/{written['nw']}?spin=low&ecp=Na:{written['both']}", NAH) == pytest.approx(
        expected, abs=1e-9
    )


def test_the_text_of_a_file_is_what_counts(written, tmp_path):
    source = load_source(f"pyscf:uhf/{written['gbs']}?spin=low")
    copy = tmp_path / "copy.gbs"
    copy.write_text(Path(written["gbs"]).read_text())
    same = load_source(f"pyscf:uhf/{copy}?spin=low")
    assert (same.fingerprint, same.name) == (source.fingerprint, f"pyscf:uhf/{copy}?spin=low")
    copy.write_text(copy.read_text().replace("1.8731137000E+01", "1.8731138000E+01"))
    assert load_source(f"pyscf:uhf/{copy}?spin=low").fingerprint != source.fingerprint
    copy.unlink()
    assert np.isfinite(same.energies(ClusterBatch.from_atoms([ase.Atoms("H")]))).all()  # it has been read


def test_fingerprints_of_sources_without_new_options():
    assert load_source("pyscf:fci/sto-6g?spin=low").fingerprint.startswith("pyscf:fci/sto-6g?gap=False&spin=low pyscf=")
    assert load_source("pyscf:uhf/6-31g?spin=low").fingerprint.startswith("pyscf:uhf/6-31g?spin=low pyscf=")
    assert load_source("pyscf:uks/6-31g?spin=low&xc=pbe&grid=fine").fingerprint.startswith(
        "pyscf:uks/6-31g?forces=analytic&grid=4&spin=low&xc=pbe pyscf="
    )


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("basis", "message"),
    [
        (
            {"potentials": "I:lanl2dz"},
            "lanl2dz replaces 46 electrons of I and the functions of def2-svp are made for one of 28",
        ),
        (
            {"main": "sto-3g", "potentials": "I:lanl2dz"},
            "`ecp` must fit the functions of its element, lanl2dz replaces 46 electrons of I and the functions of sto-3g "
            "describe all of them; give both from one set, as with basis=I:lanl2dz",
        ),
        (
            {"potentials": {"C": "lanl2dz"}},
            "`ecp` must have a potential for every element it is given for, lanl2dz has none for C",
        ),
        (
            {"potentials": "I:lanl2d"},
            "`ecp` must be a set of core potentials that PySCF knows, .*; did you mean 'lanl2dz'",
        ),
        ({"others": "I:cc-pvdz"}, "`basis` must have functions for every element, cc-pvdz has none for I"),
        ({"others": "Q:sto-3g"}, "`basis` must name elements and what each is given, such as .*, got 'Q:sto-3g'"),
        ({"others": "sto-3g"}, "`basis` must name elements and what each is given, such as .*, got 'sto-3g'"),
        ({"others": {"H": 3}}, "`basis` must name elements and what each is given, such as .*, got"),
        ({"others": "H:sto-3g,h:6-31g"}, "`basis` must name each element once, H is named twice"),
        ({"others": "H:sto3"}, "`basis` must be a basis set that PySCF knows, .* got 'sto3'"),
        (
            {"main": "./none.gbs"},
            r"`basis` must be a name or a file that can be read, './none.gbs' cannot \(No such file",
        ),
        ({"main": "gth-szv"}, "`basis` must be a basis set that PySCF knows"),
    ],
)
def test_basis_sets_that_cannot_work(basis, message):
    with pytest.raises(InputError, match=message) as raised:
        read_basis(**{"main": "def2-svp"} | basis)
    assert "\n" not in str(raised.value)


def test_functions_without_their_potential(written):
    """A file with the valence of sodium, and no potential for its core."""
    with pytest.raises(
        InputError, match=r"functions for every shell with electrons, .* has 2 of s for the 3 of Na; .* as ecp=Na:NAME"
    ):
        energy_of(f"pyscf:uhf/{written['nw']}?spin=low", NAH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cartesian\n****\n", "`basis` must have spherical functions, the file .* says cartesian; convert it"),
        (
            "****\nNa     0\nS   1   1.00\n  1.0  1.0\n****\n\nNa     0\nNA-ECP     2     10\nd   potential\n",
            "core potentials in a file must be in the format of NWChem, those of .* are in that of Gaussian; give them as ecp=",
        ),
    ],
)
def test_files_that_would_be_misread(tmp_path, text, message):
    path = tmp_path / "some.gbs"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_source(f"pyscf:uhf/{path}?spin=low")


def test_a_file_without_the_element(written):
    with pytest.raises(
        InputError, match=r"functions for every element, .*mine\.gbs has none for N; .* as with basis=N:NAME"
    ):
        energy_of(f"pyscf:uhf/{written['gbs']}?spin=low", ase.Atoms("N"))


def test_charges_leave_the_cores_alone():
    atoms = ase.Atoms("Na", charges=[2])
    with pytest.raises(InputError, match="no fewer than 0 electrons beside the 10 that core potentials stand for"):
        energy_of("pyscf:uhf/lanl2dz?spin=low", atoms)
    bare = ase.Atoms("Na2", [[0, 0, 0], [0, 0, 3.0]], charges=[1, 1])
    assert energy_of("pyscf:uhf/lanl2dz?spin=low", bare) == pytest.approx(Bohr / 3.0, rel=1e-12)


def test_every_named_potential_comes_with_functions():
    for name in ("lanl2dz", "def2-svp", "def2-tzvp", "cc-pvdz-pp", "stuttgart", "crenbl"):
        found = element(BasisSet.of(name), 53)
        assert 0 < found.core < 53
        assert found.functions
