"""The model: an energy of each atom that is linear in its power spectrum."""

# Metatomic compares the annotations of `forward` with its own, so they are neither postponed nor modern.
# ruff: noqa: UP006, UP035, UP045
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Dict, List, Optional

import torch
from featomic.torch import SoapPowerSpectrum
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

#: Species of the two neighbours, which featomic keeps apart as blocks and we as features.
_NEIGHBOURS = ["neighbor_1_type", "neighbor_2_type"]


class LinearSoap(torch.nn.Module):
    """Energies E_i = b(Z_i) + w(Z_i)·p_i of atoms, p_i being the power spectrum of the density around atom i, not normalised.

    The power spectrum is of second order in the density, so a linear function of it has no contribution of more than three
    bodies (A. P. Bartók, R. Kondor and G. Csányi, Phys. Rev. B 87, 184115 (2013), doi:10.1103/PhysRevB.87.184115).

    :param soap: hyperparameters of ``featomic.torch.SoapPowerSpectrum``
    :param elements: atomic numbers that the model is for
    """

    def __init__(self, soap: Mapping[str, Any], elements: Sequence[int]):
        super().__init__()
        self.soap = SoapPowerSpectrum(**soap)
        self.elements: List[int] = sorted(elements)
        pairs = [[a, b] for place, a in enumerate(self.elements) for b in self.elements[place:]]
        self.neighbours = Labels(_NEIGHBOURS, torch.tensor(pairs, dtype=torch.int32))
        radial = soap["basis"]["radial"]["max_radial"] + 1
        self.n_features: int = len(pairs) * radial * radial * (soap["basis"]["max_angular"] + 1)
        self.register_buffer("weights", torch.zeros(len(self.elements), self.n_features, dtype=torch.float64))
        self.register_buffer("baseline", torch.zeros(len(self.elements), dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """What featomic needs."""
        return self.soap.requested_neighbor_lists()

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
    ) -> Dict[str, TensorMap]:
        """Energies in eV of atoms or systems, as metatomic asks for them."""
        if "energy" not in outputs:
            return {}
        features = self.soap(systems, selected_samples=selected_atoms).keys_to_properties(self.neighbours)
        values: List[torch.Tensor] = []
        samples: List[torch.Tensor] = []
        for position in range(len(features.keys)):
            block = features.block(position)
            kind = self.elements.index(int(features.keys.column("center_type")[position]))
            values.append(block.values @ self.weights[kind] + self.baseline[kind])
            samples.append(block.samples.values)
        energies = torch.cat(values)
        owners = torch.cat(samples)
        names = ["system", "atom"]
        if outputs["energy"].sample_kind != "atom":
            totals = torch.zeros(len(systems), dtype=energies.dtype, device=energies.device)
            energies = totals.index_add(0, owners[:, 0].to(torch.int64), energies)
            owners = torch.arange(len(systems), dtype=torch.int32, device=owners.device).reshape(-1, 1)
            names = ["system"]
        single = torch.zeros(1, 1, dtype=torch.int32, device=owners.device)
        block = TensorBlock(
            values=energies.reshape(-1, 1),
            samples=Labels(names, owners),
            components=[],
            properties=Labels(["energy"], single),
        )
        return {"energy": TensorMap(Labels(["_"], single), [block])}

    def export(self) -> AtomisticModel:
        """The model in metatomic's form."""
        capabilities = ModelCapabilities(
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            atomic_types=self.elements,
            interaction_range=max(self.soap.cutoffs),
            length_unit="angstrom",
            supported_devices=["cpu"],
            dtype="float64",
        )
        metadata = ModelMetadata(
            name="ridge regression on the SOAP power spectrum",
            description=f"features by featomic-torch {version('featomic-torch')}",
            references={"architecture": ["https://doi.org/10.1103/PhysRevB.87.184115"]},
        )
        return AtomisticModel(self.eval(), metadata, capabilities)
