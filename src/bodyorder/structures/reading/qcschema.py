"""QCSchema in JSON: molecules, and the molecules of inputs and results of calculations and many-body expansions.

The schema of QCElemental (molssi.org/software/qcschema), versions 1 to 3: lengths in bohr, fragments as lists of atoms
with a charge and a multiplicity each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr

from bodyorder._checks import InputError
from bodyorder.structures.keys import MOLECULE
from bodyorder.structures.reading.text import read_text

#: Where the molecule of an input or a result stands.
_PATHS = (("molecule",), ("input_data", "molecule"))


def find_qcschema(path: Path) -> Any:
    """What a JSON file holds if that is QCSchema, else None: an object with a molecule, or that is one, or a list of such."""
    try:
        content = json.loads(read_text(path))
    except ValueError:
        return None
    first = content[0] if isinstance(content, list) and content else content
    return content if isinstance(first, dict) and molecule_of(first) is not None else None


def molecule_of(content: dict[str, Any]) -> dict[str, Any] | None:
    """The molecule of an object of QCSchema: itself, or that of its input; None where there is none."""
    if "symbols" in content and "geometry" in content:
        return content
    for path in _PATHS:
        found: Any = content
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and "symbols" in found and "geometry" in found:
            return found
    return None


def read_qcschema(content: Any, path: Path) -> list[ase.Atoms]:
    """The molecules of what a file holds, one object or a list of objects.

    Fragments become the array ``molecule``; the charge and the unpaired electrons of each stand on its first atom. Where no
    fragments are given ``info`` has ``molecular_charge`` and ``molecular_multiplicity``.

    :param content: as :func:`find_qcschema` gives it
    :return: lengths in Å
    :raises InputError: for ghosts, fragments that leave atoms out or share them, arrays that do not belong to one molecule
    """
    objects = content if isinstance(content, list) else [content]
    found = []
    for index, one in enumerate(objects):
        where = f"object {index} of {path}" if isinstance(content, list) else str(path)
        molecule = molecule_of(one) if isinstance(one, dict) else None
        if molecule is None:
            raise InputError(f"QCSchema must have a molecule with symbols and geometry, {where} has none")
        found.append(to_atoms(molecule, where))
    return found


def to_atoms(molecule: dict[str, Any], where: str) -> ase.Atoms:
    """The structure of a molecule of QCSchema.

    :param where: it stands, for messages
    :raises InputError: as :func:`read_qcschema`
    """
    symbols = [str(symbol).capitalize() for symbol in molecule["symbols"]]
    for symbol in symbols:
        if symbol not in atomic_numbers or symbol == "X":
            raise InputError(f"`symbols` must be chemical elements, {where} has {symbol!r}")
    positions = np.asarray(molecule["geometry"], dtype=np.float64)
    if positions.size != 3 * len(symbols):
        raise InputError(
            f"`geometry` must have three coordinates for each of {len(symbols)} symbols, {where} has {positions.size}"
        )
    real = molecule.get("real") or [True] * len(symbols)
    if not all(real):
        raise InputError(
            f"`real` must be true for all atoms, {where} has {len(real) - sum(map(bool, real))} ghosts; counterpoise=full brings "
            "functions of other atoms"
        )
    atoms = ase.Atoms(symbols, positions=positions.reshape(-1, 3) * Bohr)
    if name := molecule.get("name"):
        atoms.info["name"] = str(name)
    fragments = molecule.get("fragments")
    if not fragments:
        atoms.info |= {
            key: molecule[key]
            for key in ("molecular_charge", "molecular_multiplicity")
            if molecule.get(key) is not None
        }
        return atoms
    labels = _labels(fragments, len(symbols), where)
    atoms.set_array(MOLECULE, labels)
    charges, moments = np.zeros(len(symbols)), np.zeros(len(symbols))
    given = molecule.get("fragment_charges") or [0.0] * len(fragments)
    spins = molecule.get("fragment_multiplicities") or [1] * len(fragments)
    for fragment, charge, multiplicity in zip(fragments, given, spins, strict=True):
        charges[fragment[0]] = float(charge)
        electrons = sum(atomic_numbers[symbols[atom]] for atom in fragment) - round(float(charge))
        # what an odd number of electrons leaves is no statement
        moments[fragment[0]] = round(float(multiplicity)) - 1 if round(float(multiplicity)) - 1 != electrons % 2 else 0
    atoms.set_initial_charges(charges)
    if moments.any():
        atoms.set_initial_magnetic_moments(moments)
    whole = molecule.get("molecular_charge")
    if whole is not None and abs(float(whole) - charges.sum()) > 1e-6:
        raise InputError(
            f"charges of fragments must add up to `molecular_charge`, those of {where} add up to {charges.sum():g}, and it is "
            f"{float(whole):g}"
        )
    return atoms


def _labels(fragments: list[list[int]], n_atoms: int, where: str) -> np.ndarray:
    """The fragment of each atom."""
    labels = np.full(n_atoms, -1)
    for index, fragment in enumerate(fragments):
        for atom in fragment:
            if not 0 <= int(atom) < n_atoms or labels[int(atom)] >= 0:
                raise InputError(
                    f"fragments must have every atom once, atom {atom} of {where} is in two, or there is none such"
                )
            labels[int(atom)] = index
    if (labels < 0).any():
        raise InputError(
            f"fragments must have every atom once, {where} leaves out atom {int(np.argmin(labels))} of {n_atoms}"
        )
    return labels
