"""Energies of periodic structures by cell: against mace's and metatomic's own calculators, and against orders that end."""

import warnings

import ase
import numpy as np
import pytest
import torch
from mace_models import calculator_of, save_model, source_of
from metatomic_ase import MetatomicCalculator

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source


def crystal(n, pbc=True, *, elements=(1, 6, 8), edge=2.6, seed=0):
    """Some atoms in a skewed cell that is smaller than the range of the models, so that atoms see their own images."""
    rng = np.random.default_rng(seed)
    cell = edge * np.array([[1, 0.1, 0], [0.2, 1.1, 0.1], [-0.1, 0.1, 1.2]])
    corners = np.indices((2, 2, 2)).reshape(3, -1).T[:n] / 2 + rng.uniform(-0.05, 0.05, (n, 3))
    return ase.Atoms(rng.choice(elements, n), scaled_positions=corners, cell=cell, pbc=pbc)


PERIODIC = [True, (True, True, False), (False, True, False), False]


@pytest.mark.parametrize("pbc", PERIODIC)
@pytest.mark.parametrize("n", [1, 4])
def test_mace_gives_what_its_own_calculator_gives(tmp_path, pbc, n):
    path, atoms = save_model(tmp_path / "a.model"), crystal(n, pbc)
    with calculator_of(path) as calculator:
        calculator.calculate(atoms)
        wanted = calculator.results["energy"]
    assert source_of(path).cell_energy(atoms) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("pbc", PERIODIC)
@pytest.mark.parametrize("name", ["soap-bpnn", "pet", "mace"])
def test_metatomic_gives_what_its_own_calculator_gives(networks, name, pbc):
    path, atoms = networks[name], crystal(4, pbc)
    with warnings.catch_warnings(), torch.jit.optimized_execution(False):
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
        folder = path.parent / "extensions"
        atoms.calc = MetatomicCalculator(
            path, extensions_directory=folder, device="cpu", do_gradients_with_energy=False
        )
        wanted = atoms.get_potential_energy()
    assert load_source(f"metatomic:{path}").cell_energy(atoms) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("full", [True, False])
def test_half_and_full_lists_count_every_pair_once(models, tmp_path, full):
    path = models.export_closed_form(tmp_path / "m.pt", models.PairSum(2.5, 3.0, full), claimed_range=3.0)
    atoms = crystal(3, elements=(1,), edge=1.7)
    reach = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ atoms.cell.array
    vectors = atoms.positions[None, :, None] - atoms.positions[:, None, None] + reach
    distances = np.linalg.norm(vectors, axis=-1)
    wanted = 0.5 * (np.clip(1 - distances / 2.5, 0, None) ** 3).sum(where=distances > 1e-9)
    assert load_source(f"metatomic:{path}").cell_energy(atoms) == pytest.approx(wanted, abs=1e-11)


def test_charges_of_atoms_are_those_of_the_cell(models, tmp_path):
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("charge", "atom"), claimed_range=3.0)
    atoms = crystal(2, elements=(1,))
    plain = load_source(f"metatomic:{path}").cell_energy(atoms)
    atoms.set_initial_charges([1, 1])
    told = load_source(f"metatomic:{path}?charged=true")
    assert told.cell_energy(atoms) == pytest.approx(1.3**2 * plain, rel=1e-12)


def test_elements_that_a_model_does_not_know_are_named(tmp_path):
    source = source_of(save_model(tmp_path / "a.model"))
    with pytest.raises(InputError, match="must know every element, and has not seen Au"):
        source.cell_energy(ase.Atoms("Au", cell=[3, 3, 3], pbc=True))


@pytest.mark.parametrize("kind", ["mace", "metatomic"])
def test_orders_of_a_crystal_end_where_those_of_the_model_do(models, tmp_path, kind):
    """One interaction of neighbour densities to the first power: nothing above order 2."""
    if kind == "mace":
        source = source_of(save_model(tmp_path / "a.model", correlation=1, interactions=1, irreps="8x0e"))
    else:
        hypers = {"num_interactions": 1, "correlation": 1, "hidden_irreps": "8x0e", "max_ell": 2, "radial_MLP": [16]}
        path = models.export_network(tmp_path, "experimental.mace", hypers, elements=(1, 6, 8))
        source = load_source(f"metatomic:{path}")
    atoms = crystal(2, edge=3.4)
    result = decompose(atoms, source, max_order=2)
    orders = result.contribution.values[0]
    assert abs(orders[1]) > 1e-3
    assert orders.sum() == pytest.approx(source.cell_energy(atoms), abs=1e-9)
    assert float(result.residual[0]) == pytest.approx(0.0, abs=1e-9)
