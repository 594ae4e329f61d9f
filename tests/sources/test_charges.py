"""Charges, and the spin that goes with them: of whole sub-clusters and of their atoms, to whatever takes them."""

import warnings

import ase
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator
from mace_models import calculator_of, pieces, save_model, source_of
from metatomic_ase import MetatomicCalculator

from bodyorder import decompose
from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

COULOMB = 14.399645  # e²/(4πε₀) in eV Å


class Coulomb(Calculator):
    """Point charges, each with an energy of its own square. Remembers the sizes of the structures that it was given."""

    implemented_properties = ("energy", "energies")

    def __init__(self, sizes=None):
        super().__init__()
        self.sizes = [] if sizes is None else sizes

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.sizes.append(len(self.atoms))
        charges, places = self.atoms.get_initial_charges(), self.atoms.positions
        assert self.atoms.info["charge"] == round(charges.sum())
        distances = np.linalg.norm(places[:, None] - places, axis=2) + np.diag(np.full(len(places), np.inf))
        shares = charges**2 + COULOMB / 2 * (charges[:, None] * charges / distances).sum(axis=1)
        self.results.update(energy=shares.sum(), energies=shares)


class Range(Coulomb):
    """The same without what reaches far."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        shares = self.atoms.get_initial_charges() ** 2 + 1.0
        self.results.update(energy=shares.sum(), energies=shares)


def ions(charges=(1, -1, 1)):
    return ase.Atoms(f"H{len(charges)}", 1.5 * np.eye(3)[: len(charges)], charges=charges)


def coulomb(charges, positions):
    distances = np.linalg.norm(positions[:, None] - positions, axis=2) + np.diag(np.full(len(positions), np.inf))
    return (np.square(charges)).sum() + COULOMB / 2 * (np.outer(charges, charges) / distances).sum()


def test_a_calculator_gets_the_charges_of_atoms_and_of_the_whole_if_it_takes_them():
    batch = ClusterBatch.from_atoms([ions(), ions((-1, 0, 0)), ions((0.5, -0.5, 0))])
    wanted = [coulomb(batch.of_members("charges")[row], batch.positions[row]) for row in range(3)]
    source = CalculatorSource(Coulomb(), charged=True)
    assert source.capabilities.charged
    np.testing.assert_allclose(source.energies(batch), wanted, rtol=1e-14)
    found = source.evaluate_atoms(batch, False)
    np.testing.assert_allclose(found.atom_energies.sum(axis=1), wanted, rtol=1e-12)
    plain = CalculatorSource(Range())
    neutral = batch.select(np.array([2]))
    np.testing.assert_array_equal(plain.energies(neutral), 3.0)  # and no charges of its atoms


def test_orders_of_point_charges_end_at_pairs():
    result = decompose(ions((1, -1, 1)), CalculatorSource(Coulomb(), charged=True), subsets=True)
    np.testing.assert_allclose(result.contribution.values[0, :2], [3.0, -COULOMB / (1.5 * np.sqrt(2))], rtol=1e-12)
    assert abs(float(result.contribution[0, 2])) < 1e-12
    with pytest.raises(InputError, match="takes no charges"):
        decompose(ions(), CalculatorSource(Coulomb()))


def test_the_store_tells_apart_how_a_charge_is_spread(tmp_path):
    spread = [ions((1, -1)), ions((-1, 1)), ions((0, 0)), ions((0.5, -0.5))]
    source, store = CalculatorSource(Coulomb(), charged=True), tmp_path / "energies.sqlite"
    wanted = [coulomb(atoms.get_initial_charges(), atoms.positions) for atoms in spread]
    for atoms, energy in zip(spread[:3], wanted, strict=False):
        for _ in range(2):
            found = decompose(atoms, source, store=store)
            assert float(found.total[0]) == pytest.approx(energy, abs=1e-12)
    assert source.capabilities.context == ("charges", "moments")
    assert source.fingerprint == CalculatorSource(Coulomb()).fingerprint + " charged"
    keys, _ = ClusterBatch.from_atoms(spread).canonical(source.capabilities.context)
    assert len(set(keys)) == 4


def test_charged_sub_clusters_stand_alone_and_the_others_together():
    charges = np.zeros((40, 2))
    charges[::4] = [1, 0]
    charges[1::4] = [1, -1]  # neutral, and not without charges
    batch = ClusterBatch.from_atoms(
        [ase.Atoms("H2", [[0, 0, 0], [0, 0, 1 + row / 100]], charges=pair) for row, pair in enumerate(charges)]
    )
    calculator = Range()
    source = CalculatorSource(calculator, cutoff=3.0, charged=True)
    np.testing.assert_array_equal(source.energies(batch), 2 + (charges**2).sum(axis=1))
    assert calculator.sizes[0] == 40
    assert calculator.sizes[8:] == [2] * 20
    boxed = CalculatorSource(Range(), cutoff=3.0, charged=True, boxed=True)
    np.testing.assert_array_equal(boxed.energies(batch), 2 + (charges**2).sum(axis=1))


def test_a_spec_says_that_charges_are_taken():
    spec = f"ase:{__name__}.Range?charged=True&invariant=True"
    source = load_source(spec)
    assert (source.capabilities.charged, source.capabilities.invariant, source.name) == (True, True, spec)
    assert not load_source(f"ase:{__name__}.Range").capabilities.charged
    with pytest.raises(InputError, match="`charged` must be true or false, got 3"):
        load_source(f"ase:{__name__}.Range?charged=3")


def test_the_energy_by_cell_has_the_same_charges_as_sub_clusters():
    cell = ase.Atoms("H2", [[0, 0, 0], [2, 0, 0]], cell=[9, 9, 9], pbc=True, charges=[1, -1], magmoms=[1, 1])
    assert CalculatorSource(Range(), charged=True).cell_energy(cell) == 4.0
    assert CalculatorSource(Range()).cell_energy(cell) == 2.0


SPECS = {
    "total_charge": {"type": "categorical", "per": "graph", "num_classes": 7, "offset": 3, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 5, "emb_dim": 4},
}
CONTINUOUS = {"total_charge": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4}}


def charged_pieces(n, k):
    batch = pieces(n, k)
    charges = np.zeros((n, k))
    charges[:, 0] = np.random.default_rng(0).integers(-2, 3, n)
    return ClusterBatch.from_atoms(
        [
            ase.Atoms(numbers, places, charges=held)
            for numbers, places, held in zip(batch.numbers, batch.positions, charges, strict=True)
        ]
    )


def by_mace(path, batch, multiplicity=None):
    """Energies by mace's own calculator, with the charge of each sub-cluster."""
    energies = []
    with calculator_of(path) as calculator:
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            if multiplicity is not None:
                atoms.info["spin"] = multiplicity(atoms)
            calculator.calculate(atoms)
            energies.append(calculator.results["energy"])
    return np.array(energies)


