"""What a file of QCSchema holds of energies: by the atoms that are there, and by those that lend their functions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.units import Bohr

from bodyorder._checks import InputError, check_choice
from bodyorder.sources.qcschema.matching import NEAR, Held, PointCharges
from bodyorder.sources.qcschema.schema import COMPONENTS, SAME_ENERGY, Calculation, Expansion, Properties
from bodyorder.structures.reading.qcschema import field_of_atoms, positions_of, read_json, to_atoms
from bodyorder.structures.reading.schema import LARGEST, Molecule, validated

#: The atoms that are there, and those that lend their functions.
Key = tuple[frozenset[int], frozenset[int]]
#: Label of the only model of an expansion in inputs of QCManyBody.
_AUTOMATIC = "(auto)"
#: What a model is called that nothing names.
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Answers:
    """Energies of sub-clusters of one molecule.

    :param atoms: the molecule
    :param held: what the file says of each sub-cluster
    :param program: what computed them
    :param model: the model chemistry
    :param remark: what its calculations do not share, a sentence; empty if there is nothing
    """

    atoms: ase.Atoms
    held: dict[Key, list[Held]]
    program: str
    model: str
    remark: str = ""


def read_answers(path: Path, model: str | None) -> Answers:
    """Read the energies of a file.

    :param model: which model chemistry of several
    :raises InputError: if it is no result of QCSchema, holds no energies, holds several models of which none is named, or
        contradicts itself
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise InputError(f"a qcschema source must be a file in JSON, {path} is not: {error}") from None
    if isinstance(content, list):
        return _of_single(content, path, model)
    if not isinstance(content, dict):
        raise InputError(f"a qcschema source must hold results, {path} holds {type(content).__name__}")
    if any(name in content for name in COMPONENTS):
        return _of_expansion(validated(Expansion, content, str(path)), path, model)
    if "return_result" in content or "success" in content:
        return _of_single([content], path, model)
    raise InputError(
        f"a qcschema source must hold results of sub-clusters (component_results, or a list of results), {path} holds "
        f"{', '.join(sorted(content)[:5]) or 'nothing'}"
    )


def _of_expansion(of: Expansion, path: Path, model: str | None) -> Answers:
    molecule = of.own_molecule
    if molecule is None or not molecule.fragments:
        raise InputError(f"results of a many-body expansion must have a molecule with fragments, {path} has none")
    labels = {
        label: _parsed(label, len(molecule.fragments), path)
        for label in (of.results | of.properties)
        if _tells(of.results.get(label), of.properties.get(label))
    }
    names = {chemistry: _name(chemistry, of) for chemistry, *_ in labels.values()}
    chosen = _chosen(model, names.values(), path)
    given = (of.specification.keywords or {}).get("embedding_charges")
    field = field_of_atoms(given, molecule.fragments, str(path)) if given else np.zeros(len(molecule.symbols))
    positions, held = positions_of(molecule), _Gathered()
    for label, (chemistry, real, basis) in labels.items():
        if names[chemistry] != chosen:
            continue
        there, lent = (
            frozenset(atom for body in bodies for atom in molecule.fragments[body - 1])
            for bodies in (real, set(basis) - set(real))
        )
        # as QCManyBody has it, charges stand where there are no functions
        away = np.array([atom not in there and atom not in lent for atom in range(len(positions))])
        calculation, properties = of.results.get(label), of.properties.get(label)
        energy = properties.return_energy if properties else None
        own = calculation.own_molecule if calculation else None
        held.add(
            (there, lent),
            Held(
                math.nan if calculation and calculation.failure else _energy(energy, calculation, label),
                own.charge if own else math.fsum(molecule.charges_of_fragments[body - 1] for body in real),
                _multiplicity(own) if own else _together(molecule, real),
                PointCharges.of(np.where(away, field, 0.0), positions),
                calculation.failure if calculation else "",
            ),
            label,
        )
    return Answers(to_atoms(molecule, str(path)), held.by_key, of.provenance.name, chosen)


