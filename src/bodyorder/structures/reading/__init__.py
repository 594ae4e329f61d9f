"""Files of structures as they are meant: every frame, its elements, lengths in Å, cell and periodic directions, or a refusal."""

from bodyorder.structures.reading.files import read_file

__all__ = ["read_file"]