@pytest.mark.parametrize("specs", [{"total_charge": SPECS["total_charge"]}, CONTINUOUS])
@pytest.mark.parametrize("k", [1, 4])
def test_mace_is_told_the_charge_of_each_of_many_sub_clusters(tmp_path, specs, k):
    path = save_model(tmp_path / "a.model", embedding_specs=specs)
    source, batch = source_of(path, charged=True), charged_pieces(20, k)
    assert source.capabilities.charged
    assert source.cutoff is None  # each atom knows the charge of the whole
    assert source.name == f"mace:{path}?charged=True"
    energies, forces = source.energies_and_forces(batch)
    np.testing.assert_allclose(energies, by_mace(path, batch), rtol=0, atol=1e-10)
    parts = [source.energies(batch.select(np.array([row])))[0] for row in range(20)]
    np.testing.assert_allclose(energies, parts, rtol=0, atol=1e-11)
    found = source.evaluate_atoms(batch, True)
    np.testing.assert_allclose(found.atom_energies.sum(axis=1), energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-11)


def test_mace_that_is_not_told_takes_all_for_neutral(tmp_path):
    path = save_model(tmp_path / "a.model", embedding_specs=CONTINUOUS)
    told, plain, batch = source_of(path, charged=True), source_of(path), pieces(12, 3)
    np.testing.assert_allclose(plain.energies(batch), told.energies(batch), rtol=0, atol=1e-11)
    assert plain.fingerprint == told.fingerprint
    assert plain.cutoff == 3.5
    with pytest.raises(InputError, match=r"must be neutral for mace:.*, which is not told theirs; say charged=true"):
        plain.energies(charged_pieces(5, 3))
    with pytest.raises(InputError, match="takes no charges"):
        decompose(ions(), plain)
    none = save_model(tmp_path / "none.model")
    with pytest.raises(InputError, match=r"`charged` must be left out for mace:.*none\.model, which takes no charges"):
        source_of(none, charged=True)


