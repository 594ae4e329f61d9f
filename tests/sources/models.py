"""Small metatomic models with random weights, exported in about a second each, and models in closed form."""

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, List, Optional  # noqa: UP035 - metatomic compares annotations with these

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

#: A PET that is quick to export and to evaluate.
SMALL_PET = {"d_pet": 16, "d_head": 16, "d_node": 32, "d_feedforward": 32, "num_heads": 2, "num_attention_layers": 1}


@contextmanager
def _untrained(elements, dtype="float64", seed=0, **targets):
    """What architectures of metatrain are made from: their data set, with an energy and other targets."""
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info

    torch.manual_seed(seed)
    energy = get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"}, add_position_gradients=True)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # as metatrain does: coefficients of e3nn are made in it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a dozen libraries; what is exported is tested
            yield DatasetInfo("angstrom", atomic_types=list(elements), targets={"energy": energy} | targets)
    finally:
        torch.set_default_dtype(usual)


def export_network(folder, architecture, hypers, *, elements=(1,), dtype="float64", seed=0):
    """Export an architecture of metatrain as it is before training; ``extensions`` are put beside it.

    :return: path of the model
    """
    from metatrain.utils.architectures import get_default_hypers, import_architecture

    folder.mkdir(parents=True, exist_ok=True)
    with _untrained(elements, dtype, seed) as info:
        merged = _merge(get_default_hypers(architecture)["model"], hypers)
        model = import_architecture(architecture).__model__(merged, info)
        exported = model.to(getattr(torch, dtype)).eval().export()
        exported.save(folder / "model.pt", collect_extensions=folder / "extensions")
    return folder / "model.pt"


def _merge(defaults, changes):
    merged = dict(defaults)
    for key, value in changes.items():
        merged[key] = _merge(defaults[key], value) if isinstance(value, dict) else value
    return merged


class PairSum(torch.nn.Module):
    """Half the sum of u(r) over neighbours of each atom: u = (1 − r/c)³ inside the radius c, or 1/r everywhere if c is 0.

    :param radius: c in the model's unit of length
    :param cutoff: of the neighbour list; 0 takes all atoms of a system by their positions instead
    :param full: kind of neighbour list
    """

    def __init__(self, radius: float, cutoff: float, full: bool):
        super().__init__()
        self.radius = radius
        self.use_list = cutoff > 0
        self.options = NeighborListOptions(cutoff=cutoff if cutoff > 0 else 1.0, full_list=full, strict=True)
        self.weight = 0.5 if full or cutoff == 0 else 1.0

    def requested_neighbor_lists(self) -> list[NeighborListOptions]:
        return [self.options] if self.use_list else []

    def radial(self, distances: torch.Tensor) -> torch.Tensor:
        if self.radius == 0.0:
            return 1.0 / distances
        return torch.clamp(1.0 - distances / self.radius, min=0.0) ** 3

    def atoms(self, system: System) -> torch.Tensor:
        energies = torch.zeros(len(system), dtype=system.positions.dtype, device=system.positions.device)
        if self.use_list:
            pairs = system.get_neighbor_list(self.options)
            first = pairs.samples.column("first_atom").to(torch.int64)
            second = pairs.samples.column("second_atom").to(torch.int64)
            distances = pairs.values.reshape(-1, 3).square().sum(dim=1).sqrt()
        else:
            index = torch.arange(len(system))
            first, second = torch.nonzero(index[:, None] != index[None, :]).unbind(1)
            distances = (system.positions[second] - system.positions[first]).square().sum(dim=1).sqrt()
        strengths = self.strengths(system).to(energies.dtype)
        return energies.index_add(0, first, self.weight * self.radial(distances) * strengths[first] * strengths[second])

    def strengths(self, system: System) -> torch.Tensor:
        return torch.ones(len(system))

    def forward(
        self,
        systems: List[System],  # noqa: UP006
        outputs: Dict[str, ModelOutput],  # noqa: UP006
        selected_atoms: Optional[Labels] = None,  # noqa: UP045
    ) -> Dict[str, TensorMap]:  # noqa: UP006
        results: dict[str, TensorMap] = {}
        for name, output in outputs.items():
            samples: list[torch.Tensor] = []
            values: list[torch.Tensor] = []
            per_atom = output.sample_kind == "atom"
            for number, system in enumerate(systems):
                energies = self.atoms(system)
                if per_atom:
                    atoms = torch.arange(len(system))
                    samples.append(torch.stack([torch.full_like(atoms, number), atoms], dim=1))
                    values.append(energies)
                else:
                    samples.append(torch.tensor([[number]]))
                    values.append(energies.sum().reshape(1))
            block = TensorBlock(
                values=torch.cat(values).reshape(-1, 1),
                samples=Labels(["system", "atom"] if per_atom else ["system"], torch.cat(samples).to(torch.int32)),
                components=torch.jit.annotate(list[Labels], []),
                properties=Labels(["energy"], torch.tensor([[0]], dtype=torch.int32)),
            )
            results[name] = TensorMap(Labels(["_"], torch.tensor([[0]], dtype=torch.int32)), [block])
        return results


