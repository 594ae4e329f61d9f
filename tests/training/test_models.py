from __future__ import annotations

import pytest

from bodyorder._checks import InputError
from bodyorder.training import MODELS, curated_model, metatrain_options


def test_explicit_models_are_linear_in_one_layer_of_correlations():
    for nu in (1, 2, 3):
        row = curated_model(f"mace-linear-{nu}")
        assert row.explicit
        assert row.nominal_order == nu + 1
        options = metatrain_options(row.name, 100, elements={1})["architecture"]["model"]
        # One interaction has a linear readout only; the other blocks would divide by a density of neighbours.
        assert options["num_interactions"] == 1
        assert options["correlation"] == nu
        assert {"interaction", "interaction_first"}.isdisjoint(options)
    assert not any(MODELS[name].explicit for name in ("soap-bpnn", "mace", "pet"))


@pytest.mark.parametrize("name", MODELS)
def test_options_are_in_double_precision_and_leave_the_table_alone(name):
    options = metatrain_options(name, 100, elements={8, 1}, epochs=3, seed=5)
    assert options["base_precision"] == 64
    assert options["seed"] == 5
    assert options["architecture"]["atomic_types"] == [1, 8]
    training = options["architecture"]["training"]
    assert training["num_epochs"] == 3
    assert training["log_interval"] == 1
    assert "num_epochs" not in MODELS[name].sizes["small"].training


def test_epochs_follow_from_steps_and_batches_never_exceed_the_set():
    row = MODELS["pet"].sizes["small"]
    large = metatrain_options("pet", 1000, elements={1})["architecture"]["training"]
    assert large["num_epochs"] == -(-row.steps // (1000 // large["batch_size"]))
    few = metatrain_options("pet", 3, elements={1})["architecture"]["training"]
    assert few["batch_size"] == 3
    assert few["num_epochs"] == row.most_epochs


def test_small_models_train_on_the_cpu_and_default_ones_where_metatrain_likes():
    for name, row in MODELS.items():
        assert set(row.sizes) == {"small", "default"}
        assert metatrain_options(name, 100, elements={1})["device"] == "cpu"
        assert "device" not in metatrain_options(name, 100, elements={1}, size="default")


def test_the_learning_rate_of_mace_ends_at_its_share():
    training = metatrain_options("mace", 100, elements={1}, epochs=50)["architecture"]["training"]
    assert training["lr_scheduler"] == "ExponentialLR"
    assert training["lr_scheduler_gamma"] ** 50 == pytest.approx(MODELS["mace"].sizes["small"].decay)


def test_unknown_models_and_sizes_are_refused():
    with pytest.raises(InputError, match=r"`model` must be one of .*, got 'soap-bpn'; did you mean 'soap-bpnn'\?"):
        curated_model("soap-bpn")
    with pytest.raises(InputError, match=r"`size` must be one of default, small, got 'smal'; did you mean 'small'\?"):
        metatrain_options("pet", 10, elements={1}, size="smal")
    with pytest.raises(InputError, match="`epochs` must be between 1 and"):
        metatrain_options("pet", 10, elements={1}, epochs=0)
