"""What a study will cost, before anything of it runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import comb

import ase

from bodyorder.config import FromFile, Sampler, StudyOptions
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources import load_source
from bodyorder.study.checks import check_study
from bodyorder.study.distillation import distilled_runs
from bodyorder.study.runs import Run, trained_runs
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
    trained = Counter(replace(run, seed=options.seed, several=False) for run in trained_runs(options))
    lines += [_training(options, run, f"train/{run.name}", count) for run, count in trained.items()]
    taught = Counter(
        replace(run.student, seed=options.seed, several=False)
        for run in distilled_runs(options)
        if not run.in_grid(options)
    )
    lines += [_training(options, run, f"distill/{run.name}", count) for run, count in taught.items()]
    return StudyPlan(tuple(lines), options.workers)


def _examples(group: str, sampler: Sampler, seed: int) -> tuple[list[ase.Atoms], int]:
    """Clusters to time, and how many such lots the group has."""
    if isinstance(sampler, FromFile):
        return sample_group(group, sampler, seed), 1
    return sample_group(group, sampler.one(), seed), sampler.n_clusters


def _training(options: StudyOptions, run: Run, stage: str, count: int) -> PlanLine:
    sizes, elements = _training_set(options, run)
    n_clusters, chosen = len(sizes), MODELS[run.model].sizes[options.size]
    training = training_options(
        run.model, sizes, elements=elements, epochs=options.epochs.get(str(run.training_set)), size=options.size
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


def _training_set(options: StudyOptions, run: Run) -> tuple[list[int], set[int]]:
    """Expected numbers of atoms of the clusters of a training set, and its elements.

    Single atoms of one element are one cluster.
    """
    wanted, elements = run.set_options(options), set[int]()
    expected: dict[int, float] = defaultdict(float)
    for group, sampler in options.clusters.items():
        if wanted.groups is not None and group not in wanted.groups:
            continue
        if isinstance(sampler, FromFile):
            parents = [
                (len(atoms), set(atoms.numbers.tolist())) for atoms in sample_group(group, sampler, options.seed)
            ]
        else:
            parents = [(sampler.n_atoms, sampler.elements)] * sampler.n_clusters
        n_training = options.split.train * len(parents)
        share = min(n_training, wanted.n_clusters or n_training) / len(parents)
        for n_atoms, own in parents:
            elements |= own
            expected[n_atoms] += share * wanted.whole_clusters
            for order in range(1, n_atoms) if wanted.orders == "all" else wanted.orders:
                if distinct := 0 if order >= n_atoms else len(own) if order == 1 else comb(n_atoms, order):
                    number = min(max(1, round(wanted.fraction * distinct)), wanted.per_cluster or distinct)
                    expected[order] += share * number
    return [size for size, number in expected.items() for _ in range(round(number))] or [max(expected)], elements
