"""Exported metatomic models as energy sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.metatomic.archive import Settings
from bodyorder.sources.metatomic.network import MetatomicNetwork, last_line
from bodyorder.sources.networks.source import NetworkSource
from bodyorder.sources.networks.traits import Traits, measure_traits

#: Models that a process keeps in memory.
MAX_LOADED = 8


class MetatomicSource(NetworkSource):
    """A machine-learning potential in the metatomic format, evaluated for many sub-clusters at once.

    Lengths and energies are converted from the units that the model declares; where it declares none they are taken for Å
    and eV. ``cutoff``, ``precision`` and ``invariant`` are measured on test clusters when the model is loaded
    (:func:`~bodyorder.sources.networks.traits.measure_traits`). A copy that went through pickle finds its model by path, and each
    process loads a model once.

    The way of evaluation is that of the metatomic interface (F. Bigi et al., doi:10.48550/arXiv.2508.15704).

    :param settings: which model, where it runs and in what precision
    :raises InputError: if the model cannot be used, see :func:`bodyorder.sources.metatomic.load`
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        network, traits, digest = load_network(settings)
        versions = {name: version(name) for name in ("torch", "metatomic-torch")}
        super().__init__(network, traits, versions)
        forces = "direct" if network.force_kind == "direct" else None
        self.name = settings.name("metatomic", variant=settings.variant, members=settings.members, forces=forces)
        dtype = str(network.dtype).removeprefix("torch.")
        # not whether it is told charges: without them the numbers are those of charges that are zero
        spin = f" spin={network.rule.name}{network.rule.identity}" if network.rule else ""
        # by which a store tells the members of one kind from those of another
        members = f" members={settings.members}" if settings.members else ""
        direct = f" {network.force_output}" if forces else ""
        model = f"metatomic:{digest} {network.output} {dtype} metatomic-torch {versions['metatomic-torch']}"
        self.fingerprint = f"{model}{spin}{members}{direct}"

    def __reduce__(self) -> tuple[Callable[..., MetatomicSource], tuple[Settings, str]]:
        return restore, (self.settings, self.fingerprint)


def restore(settings: Settings, fingerprint: str) -> MetatomicSource:
    """The source in another process.

    :raises ComputationError: if the model is no longer the same
    """
    source = MetatomicSource(settings)
    if source.fingerprint != fingerprint:
        raise ComputationError(
            f"{source.name} must not change while it is in use, and did: its file, or metatomic, is another one here"
        )
    return source


def load_network(settings: Settings) -> tuple[MetatomicNetwork, Traits, str]:
    """A model, what was found out about it, and the sha256 of its file; from memory if this process has it.

    :raises InputError: if the model cannot be used
    """
    try:
        state = settings.path.stat()
    except OSError as error:
        raise InputError(f"metatomic:{settings.target} must be readable, and is not: {error.strerror}") from None
    return _load_once(settings, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=MAX_LOADED)
def _load_once(settings: Settings, state: tuple[int, int]) -> tuple[MetatomicNetwork, Traits, str]:
    with settings.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    network = MetatomicNetwork(settings)
    try:
        traits = measure_traits(network)
    except (RuntimeError, ValueError) as error:
        where = f" in {settings.dtype}" if settings.dtype else ""
        raise InputError(f"metatomic:{settings.target} must run{where}, and fails: {last_line(error)}") from error
    return network, traits, digest
