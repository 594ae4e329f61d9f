"""What commands that take energy sources share."""

from __future__ import annotations

import argparse

SOURCE_HELP = "energy source, such as pyscf:fci/sto-6g?spin=ground, metatomic:model.pt or ase:ase.calculators.emt.EMT"


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option by which a user says that files may be loaded although they can run code."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load what can run code: pickled MACE models, operators beside metatomic models, functions after ase:",
    )


def add_one_body(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses the energies of lone atoms."""
    parser.add_argument(
        "--one-body",
        default="model",
        metavar="model|dissociation|H=eV,O=eV",
        help="energies of lone atoms: those of the source (default), half of two far apart, or these",
    )


def trusted(spec: str, trust: bool) -> str | dict[str, object]:
    """A spec with the user's word that what it names may be loaded although it can run code."""
    return {"source": spec, "trust": True} if trust and spec.startswith(("ase:", "mace:", "metatomic:")) else spec
