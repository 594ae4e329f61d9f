"""Ensembles, variants and parts of metatomic models: against closed forms, metatomic's own calculator and known orders."""

import logging
import warnings

import ase
import numpy as np
import pytest
from mace_models import pieces
from metatomic.torch import ModelOutput
from metatomic_ase import MetatomicCalculator

from bodyorder import check_source, decompose
from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

POWERS = [0.0, 0.3, -0.2, 1.1]


@pytest.fixture(scope="module")
def several(models, tmp_path_factory):
    """Paths of models with an ensemble in closed form: by atom, by system, and by atoms that do not add up."""
    folder = tmp_path_factory.mktemp("several")
    made = {}
    for name, kind, additive in (("atom", "atom", True), ("system", "system", True), ("odd", "atom", False)):
        made[name] = models.export_closed_form(
            folder / f"{name}.pt",
            models.Several(POWERS, additive),
            claimed_range=3.0,
            kind=kind,
            outputs=("energy", "energy_ensemble"),
        )
    outputs = ("energy", "energy/first", "energy/last")
    made["variants"] = models.export_closed_form(
        folder / "variants.pt", models.Several(POWERS), claimed_range=3.0, outputs=outputs
    )
    return made


def closed_form(atoms):
    """Energies of the members in eV by a loop over pairs."""
    own = np.zeros(len(atoms))
    for i in range(len(atoms)):
        for j in range(len(atoms)):
            r = atoms.get_distance(i, j)
            if i != j and r < 2.5:
                own[i] += 0.5 * (1 - r / 2.5) ** 3
    return np.array([(own + power * own**2).sum() for power in POWERS])


@pytest.mark.parametrize("name", ["atom", "system", "odd"])
def test_an_ensemble_in_closed_form(several, name):
    source, batch = load_source(f"metatomic:{several[name]}"), pieces(8, 4, elements=(1,))
    assert source.capabilities.members == ("0", "1", "2", "3")
    assert source.capabilities.member_kind == "ensemble"
    found = source.evaluate_members(batch, True)
    wanted = np.array([closed_form(batch.to_atoms(row)) for row in range(8)])
    np.testing.assert_allclose(found.members, wanted + (name == "odd"), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.energies, wanted.mean(axis=1), rtol=0, atol=1e-12)
    energies, forces = source.energies_and_forces(batch)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.energies, energies, rtol=0, atol=1e-13)
    check_source(source).raise_if_failed()


def test_the_spread_of_an_order_is_that_of_whole_expansions(several):
    structure = pieces(1, 6, elements=(1,), spacing=1.1).to_atoms(0)
    result = decompose(structure, load_source(f"metatomic:{several['atom']}"), members=True)
    members = result.member_contribution.values[0]
    # u is a sum over pairs, u² one over triples
    np.testing.assert_allclose(members[3:], 0, atol=1e-11)
    np.testing.assert_allclose(members[2], members[2, 3] / POWERS[3] * np.array(POWERS), rtol=0, atol=1e-11)
    np.testing.assert_allclose(result.ensemble_uncertainty.values[0], members.std(axis=1, ddof=1), rtol=0, atol=1e-14)
    assert result.ensemble_uncertainty.values[0, 2] == pytest.approx(
        abs(members[2, 3]) / POWERS[3] * np.std(POWERS, ddof=1), rel=1e-9
    )


