"""Lowest known unrestricted Hartree–Fock energies of random stretched hydrogen clusters, by brute force with plain PySCF.

``python make.py`` writes ``lowest.json``. Every pattern of moments on the atoms and many random determinants are converged,
every solution is followed along its internal instabilities, and the lowest energy (hartree) is kept.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
from pyscf import gto, scf
from pyscf.scf import hf

CLUSTERS, RANDOM, ESCAPES = 100, 24, 6


def cluster(rng: np.random.Generator) -> np.ndarray:
    """Three to six atoms, each between 0.9 and 2.5 Å from one before it and no closer than 0.8 Å to any."""
    wanted = rng.integers(3, 7)
    positions = np.zeros((1, 3))
    while len(positions) < wanted:
        direction = rng.standard_normal(3)
        place = positions[rng.integers(len(positions))] + direction / np.linalg.norm(direction) * rng.uniform(0.9, 2.5)
        if np.linalg.norm(positions - place, axis=1).min() >= 0.8:
            positions = np.vstack([positions, place])
    return positions.round(4)


def starts(mol: gto.Mole, rng: np.random.Generator) -> list[np.ndarray]:
    """Densities of both spins."""
    overlap, ranges = mol.intor("int1e_ovlp"), mol.aoslice_by_atom()[:, 2]
    densities = []
    for pattern in itertools.product((0, 1), repeat=mol.natm):
        if sum(pattern) == mol.nelec[0]:
            density = np.zeros((2, mol.nao, mol.nao))
            for first, up in zip(ranges, pattern, strict=True):
                density[1 - up, first, first] = 1.0
            densities.append(density)
    values, vectors = np.linalg.eigh(overlap)
    for _ in range(RANDOM):
        orbitals = [vectors / np.sqrt(values) @ np.linalg.qr(rng.standard_normal(overlap.shape))[0] for _ in range(2)]
        densities.append(np.array([c[:, :n] @ c[:, :n].T for c, n in zip(orbitals, mol.nelec, strict=True)]))
    return densities


def lowest(mol: gto.Mole, rng: np.random.Generator) -> float:
    """The lowest energy of a stable solution."""
    energies = []
    for density in starts(mol, rng):
        field = scf.UHF(mol).set(conv_tol=1e-11, max_cycle=60)
        field.kernel(density)
        stable = False
        for _ in range(ESCAPES):
            if not field.converged:
                field = field.newton().run(mo_coeff=field.mo_coeff, mo_occ=field.mo_occ)
            orbitals, _, stable, _ = field.stability(return_status=True)
            if stable:
                break
            field = scf.UHF(mol).newton().set(conv_tol=1e-11).run(orbitals, field.mo_occ)
        if stable and field.converged:
            energies.append(float(field.e_tot))
    return min(energies)


def main() -> None:
    hf.MUTE_CHKFILE = True
    rng, found = np.random.default_rng(20), []
    for number in range(CLUSTERS):
        positions, basis = cluster(rng), ("sto-3g", "6-31g")[number % 2]
        mol = gto.M(atom=[("H", place) for place in positions], basis=basis, spin=len(positions) % 2, verbose=0)
        found.append({"basis": basis, "positions": positions.tolist(), "energy": round(lowest(mol, rng), 10)})
    text = ",\n".join(json.dumps(one) for one in found)
    Path(__file__).with_name("lowest.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
