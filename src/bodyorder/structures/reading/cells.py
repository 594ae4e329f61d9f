"""Cells as files state them: three lengths, three angles, the name of a space group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.cell import Cell

#: Lattice vectors that span less than this of the box of their lengths lie in one plane, or on one line.
_FLAT = 1e-6


def vectors_of(parameters: Sequence[float]) -> np.ndarray | None:
    """Lattice vectors in Å, shape (3, 3), the first along x and the second in the plane of x and y; None if they span no volume.

    :param parameters: lengths in Å and angles in degrees
    """
    lengths = np.array(parameters[:3])
    if not np.isfinite(parameters).all() or not (lengths > 0).all():
        return None
    try:
        with np.errstate(all="ignore"):  # an angle of 0
            vectors = Cell.fromcellpar(parameters).array
    except (AssertionError, ArithmeticError):
        return None
    return None if is_flat(vectors) else vectors


def is_flat(vectors: np.ndarray) -> bool:
    """Whether some lattice vectors, shape (n, 3), none of them zero, do not span n dimensions."""
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    # Gram's determinant, the square of the volume
    return not float(np.linalg.det(units @ units.T)) >= _FLAT**2


def is_dummy(lengths: Sequence[float]) -> bool:
    """Whether a cell is one that programs write because the format wants one: of 1 Å or of 0."""
    return not any(lengths) or all(length == 1 for length in lengths)


def asymmetric_group(name: str) -> str:
    """The name of a space group if it is not P 1, else an empty text."""
    return "" if name.replace(" ", "") in ("", "1", "P1") else name
