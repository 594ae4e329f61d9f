"""What the frameworks of potentials make of many structures themselves: their own batches, by their own functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase.calculators.calculator import Calculator

from bodyorder.structures.clusters import ClusterBatch

Both = tuple[np.ndarray, np.ndarray]


def sevennet(calculator: Calculator, batch: ClusterBatch) -> Both:
    """Graphs joined by PyTorch Geometric, as SevenNet's inference does."""
    import sevenn._keys as key
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.data import Batch

    graphs = [
        AtomGraphData.from_numpy_dict(
            unlabeled_atoms_to_graph(batch.to_atoms(row), calculator.cutoff, with_shift=False)
        )
        for row in range(len(batch))
    ]
    calculator.model.set_is_batch_data(True)
    try:
        found = calculator.model(Batch.from_data_list(graphs))
    finally:
        calculator.model.set_is_batch_data(False)
    energies, forces = found[key.PRED_TOTAL_ENERGY], found[key.PRED_FORCE]
    return energies.detach().numpy(), forces.detach().numpy().reshape(batch.positions.shape)


def chgnet(calculator: Calculator, batch: ClusterBatch) -> Both:
    """Its graphs of boxes, 64 in a batch."""
    from pymatgen.io.ase import AseAtomsAdaptor

    from bodyorder.sources.spacing import structure

    cells = [structure(batch.numbers[[row]], batch.positions[[row]], 6.0) for row in range(len(batch))]
    graphs = [calculator.model.graph_converter(AseAtomsAdaptor.get_structure(cell)) for cell in cells]
    found = calculator.model.predict_graph(graphs, task="ef", batch_size=64)
    energies = np.array([float(one["e"]) for one in found]) * batch.n_atoms  # by atom
    return energies, np.array([one["f"] for one in found])


def nequip(calculator: Calculator, batch: ClusterBatch) -> Both:
    """Its dictionaries, joined by its own function; Allegro's are the same."""
    from nequip.data import AtomicDataDict

    data = [calculator.atoms_to_data(batch.to_atoms(row)) for row in range(len(batch))]
    found = calculator.model(AtomicDataDict.batched_from_list(data))
    energies, forces = found[AtomicDataDict.TOTAL_ENERGY_KEY], found[AtomicDataDict.FORCE_KEY]
    return energies.detach().numpy().reshape(-1), forces.detach().numpy().reshape(batch.positions.shape)


OWN: dict[str, Callable[[Calculator, ClusterBatch], Both]] = {
    "SevenNet-0": sevennet,
    "CHGNet": chgnet,
    "NequIP": nequip,
    "Allegro": nequip,
}
