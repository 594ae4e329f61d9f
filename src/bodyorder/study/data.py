"""Clusters and reference energies of a study: what models are trained on and tested with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

import ase
import xarray as xr

from bodyorder._checks import ComputationError, InputError
from bodyorder.config import Sampler, StudyOptions
from bodyorder.engine import Store, decompose
from bodyorder.engine.executors import open_executor
from bodyorder.results.files import load, save
from bodyorder.sources import load_source
from bodyorder.sources.spec import parse_spec
from bodyorder.structures import read_structures, write_structures
from bodyorder.study.sampling import sample_group
from bodyorder.study.stages import Stage
from bodyorder.training.datasets import Split, split_structures
from bodyorder.training.labels import LabelledClusters, label

CLUSTERS, RESULT = "clusters.xyz", "result.nc"


class Data:
    """Groups of clusters with their reference energies.

    :param options: of the study
    :raises InputError: if the reference is no energy source, or has no forces where they are trained on, or a file of clusters
        cannot be read or divided
    """

    def __init__(self, options: StudyOptions):
        self.options = options
        self.root = Path(options.output)
        #: Where reference energies come from.
        self.source = load_source(options.reference)
        if options.with_forces and not self.source.capabilities.forces:
            raise InputError(
                f"`reference` must give forces, {self.source.name} gives energies only; give another, or set `forces: false` in "
                "all training sets"
            )
        # Among the results it goes by what a person would call it: fci/sto-6g.
        self.reference_name = parse_spec(options.reference)[1]
        samplers: dict[str, Sampler] = dict(options.clusters)
        samplers |= {group: held.clusters for group, held in options.held_out.items()}
        self._samples = {
            group: Stage(
                f"sample/{group}",
                {
                    "sampler": sampler.depends_on(),
                    "seed": options.seed,
                },
                partial(self._sample, group, sampler),
            )
            for group, sampler in samplers.items()
        }
        self._labels = {
            group: Stage(
                f"label/{group}",
                {"source": self.source.fingerprint}
                | ({"max_order": self.depth(group)} if group in options.held_out else {})
                | ({} if options.with_forces or group in options.held_out else {"forces": False}),
                partial(self._label, group),
                (sample,),
            )
            for group, sample in self._samples.items()
        }

        #: Orders of the reference for the clusters that test.
        self.reference = Stage(
            "reference",
            {"split": options.split.model_dump() if options.models else None, "seed": options.seed},
            self._resolve_reference,
            self.training_labels,
        )

    @property
    def stages(self) -> list[Stage]:
        """Sampling and labelling of all groups, and the orders of the reference for those that test."""
        return [*self.samples, *self.labels, self.reference]

    @property
    def training_stages(self) -> list[Stage]:
        """Sampling and labelling of the groups that are trained on."""
        return [*(need for label in self.training_labels for need in label.needs), *self.training_labels]

    @property
    def samples(self) -> tuple[Stage, ...]:
        """Sampling of all groups."""
        return tuple(self._samples.values())

    @property
    def labels(self) -> tuple[Stage, ...]:
        """Labelling of all groups."""
        return tuple(self._labels.values())

    @property
    def training_labels(self) -> tuple[Stage, ...]:
        """Labelling of the groups that are trained on."""
        return tuple(self._labels[group] for group in self.options.clusters)

    @cached_property
    def clusters(self) -> list[ase.Atoms]:
        """The clusters of all groups that are trained on, one group after the other."""
        return [atoms for group in self.options.clusters for atoms in self.of_group(group)]

    @cached_property
    def split(self) -> Split:
        """Which of them train, validate and test."""
        groups = [str(atoms.info["group"]) for atoms in self.clusters]
        return split_structures(groups, self.options.split.fractions, self.options.seed)

    @cached_property
    def labelled(self) -> LabelledClusters:
        """Their sub-clusters with reference energies and, where they are trained on, forces."""
        with self.store() as store:
            return label(self.clusters, self.source, forces=self.options.with_forces, store=store)

    @property
    def tests(self) -> list[ase.Atoms]:
        """Those that test; all of them where nothing is trained."""
        if not self.options.models:
            return self.clusters
        return [self.clusters[index] for index in self.split.test]

    def of_group(self, group: str) -> list[ase.Atoms]:
        """The clusters of one group."""
        return read_structures(self._samples[group].folder(self.root) / CLUSTERS)

    def depth(self, group: str) -> int | None:
        """Largest order that a group is resolved to; None for all."""
        return self.options.held_out[group].max_order if group in self.options.held_out else None

    @cached_property
    def reference_orders(self) -> dict[str, xr.DataTree]:
        """Orders of the reference for the clusters that models are resolved on, by the file that models have for them."""
        stages = {RESULT: self.reference} | {f"{group}.nc": self._labels[group] for group in self.options.held_out}
        return {file: load(stage.folder(self.root) / RESULT) for file, stage in stages.items()}

    def store(self) -> Store:
        """Where all reference energies are kept."""
        return Store(self.root / "energies.sqlite")

    def _sample(self, group: str, sampler: Sampler, folder: Path) -> None:
        write_structures(folder / CLUSTERS, sample_group(group, sampler, self.options.seed))

    def _label(self, group: str, folder: Path) -> None:
        # Forces are for those that are trained on.
        with self.store() as store, open_executor(self.options.workers, self.options.executor) as executor:
            result = decompose(
                self.of_group(group),
                self.source,
                max_order=self.depth(group),
                forces=self.options.with_forces and group in self.options.clusters,
                subsets=True,
                store=store,
                executor=executor,
                progress=True,
            )
        save(result, folder / RESULT)
        check_known([result])

    def _resolve_reference(self, folder: Path) -> None:
        # All energies are in the store by now.
        with self.store() as store:
            forces = self.options.with_forces
            save(decompose(self.tests, self.source, forces=forces, subsets=True, store=store), folder / RESULT)


def check_known(results: Sequence[xr.DataTree]) -> None:
    """Check that all energies of some results are known.

    :raises ComputationError: if some are not, with the number of clusters that lack any and why the first of them does
    """
    failed = [text for result in results for text in result.to_dataset()["failure"].values.tolist() if text]
    if failed:
        raise ComputationError(f"{len(failed)} clusters lack energies: {failed[0]}")
