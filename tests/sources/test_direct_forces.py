"""Forces that a model predicts beside its energy, forces by differences, and networks whose cutoff adapts."""

import logging

import ase
import numpy as np
import pytest
import xarray as xr
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from metatomic_ase import MetatomicCalculator

from bodyorder import InputError, check_source, compare, decompose, load_source
from bodyorder.analysis import net_forces
from bodyorder.cli.tables import print_orders
from bodyorder.report import Report
from bodyorder.report.page import render_report
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.structures.clusters import ClusterBatch, System

WATERS = ase.Atoms(
    "OHHOHH",
    positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [2.9, 0.3, 0.2], [3.3, 1.1, 0.4], [3.4, -0.4, 0.7]],
)


@pytest.fixture(scope="module")
def direct(models, tmp_path_factory):
    return models.export_direct(tmp_path_factory.mktemp("direct") / "model.pt")


def sub_clusters(k, count=6):
    members = np.random.default_rng(1).permuted(np.tile(np.arange(6), (count, 1)), axis=1)[:, :k]
    return ClusterBatch.cut({0: System.from_atoms(WATERS)}, np.zeros(count, dtype=int), members)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_direct_forces_are_those_of_the_model(direct, k):
    batch = sub_clusters(k)
    energies, forces = load_source(f"metatomic:{direct}?forces=direct").energies_and_forces(batch)
    calculator = MetatomicCalculator(direct, non_conservative="forces", do_gradients_with_energy=False)
    for row, (energy, found) in enumerate(zip(energies, forces, strict=True)):
        atoms = batch.to_atoms(row)
        theirs = calculator.get_forces(atoms)
        assert energy == pytest.approx(calculator.get_potential_energy(atoms), abs=1e-12)
        # the calculator takes the mean force off; what is left is all the model's
        assert found - found.mean(axis=0) == pytest.approx(theirs - theirs.mean(axis=0), abs=1e-12)


def test_direct_and_gradient_forces_side_by_side(direct):
    spec = f"metatomic:{direct}"
    gradient, predicted = (decompose(WATERS, source, forces=True) for source in (spec, f"{spec}?forces=direct"))
    xr.testing.assert_allclose(gradient["contribution"], predicted["contribution"], rtol=0, atol=1e-12)
    assert [result.attrs["force_kind"] for result in (gradient, predicted)] == ["gradient", "direct"]
    assert gradient.attrs["fingerprint"] != predicted.attrs["fingerprint"]
    balanced, unbalanced = net_forces(gradient), net_forces(predicted)
    assert balanced["net_force"].max() < 1e-12
    assert (unbalanced["net_force"] > 1e-3).all()
    by_order = compare({"gradient": gradient, "direct": predicted}, "gradient")["force_order_rmse"]
    assert (by_order.sel(source="direct") > 1e-3).all()
    # direct forces resolve as all forces do: their orders add up to those of the whole
    batch = ClusterBatch.from_atoms([WATERS])
    whole = load_source(f"{spec}?forces=direct").energies_and_forces(batch)[1][0]
    assert predicted.sites["force_contribution"].sum("order").values == pytest.approx(whole, abs=1e-11)


def test_net_force_and_torque_by_a_plain_loop(direct):
    result = decompose(WATERS, f"metatomic:{direct}?forces=direct", forces=True, max_order=3)
    found = net_forces(result)
    arms = WATERS.positions - WATERS.positions.mean(axis=0)
    for order in (1, 2, 3):
        forces = result.sites["force_contribution"].sel(order=order).values
        net, torque = np.zeros(3), np.zeros(3)
        for arm, force in zip(arms, forces, strict=True):
            net += force
            torque += np.cross(arm, force)
        assert found["net_force"].sel(order=order).item() == pytest.approx(np.linalg.norm(net), abs=1e-13)
        assert found["net_torque"].sel(order=order).item() == pytest.approx(np.linalg.norm(torque), abs=1e-13)


def test_net_forces_need_forces(direct):
    with pytest.raises(InputError, match="net forces must come from results with forces, and these have none"):
        net_forces(decompose(WATERS, "analytic:pair"))


def test_check_tells_that_direct_forces_are_no_gradient(direct):
    checks = {check.name: check for check in check_source(f"metatomic:{direct}?forces=direct").checks}
    for name in ("forces", "net forces"):
        assert checks[name].passed is None
        assert checks[name].value > 1e-3
    assert "they are direct ones" in checks["forces"].detail
    assert checks["forces in a batch"].passed


def test_the_report_says_whether_forces_balance(direct):
    spec = f"metatomic:{direct}"
    gradient, predicted = (decompose(WATERS, source, forces=True) for source in (spec, f"{spec}?forces=direct"))
    assert "Do forces balance" not in render_report(Report("waters", gradient))
    page = render_report(Report("waters", {"gradient": gradient, "predicted": predicted}))
    assert "Do forces balance" in page
    assert "predicted has direct forces, which need be the gradient of nothing" in page


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{network}?forces=direct", "`forces` must be gradient for metatomic:.*, which predicts none; got 'direct'"),
        ("{network}?forces=own", "`forces` must be one of direct, gradient, got 'own'"),
        ("{network}?forces=numerical", "`forces` must be one of direct, gradient, got 'numerical'"),
    ],
)
def test_forces_that_there_are_not(networks, spec, message):
    with pytest.raises(InputError, match=message):
        load_source("metatomic:" + spec.format(network=networks["mace"]))


