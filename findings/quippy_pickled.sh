#!/usr/bin/env bash
# quippy and pickle: a calculator that has not been used yet can be pickled, without a warning, and what is pickled of the Fortran
# object behind it is its address. Unpickled in the same process it works. In another process (multiprocessing, Dask, a checkpoint)
# the first energy reads that address and the process ends with a segmentation fault. Once used it cannot be pickled. So "it
# pickles" says nothing on whether a calculator can be sent to workers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet quippy-ase==0.10.3 ase==3.29.0 numpy==2.4.6
cat > "$folder/silicon.py" <<'PY'
from ase import Atoms

PAIR = Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]])
XML = (
    '<SW_params n_types="1"><comment/><per_type_data type="1" atomic_num="14"/><per_pair_data atnum_i="14" atnum_j="14" '
    'AA="7.049556277" BB="0.6022245584" p="4" q="0" a="1.80" sigma="2.0951" eps="2.1675"/><per_triplet_data atnum_c="14" '
    'atnum_j="14" atnum_k="14" lambda="21.0" gamma="1.20" eps="2.1675"/></SW_params>'
)


def energy(calculator):
    atoms = PAIR.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy()
PY
cat > "$folder/here.py" <<'PY'
import pickle
import sys
from importlib.metadata import version

from quippy.potential import Potential
from silicon import XML, energy

packed = pickle.dumps(Potential("IP SW", param_str=XML))
with open(sys.argv[1], "wb") as file:
    file.write(packed)
calculator = Potential("IP SW", param_str=XML)
print("quippy-ase", version("quippy-ase"), "pickled", len(packed), "bytes; energy here", energy(calculator), "eV")
try:
    pickle.dumps(calculator)
    raise AssertionError("it can be pickled after use")
except TypeError as error:
    print("after use:", error)
PY
cat > "$folder/there.py" <<'PY'
import pickle
import sys

from silicon import energy

with open(sys.argv[1], "rb") as file:
    print("energy there", energy(pickle.load(file)), "eV")
PY
export OMP_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore "$folder/here.py" "$folder/packed" 2>/dev/null
code=0
"$folder/venv/bin/python" -W ignore "$folder/there.py" "$folder/packed" 2>/dev/null || code=$?
echo "another process ends with exit code $code (139 is a segmentation fault)"
[ "$code" -eq 139 ]
