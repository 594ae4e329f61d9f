"""The engine: structures and an energy source in, a tree of body orders out."""

from bodyorder.engine.decomposition import decompose
from bodyorder.engine.sampling import Sampling
from bodyorder.engine.store import Store

__all__ = ["Sampling", "Store", "decompose"]
