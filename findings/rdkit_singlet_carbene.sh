#!/usr/bin/env bash
# RDKit and radicals of MOL and SDF files: `M  RAD` tells a singlet (1, paired electrons) from a triplet (3). RDKit keeps a number of
# radical electrons alone, 2 for both, and writes every such atom as a triplet. So a file with singlet methylene comes back as triplet
# methylene, another state of the molecule (about 0.4 eV apart), and whoever derives a multiplicity from the radical electrons gives
# the singlet that of the triplet. Doublets stay what they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rdkit==2026.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import rdkit
from rdkit import Chem

TABLE = """methylene
  by hand

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
    0.8600    0.7000    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -0.8600    0.7000    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  1  3  1  0
M  RAD  1   1   {}
M  END
"""
print("RDKit", rdkit.__version__)
found = {}
for code, name in ((1, "singlet"), (3, "triplet")):
    molecule = Chem.MolFromMolBlock(TABLE.format(code), removeHs=False)
    electrons = molecule.GetAtomWithIdx(0).GetNumRadicalElectrons()
    (written,) = (line for line in Chem.MolToMolBlock(molecule).split("\n") if line.startswith("M  RAD"))
    found[name] = electrons, int(written.split()[-1])
    print(f"{name}, M  RAD {code}: {electrons} radical electrons, written as M  RAD {found[name][1]}")
assert found == {"singlet": (2, 3), "triplet": (2, 3)}, found
PY
