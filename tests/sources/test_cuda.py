"""Networks on a GPU: the numbers of the CPU, and memory that runs out. Nothing here runs where torch sees no GPU."""

import ase
import numpy as np
import pytest
import torch
from mace_models import pieces, save_model, source_of

from bodyorder import decompose
from bodyorder.sources.registry import load_source
from bodyorder.testing import check_source

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")

#: Of energies, in float64, between devices; forces relative to the largest.
RELATIVE = 1e-9


@pytest.fixture(params=["native", "native, single interaction", "soap-bpnn", "pet", "mace"])
def both(request, tmp_path):
    """The same model on the CPU and on the GPU."""
    if request.param.startswith("native"):
        path = save_model(tmp_path / "a.model", interactions=1 if "single" in request.param else 2)
        return source_of(path), source_of(path, device="cuda")
    networks = request.getfixturevalue("networks")
    return tuple(load_source(f"metatomic:{networks[request.param]}?device={device}") for device in ("cpu", "cuda"))


def assert_same(found, wanted):
    scale = np.abs(wanted.energies).max()
    np.testing.assert_allclose(found.energies, wanted.energies, rtol=0, atol=RELATIVE * scale)
    np.testing.assert_allclose(found.atom_energies, wanted.atom_energies, rtol=0, atol=RELATIVE * scale)
    np.testing.assert_allclose(found.forces, wanted.forces, rtol=0, atol=RELATIVE * np.abs(wanted.forces).max())


@pytest.mark.parametrize("k", [1, 2, 5])
def test_energies_and_forces_are_those_of_the_cpu(both, k):
    cpu, gpu = both
    batch = pieces(300, k)
    assert_same(gpu.evaluate_atoms(batch, True), cpu.evaluate_atoms(batch, True))
    assert (gpu.cutoff, gpu.fingerprint) == (cpu.cutoff, cpu.fingerprint)
    assert gpu.capabilities.invariant == cpu.capabilities.invariant


def test_the_kit_passes(both):
    failed = {check.name for check in check_source(both[1]).failures}
    # PET is trained to be invariant, not built to be
    assert failed <= (set() if both[1].capabilities.invariant else {"rotation"})


def test_orders_are_those_of_the_cpu(both):
    atoms = ase.Atoms("CH4O", np.random.default_rng(0).normal(0, 1.4, (6, 3)))
    cpu, gpu = (decompose(atoms, source, forces=True) for source in both)
    scale = abs(float(cpu.total[0]))
    np.testing.assert_allclose(gpu.contribution, cpu.contribution, rtol=0, atol=RELATIVE * scale)
    np.testing.assert_allclose(
        gpu.sites.force_contribution, cpu.sites.force_contribution, rtol=0, atol=RELATIVE * scale
    )


def test_a_cell_has_the_energy_that_it_has_on_the_cpu(both):
    atoms = ase.Atoms("CH4O", np.random.default_rng(0).uniform(0, 4.5, (6, 3)), cell=[4.5, 5.0, 5.5], pbc=True)
    cpu, gpu = (source.cell_energy(atoms) for source in both)
    assert gpu == pytest.approx(cpu, rel=RELATIVE)


def test_memory_that_runs_out_is_recovered_from(tmp_path):
    """All sub-clusters in one call need more than the process may have: halves are taken until they fit."""
    source = source_of(save_model(tmp_path / "a.model"), device="cuda")
    batch = pieces(20_000, 5)
    wanted = source.evaluate_atoms(batch, True)
    torch.cuda.empty_cache()
    usual = source._portions.atoms
    source._portions.atoms = batch.numbers.size
    allowed = 2**30
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = source.evaluate_atoms(batch, True)
        assert source._portions.atoms < batch.numbers.size
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        source._portions.atoms = usual
    assert_same(found, wanted)
