"""Molecules and results in QCSchema, and what QCManyBody makes of energies."""

import json
import os
import warnings
from contextlib import contextmanager

import numpy as np
from ase.units import Bohr

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from qcelemental.models.v2 import Molecule as MoleculeV2
    from qcmanybody.core import ManyBodyCore
    from qcmanybody.utils import delabeler

POSITIONS = np.array([[0, 0, 0], [0, 0, 0.74], [3.0, 0.2, 0], [3.0, 0.2, 0.75], [0.5, 3.1, 0.3]])
SYMBOLS = ["H", "H", "H", "H", "He"]
FRAGMENTS = [[0, 1], [2, 3], [4]]


def molecule(**changes):
    return {
        "schema_name": "qcschema_molecule",
        "schema_version": 2,
        "symbols": SYMBOLS,
        "geometry": (POSITIONS / Bohr).ravel().tolist(),
        "fragments": FRAGMENTS,
        "fragment_charges": [0.0, 0.0, 0.0],
        "fragment_multiplicities": [1, 1, 1],
        "molecular_charge": 0.0,
        "molecular_multiplicity": 1,
    } | changes


def energy(real, basis):
    """A made-up energy in hartree that depends on who is there, and a little on whose functions there are."""
    atoms = [atom for body in real for atom in FRAGMENTS[body - 1]]
    ghosts = [atom for body in set(basis) - set(real) for atom in FRAGMENTS[body - 1]]
    apart = POSITIONS[atoms][:, None] - POSITIONS[[*atoms, *ghosts]][None]
    return float(-np.exp(-np.linalg.norm(apart, axis=2)).sum() - 0.1 * len(atoms) ** 1.5)


@contextmanager
def quiet():
    """Without the warnings that models of QCElemental give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def core(bsse, *, of=None, max_nbody=3, total=True, charges=None, label="made/up"):
    """QCManyBody on a molecule."""
    of = of or molecule()
    os.environ["QCMANYBODY_EMBEDDING_CHARGES"] = "1"
    with quiet():
        return ManyBodyCore(
            MoleculeV2(**{key: value for key, value in of.items() if "schema" not in key and key != "provenance"}),
            [bsse],
            dict.fromkeys(range(1, max_nbody + 1), label),
            return_total_data=total,
            supersystem_ie_only=False,
            embedding_charges=charges,
        )


def expanded(bsse):
    """What QCManyBody asks for, the energies that it is given, and its totals."""
    with quiet():
        asked = core(bsse)
        labels = [label for _, label, _ in asked.iterate_molecules()]
        found = {label: {"energy": energy(*delabeler(label)[1:])} for label in labels}
        return found, asked.analyze(found)["results"]


def written(tmp_path, content, name="results.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def results(energies, version=1):
    name = "component_properties" if version == 1 else "cluster_properties"
    inside = {"input_data": {"molecule": molecule()}} if version == 1 else {"molecule": molecule()}
    return inside | {
        name: {label: {"return_energy": one["energy"]} for label, one in energies.items()},
        "provenance": {"creator": "psi4"},
    }


def calculations(energies, **more):
    """The same as a list of results of single sub-clusters, ghosts among their atoms.

    :param more: of each result
    """
    listed = []
    for label, one in energies.items():
        _, real, basis = delabeler(label)
        atoms = sorted(atom for body in basis for atom in FRAGMENTS[body - 1])
        there = {atom for body in real for atom in FRAGMENTS[body - 1]}
        listed.append(
            {
                "molecule": {
                    "symbols": [SYMBOLS[atom] for atom in atoms],
                    "geometry": (POSITIONS[atoms] / Bohr).tolist(),
                    "real": [atom in there for atom in atoms],
                },
                "return_result": one["energy"],
                "success": True,
            }
            | more
        )
    return listed
