"""Sub-clusters as dense batches: many sub-clusters of one size in a few arrays, never an object per sub-cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import ase
import numpy as np

IntArray = np.ndarray
FloatArray = np.ndarray

#: Positions that agree to this length (Å) are the same for a key. Far below anything that changes an energy by 1e-9 eV.
KEY_RESOLUTION = 1e-10


@dataclass(frozen=True)
class System:
    """A structure as plain arrays: what sub-clusters are cut from.

    :param numbers: atomic numbers, shape (n_atoms,)
    :param positions: positions in Å, shape (n_atoms, 3)
    :param charges: charge of each atom in elementary charges, whole numbers once summed over a body, shape (n_atoms,); zero
        if not given
    :param moments: unpaired electrons of each atom, positive up and negative down, shape (n_atoms,); zero if not given
    :param bodies: body of each atom, shape (n_atoms,); every atom its own if not given
    :param field: point charge in elementary charges that stands for each atom in the field of sub-clusters without it, shape
        (n_atoms,); zero, vacuum, if not given
    """

    numbers: IntArray
    positions: FloatArray
    charges: FloatArray = None  # type: ignore[assignment]
    moments: FloatArray = None  # type: ignore[assignment]
    bodies: IntArray = None  # type: ignore[assignment]
    field: FloatArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        defaults = {name: np.zeros(len(self)) for name in ("charges", "moments", "field")} | {
            "bodies": np.arange(len(self))
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @classmethod
    def from_atoms(cls, atoms: ase.Atoms, bodies: IntArray | None = None) -> System:
        """The arrays of an ASE structure, its initial charges and magnetic moments among them."""
        return cls(
            np.asarray(atoms.numbers, dtype=np.int64),
            np.asarray(atoms.positions, dtype=np.float64),
            np.asarray(atoms.get_initial_charges(), dtype=np.float64),
            _moments(atoms),
            np.arange(len(atoms)) if bodies is None else bodies,
        )

    def __len__(self) -> int:
        return len(self.numbers)


_NOTHING = System(np.empty(0, dtype=np.int64), np.empty((0, 3)))

#: Word in front of the point charges in a key.
_AROUND = -(2**62)

#: Of structures with more atoms than this, of which a batch takes several, the atoms that it needs are looked up one by one.
_LARGE = 1000


def evenly(count: int, most: int) -> IntArray:
    """Which of so many things to take, at most ``most`` of them, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


