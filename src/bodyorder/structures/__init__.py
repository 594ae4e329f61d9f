"""Structures and the sub-clusters cut from them: ASE in, ASE out, dense arrays between."""

from bodyorder.structures.bodies import Bodies, find_bodies
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.io import read_structures, write_structures

__all__ = ["Bodies", "ClusterBatch", "System", "find_bodies", "read_structures", "write_structures"]
