"""Commands that compute energies: decompose and correct."""

from __future__ import annotations

import argparse
from typing import Any

from bodyorder._checks import ComputationError, check_output
from bodyorder.cli.running import add_running, announcer, load_sources
from bodyorder.cli.selection import add_bodies, add_boundaries, add_level, add_selection, read_sampling
from bodyorder.cli.sources import SOURCE_HELP, add_one_body, add_trust


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    decompose = commands.add_parser("decompose", help="resolve energies into body orders")
    decompose.add_argument("structures", metavar="STRUCTURES", help="a file of structures, of any usual format")
    by = decompose.add_mutually_exclusive_group(required=True)
    by.add_argument("--source", metavar="SPEC", help=SOURCE_HELP)
    add_level(by)
    add_selection(decompose)
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
    add_running(decompose)
    decompose.add_argument("-o", "--output", required=True, metavar="NC", help="file to write")
    decompose.set_defaults(run=_decompose)

    correct = commands.add_parser("correct", help="energies by a cheap source, their first orders by a better one")
    correct.add_argument("structures", metavar="STRUCTURES", help="a file of structures, of any usual format")
    correct.add_argument("--low", required=True, metavar="SPEC", help=f"of the whole structures: {SOURCE_HELP}")
    correct.add_argument("--high", required=True, metavar="SPEC", help="energy source of the orders that are corrected")
    correct.add_argument(
        "--max-order", type=int, default=2, metavar="N", help="largest number of bodies by it (default: 2)"
    )
    add_bodies(correct)
    add_boundaries(correct)
    correct.add_argument("--cutoff", type=float, metavar="Å", help="take only sub-clusters whose bodies are this near")
    correct.add_argument("--forces", action="store_true", help="correct forces too")
    add_trust(correct)
    add_running(correct)
    correct.add_argument("--orders", metavar="NC", help="file to write the orders to")
    correct.add_argument(
        "-o", "--output", required=True, metavar="XYZ", help="file to write the labelled structures to"
    )
    correct.set_defaults(run=_correct)


def _decompose(args: argparse.Namespace) -> None:
    from bodyorder.cli.frequencies import print_frequencies
    from bodyorder.cli.members import print_members
    from bodyorder.cli.tables import print_orders
    from bodyorder.engine import decompose
    from bodyorder.engine.executors import open_executor
    from bodyorder.engine.levels import parse_levels
    from bodyorder.results.files import save
    from bodyorder.sources.one_body import parse_one_body
    from bodyorder.structures import read_structures
    from bodyorder.structures.field import parse_field

    one_body = parse_one_body(args.one_body)
    field = None if args.field is None else parse_field(args.field)
    output = check_output(args.output, never=[path for path in (args.structures, args.store) if path])
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    specs = {"": args.source} if args.level is None else parse_levels(args.level)
    sources, (workers, worth) = load_sources(args, specs.values())
    with open_executor(workers, args.executor, worth) as executor:
        result = decompose(
            structures,
            sources[0] if args.level is None else dict(zip(specs, sources, strict=True)),
            max_order=args.max_order,
            whole=not args.no_whole,
            bodies=args.bodies,
            cutoff=args.cutoff,
            field=field,
            sampling=read_sampling(args),
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
            announce=announcer(),
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
    from bodyorder.structures import read_structures, write_structures

    inputs = [path for path in (args.structures, args.store) if path]
    output = check_output(args.output, never=inputs)
    orders = None if args.orders is None else check_output(args.orders, never=[*inputs, args.output])
    structures = read_structures(args.structures, periodic=True, boundaries=args.boundaries)
    (low, high), (workers, worth) = load_sources(args, (args.low, args.high))
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
            announce=announcer(),
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
