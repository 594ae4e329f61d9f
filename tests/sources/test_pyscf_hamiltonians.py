"""Scalar relativity, density fitting and dispersion corrections against plain PySCF and the programs' own interfaces."""

import importlib
import sys

import ase.build
import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree
from pyscf import dft, fci, gto, mp, scf

from bodyorder._checks import InputError
from bodyorder.sources.pyscf.basis import BasisSet
from bodyorder.sources.pyscf.dispersion import correction, parted
from bodyorder.sources.pyscf.fitting import Auxiliary
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System

pytestmark = pytest.mark.usefixtures("no_temporary_files")

WATER = ase.build.molecule("H2O")
HYDROXYL = ase.Atoms("OH", [[0, 0, 0], [0.2, 0.3, 0.9]])


def plain(atoms, basis="6-31g", unpaired=0):
    sites = list(zip(atoms.symbols, atoms.positions / Bohr, strict=True))
    return gto.M(atom=sites, unit="Bohr", basis=basis, spin=unpaired, verbose=0)


def kohn_sham(kind, mol, xc, level=1):
    field = kind(mol, xc=xc).set(conv_tol=1e-11)
    field.grids.level, field.nlcgrids.level = level, max(level - 1, 0)
    return field


def evaluated(spec, atoms, forces=False):
    return load_source(f"pyscf:{spec}").evaluate(ClusterBatch.from_atoms([atoms]), forces)


def forces_of(field):
    gradient = field.nuc_grad_method().set(verbose=0)
    if isinstance(field, dft.rks.KohnShamDFT):
        gradient.grid_response = True
    return -gradient.kernel() * Hartree / Bohr


# ----------------------------------------------------------------------------------------------------------- relativity

RELATIVISTIC = {
    "uhf": lambda mol: scf.UHF(mol),
    "rohf": lambda mol: scf.ROHF(mol),
    "uks": lambda mol: kohn_sham(dft.UKS, mol, "pbe", 0),
}


@pytest.mark.parametrize("method", RELATIVISTIC)
def test_scalar_relativity(method):
    # how the orbital of a radical lies on a grid decides its energy
    atoms, xc = (WATER, "&xc=pbe&grid=0") if method == "uks" else (HYDROXYL, "")
    field = RELATIVISTIC[method](plain(atoms, unpaired=len(atoms) % 2 ^ 1)).sfx2c1e().run(conv_tol=1e-11)
    found = evaluated(f"{method}/6-31g?spin=low&relativity=x2c{xc}", atoms, forces=True)
    assert found.energies[0] / Hartree == pytest.approx(field.e_tot, abs=1e-8)
    assert found.forces[0] == pytest.approx(forces_of(field), abs=2e-4)


def test_correlation_with_scalar_relativity():
    field = scf.UHF(plain(WATER)).sfx2c1e().run(conv_tol=1e-12)
    found = evaluated("mp2/6-31g?spin=low&relativity=x2c", WATER)
    assert found.energies[0] / Hartree == pytest.approx(mp.UMP2(field).run().e_tot, abs=1e-8)
    lithium = ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]])
    field = scf.RHF(plain(lithium)).sfx2c1e().run(conv_tol=1e-12)
    found = evaluated("fci/6-31g?spin=low&relativity=x2c&forces=numerical", lithium, forces=True)
    assert found.energies[0] / Hartree == pytest.approx(fci.FCI(field).kernel()[0], abs=1e-8)
    assert np.abs(found.forces[0].sum(axis=0)).max() < 1e-6 < np.abs(found.forces[0]).max()


def test_relativity_lowers_heavy_atoms():
    """Neon, where the lowest order in 1/c² is known: −0.13 hartree (Koga et al., doi:10.1063/1.475846)."""
    without, scalar = (
        evaluated(f"uhf/cc-pvdz?spin=low{more}", ase.Atoms("Ne")).energies[0] for more in ("", "&relativity=x2c")
    )
    assert (scalar - without) / Hartree == pytest.approx(-0.13, abs=0.01)


