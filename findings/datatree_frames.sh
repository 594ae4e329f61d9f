#!/usr/bin/env bash
# xarray's DataTree: a child inherits the index coordinates of its parents even where none of its variables has their dimensions, and
# `to_dataframe` of the child's dataset then has a row for every combination of them: 10 numbers beside parents of 3 and 8 make a
# frame of 240 rows, each number 24 times. `to_dataset(inherit=False)` gives the 10 rows that there are. Means over such a frame are right, and
# sums, counts and files are 24 times too large. And `isel(structure=[0])` of the tree leaves children alone whose rows name
# structures in a variable, so that root and children no longer are of the same structures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xarray==2026.9.0 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import xarray as xr

print("xarray", xr.__version__)
root = xr.Dataset(
    {"energy": (("structure", "order"), np.ones((3, 8)))}, coords={"structure": list("abc"), "order": np.arange(8)}
)
rows = xr.Dataset({"value": ("row", np.ones(10)), "owner": ("row", np.repeat([0, 1, 2], [4, 3, 3]))})
tree = xr.DataTree.from_dict({"/": root, "rows": rows})
inherited = tree["rows"].to_dataset().to_dataframe()
own = tree["rows"].to_dataset(inherit=False).to_dataframe()
print(len(inherited), "rows with what is inherited, sum", inherited["value"].sum())
print(len(own), "rows without, sum", own["value"].sum())
first = tree.isel(structure=[0])
print("after isel(structure=[0]):", first.sizes["structure"], "structure,", first["rows"].sizes["row"], "rows")
assert (len(inherited), len(own)) == (240, 10)
assert (first.sizes["structure"], first["rows"].sizes["row"]) == (1, 10)
PY
