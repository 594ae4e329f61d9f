"""Where energies come from. Importing this imports no backend."""

from bodyorder.sources.base import EnergySource, Precision, load_source
from bodyorder.sources.evaluation import FailedClusters

__all__ = ["EnergySource", "FailedClusters", "Precision", "load_source"]