def test_relativity_of_ghosts_and_parts():
    """The Hamiltonian is that of the sub-cluster in its functions, those of ghosts among them."""
    batch = ClusterBatch.cut({0: System.from_atoms(WATER)}, np.zeros(1, dtype=int), np.array([[0, 1]]), np.array([[2]]))
    symbols = ["O", "H", "ghost-H"]
    mol = gto.M(
        atom=list(zip(symbols, WATER.positions, strict=True)), basis=dict.fromkeys(symbols, "6-31g"), spin=1, verbose=0
    )
    expected = scf.UHF(mol).sfx2c1e().run(conv_tol=1e-12).e_tot
    found = load_source("pyscf:uhf/6-31g?spin=low&relativity=x2c").energies(batch)[0] / Hartree
    assert found == pytest.approx(expected, abs=1e-8)


def test_relativity_is_not_counted_twice():
    with pytest.raises(
        InputError, match="`relativity` must be none where core potentials stand for electrons, as for I with"
    ):
        evaluated("uhf/lanl2dz?spin=low&relativity=x2c", ase.Atoms("I"))


# ------------------------------------------------------------------------------------------------------ density fitting

FITTED = {
    "uhf": (lambda mol: scf.UHF(mol), "uhf/6-31g?"),
    "rhf": (lambda mol: scf.RHF(mol), "rhf/6-31g?"),
    "pure": (lambda mol: kohn_sham(dft.UKS, mol, "pbe", 0), "uks/6-31g?xc=pbe&grid=0&"),
    "hybrid": (lambda mol: kohn_sham(dft.RKS, mol, "b3lyp", 0), "rks/6-31g?xc=b3lyp&grid=0&"),
    "ranged": (lambda mol: kohn_sham(dft.RKS, mol, "camb3lyp", 0), "rks/6-31g?xc=camb3lyp&grid=0&"),
}


@pytest.mark.parametrize("name", FITTED)
def test_density_fitting_is_that_of_pyscf(name):
    make, spec = FITTED[name]
    field = make(plain(WATER)).density_fit().run(conv_tol=1e-11)
    found = evaluated(f"{spec}spin=low&density_fit=true", WATER, forces=True)
    assert found.energies[0] / Hartree == pytest.approx(field.e_tot, abs=1e-8)
    assert found.forces[0] == pytest.approx(forces_of(field), abs=2e-4)
    if "xc" not in spec:
        exact = evaluated(f"{spec}spin=low", WATER).energies[0]
        assert 1e-6 < abs(found.energies[0] - exact) < 0.05


@pytest.mark.parametrize("basis", ["6-31g", "cc-pvdz"])
def test_fitted_perturbation_theory_is_that_of_pyscf(basis):
    """PySCF fits the correlation with the functions of its mean field, and so does this."""
    field = scf.UHF(plain(HYDROXYL, basis, 1)).density_fit().run(conv_tol=1e-12)
    found = evaluated(f"mp2/{basis}?spin=low&density_fit=true", HYDROXYL)
    assert found.energies[0] / Hartree == pytest.approx(mp.UMP2(field).run().e_tot, abs=1e-8)


def test_an_auxiliary_basis_by_name():
    field = scf.UHF(plain(WATER)).density_fit(auxbasis="def2-universal-jkfit").run(conv_tol=1e-12)
    found = evaluated("uhf/6-31g?spin=low&density_fit=def2-universal-jkfit", WATER)
    assert found.energies[0] / Hartree == pytest.approx(field.e_tot, abs=1e-8)


def test_fits_of_parts_and_ghosts():
    batch = ClusterBatch.cut({0: System.from_atoms(WATER)}, np.zeros(1, dtype=int), np.array([[0, 1]]), np.array([[2]]))
    symbols = ["O", "H", "ghost-H"]
    mol = gto.M(atom=list(zip(symbols, WATER.positions, strict=True)), basis="6-31g", spin=1, verbose=0)
    expected = scf.UHF(mol).density_fit().run(conv_tol=1e-12).e_tot
    found = load_source("pyscf:uhf/6-31g?spin=low&density_fit=true").energies(batch)[0] / Hartree
    assert found == pytest.approx(expected, abs=1e-8)
    sliced, alone = (IntegralCache("6-31g", limit, Auxiliary("", "hf")).integrals(batch) for limit in (1e9, 0.0))
    assert sliced.repulsion == pytest.approx(alone.repulsion, abs=1e-10)


