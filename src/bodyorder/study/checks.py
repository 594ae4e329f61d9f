"""What must hold of the clusters and models of a study, files included, told before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ase
from ase.data import chemical_symbols

from bodyorder._checks import InputError
from bodyorder.config import (
    FEWEST,
    FromFile,
    Sampler,
    StudyOptions,
    check_sizes,
    check_yield,
)
from bodyorder.sources import EnergySource
from bodyorder.structures import ClusterBatch, read_structures
from bodyorder.structures.duplicates import first_duplicates
from bodyorder.study.sampling import sample_group


def check_study(options: StudyOptions, pretrained: Mapping[str, EnergySource]) -> None:
    """Check that models can be trained on the clusters, and resolved on all that there are, as the options want.

    :param options: of the study
    :param pretrained: its models that are trained already
    :raises InputError: if models are trained on clusters that lack an element of others, or one that is trained already does not
        know it; if clusters from files are too few to train on or for a point of a learning curve, or a training set has none; or
        if the same cluster stands twice, in a group that is held out perhaps
    """
    files = _read(options.clusters)
    held_out = _read({group: held.clusters for group, held in options.held_out.items()})
    _check_elements(options, pretrained, files | held_out)
    _check_sizes(options, files)
    _check_distinct(options, files, held_out)


def _read(samplers: Mapping[str, Sampler]) -> dict[str, list[ase.Atoms]]:
    """The clusters of those groups that are in files."""
    return {group: read_structures(one.path) for group, one in samplers.items() if isinstance(one, FromFile)}


def _check_elements(
    options: StudyOptions, pretrained: Mapping[str, EnergySource], files: Mapping[str, list[ase.Atoms]]
) -> None:
    samplers = options.clusters | {group: held.clusters for group, held in options.held_out.items()}
    elements = {group: one.elements for group, one in samplers.items() if not isinstance(one, FromFile)}
    elements |= {group: {int(number) for atoms in held for number in atoms.numbers} for group, held in files.items()}
    met = set().union(*elements.values())
    for name, training_set in options.training_sets.items() if options.models else ():
        known = set().union(*(elements[group] for group in training_set.groups or options.clusters))
        if lacking := met - known:
            where = [group for group, own in elements.items() if own & lacking]
            raise InputError(
                f"`training_sets.{name}` must hold every element that its models are resolved on, and lacks "
                f"{_symbols(lacking)} of {', '.join(where)}; draw it from more `groups`, or leave those clusters out"
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


def _check_sizes(options: StudyOptions, files: Mapping[str, list[ase.Atoms]]) -> None:
    """Check that there are clusters enough, and large enough, for what models are trained on."""
    sizes: dict[str, list[int]] = {}
    for group, one in options.clusters.items():
        if not isinstance(one, FromFile):
            sizes[group] = [one.n_atoms] * one.n_clusters
            continue
        sizes[group] = [len(atoms) for atoms in files[group]]
        if options.models and len(sizes[group]) < FEWEST:
            raise InputError(
                f"{one.path} must hold at least {FEWEST} clusters to train on, and holds {len(sizes[group])}"
            )
    for name, wanted in options.training_sizes.items():
        groups = options.training_sets[name].groups or options.clusters
        check_sizes(name, wanted, [len(sizes[group]) for group in groups], options.split)
    for name, training_set in options.training_sets.items():
        check_yield(name, training_set, max(size for group in training_set.groups or sizes for size in sizes[group]))


def _check_distinct(
    options: StudyOptions, files: Mapping[str, list[ase.Atoms]], held_out: Mapping[str, list[ase.Atoms]]
) -> None:
    """Check that no cluster stands twice."""
    known = dict(files)
    if held_out:
        # dynamics are too dear to run here
        known |= {
            group: sample_group(group, one, options.seed)
            for group, one in options.clusters.items()
            if not isinstance(one, FromFile) and one.cheap
        }
    known |= held_out
    owners = [f"cluster {number} of {group}" for group, clusters in known.items() for number in range(len(clusters))]
    if pair := first_duplicates([atoms for clusters in known.values() for atoms in clusters]):
        raise InputError(
            f"clusters must differ, {owners[pair[0]]} and {owners[pair[1]]} are the same but for place, turn, reflection or "
            f"order of atoms; leave one out"
        )


def _symbols(numbers: Iterable[int]) -> str:
    return ", ".join(chemical_symbols[number] for number in sorted(numbers))
