"""What a study is told: typed options, and the YAML file that holds them."""

from bodyorder.config.loading import load_config
from bodyorder.config.options import (
    DistillOptions,
    HeldOut,
    SplitOptions,
    StudyOptions,
    TrainingSetOptions,
    check_sizes,
    check_yield,
)
from bodyorder.config.samplers import FEWEST, SAMPLERS, FromFile, HighDensity, LowDensity, Sampler, Thermal, sample

__all__ = [
    "FEWEST",
    "SAMPLERS",
    "DistillOptions",
    "FromFile",
    "HeldOut",
    "HighDensity",
    "LowDensity",
    "Sampler",
    "SplitOptions",
    "StudyOptions",
    "Thermal",
    "TrainingSetOptions",
    "check_sizes",
    "check_yield",
    "load_config",
    "sample",
]
