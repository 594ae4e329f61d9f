import json
import pickle
import shutil
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import ase
import numpy as np
import pytest
import torch
from ase.units import Bohr, Hartree
from complete_family import order_totals
from metatomic_ase import MetatomicCalculator
from scipy.spatial.transform import Rotation

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.metatomic.archive import read_extensions
from bodyorder.sources.metatomic.source import load_network
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.hydrogen import high_density, low_density
from bodyorder.subsets import complete, contributions
from bodyorder.testing import check_source

ARCHITECTURES = ["soap-bpnn", "pet", "mace"]


@pytest.fixture(params=ARCHITECTURES)
def path(request, networks):
    return networks[request.param]


def batch_of(numbers, positions):
    systems = {row: System(*pair) for row, pair in enumerate(zip(numbers, positions, strict=True))}
    n, k = numbers.shape
    return ClusterBatch.cut(systems, np.arange(n), np.tile(np.arange(k), (n, 1)))


def random_batch(n, k, seed, *, elements=(1, 6, 8), spacing=1.1):
    """Distorted pieces of a cubic lattice: compact clusters without atoms on top of each other."""
    rng = np.random.default_rng(seed)
    lattice = np.indices((3, 3, 3)).reshape(3, -1).T
    sites = np.array([rng.permutation(lattice[:12])[:k] for _ in range(n)])
    positions = spacing * (sites + rng.uniform(-0.2, 0.2, size=(n, k, 3)))
    return batch_of(rng.choice(elements, size=(n, k)), positions)


def hydrogen(k, seed=0):
    """Sub-clusters of k atoms of H8 of low and of high density."""
    parents = low_density(8, 2, seed) + high_density(8, 2, seed)
    systems = {index: System.from_atoms(atoms) for index, atoms in enumerate(parents)}
    members = np.random.default_rng(seed).permuted(np.tile(np.arange(8), (4, 1)), axis=1)[:, :k]
    return ClusterBatch.cut(systems, np.arange(4), members)


def ase_one_by_one(path, batch):
    with warnings.catch_warnings(), torch.jit.optimized_execution(False):
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
        folder = path.parent / "extensions"
        calculator = MetatomicCalculator(
            path, extensions_directory=folder, device="cpu", do_gradients_with_energy=False
        )
        energies, forces = [], []
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            atoms.calc = calculator
            forces.append(atoms.get_forces())
            energies.append(atoms.get_potential_energy())
    return np.array(energies), np.array(forces)


@pytest.mark.parametrize("k", range(1, 9))
def test_a_batch_is_what_ase_computes_one_by_one_for_hydrogen(path, k):
    batch = hydrogen(k)
    energies, forces = load_source(f"metatomic:{path}").energies_and_forces(batch)
    expected_energies, expected_forces = ase_one_by_one(path, batch)
    assert energies.dtype == forces.dtype == np.float64
    assert forces.shape == (4, k, 3)
    np.testing.assert_allclose(energies, expected_energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-12)


def test_a_batch_is_what_ase_computes_one_by_one_for_several_elements(path):
    batch = random_batch(6, 5, seed=1)
    source = load_source(f"metatomic:{path}")
    energies, forces = source.energies_and_forces(batch)
    expected_energies, expected_forces = ase_one_by_one(path, batch)
    assert np.ptp(energies) > 0.01
    assert np.abs(forces).max() > 0.01
    np.testing.assert_allclose(energies, expected_energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-12)
    np.testing.assert_allclose(source.energies(batch), energies, rtol=0, atol=1e-12)


