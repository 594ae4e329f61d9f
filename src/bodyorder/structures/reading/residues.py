"""Molecules by what a file says of residues and bonds, for files in which atoms belong to residues: PDB and mmCIF."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

import ase
import numpy as np
from ase.data import covalent_radii

from bodyorder._checks import InputError
from bodyorder.structures.bonds import BOND_TOLERANCE, monatomic
from bodyorder.structures.keys import MOLECULE, MOLECULES_UNCLEAR, RESIDUE
from bodyorder.structures.links import components, find_links
from bodyorder.structures.reading.elements import AMINO_ACIDS, NONMETALS, NUCLEOTIDES, WATERS, atoms_of

#: An occupancy below 1 by more than this is disorder.
FULL = 1e-3

#: A hydrogen looks for its heavy atom up to here (Å).
HYDROGEN_REACH = 3.0

#: Atoms of a residue whose names are all its own hang together if they are nearer than their covalent radii and this (Å).
LOOSE_TOLERANCE = 1.0

_HYDROGENS = {"H", "D", "T"}

#: Names that the atoms of a backbone have, one set of them in each residue of a polymer.
_BACKBONES = ({"N", "CA", "C"}, {"C3'", "C4'", "O3'"}, {"C3*", "C4*", "O3*"})


class Residue(NamedTuple):
    """What tells one residue from another."""

    chain: str
    number: str
    insertion: str
    name: str
    segment: str = ""

    def __str__(self) -> str:
        number = f"{self.number}{self.insertion}"
        return f"residue {self.name} {number}" + (f" of chain {self.chain}" if self.chain else "")


class Site(NamedTuple):
    """One atom as a file states it: its symbol (D and T among them), its position in Å, its occupancy or None."""

    serial: str
    name: str
    alternate: str
    residue: Residue
    symbol: str
    position: tuple[float, float, float]
    occupancy: float | None
    charge: int

    def __str__(self) -> str:
        return f"atom {self.name} of {self.residue}"


class Link(NamedTuple):
    """A bond between two atoms that a file names by their residues."""

    first: tuple[Residue, str]
    second: tuple[Residue, str]


def refuse_disorder(models: Sequence[Sequence[Site]], path: object) -> None:
    """Refuse atoms in several places. Occupancies of 0 throughout a file mean that its program has none.

    :raises InputError: if an atom has alternatives, or an occupancy below 1
    """
    stated = any(site.occupancy for sites in models for site in sites)
    for index, sites in enumerate(models):
        if any(site.alternate for site in sites):
            _refuse_alternatives(sites, index, path)
        for site in sites if stated else ():
            if site.occupancy is not None and site.occupancy < 1 - FULL:
                _refuse_occupancy(site, index, path)


def structure_of(sites: Sequence[Site]) -> ase.Atoms:
    """A structure with its charges and the array ``residue``, shape (n_atoms,), which counts them by their first atoms.

    Numbers that begin anew make new residues. Atoms that follow later, as hydrogens do in some files, belong to the residue
    of their name that has no such atom yet.
    """
    atoms = atoms_of(
        [site.symbol for site in sites], np.array([site.position for site in sites]), [site.charge for site in sites]
    )
    atoms.set_array(RESIDUE, _residue_numbers(sites))
    return atoms


def set_molecules(
    atoms: ase.Atoms, sites: Sequence[Site], bonds: Sequence[tuple[str, str]], links: Sequence[Link]
) -> None:
    """Set the array ``molecule``, shape (n_atoms,), where the file tells.

    A residue whose atoms hang together is a molecule, and those that are bonded are one. Coordination of metals given as a link
    joins nothing. One residue around all atoms says nothing; then the bonds of the file decide, and without any there is no
    array. Nor is there one, but ``info["molecules_unclear"]``, if the file cannot be understood: a residue falls apart and no
    bonds tell its molecules, or bonds leave out a hydrogen.

    :param atoms: the structure, with its cell and the array ``residue``
    :param sites: its atoms
    :param bonds: serial numbers of atoms that the file bonds, as in CONECT
    :param links: bonds that it states by residues
    """
    try:
        labels = _molecules(atoms, sites, bonds, links)
    except _Unclear as reason:
        atoms.info[MOLECULES_UNCLEAR] = str(reason)
        return
    if labels is not None:
        atoms.set_array(MOLECULE, labels)


def ends_of(pairs: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms as two arrays, shape (n,) each."""
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second


class _Unclear(Exception):
    """Why a file does not tell its molecules."""


def _refuse_alternatives(sites: Sequence[Site], index: int, path: object) -> None:
    # residues that replace each other have one number and two names
    residues: dict[tuple[str, ...], str] = {}
    names: dict[tuple[str, ...], str] = {}
    for site in sites:
        place = site.residue[:3]
        others = {names.setdefault((*place, site.name), site.alternate)}
        if site.alternate:
            others.add(residues.setdefault(place, site.alternate))
        if len(both := sorted(others | {site.alternate})) > 1:
            _refuse(f"has the alternatives {both[0] or 'blank'} and {both[1]}", site, index, path)


