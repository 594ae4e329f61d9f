#!/usr/bin/env bash
# MACE's own calculator since 0.3.16: the repulsion of cores (`pair_repulsion`, the ZBL potential of many foundation models) of a model in
# float64 is computed from nuclear charges raised to 0.3 in float32, unless the process sets torch's default type itself. The calculator
# sets that type while it makes the graph of a structure and no longer while the model runs, and torch.pow of integers by a number
# takes its type from the default. Energies of a clashing pair are off by some 1e-8 of the repulsion: nothing to dynamics, and larger
# than high body orders, which are differences of such energies. 0.3.14 had set the default type for the whole process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 mace-torch==0.3.16 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
from importlib.metadata import version

import ase
import numpy as np
import torch

torch.serialization.add_safe_globals([slice])
from e3nn import o3
from mace import modules
from mace.calculators import MACECalculator

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
model = modules.ScaleShiftMACE(
    r_max=3.5, num_bessel=6, num_polynomial_cutoff=5, max_ell=1, num_interactions=1, num_elements=2, correlation=1,
    interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
    interaction_cls_first=modules.interaction_classes["RealAgnosticInteractionBlock"],
    hidden_irreps=o3.Irreps("4x0e"), MLP_irreps=o3.Irreps("4x0e"), atomic_energies=np.zeros(2), avg_num_neighbors=1.0,
    atomic_numbers=[6, 8], gate=torch.nn.functional.silu, radial_MLP=[8], atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    pair_repulsion=True,
)
torch.save(model, f"{sys.argv[1]}/a.model")
energies = []
for default in (torch.float64, torch.float32):
    torch.set_default_dtype(default)
    atoms = ase.Atoms("CO", [[0, 0, 0], [0, 0, 0.8]])
    atoms.calc = MACECalculator(f"{sys.argv[1]}/a.model", device="cpu", default_dtype="float64")
    energies.append(atoms.get_potential_energy())
off = energies[1] - energies[0]
print("mace-torch", version("mace-torch"), "torch", version("torch").partition("+")[0])
print(f"CO at 0.8 Å, default_dtype='float64': {energies[0]:.9f} eV, and {energies[1]:.9f} eV where torch's default is float32: {off:+.1e} eV")
assert 1e-10 < abs(off) < 1e-4, off
PY
