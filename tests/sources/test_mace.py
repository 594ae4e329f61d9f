import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from complete_family import order_totals
from mace_models import VARIABLE, one_by_one, pieces, save_model, source_of

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.mace.network import MaceNetwork
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.networks.network import Clusters
from bodyorder.sources.pairs import DENSE
from bodyorder.sources.portions import Portions
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density
from bodyorder.subsets import complete, contributions
from bodyorder.testing import check_source


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """Path of a float64 model with two interactions for H, C and O."""
    return save_model(tmp_path_factory.mktemp("mace") / "two.model")


@pytest.fixture(scope="session")
def single_precision(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("mace") / "single.model", dtype="float32")


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_a_batch_is_what_ase_computes_one_by_one(path, k):
    batch = pieces(12, k, seed=k)
    wanted, slopes = one_by_one(path, batch)
    energies, forces = source_of(path).energies_and_forces(batch)
    np.testing.assert_allclose(energies, wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-9)
    np.testing.assert_allclose(source_of(path).energies(batch), wanted, rtol=0, atol=1e-10)
    assert k == 1 or np.abs(slopes).max() > 0.1


def test_large_clusters_and_those_whose_atoms_see_no_other(path):
    lattice = np.indices((5, 5, 4)).reshape(3, -1).T * 1.9
    assert len(lattice) > DENSE
    rng = np.random.default_rng(0)
    large = ClusterBatch.from_atoms(
        [ase.Atoms(rng.choice([1, 6, 8], 100), lattice + rng.uniform(-0.2, 0.2, (100, 3))) for _ in range(2)]
    )
    apart = ClusterBatch.from_atoms([ase.Atoms("HOC", [[0, 0, 0], [4, 0, 0], [0, 0, 9]])])
    for batch in (large, apart):
        wanted, slopes = one_by_one(path, batch)
        energies, forces = source_of(path).energies_and_forces(batch)
        np.testing.assert_allclose(energies, wanted, rtol=0, atol=1e-10)
        np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-9)


def test_repulsion_of_cores_and_other_classes_of_model(tmp_path):
    save_model(tmp_path / "repulsion.model", pair_repulsion=True, distance_transform="Agnesi")
    close = pieces(8, 4, spacing=0.7)
    energies, forces = source_of(tmp_path / "repulsion.model").energies_and_forces(close)
    wanted, slopes = one_by_one(tmp_path / "repulsion.model", close)
    np.testing.assert_allclose(energies, wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces, slopes, rtol=1e-12, atol=1e-9)


def test_parts_add_up_beyond_the_range_of_an_edge_and_not_within(path):
    source = source_of(path)
    assert source.cutoff == 3.5
    parts, (n, k) = pieces(2, 4, spacing=0.9), (2, 4)
    apart, near = parts.positions.copy(), parts.positions.copy()
    for positions, gap in ((apart, 3.51), (near, 2.0)):
        positions[1] += [positions[0, :, 0].max() - positions[1, :, 0].min() + gap, 0, 0]
        positions[1, :, 1:] += positions[0, 0, 1:] - positions[1, 0, 1:]
    both = [System(parts.numbers.ravel(), positions.reshape(n * k, 3)) for positions in (apart, near)]
    batch = ClusterBatch.cut(dict(enumerate(both)), np.arange(2), np.tile(np.arange(n * k), (2, 1)))
    far, close = source.energies(batch) - source.energies(parts).sum()
    assert abs(far) < 1e-10
    assert abs(close) > 1e-4


