"""Any energy source as an ASE calculator."""

from __future__ import annotations

from collections.abc import Iterable

import ase
from ase.calculators.calculator import Calculator, all_changes

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.protocol import EnergySource, FailedClusters
from bodyorder.structures.clusters import ClusterBatch


class SourceCalculator(Calculator):
    """An energy source as an ASE calculator of isolated clusters: energies in eV and, where the source has them, forces and
    energies of atoms.

    :param source: the energy source
    """

    nolabel = True
    default_parameters = {"source": None}  # noqa: RUF012 - ASE's way to say that the parameters tell all

    def __init__(self, source: EnergySource):
        super().__init__()
        self.source = source
        self.parameters = {"source": source.fingerprint}
        self.implemented_properties = (
            ["energy"] + ["forces"] * source.capabilities.forces + ["energies"] * source.capabilities.atom_energies
        )

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Iterable[str] = ("energy",),
        system_changes: Iterable[str] = all_changes,
    ) -> None:
        """Fill ``results`` for one structure; ASE calls this.

        :raises InputError: for a periodic structure
        :raises ComputationError: if the source fails
        """
        super().calculate(atoms, list(properties), list(system_changes))
        if self.atoms.pbc.any():
            raise InputError("an energy source takes clusters in vacuum, got a structure with periodic boundaries")
        batch = ClusterBatch.from_atoms([self.atoms])
        try:
            if "energies" in properties:
                found = self.source.evaluate_atoms(batch, "forces" in properties).whole()
                assert found.atom_energies is not None
                energies, self.results["energies"] = found.energies, found.atom_energies[0]
                if found.forces is not None:
                    self.results["forces"] = found.forces[0]
            elif "forces" in properties:
                energies, forces = self.source.energies_and_forces(batch)
                self.results["forces"] = forces[0]
            else:
                energies = self.source.energies(batch)
        except FailedClusters as error:
            raise ComputationError(f"{self.source.name} failed: {error}") from error
        self.results["energy"] = float(energies[0])
