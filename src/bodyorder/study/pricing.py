"""What a study will cost, before anything of it runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import comb

import ase

from bodyorder.config import FromFile, Sampler, StudyOptions, Thermal
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources import load_source
from bodyorder.study.checks import check_study
from bodyorder.study.grid import Cell, lessons, trained_cells
from bodyorder.study.sampling import sample_group
from bodyorder.training.models import MODELS
from bodyorder.training.options import training_options


@dataclass(frozen=True)
class PlanLine:
    """Cost of one part of a study.

    :param stage: which stages
    :param what: what is done, in numbers
    :param core_hours: on a core like this machine's
    :param basis: where the figure comes from
    """

    stage: str
    what: str
    core_hours: float
    basis: str


@dataclass(frozen=True)
class StudyPlan:
    """Cost of a study.

    :param lines: part by part
    :param workers: processes at a time
    """

    lines: tuple[PlanLine, ...]
    workers: int

    @property
    def core_hours(self) -> float:
        """Of all parts."""
        return sum(line.core_hours for line in self.lines)


def plan_study(options: StudyOptions) -> StudyPlan:
    """Price a study from a timed sample of its reference, and from the measured training speed of its models.

    The body orders of trained models cost little beside these, and are left out.

    :param options: of the study
    :raises InputError: if the options cannot work
    """
    check_study(options, {name: load_source(spec) for name, spec in options.pretrained.items()})
    reference = load_source(options.reference)
    lines = []
    groups: dict[str, tuple[Sampler, int | None, bool]] = {
        group: (sampler, None, options.with_forces) for group, sampler in options.clusters.items()
    }
    groups |= {group: (held.clusters, held.max_order, False) for group, held in options.held_out.items()}
    for group, (sampler, max_order, forces) in groups.items():
        clusters, copies = _examples(group, sampler, options.seed)
        cost = plan(clusters, reference, Selection(max_order=max_order), forces=forces)
        timed = int(cost.order.values[cost.measured.values].max())
        count = int(cost.n_clusters.sum()) * copies
        lines.append(
            PlanLine(
                f"label/{group}",
                f"{count:,} sub-clusters of {len(clusters) * copies:,} clusters by {reference.name}",
                float(cost.core_seconds.sum()) * copies / 3600,
                f"timed up to {timed} bodies" + ("" if cost.measured.all() else ", extrapolated beyond"),
            )
        )
    # Seeds cost the same, and one line says what all of them do.
    trained = Counter(replace(cell, seed=options.seed, several=False) for cell in trained_cells(options))
    lines += [_training(options, cell, f"train/{cell.name}", count) for cell, count in trained.items()]
    taught = Counter(
        replace(lesson.student, seed=options.seed, several=False)
        for lesson in lessons(options)
        if not lesson.in_grid(options)
    )
    lines += [_training(options, cell, f"distill/{cell.name}", count) for cell, count in taught.items()]
    return StudyPlan(tuple(lines), options.workers)


def _examples(group: str, sampler: Sampler, seed: int) -> tuple[list[ase.Atoms], int]:
    """Clusters to time, and how many such lots the group has."""
    if isinstance(sampler, FromFile):
        return sample_group(group, sampler, seed), 1
    one = {"n_clusters": 1} | ({"equilibration": 1, "interval": 1} if isinstance(sampler, Thermal) else {})
    return sample_group(group, sampler.model_copy(update=one), seed), sampler.n_clusters


def _training(options: StudyOptions, cell: Cell, stage: str, count: int) -> PlanLine:
    n_clusters = _training_set_size(options, cell)
    chosen = MODELS[cell.model].sizes[options.size]
    sizes = [8] * n_clusters
    training = training_options(
        cell.model, sizes, elements={1}, epochs=options.epochs.get(str(cell.makeup)), size=options.size
    )["architecture"]["training"]
    if chosen.budget is None:
        what, seconds = f"about {n_clusters:,} clusters, solved at once", n_clusters * (chosen.seconds_per_cluster or 0)
    else:
        steps = training["num_epochs"] * (n_clusters // training["batch_size"])
        what = f"about {n_clusters:,} clusters, {training['num_epochs']:,} epochs, {steps:,} steps"
        seconds = steps * chosen.budget.seconds_per_step
    if count > 1:
        what = f"{count} trainings: {what}"
    return PlanLine(stage, what, count * seconds / 3600, chosen.basis)


def _training_set_size(options: StudyOptions, cell: Cell) -> int:
    """Expected number of clusters in a training set of one element; single atoms of one parent are one cluster."""
    content = cell.content(options)
    total = 0.0
    for group, sampler in options.clusters.items():
        if content.groups is not None and group not in content.groups:
            continue
        if isinstance(sampler, FromFile):
            frames = sample_group(group, sampler, options.seed)
            n_clusters, n_atoms = len(frames), max(len(atoms) for atoms in frames)
        else:
            n_clusters, n_atoms = sampler.n_clusters, sampler.n_atoms
        orders = range(1, n_atoms) if content.orders == "all" else content.orders
        each = float(content.parents)
        for order in orders:
            distinct = 1 if order == 1 else comb(n_atoms, order)
            each += min(max(1, round(content.fraction * distinct)), content.per_parent or distinct)
        parents = options.split.train * n_clusters
        total += min(parents, content.n_parents or parents) * each
    return max(1, round(total))