def test_forces_are_slopes_of_the_energy(path):
    source = load_source(f"metatomic:{path}")
    batch = random_batch(1, 4, seed=2)
    step = 1e-3
    moves = step * np.eye(12).reshape(12, 4, 3)
    numbers = np.repeat(batch.numbers, 12, axis=0)
    moved = [source.energies(batch_of(numbers, batch.positions + scale * moves)) for scale in (1, -1, 2, -2)]
    slopes = (8 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / (12 * step)
    np.testing.assert_allclose(source.energies_and_forces(batch)[1].ravel(), -slopes, rtol=0, atol=1e-8)


def test_energies_add_up_beyond_the_cutoff_of_the_neighbour_list_and_not_within(path):
    source = load_source(f"metatomic:{path}")
    network = load_network(source.settings)[0]
    one, other = random_batch(5, 3, seed=3), random_batch(5, 2, seed=4)

    def together(distance):
        reach = one.positions[:, :, :1].max(axis=1, keepdims=True) - other.positions[:, :, :1].min(
            axis=1, keepdims=True
        )
        shifted = other.positions + (reach + distance) * np.array([1.0, 0.0, 0.0])
        numbers = np.concatenate([one.numbers, other.numbers], axis=1)
        return source.energies(batch_of(numbers, np.concatenate([one.positions, shifted], axis=1)))

    separate = source.energies(one) + source.energies(other)
    # Message passing reaches farther, but only through atoms in between, and a sub-cluster has none that are not its own.
    assert source.cutoff == network.list_cutoff <= network.interaction_range
    np.testing.assert_allclose(together(source.cutoff + 0.01), separate, rtol=0, atol=1e-12)
    assert np.abs(together(source.cutoff - 2.0) - separate).min() > 1e-9


def test_splitting_order_and_place_change_nothing(path):
    source = load_source(f"metatomic:{path}")
    batch = random_batch(40, 4, seed=5)
    energies, forces = source.energies_and_forces(batch)
    for size in (1, 7):
        parts = [batch.select(np.arange(start, min(start + size, 40))) for start in range(0, 40, size)]
        found = [source.energies_and_forces(part) for part in parts]
        np.testing.assert_allclose(np.concatenate([part[0] for part in found]), energies, rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.concatenate([part[1] for part in found]), forces, rtol=0, atol=1e-12)
    order = [2, 0, 3, 1]
    swapped, swapped_forces = source.energies_and_forces(batch_of(batch.numbers[:, order], batch.positions[:, order]))
    np.testing.assert_allclose(swapped, energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(swapped_forces, forces[:, order], rtol=0, atol=1e-12)
    shifted = source.energies(batch_of(batch.numbers, batch.positions + np.array([3.0, -40.0, 0.5])))
    np.testing.assert_allclose(shifted, energies, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["soap-bpnn", "mace"])
def test_invariant_models_do_not_see_rotations(networks, name):
    source = load_source(f"metatomic:{networks[name]}")
    batch = random_batch(6, 5, seed=6)
    turns = Rotation.random(6, random_state=0).as_matrix()
    turned = batch_of(batch.numbers, np.einsum("nij,nkj->nki", turns, batch.positions))
    energies, forces = source.energies_and_forces(batch)
    found, found_forces = source.energies_and_forces(turned)
    np.testing.assert_allclose(found, energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found_forces, np.einsum("nij,nkj->nki", turns, forces), rtol=0, atol=1e-10)


def test_single_atoms_and_atoms_without_neighbours(path):
    source = load_source(f"metatomic:{path}")
    numbers = np.array([[1], [6], [8], [1]])
    alone, forces = source.energies_and_forces(batch_of(numbers, np.arange(12.0).reshape(4, 1, 3)))
    assert alone[3] == pytest.approx(alone[0], abs=1e-12)
    assert not forces.any()
    scattered = 50.0 * np.arange(9.0).reshape(1, 3, 3)
    energies, forces = source.energies_and_forces(batch_of(np.array([[1, 6, 8]]), scattered))
    assert energies == pytest.approx(alone[:3].sum(), abs=1e-12)
    assert not forces.any()


@pytest.mark.parametrize(("correlation", "interactions"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_a_linear_model_on_correlations_has_no_higher_body_orders(models, tmp_path, correlation, interactions):
    hypers = {
        "num_interactions": interactions,
        "correlation": correlation,
        "hidden_irreps": "8x0e",
        "max_ell": 2,
        "radial_MLP": [16, 16],
    }
    source = load_source(f"metatomic:{models.export_network(tmp_path, 'experimental.mace', hypers)}")
    cluster = System.from_atoms(high_density(6, 1, 0)[0])
    family = complete(6)
    energies = [
        source.energies(ClusterBatch.cut({0: cluster}, np.zeros(len(members)), members)) for members in family.members
    ]
    totals = order_totals(np.array([layer.sum() for layer in energies]), 6)
    largest = np.array([np.abs(layer).max() for layer in contributions(family, energies)])
    assert totals.sum() == pytest.approx(energies[-1][0], abs=1e-9)
    if interactions == 1:
        assert (largest[: correlation + 1] > 1e-3).all()
        assert (largest[correlation + 1 :] < 1e-9).all()
        assert np.abs(totals[correlation + 1 :]).max() < 1e-9
    else:
        assert (largest > 1e-6).all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sources_conform(networks, name):
    report = check_source(load_source(f"metatomic:{networks[name]}"), species=["H", "C"])
    # PET learns rotations, it is not built on them.
    assert [check.name for check in report.failures] == (["rotation"] if name == "pet" else [])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_single_precision_claims_its_rounding_and_double_removes_it(single_precision, name):
    path = single_precision[name]
    single, double = load_source(f"metatomic:{path}"), load_source(f"metatomic:{path}?dtype=float64")
    batch = random_batch(60, 8, seed=7, spacing=1.3)
    energies, forces = single.energies_and_forces(batch)
    exact, exact_forces = double.energies_and_forces(batch)
    error = energies - exact
    # What is alike for all clusters is no noise: in float32 the model is also a slightly different smooth function.
    counts = (batch.numbers[:, :, None] == np.array([1, 6, 8])).sum(axis=1)
    error = np.std(error - counts @ np.linalg.lstsq(counts, error)[0])
    claimed = single.precision.sigma(energies).mean()
    assert energies.dtype == np.float64
    assert claimed / 4 < error < 4 * claimed < 1e-4
    assert double.precision.sigma(exact).max() < 1e-11
    np.testing.assert_allclose(forces, exact_forces, rtol=0, atol=1e-3)
    assert single.fingerprint != double.fingerprint


def test_names_and_fingerprints(networks, tmp_path):
    path = networks["pet"]
    source = load_source({"source": f"metatomic:{path}", "device": "cpu"})
    copy = load_source(f"metatomic:{shutil.copy(path, tmp_path / 'copy.pt')}")
    assert source.name == f"metatomic:{path}"
    assert copy.fingerprint == source.fingerprint
    assert load_source(f"metatomic:{networks['mace']}").fingerprint != source.fingerprint


def test_a_pickled_source_gives_the_same_energies_here_and_in_another_process(networks):
    source = load_source(f"metatomic:{networks['soap-bpnn']}")
    batch = hydrogen(3)
    content = pickle.dumps(source)
    copy = pickle.loads(content)
    assert len(content) < 2000
    assert load_network(copy.settings)[0] is load_network(source.settings)[0]
    np.testing.assert_array_equal(copy.energies(batch), source.energies(batch))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        energies, forces = pool.submit(source.energies_and_forces, batch).result()
    np.testing.assert_allclose(energies, source.energies(batch), rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces, source.energies_and_forces(batch)[1], rtol=0, atol=1e-12)


def test_a_model_that_changes_while_in_use_is_noticed(networks, tmp_path):
    file = tmp_path / "model.pt"
    shutil.copy(networks["pet"], file)
    content = pickle.dumps(load_source(f"metatomic:{file}"))
    shutil.copy(networks["mace"], file)
    with pytest.raises(ComputationError, match=r"model\.pt must not change while it is in use, and did"):
        pickle.loads(content)
    file.unlink()
    with pytest.raises(InputError, match=r"model\.pt must be readable, and is not: No such file"):
        pickle.loads(content)


def pair_energies(batch, radius):
    """Of :class:`PairSum`, and the forces."""
    vectors = batch.positions[:, :, None] - batch.positions[:, None, :]
    distances = np.linalg.norm(vectors, axis=-1) + np.diag(np.full(batch.n_atoms, np.inf))
    if radius == 0:
        return (0.5 / distances).sum(axis=(1, 2)), np.einsum("nijx,nij->nix", vectors, distances**-3.0)
    inside = np.clip(1 - distances / radius, 0, None)
    slopes = -3 * inside**2 / radius / distances
    return 0.5 * (inside**3).sum(axis=(1, 2)), -np.einsum("nijx,nij->nix", np.nan_to_num(vectors), slopes)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("kind", ["atom", "system"])
def test_units_are_converted_and_lists_are_full_or_half(models, tmp_path, full, kind):
    path = models.export_closed_form(
        tmp_path / "pair.pt",
        models.PairSum(2.5 / Bohr, 3.0 / Bohr, full),
        claimed_range=3.0 / Bohr,
        kind=kind,
        length_unit="bohr",
        unit="hartree",
    )
    source = load_source(f"metatomic:{path}")
    batch = random_batch(20, 5, seed=8, elements=(1,))
    energies, forces = source.energies_and_forces(batch)
    expected, expected_forces = pair_energies(batch, 2.5)
    assert source.cutoff == pytest.approx(3.0, abs=1e-6)
    # The two programs take the bohr and the hartree from different years.
    np.testing.assert_allclose(energies, Hartree * expected, rtol=1e-7)
    np.testing.assert_allclose(forces, Hartree * expected_forces, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("radius", "claimed", "cutoff"),
    [(2.5, 3.0, 3.0), (0.0, float("inf"), None), (0.0, 3.0, None), (2.5, 1.5, None), (2.5, float("inf"), None)],
    ids=["by positions", "long range", "undeclared long range", "claims too little", "claims nothing"],
)
def test_what_a_model_says_of_its_range_is_tried(models, tmp_path, radius, claimed, cutoff):
    """These models take positions instead of a neighbour list, so that their sub-clusters must be systems of their own."""
    model = models.PairSum(radius, 0.0, True)
    source = load_source(f"metatomic:{models.export_closed_form(tmp_path / 'm.pt', model, claimed_range=claimed)}")
    batch = random_batch(20, 5, seed=9, elements=(1,))
    energies, forces = source.energies_and_forces(batch)
    expected, expected_forces = pair_energies(batch, radius)
    assert source.cutoff == (None if cutoff is None else pytest.approx(cutoff, abs=1e-6))
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-12)


def test_one_of_several_energies(models, tmp_path):
    pair = models.PairSum(2.5, 3.0, True)
    both = models.export_closed_form(tmp_path / "both.pt", pair, claimed_range=3.0, outputs=("energy", "energy/pbe"))
    plain, chosen = load_source(f"metatomic:{both}"), load_source(f"metatomic:{both}?variant=pbe")
    batch = random_batch(3, 4, seed=10, elements=(1,))
    np.testing.assert_allclose(chosen.energies(batch), plain.energies(batch), rtol=0, atol=1e-12)
    assert chosen.fingerprint != plain.fingerprint
    assert chosen.name == f"metatomic:{both}?variant=pbe"
    with pytest.raises(InputError, match=r"`variant` must be one of pbe, got 'bpe'; did you mean 'pbe'\?"):
        load_source(f"metatomic:{both}?variant=bpe")
    one = models.export_closed_form(
        tmp_path / "one.pt", pair, claimed_range=3.0, outputs=("energy/r2scan", "energy/pbe")
    )
    with pytest.raises(InputError, match=r"`variant` must be given for metatomic:.*one\.pt, one of .*pbe"):
        load_source(f"metatomic:{one}")


def test_models_that_cannot_serve(models, tmp_path):
    pair = models.PairSum(2.5, 3.0, True)
    dipole = models.export_closed_form(tmp_path / "dipole.pt", pair, claimed_range=3.0, outputs=("test::dipole",))
    with pytest.raises(InputError, match=r"dipole\.pt must give an energy, and gives test::dipole"):
        load_source(f"metatomic:{dipole}")
    broken = models.PairSum(float("nan"), 3.0, True)
    endless = models.export_closed_form(tmp_path / "endless.pt", broken, claimed_range=3.0)
    with pytest.raises(
        InputError, match=r"endless\.pt must run, and fails: the energy of a test cluster is not finite"
    ):
        load_source(f"metatomic:{endless}")
    plain = models.export_closed_form(tmp_path / "plain.pt", pair, claimed_range=3.0)
    with pytest.raises(InputError, match=r"`variant` must be left out for metatomic:.*plain\.pt.* got 'pbe'"):
        load_source(f"metatomic:{plain}?variant=pbe")
    source = load_source(f"metatomic:{plain}")
    with pytest.raises(InputError, match=r"plain\.pt must know every element, and has not seen C, O; it knows H$"):
        source.energies(batch_of(np.array([[1, 6, 8]]), np.eye(3)[None]))
    charged = batch_of(np.array([[1, 1]]), np.eye(3)[None, :2])
    charged.charges[:] = 1
    with pytest.raises(
        InputError, match=r"sub-clusters must be neutral for metatomic:.*plain\.pt, which takes no charges"
    ):
        source.energies(charged)


def test_files_that_are_no_models(tmp_path, networks):
    with pytest.raises(InputError, match=r"metatomic:no\.pt must be the file of an exported model.*there is nothing"):
        load_source("metatomic:no.pt")
    with pytest.raises(InputError, match=r"must be the file of an exported model.*there is a folder"):
        load_source(f"metatomic:{tmp_path}")
    text, weights = tmp_path / "text.pt", tmp_path / "weights.pt"
    text.write_text("not a model\n")
    torch.save({"weights": torch.zeros(3)}, weights)
    for file in (text, weights):
        with pytest.raises(InputError, match=rf"{file.name} must be a metatomic model, and is not; `mtt export`"):
            load_source(f"metatomic:{file}")
    broken = tmp_path / "broken.pt"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("broken/extra/extensions", "[]")
    with pytest.raises(InputError, match=r"broken\.pt could not be loaded: [^\n]*$"):
        load_source(f"metatomic:{broken}")
    model = networks["pet"]
    with pytest.raises(InputError, match=r"`extensions` must be a folder, got 'nowhere'"):
        load_source(f"metatomic:{model}?extensions=nowhere")
    with pytest.raises(InputError, match=r"has no option 'devise'; options: .*did you mean 'device'\?"):
        load_source(f"metatomic:{model}?devise=cpu")
    with pytest.raises(InputError, match=r"`device` must be one of cpu, cuda, got 'cude'; did you mean 'cuda'\?"):
        load_source(f"metatomic:{model}?device=cude")
    with pytest.raises(InputError, match=r"`device` must be there, got 'cuda:99' and torch sees \d+ GPUs; device=cpu"):
        load_source(f"metatomic:{model}?device=cuda:99")
    with pytest.raises(InputError, match="`dtype` must be one of float64, got 'float16'"):
        load_source(f"metatomic:{model}?dtype=float16")


def in_a_fresh_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines(), done.stderr


LOAD = """
import sys
import ase
from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch
try:
    source = load_source(sys.argv[1])
    pair = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])])
    print(source.energies(pair)[0])
    print(source.energies_and_forces(pair)[1][0, 0, 2])
except InputError as error:
    print(error, "torch" in sys.modules)
"""


def library_beside(model):
    return next((model.parent / "extensions").rglob("libsphericart_torch.so"))


def exported_elsewhere(original, target, place):
    """A model as if it came from an environment that keeps its library in another place."""
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(target, "w") as copy:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith("/extra/extensions"):
                path = str(library_beside(original).relative_to(original.parent / "extensions"))
                content = content.replace(path.encode(), place.encode())
            copy.writestr(item.filename, content)
    return target


def test_compiled_operators_for_another_torch_are_not_loaded(networks, tmp_path):
    """Torch ends the process when it is given a library that was built for another one."""
    original = networks["soap-bpnn"]
    pair = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])])
    energy, forces = load_source(f"metatomic:{original}").energies_and_forces(pair)
    place = "sphericart/torch/torch-2.6/lib/libsphericart_torch.so"
    older = exported_elsewhere(original, tmp_path / "older.pt", place)
    (tmp_path / "extensions" / place).parent.mkdir(parents=True)
    (tmp_path / "extensions" / place).write_bytes(b"not to be loaded")
    found, complaints = in_a_fresh_process(LOAD, f"metatomic:{older}")
    assert not complaints
    assert [float(value) for value in found] == pytest.approx([energy[0], forces[0, 0, 2]], abs=1e-12)
    other = exported_elsewhere(original, tmp_path / "other.pt", "other/torch-2.6/lib/libother.so")
    (message,), _ = in_a_fresh_process(LOAD, f"metatomic:{other}")
    assert "needs sphericart_torch, whose copy beside it is for torch 2.6 and not for " in message


