"""Typed options of a study. The documentation of the fields is the manual."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    field_validator,
    model_validator,
)

from bodyorder._checks import InputError, check_choice
from bodyorder.config.samplers import FEWEST, Count, FromFile, HighDensity, LowDensity, Options, Sampler, Seed, Thermal
from bodyorder.engine.curves import check_species
from bodyorder.sources.spec import parse_spec
from bodyorder.training.datasets import Composition, split_structures
from bodyorder.training.models import MODELS


def _readable_spec(value: str | dict[str, Any]) -> str | dict[str, Any]:
    """Refuse what names no energy source."""
    parse_spec(value)
    return value


def _name(value: str) -> str:
    """Refuse what folders and files cannot be called after."""
    if not re.fullmatch(r"[^\s/\\]+( [^\s/\\]+)*", value) or value in (".", ".."):
        raise ValueError(f"must have names without slashes, tabs or spaces at their ends, got {value!r}; give another")
    return value


#: Name that a user gives to something.
Name = Annotated[str, AfterValidator(_name)]

#: Energy source: a spec, or the same as a mapping.
Spec = Annotated[str | dict[str, Any], AfterValidator(_readable_spec)]


class TrainingSetOptions(Options):
    """What a training set consists of."""

    whole_clusters: bool = True
    """Whether the whole clusters are in it."""
    orders: Literal["all"] | tuple[Count, ...] = ()
    """Sizes of the sub-clusters that are in it beside them: a list of numbers of atoms, or ``all``."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of the sub-clusters of each size that is taken from each cluster, at random, but at least one."""
    per_cluster: Count | None = None
    """Most sub-clusters of each size that are taken from each cluster."""
    groups: tuple[str, ...] | None = None
    """Groups of clusters that it draws from; all if not given."""
    n_clusters: Count | None = None
    """Most training clusters of each group that it draws from; all if not given."""
    weights: dict[Count, Count] = Field(default_factory=dict)
    """How many times clusters of a number of atoms count in training; 1 where nothing is said."""
    forces: bool = True
    """Whether forces are trained on."""
    isolated_atom: Literal["free", "fixed"] = "free"
    """Baseline of the models: ``fixed`` at the energies of isolated atoms, or ``free``, a least-squares fit of the set."""
    energy_weight: PositiveFloat | None = None
    """Weight of energies in the loss where forces have 1; that of the table of models if not given."""

    def composition(self, name: str) -> Composition:
        """Its composition, under that name."""
        wanted = self.model_dump(exclude={"forces", "isolated_atom", "energy_weight"})
        return Composition(name, **(wanted | {"orders": None if self.orders == "all" else self.orders}))


class HeldOut(Options):
    """Clusters that nothing is trained on, to see how models generalize beyond their own."""

    clusters: Sampler
    """Where they come from."""
    max_order: Count | None = None
    """Largest order that they are resolved to; all if not given."""


