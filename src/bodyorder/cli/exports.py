"""The command that hands work to other programs, and results of ours."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bodyorder._checks import InputError, check_output
from bodyorder.cli.selection import add_bodies


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    export = commands.add_parser("export", help="tasks and results in QCSchema, for QCManyBody, Psi4 and QCEngine")
    export.add_argument(
        "input", metavar="STRUCTURES|RESULT", help="structures, of which tasks are written, or a result (.nc)"
    )
    export.add_argument("--structure", metavar="NAME", help="which structure of a result")
    export.add_argument("--model", metavar="METHOD/BASIS", help="of tasks, such as mp2/cc-pvdz")
    export.add_argument("--program", metavar="NAME", help="that is to run tasks (default: psi4)")
    add_bodies(export, "of tasks (default: molecules)", default=None)
    export.add_argument("--max-order", type=int, metavar="N", help="of tasks (default: all)")
    export.add_argument("--counterpoise", choices=("none", "full", "vmfc"), help="of tasks (default: none)")
    export.add_argument("-o", "--output", required=True, metavar="JSON", help="file to write")
    export.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    from bodyorder._files import replacing

    output = check_output(args.output, never=[args.input])
    content = _result(args) if args.input.endswith(".nc") else _tasks(args)
    with replacing(output, "a file in QCSchema") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written to {output}")


def _result(args: argparse.Namespace) -> dict[str, Any]:
    from bodyorder.results import load_results
    from bodyorder.results.qcschema import many_body_result

    for name in ("model", "program", "bodies", "max_order", "counterpoise"):
        if getattr(args, name) is not None:
            raise InputError(f"`--{name.replace('_', '-')}` belongs to tasks, and a result has its own")
    return many_body_result(load_results(args.input), args.structure)


def _tasks(args: argparse.Namespace) -> dict[str, Any] | list[dict[str, Any]]:
    import numpy as np

    from bodyorder.results.qcschema import many_body_input, molecule, unpaired_of_bodies
    from bodyorder.structures import System, find_bodies, read_structures
    from bodyorder.structures.stated import read_stated

    if args.structure is not None:
        raise InputError("`--structure` belongs to a result (.nc), and structures are given")
    method, slash, basis = (args.model or "").partition("/")
    if not method or not slash or not basis:
        raise InputError(f"`--model` must name method and basis set, such as mp2/cc-pvdz, got {args.model!r}")
    tasks = []
    for index, atoms in enumerate(read_structures(args.input)):
        system = System.from_atoms(atoms)
        labels = find_bodies(atoms, args.bodies or "molecules").labels
        charges = np.bincount(labels, system.charges)
        stated = read_stated(atoms, f"structure {index}").multiplicity
        unpaired = unpaired_of_bodies(system.numbers, labels, charges, system.moments)
        together = None if stated is None else stated - 1
        if together is not None and len(charges) == 1:
            unpaired[:] = together
        if together is not None and together > unpaired.sum():
            raise InputError(
                f"a multiplicity must be that of bodies, structure {index} states {stated} of the whole and moments of none; "
                "give moments to the atoms of the bodies that have it"
            )
        task = molecule(system.numbers, system.positions, labels, charges, unpaired, together)
        tasks.append(
            many_body_input(task, (method, basis), args.program or "psi4", args.max_order, args.counterpoise or "none")
        )
    return tasks[0] if len(tasks) == 1 else tasks
