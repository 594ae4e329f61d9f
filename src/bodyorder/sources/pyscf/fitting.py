"""Density fitting: (μν|λσ) from products of three-centre integrals, (μν|P) (P|Q)⁻¹ (Q|λσ).

Whitten, J. Chem. Phys. 58, 4496 (1973), doi:10.1063/1.1679012; Dunlap, Connolly, Sabin, doi:10.1063/1.438728. Integrals over
functions of some atoms do not know the others, the inverse of the metric does: it is made anew for every sub-cluster.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.linalg
from ase.data import chemical_symbols
from pyscf import df, gto

from bodyorder._checks import InputError, did_you_mean
from bodyorder.sources.pyscf.basis import BasisSet, element_functions

#: Names that an unknown one is compared with, and what names of auxiliary sets have in them.
USUAL = (
    "def2-universal-jkfit",
    "def2-universal-jfit",
    "def2-svp-jkfit",
    "def2-tzvp-jkfit",
    "cc-pvdz-jkfit",
    "cc-pvtz-jkfit",
    "aug-cc-pvdz-jkfit",
    "aug-cc-pvtz-jkfit",
    "cc-pvdz-ri",
    "cc-pvtz-ri",
    "def2-svp-ri",
    "def2-tzvp-ri",
    "weigend",
)
_AUXILIARY = ("fit", "ri", "weigend", "demon", "ahlrichs")
#: Combinations of auxiliary functions whose metric is below this are left out where it cannot be factorised, as PySCF does.
DEPENDENT = 1e-7


def check_auxiliary(option: str, name: object) -> str:
    """Return the name of an auxiliary basis set in lower case if PySCF carries it.

    :param option: what the user calls it
    :raises InputError: if it does not, or it is a basis set for orbitals
    """
    plain = str(name).lower()
    known = gto.basis._format_basis_name(plain) in gto.basis.ALIAS and any(part in plain for part in _AUXILIARY)
    if not isinstance(name, str) or not known:
        raise InputError(
            f"`{option}` must be true, false or an auxiliary basis set that PySCF knows, such as {USUAL[0]}, got {name!r}"
            f"{did_you_mean(name, USUAL)}"
        )
    return plain


@dataclass(frozen=True)
class Auxiliary:
    """Which functions densities are fitted with.

    :param name: of an auxiliary basis set of PySCF's; empty for the one that PySCF chooses for a basis set
    :param functional: what it is chosen for: with exact exchange other functions are taken than without
    """

    name: str
    functional: str

    def functions(self, basis: BasisSet, number: int) -> Any:
        """Functions of one element in PySCF's format.

        :raises InputError: if a set that was named has none for it
        """
        return _functions(self, basis, number)

    def of_molecule(self, mol: gto.Mole, basis: BasisSet) -> dict[str, Any]:
        """Functions of every atom of a molecule by its symbol, ghosts too."""
        symbols = {mol.atom_symbol(atom) for atom in range(mol.natm)}
        return {symbol: self.functions(basis, gto.charge(symbol.removeprefix("GHOST-"))) for symbol in symbols}

    def count(self, basis: BasisSet, number: int) -> int:
        """How many functions there are for one element."""
        return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in self.functions(basis, number))


class FittedIntegrals:
    """What the repulsion of sub-clusters of a molecule is made of.

    :param mol: the molecule
    :param omega: for erf(ωr)/r in place of 1/r, or erfc(|ω|r)/r where it is negative
    """

    def __init__(self, mol: gto.Mole, basis: BasisSet, auxiliary: Auxiliary, omega: float = 0.0):
        helper = df.make_auxmol(mol, auxiliary.of_molecule(mol, basis))
        with mol.with_range_coulomb(omega), helper.with_range_coulomb(omega):
            #: (μν|P) over pairs μ ≥ ν, shape (pairs, auxiliary functions)
            self.three = np.ascontiguousarray(df.incore.aux_e2(mol, helper, "int3c2e", aosym="s2ij"))
            #: (P|Q)
            self.metric = helper.intor("int2c2e", hermi=1)
        #: first and last auxiliary function of each atom, shape (n_atoms, 2)
        self.ranges = helper.aoslice_by_atom()[:, 2:]

    @property
    def size(self) -> int:
        """Bytes held."""
        return self.three.nbytes + self.metric.nbytes

    def repulsion(self, pairs: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        """(μν|λσ) over pairs, shape (pairs, pairs), of one sub-cluster.

        :param pairs: numbers of the pairs μ ≥ ν of its functions
        :param atoms: its atoms, ghosts too
        """
        places = np.concatenate([np.arange(*self.ranges[atom]) for atom in atoms])
        three, metric = self.three[pairs][:, places], self.metric[np.ix_(places, places)]
        try:
            factor = scipy.linalg.cholesky(metric, lower=True)
            half = scipy.linalg.solve_triangular(factor, three.T, lower=True, overwrite_b=True)
        except scipy.linalg.LinAlgError:
            values, vectors = scipy.linalg.eigh(metric)
            kept = values > DEPENDENT
            half = (vectors[:, kept] / np.sqrt(values[kept])).T @ three.T
        return half.T @ half


@lru_cache(maxsize=256)
def _functions(auxiliary: Auxiliary, basis: BasisSet, number: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install another package of basis sets
        return _chosen(auxiliary, basis, number)


def _chosen(auxiliary: Auxiliary, basis: BasisSet, number: int) -> Any:
    symbol, source = chemical_symbols[number], basis.of_element(number)
    if auxiliary.name:
        try:
            return gto.basis.load(auxiliary.name, symbol)
        except (RuntimeError, KeyError, OSError, AssertionError):
            raise InputError(
                f"`density_fit` must have functions for every element, {auxiliary.name} has none for {symbol}; use "
                "density_fit=true or a set that covers it"
            ) from None
    # the choice hangs on the name of the basis set; where there is no set for a functional without exact exchange, that for
    # Hartree–Fock is taken, and even-tempered functions where there is none at all
    if not source.text and (
        chosen := df.addons.predefined_auxbasis(gto.Mole(verbose=0), source.name, auxiliary.functional)
    ):
        with suppress(RuntimeError, KeyError):
            return gto.basis.load(chosen, symbol)
    atom = gto.Mole(atom=symbol, verbose=0, spin=None, basis=source.name)
    if source.text:
        atom.basis = {symbol: element_functions(basis, number)}
    atom.build(dump_input=False, parse_arg=False)
    other = df.make_auxbasis(atom)[symbol]
    return gto.basis.load(other, symbol) if isinstance(other, str) else other
