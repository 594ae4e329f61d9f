#!/usr/bin/env bash
# QCManyBody cuts the whole out of a molecule as it cuts its parts, by its fragments, and drops the multiplicity of the molecule. Two
# hydroxyl radicals as a singlet, which QCElemental takes (fragments 2 and 2, the molecule 1), are computed as a triplet, without a
# warning; the energy through two bodies is that of another state.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet qcmanybody==0.8.0 qcelemental==0.51.4 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
from qcelemental.models.v2 import Molecule
from qcmanybody.core import ManyBodyCore

print("QCManyBody", version("qcmanybody"), "QCElemental", version("qcelemental"))
found = {}
for together in (1, 3):
    molecule = Molecule(
        symbols=["O", "H", "O", "H"],
        geometry=[0, 0, 0, 0, 0, 1.8, 0, 6, 0, 0, 6, 1.8],
        fragments=[[0, 1], [2, 3]],
        fragment_multiplicities=[2, 2],
        molecular_multiplicity=together,
    )
    core = ManyBodyCore(
        molecule, ["nocp"], {1: "hf", 2: "hf"},
        return_total_data=True, supersystem_ie_only=False, embedding_charges=None,
    )
    asked = {label: part.molecular_multiplicity for _, label, part in core.iterate_molecules()}
    found[molecule.molecular_multiplicity] = asked['["hf", [1, 2], [1, 2]]']
    print("the molecule has multiplicity", molecule.molecular_multiplicity, "and the whole is computed with", found[together])
assert found == {1: 3, 3: 3}, found
PY