@pytest.mark.parametrize(
    ("basis", "functional", "number", "same"),
    [
        ("def2-svp", "hf", 8, "def2-universal-jkfit"),
        ("def2-svp", "pbe", 8, "def2-universal-jfit"),
        ("cc-pvdz", "hf", 1, "cc-pvdz-jkfit"),
        ("cc-pvdz", "pbe", 1, "cc-pvdz-jkfit"),
        ("6-31g*", "b3lyp", 6, "cc-pvdz-jkfit"),
    ],
)
def test_functions_that_are_chosen(basis, functional, number, same):
    assert Auxiliary("", functional).functions(BasisSet.of(basis), number) == gto.basis.load(
        same, chemical_symbols[number]
    )


def test_a_heavy_element_is_fitted():
    """Iodine in lanl2dz has no set of its own and is given an even-tempered one."""
    atom = ase.Atoms("I")
    mol = gto.M(atom="I", basis="lanl2dz", ecp="lanl2dz", spin=1, verbose=0)
    expected = scf.UHF(mol).density_fit().run(conv_tol=1e-12).e_tot
    found = evaluated("uhf/lanl2dz?spin=low&density_fit=true", atom)
    assert found.energies[0] / Hartree == pytest.approx(expected, abs=1e-8)


def test_forces_of_fitted_perturbation_theory():
    with pytest.raises(
        InputError, match="mp2 has no analytic forces with relativity or density fitting; use forces=numerical"
    ):
        evaluated("mp2/6-31g?spin=low&density_fit=true", WATER, forces=True)
    hydrogen = ase.Atoms("H2", [[0, 0, 0], [0, 0.3, 0.8]])
    source = load_source("pyscf:mp2/6-31g?spin=low&density_fit=true&forces=numerical")
    forces = source.energies_and_forces(ClusterBatch.from_atoms([hydrogen]))[1][0]
    moved = [hydrogen.copy() for _ in range(2)]
    for copy, step in zip(moved, (1e-3, -1e-3), strict=True):
        copy.positions[0, 1] += step
    energies = source.energies(ClusterBatch.from_atoms(moved))
    assert forces[0, 1] == pytest.approx(-(energies[0] - energies[1]) / 2e-3, abs=1e-4)


# ----------------------------------------------------------------------------------------------------------- dispersion


@pytest.mark.parametrize(("kind", "functional"), [("d4", "pbe"), ("d4", "hf"), ("d3bj", "b3lyp"), ("d3zero", "pbe")])
def test_corrections_are_those_of_the_program(kind, functional):
    program = pytest.importorskip("dftd4.ase" if kind == "d4" else "dftd3.ase")
    pair = WATER.copy()
    pair.extend(WATER)
    pair.positions[3:] += [0.2, 0.4, 3.0]
    pair.calc = program.DFTD4(method=functional) if kind == "d4" else program.DFTD3(method=functional, damping=kind)
    energies, gradients = correction(ClusterBatch.from_atoms([pair]), kind, functional)
    assert energies[0] * Hartree == pytest.approx(pair.get_potential_energy(), rel=1e-8)
    assert -gradients[0] * Hartree / Bohr == pytest.approx(pair.get_forces(), abs=1e-8)


@pytest.mark.parametrize("method", ["uhf/6-31g?", "rks/sto-3g?xc=pbe&grid=0&"])
def test_a_correction_is_added(method):
    bare, corrected = (evaluated(f"{method}spin=low{more}", WATER, forces=True) for more in ("", "&dispersion=d4"))
    energies, gradients = correction(ClusterBatch.from_atoms([WATER]), "d4", "pbe" if "xc" in method else "hf")
    assert corrected.energies - bare.energies == pytest.approx(energies * Hartree, abs=1e-8)
    assert corrected.forces - bare.forces == pytest.approx(-gradients * Hartree / Bohr, abs=1e-7)


