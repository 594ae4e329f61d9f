"""Ridge regression on the power spectrum: its algebra, its derivatives, and what its exported models promise."""

from __future__ import annotations

import csv
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import scipy.linalg
import torch
import yaml

from bodyorder.engine import decompose
from bodyorder.sources import load_source
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch
from bodyorder.testing import check_source
from bodyorder.training import prediction_errors, training_options
from bodyorder.training.soap_ridge import __main__ as program
from bodyorder.training.soap_ridge.fit import Fit, Rows, errors, make_rows, solve
from bodyorder.training.soap_ridge.model import LinearSoap

#: The curated power spectrum with a basis that costs little.
SOAP = training_options("soap-linear", [2], elements={1})["architecture"]["model"] | {
    "basis": {"type": "TensorProduct", "max_angular": 2, "radial": {"type": "Gto", "max_radial": 2}}
}
WATER = [1, 1, 8]


def draw(numbers: list[int], seed: int) -> ase.Atoms:
    """Atoms at random, none closer than 0.8 Å."""
    generator = np.random.default_rng([seed, *numbers])
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        candidate = generator.uniform(-1.6, 1.6, 3)
        if all(np.linalg.norm(candidate - other) > 0.8 for other in positions):
            positions.append(candidate)
    return ase.Atoms(numbers, positions)


def random_model(elements: list[int], seed: int = 0) -> LinearSoap:
    """A potential of the class itself: weights that make energies of some eV, and a baseline."""
    generator = np.random.default_rng(seed)
    model = LinearSoap(SOAP, elements)
    # features of these clusters are 0.06 at most
    model.weights.copy_(torch.from_numpy(generator.normal(scale=10.0, size=model.weights.shape)))
    model.baseline.copy_(torch.from_numpy(generator.uniform(-14, -10, len(elements))))
    return model


def exported(model: LinearSoap, folder: Path) -> EnergySource:
    model.export().save(folder / "model.pt", collect_extensions=folder / "extensions")
    return load_source(f"metatomic:{folder / 'model.pt'}")


def with_labels(clusters: list[ase.Atoms], source: EnergySource) -> list[ase.Atoms]:
    for atoms in clusters:
        energies, forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))
        atoms.info["energy"], atoms.arrays["forces"] = float(energies[0]), forces[0]
    return clusters


@pytest.fixture(scope="module")
def model() -> LinearSoap:
    """Of hydrogen and oxygen."""
    return random_model([8, 1])


@pytest.fixture(scope="module")
def source(model, tmp_path_factory) -> EnergySource:
    return exported(model, tmp_path_factory.mktemp("random"))


def random_rows(shares: np.ndarray, n_forces: int) -> Rows:
    """A problem with six features for each element, of very different size."""
    generator = np.random.default_rng(len(shares))
    n, n_elements = shares.shape
    features = generator.normal(size=(n + n_forces, 6 * n_elements)) * np.logspace(0, -3, 6 * n_elements)
    targets = generator.normal(size=n + n_forces) + np.r_[np.full(n, -13.0), np.zeros(n_forces)]
    return Rows(features, np.concatenate([shares, np.zeros((n_forces, n_elements))]), targets, n)


ONE_ELEMENT = np.ones((9, 1))
TWO_ELEMENTS = np.array([[k / 10, 1 - k / 10] for k in range(11)])
#: all clusters have one composition, so that nothing tells the baselines of the two elements apart
ONE_COMPOSITION = np.array([[2 / 3, 1 / 3]] * 10)


@pytest.mark.parametrize("n_forces", [0, 30])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("shares", [ONE_ELEMENT, TWO_ELEMENTS, ONE_COMPOSITION], ids=["H", "HO", "H2O"])
def test_solutions_are_those_of_the_augmented_system(shares, fixed, n_forces):
    rows, energy_weight = random_rows(shares, n_forces), 7.0
    n, n_elements = shares.shape
    baseline = np.linspace(-13.0, -12.0, n_elements) if fixed else None
    root = np.r_[np.full(n, np.sqrt(energy_weight / n)), np.full(n_forces, 1 / np.sqrt(max(n_forces, 1)))][:, None]
    matrix, shift = rows.features * root, rows.shares * root
    left_over = matrix if fixed else matrix - shift @ np.linalg.pinv(shift) @ matrix
    spread = np.sqrt((left_over**2).mean(axis=0))
    largest = np.linalg.norm(left_over / spread, 2)
    strengths = [1e-1, 1e-3, 1e-6]
    for fit in solve(rows, strengths, energy_weight=energy_weight, baseline=baseline):
        penalty = np.sqrt(fit.strength) * largest * np.diag(spread)
        if fixed:
            system, target = [[matrix], [penalty]], rows.targets - rows.shares @ baseline
        else:
            system, target = [[matrix, shift], [penalty, np.zeros((len(spread), n_elements))]], rows.targets
        right = np.r_[target * root[:, 0], np.zeros(len(spread))]
        expected = scipy.linalg.lstsq(np.block(system), right)[0]
        np.testing.assert_allclose(fit.weights.ravel(), expected[: len(spread)], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.baseline, baseline if fixed else expected[len(spread) :], rtol=1e-10)
        assert fit.weights.shape == (n_elements, 6)


