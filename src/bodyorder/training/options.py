"""From a row of the table of models to the options of one training."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from bodyorder._checks import check_between, check_choice
from bodyorder.training.models import GAP_REGULARIZER, curated_model


def training_options(
    name: str,
    n_atoms: Sequence[int],
    *,
    elements: Collection[int],
    epochs: int | None = None,
    seed: int = 0,
    size: str = "small",
) -> dict[str, Any]:
    """Options of a training in metatrain's layout, all but the data sets.

    :param name: a model of :data:`MODELS`
    :param n_atoms: number of atoms of each cluster in the training set; batches never hold more clusters, nor a kernel more
        points than there are atoms
    :param elements: atomic numbers that the model is for
    :param epochs: epochs to train; if None, as many as the budget of this size gives. Models whose weights are solved for
        have none.
    :param seed: of initial weights and of the order of batches; equal seeds give equal models on one kind of CPU
    :param size: ``small`` for a CPU, ``default`` for a GPU
    :raises InputError: for an unknown model or size, or numbers out of range
    """
    row = curated_model(name)
    chosen = row.sizes[check_choice("size", size, row.sizes)]
    training, model, n_training = dict(chosen.training), dict(chosen.model), len(n_atoms)
    if row.architecture == "gap":
        points = min(model["krr"]["num_sparse_points"], sum(n_atoms))
        model["krr"] = model["krr"] | {"num_sparse_points": points}
    if epochs is not None:
        check_between("epochs", epochs, 1, 10**6)
    if chosen.budget is not None:
        training["batch_size"] = min(training["batch_size"], n_training)
        epochs = chosen.budget.epochs(n_training, training["batch_size"]) if epochs is None else epochs
        training["num_epochs"] = epochs
        if chosen.budget.decay is not None:
            training["lr_scheduler_gamma"] = chosen.budget.decay ** (1 / epochs)
        # Metrics of every epoch are the loss history; loader processes would make the order of batches depend on the machine.
        training |= {"log_interval": 1, "num_workers": 0}
    options = {
        "architecture": {
            "name": row.architecture,
            "atomic_types": sorted(elements),
            "model": model,
            "training": training,
        },
        # Orders far above the second are differences of large numbers: single precision would lose them.
        "base_precision": 64,
        "seed": check_between("seed", seed, 0, 2**31 - 1),
        "final_eval": False,
    }
    return options if chosen.device is None else options | {"device": chosen.device}


def energy_weight_options(name: str, weight: float | None) -> dict[str, Any]:
    """The part of a model's options that says how much energies (per atom) count where forces count 1.

    :param name: a model of :data:`MODELS`
    :param weight: None for what the table says
    """
    if weight is None:
        return {}
    training: dict[str, Any] = {"loss": {"energy": {"weight": weight}}}
    if curated_model(name).architecture == "gap":
        # a data point counts by the inverse square of its error
        training = {"regularizer_forces": GAP_REGULARIZER * math.sqrt(weight)}
    return {"architecture": {"training": training}}
