"""Energies of sub-clusters by plain PySCF, one calculation after the other, and what QCManyBody makes of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyscf.cc
import pyscf.gto
import pyscf.mp
import pyscf.scf
from ase import Atoms
from ase.units import Bohr
from qcelemental.models import Molecule
from qcmanybody.core import ManyBodyCore
from qcmanybody.utils import delabeler


@cache
def _energy(method: str, basis: str, atoms: tuple[tuple[str, tuple[float, float, float]], ...]) -> float:
    molecule = pyscf.gto.M(atom=list(atoms), basis=basis, unit="Angstrom", verbose=0)
    field = pyscf.scf.RHF(molecule)
    field.conv_tol, field.conv_tol_grad = 1e-13, 1e-8
    field.kernel()
    assert field.converged
    if method == "hf":
        return float(field.e_tot)
    if method == "mp2":
        return float(pyscf.mp.MP2(field).run().e_tot)
    coupled = pyscf.cc.CCSD(field)
    coupled.conv_tol, coupled.conv_tol_normt = 1e-12, 1e-9
    coupled.kernel()
    assert coupled.converged
    return float(coupled.e_tot)


def energy(model: str, structure: Atoms, there: set[int], lent: set[int]) -> float:
    """Energy in hartree of closed-shell atoms by ``method/basis``, with the functions of others.

    :param there: atoms that are there
    :param lent: atoms that lend their functions
    """
    method, basis = model.split("/")
    kinds = [(symbol if place in there else f"ghost-{symbol}") for place, symbol in enumerate(structure.symbols)]
    chosen = sorted(there | lent)
    return _energy(method, basis, tuple((kinds[place], tuple(structure.positions[place])) for place in chosen))


def by_qcmanybody(structure: Atoms, bodies: list[int], levels: dict[int | str, str], scheme: str) -> list[float]:
    """Energies in hartree through each order by QCManyBody, that with its supersystem at the end if there is one.

    :param bodies: body of each atom, in ascending order
    :param levels: ``method/basis`` by order, as its core takes them
    :param scheme: ``nocp``, ``cp`` or ``vmfc``
    """
    atoms_of = [np.flatnonzero(np.array(bodies) == body).tolist() for body in range(max(bodies) + 1)]
    molecule = Molecule(
        symbols=list(structure.symbols),
        geometry=structure.positions / Bohr,
        fragments=atoms_of,
        fix_com=True,
        fix_orientation=True,
    )
    core = ManyBodyCore(
        molecule, [scheme], levels, return_total_data=True, supersystem_ie_only=False, embedding_charges=None
    )
    components = {}
    for model, label, _ in core.iterate_molecules():
        _, present, basis = delabeler(label)
        there, all_there = ({atom for body in some for atom in atoms_of[body - 1]} for some in (present, basis))
        components[label] = {"energy": energy(model, structure, there, all_there - there)}
    found = core.analyze(components)["energy_body_dict"]
    numbered = sorted(int(key.removesuffix(scheme)) for key in found if key.endswith(scheme) and key[0].isdigit())
    return [float(found[f"{order}{scheme}"]) for order in numbered]