def test_compiled_operators_come_from_the_environment_or_from_the_folder_beside_the_model(networks, tmp_path):
    original = networks["soap-bpnn"]
    source = load_source(f"metatomic:{original}")
    pair = ClusterBatch.from_atoms([ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])])
    energy, forces = source.energies_and_forces(pair)
    lonely = shutil.copy(original, tmp_path / "lonely.pt")
    found, complaints = in_a_fresh_process(LOAD, f"metatomic:{lonely}")
    assert not complaints
    assert [float(value) for value in found] == pytest.approx([energy[0], forces[0, 0, 2]], abs=1e-12)

    library = library_beside(original)
    foreign = exported_elsewhere(original, tmp_path / "foreign.pt", "elsewhere/libsphericart_torch.so")
    (message,), _ = in_a_fresh_process(LOAD, f"metatomic:{foreign}")
    assert "needs compiled operators that are not installed (sphericart_torch); give the folder" in message
    folder = tmp_path / "libraries"
    shutil.copytree(original.parent / "extensions", folder)
    (folder / "elsewhere").mkdir()
    shutil.copy(library, folder / "elsewhere")
    for spec in (f"metatomic:{foreign}?extensions={folder}&trust=true", f"metatomic:{foreign}?trust=true"):
        (found_energy, message), _ = in_a_fresh_process(LOAD, spec)
        assert float(found_energy) == pytest.approx(energy[0], abs=1e-12)
        # This library leaves its derivatives to its Python package. Torch would go on, with wrong forces.
        assert "has no forces here, since its operator sphericart_torch::spherical_harmonics comes without" in message
        folder = folder.rename(tmp_path / "extensions")


