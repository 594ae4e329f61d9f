"""The engine: structures and an energy source in, one labelled dataset of body orders out."""

from bodyorder.engine.decomposition import decompose
from bodyorder.engine.results import load as load_results
from bodyorder.engine.sampling import Sampling
from bodyorder.engine.store import Store

__all__ = ["Sampling", "Store", "decompose", "load_results"]
