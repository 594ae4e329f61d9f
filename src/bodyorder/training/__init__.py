"""Training of machine-learning potentials: labels, sets of chosen make-up, the curated models, and metatrain to train them."""

from bodyorder.training.datasets import (
    MAKE_UPS,
    MakeUp,
    Split,
    contents,
    split_parents,
    training_set,
    weighted,
    write_set,
)
from bodyorder.training.errors import prediction_errors
from bodyorder.training.job import TrainedModel, TrainingJob
from bodyorder.training.labels import LabelledBatch, LabelledClusters, label
from bodyorder.training.models import MODELS, CuratedModel, curated_model
from bodyorder.training.options import training_options
from bodyorder.training.runner import train

__all__ = [
    "MAKE_UPS",
    "MODELS",
    "CuratedModel",
    "LabelledBatch",
    "LabelledClusters",
    "MakeUp",
    "Split",
    "TrainedModel",
    "TrainingJob",
    "contents",
    "curated_model",
    "label",
    "prediction_errors",
    "split_parents",
    "train",
    "training_options",
    "training_set",
    "weighted",
    "write_set",
]