def test_compiled_operators_that_came_with_a_model_must_be_trusted(networks, tmp_path):
    """They are native code, which runs when it is loaded."""
    original = networks["soap-bpnn"]
    foreign = exported_elsewhere(original, tmp_path / "foreign.pt", "elsewhere/libsphericart_torch.so")
    folder = tmp_path / "extensions"
    (folder / "elsewhere").mkdir(parents=True)
    (folder / "elsewhere" / "libsphericart_torch.so").write_bytes(b"not to be loaded")
    message = (
        rf"metatomic:{foreign} must be trusted to be loaded: its operators \(sphericart_torch\) are not installed here, and "
        rf"those in {folder} are compiled code, which can do anything; say trust=true if you know where they come from$"
    )
    for spec in (f"metatomic:{foreign}", f"metatomic:{foreign}?extensions={folder}"):
        with pytest.raises(InputError, match=message):
            load_source(spec)
    (found,), _ = in_a_fresh_process(LOAD, f"metatomic:{foreign}?trust=true")
    assert "foreign.pt could not be loaded: " in found
    with pytest.raises(InputError, match="`trust` must be true or false, got 'yes'"):
        load_source(f"metatomic:{foreign}?trust=yes")
    # what is installed needs no trust, and the word for it changes nothing
    assert (
        load_source(f"metatomic:{original}?trust=true").fingerprint == load_source(f"metatomic:{original}").fingerprint
    )
    assert load_source(f"metatomic:{original}?trust=true").name == f"metatomic:{original}"