def _tells(calculation: Calculation | None, properties: Properties | None) -> bool:
    """Whether there is an energy, or a word of why there is none."""
    if calculation is not None and (calculation.failure or calculation.energy is not None):
        return True
    return properties is not None and properties.return_energy is not None


def _energy(known: float | None, calculation: Calculation | None, label: str) -> float:
    """What properties and a calculation of one label say, hartree."""
    computed = None if calculation is None else calculation.energy
    if known is not None and computed is not None and abs(known - computed) > SAME_ENERGY:
        raise InputError(
            f"results must not contradict each other, of {label} properties are {known:.8f} and results {computed:.8f} hartree"
        )
    energy = computed if known is None else known
    return math.nan if energy is None else energy


def _name(chemistry: str, of: Expansion) -> str:
    """What a model chemistry of an expansion is called."""
    models = of.specification.specification or {}
    if chemistry == _AUTOMATIC and chemistry in models and (model := models[chemistry].model):
        return model.name
    return chemistry


def _chosen(model: str | None, names: Iterable[str], path: Path) -> str:
    """The model chemistry that is meant."""
    models = sorted(set(names))
    if not models:
        raise InputError(f"a qcschema source must hold energies, {path} holds none")
    if model is None and len(models) > 1:
        raise InputError(f"`model` must say which of {', '.join(models)} is meant, {path} holds them all")
    return models[0] if model is None else check_choice("model", model, models)


def _parsed(label: str, n_fragments: int, path: Path) -> tuple[str, list[int], list[int]]:
    """Model chemistry, fragments that are there, and those that have functions, counted from 1."""
    try:
        chemistry, real, basis = json.loads(label)
        good = all(type(body) is int and 1 <= body <= n_fragments for body in (*real, *basis))
        good = (
            good
            and bool(real)
            and set(real) <= set(basis)
            and all(len(set(some)) == len(some) for some in (real, basis))
        )
    except (ValueError, TypeError):
        good = False
    if not good:
        raise InputError(
            f"labels of sub-clusters must look like '[\"model\", [1], [1, 2]]' with fragments from 1 to {n_fragments}, "
            f"{path} has {label!r}"
        )
    return str(chemistry), real, basis


def _multiplicity(molecule: Molecule) -> int:
    """Of a molecule; the least that its electrons can have where it does not say, as QCElemental fills it in."""
    if molecule.molecular_multiplicity is not None:
        return molecule.molecular_multiplicity
    every = list(range(len(molecule.symbols)))
    return molecule.electrons(every, molecule.charge) % 2 + 1


def _together(molecule: Molecule, bodies: Sequence[int]) -> int:
    """Multiplicity of some fragments, counted from 1: all their unpaired electrons parallel, as QCManyBody computes them."""
    least = [
        molecule.electrons(fragment, charge) % 2 + 1
        for fragment, charge in zip(molecule.fragments or [], molecule.charges_of_fragments, strict=True)
    ]
    multiplicities = molecule.fragment_multiplicities or least
    return sum(multiplicities[body - 1] - 1 for body in bodies) + 1


