"""The clusters of a study, group by group."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np

from bodyorder._checks import InputError, check_between
from bodyorder.config import FromFile, HighDensity, LowDensity, Sampler, StudyOptions, Thermal
from bodyorder.sources import load_source
from bodyorder.sources.ase.source_calculator import SourceCalculator
from bodyorder.structures import read_structures
from bodyorder.structures.dynamics import LangevinSettings, langevin
from bodyorder.structures.hydrogen import high_density, low_density
from bodyorder.subsets import complete


def sample_group(group: str, sampler: Sampler, seed: int) -> list[ase.Atoms]:
    """The clusters of one group, with ``group`` and a ``name`` of their own in their ``info``.

    :param group: its name; groups of one seed differ
    :param sampler: where they come from
    :param seed: of the study
    """
    clusters = _draw(sampler, group_seed(group, seed))
    for index, atoms in enumerate(clusters):
        atoms.info["group"] = group
        atoms.info["name"] = f"{group}_{index:04d}"
    return clusters


def describe_sampler(sampler: Sampler) -> dict[str, Any]:
    """Everything that the clusters of a group depend on, the content of its file or the energies of its dynamics included.

    :param sampler: where the clusters come from
    :raises InputError: if a file cannot be read, or for an unknown source
    """
    settings = sampler.model_dump(mode="json")
    if isinstance(sampler, FromFile):
        read_structures(sampler.path)  # refuses what cannot be read
        return settings | {"sha256": hashlib.sha256(Path(sampler.path).read_bytes()).hexdigest()}
    if isinstance(sampler, Thermal):
        return settings | {"fingerprint": load_source(sampler.source).fingerprint}
    return settings


def sample_all(options: StudyOptions) -> list[ase.Atoms]:
    """The clusters of all groups of a study, one group after the other."""
    return [
        atoms for group, sampler in options.clusters.items() for atoms in sample_group(group, sampler, options.seed)
    ]


def preset(name: str, n_atoms: int, n_clusters: int, seed: int) -> list[ase.Atoms]:
    """Clusters of a sampler with its usual options.

    :param name: ``low-density`` or ``high-density``
    """
    draw = low_density if name == "low-density" else high_density
    return draw(n_atoms, n_clusters, seed)


def subclusters(structures: Sequence[ase.Atoms], order: int | None = None) -> list[ase.Atoms]:
    """Every sub-cluster of some structures, atoms as bodies, with ``parent`` and ``members`` in their ``info``.

    :param structures: to cut from
    :param order: number of atoms of the sub-clusters; all if None
    :raises InputError: if ``order`` is larger than the largest structure
    """
    largest = max(len(atoms) for atoms in structures)
    if order is not None:
        check_between("order", order, 1, largest)
    cut = []
    for parent, atoms in enumerate(structures):
        for members in complete(len(atoms), min(order or largest, len(atoms))).members:
            if order in (None, members.shape[1]):
                for row in members:
                    part = atoms[row]
                    part.calc = None
                    part.info = {"parent": parent, "members": "-".join(str(member) for member in row)}
                    cut.append(part)
    return cut


def group_seed(group: str, seed: int) -> int:
    """A seed for one group: the same whatever other groups there are."""
    return int(np.random.SeedSequence([seed, zlib.crc32(group.encode())]).generate_state(1)[0])


def _draw(sampler: Sampler, seed: int) -> list[ase.Atoms]:
    if isinstance(sampler, FromFile):
        clusters = read_structures(sampler.path)
        if any(atoms.calc for atoms in clusters):
            clusters = [ase.Atoms(numbers=atoms.numbers, positions=atoms.positions) for atoms in clusters]
        return clusters
    if isinstance(sampler, LowDensity):
        options = {"temperature": sampler.temperature, "separation": sampler.separation}
        return low_density(sampler.n_atoms, sampler.n_clusters, seed, **options)
    if isinstance(sampler, HighDensity):
        options = {
            "wigner_seitz_radius_bohr": sampler.wigner_seitz_radius_bohr,
            "min_distance": sampler.min_distance,
        }
        return high_density(sampler.n_atoms, sampler.n_clusters, seed, **options)
    return _thermal(sampler, seed)


def _thermal(sampler: Thermal, seed: int) -> list[ase.Atoms]:
    source = load_source(sampler.source)
    if not source.capabilities.forces:
        raise InputError(f"dynamics need a source with forces, {source.name} gives energies only")
    (start,) = preset(sampler.start, sampler.n_atoms, 1, seed)
    settings = LangevinSettings(
        wall_radius=sampler.wall_radius,
        temperature=sampler.temperature,
        time_step=sampler.time_step,
        interval=sampler.interval,
        equilibration=sampler.equilibration,
    )
    return langevin(start, SourceCalculator(source), sampler.n_clusters, seed, settings)
