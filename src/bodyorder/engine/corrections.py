"""Energies of whole structures by a cheap source, their first orders by a better one: labels for training."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import ase
import numpy as np
import xarray as xr
from ase.calculators.singlepoint import SinglePointCalculator

from bodyorder._checks import InputError, check_between
from bodyorder.engine.decomposition import decompose
from bodyorder.engine.levels import REST
from bodyorder.engine.store import Store
from bodyorder.results.tree import structure_names
from bodyorder.sources.registry import SourceLike, load_source
from bodyorder.structures import read_structures
from bodyorder.structures.bodies import BodiesLike, divide
from bodyorder.structures.io import StructuresLike

#: Keys of ``info`` beside ``energy``: 1σ of it in eV, and where it comes from.
NOISE, ORIGIN, BODIES, VERSIONS = "energy_noise", "energy_source", "energy_bodies", "energy_versions"


@dataclass(frozen=True)
class Corrected:
    """Structures with corrected energies.

    :param structures: copies of those that are complete, each with energy (eV) and forces (eV/Å, if they were asked for) as ASE's
        results of a calculator, which ``ase.io.write`` writes and ``ase.io.read`` reads as such. ``info`` holds ``energy_noise``
        (1σ in eV), ``energy_source`` (levels and their sources), ``energy_bodies`` and ``energy_versions``.
    :param incomplete: why others have no label, by name
    :param result: orders of all of them by levels (:mod:`bodyorder.engine.levels`)
    """

    structures: list[ase.Atoms]
    incomplete: dict[str, str]
    result: xr.DataTree


def correct(  # noqa: PLR0913 - one call, as of decompose; every option has a default
    structures: StructuresLike,
    *,
    low: SourceLike,
    high: SourceLike,
    max_order: int = 2,
    bodies: BodiesLike = "atoms",
    cutoff: float | None = None,
    forces: bool = False,
    store: Store | str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
    announce: Callable[[str], object] | None = None,
) -> Corrected:
    """Correct the energy of the whole by one source with the first orders of another: E_low + Σ_{n≤N} (E_high⁽ⁿ⁾ − E_low⁽ⁿ⁾).

    This is :func:`bodyorder.decompose` by the levels ``{max_order: high, "rest": low}``. Structures of no more bodies have the
    energy by ``high`` alone.

    :param structures: a structure, several, or a file of any usual format; free clusters
    :param low: source of the energies of whole structures, each of which it is asked for
    :param high: source of the orders up to ``max_order``
    :param max_order: the largest order that is corrected, N
    :param bodies: as in :func:`bodyorder.decompose`, and so are all options below
    :return: labelled structures, and the result that they are made of
    :raises InputError: if the input cannot work, or both sources are the same
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    frames = read_structures(structures, periodic=True)
    cheap, better = load_source(low), load_source(high)
    if cheap.fingerprint == better.fingerprint and cheap.capabilities.counterpoise == better.capabilities.counterpoise:
        raise InputError(f"`low` and `high` must be two sources, got {cheap.name} for both; decompose by it")
    check_between("max_order", max_order, 1, max(len(partition) for partition in divide(frames, bodies)))
    result = decompose(
        frames,
        {max_order: better, REST: cheap},
        bodies=bodies,
        cutoff=cutoff,
        forces=forces,
        store=store,
        executor=executor,
        progress=progress,
        announce=announce,
    )
    return _labelled(frames, result)


def _labelled(frames: Sequence[ase.Atoms], result: xr.DataTree) -> Corrected:
    """Structures with the energies and forces of a result."""
    root = result.to_dataset()
    names = structure_names(root)
    total, noise = root["total"].values, root["total_noise"].values
    sites = result.children["sites"].to_dataset(inherit=False)
    ends = np.cumsum([len(atoms) for atoms in frames])[:-1]
    by_structure: Sequence[np.ndarray | None] = [None] * len(frames)
    if "total_force" in sites:
        by_structure = np.split(sites["total_force"].transpose("site", "xyz").values, ends)
    origin = {
        ORIGIN: str(result.attrs["source"]),
        BODIES: str(result.attrs["bodies"]),
        VERSIONS: " ".join(f"{name}={version}" for name, version in json.loads(result.attrs["versions"]).items()),
    }
    labelled, incomplete = [], {}
    for row, (atoms, own) in enumerate(zip(frames, by_structure, strict=True)):
        if not np.isfinite(total[row]) or (own is not None and not np.isfinite(own).all()):
            incomplete[names[row]] = str(root["failure"].values[row])
            continue
        copy = atoms.copy()
        copy.info |= {NOISE: float(noise[row])} | origin
        copy.calc = SinglePointCalculator(
            copy, energy=float(total[row]), **({} if own is None else {"forces": own.copy()})
        )
        labelled.append(copy)
    return Corrected(labelled, incomplete, result)