def _of_single(contents: list[Any], path: Path, model: str | None) -> Answers:
    """Results of single sub-clusters: the largest molecule is the whole, in which the others are found by their positions."""
    results: list[tuple[str, Calculation, Molecule]] = []
    for index, one in enumerate(contents):
        where = f"object {index} of {path}"
        if isinstance(one, dict) and any(name in one for name in COMPONENTS):
            raise InputError(
                f"a list of results must be of single sub-clusters, {where} is of an expansion; give it alone"
            )
        calculation = validated(Calculation, one, where)
        if calculation.own_molecule is None or (calculation.energy is None and not calculation.failure):
            raise InputError(f"a list of results must have a molecule and an energy in each, {where} has not")
        results.append((where, calculation, calculation.own_molecule))
    chosen = _chosen(model, (calculation.model_name or UNNAMED for _, calculation, _ in results), path)
    results = [one for one in results if (one[1].model_name or UNNAMED) == chosen]
    largest = max((molecule for *_, molecule in results), key=lambda molecule: len(molecule.symbols))
    whole = ase.Atoms(largest.symbols, positions=positions_of(largest))
    held = _Gathered()
    for where, calculation, molecule in results:
        atoms = ase.Atoms(molecule.symbols, positions=positions_of(molecule))
        places = places_of(atoms.numbers, atoms.positions, whole)
        if places is None:
            raise InputError(
                f"results must be of sub-clusters of one molecule, atoms of {where} are not in the largest"
            )
        real = np.array(molecule.present)
        held.add(
            (frozenset(places[real].tolist()), frozenset(places[~real].tolist())),
            Held(
                math.nan if calculation.failure else _energy(None, calculation, where),
                molecule.charge,
                _multiplicity(molecule),
                _around(molecule, calculation, where),
                calculation.failure,
            ),
            where,
        )
    programs = sorted({calculation.provenance.name for _, calculation, _ in results})
    remark = _remark([calculation.options for _, calculation, _ in results], path)
    return Answers(whole, held.by_key, ", ".join(programs), chosen, remark)


#: Keywords that say which point charges there are.
_OF_CHARGES = ("function_kwargs", "external_potentials")


def _remark(options: Sequence[dict[str, Any]], path: Path) -> str:
    """Which keywords calculations do not share: frozen cores and grids change energies, numbers of iterations do not."""
    names = sorted({name for own in options for name in own}.difference(_OF_CHARGES))
    differing = [name for name in names if len({repr(own.get(name)) for own in options}) > 1]
    return f"calculations in {path} differ in keywords of their program: {', '.join(differing)}" if differing else ""


def _around(molecule: Molecule, calculation: Calculation, where: str) -> PointCharges:
    """Point charges around a single calculation: where QCManyBody puts them, and where Psi4 reads them."""
    options = calculation.options
    of_function = options.get("function_kwargs")
    found = (
        (molecule.extras or {}).get("embedding_charges")
        or (of_function.get("external_potentials") if isinstance(of_function, dict) else None)
        or options.get("external_potentials")
    )
    if not found:
        return PointCharges()
    try:
        rows = [[float(charge), *map(float, place)] for charge, place in found]
        table = np.array(rows).reshape(-1, 4)
    except (TypeError, ValueError):
        table = np.full((1, 4), np.nan)
    if not (np.abs(table) <= LARGEST).all():  # NaN is not
        raise InputError(
            "point charges around a calculation must be rows such as [-0.8, [0.0, 0.0, 1.0]], charge and place in bohr, those "
            f"of {where} are not"
        )
    return PointCharges.of(table[:, 0], table[:, 1:] * Bohr)


class _Gathered:
    """What a file says of its sub-clusters, by the atoms that are there and those that lend their functions."""

    def __init__(self) -> None:
        self._named: dict[Key, list[tuple[str, Held]]] = {}

    @property
    def by_key(self) -> dict[Key, list[Held]]:
        """All of it."""
        return {key: [held for _, held in named] for key, named in self._named.items()}

    def add(self, key: Key, new: Held, name: str) -> None:
        """Take one more.

        :param name: where it stands, for messages
        :raises InputError: if it contradicts another one
        """
        named = self._named.setdefault(key, [])
        for where, other in named:
            same = other.charge == new.charge and other.multiplicity == new.multiplicity
            if same and abs(other.energy - new.energy) > SAME_ENERGY and other.around.is_like(new.around):
                raise InputError(
                    f"results must not contradict each other, those of one sub-cluster are {other.energy:.8f} and "
                    f"{new.energy:.8f} hartree: {where} and {name}"
                )
        named.append((name, new))


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
