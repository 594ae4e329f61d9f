"""The command that prices a decomposition before anything runs."""

from __future__ import annotations

import argparse
from typing import Any

from bodyorder._checks import InputError, check_between
from bodyorder.cli.running import announcer, load_sources
from bodyorder.cli.selection import add_level, add_selection, read_sampling
from bodyorder.cli.sources import SOURCE_HELP


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    plan = commands.add_parser("plan", help="counts, cost, memory and noise before anything runs")
    plan.add_argument("structures", metavar="STRUCTURES|CONFIG", help="structures, or a study in YAML")
    by = plan.add_mutually_exclusive_group()
    by.add_argument(
        "--source",
        action="append",
        metavar="SPEC",
        help=f"{SOURCE_HELP}; given several times, they are compared; for a study its own reference",
    )
    add_level(by)
    add_selection(plan)
    plan.add_argument("--forces", action="store_true", help="price forces too")
    plan.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that will share the work (default: the cores of this machine)",
    )
    plan.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> None:
    if args.structures.endswith((".yaml", ".yml")):
        if args.boundaries != "given":
            raise InputError(f"`--{args.boundaries}` belongs to structures, and a study has its own options")
        for name in ("source", "level", "max_order", "no_whole", "cutoff", "workers", "samples", "error", "seed"):
            if getattr(args, name) not in (None, False):
                raise InputError(f"`--{name.replace('_', '-')}` belongs to structures, and a study has its own options")
        from bodyorder.cli.tables import print_study_plan
        from bodyorder.config import load_config
        from bodyorder.study.planning import plan_study

        print_study_plan(plan_study(load_config(args.structures)))
        return
    from bodyorder.cli.tables import print_plans
    from bodyorder.engine.executors import MOST_WORKERS
    from bodyorder.engine.levels import check_together, parse_levels, read_levels
    from bodyorder.engine.planning import plan
    from bodyorder.engine.selection import Selection
    from bodyorder.structures import read_structures
    from bodyorder.structures.bodies import divide

    if args.source is None and args.level is None:
        raise InputError("`--source` must say which energies to price, and is missing")
    if args.workers is not None:
        check_between("workers", args.workers, 1, MOST_WORKERS)
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    sampling = read_sampling(args)
    levels = None if args.level is None else read_levels(parse_levels(args.level))
    sources, workers = [], []
    for spec in args.source if levels is None else levels.sources:
        (source,), needed = load_sources(args, [spec])
        sources.append(source)
        workers.append(needed)
    asked = [(source, args.max_order, not args.no_whole) for source in sources]
    if levels is not None:
        check_together(structures, sampling=sampling is not None)
        n_bodies = max(len(partition) for partition in divide(structures, args.bodies))
        runs = levels.up_to(args.max_order, n_bodies, sources, whole=not args.no_whole).runs
        workers = [workers[sources.index(run.source)] for run in runs]
        asked = [(run.source, run.max_order, run.whole) for run in runs]
    announce = announcer()
    plans = [
        plan(
            structures,
            source,
            Selection(max_order, args.bodies, args.cutoff, sampling, whole=whole),
            forces=args.forces,
            announce=announce,
        )
        for source, max_order, whole in asked
    ]
    # so much is done here, and so much is left, when workers are started
    started = [float(priced.core_seconds.sum()) >= 2 * worth for priced, (_, worth) in zip(plans, workers, strict=True)]
    print_plans(plans, [count if there else 1 for (count, _), there in zip(workers, started, strict=True)])
