"""What counts as one body: an atom, a molecule, or a group of atoms that the user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import ase
import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from bodyorder._checks import InputError, did_you_mean
from bodyorder.structures.bonds import WHOLE_CHARGE, bonds_of, contested_hydrogen
from bodyorder.structures.keys import MOLECULE, MOLECULE_COLUMNS, MOLECULES_UNCLEAR, RESIDUE, RESIDUE_COLUMNS, plain

_COLUMN = "column:"

BodiesLike = str | os.PathLike[str] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Bodies:
    """The partition of one structure's atoms into bodies.

    :param labels: body of each atom, 0 … n_bodies − 1, shape (n_atoms,)
    """

    labels: np.ndarray

    def __len__(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def atoms(self) -> np.ndarray:
        """Atoms of each body in ascending order, −1 behind them, shape (n_bodies, atoms of the largest body)."""
        counts = np.bincount(self.labels)
        table = np.full((len(counts), counts.max()), -1, dtype=np.int64)
        order = np.argsort(self.labels, kind="stable")
        slots = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        table[self.labels[order], slots] = order
        return table

    def distances(self, positions: np.ndarray) -> np.ndarray:
        """Shortest distance between the atoms of each pair of bodies in Å, shape (n_bodies, n_bodies).

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        """
        order = np.argsort(self.labels, kind="stable")
        starts = np.searchsorted(self.labels[order], np.arange(len(self)))
        pairs = cdist(positions[order], positions[order])
        return np.minimum.reduceat(np.minimum.reduceat(pairs, starts, axis=0), starts, axis=1)

    def middles(self, positions: np.ndarray) -> np.ndarray:
        """Mean position of the atoms of each body in Å, shape (n_bodies, 3).

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        """
        sums = np.stack([np.bincount(self.labels, column) for column in positions.T], axis=1)
        return sums / np.bincount(self.labels)[:, None]

    def middle_distances(
        self, atoms: ase.Atoms, first: np.ndarray, second: np.ndarray, shifts: np.ndarray
    ) -> np.ndarray:
        """Distances in Å between the middles of pairs of bodies, shape (n,).

        :param first: one body, shape (n,)
        :param second: the other, shape (n,)
        :param shifts: the cell that this one is in, shape (n, 3)
        """
        middles = self.middles(atoms.positions)
        return np.linalg.norm(middles[second] + shifts @ atoms.cell.array - middles[first], axis=1)

    def pairs(self, positions: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of bodies that hold atoms nearer than ``cutoff`` (Å) to each other.

        :param positions: positions of the atoms in Å, shape (n_atoms, 3)
        :return: one body, the other, and (0, 0, 0), the cell that it is in, shapes (n,), (n,), (n, 3); each pair comes both ways
        """
        atoms = KDTree(positions).query_pairs(cutoff, output_type="ndarray")
        apart = positions[atoms[:, 0]] - positions[atoms[:, 1]]
        atoms = atoms[np.einsum("nx,nx->n", apart, apart) < cutoff**2]
        found = self.labels[np.concatenate([atoms, atoms[:, ::-1]])]
        codes = np.unique((found @ np.array([len(self), 1]))[found[:, 0] != found[:, 1]])
        return codes // len(self), codes % len(self), np.zeros((len(codes), 3), dtype=np.int64)


def find_bodies(atoms: ase.Atoms, bodies: BodiesLike = "atoms") -> Bodies:
    """Divide a structure into bodies.

    :param atoms: the structure
    :param bodies: ``"atoms"``; ``"molecules"``; ``"residues"`` of the file that it came from; ``"column:NAME"``, for which atoms
        with one value in that column of the structure (an array of ``atoms.arrays``) are a body; the body of each atom as
        integers, shape (n_atoms,); or a text file that holds those integers.
        Molecules are what the structure says: a column named as in :data:`~bodyorder.structures.keys.MOLECULE_COLUMNS`, which
        readers of files with bonds or residues set. Where it says nothing, they are atoms joined by bonds
        (:func:`~bodyorder.structures.bonds.find_bonds`).
    :raises InputError: if the bodies given do not fit the structure, or it is not clear what they are
    """
    return divide([atoms], bodies, ["the structure"])[0]


