"""Which atoms are bonded, where nothing but elements, positions and formal charges says so."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np
from ase.data import covalent_radii

from bodyorder._checks import InputError
from bodyorder.structures.links import SAME_LENGTH, Links, find_links, place_of

#: Atoms closer than the sum of their covalent radii plus this (Å) can be bonded; the rule of O'Boyle et al., Open Babel,
#: doi:10.1186/1758-2946-3-33. Wide enough for the stretched bonds of thermal molecules. It is no bound for hydrogen: in water
#: whose nuclei are quantum particles covalent O–H reaches 1.17 Å, and the shortest hydrogen bond 1.32 Å.
BOND_TOLERANCE = 0.45

#: Charges that are this close to a whole number are one.
WHOLE_CHARGE = 1.001e-3

_HYDROGEN = 1
_NOBLE = (2, 10, 18, 36, 54, 86, 118)
#: Elements whose bonds make molecules. All others are metals here.
NONMETALS = (1, *_NOBLE, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53, 84, 85, 117)


def _among(elements: Sequence[int]) -> np.ndarray:
    """Which atomic numbers are some elements, to be asked by number."""
    found = np.zeros(len(covalent_radii), dtype=bool)
    found[list(elements)] = True
    return found


_IS_NOBLE, _IS_METAL = _among(_NOBLE), ~_among(NONMETALS)
#: Alkali and alkaline-earth metals, which are ions in nearly all that they are found in, and noble gases of which no neutral
#: molecule is known.
_IS_BARE = _among((3, 4, 11, 12, 19, 20, 37, 38, 55, 56, 87, 88, 2, 10, 18))
#: Elements by the formal charge that leaves them no bond. It was put on an atom of a molecular ion only for want of a better one
#: where a nonmetal is closer than the sum of the covalent radii plus this (Å).
_ANION_TOLERANCE = 0.2
_IS_CLOSED = {
    -1: _among((9, 17, 35, 53, 85, 117)),
    -2: _among((8, 16, 34, 52, 84)),
    -3: _among((7, 15, 33)),
}


def bonds_of(structures: Sequence[ase.Atoms]) -> tuple[Links, Links]:
    """The bonds of some structures, across the borders of their cells too (:func:`find_bonds`).

    :return: bonds and contested links; atoms are counted through all structures
    """
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    charges = np.concatenate([atoms.get_initial_charges() for atoms in structures])
    return find_bonds(find_links(structures, reach_of_bonds(numbers)), numbers, charges)


def contested_hydrogen(link: Links, structures: Sequence[ase.Atoms], names: Sequence[str]) -> InputError:
    """What to say of a hydrogen between two molecules that is equally near to both.

    :param link: of the hydrogen and one of the two; atoms are counted through all structures
    :param names: what messages call these
    """
    (place, first), (_, second) = (place_of(atom, structures) for atom in (link.first[0], link.second[0]))
    pair = first, second
    hydrogen, other = pair if structures[place].numbers[pair[0]] == _HYDROGEN else pair[::-1]
    return InputError(
        f"each hydrogen must be nearest to one heavy atom, that of {names[place]} with number {hydrogen} is "
        f"{link.lengths[0]:.3f} Å from atom {other} and no farther from another; name bodies by a column or a file"
    )


def reach_of_bonds(numbers: np.ndarray) -> float:
    """Length in Å that no bond between some elements exceeds.

    :param numbers: atomic numbers
    """
    return float(2 * covalent_radii[np.unique(numbers)].max() + BOND_TOLERANCE)


def monatomic(numbers: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Which atoms have no bonds: alkali and alkaline-earth metals, He, Ne and Ar, and those whose formal charge leaves them none.

    The latter are metals with a positive charge, hydrogen and noble gases with any, halogens with −1, chalcogens with −2 and the
    lighter elements of the nitrogen group with −3. Other formal charges, as in ammonium or carboxylate, belong to molecules.

    :param numbers: atomic numbers, shape (n,)
    :param charges: formal charges, shape (n,); what is no whole number is a partial charge and says nothing
    :return: shape (n,), bool
    """
    bare = _IS_BARE[numbers]
    if not charges.any():
        return bare
    formal = np.where(np.abs(charges - np.rint(charges)) <= WHOLE_CHARGE, np.rint(charges), 0)
    bare |= (formal > 0) & _IS_METAL[numbers]
    bare |= (formal != 0) & ((numbers == _HYDROGEN) | _IS_NOBLE[numbers])
    for charge, elements in _IS_CLOSED.items():
        bare |= (formal == charge) & elements[numbers]
    return bare


def find_bonds(links: Links, numbers: np.ndarray, charges: np.ndarray) -> tuple[Links, Links]:
    """Those of some links that are bonds.

    Two atoms are bonded that are closer than :data:`BOND_TOLERANCE` allows, except that some stand alone (:func:`monatomic`),
    noble gases form no bonds with each other, and a hydrogen is bonded to the nearest heavy atom only, or to other hydrogens if
    none is so close. Nearest is the one to whose covalent radius the least has to be added, so that a stretched HCl keeps its
    hydrogen beside an oxygen.

    :param links: pairs of atoms, at least all up to :func:`reach_of_bonds`
    :param numbers: atomic numbers, shape (n_atoms,)
    :param charges: formal charges, shape (n_atoms,)
    :return: the bonds, and links of hydrogens to other heavy atoms that are as near as the one that each is bonded to
    """
    alone, radii = monatomic(numbers, charges), covalent_radii[numbers]
    close = links[links.lengths < radii[links.first] + radii[links.second] + BOND_TOLERANCE]
    lone = alone[close.first] | alone[close.second]
    if charges.any():
        lone &= ~_within_ions(close, numbers, charges, alone)
    close = close[~lone]
    noble = _IS_NOBLE[numbers]
    close = close[~(noble[close.first] & noble[close.second])]
    light = numbers == _HYDROGEN
    n_light = light[close.first].astype(np.int64) + light[close.second]
    mixed = close[n_light == 1]
    hydrogen = np.where(light[mixed.first], mixed.first, mixed.second)
    surplus = mixed.lengths - radii[mixed.first + mixed.second - hydrogen]
    nearest = np.full(len(numbers), np.inf)
    np.minimum.at(nearest, hydrogen, surplus)
    taken = np.isfinite(nearest)
    order = np.lexsort((surplus, hydrogen))
    first = order[np.unique(hydrogen[order], return_index=True)[1]]
    others = np.ones(len(hydrogen), dtype=bool)
    others[first] = False
    contested = others & (surplus < nearest[hydrogen] + SAME_LENGTH)
    of_hydrogens = (n_light == 2) & ~taken[close.first] & ~taken[close.second]
    kept = [close[(n_light == 0) | of_hydrogens], mixed[first]]
    return Links.joined(kept), mixed[contested]


def _within_ions(links: Links, numbers: np.ndarray, charges: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Which links of atoms that stand alone are bonds of molecular ions, as in ClO⁻ with its charge on Cl, shape (n,)."""
    heavy = ~_IS_METAL[numbers] & (numbers != _HYDROGEN) & ~_IS_NOBLE[numbers]
    anion = heavy & (charges < 0)
    radii = covalent_radii[numbers]
    near = links.lengths < radii[links.first] + radii[links.second] + _ANION_TOLERANCE
    of_anions = (anion | ~alone)[links.first] & (anion | ~alone)[links.second]
    return near & heavy[links.first] & heavy[links.second] & of_anions
