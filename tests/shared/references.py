"""Exact energies of the sub-clusters of two H8, one dense and one dilute, as another program computed them."""

from __future__ import annotations

import json
from pathlib import Path

import ase
import numpy as np
from ase.units import Hartree

from bodyorder.sources import Precision

FOLDER = Path(__file__).parents[1] / "data" / "reference"


def reference(name: str) -> tuple[ase.Atoms, dict[tuple[int, ...], dict]]:
    """The H8 of a file, and what it holds of each sub-cluster: energies in hartree by the rule for its spin."""
    table = json.loads((FOLDER / f"{name}.json").read_text())
    return ase.Atoms("H8", table["positions"]), {tuple(entry["atoms"]): entry for entry in table["subsets"]}


class Tabulated:
    """A source of the energies of a file, in eV.

    :param file: ``high_density_0`` or ``low_density_0``
    :param rule: ``ground``, ``low_spin`` or ``high_spin``
    """

    cutoff = None
    fingerprint = "table"

    def __init__(self, file: str, rule: str = "ground", precision: Precision | None = None):
        self.name = f"{file} {rule}"
        self.precision = precision or Precision()
        self.atoms, subsets = reference(file)
        self._energies = {members: entry[rule] * Hartree for members, entry in subsets.items()}

    def energies(self, batch):
        return np.array([self._energies[tuple(row)] for row in batch.members.tolist()])
