"""Results and tasks of many-body expansions in QCSchema, as QCManyBody, Psi4 and QCEngine read them.

Version 1 of the schema, which all of them take: lengths in bohr, energies in hartree, fragments counted from 1 in labels such as
``["mp2/6-31g", [1], [1, 2]]``: the model, the fragments that are there, and those whose functions they have.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

from bodyorder._checks import InputError
from bodyorder.results.tree import check_tree, flat, select, structure_names

#: What QCManyBody calls the counterpoise schemes.
BSSE = {"none": "nocp", "full": "cp", "vmfc": "vmfc"}
#: The largest order that its table of properties has names for.
_NAMED = 5


def molecule(
    numbers: np.ndarray, positions: np.ndarray, bodies: np.ndarray, charges: np.ndarray, unpaired: np.ndarray
) -> dict[str, Any]:
    """A molecule with fragments.

    :param numbers: atomic numbers, shape (n_atoms,)
    :param positions: in Å, shape (n_atoms, 3)
    :param bodies: of each atom, shape (n_atoms,)
    :param charges: of each body in elementary charges, shape (n_bodies,)
    :param unpaired: electrons of each body, shape (n_bodies,)
    """
    fragments = [np.flatnonzero(bodies == body).tolist() for body in range(len(charges))]
    return {
        "schema_name": "qcschema_molecule",
        "schema_version": 2,
        "symbols": [chemical_symbols[number] for number in numbers],
        "geometry": (positions / Bohr).ravel().tolist(),
        "fragments": fragments,
        "fragment_charges": [float(charge) for charge in charges],
        "fragment_multiplicities": [int(count) + 1 for count in unpaired],
        "molecular_charge": float(charges.sum()),
        "molecular_multiplicity": int(unpaired.sum()) + 1,
        "fix_com": True,
        "fix_orientation": True,
        "provenance": provenance(),
    }


def provenance() -> dict[str, str]:
    """Who wrote it."""
    return {"creator": "bodyorder", "version": version("bodyorder"), "routine": __name__}


def least_unpaired(numbers: np.ndarray, bodies: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """The fewest unpaired electrons that each body can have, shape (n_bodies,)."""
    electrons = np.bincount(bodies, numbers, minlength=len(charges)) - charges
    return np.rint(electrons).astype(np.int64) % 2


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

    :param tree: a result with subsets, without counterpoise or with the full one
    :param structure: its name; may be left out if there is one
    :raises InputError: if the result has no subsets or lacks energies, is periodic, or its energies are in the functions of each
        subset (VMFC), of which it keeps those in their own alone
    """
    check_tree(tree, "a result in QCSchema")
    names = structure_names(tree.to_dataset())
    if structure is None and len(names) > 1:
        raise InputError(f"a structure must be named where there are several, these are {', '.join(names[:3])} …")
    tree = select(tree, names[0] if structure is None else structure)
    data, scheme = flat(tree), str(tree.attrs.get("counterpoise", "none"))
    if "cell" in data or "subset_energy" not in data or scheme == "vmfc":
        raise InputError(
            "a result in QCSchema must be of a free cluster, with subsets, and with counterpoise none or full; decompose with "
            "subsets=True"
        )
    if not np.isfinite(data["subset_energy"].values).all():
        raise InputError(f"a result in QCSchema must have all energies, some are missing: {data['failure'].values[0]}")
    numbers, bodies = data["site_number"].values, data["site_body"].values.astype(np.int64)
    count, label = int(data["n_bodies"].values[0]), str(tree.attrs.get("source", "unknown"))
    members = data["subset_members"].transpose("subset", "slot").values
    orders = data["subset_order"].values
    of_atoms = data["site_charge"].values if "site_charge" in data else np.zeros(len(numbers))
    charges = np.bincount(bodies, of_atoms, minlength=count)
    unpaired = least_unpaired(numbers, bodies, charges)
    if "subset_multiplicity" in data:
        alone = members[orders == 1, 0]
        unpaired[alone] = np.rint(data["subset_multiplicity"].values[orders == 1]).astype(np.int64) - 1
    of = molecule(numbers, data["site_position"].transpose("site", "xyz").values, bodies, charges, unpaired)
    energies = data["subset_energy"].values / Hartree
    every = list(range(1, count + 1))
    components = {}
    for some, energy in zip(members, energies, strict=True):
        there = sorted(int(body) + 1 for body in some if body >= 0)
        components[json.dumps([label, there, every if scheme == "full" else there])] = {"return_energy": float(energy)}
    totals = data["contribution"].transpose("structure", "order").values[0] / Hartree
    whole = float(totals.sum()) if np.isnan(data["total"].values[0]) else float(data["total"].values[0]) / Hartree
    top = int(orders.max())
    method, _, basis = label.partition(":")[2].partition("?")[0].partition("/")
    task = many_body_input(of, (method or label, basis), "bodyorder", top, scheme)
    specification = task["specification"]["specification"]
    task["specification"]["specification"] = {label: specification["(auto)"]}
    task["specification"]["keywords"]["levels"] = {top: label}
    return {
        "schema_name": "qcschema_manybodyresult",
        "schema_version": 1,
        "input_data": task,
        "properties": {
            "calcinfo_nmc": 1,
            "calcinfo_nfr": count,
            "calcinfo_natom": len(numbers),
            "calcinfo_nmbe": len(components),
            "return_energy": whole,
            **_sums(BSSE[scheme], totals[:top]),
        },
        "component_properties": components,
        "component_results": {},
        "provenance": provenance(),
        "return_result": whole,
        "success": True,
    }


def _sums(bsse: str, totals: np.ndarray) -> dict[str, float]:
    """Named properties of an expansion, in hartree, up to the largest order that has names.

    Counterpoise-corrected totals begin with bodies in their own functions, which a result in the functions of all does not hold.
    """
    named = {}
    for order in range(1, min(len(totals), _NAMED) + 1):
        if bsse == "nocp":
            named[f"{bsse}_corrected_total_energy_through_{order}_body"] = float(totals[:order].sum())
        if order > 1:
            named[f"{bsse}_corrected_{order}_body_contribution_to_energy"] = float(totals[order - 1])
            named[f"{bsse}_corrected_interaction_energy_through_{order}_body"] = float(totals[1:order].sum())
    return named
