"""The command on curves of two atoms and maps of three: curves."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from bodyorder._checks import ComputationError, InputError, check_between, check_output
from bodyorder.cli.sources import SOURCE_HELP, add_one_body, add_trust, trusted

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from bodyorder.engine.curves import Running
    from bodyorder.sources.protocol import EnergySource

#: Most distances of a curve; a map has its own, smaller bound.
_MOST_DISTANCES = 10_000

#: Energies (eV) from here on are printed with an exponent.
_WIDE = 1e4


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    curves = commands.add_parser("curves", help="two-body curves, three-body maps")
    curves.add_argument(
        "--source",
        action="append",
        required=True,
        metavar="[NAME=]SPEC",
        help=f"{SOURCE_HELP}; several times for several, NAME stands in tables and figures",
    )
    curves.add_argument("--reference", metavar="[NAME=]SPEC", help="source that the others are held against")
    curves.add_argument(
        "--species",
        nargs="+",
        default=["H", "H"],
        metavar="X",
        help="two elements for a curve, three for a map, the apex first (default: H H)",
    )
    curves.add_argument("--distances", nargs=3, type=float, metavar=("MIN", "MAX", "N"), help="in Å, how many of them")
    curves.add_argument(
        "--angles", nargs="+", type=float, metavar="DEGREES", help="at the apex (default: 60 90 120 180)"
    )
    curves.add_argument("--training", metavar="FILE", help="structures whose distances are shown behind a curve")
    curves.add_argument("--store", metavar="FILE", help="energies already computed; what is computed is added")
    curves.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes (default: 1)")
    add_one_body(curves)
    add_trust(curves)
    curves.add_argument("-o", "--output", metavar="NC", help="file for the curves")
    curves.add_argument("--figure", metavar="SVG|PNG|PDF", help="file for a figure")
    curves.set_defaults(run=_curves)


def _curves(args: argparse.Namespace) -> None:
    from bodyorder.analysis.curves import combine_curves, distance_density, distance_ranges
    from bodyorder.engine.curves import check_species, default_distances
    from bodyorder.engine.executors import open_executor
    from bodyorder.results.files import save
    from bodyorder.sources.one_body import parse_one_body
    from bodyorder.structures import read_structures

    check_species(args.species, (2, 3))
    _refuse_idle_options(args)
    _check_outputs(args)
    one_body = parse_one_body(args.one_body)
    distances = None if args.distances is None else _distances(*args.distances)
    training = None if args.training is None else read_structures(args.training, periodic=True)
    sources, reference = _sources(args)
    if distances is None:
        # those of several sources differ in where they end only
        distances = max((default_distances(source, args.species) for source in sources.values()), key=len)
    density = None if training is None else distance_density(training, distance_ranges(distances))
    with open_executor(args.workers) as executor:
        running: Running = {"store": args.store, "executor": executor, "one_body": one_body, "progress": True}
        parts = {name: _computed(source, args, distances, running) for name, source in sources.items()}
    curves = combine_curves(parts, reference)
    if args.output is not None:
        save(curves, args.output)
    if args.figure is not None:
        _draw(curves, density, args.figure)
    print_tables(curves, density)
    for path in filter(None, (args.output, args.figure)):
        print(f"written to {path}")
    _report_failures(curves)


def _refuse_idle_options(args: argparse.Namespace) -> None:
    """Refuse options that would do nothing."""
    if len(args.species) == 2 and args.angles is not None:
        raise InputError("`--angles` belongs to maps of three `--species`, and two are given")
    if len(args.species) == 3 and args.training is not None:
        raise InputError("`--training` belongs to curves of two `--species`, and three are given")


def _check_outputs(args: argparse.Namespace) -> None:
    """Check that files can be written before anything is computed."""
    inputs = [path for path in (args.training, args.store) if path]
    if args.output is not None:
        check_output(args.output, never=inputs)
    if args.figure is not None:
        from bodyorder.plots.curves import check_format

        check_format(args.figure)
        check_output(args.figure, never=inputs)
        if args.output is not None and os.path.realpath(args.output) == os.path.realpath(args.figure):
            raise InputError(f"`--output` and `--figure` must be different files, both are {args.figure}")


def _distances(low: float, high: float, count: float) -> np.ndarray:
    """Distances that are equally far apart."""
    import numpy as np

    if not 0 < low < high < float("inf"):
        raise InputError(f"`--distances` must go from a MIN above zero to a larger MAX, got {low:g} to {high:g}")
    number = check_between("N of --distances", int(count) if count.is_integer() else count, 2, _MOST_DISTANCES)
    return np.linspace(low, high, number)


def _sources(args: argparse.Namespace) -> tuple[dict[str, EnergySource], str | None]:
    """Sources by name, the reference first, and the name of the reference. One that is also among the others counts once.

    :raises InputError: if two have the same name
    """
    from bodyorder.sources import load_source

    found: dict[str, EnergySource] = {}
    texts = ([] if args.reference is None else [args.reference]) + args.source
    for text in dict.fromkeys(texts):
        name, spec = _named(text)
        source = load_source(trusted(spec, args.trust))
        name = name or source.name
        if name in found:
            raise InputError(f"sources must have different names, two are called {name!r}; give them as NAME=SPEC")
        found[name] = source
    return found, None if args.reference is None else next(iter(found))


def _named(text: str) -> tuple[str, str]:
    """Name and spec of a source; a spec itself may have an equals sign, but only behind its colon."""
    name, equals, spec = text.partition("=")
    return (name, spec) if equals and ":" not in name else ("", text)


def _computed(source: EnergySource, args: argparse.Namespace, distances: np.ndarray, running: Running) -> xr.Dataset:
    from bodyorder.engine.curves import pair_curve, triple_map

    if len(args.species) == 2:
        return pair_curve(source, args.species, distances, **running)
    angles = {} if args.angles is None else {"angles": args.angles}
    return triple_map(source, args.species, distances, **angles, **running)


def _draw(curves: xr.Dataset, density: xr.Dataset | None, path: str) -> None:
    from bodyorder.plots.curves import pair_curve_figure, save_figure, triple_map_figure

    save_figure(pair_curve_figure(curves, density) if "distance" in curves.dims else triple_map_figure(curves), path)


def _report_failures(curves: xr.Dataset) -> None:
    """Say what failed, but not where atoms are on one spot, which is no failure.

    :raises ComputationError: if any geometry failed
    """
    from bodyorder.engine.curves import COINCIDENT

    failures = curves["pair_failure" if "distance" in curves.dims else "triple_failure"]
    for name in failures["source"].values:
        own = failures.sel(source=name).values.ravel()
        reasons = own[(own != "") & (own != COINCIDENT)]
        if len(reasons):
            raise ComputationError(f"{len(reasons)} of {len(own)} geometries of {name} failed: {reasons[0]}")


def print_tables(curves: xr.Dataset, density: xr.Dataset | None) -> None:
    """Wells of curves, or the largest contributions of maps, and deviations from the reference if there is one."""
    from rich.table import Table

    from bodyorder.analysis.curves import curve_deviation
    from bodyorder.cli.tables import print_table

    reference = curves.attrs.get("reference")
    deviation = None if reference is None else curve_deviation(curves, reference, density)
    species = "–".join(curves.attrs["species"].split())
    pairs = "distance" in curves.dims
    title = f"{'two-body curves' if pairs else 'three-body maps'} of {species}"
    table = Table(title=title + ("" if reference is None else f", against {reference}"))
    columns, rows = _of_pairs(curves, deviation) if pairs else _of_triples(curves, deviation)
    for column in ("source", *columns):
        table.add_column(column, justify="left" if column == "source" else "right")
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _of_pairs(curves: xr.Dataset, deviation: xr.Dataset | None) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table of curves."""
    from bodyorder.analysis.curves import pair_wells

    wells, shortest = pair_wells(curves), curves["pair_contribution"].isel(distance=0)
    columns = {
        "well depth, eV": wells["well_depth"],
        "well at, Å": wells["well_distance"],
        f"energy at {float(shortest['distance']):g} Å, eV": shortest,
        "far apart, eV": curves["pair_offset"],
    }
    if deviation is not None:
        others = deviation.where(deviation["source"] != deviation.attrs["reference"])
        columns["RMS deviation, eV"] = others["pair_rms"]
        if "pair_training_rms" in others:
            columns["of training pairs, eV"] = others["pair_training_rms"]
    names = [str(name) for name in curves["source"].values]
    return list(columns), [[name, *(_number(v.sel(source=name)) for v in columns.values())] for name in names]


def _of_triples(curves: xr.Dataset, deviation: xr.Dataset | None) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a table of maps."""
    columns = {"largest |ε₃|, eV": abs(curves["triple_contribution"]).max(("first", "second"))}
    if deviation is not None:
        columns["RMS deviation, eV"] = deviation["triple_rms"].where(
            deviation["source"] != deviation.attrs["reference"]
        )
    rows = [
        [str(name), f"{angle:g}°", *(_number(values.sel(source=name, angle=angle)) for values in columns.values())]
        for name in curves["source"].values
        for angle in curves["angle"].values
    ]
    return ["angle", *columns], rows


def _number(value: xr.DataArray) -> str:
    if bool(value.isnull()):
        return "-"
    return f"{round(float(value), 4) + 0:.4f}" if abs(value) < _WIDE else f"{float(value):.3e}"