@pytest.mark.parametrize(("correlation", "interactions"), [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_a_linear_model_on_correlations_has_no_higher_body_orders(tmp_path, correlation, interactions):
    save_model(tmp_path / "a.model", correlation=correlation, interactions=interactions, elements=(1,), irreps="8x0e")
    source = source_of(tmp_path / "a.model")
    parent = System.from_atoms(high_density(6, 1, 0)[0])
    family = complete(6)
    energies = [source.energies(ClusterBatch.cut({0: parent}, np.zeros(len(m)), m)) for m in family.members]
    totals = order_totals(np.array([layer.sum() for layer in energies]), 6)
    largest = np.array([np.abs(layer).max() for layer in contributions(family, energies)])
    assert totals.sum() == pytest.approx(energies[-1][0], abs=1e-9)
    if interactions == 1:
        assert (largest[: correlation + 1] > 1e-5).all()
        assert np.abs(totals[correlation + 1 :]).max() < 1e-9
    else:
        assert (largest > 1e-8).all()


def test_sources_conform(path):
    check_source(source_of(path), species=["H", "C", "O"], forces=True).raise_if_failed()


def test_single_precision_claims_its_rounding_and_double_removes_it(single_precision):
    single, double = source_of(single_precision), source_of(single_precision, dtype="float64")
    assert 1e-9 < single.precision.sigma(np.array(100.0)) < 1e-3
    assert double.precision.sigma(np.array(100.0)) < 1e-11
    assert double.capabilities.invariant
    assert not single.capabilities.invariant
    batch = pieces(10, 4)
    wanted, slopes = one_by_one(single_precision, batch)
    energies, forces = double.energies_and_forces(batch)
    np.testing.assert_allclose(energies, wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-9)
    off = single.energies(batch) - wanted
    assert 0 < np.abs(off).max() < 6 * single.precision.sigma(wanted).max()
    check_source(single, species=["H", "O"], forces=True).raise_if_failed()


def test_one_of_several_heads(tmp_path):
    energies = -np.arange(1.0, 7.0).reshape(2, 3)
    options = {"heads": ["low", "high"], "atomic_energies": energies}
    path = save_model(tmp_path / "heads.model", atomic_inter_scale=[1.0, 2.0], atomic_inter_shift=[0.0, 0.5], **options)
    alone = ClusterBatch.from_atoms([ase.Atoms("C")])
    batch = pieces(5, 3)
    with pytest.raises(InputError, match=r"`head` must be given for mace:.*, one of low, high"):
        source_of(path)
    low, high = (source_of(path, head=head) for head in ("low", "high"))
    assert high.energies(alone) - low.energies(alone) == pytest.approx(-5.0 + 2.0 + 0.5)
    assert np.abs(high.energies(batch) - low.energies(batch)).min() > 0.1
    assert low.fingerprint != high.fingerprint
    assert high.name == f"mace:{path}?head=high"
    with pytest.raises(InputError, match="`head` must be one of high, low, got 'hihg'; did you mean 'high'"):
        source_of(path, head="hihg")


def test_names_and_fingerprints(path, tmp_path):
    source = source_of(path)
    assert source.name == f"mace:{path}"
    assert source_of(path, dtype="float64").fingerprint == source.fingerprint
    assert source_of(path, dtype="float32").fingerprint != source.fingerprint
    other = save_model(tmp_path / "other.model", seed=1)
    assert source_of(other).fingerprint != source.fingerprint
    assert source.capabilities.versions.keys() == {"torch", "mace-torch"}
    assert source.capabilities.versions["mace-torch"] in source.fingerprint


class Unmade:
    """A pickle whose parts do not fit together."""

    def __reduce__(self):
        return (len, (3,))


class Trap:
    """What a pickle can do when it is loaded."""

    def __reduce__(self):
        return (Path.write_text, (Path(self.marker), "run"))


def test_files_that_could_run_code_are_not_loaded_unless_trusted(tmp_path):
    trap = Trap()
    trap.marker = str(tmp_path / "marker")
    torch.save(trap, tmp_path / "trap.model")
    message = "must be trusted to be loaded: it is a pickle, which runs any code .* say trust=true if you know where it"
    for spec in (f"mace:{tmp_path}/trap.model", f"mace:{tmp_path}/trap.model?trust=false"):
        with pytest.raises(InputError, match=message):
            load_source(spec)
    assert not (tmp_path / "marker").exists()
    with pytest.raises(InputError, match="must hold a whole model, and holds a int"):
        load_source(f"mace:{tmp_path}/trap.model?trust=true")
    assert (tmp_path / "marker").exists()
    with pytest.raises(InputError, match="`trust` must be true or false, got 'yes'"):
        load_source(f"mace:{tmp_path}/trap.model?trust=yes")


def test_a_model_that_changes_while_in_use_is_noticed_before_it_is_loaded(path, tmp_path):
    copy = tmp_path / "copy.model"
    copy.write_bytes(path.read_bytes())
    content = pickle.dumps(source_of(copy))
    assert pickle.loads(content).fingerprint == source_of(path).fingerprint
    trap = Trap()
    trap.marker = str(tmp_path / "marker")
    torch.save(trap, copy)
    with pytest.raises(
        ComputationError, match="must not change while it is in use, and did: its file, or mace, is another"
    ):
        pickle.loads(content)
    assert not (tmp_path / "marker").exists()
    copy.unlink()
    with pytest.raises(InputError, match="must be readable, and is not: No such file"):
        pickle.loads(content)


def test_a_pickled_source_gives_the_same_energies_in_another_process(path):
    source, batch = source_of(path), pieces(6, 3)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        energies = pool.submit(type(source).energies, source, batch).result()
    np.testing.assert_allclose(energies, source.energies(batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "`device` must be one of cpu, cuda, got 'tpu'"),
        (
            {"device": "cuda:99"},
            r"`device` must be there, got 'cuda:99' and torch sees \d+ GPUs; device=cpu always works",
        ),
        ({"dtype": "float16"}, "`dtype` must be one of float32, float64, got 'float16'"),
        ({"variant": "x"}, "has no option 'variant'; options: trust, device, dtype, head, charged, spin, members"),
    ],
)
def test_wrong_options_are_named(path, options, message):
    with pytest.raises(InputError, match=message):
        source_of(path, **options)


def test_sub_clusters_that_a_model_cannot_take(path):
    source = source_of(path)
    with pytest.raises(InputError, match="must know every element, and has not seen He, Au; it knows H, C, O"):
        source.energies(ClusterBatch.from_atoms([ase.Atoms("HHeAu", np.eye(3))]))
    batch = pieces(2, 2)
    charged = ClusterBatch(
        batch.numbers, batch.positions, batch.parents, batch.members, batch.systems, np.array([0, 1])
    )
    with pytest.raises(InputError, match=r"sub-clusters must be neutral for mace:.*, which takes no charges"):
        source.energies(charged)
    assert not source.capabilities.charged


def test_files_that_are_no_models(path, tmp_path):
    (tmp_path / "text.model").write_text("no model")
    with pytest.raises(InputError, match=r"text.model could not be loaded: "):
        source_of(tmp_path / "text.model")
    torch.save(Unmade(), tmp_path / "unmade.model")
    with pytest.raises(
        InputError, match=r"unmade.model could not be loaded: TypeError: object of type 'int' has no len"
    ):
        source_of(tmp_path / "unmade.model")
    torch.save({"weights": torch.ones(2)}, tmp_path / "weights.model")
    with pytest.raises(InputError, match="must hold a whole model, and holds a dict"):
        source_of(tmp_path / "weights.model")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "linear.model")
    with pytest.raises(InputError, match="must be a MACE model that gives energies, and is a Linear"):
        source_of(tmp_path / "linear.model")
    with pytest.raises(InputError, match=r"must be the file of a MACE model \(.model\), and there is nothing"):
        source_of(tmp_path / "none.model")
    with pytest.raises(InputError, match="and there is a folder"):
        source_of(tmp_path)
    compiled = torch.jit.script(torch.nn.Linear(1, 1))
    compiled.save(str(tmp_path / "compiled.model"))
    with pytest.raises(InputError, match=r"must be a model as MACE trains it, and is compiled; take the .model file"):
        source_of(tmp_path / "compiled.model")