@dataclass(frozen=True)
class ClusterBatch:
    """``n`` sub-clusters of ``k`` atoms each.

    :param numbers: atomic numbers, shape (n, k)
    :param positions: positions in Å, shape (n, k, 3)
    :param parents: index of the structure each sub-cluster was cut from, shape (n,)
    :param members: indices of the sub-cluster's atoms in that structure, shape (n, k)
    :param systems: the structures by their index: all that ``parents`` refers to. A source whose work on a whole structure
        serves all its sub-clusters (integrals, say) finds it here.
    :param charges: total charge of each sub-cluster in elementary charges, shape (n,)
    :param ghosts: indices of the atoms of the structure that lend each sub-cluster their basis functions and nothing else,
        shape (n, g); none if not given
    """

    numbers: IntArray
    positions: FloatArray
    parents: IntArray
    members: IntArray
    systems: Mapping[int, System] = field(repr=False)
    charges: IntArray
    ghosts: IntArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.ghosts is None:
            object.__setattr__(self, "ghosts", np.empty((len(self), 0), dtype=np.int64))

    @classmethod
    def cut(
        cls, systems: Mapping[int, System], parents: IntArray, members: IntArray, ghosts: IntArray | None = None
    ) -> ClusterBatch:
        """Cut sub-clusters out of their structures.

        :param systems: structures by index
        :param parents: structure of each sub-cluster, shape (n,)
        :param members: atoms of each sub-cluster in that structure, shape (n, k)
        :param ghosts: atoms that lend it their basis functions only, shape (n, g); none if not given
        """
        parents = np.asarray(parents, dtype=np.int64)
        members = np.asarray(members, dtype=np.int64)
        used = {int(index): systems[int(index)] for index in np.unique(parents)}
        numbers, positions, charges = _taken(used, parents, members, ("numbers", "positions", "charges"))
        return cls(
            numbers,
            positions,
            parents,
            members,
            used,
            np.rint(charges.sum(axis=1)).astype(np.int64),
            ghosts,  # type: ignore[arg-type]
        )

    @classmethod
    def from_atoms(cls, clusters: Sequence[ase.Atoms]) -> ClusterBatch:
        """Whole structures of one size as a batch; each is its own parent."""
        systems = {index: System.from_atoms(atoms) for index, atoms in enumerate(clusters)}
        n_atoms = len(clusters[0])
        return cls.cut(systems, np.arange(len(clusters)), np.tile(np.arange(n_atoms), (len(clusters), 1)))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def n_atoms(self) -> int:
        """Atoms in each sub-cluster."""
        return int(self.numbers.shape[1])

    def select(self, rows: IntArray) -> ClusterBatch:
        """The batch of the given rows only."""
        parents = self.parents[rows]
        systems = {int(index): self.systems[int(index)] for index in np.unique(parents)}
        return ClusterBatch(
            self.numbers[rows],
            self.positions[rows],
            parents,
            self.members[rows],
            systems,
            self.charges[rows],
            self.ghosts[rows],
        )

    def of_members(self, name: str) -> np.ndarray:
        """What the structures say of each atom, shape (n, k): ``charges``, ``moments`` or ``bodies``."""
        return _taken(self.systems, self.parents, self.members, (name,))[0].astype(np.float64, copy=False)

    @property
    def in_field(self) -> bool:
        """Whether there are point charges around any of the structures' sub-clusters."""
        return any(system.field.any() for system in self.systems.values())

    def field_of(self, row: int) -> tuple[FloatArray, FloatArray]:
        """The point charges around one sub-cluster, those of the atoms that are not in it, zeros left out.

        :return: in elementary charges, shape (c,), and their positions in Å, shape (c, 3)
        """
        system = self.systems[int(self.parents[row])]
        outside = system.field != 0
        outside[self.members[row]] = False
        return system.field[outside], system.positions[outside]

    def systems_at(self, positions: FloatArray) -> list[System]:
        """Every sub-cluster as a structure of its own, in vacuum.

        :param positions: of its atoms in Å, shape (n, k, 3); ``batch.positions`` leaves them where they are
        """
        charges, moments, bodies = (self.of_members(name) for name in ("charges", "moments", "bodies"))
        arrays = zip(self.numbers, positions, charges, moments, bodies.astype(np.int64), strict=True)
        return [System(*one) for one in arrays]

    def of_ghosts(self) -> tuple[IntArray, FloatArray]:
        """Atomic numbers, shape (n, g), and positions in Å, shape (n, g, 3), of the atoms that lend their functions."""
        numbers, positions = _taken(self.systems, self.parents, self.ghosts, ("numbers", "positions"))
        return numbers, positions

    def to_atoms(self, row: int) -> ase.Atoms:
        """One sub-cluster as an ASE structure in vacuum; its total charge in ``info["charge"]``."""
        return ase.Atoms(
            numbers=self.numbers[row], positions=self.positions[row], info={"charge": int(self.charges[row])}
        )

    def canonical(self, context: Sequence[str] = ()) -> tuple[list[bytes], IntArray]:
        """Keys that name each sub-cluster whatever the order of its atoms and its place in space.

        Atoms that lend their functions are part of it.

        :param context: what else of its structure its energy depends on, some of ``"moments"``, ``"bodies"``, ``"charges"``
            (of each atom; that of the whole is always part of it) and ``"field"``
        :return: a 16-byte key per sub-cluster, and the permutations of shape (n, k) that bring its atoms into the order
            that the key stands for (``forces[row][permutation[row]]`` are forces in that order)
        """
        n, k = self.numbers.shape
        # The corner of the bounding box is the one reference point that no reordering of atoms changes in its last digit.
        corner = self.positions.min(axis=1, keepdims=True)
        permutation, sites = _sorted_sites(self.numbers, self.positions - corner)
        words = [self.charges[:, None], sites]
        if self.ghosts.shape[1]:
            numbers, positions = self.of_ghosts()
            # a word of its own in front keeps them apart from atoms
            words += [np.full((n, 1), -k), _sorted_sites(numbers, positions - corner)[1]]
        if "charges" in context:
            charges = np.take_along_axis(self.of_members("charges"), permutation, axis=1)
            words.append(np.rint(charges / KEY_RESOLUTION).astype(np.int64))
        if "bodies" in context:
            bodies = np.take_along_axis(self.of_members("bodies"), permutation, axis=1)
            words.append(np.argmax(bodies[:, :, None] == bodies[:, None], axis=2))
        keys = [hashlib.blake2b(word, digest_size=16) for word in np.concatenate(words, axis=1)]
        if "moments" in context and (moments := self.of_members("moments")).any():
            moments = np.take_along_axis(moments, permutation, axis=1)
            # turning all of them over changes nothing
            first = np.take_along_axis(moments, np.argmax(moments != 0, axis=1)[:, None], axis=1)
            turned = np.rint(moments * np.where(first < 0, -1.0, 1.0) / KEY_RESOLUTION).astype(np.int64)
            # without moments a key is the same as where nobody asks for them
            for row in np.flatnonzero(first).tolist():
                keys[row].update(turned[row])
        if "field" in context and self.in_field:
            for row in range(n):
                charges, positions = self.field_of(row)
                # without charges around it a key is that of vacuum
                if len(charges):
                    steps = np.rint(charges / KEY_RESOLUTION).astype(np.int64)
                    around = _sorted_sites(steps[None], (positions - corner[row])[None])[1]
                    keys[row].update(np.append(_AROUND, around[0]).tobytes())
        return [key.digest() for key in keys], permutation


