"""MACE models as energy sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources.mace.network import MaceNetwork
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.networks.source import NetworkSource
from bodyorder.sources.networks.traits import Traits, measure_traits

#: Models that a process keeps in memory.
MAX_LOADED = 8


class MaceSource(NetworkSource):
    """A MACE model, evaluated for many sub-clusters at once.

    ``cutoff``, ``precision`` and ``invariant`` are measured on test clusters when the model is loaded
    (:func:`~bodyorder.sources.networks.traits.measure_traits`). A copy that went through pickle finds its model by path, makes
    sure that it is the same file before it loads it, and each process loads a model once.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if the model cannot be used, see :func:`bodyorder.sources.mace.load`
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        digest = file_digest(settings)
        network, traits = _load_once(settings, digest)
        versions = {name: version(name) for name in ("torch", "mace-torch")}
        super().__init__(network, traits, versions)
        self.name = settings.name("mace", head=settings.head, members=settings.members)
        dtype = str(network.dtype).removeprefix("torch.")
        # not whether it is told charges: without them the numbers are those of charges that are zero
        spin = f" spin={network.rule.name}{network.rule.identity}" if network.rule else ""
        # by which a store tells the members of one kind from those of the other
        members = f" members={settings.members}" if settings.members else ""
        self.fingerprint = f"mace:{digest} {network.head} {dtype} mace-torch {versions['mace-torch']}{spin}{members}"

    def __reduce__(self) -> tuple[Callable[..., MaceSource], tuple[Settings, str]]:
        return restore, (self.settings, self.fingerprint)


def restore(settings: Settings, fingerprint: str) -> MaceSource:
    """The source in another process.

    :raises ComputationError: if the model is no longer the same; a file that is another one is not loaded
    """
    same = fingerprint.startswith(f"mace:{file_digest(settings)} ")
    source = MaceSource(settings) if same else None
    if source is None or source.fingerprint != fingerprint:
        raise ComputationError(
            f"mace:{settings.target} must not change while it is in use, and did: its file, or mace, is another one here"
        )
    return source


def file_digest(settings: Settings) -> str:
    """The sha256 of a model file.

    :raises InputError: if it cannot be read
    """
    try:
        with settings.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"mace:{settings.target} must be readable, and is not: {error.strerror}") from None


@lru_cache(maxsize=MAX_LOADED)
def _load_once(settings: Settings, digest: str) -> tuple[MaceNetwork, Traits]:
    """A model and what was found out about it; from memory if this process has it. The digest tells files of one name apart."""
    network = MaceNetwork(settings)
    try:
        return network, measure_traits(network)
    except (RuntimeError, ValueError) as error:
        where = f" in {settings.dtype}" if settings.dtype else ""
        raise InputError(f"mace:{settings.target} must run{where}, and fails: {first_line(error)}") from error
