"""Results and tasks of many-body expansions in QCSchema, as QCManyBody, Psi4 and QCEngine read them.

Version 1 of the schema, which all of them take: lengths in bohr, energies in hartree, fragments counted from 1 in labels such as
``["mp2/6-31g", [1], [1, 2]]``: the model, the fragments that are there, and those whose functions they have.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from math import comb
from typing import Any

import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

from bodyorder._checks import InputError
from bodyorder.results.tree import check_tree, flat, select, some, structure_names

#: What QCManyBody calls the counterpoise schemes.
BSSE = {"none": "nocp", "full": "cp", "vmfc": "vmfc"}
#: The largest order that its table of properties has names for.
_NAMED = 5
#: Sums of moments that are this close to a whole number are one.
_WHOLE = 1e-3


def molecule(
    numbers: np.ndarray,
    positions: np.ndarray,
    bodies: np.ndarray,
    charges: np.ndarray,
    unpaired: np.ndarray,
    together: int | None = None,
) -> dict[str, Any]:
    """A molecule with fragments.

    :param numbers: atomic numbers, shape (n_atoms,)
    :param positions: in Å, shape (n_atoms, 3)
    :param bodies: of each atom, shape (n_atoms,)
    :param charges: of each body in elementary charges, shape (n_bodies,)
    :param unpaired: electrons of each body, shape (n_bodies,)
    :param together: unpaired electrons of the whole; all those of bodies if None, as QCElemental takes it
    """
    return {
        "schema_name": "qcschema_molecule",
        "schema_version": 2,
        "symbols": [chemical_symbols[number] for number in numbers],
        "geometry": (positions / Bohr).ravel().tolist(),
        "fragments": _by_body(np.arange(len(numbers)), bodies, len(charges)),
        "fragment_charges": [float(charge) for charge in charges],
        "fragment_multiplicities": [int(count) + 1 for count in unpaired],
        "molecular_charge": float(charges.sum()),
        "molecular_multiplicity": int(unpaired.sum() if together is None else together) + 1,
        "fix_com": True,
        "fix_orientation": True,
        "provenance": provenance(),
    }


def _by_body(values: np.ndarray, bodies: np.ndarray, count: int) -> list[list[Any]]:
    """What the atoms of each body have."""
    return [values[bodies == body].tolist() for body in range(count)]


def provenance() -> dict[str, str]:
    """Who wrote it."""
    return {"creator": "bodyorder", "version": version("bodyorder"), "routine": __name__}


def unpaired_of_bodies(numbers: np.ndarray, bodies: np.ndarray, charges: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Unpaired electrons of each body, shape (n_bodies,): those of the moments on its atoms, or the fewest that it can have.

    :param numbers: atomic numbers, shape (n_atoms,)
    :param bodies: of each atom, shape (n_atoms,)
    :param charges: of each body in elementary charges, shape (n_bodies,)
    :param moments: unpaired electrons of each atom, shape (n_atoms,)
    :raises InputError: if moments of a body are not what its electrons can have
    """
    count = len(charges)
    electrons = np.rint(np.bincount(bodies, numbers, minlength=count) - charges).astype(np.int64)
    stated = np.bincount(bodies, moments, minlength=count)
    with_moments = np.bincount(bodies, moments != 0, minlength=count) > 0
    unpaired = np.where(with_moments, np.rint(np.abs(stated)).astype(np.int64), electrons % 2)
    wrong = ((electrons - unpaired) % 2 != 0) | (unpaired > electrons)
    wrong |= with_moments & (np.abs(np.abs(stated) - unpaired) > _WHOLE)
    if wrong.any():
        body = int(np.argmax(wrong))
        raise InputError(
            f"moments of a body must fit its electrons, body {body} has {electrons[body]} electrons and moments that add up to "
            f"{stated[body]:g}; change its moments or charges"
        )
    return unpaired


def many_body_input(
    of: dict[str, Any], model: tuple[str, str], program: str, max_order: int | None, counterpoise: str
) -> dict[str, Any]:
    """The task of an expansion, for QCManyBody's ``ManyBodyInput``.

    :param of: the molecule
    :param model: method and basis set
    :param program: that QCEngine is to run
    :param max_order: largest order, all if None
    :param counterpoise: one of :data:`BSSE`
    """
    method, basis = model
    count = len(of["fragments"])
    if max_order is not None and not 1 <= max_order <= count:
        raise InputError(f"`max_order` must be between 1 and {count}, the bodies, got {max_order}")
    atomic = {"program": program, "model": {"method": method, "basis": basis}, "driver": "energy"}
    return {
        "schema_name": "qcschema_manybodyinput",
        "schema_version": 1,
        "molecule": of,
        "specification": {
            "schema_name": "qcschema_manybodyspecification",
            "schema_version": 1,
            "driver": "energy",
            "keywords": {
                "bsse_type": [BSSE[counterpoise]],
                "max_nbody": count if max_order is None else max_order,
                "return_total_data": True,
            },
            "specification": {"(auto)": atomic},
        },
    }


