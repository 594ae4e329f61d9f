#!/usr/bin/env bash
# ASE's reader of CIF takes the element from the first capital letter of `_atom_site_type_symbol` and the small letters behind it. In
# capitals, as mmCIF and the ligands of the Protein Data Bank have them, CU, CL, CO and CA become carbon, NA nitrogen and FE
# fluorine, without a warning. Rock salt is read as NC. Symbols whose first letter is no element (ZN) are errors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ase==3.29.0 numpy==2.4.6 gemmi==0.7.5
cd "$folder"
"$folder/venv/bin/python" -W error - <<'PY'
import ase
import ase.io
import gemmi

CIF = """data_rock_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
M1 {} 0 0 0
X1 {} 0.5 0.5 0.5
"""
print("ASE", ase.__version__)
found = {}
for symbols in (("Na", "Cl"), ("NA", "CL"), ("CU", "CL"), ("FE", "CO")):
    with open("salt.cif", "w") as handle:
        handle.write(CIF.format(*symbols))
    by_gemmi = "".join(site.element.name for site in gemmi.read_small_structure("salt.cif").sites)
    found["".join(symbols)] = ase.io.read("salt.cif").get_chemical_formula(empirical=True), by_gemmi
    print("{} {}: {} by ASE, {} by gemmi".format(*symbols, *found["".join(symbols)]))
assert found == {"NaCl": ("ClNa", "NaCl"), "NACL": ("CN", "NaCl"), "CUCL": ("C", "CuCl"), "FECO": ("CF", "FeCo")}, found
PY
