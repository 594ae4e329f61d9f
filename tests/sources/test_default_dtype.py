"""Each calculator has torch's default dtype as it wants it, and leaves it as it was."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase import Atoms
from networks_of_ase import Double

from bodyorder import decompose, load_source
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.structures.clusters import ClusterBatch

TRIMER = Atoms("H3", [[0, 0, 0], [0.9, 0, 0], [0, 1.3, 0.2]])
BATCH = ClusterBatch.from_atoms([TRIMER])
EXPECTED = -(3 + 2 * (1 / (1 + TRIMER.get_all_distances()[np.triu_indices(3, 1)] ** 2)).sum())


@pytest.fixture(autouse=True)
def _as_it_began():
    assert torch.get_default_dtype() == torch.float32
    yield
    after, _ = torch.get_default_dtype(), torch.set_default_dtype(torch.float32)
    assert after == torch.float32


SPECS = (
    "ase:networks_of_ase.Double",
    "ase:networks_of_ase.double?trust=true",
    "ase:networks_of_ase.Late",
    "ase:sets_dtype.Imported",
)


@pytest.mark.parametrize("spec", SPECS)
def test_it_is_there_where_it_is_needed_and_nowhere_else(spec):
    for _ in range(2):  # the second time nothing is imported
        source = load_source(spec)
        assert torch.get_default_dtype() == torch.float32
        for asked in (source, pickle.loads(pickle.dumps(source)), source):
            assert asked.energies(BATCH)[0] == pytest.approx(EXPECTED, rel=1e-14)
            assert torch.get_default_dtype() == torch.float32
        assert source.cell_energy(TRIMER) == pytest.approx(EXPECTED, rel=1e-14)


def test_a_calculator_that_was_made_before_has_what_it_left():
    calculator = Double()
    assert torch.get_default_dtype() == torch.float64
    source = CalculatorSource(calculator)
    torch.set_default_dtype(torch.float32)
    assert source.energies(BATCH)[0] == pytest.approx(EXPECTED, rel=1e-14)


def test_failures_leave_it_too():
    source = load_source("ase:networks_of_ase.Double")
    source.calculator.network = None
    result = decompose(TRIMER, source)
    assert "TypeError" in result.failure.item()
    with pytest.raises(ValueError, match="could not be built"):
        load_source("ase:networks_of_ase.Double?weight=heavy")


def test_threads_do_not_mix_theirs():
    many = [Atoms("H3", TRIMER.positions * scale) for scale in np.linspace(1, 2, 12)]
    expected = decompose(many, load_source("ase:networks_of_ase.Double")).total.values
    with ThreadPoolExecutor(4) as executor:
        found = decompose(many, load_source("ase:networks_of_ase.Double"), executor=executor).total.values
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("spec", ["ase:networks_of_ase.Double", "ase:sets_dtype.Imported"])
def test_a_mace_model_that_is_loaded_after_it_is_the_same(spec, tmp_path):
    pytest.importorskip("mace")
    from mace_models import save_model

    sys.modules.pop("sets_dtype", None)
    path = save_model(tmp_path / "mace.model")
    alone = load_source(f"mace:{path}?trust=true&dtype=float32")
    first = load_source(spec)
    first.energies(BATCH)
    after = load_source(f"mace:{path}?trust=true&dtype=float32")
    np.testing.assert_array_equal(after.energies(BATCH), alone.energies(BATCH))
    assert first.energies(BATCH)[0] == pytest.approx(EXPECTED, rel=1e-14)
