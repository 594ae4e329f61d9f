"""Training of machine-learning potentials: labels, sets of chosen composition, curated models, and metatrain to train them."""

from bodyorder.training.datasets import (
    COMPOSITIONS,
    Composition,
    Split,
    contents,
    draw_set,
    split_structures,
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
    "COMPOSITIONS",
    "MODELS",
    "Composition",
    "CuratedModel",
    "LabelledBatch",
    "LabelledClusters",
    "Split",
    "TrainedModel",
    "TrainingJob",
    "contents",
    "curated_model",
    "draw_set",
    "label",
    "prediction_errors",
    "split_structures",
    "train",
    "training_options",
    "weighted",
    "write_set",
]