def test_features_that_say_nothing_are_left_out():
    rows = random_rows(TWO_ELEMENTS, 12)
    rows.features[:, 3] = 0.0
    (fit,) = solve(rows, [1e-6], energy_weight=10.0)
    assert fit.weights.ravel()[3] == 0
    assert np.isfinite(fit.weights).all()
    rows.features[:] = 0.0
    with pytest.raises(
        ValueError, match="features must vary, and no cluster has atoms within the cutoff of each other"
    ):
        solve(rows, [1e-6], energy_weight=10.0)


def test_errors_are_per_atom_and_per_component():
    rows = Rows(np.zeros((5, 1)), np.array([[1.0], [1.0], [0.0], [0.0], [0.0]]), np.array([-2.0, -4, 0, 3, 0]), 2)
    energy, force = errors(rows, Fit(0.0, np.zeros((1, 1)), np.array([-3.0])))
    assert (energy, force) == (1.0, np.sqrt(3))
    bare = Rows(rows.features[:2], rows.shares[:2], rows.targets[:2], 2)
    assert np.isnan(errors(bare, Fit(0.0, np.zeros((1, 1)), np.array([-3.0])))[1])


def test_features_of_forces_are_derivatives_of_those_of_energies(model):
    atoms, step = draw([8, 1, 1, 8], 0), 1e-5
    atoms.info["energy"], atoms.arrays["forces"] = 0.0, np.zeros((4, 3))
    analytic = make_rows(model, [atoms], True).features[1:].reshape(4, 3, -1)
    for index, axis in ((0, 0), (1, 2), (3, 1)):
        moved = []
        for sign in (1, -1):
            copy = atoms.copy()
            copy.positions[index, axis] += sign * step
            moved.append(copy)
        above, below = len(atoms) * make_rows(model, moved, False).features
        assert np.abs(analytic[index, axis]).max() > 1e-4
        np.testing.assert_allclose(analytic[index, axis], -(above - below) / (2 * step), atol=1e-8)


def test_sets_of_any_length_and_composition_become_rows(model, source, monkeypatch: pytest.MonkeyPatch):
    clusters = with_labels(
        [draw(numbers, seed) for seed, numbers in enumerate((WATER, [1], [8, 8, 1, 1], [8]))], source
    )
    whole = make_rows(model, clusters, True)
    monkeypatch.setattr("bodyorder.training.soap_ridge.fit._CHUNK", 3)
    parts = make_rows(model, clusters, True)
    np.testing.assert_array_equal(whole.features, parts.features)
    np.testing.assert_allclose(whole.shares[:4], [[2 / 3, 1 / 3], [1, 0], [1 / 2, 1 / 2], [0, 1]])
    assert (whole.n_energies, whole.features.shape) == (4, (4 + 3 * 9, 2 * model.n_features))
    # What is fitted to is what the exported model computes.
    fit = Fit(0.0, model.weights.numpy(), model.baseline.numpy())
    np.testing.assert_allclose(errors(whole, fit), 0.0, atol=1e-10)


def test_an_exported_model_conforms(source):
    check_source(source, species=["H", "O"], forces=True).raise_if_failed()


def test_forces_are_derivatives_of_energies(source):
    atoms, step = draw([8, 1, 1, 8, 1], 1), 1e-4
    _, forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))
    moved = []
    for index in range(len(atoms)):
        for axis in range(3):
            for distance in (2, 1, -1, -2):
                copy = atoms.copy()
                copy.positions[index, axis] += distance * step
                moved.append(copy)
    energies = source.energies(ClusterBatch.from_atoms(moved)).reshape(len(atoms), 3, 4)
    slopes = energies @ np.array([-1, 8, -8, 1]) / (12 * step)
    assert np.abs(forces).max() > 0.1
    np.testing.assert_allclose(forces[0], -slopes, atol=1e-7)