def divide(
    structures: Sequence[ase.Atoms], bodies: BodiesLike = "atoms", names: Sequence[str] | None = None
) -> list[Bodies]:
    """Divide many structures into bodies, each as :func:`find_bodies` does, and faster than one by one.

    :param bodies: as there; integers (in a file, too) are for each structure alike, or for all atoms of all of them
    :param names: what messages call the structures; their numbers if not given
    :raises InputError: as there
    """
    if not structures:
        return []
    names = [f"structure {index}" for index in range(len(structures))] if names is None else names
    if isinstance(bodies, str) and bodies == "atoms":
        return [Bodies(np.arange(len(atoms))) for atoms in structures]
    if isinstance(bodies, str) and bodies == "molecules":
        return _molecules(structures, names)
    if isinstance(bodies, str) and (bodies == "residues" or bodies.startswith(_COLUMN)):
        return [_numbered(_values(atoms, bodies, name)) for atoms, name in zip(structures, names, strict=True)]
    if isinstance(bodies, str | os.PathLike):
        bodies = _read_labels(bodies)
    labels, sizes = np.asarray(bodies), [len(atoms) for atoms in structures]
    wanted = f"the {sizes[0]} atoms" if len(set(sizes)) == 1 else f"the {min(sizes)} to {max(sizes)} atoms"
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or any(labels.size not in (n, sum(sizes)) for n in sizes):
        raise InputError(
            f"`bodies` must name the body of each of {wanted} of a structure by an integer, got {labels.size} values of type "
            f"{labels.dtype}"
        )
    if labels.size == sum(sizes):
        return [_numbered(own) for own in np.split(labels, np.cumsum(sizes)[:-1])]
    return [_numbered(labels)] * len(structures)


def stated_molecules(atoms: ase.Atoms, name: str) -> str | None:
    """The column that says which molecule each atom is in, None if there is none.

    :param name: what messages call the structure
    :raises InputError: if two such columns disagree, or the file that the structure came from leaves it unclear
    """
    if MOLECULES_UNCLEAR in atoms.info:
        raise InputError(
            f"molecules must be clear, those of {name} are not: {atoms.info[MOLECULES_UNCLEAR]}; use bodies='residues' or a "
            "column"
        )
    found = [
        column
        for column, values in atoms.arrays.items()
        if plain(column) in MOLECULE_COLUMNS and _tells(column, values)
    ]
    if not found:
        return None
    partitions = [_in_order(_values(atoms, _COLUMN + column, name)) for column in found]
    for column, labels in zip(found, partitions, strict=True):
        if not np.array_equal(labels, partitions[0]):
            raise InputError(
                f"one column must say what the molecules of {name} are, {found[0]!r} and {column!r} disagree; name one by "
                f"bodies='column:{found[0]}'"
            )
    return found[0]


def body_charges(atoms: ase.Atoms, bodies: Bodies, name: str) -> np.ndarray:
    """Charge of each body in elementary charges, the sum of its atoms' initial charges, shape (n_bodies,).

    :param atoms: the structure
    :param bodies: its bodies
    :param name: what messages call the structure
    :raises InputError: if one is no whole number, or more than the electrons of its body
    """
    charges = np.bincount(bodies.labels, atoms.get_initial_charges(), minlength=len(bodies))
    whole = np.rint(charges)
    if (wrong := np.flatnonzero(~(np.abs(charges - whole) <= WHOLE_CHARGE))).size:
        first = wrong[0]
        raise InputError(
            f"the charge of each body must be a whole number, the initial charges of atoms "
            f"{np.flatnonzero(bodies.labels == first).tolist()} of {name} add up to {charges[first]:g}; set formal charges, "
            "or 0 where the charges are partial ones of neutral bodies"
        )
    electrons = np.bincount(bodies.labels, atoms.numbers, minlength=len(bodies))
    if (bare := np.flatnonzero(whole > electrons)).size:
        first = bare[0]
        those = np.flatnonzero(bodies.labels == first).tolist()
        raise InputError(
            f"the charge of each body must leave no fewer than 0 electrons, atoms {those} of {name} have "
            f"{electrons[first]:.0f} electrons and a charge of {whole[first]:+.0f}; correct their initial charges"
        )
    return whole.astype(np.int64)


