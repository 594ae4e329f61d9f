"""MACE models as energy sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from ase.data import covalent_radii

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources.base import format_spec, package_version
from bodyorder.sources.mace.network import Network
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.network import NetworkSource
from bodyorder.sources.probe import Traits, probe

#: Models that a process keeps in memory.
MAX_LOADED = 8
#: Number and size of the clusters on which invariance is tested, and the energy in eV to which it must hold.
N_CLUSTERS, N_ATOMS, SAME = 16, 6, 1e-10


class MaceSource(NetworkSource):
    """A MACE model, evaluated for many sub-clusters at once.

    ``cutoff`` and ``precision`` are measured on test clusters when the model is loaded
    (:func:`~bodyorder.sources.probe.probe`), and so is ``invariant``. A copy that went through pickle finds its model
    by path, makes sure that it is the same file before it loads it, and each process loads a model once.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if the model cannot be used, see :func:`bodyorder.sources.mace.load`
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        digest = file_digest(settings)
        network, traits, self.invariant = _load_once(settings, digest)
        super().__init__(network, traits)
        asked = {"dtype": settings.dtype, "head": settings.head}
        self.name = format_spec(
            "mace", settings.target, {key: value for key, value in asked.items() if value is not None}
        )
        self.versions = {name: package_version(name) for name in ("torch", "mace-torch")}
        dtype = str(network.dtype).removeprefix("torch.")
        self.fingerprint = f"mace:{digest} {network.head} {dtype} mace-torch {self.versions['mace-torch']}"

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
def _load_once(settings: Settings, digest: str) -> tuple[Network, Traits, bool]:
    """A model and what was found out about it; from memory if this process has it. The digest tells files of one name apart."""
    network = Network(settings)
    try:
        traits = probe(network)
        return network, traits, _is_invariant(network, traits.packed)
    except (RuntimeError, ValueError) as error:
        where = f" in {settings.dtype}" if settings.dtype else ""
        raise InputError(f"mace:{settings.target} must run{where}, and fails: {first_line(error)}") from error


def _is_invariant(network: Network, packed: bool) -> bool:
    """Whether test clusters that are turned, half of them reflected, with their atoms in another order keep their energies."""
    rng = np.random.default_rng(1)
    numbers = rng.choice(np.array(network.elements), size=(N_CLUSTERS, N_ATOMS))
    corners = np.indices((2, 2, 2)).reshape(3, -1).T[:N_ATOMS] + rng.uniform(-0.15, 0.15, size=(N_CLUSTERS, N_ATOMS, 3))
    positions = 2.5 * covalent_radii[numbers].mean(axis=1)[:, None, None] * corners
    turned = positions @ np.linalg.qr(rng.normal(size=(N_CLUSTERS, 3, 3)))[0]
    order = rng.permutation(N_ATOMS)
    given, _ = network.evaluate(numbers, positions, packed=packed, forces=False)
    found, _ = network.evaluate(numbers[:, order], turned[:, order], packed=packed, forces=False)
    return bool((np.abs(found - given) <= SAME).all())