@pytest.mark.parametrize(
    ("searched", "path", "installed"),
    [
        ("packages", "kept/libown.so", True),
        ("packages", "{folder}/models/kept/libown.so", False),
        ("packages", "../models/kept/libown.so", False),
        ("models", "kept/libown.so", False),
        (".", "models/kept/libown.so", False),
    ],
)
def test_libraries_that_lie_with_the_model_are_not_taken_for_installed(
    tmp_path, monkeypatch, searched, path, installed
):
    """A model says itself where its libraries lie, and Python may search the folder that it is in."""
    for folder in ("packages", "models"):
        (tmp_path / folder / "kept").mkdir(parents=True)
        (tmp_path / folder / "kept" / "libown.so").touch()
    model = tmp_path / "models" / "m.pt"
    with zipfile.ZipFile(model, "w") as archive:
        records = [{"name": "own", "path": path.format(folder=tmp_path)}]
        archive.writestr("m/extra/extensions", json.dumps(records))
    monkeypatch.syspath_prepend(tmp_path / searched)
    (found,) = read_extensions(model, "m.pt")
    assert (found.installed is not None) == installed


def test_a_missing_file_is_told_before_torch_is_loaded():
    (message,), _ = in_a_fresh_process(LOAD, "metatomic:no.pt")
    assert message.startswith("metatomic:no.pt must be the file of an exported model")
    assert message.endswith("False")


def test_structures_of_ase_are_taken_as_they_are(networks):
    source = load_source(f"metatomic:{networks['mace']}")
    water = ase.Atoms("OH2", [[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]])
    batch = ClusterBatch.from_atoms([water, water[[1, 0, 2]]])
    first, second = source.energies(batch)
    assert first == pytest.approx(second, abs=1e-12)
