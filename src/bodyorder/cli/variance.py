"""The command on how many bodies an energy depends on at a time when they move: variance."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bodyorder._checks import ComputationError, InputError, check_output
from bodyorder.cli.running import add_running, load_sources
from bodyorder.cli.selection import add_bodies
from bodyorder.cli.sources import SOURCE_HELP, add_trust

if TYPE_CHECKING:
    import xarray as xr


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    variance = commands.add_parser("variance", help="shares of the orders in how an energy varies when bodies move")
    variance.add_argument("structures", metavar="STRUCTURES", help="file of structures")
    variance.add_argument("--source", required=True, metavar="SPEC", help=SOURCE_HELP)
    variance.add_argument(
        "--displacements",
        metavar="Å,Å,…",
        default="0.1,0.2,0.4",
        help="widths of the displacements of bodies, inf for positions of another structure (default: 0.1,0.2,0.4)",
    )
    variance.add_argument("--draws", type=int, default=8, metavar="N", help="of each structure (default: 8)")
    add_bodies(variance, "what moves as one (default: atoms)")
    variance.add_argument("--seed", type=int, default=0, metavar="N", help="of the displacements (default: 0)")
    add_running(variance)
    add_trust(variance)
    variance.add_argument("-o", "--output", metavar="NC", help="file for the shares")
    variance.set_defaults(run=_variance)


def _variance(args: argparse.Namespace) -> None:
    from bodyorder.engine.executors import open_executor
    from bodyorder.engine.replacement import variance_shares
    from bodyorder.results.files import save

    if args.output is not None:
        check_output(args.output, never=[path for path in (args.structures, args.store) if path])
    displacements = _numbers(args.displacements)
    (source,), (workers, worth) = load_sources(args, [args.source])
    with open_executor(workers, args.executor, worth) as executor:
        shares = variance_shares(
            args.structures,
            source,
            displacements,
            draws=args.draws,
            bodies=args.bodies,
            seed=args.seed,
            store=args.store,
            executor=executor,
            progress=True,
        )
    if args.output is not None:
        save(shares, args.output)
    _print_shares(shares)
    if args.output is not None:
        print(f"written to {args.output}")
    failed = int(shares.n_failed_draws.sum())
    if failed:
        reason = next(text for text in shares.variance_failure.values.ravel() if text)
        total = shares.n_failed_draws.size * int(shares.attrs["draws"])
        raise ComputationError(f"{failed} of {total} draws are left out, as energies failed: {reason}")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"`--displacements` must be numbers in Å such as 0.1,0.2,inf, got {text!r}") from None


def _print_shares(shares: xr.Dataset) -> None:
    from rich.table import Table

    from bodyorder.cli.tables import print_table

    table = Table(title=f"shares of the orders in the variance, {shares.attrs['source']}")
    for column in ("displacement (Å)", "std. dev. (eV)", "mean order", *[str(order) for order in shares.order.values]):
        table.add_column(column, justify="right")
    for width in shares.displacement.values:
        own = shares.sel(displacement=width)
        spread = float(own.order_variance.mean("structure").sum("order")) ** 0.5
        table.add_row(
            f"{width:g}",
            f"{spread:.4g}",
            f"{float(own.mean_order):.3f} ± {float(own.mean_order_error):.3f}",
            *[f"{share:.1e}" if abs(share) < 5e-4 else f"{share:.3f}" for share in own.variance_share.values.tolist()],
        )
    print_table(table)