def test_corrections_by_the_name_of_the_functional():
    named, given = (load_source(f"pyscf:uks/6-31g?spin=low&xc=pbe{more}") for more in ("-d4", "&dispersion=d4"))
    assert named.fingerprint == given.fingerprint
    assert named.name == given.name == "pyscf:uks/6-31g?dispersion=d4&spin=low&xc=pbe"
    assert "dftd4=" in named.fingerprint
    assert [parted(name) for name in ("b3lyp-d3bj", "pbe", "cam-b3lyp", "wb97x-v")] == [
        ("b3lyp", "d3bj"),
        ("pbe", None),
        ("cam-b3lyp", None),
        ("wb97x-v", None),
    ]


def test_charges_and_ghosts_of_corrections():
    """D4 knows the charge; ghosts are not there for it."""
    batch = ClusterBatch.from_atoms([WATER])
    charged = ClusterBatch.from_atoms([ase.Atoms(WATER.symbols, WATER.positions, charges=[1, 0, 0])])
    neutral, cation = (correction(some, "d4", "pbe")[0][0] for some in (batch, charged))
    assert abs(neutral - cation) > 1e-6
    part = ClusterBatch.cut({0: System.from_atoms(WATER)}, np.zeros(1, dtype=int), np.array([[0, 1]]), np.array([[2]]))
    alone = ClusterBatch.from_atoms([WATER[:2]])
    assert correction(part, "d4", "pbe")[0] == pytest.approx(correction(alone, "d4", "pbe")[0], abs=1e-14)


def test_cores_without_electrons_have_dispersion():
    """Two sodium ions, all of whose electrons are in the potentials."""
    ions = ase.Atoms("Na2", [[0, 0, 0], [0, 0, 4.0]], charges=[1, 1])
    bare, corrected = (evaluated(f"uhf/lanl2dz?spin=low{more}", ions, forces=True) for more in ("", "&dispersion=d4"))
    energies, gradients = correction(ClusterBatch.from_atoms([ions]), "d4", "hf")
    assert energies[0] < -1e-7
    assert corrected.energies - bare.energies == pytest.approx(energies * Hartree, abs=1e-12)
    assert corrected.forces - bare.forces == pytest.approx(-gradients * Hartree / Bohr, abs=1e-12)


def test_a_missing_program_is_named(monkeypatch):
    assert importlib.util.find_spec("dftd4")
    monkeypatch.setitem(sys.modules, "dftd4.interface", None)
    monkeypatch.setitem(sys.modules, "dftd3.interface", None)
    for kind, program in (("d3bj", "dftd3"), ("d3zero", "dftd3"), ("d4", "dftd4")):
        message = (
            f"{program} must be installed for dispersion={kind}, and is not; install it with: pip install {program}"
        )
        with pytest.raises(InputError, match=message):
            load_source(f"pyscf:uks/6-31g?spin=low&xc=b3pw91&dispersion={kind}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("xc=pbe&dispersion=d3", "`dispersion` must say which damping it means, got 'd3'; use d3bj or d3zero"),
        ("xc=pbe&dispersion=d5", "`dispersion` must be one of d3bj, d3zero, d4, none, got 'd5'"),
        (
            "xc=pbe-d3",
            "`xc` must say which dispersion correction it means, got 'pbe-d3'; write pbe-d3bj, pbe-d3zero or pbe-d4",
        ),
        (
            "xc=pbe-d4&dispersion=d3bj",
            "`dispersion` must be that of the name of the functional, d4, or not be given, got 'd3bj'",
        ),
        (
            "xc=wb97x-v&dispersion=d4",
            "`dispersion` must be none where the functional has nonlocal correlation, got d4 with xc=",
        ),
        (
            "xc=wb97x&dispersion=d4",
            "`dispersion` must have parameters for its functional, those of d4 for wb97x belong to another",
        ),
        (
            "xc=svwn&dispersion=d4",
            "`dispersion` must have parameters for its functional, dftd4 has none of d4 for svwn",
        ),
    ],
)
def test_corrections_that_cannot_work(options, message):
    with pytest.raises(InputError, match=message) as raised:
        load_source(f"pyscf:uks/6-31g?spin=low&{options}")
    assert "\n" not in str(raised.value)