def test_charges_that_a_model_has_no_place_for_are_refused(tmp_path):
    path = save_model(tmp_path / "a.model", embedding_specs={"total_charge": SPECS["total_charge"]})
    source = source_of(path, charged=True)
    with pytest.raises(InputError, match=r"`total_charge` for mace:.*a\.model must be between -3 and 3, got 4"):
        source.energies(ClusterBatch.from_atoms([ase.Atoms("H", charges=[4])]))


def test_an_energy_of_charge_that_belongs_to_no_atom_leaves_no_energies_of_atoms(tmp_path):
    """Such a readout counts in mace's energy of the whole and not in its energies of atoms."""
    path = save_model(tmp_path / "a.model", embedding_specs=CONTINUOUS, use_embedding_readout=True)
    source, batch = source_of(path, charged=True), charged_pieces(6, 3)
    np.testing.assert_allclose(source.energies(batch), by_mace(path, batch), rtol=0, atol=1e-10)
    with pytest.raises(InputError, match="must give atom_energies, and does not; it has none that add up"):
        source.evaluate_atoms(batch, False)
    plain = source_of(path)
    np.testing.assert_allclose(plain.energies(pieces(6, 3)), by_mace(path, pieces(6, 3)), rtol=0, atol=1e-10)


def test_mace_is_told_the_lowest_spin_if_asked_for_it(tmp_path):
    path = save_model(tmp_path / "a.model", embedding_specs=SPECS)
    message = r"`spin` must be given for mace:.*, which takes the spin of every sub-cluster; choose from low \(.*own\)$"
    with pytest.raises(InputError, match=message):
        source_of(path)
    with pytest.raises(
        InputError, match="`spin` must be one of ground, high, low, pattern, got 'hgh'; did you mean 'high'"
    ):
        source_of(path, spin="hgh")
    source, batch = source_of(path, charged=True, spin="low"), charged_pieces(20, 3)
    lowest = by_mace(path, batch, lambda atoms: 1 + (atoms.numbers.sum() - atoms.info["charge"]) % 2)
    np.testing.assert_allclose(source.energies(batch), lowest, rtol=0, atol=1e-10)
    assert np.abs(by_mace(path, batch) - lowest).max() > 1e-6
    assert source.cutoff is None
    assert source.fingerprint.endswith(" spin=low")
    assert source_of(path, spin="low").cutoff is None
    plain = save_model(tmp_path / "plain.model")
    with pytest.raises(InputError, match=r"`spin` must be left out for mace:.*plain\.model, which takes no spin"):
        source_of(plain, spin="low")


def test_other_wishes_of_mace_models_are_refused(tmp_path):
    warm = {"elec_temp": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4}}
    path = save_model(tmp_path / "a.model", embedding_specs=warm)
    message = "must need nothing but elements, positions, charges and spins, and asks for elec_temp"
    with pytest.raises(InputError, match=message):
        source_of(path)


def by_metatomic(path, batch, multiplicity=False):
    """Energies and forces by metatomic's own calculator, which is told charges and spin through ASE."""
    calculator = MetatomicCalculator(path, device="cpu", do_gradients_with_energy=False)
    energies, forces, charges = [], [], batch.of_members("charges")
    with torch.jit.optimized_execution(False):
        for row in range(len(batch)):
            atoms = batch.to_atoms(row)
            atoms.set_initial_charges(charges[row])
            if multiplicity:
                atoms.info["spin_multiplicity"] = 1 + (atoms.numbers.sum() - atoms.info["charge"]) % 2
            atoms.calc = calculator
            forces.append(atoms.get_forces())
            energies.append(atoms.get_potential_energy())
    return np.array(energies), np.array(forces)


