"""What must hold of the clusters and models of a study, files included, told before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ase
from ase.data import chemical_symbols

from bodyorder._checks import InputError
from bodyorder.config import (
    FEWEST,
    FromFile,
    HighDensity,
    LowDensity,
    Sampler,
    StudyOptions,
    check_sizes,
    check_yield,
)
from bodyorder.sources import EnergySource
from bodyorder.structures import ClusterBatch, read_structures
from bodyorder.structures.copies import first_copies
from bodyorder.study.sampling import sample_group


def check_elements(options: StudyOptions, pretrained: Mapping[str, EnergySource]) -> None:
    """Check that all models know the elements of all clusters that they are resolved on.

    :param options: of the study
    :param pretrained: its models that are trained already
    :raises InputError: if models are trained on clusters that lack one, or one that is trained already does not know it
    """
    groups = {group: _elements(sampler) for group, sampler in options.clusters.items()}
    held_out = {group: _elements(held.clusters) for group, held in options.held_out.items()}
    met = set().union(*groups.values(), *held_out.values())
    for name, makeup in options.makeups.items() if options.models else ():
        known = set().union(*(groups[group] for group in makeup.groups or groups))
        if lacking := met - known:
            where = [group for group, elements in (groups | held_out).items() if elements & lacking]
            raise InputError(
                f"`makeups.{name}` must hold every element that its models are resolved on, and lacks {_symbols(lacking)} of "
                f"{', '.join(where)}; draw it from more `groups`, or leave those clusters out"
            )
    for name, model in pretrained.items():
        for number in sorted(met):
            try:
                model.energies(ClusterBatch.from_atoms([ase.Atoms([number])]))
            except InputError as error:
                raise InputError(
                    f"`pretrained.{name}` must give energies of the clusters, which hold {_symbols(met)}: {error}; take "
                    f"another"
                ) from None
            except Exception:  # whatever else a model raises is told where its orders are computed
                continue


def check_files(options: StudyOptions) -> None:
    """Check that clusters from files can be trained on and tested with as the options want.

    :param options: of the study
    :raises InputError: if there are too few to train on or for a point of a learning curve, a make-up yields none, or the same
        cluster stands twice, in a group that is held out perhaps
    """
    files = {group: read_structures(one.path) for group, one in options.clusters.items() if isinstance(one, FromFile)}
    if options.models:
        for group, clusters in files.items():
            if len(clusters) < FEWEST:
                path = getattr(options.clusters[group], "path", "")
                raise InputError(f"{path} must hold at least {FEWEST} clusters to train on, and holds {len(clusters)}")
    sizes = {group: [len(atoms) for atoms in clusters] for group, clusters in files.items()}
    sizes |= {
        group: [one.n_atoms] * one.n_clusters
        for group, one in options.clusters.items()
        if not isinstance(one, FromFile)
    }
    for name, wanted in options.training_sizes.items():
        groups = options.makeups[name].groups or options.clusters
        check_sizes(name, wanted, [len(sizes[group]) for group in groups], options.split)
    for name, makeup in options.makeups.items():
        check_yield(name, makeup, max(size for group in makeup.groups or sizes for size in sizes[group]))
    held_out = {
        group: read_structures(held.clusters.path)
        for group, held in options.held_out.items()
        if isinstance(held.clusters, FromFile)
    }
    if held_out:
        # dynamics are too dear to run here
        files |= {
            group: sample_group(group, one, options.seed)
            for group, one in options.clusters.items()
            if isinstance(one, LowDensity | HighDensity)
        }
    files |= held_out
    owners = [f"cluster {number} of {group}" for group, clusters in files.items() for number in range(len(clusters))]
    if copies := first_copies([atoms for clusters in files.values() for atoms in clusters]):
        raise InputError(
            f"clusters must differ, {owners[copies[0]]} and {owners[copies[1]]} are the same but for place, turn, reflection or "
            f"order of atoms; leave one out"
        )


def _elements(sampler: Sampler) -> set[int]:
    """Atomic numbers of the clusters of a sampler; all that are made here are of hydrogen."""
    if isinstance(sampler, FromFile):
        return {int(number) for atoms in read_structures(sampler.path) for number in atoms.numbers}
    return {1}


def _symbols(numbers: Iterable[int]) -> str:
    return ", ".join(chemical_symbols[number] for number in sorted(numbers))
