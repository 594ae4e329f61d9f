"""Integrals over atomic functions: evaluated once for a whole structure, cut out for each of its sub-clusters.

An integral over functions of some atoms does not know the other atoms, so those of a sub-cluster are a slice of those
of its structure; the attraction by the nuclei is kept per nucleus and summed over the nuclei that are present.
Hartree atomic units (hartree, bohr).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr
from pyscf import ao2mo, df, gto, lib

from bodyorder._checks import InputError
from bodyorder.sources.pyscf.basis import BasisSet, core_electrons, element, element_functions
from bodyorder.sources.pyscf.fitting import Auxiliary, FittedIntegrals
from bodyorder.sources.pyscf.relativity import relativistic_core
from bodyorder.structures.clusters import ClusterBatch, System

#: Below this many functions the integrals of a structure cost so little that they are always worth evaluating.
SMALL = 32
#: A larger structure is evaluated whole if that is at most this many times the work of the sub-clusters at hand.
WORTH = 50.0
#: Of a structure with more functions than this, integrals are kept with all their symmetry only.
FOURFOLD = 64


def molecule(numbers: np.ndarray, positions: np.ndarray, basis: BasisSet | str, n_ghosts: int = 0) -> gto.Mole:
    """A PySCF molecule; positions in Å. The last ``n_ghosts`` atoms have functions only, no potential either."""
    mol = gto.Mole()
    mol.verbose = 0
    mol.unit = "Bohr"
    real = len(numbers) - n_ghosts
    symbols = [
        chemical_symbols[number] if place < real else f"ghost-{chemical_symbols[number]}"
        for place, number in enumerate(numbers)
    ]
    mol.atom = [(symbol, tuple(position / Bohr)) for symbol, position in zip(symbols, positions, strict=True)]
    mol.basis = {
        symbol: element_functions(basis, int(number))
        for symbol, number in dict(zip(symbols, numbers, strict=True)).items()
    }
    mol.ecp = {
        chemical_symbols[number]: potential
        for number in {int(number) for number in numbers[:real]}
        if (potential := element(basis, number).potential)
    }
    mol.spin = None
    mol.build(dump_input=False, parse_arg=False)
    return mol


class AtomicIntegrals:
    """Integrals of one structure in its atomic functions.

    :param system: the structure
    :param basis: the basis set
    :param auxiliary: what the repulsion is fitted with, None where it is not
    """

    def __init__(self, system: System, basis: BasisSet, auxiliary: Auxiliary | None = None):
        self.mol, self.basis = molecule(system.numbers, system.positions, basis), BasisSet.of(basis)
        #: first and last function of each atom, shape (n_atoms, 2)
        self.ranges = self.mol.aoslice_by_atom()[:, 2:]
        n_functions = self.mol.nao
        self.overlap = self.mol.intor("int1e_ovlp")
        self.kinetic = self.mol.intor("int1e_kin")
        self.attraction = np.empty((len(system), n_functions, n_functions))
        for atom in range(len(system)):
            with self.mol.with_rinv_at_nucleus(atom):
                self.attraction[atom] = -float(self.mol.atom_charge(atom)) * self.mol.intor("int1e_rinv")
            with potential_of(self.mol, atom) as has_potential:
                if has_potential:
                    self.attraction[atom] += self.mol.intor("ECPscalar")
        self.fitted = None if auxiliary is None else FittedIntegrals(self.mol, basis, auxiliary)
        #: (μν|λσ) over pairs of pairs, shape (pairs (pairs + 1)/2,); empty where it is fitted
        self.packed = np.empty(0) if self.fitted else self.mol.intor("int2e", aosym="s8")

    @cached_property
    def repulsion(self) -> np.ndarray:
        """(μν|λσ) over pairs μ ≥ ν and λ ≥ σ, shape (pairs, pairs)."""
        return ao2mo.restore(4, self.packed, self.mol.nao)

    @cached_property
    def potentials(self) -> np.ndarray:
        """−⟨μ|1/r|ν⟩ about each atom: its attraction as a point charge of one, shape (n_atoms, n, n)."""
        return attraction_by(self.mol, self.mol.atom_coords())

    @cached_property
    def gradients(self) -> AtomicGradients:
        """Derivatives of these integrals."""
        return AtomicGradients(self.mol)

    @cached_property
    def three(self) -> np.ndarray:
        """(μν|P) V^(−1/2), what the repulsion is roughly fitted with, shape (auxiliary functions, pairs)."""
        return fit(self.mol, self.basis)

    @property
    def size(self) -> int:
        """Bytes held."""
        held = [self.overlap, self.kinetic, self.attraction, self.packed]
        if self.fitted:
            held += [self.fitted.three, self.fitted.metric]
        held += [self.__dict__[name] for name in ("repulsion", "three", "potentials") if name in self.__dict__]
        if "gradients" in self.__dict__:
            held += [
                self.gradients.overlap,
                self.gradients.kinetic,
                self.gradients.attraction,
                self.gradients.repulsion,
            ]
        return sum(array.nbytes for array in held)


class AtomicGradients:
    """Integrals with the gradient (with respect to the electron) on the first function; x, y, z lead every shape."""

    def __init__(self, mol: gto.Mole):
        n_functions = mol.nao
        self.overlap = mol.intor("int1e_ipovlp", comp=3)
        self.kinetic = mol.intor("int1e_ipkin", comp=3)
        #: −Z ⟨∇μ|1/r|ν⟩ of each nucleus, and ⟨∇μ|U|ν⟩ of its core, shape (n_atoms, 3, n, n)
        self.attraction = np.empty((mol.natm, 3, n_functions, n_functions))
        for atom in range(mol.natm):
            with mol.with_rinv_at_nucleus(atom):
                self.attraction[atom] = -float(mol.atom_charge(atom)) * mol.intor("int1e_iprinv", comp=3)
                if len(mol._ecpbas) and atom in mol._ecpbas[:, gto.ATOM_OF]:
                    self.attraction[atom] += mol.intor("ECPscalar_iprinv", comp=3)
        #: (∇μ ν|λσ), λ ≥ σ, shape (3, n, n, pairs)
        self.repulsion = mol.intor("int2e_ip1", comp=3, aosym="s2kl")


@contextmanager
def potential_of(mol: gto.Mole, atom: int) -> Iterator[bool]:
    """Within it a molecule has the core potential of one atom alone; gives whether that atom has one."""
    mine = mol._ecpbas[mol._ecpbas[:, gto.ATOM_OF] == atom] if len(mol._ecpbas) else mol._ecpbas
    with lib.temporary_env(mol, _ecpbas=mine):
        yield len(mine) > 0


@dataclass
class ClusterIntegrals:
    """Integrals of ``n`` sub-clusters with the same sequence of elements, m functions each.

    :param overlap: shape (n, m, m)
    :param core: kinetic energy and attraction by the nuclei present and the point charges around them, shape (n, m, m)
    :param cuts: rows, the structure they are cut from, their functions in it, shape (rows, m), and their atoms in it
    :param nuclear: repulsion of the nuclei, and by the point charges around them, shape (n,)
    :param atoms: the atom (place in the sub-cluster, ghosts behind the others) that each function belongs to, shape (m,)
    :param basis: the basis set
    :param auxiliary: what ``repulsion`` is fitted with, None where it is not
    :param relativity: which Hamiltonian ``core`` is that of
    """

    overlap: np.ndarray
    core: np.ndarray
    cuts: list[tuple[np.ndarray, AtomicIntegrals, np.ndarray, np.ndarray]]
    nuclear: np.ndarray
    atoms: np.ndarray
    basis: BasisSet
    auxiliary: Auxiliary | None = None
    relativity: str = "none"

    @cached_property
    def repulsion(self) -> np.ndarray:
        """(μν|λσ) over pairs, shape (n, pairs, pairs)."""
        m = self.core.shape[1]
        pairs = m * (m + 1) // 2
        _, first, functions, _ = self.cuts[0]
        if len(self.core) == 1 and not first.fitted and first.mol.nao == m and (np.diff(functions[0]) == 1).all():
            return first.repulsion[None]
        result = np.empty((len(self.core), pairs, pairs))
        for rows, whole, functions, members in self.cuts:
            pair = pair_index(functions)
            if whole.fitted:
                for row, mine, atoms in zip(rows, pair, members, strict=True):
                    result[row] = whole.fitted.repulsion(mine, atoms)
            elif whole.mol.nao <= FOURFOLD:
                result[rows] = whole.repulsion[pair[:, :, None], pair[:, None, :]]
            else:
                for row, mine in zip(rows, pair, strict=True):
                    for number, one in enumerate(mine):
                        high, low = np.maximum(one, mine), np.minimum(one, mine)
                        np.take(whole.packed, high * (high + 1) // 2 + low, out=result[row, number], mode="clip")
        return result

    def packed(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """(μν|λσ) of one sub-cluster over pairs of pairs.

        :return: shape (pairs (pairs + 1)/2,), and the functions in its order, shape (m,)
        """
        whole, functions, order = self._cut(row)
        if whole.fitted:
            return ao2mo.restore(8, self.repulsion[row], len(order)), order
        if len(functions) == whole.mol.nao:
            return whole.packed, order
        (some,) = pair_index(functions[order][None])
        result = np.empty(len(some) * (len(some) + 1) // 2)
        for number, first in enumerate(some):
            used = number * (number + 1) // 2
            line = whole.packed[first * (first + 1) // 2 :][: first + 1]
            np.take(line, some[: number + 1], out=result[used : used + number + 1], mode="clip")
        return result, order

    def three(self, row: int, mol: gto.Mole) -> np.ndarray:
        """A rough fit of the repulsion of one sub-cluster, in the order of :meth:`packed`.

        :param mol: the sub-cluster
        :return: (μν|P) V^(−1/2), shape (auxiliary functions, pairs)
        """
        whole, functions, order = self._cut(row)
        if len(functions) == whole.mol.nao and not whole.fitted:
            return whole.three
        three = fit(mol, self.basis)
        return three if (np.diff(order) == 1).all() else three[:, pair_index(order[None])[0]]

    def _cut(self, row: int) -> tuple[AtomicIntegrals, np.ndarray, np.ndarray]:
        """Where a sub-cluster is cut from, its functions there, and the order in which they stand there."""
        rows, whole, functions, _ = next(part for part in self.cuts if row in part[0])
        mine = functions[np.flatnonzero(rows == row)[0]]
        return whole, mine, np.arange(len(mine)) if whole.fitted else np.argsort(mine)

    def select(self, some: np.ndarray) -> ClusterIntegrals:
        """Those of some of the sub-clusters, ascending."""
        cuts = []
        for rows, whole, functions, members in self.cuts:
            kept = np.isin(rows, some)
            if kept.any():
                cuts.append((np.searchsorted(some, rows[kept]), whole, functions[kept], members[kept]))
        return replace(self, overlap=self.overlap[some], core=self.core[some], cuts=cuts, nuclear=self.nuclear[some])


@dataclass
class ClusterGradients:
    """Derivatives for the same sub-clusters; shapes as in :class:`AtomicGradients` with n in front.

    :param attraction: shape (n, k, 3, m, m), one for each nucleus present
    """

    overlap: np.ndarray
    kinetic: np.ndarray
    attraction: np.ndarray
    repulsion: np.ndarray


class IntegralCache:
    """Integrals of the structures seen last.

    :param basis: the basis set, or its name
    :param limit: bytes to hold
    :param auxiliary: what the repulsion is fitted with, None where it is not
    :param relativity: the Hamiltonian of one electron, one of :data:`bodyorder.sources.pyscf.relativity.HAMILTONIANS`
    """

    def __init__(
        self, basis: BasisSet | str, limit: float, auxiliary: Auxiliary | None = None, relativity: str = "none"
    ):
        self.basis, self.auxiliary, self.relativity = BasisSet.of(basis), auxiliary, relativity
        self.limit = limit
        self._held: OrderedDict[bytes, AtomicIntegrals] = OrderedDict()

    def functions(self, numbers: np.ndarray) -> np.ndarray:
        """Number of functions of each atom."""
        elements, places = np.unique(numbers, return_inverse=True)
        table = [_count(element_functions(self.basis, int(number))) for number in elements]
        return np.array(table, dtype=np.int64)[places.ravel()]

    def integrals(self, batch: ClusterBatch) -> ClusterIntegrals:
        """Integrals of sub-clusters that all have the same sequence of elements, ghosts included."""
        counts = self.functions(all_numbers(batch)[0])
        n, m = len(batch), int(counts.sum())
        result = ClusterIntegrals(
            np.empty((n, m, m)),
            np.empty((n, m, m)),
            [],
            nuclear_repulsion(batch, self.basis),
            np.repeat(np.arange(len(counts)), counts),
            self.basis,
            self.auxiliary,
            self.relativity,
        )
        in_field = batch.in_field
        field = np.zeros((n, m, m) if in_field else (1, 1, 1))
        for rows, whole, members in self._sources(batch):
            ao = _functions_of(whole.ranges, members, counts)
            left, right = ao[:, :, None], ao[:, None, :]
            result.overlap[rows] = whole.overlap[left, right]
            core = whole.kinetic[left, right]
            for place in range(batch.n_atoms):
                core += whole.attraction[members[:, place, None, None], left, right]
            result.core[rows] = core
            result.cuts.append((rows, whole, ao, members))
            if in_field:
                field[rows] = _field(whole, batch.select(rows), members, (left, right))
        if self.relativity == "x2c":
            self._relativistic(batch, result.core)
        result.core += field
        return result

    def _relativistic(self, batch: ClusterBatch, core: np.ndarray) -> None:
        """Put the one-electron integrals of the exact two-component method in place of others.

        :raises InputError: where core potentials stand for electrons, which are fitted to relativistic energies themselves
        """
        for number in np.unique(batch.numbers).tolist():
            if element(self.basis, number).potential:
                symbol, name = chemical_symbols[number], self.basis.of_element(number).name
                raise InputError(
                    f"`relativity` must be none where core potentials stand for electrons, as for {symbol} with {name}: they "
                    "hold relativity already; use a basis set for all electrons"
                )
        numbers, positions = all_numbers(batch), np.concatenate([batch.positions, batch.of_ghosts()[1]], axis=1)
        for row in range(len(batch)):
            core[row] = relativistic_core(molecule(numbers[row], positions[row], self.basis, batch.ghosts.shape[1]))

    def gradients(self, batch: ClusterBatch) -> ClusterGradients:
        """Derivatives of the integrals of sub-clusters that all have the same sequence of elements."""
        counts = self.functions(batch.numbers[0])
        n, m = len(batch), int(counts.sum())
        result = ClusterGradients(
            np.empty((n, 3, m, m)),
            np.empty((n, 3, m, m)),
            np.empty((n, batch.n_atoms, 3, m, m)),
            np.empty((n, 3, m, m, m * (m + 1) // 2)),
        )
        for rows, whole, members in self._sources(batch, with_gradients=True):
            ao = _functions_of(whole.ranges, members, counts)
            left, right = ao[:, :, None], ao[:, None, :]
            xyz = np.arange(3)[None, :, None, None]
            grad = whole.gradients
            result.overlap[rows] = grad.overlap[xyz, left[:, None], right[:, None]]
            result.kinetic[rows] = grad.kinetic[xyz, left[:, None], right[:, None]]
            nuclei = members[:, :, None, None, None]
            result.attraction[rows] = grad.attraction[nuclei, xyz[None], left[:, None, None], right[:, None, None]]
            pair = pair_index(ao)[:, None, None, None, :]
            result.repulsion[rows] = grad.repulsion[
                xyz[..., None], left[:, None, ..., None], right[:, None, ..., None], pair
            ]
        return result

    def _sources(
        self, batch: ClusterBatch, with_gradients: bool = False
    ) -> Iterator[tuple[np.ndarray, AtomicIntegrals, np.ndarray]]:
        """Rows, the integrals they are cut from, and their atoms in them."""
        for parent in np.unique(batch.parents):
            rows = np.flatnonzero(batch.parents == parent)
            system = batch.systems[int(parent)]
            whole = self._whole(system, batch.select(rows), with_gradients)
            if whole is not None:
                yield rows, whole, np.concatenate([batch.members[rows], batch.ghosts[rows]], axis=1)
                continue
            for row in rows:
                sites = np.concatenate([batch.members[row], batch.ghosts[row]])
                part = System(system.numbers[sites], system.positions[sites])
                alone = AtomicIntegrals(part, self.basis, self.auxiliary)
                yield np.array([row]), alone, np.arange(len(sites))[None]

    def _whole(self, system: System, batch: ClusterBatch, with_gradients: bool) -> AtomicIntegrals | None:
        """Integrals of a whole structure, or None where those of its sub-clusters one by one are the better choice."""
        key = system.numbers.tobytes() + system.positions.tobytes()
        if key in self._held:
            self._held.move_to_end(key)
        else:
            n_functions = float(self.functions(system.numbers).sum())
            pairs = n_functions**2 / 2.0
            each = pairs * (1.5 if n_functions <= FOURFOLD else 0.5)
            if self.auxiliary is not None:
                each = float(sum(self.auxiliary.count(self.basis, int(number)) for number in system.numbers))
            size = 8.0 * (pairs * each + (2 * len(system)) * n_functions**2)
            work = WORTH * len(batch) * float(self.functions(all_numbers(batch)[0]).sum()) ** 4
            if size > self.limit or (n_functions > SMALL and n_functions**4 > work):
                return None
            self._held[key] = AtomicIntegrals(system, self.basis, self.auxiliary)
        whole = self._held[key]
        if with_gradients:
            if 12.0 * whole.mol.nao**4 > self.limit:
                return None
            _ = whole.gradients
        while len(self._held) > 1 and sum(held.size for held in self._held.values()) > self.limit:
            self._held.popitem(last=False)
        return whole


def all_numbers(batch: ClusterBatch) -> np.ndarray:
    """Atomic numbers of all atoms that have functions, ghosts last, shape (n, k + g)."""
    return np.concatenate([batch.numbers, batch.of_ghosts()[0]], axis=1)


def charges_of(numbers: np.ndarray, basis: BasisSet | str) -> np.ndarray:
    """Charges of the nuclei without those electrons that a core potential stands for; any shape."""
    return (numbers - core_electrons(basis, numbers)).astype(np.float64)


def nuclear_repulsion(batch: ClusterBatch, basis: BasisSet | str) -> np.ndarray:
    """Repulsion of the nuclei, of the cores where potentials stand for some electrons, and by the point charges around them, in
    hartree, shape (n,)."""
    first, second = np.triu_indices(batch.n_atoms, 1)
    distances = np.linalg.norm(batch.positions[:, first] - batch.positions[:, second], axis=2) / Bohr
    charges = charges_of(batch.numbers, basis)
    return (charges[:, first] * charges[:, second] / distances).sum(axis=1) + _in_field(batch, charges)


def attraction_by(mol: gto.Mole, places: np.ndarray) -> np.ndarray:
    """−⟨μ|1/|r − R||ν⟩ for each place R, shape (n, m, m).

    :param places: in bohr, shape (n, 3)
    """
    return -np.asarray(mol.intor("int1e_grids", grids=np.ascontiguousarray(places)))


def _field(
    whole: AtomicIntegrals, batch: ClusterBatch, members: np.ndarray, functions: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Attraction by the point charges around sub-clusters of one structure, shape (n, m, m).

    :param whole: integrals of the structure, or of the only sub-cluster
    :param members: atoms of the sub-clusters in it
    :param functions: rows and columns of their functions in it
    """
    system = batch.systems[int(batch.parents[0])]
    if whole.mol.natm < len(system):
        charges, positions = batch.field_of(0)
        return np.tensordot(charges, attraction_by(whole.mol, positions / Bohr), axes=1)[None]
    # that of all charges, less those of the atoms that are there
    field = np.tensordot(system.field, whole.potentials, axes=1)[functions]
    for place in range(batch.n_atoms):
        own = members[:, place, None, None]
        field -= system.field[own] * whole.potentials[(own, *functions)]
    return field


