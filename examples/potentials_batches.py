"""Sources that hand many sub-clusters at once to the batches of a program that has no energies of atoms.

Each is what "Sources of one's own" in docs/potentials.md describes: some lines that bring the arrays of a batch, all sub-clusters
of which have one number of atoms, into the form in which a program takes many structures. All else follows from the claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import ase
import numpy as np
from ase.units import Hartree
from potentials_made import ani_model, diep

from bodyorder.sources import Capabilities, EnergySource, FailedClusters, Precision

#: Atoms in one call: networks are fastest while their arrays fit into the cache of a processor.
ATOMS = 1024


class Batched(EnergySource):
    """Energies, and forces that come with them, by a method for many at once.

    What a spec says holds here as well: ``energy_error`` in eV.
    """

    cutoff = None

    def energies(self, batch):
        return self.energies_and_forces(batch)[0]

    def energies_and_forces(self, batch):
        found = [self._together(batch.select(rows)) for rows in _portions(batch)]
        energies, forces = (np.concatenate(part).astype(np.float64) for part in zip(*found, strict=True))
        failed = np.flatnonzero(~(np.isfinite(energies) & np.isfinite(forces).all(axis=(1, 2))))
        if len(failed):
            raise FailedClusters(dict.fromkeys(failed.tolist(), "no energy, or no forces"), energies, forces)
        return energies, forces

    def _together(self, batch):
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3)."""
        raise NotImplementedError


def _portions(batch) -> Iterator[np.ndarray]:
    step = max(1, ATOMS // batch.n_atoms)
    for start in range(0, len(batch), step):
        yield np.arange(start, min(start + step, len(batch)))


class Ani(Batched):
    """ANI networks, which take species and positions of shape (n, k) and (n, k, 3)."""

    precision = Precision(absolute=1e-9)
    capabilities = Capabilities(forces=True)
    name = "ANI-1x"

    def __init__(self):
        self.fingerprint = f"ANI-1x torchani {version('torchani')}"
        self._model = ani_model().requires_grad_(False)

    def _together(self, batch):
        import torch

        positions = torch.tensor(batch.positions, dtype=torch.float64, requires_grad=True)
        energies = self._model((torch.tensor(batch.numbers), positions)).energies
        (slopes,) = torch.autograd.grad(energies.sum(), positions)
        return energies.detach().numpy() * Hartree, -slopes.numpy() * Hartree


class Diep(Batched):
    """Graphs of DIEP, each as its calculator makes it, joined by PyTorch Geometric."""

    precision = Precision(absolute=5e-6)
    capabilities = Capabilities(forces=True, single_precision=True)
    name = "DIEP"

    def __init__(self):
        self.fingerprint = f"DIEP {version('diep')}"
        self._calculator = diep()

    def _together(self, batch):
        import torch
        from torch_geometric.data import Batch

        graphs, lattices, states = zip(
            *(self._calculator.graph_converter.get_graph(batch.to_atoms(row)) for row in range(len(batch))), strict=True
        )
        states = torch.stack([torch.as_tensor(state) for state in states])
        energies, forces, *_ = self._calculator.potential(
            Batch.from_data_list(list(graphs)), torch.cat(lattices), states
        )
        return energies.detach().numpy().reshape(-1), forces.detach().numpy().reshape(batch.positions.shape)


class So3lr(Batched):
    """SO3LR with the charge of each sub-cluster, as its calculator prepares them, one after the other in one batch."""

    precision = Precision(relative=1e-15)
    capabilities = Capabilities(forces=True, charged=True)
    name = "SO3LR"

    def __init__(self):
        from so3krates_torch.calculator.so3 import SO3LRCalculator

        self.fingerprint = f"SO3LR {version('so3krates-torch')}"
        self._calculator = SO3LRCalculator(device="cpu", default_dtype="float64")

    def _together(self, batch):
        from so3krates_torch.data.atomic_data import AtomicData
        from so3krates_torch.data.utils import config_from_atoms
        from so3krates_torch.tools.torch_geometric.dataloader import DataLoader

        own = self._calculator
        configs = [
            config_from_atoms(_with_charge(batch.to_atoms(row), batch.charges[row]), own.key_specification)
            for row in range(len(batch))
        ]
        cutoffs = {"cutoff": own.r_max, "cutoff_lr": own.r_max_lr}
        data = [AtomicData.from_config(config, z_table=own.z_table, **cutoffs) for config in configs]
        found = own.models[0](next(iter(DataLoader(data, batch_size=len(data)))).to_dict(), compute_stress=False)
        return found["energy"].detach().numpy(), found["forces"].detach().numpy().reshape(batch.positions.shape)


def _with_charge(atoms: ase.Atoms, charge: int) -> ase.Atoms:
    atoms.info["charge"] = int(charge)
    return atoms
