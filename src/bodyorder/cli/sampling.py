"""The command that makes structures: hydrogen clusters, sub-clusters, surroundings of atoms."""

from __future__ import annotations

import argparse
from typing import Any

from bodyorder._checks import InputError, check_output


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
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
