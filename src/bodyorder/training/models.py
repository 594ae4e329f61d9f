"""The curated models: one table of what is trained, each row a configuration of metatrain. Adding a model is adding a row."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bodyorder._checks import check_between, check_choice


@dataclass(frozen=True)
class Size:
    """Options of one model at one size.

    :param model: metatrain's ``architecture.model``
    :param training: metatrain's ``architecture.training``, without the number of epochs
    :param steps: optimizer steps of a training that names no number of epochs
    :param most_epochs: bound on the epochs that those steps give: a set of few clusters is learnt by heart long before
    :param seconds_per_step: measured wall time of one step
    :param basis: how it was measured
    :param decay: factor by which the learning rate falls, exponentially, over a whole training; None where the architecture
        has an annealing schedule of its own
    :param device: metatrain's ``device``; None for the best there is
    """

    model: Mapping[str, Any]
    training: Mapping[str, Any]
    steps: int
    most_epochs: int
    seconds_per_step: float
    basis: str
    decay: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class CuratedModel:
    """One row of the table.

    :param name: what a person calls it
    :param architecture: metatrain's name of it
    :param nominal_order: body order of what the model is built from: the highest order of an explicit model, the order of the
        features of an implicit one; None where features have no order
    :param explicit: whether energies are linear in correlations of the neighbour density, so that no order above
        ``nominal_order`` exists
    :param summary: one line for tables
    :param sizes: options by size
    """

    name: str
    architecture: str
    nominal_order: int | None
    explicit: bool
    summary: str
    sizes: Mapping[str, Size] = field(repr=False)


#: Weight of the energy (per atom) in the loss where forces have 1. With equal weights the far larger errors of forces are all
#: that counts; ten halves the error of energies on sets with sub-clusters and costs nothing in forces.
ENERGY_WEIGHT = 10.0

_SMALL = "measured on one CPU core with H8 and its sub-clusters, validation included"
_LARGE = "measured on one CPU core with H8 and its sub-clusters; a GPU is faster"


def _training(batch_size: int, learning_rate: float, **options: Any) -> dict[str, Any]:
    loss = {"energy": {"type": "mse", "weight": ENERGY_WEIGHT}}
    return {"batch_size": batch_size, "learning_rate": learning_rate, "loss": loss} | options


def _mace_sizes(
    interactions: int, correlation: int, irreps: tuple[str, str], steps: int, seconds: float
) -> dict[str, Size]:
    common = {"r_max": 5.0, "num_interactions": interactions, "correlation": correlation}
    training = _training(8, 0.01, lr_scheduler="ExponentialLR")
    small = common | {"hidden_irreps": irreps[0], "max_ell": 2 if interactions > 1 else 3, "radial_MLP": [32, 32]}
    large = common | {"hidden_irreps": irreps[1], "max_ell": 3}
    return {
        "small": Size(small, training, steps, 60, seconds, _SMALL, decay=0.01, device="cpu"),
        "default": Size(large, training, 50_000, 1000, 1.8, _LARGE, decay=0.01),
    }


def _linear_mace(correlation: int) -> CuratedModel:
    """MACE with one interaction: its readout is then linear, and ``correlation`` ν bounds the body order to ν + 1."""
    return CuratedModel(
        f"mace-linear-{correlation}",
        "experimental.mace",
        correlation + 1,
        True,
        f"linear model on correlations of order {correlation} (MACE, one interaction, linear readout)",
        _mace_sizes(1, correlation, ("16x0e", "128x0e"), 2000, 0.03),
    )


#: Every curated model by its name. Two interactions of correlation ν carry features of order 1 + ν + ν², since each of the ν
#: messages of the second is built from features of order ν + 1 (doi:10.48550/arXiv.2206.07697).
MODELS = {
    row.name: row
    for row in (
        CuratedModel(
            "soap-bpnn",
            "soap_bpnn",
            3,
            False,
            "neural network on the SOAP power spectrum (neighbour-density correlations of order 2)",
            {
                "small": Size(
                    {"soap": {"cutoff": {"radius": 5.0, "width": 0.5}}},
                    _training(8, 0.005),
                    steps=3000,
                    most_epochs=100,
                    seconds_per_step=0.025,
                    basis=_SMALL,
                    device="cpu",
                ),
                "default": Size(
                    {"bpnn": {"num_hidden_layers": 2, "num_neurons_per_layer": 256}},
                    _training(16, 0.001),
                    steps=100_000,
                    most_epochs=2000,
                    seconds_per_step=0.03,
                    basis=_LARGE,
                ),
            },
        ),
        CuratedModel(
            "mace",
            "experimental.mace",
            13,
            False,
            "equivariant message passing, two interactions of correlation 3, nonlinear readout",
            _mace_sizes(2, 3, ("16x0e + 16x1o", "128x0e + 128x1o + 128x2e"), 1200, 0.06),
        ),
        CuratedModel(
            "pet",
            "pet",
            None,
            False,
            "unconstrained transformer on the edges of a neighbourhood, two message-passing layers",
            {
                "small": Size(
                    {
                        "cutoff": 5.0,
                        "d_pet": 32,
                        "d_head": 32,
                        "d_node": 64,
                        "d_feedforward": 64,
                        "num_heads": 4,
                        "num_attention_layers": 1,
                        "num_gnn_layers": 2,
                    },
                    _training(8, 0.003),
                    steps=1600,
                    most_epochs=140,
                    seconds_per_step=0.05,
                    basis=_SMALL,
                    device="cpu",
                ),
                "default": Size(
                    {"cutoff": 5.0},
                    _training(16, 0.0003),
                    steps=100_000,
                    most_epochs=2000,
                    seconds_per_step=0.27,
                    basis=_LARGE,
                ),
            },
        ),
        *(_linear_mace(correlation) for correlation in (1, 2, 3)),
    )
}


def curated_model(name: str) -> CuratedModel:
    """The row of a model.

    :raises InputError: for an unknown model; the message names the nearest known one
    """
    return MODELS[check_choice("model", name, MODELS)]


def metatrain_options(
    name: str,
    n_training: int,
    *,
    elements: Collection[int],
    epochs: int | None = None,
    seed: int = 0,
    size: str = "small",
) -> dict[str, Any]:
    """Metatrain's options for a curated model, all but the data sets.

    :param name: a model of :data:`MODELS`
    :param n_training: clusters in the training set; batches are never larger
    :param elements: atomic numbers that the model is for
    :param epochs: epochs to train; if None, as many as give the ``steps`` of this size, within its ``most_epochs``
    :param seed: of initial weights and of the order of batches; equal seeds give equal models on one kind of CPU
    :param size: ``small`` for a CPU, ``default`` for a GPU
    :raises InputError: for an unknown model or size, or numbers out of range
    """
    row = curated_model(name)
    chosen = row.sizes[check_choice("size", size, row.sizes)]
    training = dict(chosen.training)
    training["batch_size"] = min(training["batch_size"], n_training)
    if epochs is None:
        epochs = min(math.ceil(chosen.steps / (n_training // training["batch_size"])), chosen.most_epochs)
    training["num_epochs"] = check_between("epochs", epochs, 1, 10**6)
    if chosen.decay is not None:
        training["lr_scheduler_gamma"] = chosen.decay ** (1 / epochs)
    # Metrics of every epoch are the loss curve; loader processes would make the order of batches depend on the machine.
    training |= {"log_interval": 1, "num_workers": 0}
    options = {
        "architecture": {
            "name": row.architecture,
            "atomic_types": sorted(elements),
            "model": dict(chosen.model),
            "training": training,
        },
        # Orders far above the second are differences of large numbers: single precision would drown them.
        "base_precision": 64,
        "seed": check_between("seed", seed, 0, 2**31 - 1),
        "final_eval": False,
    }
    return options if chosen.device is None else options | {"device": chosen.device}
