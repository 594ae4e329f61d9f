"""Bodies joined across the borders of a cell: the image of each atom that lies beside the others of its body."""

from __future__ import annotations

import ase
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from bodyorder._checks import InputError
from bodyorder.structures.links import SAME_LENGTH, Links, find_links

#: Links up to this length (Å) join most bodies. Where they do not, longer ones are looked for, each time by this factor.
_FIRST_REACH, _FACTOR = 3.0, 1.6


def shortest_tree(links: Links, n_atoms: int) -> Links:
    """The fewest and shortest links that join the same atoms as all of them: a minimum spanning tree of each group."""
    links = links[np.argsort(links.lengths, kind="stable")]
    # of several images the nearest
    links = links[np.sort(np.unique(links.first * n_atoms + links.second, return_index=True)[1])]
    links = links[links.first != links.second]
    tree = minimum_spanning_tree(links.graph(1 + np.arange(len(links.first)), n_atoms))
    return links[np.sort(tree.data).astype(np.int64) - 1]


def cells_along(tree: Links, n_atoms: int) -> np.ndarray:
    """The cell that each atom has to be moved to for all links of a tree to be as long as they are, shape (n_atoms, 3).

    The first atom of each group stays where it is.
    """
    roots = np.unique(tree.components(n_atoms), return_index=True)[1]
    # one more node in front of all groups, so that one search passes through all of them
    starts = Links(roots, np.full(len(roots), n_atoms), np.zeros((len(roots), 3)), np.zeros(len(roots)))
    ends = np.concatenate([tree.first, starts.first]), np.concatenate([tree.second, starts.second])
    graph = csr_array((np.ones(len(ends[0])), ends), shape=(n_atoms + 1, n_atoms + 1))
    before = breadth_first_order(graph, n_atoms, directed=False)[1][:n_atoms].astype(np.int64)
    before[roots] = roots
    cells = np.zeros((n_atoms, 3), dtype=np.int64)
    outward = before[tree.second] == tree.first
    cells[np.where(outward, tree.second, tree.first)] = np.where(outward[:, None], tree.shifts, -tree.shifts)
    # from the link to the atom before to those to the one before that, twice as far every time
    while (before[before] != before).any():
        cells += cells[before]
        before = before[before]
    return cells


def join_groups(atoms: ase.Atoms, labels: np.ndarray) -> np.ndarray:
    """The cell that each atom has to be moved to for its group to be in one piece, shape (n_atoms, 3).

    The atoms of a group are joined along the minimum spanning tree of the distances between their images: at any length, those
    that a chain of shorter links connects are in one piece. So it does not matter how large the group is, nor in which images
    its atoms come.

    :param atoms: a periodic structure
    :param labels: group of each atom, shape (n_atoms,)
    :raises InputError: if links of one length join two parts of a group in several ways
    """
    many = np.flatnonzero(np.bincount(labels)[labels] > 1)
    cells = np.zeros((len(atoms), 3), dtype=np.int64)
    if not len(many):
        return cells
    links = _links_of_groups(atoms[many], labels[many], _FIRST_REACH)
    tree = shortest_tree(links, len(many))
    cells[many] = cells_along(tree, len(many))
    torn = links.torn(cells[many])
    torn = torn[torn.first != torn.second]
    torn = torn[np.argsort(torn.lengths, kind="stable")]
    longest = np.zeros(labels.max() + 1)
    np.maximum.at(longest, labels[many[tree.first]], tree.lengths)
    for row in np.flatnonzero(torn.lengths < longest[labels[many[torn.first]]] + SAME_LENGTH):
        shorter = tree[tree.lengths < torn.lengths[row] - SAME_LENGTH].components(len(many))
        if shorter[torn.first[row]] != shorter[torn.second[row]]:
            first, second = many[torn.first[row]], many[torn.second[row]]
            raise InputError(
                f"`bodies` must be groups that hang together in one way, that of atoms {first} and {second} does so in several, "
                f"with links of {torn.lengths[row]:.3f} Å across a border; give smaller groups or bodies='atoms'"
            )
    return cells


def _links_of_groups(atoms: ase.Atoms, labels: np.ndarray, reach: float) -> Links:
    """Links inside the groups, of each at least those not longer than the longest that is needed to join it."""
    links = find_links([atoms], reach)
    links = links[labels[links.first] == labels[links.second]]
    parts = links[links.lengths < reach - SAME_LENGTH].components(len(atoms))
    pieces = np.unique(np.column_stack([labels, parts]), axis=0)[:, 0]
    unfinished = np.unique(pieces[1:][pieces[1:] == pieces[:-1]])
    found = [links[~np.isin(labels[links.first], unfinished)]]
    for group in unfinished:
        rows = np.flatnonzero(labels == group)
        more = _links_of_groups(atoms[rows], labels[rows], reach * _FACTOR)
        found.append(Links(rows[more.first], rows[more.second], more.shifts, more.lengths))
    return Links.joined(found)