def many_body_result(tree: xr.DataTree, structure: str | None = None) -> dict[str, Any]:
    """A result as QCManyBody's ``ManyBodyResult``: every sub-cluster with its energy, and sums of orders.

    What it returns is what QCManyBody returns of these energies: without counterpoise the total energy through the largest order,
    with the full one the interaction energy, as totals would need bodies in their own functions, which the result does not hold.
    Point charges around sub-clusters become ``embedding_charges``.

    :param tree: a result with subsets, without counterpoise or with the full one
    :param structure: its name; may be left out if there is one
    :raises InputError: if the result has no subsets or lacks some or their energies, is periodic, or its energies are in the
        functions of each subset (VMFC), of which it keeps those in their own alone
    """
    check_tree(tree, "a result in QCSchema")
    names = structure_names(tree.to_dataset())
    if structure is None and len(names) > 1:
        raise InputError(f"a structure must be named where there are several, these are {some(names)}")
    tree = select(tree, names[0] if structure is None else structure)
    data, scheme = flat(tree), str(tree.attrs.get("counterpoise", "none"))
    _check_complete(data, scheme)
    count, label = int(data["n_bodies"].values[0]), str(tree.attrs.get("source", "unknown"))
    of = _molecule_of(data, count)
    top = int(data["subset_order"].values.max())
    method, _, basis = label.partition(":")[2].partition("?")[0].partition("/")
    task = many_body_input(of, (method or label, basis), "bodyorder", top, scheme)
    atomic = task["specification"]["specification"].pop("(auto)")
    task["specification"]["specification"][label] = atomic
    keywords = task["specification"]["keywords"]
    keywords |= {"levels": {top: label}, "return_total_data": scheme == "none"}
    embedded = "site_field_charge" in data
    if embedded:
        parts = _by_body(data["site_field_charge"].values, data["site_body"].values, count)
        keywords["embedding_charges"] = {str(index + 1): part for index, part in enumerate(parts)}
    components, calculations = _components(data, of, label, lent=scheme == "full", atomic=atomic)
    totals = data["contribution"].transpose("structure", "order").values[0, :top] / Hartree
    returned = float(totals[0 if scheme == "none" else 1 :].sum())
    return {
        "schema_name": "qcschema_manybodyresult",
        "schema_version": 1,
        "input_data": task,
        "properties": {
            "calcinfo_nmc": 1,
            "calcinfo_nfr": count,
            "calcinfo_natom": len(of["symbols"]),
            "calcinfo_nmbe": len(components),
            "return_energy": returned,
            **_sums(BSSE[scheme], totals, interactions=not embedded),
        },
        "component_properties": components,
        "component_results": calculations,
        "provenance": provenance(),
        "return_result": returned,
        "success": True,
    }