def _molecules(structures: Sequence[ase.Atoms], names: Sequence[str]) -> list[Bodies]:
    columns = [stated_molecules(*one) for one in zip(structures, names, strict=True)]
    for atoms, column, name in zip(structures, columns, names, strict=True):
        if column is not None:
            _check_words(atoms, column, name)
    silent = [index for index, column in enumerate(columns) if column is None]
    joined = iter(_joined([structures[index] for index in silent], [names[index] for index in silent]))
    return [
        next(joined) if column is None else _numbered(_values(atoms, _COLUMN + column, name))
        for atoms, column, name in zip(structures, columns, names, strict=True)
    ]


def _joined(structures: Sequence[ase.Atoms], names: Sequence[str]) -> list[Bodies]:
    """Atoms joined by bonds, across the borders of cells too."""
    if not structures:
        return []
    bonds, contested = bonds_of(structures)
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    labels = bonds.components(starts[-1])
    between = contested[labels[contested.first] != labels[contested.second]]
    if len(between.first):
        raise contested_hydrogen(between, structures, names)
    return [Bodies(labels[begin:end] - labels[begin]) for begin, end in pairwise(starts.tolist())]


def _tells(column: str, values: np.ndarray) -> bool:
    """Whether a column says anything: programs write 0 where they know no molecules. Readers, and results, count from 0."""
    return values.dtype.kind not in "iuf" or bool(values.any()) or column in (MOLECULE, "body")


def _check_words(atoms: ase.Atoms, column: str, name: str) -> None:
    """Check that words in a column name molecules and not kinds of them, such as WAT."""
    values = atoms.arrays[column]
    if values.dtype.kind not in "USO":
        return
    (by_bonds,) = _joined([atoms], [name])
    for word in np.unique(values):
        if len(pieces := np.unique(by_bonds.labels[values == word])) > 1:
            raise InputError(
                f"column {column!r} must give each molecule of {name} a number or a name of its own, and {str(word)!r} is that "
                f"of {len(pieces)}; number them, or name the column by bodies='column:{column}'"
            )


def _values(atoms: ase.Atoms, bodies: str, name: str) -> np.ndarray:
    """What a column says of each atom, or its residue, shape (n_atoms,)."""
    if bodies == "residues" and RESIDUE not in atoms.arrays:
        columns = [atoms.arrays[column] for column in RESIDUE_COLUMNS if column in atoms.arrays]
        if RESIDUE_COLUMNS[0] not in atoms.arrays:
            raise InputError(f"residues must be named by the file, {name} has none; use bodies='molecules' or a column")
        changes = [np.append(True, column[1:] != column[:-1]) for column in columns]
        return np.cumsum(np.any(changes, axis=0)) - 1
    column = RESIDUE if bodies == "residues" else bodies.removeprefix(_COLUMN)
    if column not in atoms.arrays:
        columns = sorted(set(atoms.arrays) - {"numbers", "positions"})
        raise InputError(
            f"`bodies` must name a column of {name}, {column!r} is none; it has {', '.join(columns) or 'no columns of its own'}"
            f"{did_you_mean(column, columns)}"
        )
    values = atoms.arrays[column]
    if values.ndim == 1 and values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
        values = values.astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iubUSO":
        raise InputError(
            f"column {column!r} of {name} must name the body of each atom by a whole number or a word, got {values.dtype} of "
            f"shape {values.shape}"
        )
    return values


def _numbered(labels: np.ndarray) -> Bodies:
    return Bodies(np.unique(labels, return_inverse=True)[1])


def _in_order(labels: np.ndarray) -> np.ndarray:
    """The same groups, numbered by their first atoms."""
    kinds, begin, labels = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(kinds), dtype=np.int64)
    rank[np.argsort(begin)] = np.arange(len(kinds))
    return rank[labels]


def _read_labels(given: str | os.PathLike[str]) -> np.ndarray:
    path = Path(given)
    if not path.is_file():
        raise InputError(
            f"`bodies` must be 'atoms', 'molecules', 'residues', 'column:NAME' or a file with the body of each atom, got "
            f"{str(given)!r}{did_you_mean(given, ('atoms', 'molecules', 'residues'))}"
        )
    try:
        return np.array(path.read_text("utf-8-sig").split(), dtype=np.int64)
    except OverflowError:
        raise InputError(
            f"{path} must hold one integer per atom of at most 18 digits, and holds a longer one"
        ) from None
    except ValueError:
        raise InputError(
            f"{path} must hold one integer per atom, the body it belongs to, and holds other text"
        ) from None