def _in_field(batch: ClusterBatch, nuclei: np.ndarray) -> np.ndarray:
    """Repulsion between nuclei and the point charges around them in hartree, shape (n,).

    :param nuclei: their charges, shape (n, k)
    """
    energies = np.zeros(len(batch))
    for row in range(len(batch)) if batch.in_field else ():
        charges, positions = batch.field_of(row)
        apart = np.linalg.norm(batch.positions[row][:, None] - positions, axis=2) / Bohr
        energies[row] = nuclei[row] @ (1.0 / apart) @ charges
    return energies


def nuclear_gradient(batch: ClusterBatch, basis: BasisSet | str) -> np.ndarray:
    """Its derivative with respect to the positions in hartree/bohr, shape (n, k, 3)."""
    apart = (batch.positions[:, :, None] - batch.positions[:, None]) / Bohr
    distances = np.linalg.norm(apart, axis=3)
    distances[:, np.arange(batch.n_atoms), np.arange(batch.n_atoms)] = np.inf
    charges = charges_of(batch.numbers, basis)
    weights = charges[:, :, None] * charges[:, None] / distances**3
    return -(weights[..., None] * apart).sum(axis=2)


def nuclear_hessian(batch: ClusterBatch, basis: BasisSet | str) -> np.ndarray:
    """Its second derivatives in hartree/bohr², shape (n, k, k, 3, 3)."""
    apart = (batch.positions[:, :, None] - batch.positions[:, None]) / Bohr
    _, k = apart.shape[:2]
    distances = np.linalg.norm(apart, axis=3)
    distances[:, np.arange(k), np.arange(k)] = np.inf
    charges = charges_of(batch.numbers, basis)
    weights = charges[:, :, None] * charges[:, None]
    outer = apart[..., :, None] * apart[..., None, :]
    between = (weights / distances**3)[..., None, None] * np.eye(3) - 3 * (weights / distances**5)[
        ..., None, None
    ] * outer
    result = between.copy()
    result[:, np.arange(k), np.arange(k)] = -between.sum(axis=2)
    return result


