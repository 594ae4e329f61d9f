"""What must hold of the clusters and models of a study, files included, told before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ase
from ase.data import chemical_symbols

from bodyorder._checks import ComputationError, InputError
from bodyorder.config import FromFile, Sampler, StudyOptions, check_sizes
from bodyorder.sources import EnergySource
from bodyorder.structures import ClusterBatch, read_structures


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
            except ComputationError:  # is told where orders are computed
                pass


def check_training_sizes(options: StudyOptions) -> None:
    """Check that learning curves ask for no more training clusters than there are.

    :param options: of the study
    :raises InputError: if none of the groups that a make-up draws from has as many
    """
    for name, sizes in options.training_sizes.items():
        groups = options.makeups[name].groups or options.clusters
        check_sizes(name, sizes, [_count(options.clusters[group]) for group in groups], options.split)


def _count(sampler: Sampler) -> int:
    return len(read_structures(sampler.path)) if isinstance(sampler, FromFile) else sampler.n_clusters


def _elements(sampler: Sampler) -> set[int]:
    """Atomic numbers of the clusters of a sampler; all that are made here are of hydrogen."""
    if isinstance(sampler, FromFile):
        return {int(number) for atoms in read_structures(sampler.path) for number in atoms.numbers}
    return {1}


def _symbols(numbers: Iterable[int]) -> str:
    return ", ".join(chemical_symbols[number] for number in sorted(numbers))
