"""Where energies come from. Importing this imports no backend."""

from bodyorder.sources.base import EnergySource, FailedClusters, Precision, load_source

__all__ = ["EnergySource", "FailedClusters", "Precision", "load_source"]