def test_loading_changes_nothing_for_the_rest_of_the_process(path):
    code = (
        "import os, sys, torch\n"
        "from bodyorder.sources import load_source\n"
        f"try: load_source('mace:{path}')\n"
        "except ValueError: print('mace' in sys.modules)\n"
        f"load_source('mace:{path}?trust=true')\n"
        f"print(torch.get_default_dtype(), {VARIABLE!r} in os.environ)"
    )
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", code]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    assert lines[0] == "False"
    assert lines[-1] == "torch.float32 False"


def test_memory_of_torch_that_runs_out_makes_smaller_calls(path):
    source, batch = source_of(path), pieces(40, 4)
    wanted = source.energies(batch)
    portions, sizes = Portions(1000), []

    def work(rows):
        sizes.append(rows.stop - rows.start)
        if sizes[-1] > 12:
            torch.empty(2**52, dtype=torch.float64)
        part = source.energies(batch.select(np.arange(rows.start, rows.stop)))
        np.testing.assert_allclose(part, wanted[rows], rtol=0, atol=1e-12)

    portions.over(40, 4, work)
    assert sizes == [40, 19, 8, 8, 8, 8, 8]


def test_splitting_and_order_change_nothing(path):
    source, batch = source_of(path), pieces(30, 5)
    energies, forces = source.energies_and_forces(batch)
    order = np.random.default_rng(1).permutation(30)
    again, slopes = source.energies_and_forces(batch.select(order))
    np.testing.assert_allclose(again, energies[order], rtol=0, atol=1e-11)
    np.testing.assert_allclose(slopes, forces[order], rtol=0, atol=1e-11)
    network = MaceNetwork(Settings(target="a", path=path))
    for packed in (False, True):
        found = network.evaluate(Clusters.of(batch, False), packed=packed, atoms=True, forces=True)
        np.testing.assert_allclose(found.energies, energies, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.atom_energies.sum(axis=1), energies, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-11)
