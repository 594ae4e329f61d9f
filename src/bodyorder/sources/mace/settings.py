"""How a MACE model was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from bodyorder.sources.networks.settings import ModelSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ModelSettings):
    """How a MACE model was asked for.

    :param head: which of several energies, or None
    :param members: which several energies beside it, ``heads`` or ``parts``, or None
    """

    head: str | None = None
    members: str | None = None