class Predicting(LennardJones):
    """Lennard-Jones whose forces are shifted so that they balance over all atoms, as calculators of direct forces do."""

    def __init__(self):
        super().__init__(epsilon=0.1, sigma=2.0, rc=5.0, smooth=True)

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        forces = self.results["forces"] + np.linspace(0, 0.1, len(atoms))[:, None]
        self.results["forces"] = forces - forces.mean(axis=0)


def argon(k, count=20):
    rng = np.random.default_rng(0)
    grid = np.indices((3, 3, 3)).reshape(3, -1).T * 2.4
    parent = System(np.full(27, 18), grid + rng.uniform(-0.2, 0.2, grid.shape))
    members = rng.permuted(np.tile(np.arange(27), (count, 1)), axis=1)[:, :k]
    return ClusterBatch.cut({0: parent}, np.zeros(count, dtype=int), members)


def test_forces_that_are_not_local_are_asked_for_one_by_one(caplog):
    source = CalculatorSource(Predicting(), cutoff=5.0, forces="direct")
    batch = argon(3)
    with caplog.at_level(logging.WARNING):
        _, forces = source.energies_and_forces(batch)
    assert "gives forces of its sub-clusters one by one" in caplog.text
    assert "the additive cutoff" not in caplog.text
    for row, found in enumerate(forces):
        assert found == pytest.approx(Predicting().get_forces(batch.to_atoms(row)), abs=1e-12)
    caplog.clear()
    source.energies(batch)  # energies are local, and go on together
    assert "one by one" not in caplog.text


@pytest.mark.parametrize("calculator", [EMT, Predicting])
def test_numerical_forces_are_the_gradient(calculator):
    numbers = 29 if calculator is EMT else 18
    batch = argon(4, 3)
    batch = ClusterBatch.cut(
        {0: System(np.full(27, numbers), batch.systems[0].positions)}, batch.parents, batch.members
    )
    own = EMT if calculator is EMT else lambda: LennardJones(epsilon=0.1, sigma=2.0, rc=5.0, smooth=True)
    _, forces = CalculatorSource(calculator(), forces="numerical").energies_and_forces(batch)
    for row, found in enumerate(forces):
        assert found == pytest.approx(own().get_forces(batch.to_atoms(row)), abs=1e-6)
        assert np.abs(found.sum(axis=0)).max() < 1e-12


class Bare(Calculator):
    """Has no forces, and fails for atoms nearer than 1 Å."""

    implemented_properties = ("energy",)

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, system_changes)
        distance = atoms.get_distance(0, 1)
        if distance < 1:
            raise ValueError("too near")
        self.results = {"energy": 3.0 * distance}


def test_numerical_forces_of_a_calculator_without_forces():
    source = CalculatorSource(Bare(), forces="numerical")
    assert source.capabilities.forces
    positions = np.array([[[0, 0, 0], [2.0, 0, 0]], [[0, 0, 0], [1.0, 0, 0]]])
    systems = {row: System(np.array([1, 1]), place) for row, place in enumerate(positions)}
    batch = ClusterBatch.cut(systems, np.arange(2), np.tile([0, 1], (2, 1)))
    found = source._evaluate(batch, atoms=False, forces=True)
    assert found.forces[0] == pytest.approx(np.array([[3, 0, 0], [-3, 0, 0]]), abs=1e-8)
    assert np.isnan(found.forces[1]).all()
    assert np.isnan(found.energies[1])
    assert "for its forces: ValueError: too near" in found.messages[1]


def test_numerical_forces_are_named_and_stored_apart():
    spec = "ase:ase.calculators.lj.LennardJones?rc=5.0"
    own, numerical = load_source(spec), load_source(f"{spec}&forces=numerical")
    assert numerical.name.endswith("forces=numerical&rc=5.0")
    assert own.fingerprint != numerical.fingerprint
    with pytest.raises(InputError, match="`forces` must be one of direct, gradient, numerical, got 'none'"):
        load_source(f"{spec}&forces='none'")


def test_a_cutoff_that_adapts_is_said(models, tmp_path, capsys):
    path = models.export_direct(tmp_path / "adaptive.pt", neighbours=8)
    result = decompose(WATERS, f"metatomic:{path}", max_order=2)
    assert "adapts to the number of neighbours (num_neighbors_adaptive = 8)" in result.attrs["remark"]
    print_orders(result)
    assert "note: the cutoff of this network adapts" in capsys.readouterr().out
    assert "note: the cutoff of this network adapts" in render_report(Report("waters", result))
    wrapped = CalculatorSource(MetatomicCalculator(path))
    assert wrapped.capabilities.remark == result.attrs["remark"]


def test_a_fixed_cutoff_is_no_word(direct):
    assert load_source(f"metatomic:{direct}").capabilities.remark == ""
    assert CalculatorSource(EMT()).capabilities.remark == ""