def test_energies_of_atoms_add_up_and_lone_atoms_have_the_baseline(model, source):
    batch = ClusterBatch.from_atoms([draw([8, 1, 1, 8], seed) for seed in range(3)])
    found = source.evaluate_atoms(batch, False)
    np.testing.assert_allclose(found.atom_energies.sum(axis=1), source.energies(batch), rtol=1e-14)
    for kind, element in enumerate(model.elements):
        lone = ClusterBatch.from_atoms([ase.Atoms([element], [[0.3, -2.0, 7.0]])])
        assert source.energies(lone)[0] == float(model.baseline[kind])
    # beyond the cutoff of 5 Å atoms are alone, too
    pair = ClusterBatch.from_atoms([ase.Atoms("HO", [[0, 0, 0], [0, 0, 5.01]])])
    assert source.energies(pair)[0] == pytest.approx(float(model.baseline.sum()), abs=1e-12)


def test_systems_and_chosen_atoms_have_the_energies_that_atoms_add_up_to(model):
    """All that metatomic can ask: energies of atoms or systems, of all atoms or some."""
    from metatensor.torch import Labels
    from metatomic.torch import ModelEvaluationOptions, ModelOutput, systems_to_torch
    from metatrain.utils.neighbor_lists import get_system_with_neighbor_lists

    interface = model.export()
    systems = systems_to_torch([draw(WATER, 0), draw([1, 8], 1)], dtype=torch.float64)
    systems = [get_system_with_neighbor_lists(one, interface.requested_neighbor_lists()) for one in systems]

    def energies(kind: str, chosen: Labels | None = None) -> tuple[np.ndarray, np.ndarray]:
        wanted = ModelOutput(unit="eV", sample_kind=kind)
        options = ModelEvaluationOptions("angstrom", outputs={"energy": wanted}, selected_atoms=chosen)
        block = interface(systems, options, check_consistency=True)["energy"].block()
        return block.values[:, 0].numpy(), block.samples.values.numpy()

    of_atoms, samples = energies("atom")
    assert sorted(map(tuple, samples.tolist())) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    sums = [of_atoms[samples[:, 0] == system].sum() for system in (0, 1)]
    np.testing.assert_allclose(energies("system")[0], sums, rtol=1e-14)
    oxygen = Labels(["system", "atom"], torch.tensor([[0, 2], [1, 1]], dtype=torch.int32))
    some, of_which = energies("atom", oxygen)
    for value, sample in zip(some, of_which, strict=True):
        assert value == pytest.approx(of_atoms[(samples == sample).all(axis=1)][0], rel=1e-14)
    np.testing.assert_allclose(energies("system", oxygen)[0], some[np.argsort(of_which[:, 0])], rtol=1e-14)


def test_a_linear_model_has_three_bodies_and_no_more(source):
    totals = decompose([draw([8, 1, 1, 8, 1, 1], seed) for seed in range(2)], source).contribution
    assert (np.abs(totals.sel(order=[2, 3])) > 1e-2).all()
    np.testing.assert_allclose(totals.sel(order=[4, 5, 6]), 0.0, atol=1e-9)


def fit_in(
    folder: Path, clusters: dict[str, list[ase.Atoms]], forces: bool = True, **training
) -> list[dict[str, float]]:
    """Run the program in a folder, and return its table of strengths."""
    for name, members in clusters.items():
        ase.io.write(folder / f"{name}.xyz", members, format="extxyz")
    elements = sorted({int(number) for atoms in clusters["training"] for number in atoms.numbers})
    target = {"forces": {"key": "forces"} if forces else False}
    options = {
        "architecture": {
            "model": SOAP,
            "atomic_types": elements,
            "training": {"strengths": [1e-2, 1e-6, 1e-14], "loss": {"energy": {"weight": 10.0}}} | training,
        }
    } | {f"{name}_set": {"systems": {"read_from": f"{name}.xyz"}, "targets": {"energy": target}} for name in clusters}
    (folder / "options.yaml").write_text(yaml.safe_dump(options))
    program.main(folder / "options.yaml")
    with (folder / "strengths.csv").open(newline="") as handle:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(handle)]


