"""Options that say which sub-clusters are taken, and in what."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bodyorder._checks import InputError
from bodyorder.cli.sources import add_trust

if TYPE_CHECKING:
    from bodyorder.engine import Sampling


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which sub-clusters are taken."""
    parser.add_argument("--max-order", type=int, metavar="N", help="largest number of bodies (default: all)")
    parser.add_argument(
        "--no-whole", action="store_true", help="leave out the energy of the whole beyond the largest number of bodies"
    )
    add_bodies(parser)
    add_boundaries(parser)
    parser.add_argument("--cutoff", type=float, metavar="Å", help="take only sub-clusters whose bodies are this near")
    parser.add_argument("--samples", type=int, metavar="N", help="estimate every order from so many sub-clusters")
    parser.add_argument("--error", type=float, metavar="eV", help="sample on until every order is known this well")
    parser.add_argument("--seed", type=int, metavar="N", help="of the samples (default: 0)")
    add_trust(parser)


def add_level(parser: argparse._MutuallyExclusiveGroup) -> None:
    """Add the option that gives orders sources of their own."""
    parser.add_argument(
        "--level",
        action="append",
        metavar="ORDERS=SPEC",
        help="a source for some orders, such as 1-2=SPEC, and rest=SPEC for all above; given several times",
    )


def add_bodies(
    parser: argparse.ArgumentParser,
    what: str = "what is one body (default: atoms); a column names the body of each atom in each frame",
    default: str | None = "atoms",
) -> None:
    """Add the option that says what is one body.

    :param what: its help
    """
    parser.add_argument("--bodies", default=default, metavar="atoms|molecules|residues|column:NAME|FILE", help=what)


def add_boundaries(parser: argparse.ArgumentParser) -> None:
    """Add the options that drop or repeat a cell."""
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


def read_sampling(args: argparse.Namespace) -> Sampling | None:
    """The sample that the options ask for, None for all sub-clusters."""
    given = {name: getattr(args, name) for name in ("samples", "error", "seed") if getattr(args, name) is not None}
    if not given:
        return None
    if given.keys() == {"seed"}:
        raise InputError("`--seed` belongs to `--samples` or `--error`, and neither is given")
    from bodyorder.engine import Sampling

    return Sampling(**given)
