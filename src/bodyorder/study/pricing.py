"""What a study will cost, before anything of it runs."""

from __future__ import annotations

from dataclasses import dataclass

from bodyorder.config import StudyOptions
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources import load_source
from bodyorder.study.sampling import sample_group
from bodyorder.training.models import MODELS


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

    :param options: of the study
    :raises InputError: if the options cannot work
    """
    reference = load_source(options.reference)
    lines = []
    for group, sampler in options.clusters.items():
        clusters = sample_group(group, sampler, options.seed)
        cost = plan(clusters, reference, Selection(), forces=True)
        timed = int(cost.order.values[cost.measured.values].max())
        lines.append(
            PlanLine(
                f"label/{group}",
                f"{int(cost.n_clusters.sum()):,} sub-clusters of {len(clusters):,} clusters by {reference.name}",
                float(cost.core_seconds.sum()) / 3600,
                f"timed up to {timed} bodies" + ("" if cost.measured.all() else ", extrapolated beyond"),
            )
        )
    return StudyPlan((*lines, *_trainings(options)), options.workers)


def _trainings(options: StudyOptions) -> list[PlanLine]:
    lines = []
    for name in options.models:
        chosen = MODELS[name].sizes[options.size]
        seconds = chosen.seconds_per_step * chosen.steps * len(options.makeups)
        what = f"{len(options.makeups)} trainings of at most {chosen.steps:,} steps"
        lines.append(PlanLine(f"train/{name}", what, seconds / 3600, chosen.basis))
    return lines
