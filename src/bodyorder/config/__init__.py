"""What a study is told: typed options, and the YAML file that holds them."""

from bodyorder.config.loading import load_config
from bodyorder.config.options import (
    FEWEST,
    SAMPLERS,
    FromFile,
    HeldOut,
    HighDensity,
    LowDensity,
    MakeUpOptions,
    Sampler,
    SplitOptions,
    StudyOptions,
    Thermal,
)

__all__ = [
    "FEWEST",
    "SAMPLERS",
    "FromFile",
    "HeldOut",
    "HighDensity",
    "LowDensity",
    "MakeUpOptions",
    "Sampler",
    "SplitOptions",
    "StudyOptions",
    "Thermal",
    "load_config",
]
