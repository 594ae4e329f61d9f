"""How far energies of density functionals scatter as a molecule turns on its grid, by level and class of functional.

The points around an atom lie along axes that do not turn with the molecule. A converged density is integrated on grids that are
turned at random about it, which is what turning the molecule does to its energy but for terms of second order. Printed is, for
each class and level, the largest standard deviation over the molecules, in eV:

    python benchmarks/grid_noise.py [levels [turns]]
"""

from __future__ import annotations

import sys

import numpy as np
from ase.build import molecule
from ase.units import Hartree
from pyscf import dft, gto
from scipy.spatial.transform import Rotation

MOLECULES = ("H2O", "NH3", "CH3OH", "OH", "HCl")
CLASSES = {
    "LDA": ("svwn",),
    "GGA": ("pbe", "blyp", "pbe0"),
    "B97": ("wb97x",),
    "MGGA": ("r2scan", "tpss"),
    "hard": ("scan", "m06-2x", "m06-l"),
}
BASIS = "def2-svp"


def scatter(name: str, functional: str, levels: range, turns: int) -> list[float]:
    """Standard deviation of the exchange-correlation energy in eV for each level."""
    atoms = molecule(name)
    place = [(symbol, position) for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)]
    mol = gto.M(atom=place, basis=BASIS, spin=int(atoms.numbers.sum()) % 2, verbose=0)
    field = dft.UKS(mol, xc=functional)
    field.grids.level = 3
    field.kernel()
    density, found = field.make_rdm1(), []
    for level in levels:
        energies = []
        for turn in Rotation.random(turns, rng=np.random.default_rng(0)).as_matrix():
            turned = mol.set_geom_(mol.atom_coords() @ turn.T, unit="Bohr", inplace=False)
            grids = dft.gen_grid.Grids(turned).set(level=level, verbose=0).build()
            grids.coords, grids.mol = np.ascontiguousarray(grids.coords @ turn), mol
            grids.non0tab = grids.screen_index = grids.make_mask(mol, grids.coords)
            energies.append(dft.numint.NumInt().nr_uks(mol, grids, functional, density)[1] * Hartree)
        found.append(float(np.std(energies, ddof=1)))
    return found


def main(levels: range, turns: int) -> None:
    """Print the table."""
    print(f"{'class':16} {'functional':10}" + "".join(f"{level:10d}" for level in levels))
    for kind, functionals in CLASSES.items():
        worst = np.zeros(len(levels))
        for functional in functionals:
            each = np.max([scatter(name, functional, levels, turns) for name in MOLECULES], axis=0)
            worst = np.maximum(worst, each)
            print(f"{'':16} {functional:10}" + "".join(f"{value:10.1e}" for value in each), flush=True)
        print(f"{kind:16} {'largest':10}" + "".join(f"{value:10.1e}" for value in worst), flush=True)


if __name__ == "__main__":
    main(range(int(sys.argv[1]) if len(sys.argv) > 1 else 7), int(sys.argv[2]) if len(sys.argv) > 2 else 10)