class Several(PairSum):
    """Several energies u + g_m u² of every atom, u as it is in :class:`PairSum`: ``energy_ensemble`` has them all, ``energy`` is
    their mean, and ``energy/first`` and ``energy/last`` are two of them.

    :param powers: g of each member
    :param additive: whether energies of atoms in the ensemble add up to those of systems; else those of systems are 1 eV higher
    :param broken: whether the ensemble fails
    """

    def __init__(self, powers: List[float], additive: bool = True, broken: bool = False):  # noqa: UP006
        super().__init__(2.5, 3.0, True)
        self.register_buffer("powers", torch.tensor(powers, dtype=torch.float64))
        self.surplus = 0.0 if additive else 1.0
        self.broken = broken

    def forward(
        self,
        systems: List[System],  # noqa: UP006
        outputs: Dict[str, ModelOutput],  # noqa: UP006
        selected_atoms: Optional[Labels] = None,  # noqa: UP045
    ) -> Dict[str, TensorMap]:  # noqa: UP006
        results: dict[str, TensorMap] = {}
        for name, output in outputs.items():
            samples: list[torch.Tensor] = []
            values: list[torch.Tensor] = []
            powers = self.powers
            if name == "energy":
                powers = powers.mean().reshape(1)
            elif name == "energy/first":
                powers = powers[:1]
            elif name == "energy/last":
                powers = powers[-1:]
            elif self.broken:
                raise ValueError("no ensemble here")
            per_atom = output.sample_kind == "atom"
            for number, system in enumerate(systems):
                own = self.atoms(system).reshape(-1, 1)
                energies = own + powers * own**2
                if per_atom:
                    atoms = torch.arange(len(system))
                    samples.append(torch.stack([torch.full_like(atoms, number), atoms], dim=1))
                    values.append(energies)
                else:
                    samples.append(torch.tensor([[number]]))
                    surplus = self.surplus if name == "energy_ensemble" else 0.0
                    values.append(energies.sum(dim=0).reshape(1, -1) + surplus)
            columns = torch.arange(len(powers), dtype=torch.int32).reshape(-1, 1)
            block = TensorBlock(
                values=torch.cat(values),
                samples=Labels(["system", "atom"] if per_atom else ["system"], torch.cat(samples).to(torch.int32)),
                components=torch.jit.annotate(list[Labels], []),
                properties=Labels(["energy"], columns),
            )
            results[name] = TensorMap(Labels(["_"], torch.tensor([[0]], dtype=torch.int32)), [block])
        return results


class Told(PairSum):
    """The terms of a pair are multiplied by 1 + 0.3 q of both atoms, where q is what the model is told of an atom or its system.

    :param name: what it asks for
    :param kind: whether of each ``atom`` or ``system``
    """

    def __init__(self, name: str, kind: str):
        super().__init__(2.5, 3.0, True)
        self.asked, self.kind = name, kind

    def requested_inputs(self) -> dict[str, ModelOutput]:
        return {self.asked: ModelOutput(sample_kind=self.kind)}

    def strengths(self, system: System) -> torch.Tensor:
        told = system.get_data(self.asked).block().values.reshape(-1)
        return 1.0 + 0.3 * told * torch.ones(len(system))


def export_last_layer_ensemble(folder, count, *, elements=(1,), seed=0):
    """Export a small PET of metatrain with an ensemble of last layers (LLPR), before training: weights of members are random.

    :param count: members
    :return: path of the model
    """
    from metatrain.llpr import LLPRUncertaintyModel
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers

    folder.mkdir(parents=True, exist_ok=True)
    with _untrained(elements, seed=seed) as info:
        hypers = get_default_hypers("llpr")["model"] | {"num_ensemble_members": {"energy": count}}
        model = LLPRUncertaintyModel(hypers, info)
        model.set_wrapped_model(PET(_merge(get_default_hypers("pet")["model"], SMALL_PET), info))
        exported = model.to(torch.float64).eval().export()
        exported.save(folder / "model.pt", collect_extensions=folder / "extensions")
    return folder / "model.pt"


def export_closed_form(path: Path, model: PairSum, *, claimed_range, kind="atom", outputs=("energy",), **capabilities):
    """Export a model in closed form.

    :param claimed_range: what the model declares as its interaction range, true or not
    :param kind: whether it gives energies by ``atom`` or by ``system``
    :param outputs: names of its energies
    :param capabilities: ``atomic_types``, ``length_unit``, ``unit`` of energy, ``dtype``
    """
    unit = capabilities.pop("unit", "eV")
    settings = {"atomic_types": [1], "length_unit": "angstrom", "dtype": "float64"} | capabilities
    offered = ModelCapabilities(
        outputs={name: ModelOutput(unit=unit, sample_kind=kind, description=name) for name in outputs},
        interaction_range=claimed_range,
        supported_devices=["cpu"],
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        AtomisticModel(model.eval(), ModelMetadata(), offered).save(path)
    return path


def export_direct(path: Path, *, elements=(1, 6, 8), neighbours=None, seed=0):
    """Export a small PET of metatrain that predicts forces beside its energy, untrained.

    :param neighbours: how many of them its cutoff aims at; None for a fixed cutoff
    """
    from metatrain.utils.architectures import get_default_hypers, import_architecture
    from metatrain.utils.data.target_info import get_generic_target_info

    vector = {"quantity": "force", "unit": "eV/A", "type": {"cartesian": {"rank": 1}}, "num_subtargets": 1}
    name = "non_conservative_force"
    forces = get_generic_target_info(name, vector | {"per_atom": True, "sample_kind": "atom", "description": ""})
    with _untrained(elements, seed=seed, **{name: forces}) as info:
        hypers = _merge(get_default_hypers("pet")["model"], SMALL_PET | {"num_neighbors_adaptive": neighbours})
        import_architecture("pet").__model__(hypers, info).to(torch.float64).eval().export().save(path)
    return path
