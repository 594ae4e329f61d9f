"""Structures that many tests use: scattered at random by a seed, on a grid, and a square."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def scattered(n_atoms: int, seed: int = 0, spread: float = 4.0, symbol: str = "H") -> Atoms:
    """Atoms anywhere in a cube with edges of ``spread`` Å."""
    return Atoms(f"{symbol}{n_atoms}", positions=np.random.default_rng(seed).uniform(0, spread, (n_atoms, 3)))


def clusters(n_structures: int = 3, n_atoms: int = 6, seed: int = 0, spread: float = 4.0) -> list[Atoms]:
    """Several of hydrogen, one after the other from the same generator; the first is that of :func:`scattered`."""
    rng = np.random.default_rng(seed)
    return [Atoms(f"H{n_atoms}", positions=rng.uniform(0, spread, (n_atoms, 3))) for _ in range(n_structures)]


def on_a_grid(symbol: str, n_atoms: int, spacing: float, shift: float, per_edge: int = 3) -> Atoms:
    """The first sites of a cubic grid, each moved by about ``shift`` Å; positions in Å."""
    grid = np.stack(np.meshgrid(*[np.arange(float(per_edge))] * 3), axis=-1).reshape(-1, 3)[:n_atoms]
    moves = np.random.default_rng(0).normal(0, shift, (n_atoms, 3))
    return Atoms(f"{symbol}{n_atoms}", positions=spacing * grid + moves)


def square(side: float = 1.0, symbol: str = "H") -> Atoms:
    """Four atoms at the corners of a square."""
    return Atoms(f"{symbol}4", positions=side * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))
