"""The curated models: one table of what is trained, each row a configuration of a library. Adding a model is adding a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bodyorder._checks import check_choice


@dataclass(frozen=True)
class Budget:
    """How long a model is trained.

    :param steps: optimizer steps of a training that names no number of epochs
    :param most_epochs: bound on the epochs that those steps give: a set of few clusters is learnt by heart long before
    :param seconds_per_step: measured wall time of one step
    :param decay: factor by which the learning rate falls, exponentially, over a whole training; None where the architecture
        has an annealing schedule of its own
    """

    steps: int
    most_epochs: int
    seconds_per_step: float
    decay: float | None = None

    def epochs(self, n_training: int, batch_size: int) -> int:
        """Epochs that make the steps."""
        return min(math.ceil(self.steps / (n_training // batch_size)), self.most_epochs)


@dataclass(frozen=True)
class Size:
    """Options of one model at one size.

    :param model: metatrain's ``architecture.model``
    :param training: metatrain's ``architecture.training``, without the number of epochs
    :param budget: how long it is trained; None for a model whose weights are solved for
    :param seconds_per_cluster: measured wall time of solving for the weights, for each cluster of the training set
    :param basis: how times were measured
    :param device: metatrain's ``device``; None for the best there is
    """

    model: Mapping[str, Any]
    training: Mapping[str, Any]
    basis: str
    budget: Budget | None = None
    seconds_per_cluster: float | None = None
    device: str | None = None

    def settings(self) -> dict[str, Any]:
        """Whatever changes the outcome of a training, and nothing that was only measured."""
        settings: dict[str, Any] = {"model": self.model, "training": self.training, "device": self.device}
        if self.budget is not None:
            settings["budget"] = [self.budget.steps, self.budget.most_epochs, self.budget.decay]
        return settings


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
    :param fixes_atoms: whether its baseline can be fixed at the energies of isolated atoms
    """

    name: str
    architecture: str
    nominal_order: int | None
    explicit: bool
    summary: str
    sizes: Mapping[str, Size] = field(repr=False)
    fixes_atoms: bool = True


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
        "small": Size(small, training, _SMALL, Budget(steps, 60, seconds, decay=0.01), device="cpu"),
        "default": Size(large, training, _LARGE, Budget(50_000, 1000, 1.8, decay=0.01)),
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


def _layered_mace(correlation: int) -> CuratedModel:
    """MACE with two interactions. Their features are of order 1 + ν + ν², since each of the ν messages of the second is built
    from features of order ν + 1 (doi:10.48550/arXiv.2206.07697); the readout of the second is not linear.

    With ν = 1 nothing couples vectors with each other, and what passes between the interactions is scalar."""
    irreps = ("16x0e", "128x0e") if correlation == 1 else ("16x0e + 16x1o", "128x0e + 128x1o + 128x2e")
    return CuratedModel(
        # with its usual correlation it is simply MACE
        "mace" if correlation == 3 else f"mace-{correlation}",
        "experimental.mace",
        1 + correlation + correlation**2,
        False,
        f"equivariant message passing, two interactions of correlation {correlation}, nonlinear readout",
        _mace_sizes(2, correlation, irreps, 1200, 0.06),
    )


def _soap(radial: int, angular: int, centre: float) -> dict[str, Any]:
    """Hyperparameters of featomic's power spectrum.

    :param radial: largest radial quantum number
    :param angular: largest angular one
    :param centre: weight of the central atom in its own density
    """
    return {
        "cutoff": {"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        "density": {
            "type": "Gaussian",
            "width": 0.3,
            "center_atom_weight": centre,
            "scaling": {"type": "Willatt2018", "rate": 1.0, "scale": 2.0, "exponent": 7.0},
        },
        "basis": {
            "type": "TensorProduct",
            "max_angular": angular,
            "radial": {"type": "Gto", "max_radial": radial},
        },
    }


def _ridge_size(radial: int, angular: int, seconds: float) -> Size:
    # Without the central atom an isolated one has no features, and its energy is the baseline.
    strengths = [float(f"1e-{power}") for power in range(2, 15)]
    loss = {"energy": {"type": "mse", "weight": ENERGY_WEIGHT}}
    training = {"strengths": strengths, "loss": loss}
    return Size(_soap(radial, angular, 0.0), training, _SMALL, seconds_per_cluster=seconds, device="cpu")


#: Error in eV (and eV/Å) that GAP takes its training data to have.
GAP_REGULARIZER = 0.001


def _gap_size(sparse_points: int, seconds: float) -> Size:
    model = {"soap": _soap(7, 6, 1.0), "krr": {"degree": 2, "num_sparse_points": sparse_points}}
    training = {"regularizer": GAP_REGULARIZER, "regularizer_forces": GAP_REGULARIZER}
    return Size(model, training, _SMALL, seconds_per_cluster=seconds, device="cpu")


#: Every curated model by its name.
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
                    _SMALL,
                    Budget(steps=3000, most_epochs=100, seconds_per_step=0.025),
                    device="cpu",
                ),
                "default": Size(
                    {"bpnn": {"num_hidden_layers": 2, "num_neurons_per_layer": 256}},
                    _training(16, 0.001),
                    _LARGE,
                    Budget(steps=100_000, most_epochs=2000, seconds_per_step=0.03),
                ),
            },
        ),
        *(_layered_mace(correlation) for correlation in (3, 2, 1)),
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
                    _SMALL,
                    Budget(steps=2400, most_epochs=140, seconds_per_step=0.05),
                    device="cpu",
                ),
                "default": Size(
                    {"cutoff": 5.0},
                    _training(16, 0.0003),
                    _LARGE,
                    Budget(steps=100_000, most_epochs=2000, seconds_per_step=0.27),
                ),
            },
        ),
        CuratedModel(
            "gap",
            "gap",
            5,
            True,
            "sparse kernel of degree 2 on the SOAP power spectrum, not normalised: a polynomial of order 4 in the density",
            {"small": _gap_size(500, 0.02), "default": _gap_size(2000, 0.1)},
            fixes_atoms=False,
        ),
        CuratedModel(
            "soap-linear",
            "soap_ridge",
            3,
            True,
            "ridge regression on the SOAP power spectrum",
            {"small": _ridge_size(7, 5, 0.01), "default": _ridge_size(11, 8, 0.05)},
        ),
        *(_linear_mace(correlation) for correlation in (1, 2, 3, 4)),
    )
}


def curated_model(name: str) -> CuratedModel:
    """The row of a model.

    :raises InputError: for an unknown model; the message names the nearest known one
    """
    return MODELS[check_choice("model", name, MODELS)]
