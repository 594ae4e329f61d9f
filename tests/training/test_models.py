from __future__ import annotations

import pytest

from bodyorder._checks import InputError
from bodyorder.training import MODELS, curated_model, training_options
from bodyorder.training.options import energy_weight_options


def test_explicit_models_are_linear_in_one_layer_of_correlations():
    for nu in (1, 2, 3, 4):
        row = curated_model(f"mace-linear-{nu}")
        assert row.explicit
        assert row.nominal_order == nu + 1
        options = training_options(row.name, [8] * 100, elements={1})["architecture"]["model"]
        # One interaction has a linear readout only; the other blocks would divide by a density of neighbours.
        assert options["num_interactions"] == 1
        assert options["correlation"] == nu
        assert {"interaction", "interaction_first"}.isdisjoint(options)
    assert not any(MODELS[name].explicit for name in ("soap-bpnn", "mace", "pet"))


@pytest.mark.parametrize("name", MODELS)
def test_options_are_in_double_precision_and_leave_the_table_alone(name):
    options = training_options(name, [8] * 100, elements={8, 1}, epochs=3, seed=5)
    assert options["base_precision"] == 64
    assert options["seed"] == 5
    assert options["architecture"]["atomic_types"] == [1, 8]
    training = options["architecture"]["training"]
    if MODELS[name].sizes["small"].budget is None:  # solved for at once
        assert "num_epochs" not in training
    else:
        assert training["num_epochs"] == 3
        assert training["log_interval"] == 1
    assert "num_epochs" not in MODELS[name].sizes["small"].training


def test_epochs_follow_from_steps_and_batches_never_exceed_the_set():
    row = MODELS["pet"].sizes["small"].budget
    large = training_options("pet", [8] * 1000, elements={1})["architecture"]["training"]
    assert large["num_epochs"] == -(-row.steps // (1000 // large["batch_size"]))
    few = training_options("pet", [8] * 3, elements={1})["architecture"]["training"]
    assert few["batch_size"] == 3
    assert few["num_epochs"] == row.most_epochs


def test_small_models_train_on_the_cpu_and_default_ones_where_metatrain_likes():
    for name, row in MODELS.items():
        assert set(row.sizes) == {"small", "default"}
        assert training_options(name, [8] * 100, elements={1})["device"] == "cpu"
        on_gpu = "device" not in training_options(name, [8] * 100, elements={1}, size="default")
        assert on_gpu == (name not in ("gap", "soap-linear"))


def test_the_learning_rate_of_mace_ends_at_its_share():
    training = training_options("mace", [8] * 100, elements={1}, epochs=50)["architecture"]["training"]
    assert training["lr_scheduler"] == "ExponentialLR"
    assert training["lr_scheduler_gamma"] ** 50 == pytest.approx(MODELS["mace"].sizes["small"].budget.decay)


def test_models_of_known_order():
    for correlation, name in ((1, "mace-1"), (2, "mace-2"), (3, "mace")):
        row = curated_model(name)
        assert (row.explicit, row.nominal_order) == (False, 1 + correlation + correlation**2)
    for name, order in (("soap-linear", 3), ("gap", 5)):
        row = curated_model(name)
        assert (row.explicit, row.nominal_order) == (True, order)


def test_a_kernel_has_no_more_points_than_the_set_has_atoms():
    few = training_options("gap", [2, 3], elements={1})["architecture"]["model"]
    assert few["krr"]["num_sparse_points"] == 5
    many = training_options("gap", [8] * 1000, elements={1})["architecture"]["model"]
    assert many["krr"]["num_sparse_points"] == 500


def test_weights_of_energies():
    assert energy_weight_options("pet", None) == {}
    assert energy_weight_options("pet", 4.0) == {"architecture": {"training": {"loss": {"energy": {"weight": 4.0}}}}}
    assert energy_weight_options("gap", 4.0) == {"architecture": {"training": {"regularizer_forces": 0.002}}}


def test_unknown_models_and_sizes_are_refused():
    with pytest.raises(InputError, match=r"`model` must be one of .*, got 'soap-bpn'; did you mean 'soap-bpnn'\?"):
        curated_model("soap-bpn")
    with pytest.raises(InputError, match=r"`size` must be one of default, small, got 'smal'; did you mean 'small'\?"):
        training_options("pet", [8] * 10, elements={1}, size="smal")
    with pytest.raises(InputError, match="`epochs` must be between 1 and"):
        training_options("pet", [8] * 10, elements={1}, epochs=0)