def _refuse_occupancy(site: Site, index: int, path: object) -> NoReturn:
    if site.occupancy or site.alternate:
        _refuse(f"has an occupancy of {site.occupancy:g}", site, index, path)
    raise InputError(
        f"atoms must be there wholly, {site} in model {index} of {path} has an occupancy of 0; remove it, or set its "
        "occupancy to 1"
    )


def _refuse(what: str, site: Site, index: int, path: object) -> NoReturn:
    raise InputError(
        f"atoms must have one place each, {site} in model {index} of {path} {what}; "
        "keep one alternative, for instance A, and set occupancies to 1"
    )


def _residue_numbers(sites: Sequence[Site]) -> np.ndarray:
    numbers, count = [], -1
    seen: dict[Residue, tuple[int, set[str]]] = {}
    previous = None
    for site in sites:
        if site.residue != previous:
            number, names = seen.get(site.residue, (-1, set()))
            if number < 0 or site.name in names:
                count += 1
                number, names = count, set()
                seen[site.residue] = number, names
            previous = site.residue
        names.add(site.name)
        numbers.append(number)
    return np.array(numbers, dtype=np.int64)


def _molecules(
    atoms: ase.Atoms, sites: Sequence[Site], bonds: Sequence[tuple[str, str]], links: Sequence[Link]
) -> np.ndarray | None:
    """Molecule of each atom, shape (n_atoms,); None if the file says nothing of molecules."""
    residue = atoms.arrays[RESIDUE]
    joined, coordinated = _linked(sites, links)
    conect = [pair for pair in _bonded(sites, bonds) if pair not in coordinated]
    if not residue.any():
        if not conect:
            return None
        _refuse_bare_hydrogen(sites, range(len(sites)), [*conect, *joined])
        return components(*ends_of([*conect, *joined]), len(atoms))
    names: dict[int, list[str]] = {}
    for site, number in zip(sites, residue.tolist(), strict=True):
        names.setdefault(number, []).append(site.name)
    torn = _torn(atoms, names)
    inside = [pair for pair in conect if residue[pair[0]] == residue[pair[1]] and residue[pair[0]] in torn]
    if untold := torn - {int(residue[one]) for one, _ in inside}:
        raise _Unclear(f"{sites[np.flatnonzero(residue == min(untold))[0]].residue} holds several molecules")
    between = [pair for pair in conect if residue[pair[0]] != residue[pair[1]]]
    _refuse_bare_hydrogen(sites, np.flatnonzero(np.isin(residue, list(torn))), [*joined, *inside, *between])
    edges = [*joined, *inside, *between, *_polymer_bonds(atoms, sites, names)]
    if not edges and not torn:
        return residue.copy()
    order = np.argsort(residue, kind="stable")
    following = np.stack([order[:-1], order[1:]], axis=1)
    whole = (residue[following[:, 0]] == residue[following[:, 1]]) & ~np.isin(residue[following[:, 0]], list(torn))
    return components(*ends_of([*edges, *following[whole].tolist()]), len(atoms))


