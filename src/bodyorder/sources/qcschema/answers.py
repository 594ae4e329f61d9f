"""What a file of QCSchema holds of energies: by the atoms that are there, and by those that lend their functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np

from bodyorder._checks import InputError, check_choice
from bodyorder.structures.reading.qcschema import molecule_of, to_atoms
from bodyorder.structures.reading.text import read_text

#: Where the energies of sub-clusters stand, by version of QCManyBody's results: properties, and whole results.
_PROPERTIES, _RESULTS = ("cluster_properties", "component_properties"), ("cluster_results", "component_results")


@dataclass(frozen=True)
class Answers:
    """Energies of sub-clusters of one molecule.

    :param atoms: the molecule
    :param energies: in hartree, by the atoms that are there and those that lend their functions
    :param program: what computed them
    """

    atoms: ase.Atoms
    energies: dict[tuple[frozenset[int], frozenset[int]], float]
    program: str


def read_answers(path: Path, model: str | None) -> Answers:
    """Read the energies of a file.

    :param model: which model chemistry of several
    :raises InputError: if it holds none, or several models of which none is named
    """
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"a qcschema source must be a file in JSON, {path} is not: {error}") from None
    if isinstance(content, list):
        return _of_single(content, path)
    if not isinstance(content, dict):
        raise InputError(f"a qcschema source must hold results, {path} holds {type(content).__name__}")
    if not any(name in content for name in (*_PROPERTIES, *_RESULTS)):
        if "return_result" in content:
            return _of_single([content], path)
        raise InputError(
            f"a qcschema source must hold results of sub-clusters (component_results, or a list of results), {path} holds "
            f"{', '.join(sorted(content)[:5]) or 'nothing'}"
        )
    return _of_expansion(content, path, model)


def _of_expansion(content: dict[str, Any], path: Path, model: str | None) -> Answers:
    molecule = molecule_of(content)
    if molecule is None or not molecule.get("fragments"):
        raise InputError(f"results of a many-body expansion must have a molecule with fragments, {path} has none")
    atoms, fragments = to_atoms(molecule, str(path)), molecule["fragments"]
    labelled = {
        label: energy
        for names in (_RESULTS, _PROPERTIES)
        for name in names
        for label, one in (content.get(name) or {}).items()
        if (energy := _energy(one)) is not None
    }
    parsed = [(*_parsed(label, len(fragments), path), energy) for label, energy in labelled.items()]
    models = sorted({chemistry for chemistry, *_ in parsed})
    if not models:
        raise InputError(f"a qcschema source must hold energies, {path} holds none")
    if model is None and len(models) > 1:
        raise InputError(f"`model` must say which of {', '.join(models)} is meant, {path} holds them all")
    chosen = models[0] if model is None else check_choice("model", model, models)
    energies = {}
    for chemistry, real, basis, energy in parsed:
        if chemistry == chosen:
            there, lent = (
                frozenset(int(atom) for body in bodies for atom in fragments[body - 1])
                for bodies in (real, set(basis) - set(real))
            )
            energies[there, lent] = energy
    program = (content.get("provenance") or {}).get("creator", "unknown")
    return Answers(atoms, energies, f"{program} {chosen}")


def _parsed(label: str, n_fragments: int, path: Path) -> tuple[str, list[int], list[int]]:
    """Model chemistry, fragments that are there, and those that have functions, counted from 1."""
    try:
        chemistry, real, basis = json.loads(label)
        good = all(1 <= body <= n_fragments for body in (*real, *basis)) and set(real) <= set(basis)
    except (ValueError, TypeError):
        good = False
    if not good:
        raise InputError(
            f"labels of sub-clusters must look like '[\"model\", [1], [1, 2]]' with fragments from 1 to {n_fragments}, "
            f"{path} has {label!r}"
        )
    return str(chemistry), list(real), list(basis)


def _energy(one: Any) -> float | None:
    """Energy of a result or of its properties in hartree, None where there is none."""
    if not isinstance(one, dict):
        return None
    for holder in (one, one.get("properties") or {}):
        if isinstance(value := holder.get("return_energy"), int | float):
            return float(value)
    value = one.get("return_result")
    return float(value) if isinstance(value, int | float) else None


def _of_single(contents: list[Any], path: Path) -> Answers:
    """Results of single sub-clusters: the largest molecule is the whole, in which the others are found by their positions."""
    results = []
    for index, one in enumerate(contents):
        molecule = molecule_of(one) if isinstance(one, dict) else None
        energy = _energy(one)
        if molecule is None or energy is None:
            raise InputError(
                f"a list of results must have a molecule and an energy in each, object {index} of {path} has not"
            )
        real = np.array(molecule.get("real") or [True] * len(molecule["symbols"]), dtype=bool)
        whole = to_atoms(molecule | {"real": None, "fragments": None}, f"object {index} of {path}")
        results.append((whole, real, energy))
    largest = max((atoms for atoms, *_ in results), key=len, default=ase.Atoms())
    energies = {}
    for index, (atoms, real, energy) in enumerate(results):
        places = places_of(atoms.numbers, atoms.positions, largest)
        if places is None:
            raise InputError(
                f"results must be of sub-clusters of one molecule, atoms of object {index} of {path} are not in the largest"
            )
        energies[frozenset(places[real].tolist()), frozenset(places[~real].tolist())] = energy
    program = (contents[0].get("provenance") or {}).get("creator", "unknown") if contents else "unknown"
    return Answers(largest, energies, str(program))


#: How far positions (Å) may be from those of the file; eight decimals in bohr, and values of the bohr that differ.
NEAR = 1e-5


def places_of(numbers: np.ndarray, positions: np.ndarray, whole: ase.Atoms) -> np.ndarray | None:
    """Which atom of a molecule each of some is, None where one of them is none.

    :param numbers: atomic numbers, shape (k,)
    :param positions: in Å, shape (k, 3)
    """
    distances = np.linalg.norm(positions[:, None] - whole.positions[None], axis=2)
    places = distances.argmin(axis=1)
    near = distances[np.arange(len(places)), places] <= NEAR
    same = whole.numbers[places] == numbers
    return places if (near & same).all() and len(set(places.tolist())) == len(places) else None
