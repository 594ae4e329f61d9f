"""The command that holds an energy source against what it claims."""

from __future__ import annotations

import argparse
from typing import Any

from bodyorder.cli.sources import SOURCE_HELP, add_one_body, add_trust, trusted


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    check = commands.add_parser("check", help="does an energy source behave as one must?")
    check.add_argument("source", metavar="SPEC", help=SOURCE_HELP)
    check.add_argument("--species", nargs="+", metavar="X", help="chemical symbols to try it on (default: H)")
    add_one_body(check)
    add_trust(check)
    check.set_defaults(run=_check)


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
