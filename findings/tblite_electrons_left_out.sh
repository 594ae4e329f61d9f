#!/usr/bin/env bash
# tblite and spins that its valence orbitals cannot hold: electrons that find no place with the number of unpaired electrons that is
# asked for are left out without a word, and the energy of an ion comes back. GFN2-xTB has four orbitals for the oxygen atom (2s, 2p)
# and six electrons in them. With four unpaired electrons five have spin up and find four places: "the quintet of O" is computed with
# five electrons and a charge of +1, 22 eV above the atom, though a charge of 0 was asked for. A singlet of an odd number of electrons
# (H) is the doublet, and so is H with three unpaired electrons. Whoever scans multiplicities for the lowest state, or holds one
# multiplicity in all parts of a molecule, must check the sum of the charges. (xtbloom 0.2.3 refuses all three.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tblite==0.8.0 ase==3.29.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

import ase
from tblite.ase import TBLite

print("tblite", version("tblite"))
found = {}
for symbol, multiplicities in (("O", (3, 5, 7)), ("H", (1, 2, 4))):
    for multiplicity in multiplicities:
        atoms = ase.Atoms(symbol)
        atoms.calc = TBLite(method="GFN2-xTB", charge=0, multiplicity=multiplicity, verbosity=0)
        energy, charge = atoms.get_potential_energy(), float(atoms.get_charges().sum())
        found[symbol, multiplicity] = round(energy, 3), round(charge, 3) + 0
        print(f"{symbol}, charge 0, multiplicity {multiplicity}: {energy:.3f} eV, charges add up to {charge:+.3f}")
wanted = {
    ("O", 3): (-102.522, 0), ("O", 5): (-80.135, 1), ("O", 7): (-41.009, 2),
    ("H", 1): (-10.707, 0), ("H", 2): (-10.707, 0), ("H", 4): (-10.707, 0),
}
assert found == wanted, found
PY
