"""What a metatomic model asks for beside elements and positions, and how it is told: charges, and the spin of sub-clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, System

from bodyorder.sources.metatomic.archive import Settings
from bodyorder.sources.networks.network import Clusters, check_known, rule_of

#: metatomic's names of the charge, of atoms or systems, and of the multiplicity 2S + 1 of a system.
CHARGE, SPIN = "charge", "spin_multiplicity"
#: In which units they are told, and of what they can be told.
UNITS = {CHARGE: "e", SPIN: ""}
KINDS = {CHARGE: ("atom", "system"), SPIN: ("system",)}


class Inputs:
    """The inputs of one model.

    :param label: what the user calls the model
    :param requested: what it asks for, by name
    :param settings: how it was asked for
    :raises InputError: if it asks for what sub-clusters do not have, or is told what it does not take
    """

    def __init__(self, label: str, requested: Mapping[str, ModelOutput], settings: Settings):
        self._kinds = {name: output.sample_kind for name, output in requested.items()}
        known = {f"{name} of each {kind}" for name, kinds in KINDS.items() for kind in kinds}
        check_known(label, [f"{name} of each {kind}" for name, kind in self._kinds.items()], known)
        self.takes_charges = CHARGE in self._kinds
        self.rule = rule_of(
            label,
            charge=self.takes_charges,
            spin=SPIN in self._kinds,
            charged=settings.charged,
            rule=settings.spin,
        )
        self._charged = settings.charged

    @property
    def context(self) -> tuple[str, ...]:
        """What else of the structure energies depend on, as the ``context`` of a source."""
        return ("charges",) if self._charged and self._kinds[CHARGE] == "atom" else ()

    @property
    def tells_all(self) -> bool:
        """Whether every atom is told the charge or spin of its whole sub-cluster."""
        return SPIN in self._kinds or (self._charged and self._kinds[CHARGE] == "system")

    def add(self, system: System, clusters: Clusters) -> None:
        """Add what the model asks for to a system.

        :param clusters: those that make up the system
        """
        for name, kind in self._kinds.items():
            if kind == "atom":
                values = clusters.atom_charges.ravel()
            else:
                # Several sub-clusters are one system only where all of them are neutral for the model.
                values = {CHARGE: clusters.charges, SPIN: clusters.multiplicities}[name][:1]
            system.add_data(name, _column(name, kind, values, system))


def _column(name: str, kind: str, values: np.ndarray, system: System) -> TensorMap:
    """One value of each atom of a system, or of the system, in metatensor's form."""
    rows = np.zeros((len(values), 2), dtype=np.int32)
    rows[:, 1] = np.arange(len(values))
    names = ["system", "atom"] if kind == "atom" else ["system"]
    single = torch.zeros(1, 1, dtype=torch.int32, device=system.device)
    block = TensorBlock(
        values=torch.tensor(values[:, None], dtype=system.positions.dtype, device=system.device),
        samples=Labels(names, torch.from_numpy(rows[:, : len(names)]).to(system.device), assume_unique=True),
        components=[],
        properties=Labels([name], single),
    )
    data = TensorMap(Labels(["_"], single), [block])
    data.set_info("unit", UNITS[name])
    return data
