"""The command line. What a command needs is imported inside it, so that ``bodyorder --help`` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from bodyorder._checks import ComputationError, InputError, did_you_mean

#: Exit codes: a computation failed (what was computed is kept); wrong input.
FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(WRONG_INPUT)

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            name = action.metavar or action.dest
            raise argparse.ArgumentError(
                None, f"{name} must be one of {', '.join(known)}, got {value!r}{did_you_mean(value, known)}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: arguments without the program's name; those of the process if None
    :return: 0 done, 1 a computation failed and what was computed is kept, 2 wrong input
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except InputError as error:
        return _complain(error, WRONG_INPUT)
    except ComputationError as error:
        return _complain(error, FAILED)
    except MemoryError as error:
        return _complain(ComputationError(f"memory must suffice, and does not: {error}; lower --max-order"), FAILED)
    except KeyboardInterrupt:
        print("bodyorder: interrupted; what was stored is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(error: Exception, code: int) -> int:
    print(f"bodyorder: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    from bodyorder.cli import checking, curves, energies, exports, planning, sampling, studies, variance

    parser = _Parser(
        prog="bodyorder", description="Resolve any energy of atoms into body orders, and show what they say."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for module in (sampling, planning, energies, checking, exports, curves, variance, studies):
        module.add_commands(commands)
    return parser


def _version() -> str:
    from importlib.metadata import version

    return version("bodyorder")
