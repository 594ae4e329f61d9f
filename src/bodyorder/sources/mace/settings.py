"""How a MACE model was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How a model was asked for.

    :param target: path of the model as the user wrote it
    :param path: the same, absolute, so that it means the same in a worker process
    :param device: name of a torch device
    :param dtype: type of numbers to evaluate in, or None for the model's own
    :param head: which of several energies, or None
    :param charged: whether the model is told the charge of every sub-cluster
    :param spin: rule for the spin that it is told, or None
    """

    target: str
    path: Path
    device: str
    dtype: str | None
    head: str | None
    charged: bool = False
    spin: str | None = None
