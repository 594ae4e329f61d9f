"""Commands on results and studies: join, compare, report, train, study."""

from __future__ import annotations

import argparse
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyorder._checks import InputError, check_between, check_choice, check_output

if TYPE_CHECKING:
    import xarray as xr

    from bodyorder.analysis import Aligned


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    train = commands.add_parser("train", help="train the models of a study on its training sets")
    train.add_argument("config", metavar="CONFIG", help="a study in YAML")
    train.set_defaults(run=_train)

    join = commands.add_parser("join", help="results of different structures by one source, as one")
    join.add_argument("results", metavar="RESULTS", nargs="+", help="files written by `bodyorder decompose`")
    join.add_argument("--no-subsets", action="store_true", help="leave out energies and contributions of sub-clusters")
    join.add_argument("-o", "--output", required=True, metavar="NC", help="file to write")
    join.set_defaults(run=_join)

    compare = commands.add_parser("compare", help="order by order, against a reference")
    compare.add_argument("results", metavar="RESULTS", nargs="+", help="files written by `bodyorder decompose`")
    compare.add_argument(
        "--reference", required=True, metavar="NAME", help="which of them: its file name without suffix"
    )
    compare.add_argument("-o", "--output", metavar="NC", help="file for the comparison")
    compare.set_defaults(run=_compare)

    environment = commands.add_parser("environment", help="body orders in their environment, beside those in vacuum")
    environment.add_argument(
        "results", metavar="RESULTS", nargs="+", help="files written by `bodyorder decompose --subsets`"
    )
    environment.add_argument(
        "--weights",
        default="size",
        metavar="size|banzhaf|shapley|sizes>=M",
        help="what counts alike: every size (default), every sub-cluster, by the Shapley kernel, every size from M on",
    )
    environment.add_argument("--max-order", type=int, metavar="N", help="largest number of bodies (default: all)")
    environment.add_argument("--sum-rule", action="store_true", help="make approximations exact at the full cluster")
    environment.add_argument(
        "--interactions", type=int, metavar="N", help="write interaction indices of up to N bodies too"
    )
    environment.add_argument("-o", "--output", required=True, metavar="NC", help="file to write")
    environment.set_defaults(run=_environment)

    report = commands.add_parser("report", help="one self-contained page")
    report.add_argument("results", metavar="RESULTS", nargs="+", help="files written by `bodyorder decompose`")
    report.add_argument("--reference", metavar="NAME", help="which of them the others are compared with")
    report.add_argument("--title", default="Body orders", help="heading of the page")
    report.add_argument("-o", "--output", required=True, metavar="HTML", help="file to write")
    report.set_defaults(run=_report)

    study = commands.add_parser("study", help="all of it, resumable")
    study.add_argument("config", metavar="CONFIG", help="a study in YAML")
    study.set_defaults(run=_study)


def _train(args: argparse.Namespace) -> None:
    from bodyorder.config import load_config
    from bodyorder.study import train_models
    from bodyorder.study.grid import read_errors

    options = load_config(args.config)
    if not options.models:
        raise InputError(f"`models` in {args.config} must name models to train, and names none")
    for folder in train_models(options):
        errors = read_errors(folder)
        forces = "" if math.isnan(errors["force_rmse"]) else f", {errors['force_rmse']:.0f} meV/Å"
        print(f"{folder}: {errors['energy_rmse']:.1f} meV/atom{forces} on its test set")


def _study(args: argparse.Namespace) -> None:
    from bodyorder.config import load_config
    from bodyorder.study import run_study

    print(f"report: {run_study(load_config(args.config))}")


def _join(args: argparse.Namespace) -> None:
    from bodyorder.cli.members import print_members
    from bodyorder.cli.tables import print_orders
    from bodyorder.results import join
    from bodyorder.results.files import load, save

    output = check_output(args.output, never=args.results)
    twice = [path for path, count in Counter(map(os.path.realpath, args.results)).items() if count > 1]
    if twice:
        raise InputError(f"results that are joined must be different files, {twice[0]} is given twice")
    stems = [Path(path).stem for path in args.results]
    names = stems if len(set(stems)) == len(stems) else args.results
    joined = join(
        {name: load(path) for name, path in zip(names, args.results, strict=True)}, subsets=not args.no_subsets
    )
    save(joined, output)
    print_orders(joined)
    print_members(joined)
    root = joined.to_dataset()
    lacking = int((root["failure"] != "").sum()) if "failure" in root else 0
    if lacking:
        print(f"{lacking} of {joined.sizes['structure']} structures are incomplete")
    print(f"{joined.sizes['structure']} structures of {len(names)} results written to {output}")


def _compare(args: argparse.Namespace) -> None:
    from bodyorder.analysis import compare
    from bodyorder.cli.tables import print_comparison
    from bodyorder.results.files import save

    output = None if args.output is None else check_output(args.output, never=args.results)
    comparison = compare(_aligned(args.results, args.reference), args.reference)
    print_comparison(comparison, args.reference)
    if output is not None:
        print(f"written to {save(comparison, output)}")


def _environment(args: argparse.Namespace) -> None:
    import xarray as xr

    from bodyorder.analysis import environment_orders, interaction_indices
    from bodyorder.cli.tables import print_environment
    from bodyorder.results.files import save

    output = check_output(args.output, never=args.results)
    results = _aligned(args.results, single=True)
    found = environment_orders(results, weights=args.weights, max_order=args.max_order, sum_rule=args.sum_rule)
    if args.interactions is not None:
        check_between("interactions", args.interactions, 1, found.sizes["size"])
        indices = interaction_indices(results, args.interactions)
        found = xr.merge([found, indices], combine_attrs="override", join="exact", compat="equals")
    save(found, output)
    print_environment(found)
    print(f"written to {output}")


def _report(args: argparse.Namespace) -> None:
    from bodyorder.report import Report, write_report

    output = check_output(args.output, never=args.results)
    results = _aligned(args.results, args.reference)
    write_report(output, Report(title=args.title, results=results, reference=args.reference))
    print(f"written to {output}")


def _aligned(paths: Sequence[str], reference: str | None = None, *, single: bool = False) -> Aligned:
    """Results side by side, named by their files; or one file of several sources, which have names of their own.

    :param reference: name that one of them must have
    :param single: whether one result alone has no sources, as in Python
    """
    from bodyorder.analysis import align
    from bodyorder.results.files import load

    results: dict[str, xr.DataTree] = {}
    for path in paths:
        name = Path(path).stem
        if name in results:
            raise InputError(f"results must have different file names, two are called {name!r}")
        results[name] = load(path)
    alone = next(iter(results.values()))
    by_itself = len(results) == 1 and (single or "source" in alone.dims)
    aligned = align(alone) if by_itself else align(results)
    if reference is not None:
        check_choice("reference", reference, [str(name) for name in aligned.data["source"].values])
    return aligned
