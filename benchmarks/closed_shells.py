"""Sub-clusters of closed-shell molecules, MP2 and Hartree–Fock, against a plain PySCF loop, on one core in one run.

The loop builds each molecule and converges it from PySCF's own guess, restricted, and does not look whether that is stable.
Ours shows that it is. Both have run once on a small molecule before, so that nothing is loaded while time is taken.
"""

from __future__ import annotations

import os
import time
from itertools import combinations

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import ase
import numpy as np
from ase.build import molecule
from ase.units import Hartree

from bodyorder.sources import load_source
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures.clusters import ClusterBatch, System

WATER = molecule("H2O")


def waters(count: int) -> System:
    """A bent chain of molecules, 2.9 Å apart."""
    positions = [WATER.positions + [0.0, 0.3 * number**2, 2.9 * number] for number in range(count)]
    atoms = ase.Atoms("OH2" * count, np.concatenate(positions))
    return System.from_atoms(atoms, np.repeat(np.arange(count), 3))


def with_ion(symbol: str, charge: int, distance: float) -> System:
    """An ion between two molecules."""
    places = np.concatenate([[[0.0, 0.0, 0.0]], *[WATER.positions + [0.0, 0.0, side * distance] for side in (1, -1)]])
    atoms = ase.Atoms(f"{symbol}OH2OH2", places)
    atoms.set_initial_charges([charge] + [0] * 6)
    return System.from_atoms(atoms, np.array([0, 1, 1, 1, 2, 2, 2]))


def subclusters(system: System, counterpoise: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Atoms of each and those that lend it their functions, the largest first."""
    bodies, found = np.unique(system.bodies), []
    subsets = [subset for size in range(len(bodies), 0, -1) for subset in combinations(bodies, size)]
    for subset in subsets:
        members = np.flatnonzero(np.isin(system.bodies, subset))
        lenders = [subset]
        if counterpoise == "full":
            lenders = [tuple(bodies)]
        if counterpoise == "vmfc":
            lenders = [larger for larger in subsets if set(subset) <= set(larger)]
        for larger in lenders:
            own = np.isin(system.bodies, larger)
            own[members] = False
            found.append((members, np.flatnonzero(own)))
    return found


def ours(system: System, method: str, basis: str, counterpoise: str) -> tuple[float, np.ndarray]:
    source = load_source(f"pyscf:{method}/{basis}?spin=low&counterpoise={counterpoise}")
    begin = time.process_time()
    found = [
        source.energies(ClusterBatch.cut({0: system}, np.array([0]), members[None], ghosts[None]))
        for members, ghosts in subclusters(system, counterpoise)
    ]
    return time.process_time() - begin, np.concatenate(found) / Hartree


def loop(system: System, method: str, basis: str, counterpoise: str) -> tuple[float, np.ndarray]:
    from ase.data import chemical_symbols
    from pyscf import gto, mp, scf

    begin, energies = time.process_time(), []
    for members, ghosts in subclusters(system, counterpoise):
        places = [(chemical_symbols[system.numbers[atom]], system.positions[atom]) for atom in members]
        places += [(f"ghost-{chemical_symbols[system.numbers[atom]]}", system.positions[atom]) for atom in ghosts]
        mol = gto.M(atom=places, basis=basis, charge=int(system.charges[members].sum()), verbose=0)
        with without_checkpoints():
            field = scf.RHF(mol).run()
        energies.append(mp.MP2(field).run().e_tot if method == "mp2" else field.e_tot)
    return time.process_time() - begin, np.array(energies)


CASES = [
    ("water dimer", waters(2), "mp2", "aug-cc-pvdz", "none"),
    ("water dimer", waters(2), "mp2", "aug-cc-pvdz", "full"),
    ("water dimer", waters(2), "mp2", "aug-cc-pvdz", "vmfc"),
    ("water dimer", waters(2), "uhf", "aug-cc-pvdz", "none"),
    ("fluoride, 2 water", with_ion("F", -1, 2.6), "mp2", "aug-cc-pvdz", "none"),
    ("sodium, 2 water", with_ion("Na", 1, 2.5), "mp2", "def2-svp", "none"),
    ("water trimer", waters(3), "mp2", "aug-cc-pvdz", "none"),
    ("water trimer", waters(3), "mp2", "aug-cc-pvdz", "full"),
]


def main() -> None:
    for method in ("mp2", "uhf"):
        ours(waters(1), method, "sto-3g", "none")
    loop(waters(1), "mp2", "sto-3g", "none")
    print(
        f"{'structure':18s} {'method':6s} {'basis':12s} {'counterpoise':12s} {'loop, s':>8s} {'ours, s':>8s} "
        f"{'ours/loop':>9s} {'apart':>8s}"
    )
    for name, *case in CASES:
        plain, theirs = loop(*case)
        seconds, found = ours(*case)
        apart = np.abs(found - theirs).max()
        method, basis, counterpoise = case[1:]
        print(
            f"{name:18s} {method:6s} {basis:12s} {counterpoise:12s} {plain:8.2f} {seconds:8.2f} {seconds / plain:9.2f} "
            f"{apart:8.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
