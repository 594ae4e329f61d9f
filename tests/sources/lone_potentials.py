"""Potentials of pairs whose lone atoms are something else, as those of the field are: a table, nothing, a number."""

import numpy as np
from ase.calculators.lj import LennardJones

from bodyorder.sources.protocol import Capabilities, EnergySource, FailedClusters, Precision
from bodyorder.sources.registry import load_source

#: What an atom of the model has in eV, however few there are, and what a lone one is said to have.
OWN = {1: -3.25, 8: -7.5, 11: -1.125, 17: -2.0}
TABLE = {1: -13.6, 8: -2041.3, 11: -4410.5, 17: -12520.25}


class Tabulated(EnergySource):
    """E = Σ_i e_i + Σ_{i<j} u(r_ij), and an entry of a table for a lone atom.

    :param pairs: spec of u
    :param charged: whether charges are taken, each of which adds 2 eV to its atom
    :param options: attributes of another value
    """

    name = "table"
    precision = Precision(absolute=1e-14, relative=4e-16)

    def __init__(self, pairs="analytic:pair?kind=morse&cutoff=6", *, charged=False, **options):
        self.potential = load_source(pairs)
        self.fingerprint = f"table of {pairs}"
        self.cutoff = None
        self.capabilities = Capabilities(forces=True, charged=charged)
        vars(self).update(options)

    def constants(self, batch):
        """Energies without those of pairs."""
        held = TABLE if batch.n_atoms == 1 else OWN
        return np.vectorize(held.get, otypes=[float])(batch.numbers).sum(axis=1) + 2.0 * np.abs(batch.charges)

    def energies(self, batch):
        return self.potential.energies(batch) + self.constants(batch)

    def energies_and_forces(self, batch):
        energies, forces = self.potential.energies_and_forces(batch)
        return energies + self.constants(batch), forces


class Failing(Tabulated):
    """The same without an energy for lone atoms."""

    def energies(self, batch):
        if batch.n_atoms == 1:
            raise FailedClusters(dict.fromkeys(range(len(batch)), "no neighbours"), np.full(len(batch), np.nan))
        return super().energies(batch)


class NotANumber(Tabulated):
    """The same with NaN for lone atoms."""

    def energies(self, batch):
        return np.where(batch.n_atoms == 1, np.nan, super().energies(batch))


class Dividing(Tabulated):
    """The same that breaks down for lone atoms, as calculators of ASE do."""

    def energies(self, batch):
        return super().energies(batch) / (batch.n_atoms - 1) * (batch.n_atoms - 1) if batch.n_atoms > 1 else 1 // 0


class TabulatedCalculator(LennardJones):
    """A calculator of ASE whose lone atoms have −0.25 eV; two far apart have none."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions", "numbers")):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) == 1:
            self.results["energy"] = -0.25
