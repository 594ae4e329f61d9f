import networkx
import numpy as np
import pytest
from ase import Atoms

from bodyorder.structures.links import Links, find_links
from bodyorder.structures.neighbours import neighbours


def structures(rng):
    """Small and large ones, free and periodic along some directions, with cells of any shape, some smaller than the reach."""
    for n_atoms in rng.integers(1, 90, 40):
        atoms = Atoms(f"H{n_atoms}", rng.uniform(-4, 12, (n_atoms, 3)))
        if rng.random() < 0.7:
            atoms.set_cell(np.diag(rng.uniform(2.5, 14, 3)) + rng.uniform(-2, 2, (3, 3)) * (rng.random() < 0.5))
            atoms.pbc = rng.random(3) < 0.7
            if not atoms.pbc[2] and rng.random() < 0.5:
                atoms.cell[2] = 0
        yield atoms


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cutoff", [0.3, 1.8, 4.0])
def test_all_links_and_no_others(seed, cutoff):
    """Held against a neighbour list of each structure, or all distances where it has no cell."""
    many = list(structures(np.random.default_rng(seed)))
    found = find_links(many, cutoff)
    starts = np.cumsum([0] + [len(atoms) for atoms in many])
    ours = [{} for _ in many]
    for first, second, shift, length in zip(found.first, found.second, found.shifts, found.lengths, strict=True):
        place = int(np.searchsorted(starts, first, side="right")) - 1
        assert first <= second < starts[place + 1]
        ours[place][first - starts[place], second - starts[place], *shift.tolist()] = length
    assert sum(map(len, ours)) == len(found.first), "no link comes twice"
    for atoms, links in zip(many, ours, strict=True):
        if atoms.pbc.any():
            list_of = neighbours("ijSd", atoms, max(cutoff, 2.0))
            wanted = {
                (i, j, *shift.tolist()): length
                for i, j, shift, length in zip(*list_of, strict=True)
                if i <= j and length < cutoff
            }
        else:
            apart = atoms.get_all_distances()
            wanted = {(i, j, 0, 0, 0): apart[i, j] for i, j in zip(*np.triu_indices(len(atoms), 1), strict=True)}
            wanted = {key: length for key, length in wanted.items() if length < cutoff}
        assert links.keys() == wanted.keys()
        np.testing.assert_allclose([links[key] for key in wanted], list(wanted.values()), atol=1e-9)


def test_nothing():
    assert len(find_links([], 1.0).first) == 0
    assert len(find_links([Atoms("H")], 1.0).first) == 0


@pytest.mark.parametrize("seed", range(20))
def test_groups_of_linked_atoms(seed):
    rng = np.random.default_rng(seed)
    n_atoms, n_links = int(rng.integers(1, 400)), int(rng.integers(0, 500))
    first, second = np.sort(rng.integers(0, n_atoms, (2, n_links)), axis=0)
    if seed % 4 == 0:  # a chain in any order, the longest way from end to end
        order = rng.permutation(n_atoms)
        first, second = np.sort([order[:-1], order[1:]], axis=0)
    labels = Links(first, second, np.zeros((len(first), 3)), np.zeros(len(first))).components(n_atoms)
    graph = networkx.Graph([*zip(first.tolist(), second.tolist(), strict=True)])
    graph.add_nodes_from(range(n_atoms))
    groups = sorted(map(sorted, networkx.connected_components(graph)))
    assert [np.flatnonzero(labels == group).tolist() for group in range(labels.max() + 1)] == groups