def _components(
    data: xr.Dataset, of: dict[str, Any], label: str, *, lent: bool, atomic: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The energy of each sub-cluster by its label, and, of those whose spins are not all parallel, their calculations.

    QCManyBody takes unpaired electrons of all bodies for parallel; another multiplicity stands in the molecule of a calculation.

    :param of: the molecule
    :param label: the model
    :param lent: whether each has the functions of all bodies
    :param atomic: what each is computed by
    """
    energies = data["subset_energy"].values / Hartree
    multiplicities = np.full(len(energies), np.nan)
    if "subset_multiplicity" in data:
        multiplicities = data["subset_multiplicity"].values
    alone = of["fragment_multiplicities"]
    properties, calculations = {}, {}
    for row, members in enumerate(data["subset_members"].transpose("subset", "slot").values):
        there = sorted(int(body) for body in members if body >= 0)
        numbered = [body + 1 for body in there]
        name = json.dumps([label, numbered, list(range(1, len(alone) + 1)) if lent else numbered])
        properties[name] = {"return_energy": float(energies[row])}
        parallel = sum(alone[body] - 1 for body in there) + 1
        if np.isfinite(multiplicities[row]) and round(multiplicities[row]) != parallel:
            calculations[name] = {
                "schema_name": "qcschema_output",
                "schema_version": 1,
                "molecule": _part(of, there, lent) | {"molecular_multiplicity": round(multiplicities[row])},
                "driver": "energy",
                "model": atomic["model"],
                "properties": properties[name],
                "return_result": float(energies[row]),
                "success": True,
                "provenance": provenance(),
            }
    return properties, calculations


def _part(of: dict[str, Any], bodies: list[int], lent: bool) -> dict[str, Any]:
    """Some bodies of a molecule, without their multiplicity; the others are ghosts if they lend functions."""
    there = sorted(atom for body in bodies for atom in of["fragments"][body])
    atoms = range(len(of["symbols"])) if lent else there
    return {
        "symbols": [of["symbols"][atom] for atom in atoms],
        "geometry": [value for atom in atoms for value in of["geometry"][3 * atom : 3 * atom + 3]],
        "real": [atom in there for atom in atoms],
        "molecular_charge": sum(of["fragment_charges"][body] for body in bodies),
        "fix_com": True,
        "fix_orientation": True,
    }


def _check_complete(data: xr.Dataset, scheme: str) -> None:
    """Check that a result of one structure holds the energies of all sub-clusters up to its largest order."""
    if "cell" in data or "subset_energy" not in data or scheme == "vmfc":
        raise InputError(
            "a result in QCSchema must be of a free cluster, with subsets, and with counterpoise none or full; decompose with "
            "subsets=True"
        )
    if not np.isfinite(data["subset_energy"].values).all():
        raise InputError(f"a result in QCSchema must have all energies, some are missing: {data['failure'].values[0]}")
    if (chosen := str(data.attrs.get("one_body", "model"))) != "model":
        raise InputError(
            f"a result in QCSchema must have the energies of lone atoms by its source, this one has {chosen}"
        )
    held = np.bincount(data["subset_order"].values.astype(np.int64))[1:]
    bodies = int(data["n_bodies"].values[0])
    for order, number in enumerate(held.tolist(), start=1):
        if number != comb(bodies, order):
            raise InputError(
                f"a result in QCSchema must have all sub-clusters up to its largest order, this one has {number} of "
                f"{comb(bodies, order)} of order {order}; decompose without `cutoff` and samples"
            )


def _molecule_of(data: xr.Dataset, count: int) -> dict[str, Any]:
    """The structure of a result, with the multiplicities that its bodies alone, and the whole, were found in."""
    numbers, bodies = data["site_number"].values, data["site_body"].values.astype(np.int64)
    of_atoms = data["site_charge"].values if "site_charge" in data else np.zeros(len(numbers))
    moments = data["site_moment"].values if "site_moment" in data else np.zeros(len(numbers))
    charges, together = np.bincount(bodies, of_atoms, minlength=count), None
    found = np.full(len(data["subset_order"]), np.nan)
    if "subset_multiplicity" in data:
        found = data["subset_multiplicity"].values - 1
    orders = data["subset_order"].values
    alone = found[orders == 1]
    if np.isfinite(alone).all():
        unpaired = np.zeros(count, dtype=np.int64)
        unpaired[data["subset_members"].transpose("subset", "slot").values[orders == 1, 0]] = np.rint(alone)
        if np.isfinite(whole := found[orders == count]).all() and len(whole):
            together = int(np.rint(whole[0]))
    else:
        unpaired = unpaired_of_bodies(numbers, bodies, charges, moments)
    positions = data["site_position"].transpose("site", "xyz").values
    return molecule(numbers, positions, bodies, charges, unpaired, together)


def _sums(bsse: str, totals: np.ndarray, *, interactions: bool) -> dict[str, float]:
    """Named properties of an expansion, in hartree, up to the largest order that has names.

    Counterpoise-corrected totals begin with bodies in their own functions, which a result in the functions of all does not hold.

    :param interactions: whether energies of interaction mean anything, which they do not in a field
    """
    named = {}
    for order in range(1, min(len(totals), _NAMED) + 1):
        if bsse == "nocp":
            named[f"{bsse}_corrected_total_energy_through_{order}_body"] = float(totals[:order].sum())
        if order > 1:
            named[f"{bsse}_corrected_{order}_body_contribution_to_energy"] = float(totals[order - 1])
        if order > 1 and interactions:
            named[f"{bsse}_corrected_interaction_energy_through_{order}_body"] = float(totals[1:order].sum())
    return named
