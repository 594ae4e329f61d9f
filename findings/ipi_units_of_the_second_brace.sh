#!/usr/bin/env bash
# i-PI's `read_trajectory`: which quantity an xyz file holds is taken from the first name with braces in its comment. Where that is
# `cell{...}` and `positions{...}` comes second, the unit of the positions is not applied: the numbers are handed to ASE as they are,
# with a warning that "cell is not a known trajectory type". Two hydrogen atoms 1.4 bohr (0.741 Å) apart are 1.4 Å apart, in a cell
# that is converted rightly; and where both are in Å, i-PI goes by way of bohr and 1.4 Å become 2.646 Å. The reader below it, `read_file`,
# takes both orders alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipi==3.3.1 ase==3.29.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
from importlib.metadata import version

from ipi import read_trajectory
from ipi.utils.io import read_file


def read(units):
    """The distance of the two atoms and the length of the cell in Å, and the distance in bohr by the other reader."""
    with open("h2.xyz", "w") as handle:
        handle.write(f"2\n# CELL(abcABC): 10 10 10 90 90 90 Step: 0 Bead: 0 {units}\nH 0 0 0\nH 0 0 1.4\n")
    frame = read_trajectory("h2.xyz")[0]
    with open("h2.xyz") as handle:
        other = read_file("xyz", handle)
    return tuple(round(float(number), 3) for number in (frame.get_distance(0, 1), frame.cell[0, 0], other["atoms"].q[5]))


print("i-PI", version("ipi"))
found = {}
for unit in ("atomic_unit", "angstrom"):
    for units in (f"positions{{{unit}}} cell{{{unit}}}", f"cell{{{unit}}} positions{{{unit}}}"):
        found[units] = read(units)
        print("{}: {} Å in a cell of {} Å; by read_file {} bohr".format(units, *found[units]))
assert list(found.values()) == [(0.741, 5.292, 1.4), (1.4, 5.292, 1.4), (1.4, 10.0, 2.646), (2.646, 10.0, 2.646)], found
PY
