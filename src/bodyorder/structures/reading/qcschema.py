"""QCSchema in JSON: molecules, and the molecules of inputs and results of calculations and many-body expansions.

The schema of QCElemental (molssi.org/software/qcschema), versions 1 to 3: lengths in bohr, fragments as lists of atoms
with a charge and a multiplicity each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from ase.units import Bohr

from bodyorder._checks import InputError
from bodyorder.structures.keys import MOLECULE
from bodyorder.structures.reading.text import read_text

if TYPE_CHECKING:
    from bodyorder.structures.reading.schema import Molecule

#: Where the molecule of an input or a result stands.
_PATHS: tuple[tuple[str, ...], ...] = ((), ("molecule",), ("input_data", "molecule"))
#: Whole numbers of so many digits are none that anybody means.
_DIGITS = 30
#: Column of the point charges that stand for the atoms of absent fragments, as ``field="column:field"`` takes them.
FIELD = "field"
#: Where those of an expansion stand, in its input or in the input of its result.
_FIELDS = (
    ("specification", "keywords", "embedding_charges"),
    ("input_data", "specification", "keywords", "embedding_charges"),
)


def find_qcschema(path: Path) -> Any:
    """What a JSON file holds if that is QCSchema, else None: an object with a molecule, or that is one, or a list with such."""
    try:
        content = read_json(path)
    except ValueError:
        return None
    objects = content if isinstance(content, list) else [content]
    return content if any(isinstance(one, dict) and _is_schema(one) for one in objects) else None


def read_json(path: Path) -> Any:
    """What a JSON file holds; numbers that no float can have are infinite.

    :raises ValueError: if it is no JSON, or nested too deeply
    :raises InputError: if it cannot be read
    """
    try:
        return json.loads(read_text(path), parse_int=lambda text: int(text) if len(text) < _DIGITS else float(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_schema(content: dict[str, Any]) -> bool:
    """Whether an object is meant to be QCSchema; it need not be right."""
    return molecule_of(content) is not None or str(content.get("schema_name", "")).startswith("qcschema")


def molecule_of(content: dict[str, Any]) -> Any:
    """The molecule of an object of QCSchema, as it stands there: itself, or that of its input; None where there is none."""
    for path in _PATHS:
        found = _at(content, path)
        here = {"symbols", "geometry"} & found.keys() if isinstance(found, dict) else set()
        if len(here) == 2 or (path and here):
            return found
    return None


def _at(content: Any, path: tuple[str, ...]) -> Any:
    """What stands below some keys, None where nothing does."""
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def read_qcschema(content: Any, path: Path) -> list[ase.Atoms]:
    """The molecules of what a file holds, one object or a list of objects.

    Fragments become the array ``molecule``; the charge and the unpaired electrons of each stand on its first atom. Where no
    fragments are given ``info`` has ``molecular_charge`` and ``molecular_multiplicity``. Point charges of an expansion become
    the array ``field``.

    :param content: as :func:`find_qcschema` gives it
    :return: lengths in Å
    :raises InputError: for ghosts, and for what is no molecule of QCSchema
    """
    objects = content if isinstance(content, list) else [content]
    return [
        _read_one(one, f"object {index} of {path}" if isinstance(content, list) else str(path))
        for index, one in enumerate(objects)
    ]


def _read_one(content: Any, where: str) -> ase.Atoms:
    from bodyorder.structures.reading.schema import Molecule, validated

    molecule = molecule_of(content) if isinstance(content, dict) else None
    if molecule is None:
        raise InputError(f"QCSchema must have a molecule with symbols and geometry, {where} has none")
    of = validated(Molecule, molecule, where)
    atoms = to_atoms(of, where)
    for keys in _FIELDS:
        if given := _at(content, keys):
            atoms.set_array(FIELD, field_of_atoms(given, of.fragments, where))
    return atoms


def to_atoms(molecule: Molecule, where: str) -> ase.Atoms:
    """The structure of a molecule of QCSchema, in Å.

    :param where: it stands, for messages
    :raises InputError: for ghosts
    """
    if not all(molecule.present):
        raise InputError(
            f"`real` must be true for all atoms, {where} has {molecule.present.count(False)} ghosts; counterpoise=full brings "
            "functions of other atoms"
        )
    atoms = ase.Atoms(molecule.symbols, positions=positions_of(molecule))
    if molecule.name:
        atoms.info["name"] = molecule.name
    if not molecule.fragments:
        stated = {name: getattr(molecule, name) for name in ("molecular_charge", "molecular_multiplicity")}
        atoms.info |= {name: value for name, value in stated.items() if value is not None}
        return atoms
    labels, charges, moments = np.zeros(len(atoms), dtype=np.int64), np.zeros(len(atoms)), np.zeros(len(atoms))
    multiplicities = molecule.fragment_multiplicities or [1] * len(molecule.fragments)
    each = zip(molecule.fragments, molecule.charges_of_fragments, multiplicities, strict=True)
    for index, (fragment, charge, multiplicity) in enumerate(each):
        labels[fragment] = index
        charges[fragment[0]] = charge
        # what an odd number of electrons leaves is no statement
        least = molecule.electrons(fragment, charge) % 2
        moments[fragment[0]] = multiplicity - 1 if multiplicity - 1 > least else 0
    atoms.set_array(MOLECULE, labels)
    atoms.set_initial_charges(charges)
    if moments.any():
        atoms.set_initial_magnetic_moments(moments)
    return atoms


def positions_of(molecule: Molecule) -> np.ndarray:
    """Positions of its atoms in Å, shape (n_atoms, 3)."""
    return np.array(molecule.geometry, dtype=np.float64).reshape(-1, 3) * Bohr


def field_of_atoms(given: Any, fragments: list[list[int]] | None, where: str) -> np.ndarray:
    """The point charge that stands for each atom in elementary charges, shape (n_atoms,), from those of an expansion.

    :param given: charges of the atoms of each fragment by its number, from 1 on (QCManyBody's ``embedding_charges``)
    :raises InputError: if they are not those of the atoms of all fragments
    """
    from bodyorder.structures.reading.schema import LARGEST

    parts = fragments or []
    try:
        by_fragment = {int(key): np.array(charges, dtype=np.float64) for key, charges in given.items()}
        good = by_fragment.keys() == set(range(1, len(parts) + 1)) and all(
            by_fragment[index + 1].shape == (len(part),) and (np.abs(by_fragment[index + 1]) <= LARGEST).all()
            for index, part in enumerate(parts)
        )
    except (AttributeError, TypeError, ValueError):
        good = False
    if not good:
        raise InputError(
            f"{where}: `embedding_charges` must have a finite charge for each atom of each of {len(parts)} fragments, by "
            "numbers of fragments from 1 on"
        )
    charges = np.zeros(sum(map(len, parts)))
    for index, part in enumerate(parts):
        charges[part] = by_fragment[index + 1]
    return charges