def _bonded(sites: Sequence[Site], bonds: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Atoms that are bonded by their serial numbers, those left out that a file does not have."""
    if not bonds:
        return []
    rows: dict[str, list[int]] = {}
    for row, site in enumerate(sites):
        rows.setdefault(site.serial, []).append(row)
    for serial in {serial for bond in bonds for serial in bond}:
        if len(rows.get(serial, [])) > 1:
            raise _Unclear(f"CONECT names atom {serial}, and several atoms have this number")
    return [_pair(rows[one][0], rows[two][0]) for one, two in bonds if one in rows and two in rows and one != two]


def _linked(sites: Sequence[Site], links: Sequence[Link]) -> tuple[list[tuple[int, int]], set[tuple[int, int]]]:
    """Atoms that links join, and those of links to a metal, which join nothing."""
    ends = {end for link in links for end in link}
    rows: dict[tuple[Residue, str], list[int]] = {}
    for row, site in enumerate(sites if ends else ()):
        key = (site.residue._replace(segment=""), site.name)
        if key in ends:
            rows.setdefault(key, []).append(row)
    joined, coordinated = [], set()
    for link in links:
        for residue, name in link:
            if len(rows.get((residue, name), [])) > 1:
                raise _Unclear(f"a link names atom {name} of {residue}, and there are several of this name")
        if link.first in rows and link.second in rows:
            pair = _pair(rows[link.first][0], rows[link.second][0])
            if {sites[row].symbol for row in pair} <= NONMETALS:
                joined.append(pair)
            else:
                coordinated.add(pair)
    return joined, coordinated


def _pair(one: int, two: int) -> tuple[int, int]:
    return (one, two) if one < two else (two, one)


def _refuse_bare_hydrogen(sites: Sequence[Site], rows: Iterable[int], bonds: Sequence[tuple[int, int]]) -> None:
    """Say that molecules are unclear if bonds, which alone tell those of some atoms, leave out a neutral hydrogen."""
    bonded = {row for pair in bonds for row in pair}
    for row in rows:
        if sites[row].symbol in _HYDROGENS and not sites[row].charge and row not in bonded:
            raise _Unclear(f"CONECT leaves hydrogen {sites[row].name} without a bond")


def _torn(atoms: ase.Atoms, names: Mapping[int, Sequence[str]]) -> set[int]:
    """Residues whose atoms do not hang together; bonds may be longer where all names are different, as in one molecule."""
    residue = atoms.arrays[RESIDUE]
    sizes, own_names = np.zeros(len(names), dtype=int), np.zeros(len(names), dtype=bool)
    for number, of_residue in names.items():
        sizes[number] = len(of_residue)
        own_names[number] = len(set(of_residue)) == len(of_residue)
    torn = np.flatnonzero(sizes > 1)
    for periodic in (False, True) if atoms.pbc.any() else (False,):
        torn = _fallen_apart(atoms[np.isin(residue, torn)], own_names, periodic)
    return set(torn.tolist())


def _fallen_apart(atoms: ase.Atoms, own_names: np.ndarray, periodic: bool) -> np.ndarray:
    """Residues whose atoms are not joined by covalent bonds, each hydrogen with its nearest other atom, ions alone.

    :param own_names: by residue, whether all of its names are different
    """
    if not len(atoms):
        return np.empty(0, dtype=int)
    radii, residue, light = covalent_radii[atoms.numbers], atoms.arrays[RESIDUE], atoms.numbers == 1
    tolerances = np.where(own_names, LOOSE_TOLERANCE, BOND_TOLERANCE)[residue]
    one, two, distances = _near(atoms, max(2 * radii.max() + tolerances.max(), HYDROGEN_REACH), periodic)
    inside = (residue[one] == residue[two]) & (one != two)
    one, two, distances = one[inside], two[inside], distances[inside]
    has_others = np.bincount(residue, ~light) > 0
    bonded = distances < radii[one] + radii[two] + tolerances[one]
    bonded &= ~has_others[residue[one]] | ~(light[one] | light[two])
    ions = monatomic(atoms.numbers, atoms.get_initial_charges())
    bonded &= own_names[residue[one]] | ~(ions[one] | ions[two])
    alone = ~has_others & own_names[: len(has_others)]
    of_light = np.flatnonzero(light[one] & (~light[two] | alone[residue[one]]) & (distances <= HYDROGEN_REACH))
    of_light = of_light[np.argsort(distances[of_light], kind="stable")]
    bonded[of_light[np.unique(one[of_light], return_index=True)[1]]] = True
    parts = components(one[bonded], two[bonded], len(atoms))
    owners, counts = np.unique(np.unique(np.stack([residue, parts]), axis=1)[0], return_counts=True)
    return owners[counts > 1]


def _polymer_bonds(
    atoms: ase.Atoms, sites: Sequence[Site], names: Mapping[int, Sequence[str]]
) -> list[tuple[int, int]]:
    """Bonds between residues of polymers, wherever two of their atoms are as near as their covalent radii allow."""
    residue = atoms.arrays[RESIDUE]
    kinds = {number: site.residue.name for site, number in zip(sites, residue.tolist(), strict=True)}
    polymer = [number for number, kind in kinds.items() if _is_of_polymer(kind, set(names[number]))]
    if len(polymer) < 2:
        return []
    heavy = np.array([site.symbol in NONMETALS and site.symbol not in _HYDROGENS for site in sites])
    rows = np.flatnonzero(heavy & np.isin(residue, polymer))
    if len(rows) < 2:
        return []
    radii = covalent_radii[atoms.numbers[rows]]
    one, two, distances = _near(atoms[rows], 2 * radii.max() + BOND_TOLERANCE, bool(atoms.pbc.any()))
    bonded = (distances < radii[one] + radii[two] + BOND_TOLERANCE) & (residue[rows[one]] != residue[rows[two]])
    return list(zip(rows[one[bonded]].tolist(), rows[two[bonded]].tolist(), strict=True))


def _is_of_polymer(kind: str, names: set[str]) -> bool:
    if kind in WATERS or len(names) < 2:
        return False
    return kind in AMINO_ACIDS or kind in NUCLEOTIDES or any(backbone <= names for backbone in _BACKBONES)


def _near(atoms: ase.Atoms, reach: float, periodic: bool) -> tuple[np.ndarray, ...]:
    """Pairs of atoms nearer than ``reach`` (Å), each from either end, and their distances in Å."""
    if not periodic:
        atoms = atoms.copy()
        atoms.pbc = False
    links = find_links([atoms], reach)
    one, two = np.concatenate([links.first, links.second]), np.concatenate([links.second, links.first])
    return one, two, np.tile(links.lengths, 2)
