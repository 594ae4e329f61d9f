"""Commands on structures and energy sources: sample, plan, decompose, correct, check."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from bodyorder._checks import ComputationError, InputError, check_between, check_output
from bodyorder.cli.sources import SOURCE_HELP, add_one_body, add_trust, trusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodyorder.engine import Sampling
    from bodyorder.sources.protocol import EnergySource


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    sample = commands.add_parser("sample", help="hydrogen clusters, or parts of structures")
    what = sample.add_mutually_exclusive_group(required=True)
    what.add_argument("config", metavar="CONFIG", nargs="?", help="a study; its clusters are sampled")
    what.add_argument("--preset", choices=("low-density", "high-density"), help="a sampler with its usual options")
    what.add_argument("--subclusters", metavar="FILE", help="structures whose sub-clusters are written")
    what.add_argument(
        "--surroundings",
        metavar="FILE",
        help="structures, periodic or not, of which atoms are written with all around them",
    )
    sample.add_argument("--order", type=int, help="number of bodies of the sub-clusters; all if not given")
    sample.add_argument("--radius", type=float, metavar="Å", help="how far around an atom")
    sample.add_argument(
        "--atoms", type=int, help="atoms in a cluster of a preset (default: 8), or around an atom at most"
    )
    sample.add_argument(
        "--clusters", type=int, help="clusters of a preset, or atoms whose surroundings are drawn (default: 100)"
    )
    sample.add_argument("--seed", type=int, help="of what is drawn (default: 0)")
    sample.add_argument("-o", "--output", required=True, metavar="XYZ", help="file to write")
    sample.set_defaults(run=_sample)

    plan = commands.add_parser("plan", help="counts, cost, memory and noise before anything runs")
    plan.add_argument("structures", metavar="STRUCTURES|CONFIG", help="structures, or a study in YAML")
    by = plan.add_mutually_exclusive_group()
    by.add_argument(
        "--source",
        action="append",
        metavar="SPEC",
        help=f"{SOURCE_HELP}; given several times, they are compared; for a study its own reference",
    )
    _add_level(by)
    _add_selection(plan)
    plan.add_argument("--forces", action="store_true", help="price forces too")
    plan.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that will share the work (default: the cores of this machine)",
    )
    plan.set_defaults(run=_plan)

    decompose = commands.add_parser("decompose", help="resolve energies into body orders")
    decompose.add_argument("structures", metavar="STRUCTURES", help="a file of structures, of any usual format")
    by = decompose.add_mutually_exclusive_group(required=True)
    by.add_argument("--source", metavar="SPEC", help=SOURCE_HELP)
    _add_level(by)
    _add_selection(decompose)
    decompose.add_argument("--forces", action="store_true", help="resolve forces too")
    decompose.add_argument(
        "--hessians", action="store_true", help="resolve second derivatives too, and harmonic frequencies"
    )
    decompose.add_argument("--atom-energies", action="store_true", help="resolve the model's own energies of atoms too")
    decompose.add_argument(
        "--members", action="store_true", help="resolve the several energies of a source: ensemble, heads or parts"
    )
    decompose.add_argument(
        "--measure-noise",
        action="store_true",
        help="measure the error of one energy on replicas, turned, shifted and deformed a little",
    )
    decompose.add_argument(
        "--same-distance", type=float, metavar="Å", help="take sub-clusters for congruent whose distances agree to this"
    )
    add_one_body(decompose)
    decompose.add_argument(
        "--field",
        metavar="mulliken|chelpg|column:NAME|O=e,H=e",
        help="point charges in place of the bodies that a sub-cluster lacks: found by the source, of a column, or by element",
    )
    decompose.add_argument("--subsets", action="store_true", help="keep energy and contribution of every sub-cluster")
    _add_running(decompose)
    decompose.add_argument("-o", "--output", required=True, metavar="NC", help="file to write")
    decompose.set_defaults(run=_decompose)

    correct = commands.add_parser("correct", help="energies by a cheap source, their first orders by a better one")
    correct.add_argument("structures", metavar="STRUCTURES", help="a file of structures, of any usual format")
    correct.add_argument("--low", required=True, metavar="SPEC", help=f"of the whole structures: {SOURCE_HELP}")
    correct.add_argument("--high", required=True, metavar="SPEC", help="energy source of the orders that are corrected")
    correct.add_argument(
        "--max-order", type=int, default=2, metavar="N", help="largest number of bodies by it (default: 2)"
    )
    _add_bodies(correct)
    _add_boundaries(correct)
    correct.add_argument("--cutoff", type=float, metavar="Å", help="take only sub-clusters whose bodies are this near")
    correct.add_argument("--forces", action="store_true", help="correct forces too")
    add_trust(correct)
    _add_running(correct)
    correct.add_argument("--orders", metavar="NC", help="file to write the orders to")
    correct.add_argument(
        "-o", "--output", required=True, metavar="XYZ", help="file to write the labelled structures to"
    )
    correct.set_defaults(run=_correct)

    check = commands.add_parser("check", help="does an energy source behave as one must?")
    check.add_argument("source", metavar="SPEC", help=SOURCE_HELP)
    check.add_argument("--species", nargs="+", metavar="X", help="chemical symbols to try it on (default: H)")
    add_one_body(check)
    add_trust(check)
    check.set_defaults(run=_check)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-order", type=int, metavar="N", help="largest number of bodies (default: all)")
    parser.add_argument(
        "--no-whole", action="store_true", help="leave out the energy of the whole beyond the largest number of bodies"
    )
    _add_bodies(parser)
    _add_boundaries(parser)
    parser.add_argument("--cutoff", type=float, metavar="Å", help="take only sub-clusters whose bodies are this near")
    parser.add_argument("--samples", type=int, metavar="N", help="estimate every order from so many sub-clusters")
    parser.add_argument("--error", type=float, metavar="eV", help="sample on until every order is known this well")
    parser.add_argument("--seed", type=int, metavar="N", help="of the samples (default: 0)")
    add_trust(parser)


def _add_level(parser: argparse._MutuallyExclusiveGroup) -> None:
    parser.add_argument(
        "--level",
        action="append",
        metavar="ORDERS=SPEC",
        help="a source for some orders, such as 1-2=SPEC, and rest=SPEC for all above; given several times",
    )


def _add_bodies(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bodies",
        default="atoms",
        metavar="atoms|molecules|residues|column:NAME|FILE",
        help="what is one body (default: atoms); a column names the body of each atom in each frame",
    )


def _add_boundaries(parser: argparse.ArgumentParser) -> None:
    boundaries = parser.add_mutually_exclusive_group()
    boundaries.add_argument(
        "--free", dest="boundaries", action="store_const", const="free", default="given", help="drop the cell"
    )
    boundaries.add_argument(
        "--periodic",
        dest="boundaries",
        action="store_const",
        const="periodic",
        help="repeat the cell in all directions",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="FILE", help="energies already computed; what is computed is added")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (default: the cores, as soon as they pay off)"
    )
    where.add_argument("--executor", metavar="URL", help="address of a Dask scheduler, tcp://host:port")


def _sampling(args: argparse.Namespace) -> Sampling | None:
    """The sample that the options ask for, None for all sub-clusters."""
    given = {name: getattr(args, name) for name in ("samples", "error", "seed") if getattr(args, name) is not None}
    if not given:
        return None
    if given.keys() == {"seed"}:
        raise InputError("`--seed` belongs to `--samples` or `--error`, and neither is given")
    from bodyorder.engine import Sampling

    return Sampling(**given)


def _sample(args: argparse.Namespace) -> None:
    from bodyorder.structures import read_structures, write_structures
    from bodyorder.structures.surroundings import cut_surroundings
    from bodyorder.study.sampling import sample_all, subclusters

    inputs = [path for path in (args.config, args.subclusters, args.surroundings) if path]
    output = check_output(args.output, never=inputs)
    _refuse_idle_options(args)
    n_clusters = 100 if args.clusters is None else args.clusters
    seed = 0 if args.seed is None else args.seed
    if args.subclusters is not None:
        clusters = subclusters(read_structures(args.subclusters), args.order)
    elif args.surroundings is not None:
        if args.radius is None:
            raise InputError("`--radius` must be given with `--surroundings`, and is not")
        most = {} if args.atoms is None else {"max_atoms": args.atoms}
        clusters = cut_surroundings(
            read_structures(args.surroundings, periodic=True), args.radius, n_clusters, seed, **most
        )
    elif args.preset is not None:
        from bodyorder.config import sample

        clusters = sample(args.preset, 8 if args.atoms is None else args.atoms, n_clusters, seed)
    else:
        from bodyorder.config import load_config

        clusters = sample_all(load_config(args.config))
    write_structures(output, clusters)
    print(f"{len(clusters)} structures in {output}")


def _refuse_idle_options(args: argparse.Namespace) -> None:
    """Refuse options that would do nothing."""
    if args.preset is None and args.surroundings is None:
        for name in ("atoms", "clusters", "seed"):
            if getattr(args, name) is not None:
                raise InputError(f"`--{name}` belongs to `--preset` or `--surroundings`, and neither is given")
    for name, owner in (("order", "subclusters"), ("radius", "surroundings")):
        if getattr(args, owner) is None and getattr(args, name) is not None:
            raise InputError(f"`--{name}` belongs to `--{owner}`, which is not given")


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
    from bodyorder.sources import load_source
    from bodyorder.structures import read_structures
    from bodyorder.structures.bodies import divide

    if args.source is None and args.level is None:
        raise InputError("`--source` must say which energies to price, and is missing")
    if args.workers is not None:
        check_between("workers", args.workers, 1, MOST_WORKERS)
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    sampling = _sampling(args)
    levels = None if args.level is None else read_levels(parse_levels(args.level))
    sources, workers = [], []
    for spec in args.source if levels is None else levels.sources:
        begin = time.perf_counter()
        sources.append(load_source(trusted(spec, args.trust)))
        workers.append(_workers(args.workers, sources[-1:], time.perf_counter() - begin))
    asked = [(source, args.max_order, not args.no_whole) for source in sources]
    if levels is not None:
        check_together(structures, sampling=sampling is not None)
        n_bodies = max(len(partition) for partition in divide(structures, args.bodies))
        runs = levels.up_to(args.max_order, n_bodies, sources, whole=not args.no_whole).runs
        workers = [workers[sources.index(run.source)] for run in runs]
        asked = [(run.source, run.max_order, run.whole) for run in runs]
    announce = _announcer()
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


def _announcer() -> Callable[[str], None]:
    """What prints the line of what was read, once for all sources to which it is the same."""
    said: set[str] = set()

    def announce(line: str) -> None:
        if line not in said:
            print(f"read: {line}")
        said.add(line)

    return announce


def _decompose(args: argparse.Namespace) -> None:
    from bodyorder.cli.frequencies import print_frequencies
    from bodyorder.cli.members import print_members
    from bodyorder.cli.tables import print_orders
    from bodyorder.engine import decompose
    from bodyorder.engine.executors import open_executor
    from bodyorder.engine.levels import parse_levels
    from bodyorder.results.files import save
    from bodyorder.sources import load_source
    from bodyorder.sources.one_body import parse_one_body
    from bodyorder.structures import read_structures
    from bodyorder.structures.field import parse_field

    one_body = parse_one_body(args.one_body)
    field = None if args.field is None else parse_field(args.field)
    output = check_output(args.output, never=[path for path in (args.structures, args.store) if path])
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    specs = {"": args.source} if args.level is None else parse_levels(args.level)
    begin = time.perf_counter()
    sources = {orders: load_source(trusted(spec, args.trust)) for orders, spec in specs.items()}
    workers, worth = _workers(args.workers, list(sources.values()), time.perf_counter() - begin)
    with open_executor(workers, args.executor, worth) as executor:
        result = decompose(
            structures,
            sources if args.level is not None else sources[""],
            max_order=args.max_order,
            whole=not args.no_whole,
            bodies=args.bodies,
            cutoff=args.cutoff,
            field=field,
            sampling=_sampling(args),
            forces=args.forces,
            hessians=args.hessians,
            atom_energies=args.atom_energies,
            members=args.members,
            subsets=args.subsets,
            measure_noise=args.measure_noise or None,
            one_body=one_body,
            **({} if args.same_distance is None else {"same_distance": args.same_distance}),
            store=args.store,
            executor=executor,
            progress=True,
            announce=_announcer(),
        )
    save(result, output)
    print_orders(result)
    print_members(result)
    print_frequencies(result)
    print(f"written to {output}")
    failed = result.failure.values != ""
    if failed.any():
        raise ComputationError(
            f"{failed.sum()} of {len(failed)} structures are incomplete: {result.failure.values[failed][0]}"
        )


def _correct(args: argparse.Namespace) -> None:
    from bodyorder.engine import correct
    from bodyorder.engine.executors import open_executor
    from bodyorder.results.files import save
    from bodyorder.sources import load_source
    from bodyorder.structures import read_structures, write_structures

    inputs = [path for path in (args.structures, args.store) if path]
    output = check_output(args.output, never=inputs)
    orders = None if args.orders is None else check_output(args.orders, never=[*inputs, args.output])
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    begin = time.perf_counter()
    low, high = (load_source(trusted(spec, args.trust)) for spec in (args.low, args.high))
    workers, worth = _workers(args.workers, [low, high], time.perf_counter() - begin)
    with open_executor(workers, args.executor, worth) as executor:
        found = correct(
            structures,
            low=low,
            high=high,
            max_order=args.max_order,
            bodies=args.bodies,
            cutoff=args.cutoff,
            forces=args.forces,
            store=args.store,
            executor=executor,
            progress=True,
            announce=_announcer(),
        )
    if orders is not None:
        save(found.result, orders)
        print(f"orders written to {orders}")
    if found.structures:
        write_structures(output, found.structures)
        print(f"{len(found.structures)} of {len(structures)} structures, labelled, written to {output}")
    if found.incomplete:
        names = ", ".join(found.incomplete)
        raise ComputationError(
            f"structures without a label were not written: {names}; the first: {next(iter(found.incomplete.values()))}"
        )


def _workers(wanted: int | None, sources: list[EnergySource], loaded: float) -> tuple[int, float]:
    """Worker processes, and the seconds of work that are worth starting them.

    They pay for sources that do one sub-cluster after the other, if there is enough to do; others use the cores by themselves.

    :param wanted: how many the user wants, in any case
    :param loaded: seconds that loading the sources took, which every one of them does again
    """
    from bodyorder.engine.executors import START_SECONDS

    if wanted is not None:
        return wanted, 0.0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (cores if any(source.capabilities.serial for source in sources) else 1), START_SECONDS + loaded


def _check(args: argparse.Namespace) -> int:
    from bodyorder.cli.tables import print_checks
    from bodyorder.engine.executors import open_executor
    from bodyorder.sources import load_source
    from bodyorder.sources.one_body import parse_one_body
    from bodyorder.testing import check_source
    from bodyorder.testing.parallel import AT_ONCE

    one_body = parse_one_body(args.one_body)
    source = load_source(trusted(args.source, args.trust))
    with open_executor(AT_ONCE) as executor:  # processes start when there is work for them
        report = check_source(source, species=args.species, one_body=one_body, executor=executor)
    print_checks(report)
    return 0 if report.passed else 1