def _taken(
    systems: Mapping[int, System], parents: IntArray, members: IntArray, names: Sequence[str]
) -> list[np.ndarray]:
    """What structures say of some of their atoms, an array of shape (n, k, …) for each name.

    :param parents: index of the structure of each row, shape (n,)
    :param members: atoms of that structure, shape (n, k)
    """
    if len(systems) == 1:
        (only,) = systems.values()
        return [getattr(only, name)[members] for name in names]
    present, place = np.unique(parents, return_inverse=True)
    used = [systems[int(index)] for index in present] or [_NOTHING]
    # all structures in one row, large ones by those of their atoms only that are meant
    columns = [[getattr(system, name) for system in used] for name in names]
    lengths, within = np.array([len(array) for array in columns[0]]), members.copy()
    for index in np.flatnonzero(lengths > _LARGE):
        rows = place == index
        taken = members[rows].ravel()
        for column in columns:
            column[index] = column[index][taken]
        lengths[index] = len(taken)
        within[rows] = np.arange(len(taken)).reshape(-1, members.shape[1])
    flat = within + (np.cumsum(lengths) - lengths)[place][:, None]
    return [np.concatenate(column)[flat] for column in columns]


def _sorted_sites(numbers: IntArray, apart: FloatArray) -> tuple[IntArray, IntArray]:
    """The permutations that bring the atoms into their order, shape (n, k), and that order as words, shape (n, 4k)."""
    n, k = numbers.shape
    grid = np.rint(apart / KEY_RESOLUTION).astype(np.int64)
    rows = np.repeat(np.arange(n), k)
    flat = grid.reshape(-1, 3)
    order = np.lexsort((flat[:, 2], flat[:, 1], flat[:, 0], numbers.ravel(), rows)).reshape(n, k)
    permutation = order - np.arange(n)[:, None] * k
    sites = np.take_along_axis(grid, permutation[:, :, None], axis=1).reshape(n, 3 * k)
    return permutation, np.concatenate([np.take_along_axis(numbers, permutation, axis=1), sites], axis=1)


def _moments(atoms: ase.Atoms) -> FloatArray:
    moments = np.asarray(atoms.get_initial_magnetic_moments(), dtype=np.float64)
    # vectors stand for spins that are not collinear, which no source here takes
    return moments if moments.ndim == 1 else np.zeros(len(atoms))
