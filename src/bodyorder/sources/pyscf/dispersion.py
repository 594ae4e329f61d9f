"""Dispersion corrections: energies of pairs and triples of atoms, added to what a mean field gives.

Computed by the authors' own programs for D3 (Grimme *et al.*, J. Chem. Phys. 132, 154104 (2010), doi:10.1063/1.3382344; damping
of Becke and Johnson, doi:10.1002/jcc.21759) and D4 (Caldeweyher *et al.*, doi:10.1063/1.5090222). D3 is that of pairs, without
the term of three atoms, which is what PySCF, Psi4 and ORCA mean by the name; D4 has that term and knows the charge.
Importing this imports neither program.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from ase.units import Bohr

from bodyorder._checks import InputError, first_line
from bodyorder.structures.clusters import ClusterBatch

#: Kinds, and the package that computes each; ``none`` for no correction.
PROGRAMS = {"d3bj": "dftd3", "d3zero": "dftd3", "d4": "dftd4"}
#: Functionals for which the programs have parameters of another form, without nonlocal correlation or with other parameters.
_OTHER_FORMS = ("wb97", "b97m")
_CLASSES = {"d3bj": "RationalDampingParam", "d3zero": "ZeroDampingParam", "d4": "DampingParam"}


def parted(xc: object) -> tuple[object, str | None]:
    """A functional and the correction that its name asks for: ``b3lyp-d3bj`` is b3lyp with d3bj.

    :raises InputError: if it asks for d3 without saying which
    """
    text = str(xc).lower().strip()
    plain, dash, kind = text.rpartition("-")
    if not dash or not plain or _is_other_form(plain):
        return xc, None
    if kind in ("d3", "d3(bj)", "d3(0)", "d"):
        raise InputError(
            f"`xc` must say which dispersion correction it means, got {str(xc)!r}; write {plain}-d3bj, {plain}-d3zero or "
            f"{plain}-d4"
        )
    return (plain, kind) if kind in PROGRAMS else (xc, None)


def check_dispersion(kind: str, functional: str) -> None:
    """Check that a correction can be computed.

    :param functional: of density-functional theory, or ``hf``
    :raises InputError: if its package is not installed, it has no parameters for the functional, or the functional has nonlocal
        correlation, which is dispersion
    """
    from pyscf.dft import libxc

    if functional != "hf" and libxc.is_nlc(functional):
        raise InputError(
            f"`dispersion` must be none where the functional has nonlocal correlation, got {kind} with xc={functional}; leave "
            "one out"
        )
    if _is_other_form(functional):
        raise InputError(
            f"`dispersion` must have parameters for its functional, those of {kind} for {functional} belong to another form of "
            "it; use one with nonlocal correlation, such as wb97x-v or wb97m-v"
        )
    _parameters(kind, functional)


def correction(batch: ClusterBatch, kind: str, functional: str) -> tuple[np.ndarray, np.ndarray]:
    """Energies in hartree, shape (n,), and their derivatives in hartree/bohr, shape (n, k, 3). Ghosts have none.

    :param kind: one of :data:`PROGRAMS`
    :raises InputError: as :func:`check_dispersion`
    """
    energies, gradients = np.empty(len(batch)), np.empty((len(batch), batch.n_atoms, 3))
    program, parameters = _program(kind), _parameters(kind, functional)
    for row, (numbers, positions) in enumerate(zip(batch.numbers, batch.positions, strict=True)):
        charge = {"charge": float(batch.charges[row])} if kind == "d4" else {}
        model = program.DispersionModel(numbers, positions / Bohr, **charge)
        found = model.get_dispersion(parameters, grad=True)
        energies[row], gradients[row] = found["energy"], found["gradient"]
    return energies, gradients


def _is_other_form(functional: str) -> bool:
    return functional.replace("-", "").replace("_", "").startswith(_OTHER_FORMS)


def _program(kind: str) -> ModuleType:
    name = PROGRAMS[kind]
    try:
        return importlib.import_module(f"{name}.interface")
    except ImportError:
        raise InputError(
            f"{name} must be installed for dispersion={kind}, and is not; install it with: pip install {name}"
        ) from None


def _parameters(kind: str, functional: str) -> Any:
    """Damping parameters of a functional."""
    # made anew each time: kept ones outlive their library when Python ends
    return getattr(_program(kind), _CLASSES[kind])(method=_spelling(kind, functional))


@lru_cache(maxsize=32)
def _spelling(kind: str, functional: str) -> str:
    """What the program of a correction calls a functional.

    :raises InputError: if it does not know it
    """
    program = _program(kind)
    spellings = (functional, functional.replace("_", "-"), functional.replace("_", "").replace("-", ""))
    for spelling in dict.fromkeys(spellings):
        try:
            getattr(program, _CLASSES[kind])(method=spelling)
        except RuntimeError as error:
            reason = first_line(error)
        else:
            return spelling
    raise InputError(
        f"`dispersion` must have parameters for its functional, {PROGRAMS[kind]} has none of {kind} for {functional} ({reason}); "
        "use another correction or functional"
    )