def test_a_last_layer_ensemble_of_metatrain(models, tmp_path):
    path = models.export_last_layer_ensemble(tmp_path / "llpr", 5, elements=(1, 6, 8))
    source, batch = load_source(f"metatomic:{path}"), pieces(5, 4)
    assert len(source.capabilities.members) == 5
    found = source.evaluate_members(batch, False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = MetatomicCalculator(str(path), extensions_directory=str(path.parent / "extensions"))
        for row in range(len(batch)):
            said = calculator.run_model(batch.to_atoms(row), {"energy_ensemble": ModelOutput(sample_kind="system")})
            np.testing.assert_allclose(
                found.members[row], said["energy_ensemble"].block().values[0].numpy(), rtol=0, atol=1e-9
            )
    assert found.members.std(axis=1).min() > 1e-3
    np.testing.assert_allclose(found.members.mean(axis=1), found.energies, rtol=0, atol=1e-9)  # metatrain centres them
    structure = batch.to_atoms(0)
    result = decompose(structure, source, members=True)
    np.testing.assert_allclose(result.member_contribution.mean("member"), result.contribution, rtol=0, atol=1e-8)
    assert (result.ensemble_uncertainty.values > 1e-5).all()


def test_variants_are_heads(several, caplog):
    path, batch = several["variants"], pieces(6, 3, elements=(1,))
    with caplog.at_level(logging.WARNING):
        load_source(f"metatomic:{path}")
    assert caplog.messages == [
        f"metatomic:{path} has several energies (energy, energy/first, energy/last), and none is named: 'energy' is taken; say "
        f"variant=… for another one, members=heads for all"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        source = load_source(f"metatomic:{path}?members=heads")
    assert not caplog.messages
    assert sorted(source.capabilities.members) == ["energy", "first", "last"]
    assert source.name.endswith("?members=heads")
    found = source.evaluate_members(batch, False)
    wanted = np.array([closed_form(batch.to_atoms(row)) for row in range(6)])
    by_name = dict(zip(source.capabilities.members, found.members.T, strict=True))
    np.testing.assert_allclose(by_name["first"], wanted[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_name["last"], wanted[:, -1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_name["energy"], found.energies, rtol=0, atol=1e-12)


def test_parts_of_a_model_of_metatrain(models, tmp_path):
    """Its repulsion of cores is that of Ziegler, Biersack and Littmark, a sum over pairs, as its own module says it."""
    hypers = models.SMALL_PET | {"zbl": True}
    path = models.export_network(tmp_path / "zbl", "pet", hypers, elements=(1, 6, 8))
    source, batch = load_source(f"metatomic:{path}?members=parts"), pieces(6, 5, spacing=0.7)
    assert source.capabilities.members == ("composition", "pair repulsion", "network")
    found = source.evaluate_members(batch, True)
    np.testing.assert_allclose(found.members.sum(axis=1), found.energies, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.energies, load_source(f"metatomic:{path}").energies(batch), rtol=0, atol=1e-9)
    for row in range(len(batch)):
        atoms = batch.to_atoms(row)
        pairs = [atoms[[i, j]] for i in range(5) for j in range(i)]
        alone = source.evaluate_members(ClusterBatch.from_atoms(pairs), False).members[:, 1]
        assert found.members[row, 1] == pytest.approx(alone.sum(), rel=1e-10)
    assert found.members[:, 1].min() > 0.1
    far = source.evaluate_members(ClusterBatch.from_atoms([ase.Atoms("OO", [[0, 0, 0], [0, 0, 1.4]])]), False)
    assert far.members[0, 1] == 0  # beyond the sum of the covalent radii
    result = decompose(batch.to_atoms(0), source, members=True)
    composition, pairs, network = (
        result.member_contribution.sel(member=name).values[0] for name in result.member.values
    )
    np.testing.assert_allclose(composition[1:], 0, atol=1e-10)
    np.testing.assert_allclose(np.delete(pairs, 1), 0, atol=1e-9)
    assert np.abs(network[1:]).min() > 1e-6
    # an untrained PET sees how a cluster is turned, which is no fault of its parts
    assert {check.name for check in check_source(source, species=["H", "C"]).checks if check.passed is False} == {
        "rotation"
    }


def test_what_there_is_not_is_told(several, networks):
    for path, options, message in (
        (
            several["atom"],
            "members=heads",
            r"`members=heads` needs a model with several energies \(variants\), .* has one",
        ),
        (
            several["atom"],
            "members=parts",
            r"`members=parts` needs a model of metatrain whose parts are known .* not tell its",
        ),
        (several["atom"], "members=x", "`members` must be one of heads, parts, got 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            load_source(f"metatomic:{path}?{options}")
    with pytest.raises(
        InputError, match=r"gives energies only; the model has no output energy_ensemble; say members=parts"
    ):
        decompose(ase.Atoms("H2", [[0, 0, 0], [0, 0, 1]]), load_source(f"metatomic:{networks['pet']}"), members=True)


def test_an_ensemble_that_fails_costs_no_energies(models, tmp_path):
    broken = models.Several(POWERS, broken=True)
    path = models.export_closed_form(
        tmp_path / "broken.pt", broken, claimed_range=3.0, outputs=("energy", "energy_ensemble")
    )
    source, batch = load_source(f"metatomic:{path}"), pieces(3, 3, elements=(1,))
    wanted = [closed_form(batch.to_atoms(row)).mean() for row in range(3)]
    np.testing.assert_allclose(source.energies(batch), wanted, rtol=0, atol=1e-12)
    with pytest.raises(InputError, match=r"gives energies only; its ensemble cannot be computed: .*no ensemble here"):
        decompose(batch.to_atoms(0), source, members=True)
