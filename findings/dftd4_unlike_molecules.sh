#!/usr/bin/env bash
# DFT-D4 and molecules far from each other: its charges are equilibrated over all atoms, however far apart they are, and the
# coefficients of dispersion inside each molecule follow the charges. So unlike molecules never add up: methane and water differ
# by +1.03 meV from both alone at 200 and at 1,000 A, benzene and the sodium dimer by -33 meV, while equal molecules do add up.
# Dissociation limits, fragments and cutoffs carry that energy; it depends on what else is there, not on how near it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dftd4==4.3.1 ase==3.29.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from ase.build import molecule
from dftd4.ase import DFTD4


def energy(atoms):
    return DFTD4(method="PBE").get_potential_energy(atoms)


print("dftd4", version("dftd4"))
PAIRS = {("CH4", "H2O"): 1.03e-3, ("C6H6", "Na2"): -33.2e-3, ("H2O", "H2O"): 0.0, ("CH4", "CH4"): 0.0}
for names, expected in PAIRS.items():
    one, other = map(molecule, names)
    for distance in (200.0, 1000.0):
        both = one.copy()
        far = other.copy()
        far.translate([distance, 0, 0])
        both += far
        rest = energy(both) - energy(one) - energy(other)
        print(f"{names[0]} ... {names[1]}, {distance:g} A: {1000 * rest:+.4f} meV beside both alone")
        assert abs(rest - expected) < 2e-5 + 0.01 * abs(expected), rest
PY