@pytest.fixture
def sets(source) -> dict[str, list[ase.Atoms]]:
    """Clusters of hydrogen and oxygen labelled with a model of the class."""
    kinds = (WATER, [1, 1], [8, 8], [1, 8], [8, 8, 1, 1], [1, 1, 1, 1], [1, 8, 8, 8], [1], [8])
    clusters = [draw(numbers, seed) for seed in range(12) for numbers in kinds]
    return dict(
        zip(
            ("training", "validation"),
            (with_labels(clusters[:81], source), with_labels(clusters[81:], source)),
            strict=True,
        )
    )


def test_a_potential_of_the_class_is_recovered(source, sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    table = fit_in(tmp_path, sets)
    assert [row["strength"] for row in table] == [1e-2, 1e-6, 1e-14]
    assert table[-1]["validation_energy_rmse"] < 1e-6
    assert table[-1]["validation_force_rmse"] < 1e-5
    learnt = load_source(f"metatomic:{tmp_path / 'model.pt'}")
    larger = [draw([8, 1, 1, 8, 1, 1, 8], seed) for seed in range(3)]
    batch = ClusterBatch.from_atoms(larger)
    np.testing.assert_allclose(learnt.energies(batch), source.energies(batch), atol=1e-4)
    for order in (1, 2, 3):
        np.testing.assert_allclose(
            *(decompose(larger, one, max_order=3).contribution.sel(order=order) for one in (learnt, source)), atol=1e-3
        )


def test_the_strength_with_the_least_loss_of_validation_is_kept(sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    few = {"training": sets["training"][:20], "validation": sets["validation"]}
    for atoms in few["training"]:
        # what is learnt of such labels by heart is worth nothing
        atoms.info["energy"] += generator.normal(scale=1.0)
        atoms.arrays["forces"] = atoms.arrays["forces"] + generator.normal(scale=1.0, size=(len(atoms), 3))
    table = fit_in(tmp_path, few, strengths=[10.0**-power for power in range(0, 13, 2)])
    losses = [10 * row["validation_energy_rmse"] ** 2 + row["validation_force_rmse"] ** 2 for row in table]
    best = int(np.argmin(losses))
    assert 0 < best < len(table) - 1
    on_training = [10 * row["training_energy_rmse"] ** 2 + row["training_force_rmse"] ** 2 for row in table]
    assert on_training == sorted(on_training, reverse=True)
    seen = prediction_errors(load_source(f"metatomic:{tmp_path / 'model.pt'}"), few["validation"])
    assert seen["energy_rmse"] == pytest.approx(1e3 * table[best]["validation_energy_rmse"], rel=1e-6)
    assert seen["force_rmse"] == pytest.approx(1e3 * table[best]["validation_force_rmse"], rel=1e-6)


@pytest.mark.parametrize(("weight", "kept"), [(1e-6, 1e-2), (1e6, 1e-14)])
def test_energies_and_forces_count_as_in_the_loss(
    sets, weight, kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for atoms in sets["validation"]:
        # Best for such forces are small weights, for the energies those that fit.
        atoms.arrays["forces"] = np.zeros((len(atoms), 3))
    fit_in(tmp_path, sets, loss={"energy": {"weight": weight}})
    assert f"strength {kept:g}: " in capsys.readouterr().out


def test_energies_alone_and_a_fixed_baseline_are_fitted_to(sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    table = fit_in(tmp_path, sets, forces=False, atomic_baseline={"energy": {1: -12.5, 8: -20.25}})
    assert np.isnan([row["validation_force_rmse"] for row in table]).all()
    learnt = load_source(f"metatomic:{tmp_path / 'model.pt'}")
    lone = [ase.Atoms([element]) for element in (1, 8)]
    assert learnt.energies(ClusterBatch.from_atoms(lone)).tolist() == [-12.5, -20.25]


def test_options_that_nothing_reads_are_refused(sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match="options of training must be among strengths, loss, atomic_baseline, got 'strenghts'"
    ):
        fit_in(tmp_path, sets, strenghts=[1.0])
    with pytest.raises(ValueError, match=r"`atomic_baseline` must hold every element, and lacks \[8\]"):
        fit_in(tmp_path, sets, atomic_baseline={"energy": {1: -12.5}})
    assert not (tmp_path / "model.pt").exists()