class SplitOptions(Options):
    """Fractions of the clusters of each group. All sub-clusters of a cluster go where the cluster goes."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Trained on."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Watched during training, to keep the best epoch."""

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Of training, validation and test."""
        return self.train, self.validation, 1 - self.train - self.validation

    @model_validator(mode="after")
    def _leave_some(self) -> SplitOptions:
        if self.train + self.validation > 0.99:
            raise ValueError(
                f"`split` must leave some clusters for testing, got train {self.train} and validation {self.validation}"
            )
        return self


class DistillOptions(Options):
    """Explicit models that learn from other models, to see which body orders these need where data are."""

    students: Annotated[tuple[str, ...], Field(min_length=1)]
    """Explicit models, by name: best one for each order."""
    teachers: tuple[str, ...] | None = None
    """Models that they learn from beside the reference: of the study's models, trained ones included; if not given, all that are
    not explicit."""
    training_sets: tuple[str, ...] | None = None
    """Training sets that they learn on, by name; all if not given."""

    @field_validator("students")
    @classmethod
    def _explicit_students(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        explicit = [name for name, row in MODELS.items() if row.explicit]
        for name in value:
            check_choice("distill.students", name, explicit)
        return value


class StudyOptions(Options):
    """A whole study: clusters, reference energies, trained models, their body orders, a report."""

    title: str = "Body orders of clusters"
    """Heading of the report."""
    output: str
    """Folder for everything that the study makes."""
    seed: Seed = 0
    """Seed of every random choice."""
    clusters: Annotated[dict[Name, Sampler], Field(min_length=1)]
    """Groups of clusters by name."""
    reference: Spec = "pyscf:fci/sto-6g?spin=ground"
    """Energy source that models are trained on and compared with: a spec, or the same as a mapping."""
    split: SplitOptions = SplitOptions()
    """Training, validation and test clusters."""
    held_out: dict[Name, HeldOut] = Field(default_factory=dict)
    """Further groups of clusters, larger ones perhaps, that models are only tested on."""
    models: tuple[str, ...] = ()
    """Curated models to train, by name."""
    pretrained: dict[Name, Spec] = Field(default_factory=dict)
    """Models that are trained already, by name: energy sources, a model file among them."""
    training_sets: dict[Name, TrainingSetOptions] = Field(default_factory=dict)
    """Training sets by name."""
    seeds: Count = 1
    """Trainings of each model on each set. They differ in initial weights, in the order of batches and in what is drawn."""
    training_sizes: dict[str, tuple[Count, ...]] = Field(default_factory=dict)
    """For learning curves: numbers of training clusters of each group to train on as well, by the name of the training set."""
    curves: tuple[tuple[Annotated[str, Field(min_length=1)], ...], ...] | None = None
    """Chemical symbols of two atoms for each two-body curve, and of three for each three-body map, the apex first; if not
    given, a curve for each pair of elements, and maps if there are at most two elements."""
    distill: DistillOptions | None = None
    """Explicit models that learn from other models; none if not given."""
    epochs: dict[str, Count] = Field(default_factory=dict)
    """Epochs of a training, by the name of its training set; the table of models says how many where this does not."""
    size: Literal["small", "default"] = "small"
    """Size of the models: ``small`` for a CPU, ``default`` for a GPU."""
    workers: Count = 2
    """Processes for reference energies."""
    executor: str | None = None
    """Address of a Dask scheduler, ``tcp://host:port``, whose workers compute and train instead; they see the same files."""
    trainings: Count = 2
    """Models at a time that are trained and resolved, each on one core, or sharing the GPU."""

    @property
    def with_forces(self) -> bool:
        """Whether forces are computed: where any training set trains on them, or nothing is trained."""
        return not self.training_sets or any(training_set.forces for training_set in self.training_sets.values())

    @field_validator("models")
    @classmethod
    def _known_models(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            check_choice("models", name, MODELS)
        return value

    @field_validator("curves")
    @classmethod
    def _known_species(cls, value: tuple[tuple[str, ...], ...] | None) -> tuple[tuple[str, ...], ...] | None:
        for species in value or ():
            check_species(species, (2, 3))
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> StudyOptions:
        if self.models and not self.training_sets:
            raise ValueError("`training_sets` must name a training set for the models, and names none")
        for name in self.pretrained:
            if name in self.models:
                raise ValueError(f"`pretrained` must have names of their own, {name!r} is among the models to train")
        for name in (parse_spec(self.reference)[1], "reference"):
            if name in self.pretrained:
                raise ValueError(
                    f"`pretrained` must have names other than {name!r}, which is what the reference is called"
                )
        students = () if self.distill is None else self.distill.students
        for key, names in {"models": self.models, "distill.students": students}.items():
            if doubled := [name for name in names if names.count(name) > 1]:
                raise ValueError(
                    f"`{key}` must name each model once, and names {doubled[0]} {names.count(doubled[0])} times"
                )
        for name in self.held_out:
            if name in self.clusters:
                raise ValueError(f"`held_out` must have names of their own, {name!r} is among the clusters")
            if name == "result":  # what the orders of the test clusters are called
                raise ValueError("`held_out` must have names other than 'result'; call it what it is")
        for key in ("epochs", "training_sizes"):
            for name in getattr(self, key):
                check_choice(key, name, self.training_sets)
        for name, training_set in self.training_sets.items():
            taught = students if self.distill and name in (self.distill.training_sets or self.training_sets) else ()
            loose = [model for model in dict.fromkeys((*self.models, *taught)) if not MODELS[model].fixes_atoms]
            if training_set.isolated_atom == "fixed" and loose:
                raise ValueError(
                    f"`training_sets.{name}.isolated_atom` must be free for {', '.join(loose)}, which cannot fix "
                    f"the energy of an atom"
                )
            for group in training_set.groups or ():
                check_choice(f"training_sets.{name}.groups", group, self.clusters)
            training_set.composition(name)
            known = [sampler.n_atoms for sampler in self._drawn_from(name)]
            check_yield(name, training_set, max(known, default=None))
        for name, sizes in self.training_sizes.items():
            check_sizes(name, sizes, [sampler.n_clusters for sampler in self._drawn_from(name)], self.split)
        if self.distill is not None:
            for name in self.distill.teachers or ():
                check_choice("distill.teachers", name, [*self.models, *self.pretrained])
            for name in self.distill.training_sets or ():
                check_choice("distill.training_sets", name, self.training_sets)
        for group, sampler in self.clusters.items():
            if not isinstance(sampler, FromFile):
                self._check_group(group, sampler.n_clusters, sampler.n_atoms)
        return self

    def _drawn_from(self, name: str) -> list[LowDensity | HighDensity | Thermal]:
        """The clusters that a training set draws from; none where files are among them."""
        samplers = [self.clusters[group] for group in self.training_sets[name].groups or self.clusters]
        known = [sampler for sampler in samplers if not isinstance(sampler, FromFile)]
        return known if len(known) == len(samplers) else []

    def _check_group(self, group: str, n_clusters: int, n_atoms: int) -> None:
        if self.models and n_clusters < FEWEST:
            raise ValueError(
                f"`clusters.{group}.n_clusters` must be at least {FEWEST} to train, validate and test, got {n_clusters}"
            )
        for name, training_set in self.training_sets.items():
            if training_set.orders != "all" and training_set.groups in (None, (group,)):
                for size in training_set.orders:
                    if size > n_atoms:
                        raise ValueError(
                            f"`training_sets.{name}.orders` must be sizes of sub-clusters, got {size} where the clusters of "
                            f"{group} have {n_atoms} atoms"
                        )


def check_sizes(name: str, sizes: tuple[int, ...], groups: list[int], split: SplitOptions) -> None:
    """Check that points of a learning curve have the clusters that they need.

    :param name: of the training set
    :param sizes: training clusters of each group
    :param groups: clusters of each group that it draws from; nothing is checked where these are not known
    :param split: how they are divided
    :raises InputError: if none of the groups has as many
    """
    if groups and max(groups) >= FEWEST:
        most = len(split_structures(max(groups), split.fractions).training)
        if max(sizes, default=0) > most:
            raise InputError(
                f"`training_sizes.{name}` must be numbers of training clusters that a group has, {most} at most, got "
                f"{max(sizes)}; lower it, or give the groups more clusters"
            )


def check_yield(name: str, training_set: TrainingSetOptions, largest: int | None) -> None:
    """Check that a training set gives models something to learn from.

    :param name: of the training set
    :param training_set: what it consists of
    :param largest: atoms of the largest cluster that it draws from, None where that is not known
    :raises InputError: if it does not
    """
    if training_set.groups == ():
        raise InputError(
            f"`training_sets.{name}.groups` must name groups of clusters, and names none; leave it out for all"
        )
    if training_set.whole_clusters or training_set.orders == "all":
        return
    if set(training_set.orders) == {1}:
        raise InputError(
            f"`training_sets.{name}.orders` must hold more than 1 where `whole_clusters` is false: from single atoms alone "
            f"models learn nothing; add larger sizes"
        )
    if largest is not None and min(training_set.orders) >= largest:
        raise InputError(
            f"training set {name!r} must yield clusters, and yields none: clusters of {largest} atoms have no sub-clusters of "
            f"{min(training_set.orders)}, and `whole_clusters` is false; lower `training_sets.{name}.orders`"
        )
