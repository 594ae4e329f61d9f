"""Programs that QCEngine runs, against the programs themselves."""

import shutil

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.mopac import MOPAC
from ase.units import Bohr, Hartree

from bodyorder import InputError, decompose, load_source
from bodyorder.structures import ClusterBatch
from bodyorder.testing import check_source

pytest.importorskip("qcengine")
dftd4 = pytest.importorskip("dftd4.interface")
needs_mopac = pytest.mark.skipif(shutil.which("mopac") is None, reason="needs MOPAC")
pytestmark = pytest.mark.filterwarnings("ignore")  # of pydantic, whose old models QCEngine uses


def dimer():
    atoms = molecule("H2O") + molecule("H2O")
    atoms.positions[3:] += [0.0, 2.9, 0.4]
    return atoms


def test_dispersion_is_that_of_the_program():
    atoms = dimer()
    source = load_source("qcengine:dftd4/pbe")
    energies, forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))
    model = dftd4.DispersionModel(atoms.numbers, atoms.positions / Bohr)
    wanted = model.get_dispersion(dftd4.DampingParam(method="pbe"), grad=True)
    assert energies[0] == pytest.approx(wanted["energy"] * Hartree, abs=1e-9)
    np.testing.assert_allclose(forces[0], -wanted["gradient"] * Hartree / Bohr, atol=1e-8)


def test_orders_are_those_of_the_calculator():
    from dftd4.ase import DFTD4

    ours = decompose(dimer(), "qcengine:dftd4/pbe?energy_error=1e-9", bodies="molecules")
    theirs = decompose(dimer(), DFTD4(method="pbe"), bodies="molecules", measure_noise=False)
    np.testing.assert_allclose(ours.contribution, theirs.contribution, atol=1e-9)
    assert '"dftd4"' in ours.attrs["versions"]


@needs_mopac
def test_a_program_with_charge_and_spin(tmp_path):
    radical = molecule("OH")
    source = load_source("qcengine:mopac/pm7?spin=low&energy_error=1e-4")
    found = source.evaluate(ClusterBatch.from_atoms([radical]), forces=False)
    assert found.records["multiplicity"].tolist() == [2.0]
    radical.calc = MOPAC(label=str(tmp_path / "mopac"), method="PM7", task="1SCF UHF DOUBLET")
    both = decompose(dimer(), source, bodies="molecules")  # QCEngine cannot read what MOPAC says of a lone atom
    assert np.isfinite(both.contribution).all()
    # heats of formation, both of them
    assert found.energies[0] == pytest.approx(radical.get_potential_energy(), abs=0.1)


def test_what_the_program_cannot_do_fails_alone():
    result = decompose(molecule("H2O"), "qcengine:rdkit/uff?spin=low&energy_error=1e-6", max_order=1)
    assert "rdkit failed: QCEngine Input Error" in result.failure.values[0]


def test_the_kit():
    report = check_source("qcengine:dftd4/pbe?energy_error=1e-8", species=["H", "O"])
    assert report.passed, report


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("qcengine:dftd4", "must look like 'qcengine:psi4/mp2/cc-pvdz"),
        ("qcengine:dftd5/pbe", "one that QCEngine knows, got 'dftd5'; did you mean 'dftd"),
        ("qcengine:cfour/mp2/cc-pvdz?spin=low", "cfour must be installed"),
        ("qcengine:rdkit/uff", "`spin` must be given for qcengine:rdkit/uff"),
        ("qcengine:dftd4/pbe?counterpoise=half", "`counterpoise` must be one of full, none, vmfc"),
        ("qcengine:dftd4/pbe?energy_error=-1", "`energy_error` must be"),
    ],
)
def test_wrong_specs(spec, words):
    with pytest.raises(InputError, match=words):
        load_source(spec)