def pair_index(functions: np.ndarray) -> np.ndarray:
    """Numbers of the pairs μ ≥ ν of each row of ``functions`` in the structure's own list, shape (n, pairs)."""
    first, second = np.tril_indices(functions.shape[1])
    high = np.maximum(functions[:, first], functions[:, second])
    low = np.minimum(functions[:, first], functions[:, second])
    return high * (high + 1) // 2 + low


def fit(mol: gto.Mole, basis: BasisSet) -> np.ndarray:
    """(μν|P) V^(−1/2) over pairs with the auxiliary functions that PySCF would choose, shape (auxiliary functions, pairs)."""
    return df.incore.cholesky_eri(mol, auxbasis=Auxiliary("", "hf").of_molecule(mol, basis), verbose=0)


def single_thread() -> lib.with_omp_threads:
    """Context in which PySCF keeps to one core: its arrays here are small, and worker processes share the machine."""
    return lib.with_omp_threads(1)


def _functions_of(ranges: np.ndarray, members: np.ndarray, counts: np.ndarray) -> np.ndarray:
    within = np.concatenate([np.arange(count) for count in counts])
    return np.repeat(ranges[members, 0], counts, axis=1) + within


def _count(functions: list) -> int:
    # a shell [l, (κ), [exponent, c1, c2, …], …] holds 2l+1 functions for each of its contractions
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in functions)