def hydrogen(n, k):
    batch = pieces(n, k, elements=(1,))
    charges = np.zeros((n, k))
    charges[:, :2] = np.random.default_rng(1).integers(-1, 2, (n, 2))
    return ClusterBatch.from_atoms(
        [ase.Atoms(f"H{k}", places, charges=held) for places, held in zip(batch.positions, charges, strict=True)]
    )


@pytest.mark.parametrize(("kind", "cutoff", "context"), [("atom", 3.0, ("charges",)), ("system", None, ())])
def test_metatomic_models_are_told_charges(models, tmp_path, kind, cutoff, context):
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("charge", kind), claimed_range=3.0)
    source, batch = load_source(f"metatomic:{path}?charged=true"), hydrogen(20, 4)
    assert source.capabilities.charged
    assert (source.cutoff, source.capabilities.context) == (cutoff, context)
    energies, forces = source.energies_and_forces(batch)
    wanted, slopes = by_metatomic(path, batch)
    np.testing.assert_allclose(energies, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-12)
    found = source.evaluate_atoms(batch, False)
    np.testing.assert_allclose(found.atom_energies.sum(axis=1), wanted, rtol=0, atol=1e-12)
    plain = load_source(f"metatomic:{path}")
    assert plain.cutoff == 3.0
    neutral = pieces(20, 4, elements=(1,))
    np.testing.assert_allclose(plain.energies(neutral), by_metatomic(path, neutral)[0], rtol=0, atol=1e-12)
    assert np.abs(wanted - source.energies(neutral)).max() > 1e-3
    with pytest.raises(InputError, match=r"must be neutral for metatomic:.*m\.pt, which is not told theirs"):
        plain.energies(batch)


def test_metatomic_models_are_told_the_lowest_spin_if_asked_for_it(models, tmp_path):
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("spin_multiplicity", "system"), claimed_range=3.0)
    with pytest.raises(InputError, match=r"`spin` must be given for metatomic:.*m\.pt"):
        load_source(f"metatomic:{path}")
    with pytest.raises(InputError, match=r"`charged` must be left out for metatomic:.*m\.pt, which takes no charges"):
        load_source(f"metatomic:{path}?spin=low&charged=true")
    source = load_source(f"metatomic:{path}?spin=low")
    for k in (2, 3):
        batch = pieces(9, k, elements=(1,))
        np.testing.assert_allclose(source.energies(batch), by_metatomic(path, batch, True)[0], rtol=0, atol=1e-12)
    assert source.cutoff is None


def test_other_wishes_of_metatomic_models_are_refused(models, tmp_path):
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("mass", "atom"), claimed_range=3.0)
    message = r"m\.pt must need nothing but elements, positions, charges and spins, and asks for mass of each atom"
    with pytest.raises(InputError, match=message):
        load_source(f"metatomic:{path}")


def test_orders_of_a_model_that_is_told_charges_of_atoms(models, tmp_path):
    """Pairs of charged atoms, in a family of connected sub-clusters."""
    path = models.export_closed_form(tmp_path / "m.pt", models.Told("charge", "atom"), claimed_range=3.0)
    source = load_source(f"metatomic:{path}?charged=true")
    chain = ase.Atoms("H5", [[1.3 * place, 0, 0] for place in range(5)], charges=[1, -1, 0, 1, 0])
    result = decompose(chain, source, cutoff=source.cutoff)
    strengths = 1 + 0.3 * chain.get_initial_charges()
    gaps = chain.get_all_distances() + np.diag(np.full(5, np.inf))
    wanted = 0.5 * (np.outer(strengths, strengths) * np.clip(1 - gaps / 2.5, 0, None) ** 3).sum()
    assert float(result.contribution[0, 1]) == pytest.approx(wanted, abs=1e-12)
    assert np.abs(result.contribution.values[0, 2:]).max() < 1e-12


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
        yield
