import ase.io
import gemmi
import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from bodyorder._checks import InputError
from bodyorder.structures import read_structures
from bodyorder.structures.reading.blocks import read_blocks
from bodyorder.structures.reading.cif import read_cif
from bodyorder.structures.stated import read_stated

CELL = """
_cell_length_a {}
_cell_length_b {}
_cell_length_c {}
_cell_angle_alpha {}
_cell_angle_beta {}
_cell_angle_gamma {}
"""

COLUMNS = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")


def cif(rows, *, columns=COLUMNS, cell=(5, 6, 7, 90, 90, 90), operators=(), more="", name="some"):
    text = f"data_{name}\n" + CELL.format(*cell) + more + "\n"
    if operators:
        text += "loop_\n_space_group_symop_operation_xyz\n" + "".join(f"'{operator}'\n" for operator in operators)
    return text + "loop_\n" + "".join(f"_atom_site_{column}\n" for column in columns) + "\n".join(rows) + "\n"


def read(path, text):
    (path / "some.cif").write_text(text)
    return read_cif(path / "some.cif")


def read_one(path, text):
    (atoms,) = read(path, text)
    return atoms


def assert_same_crystal(atoms: Atoms, numbers, fractions):
    """One atom of the same kind on each place, images of the cell alike."""
    apart = atoms.get_scaled_positions(wrap=False)[:, None] - np.asarray(fractions)[None]
    distances = np.linalg.norm((apart - np.rint(apart)) @ atoms.cell.array, axis=2)
    assert distances.shape[0] == distances.shape[1]
    assert sorted(distances.argmin(axis=1).tolist()) == list(range(len(atoms)))
    assert distances.min(axis=1).max() < 0.01
    np.testing.assert_array_equal(atoms.numbers, np.asarray(numbers)[distances.argmin(axis=1)])


UREA = [
    "C1 C 0 0.5 0.3260",
    "O1 O 0 0.5 0.5953",
    "N1 N 0.1459 0.6459 0.1766",
    "H1 H 0.2575 0.7575 0.2827",
    "H2 H 0.1441 0.6441 -0.0380",
]
UREA_CELL = (5.565, 5.565, 4.684, 90, 90, 90)
UREA_OPERATORS = [
    "x,y,z", "-x,-y,z", "y,-x,-z", "-y,x,-z", "-x+1/2,y+1/2,-z", "x+1/2,-y+1/2,-z", "-y+1/2,-x+1/2,z", "y+1/2,x+1/2,z",
]  # fmt: skip


def test_urea_is_expanded_as_others_do(tmp_path):
    text = cif(UREA, cell=UREA_CELL, operators=UREA_OPERATORS, more="_space_group_IT_number 113\n")
    atoms = read_one(tmp_path, text)
    assert atoms.get_chemical_formula() == "C2H8N4O2"
    assert atoms.pbc.all()
    assert atoms.info == {"name": "some"}
    np.testing.assert_allclose(atoms.cell.cellpar(), UREA_CELL)
    sites = np.array([row.split()[2:] for row in UREA], dtype=float)
    made = crystal([row.split()[1] for row in UREA], sites, spacegroup=113, cellpar=UREA_CELL)
    assert_same_crystal(atoms, made.numbers, made.get_scaled_positions())
    other = ase.io.read(tmp_path / "some.cif")
    assert_same_crystal(atoms, other.numbers, other.get_scaled_positions())
    small = gemmi.read_small_structure(str(tmp_path / "some.cif")).get_all_unit_cell_sites()
    assert_same_crystal(atoms, [site.element.atomic_number for site in small], [site.fract.tolist() for site in small])
    # what is written stays where it is
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False)[0], sites[0], atol=1e-12)


def test_a_space_group_without_its_operators(tmp_path):
    name = "_symmetry_space_group_name_H-M '{}'\n"
    salt = ["Na1 Na1+ 0 0 0", "Cl1 Cl1- 0.5 0.5 0.5"]
    atoms = read_one(tmp_path, cif(salt, cell=(5.64, 5.64, 5.64, 90, 90, 90), more=name.format("F m -3 m")))
    made = crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64, 5.64, 5.64, 90, 90, 90])
    assert_same_crystal(atoms, made.numbers, made.get_scaled_positions())
    assert atoms.info["oxidation_states"] == "Cl1-, Na1+"
    assert not atoms.has("initial_charges")
    sites = ["O1 O 0.1 0.2 0.3"]
    monoclinic = {"cell": (5, 6, 7, 90, 100, 90)}
    short = read_one(tmp_path, cif(sites, more=name.format("P 21/c"), **monoclinic))
    long = read_one(tmp_path, cif(sites, more=name.format("P 1 21/c 1"), **monoclinic))
    assert len(short) == 4
    np.testing.assert_allclose(long.positions, short.positions)
    assert len(read_one(tmp_path, cif(sites, more=name.format("P 1")))) == 1
    assert len(read_one(tmp_path, cif(sites))) == 1
    # two origins, two axes, a name that nobody knows, a number with two settings
    for unclear in ("F d -3 m", "R -3 m", "P b n m:x"):
        with pytest.raises(
            InputError, match=r"must list its symmetry operators, its space group .* is not enough to tell them"
        ):
            read_one(tmp_path, cif(sites, more=name.format(unclear)))
    with pytest.raises(InputError, match="its space group 14 is not enough"):
        read_one(tmp_path, cif(sites, more="_space_group_IT_number 14\n"))
    with pytest.raises(InputError, match="its space group -P 2ybc is not enough"):
        read_one(tmp_path, cif(sites, more="_space_group_name_Hall '-P 2ybc'\n"))


def test_operators_that_are_missing_or_unreadable(tmp_path):
    with pytest.raises(
        InputError,
        match=r"block some of .*some\.cif must list the 8 symmetry operators of its space group, and lists 2",
    ):
        read_one(tmp_path, cif(UREA, operators=UREA_OPERATORS[:2], more="_space_group_IT_number 113\n"))
    with pytest.raises(InputError, match=r"symmetry operators must read like .* is 'x,y,w'"):
        read_one(tmp_path, cif(UREA, operators=["x,y,w"]))
    with pytest.raises(InputError, match=r"number of a space group must be between 1 and 230, that of .* is 231"):
        read_one(tmp_path, cif(UREA, more="_space_group_IT_number 231\n"))
    magnetic = "_space_group_symop_magn_operation.xyz x,y,z,+1\n"
    with pytest.raises(InputError, match="symmetry must be that of places alone"):
        read_one(tmp_path, cif(UREA, more=magnetic))


def test_special_positions_are_rounded(tmp_path):
    """1/3 of two digits is 0.1 Å from its images by a threefold axis; they are one atom."""
    threefold = ["x,y,z", "-y,x-y,z", "-x+y,-x,z"]
    hexagonal = (10, 10, 7, 90, 90, 120)
    assert len(read_one(tmp_path, cif(["O1 O 0.33 0.67 0.1"], cell=hexagonal, operators=threefold))) == 1
    assert len(read_one(tmp_path, cif(["O1 O 0.2 0.1 0.1"], cell=hexagonal, operators=threefold))) == 3
    with pytest.raises(InputError, match=r"atom O1 of block some .* is 0\.\d\d Å from its own image; it is disordered"):
        read_one(tmp_path, cif(["O1 O 0.31 0.67 0.1"], cell=hexagonal, operators=threefold))


def test_partial_occupancy_is_refused(tmp_path):
    columns = (*COLUMNS, "occupancy")
    half = ["Cu1 Cu 0.1 0.1 0.1 0.50(2)", "Cu2 Cu 0.1 0.1 0.18 0.50(2)"]
    with pytest.raises(
        InputError, match=r"Cu1 of block some of .*some\.cif has an occupancy of 0\.50\(2\); keep one alternative"
    ):
        read_one(tmp_path, cif(half, columns=columns))
    alloy = ["Cu1 Cu 0 0 0 0.75", "Au1 Au 0 0 0 0.25"]
    with pytest.raises(InputError, match=r"Cu1 of block some .* has an occupancy of 0\.75"):
        read_one(tmp_path, cif(alloy, columns=columns))
    whole = [
        "Cu1 Cu 0 0 0 1",
        "Cu2 Cu 0.5 0 0 ?",
        "Cu3 Cu 0 0.5 0 .",
        "Cu4 Cu 0 0 0.5 1.000(3)",
        "Cu5 Cu 0.5 0.5 0 0.9995",
    ]
    assert len(read_one(tmp_path, cif(whole, columns=columns))) == 5
    with pytest.raises(InputError, match=r"the occupancy of atom Cu1 of block some .* must be a number, and is half"):
        read_one(tmp_path, cif(["Cu1 Cu 0 0 0 half"], columns=columns))


def test_disorder_groups_are_refused(tmp_path):
    columns = (*COLUMNS, "disorder_assembly", "disorder_group")
    rows = ["C1 C 0.1 0 0 . .", "O1 O 0.2 0 0 A 1", "O2 O 0.3 0 0 A {}", "N1 N 0.6 0.5 0.5 B 2"]
    with pytest.raises(InputError, match=r"O2 of block some .* is in disorder group 2 and others are in 1; keep one"):
        read_one(tmp_path, cif([row.format(2) for row in rows], columns=columns))
    assert len(read_one(tmp_path, cif([row.format(1) for row in rows], columns=columns))) == 4
    with pytest.raises(
        InputError, match=r"O2 of block some .* is disordered about a symmetry element \(disorder group -1\)"
    ):
        read_one(tmp_path, cif([row.format(-1) for row in rows], columns=columns))
    with pytest.raises(InputError, match="is modulated"):
        read_one(tmp_path, cif(UREA, more="_cell_modulation_dimension 1\n"))


def test_sites_that_are_no_atoms(tmp_path):
    columns = (*COLUMNS, "calc_flag")
    with pytest.raises(InputError, match=r"sites must be atoms, Cg1 of block some .* is a dummy"):
        read_one(tmp_path, cif(["C1 C 0 0 0 d", "Cg1 C 0.5 0 0 dum"], columns=columns))
    with pytest.raises(InputError, match=r"a coordinate of atom H1 of block some .* must be a number, and is \?"):
        read_one(tmp_path, cif(["C1 C 0 0 0", "H1 H ? ? ?"]))
    for symbol in ("Du", "X", "Cg", "Wat"):
        with pytest.raises(InputError, match=rf"Q1 of block some .* is not: its type symbol is {symbol}; correct"):
            read_one(tmp_path, cif([f"Q1 {symbol} 0 0 0"]))


def test_symbols_and_labels(tmp_path):
    rows = ["A CU 0 0 0", "B O2- 0.5 0 0", "C D 0 0.5 0", "D T 0 0 0.5", "E Fe3+ 0.5 0.5 0", "F cl 0.5 0.5 0.5"]
    atoms = read_one(tmp_path, cif(rows))
    assert atoms.numbers.tolist() == [29, 8, 1, 1, 26, 17]
    np.testing.assert_allclose(atoms.get_masses()[2:4], [2.01410178, 3.01604928])
    columns = (COLUMNS[0], *COLUMNS[2:])
    labels = ["Cu1", "C1A", "O1W", "Ow2", "ZN1", "H12", "O1'", "D3"]
    atoms = read_one(tmp_path, cif([f"{label} {i / 9} 0 0" for i, label in enumerate(labels)], columns=columns))
    assert atoms.numbers.tolist() == [29, 6, 8, 8, 30, 1, 8, 1]
    for label in ("CA1", "HO1", "Cg1", "T1", "Du1", "?"):
        with pytest.raises(InputError, match="is not: its label does not tell one; correct _atom_site_type_symbol"):
            read_one(tmp_path, cif([f"{label} 0 0 0"], columns=columns))


def test_blocks(tmp_path):
    empty = "data_global\n_publ_author_name 'A. B.'\n_refln ?\n"
    template = cif(["? ? ? ? ?"], name="template")
    texts = [empty, cif(UREA, name="one"), template, cif(UREA[:2], name="two")]
    frames = read(tmp_path, "".join(texts))
    assert [(atoms.info["name"], len(atoms)) for atoms in frames] == [("one", 5), ("two", 2)]
    with pytest.raises(InputError, match=r"must hold atoms with coordinates, .*some\.cif holds none"):
        read(tmp_path, empty + template)


def test_coordinates_in_space(tmp_path):
    columns = ("label", "type_symbol", "Cartn_x", "Cartn_y", "Cartn_z")
    rows = ["O1 O 1.5(1) 0 0", "H1 H 2.4 0 1e-1"]
    text = cif(rows, columns=columns)
    np.testing.assert_allclose(read_one(tmp_path, text).positions, [[1.5, 0, 0], [2.4, 0, 0.1]])
    free = read_one(tmp_path, "data_x\nloop_\n" + text.split("loop_\n")[-1])
    np.testing.assert_allclose(free.positions, [[1.5, 0, 0], [2.4, 0, 0.1]])
    assert not free.pbc.any()
    with pytest.raises(InputError, match="fractional coordinates must come with a cell, block x of"):
        read_one(tmp_path, "data_x\nloop_\n" + cif(UREA).split("loop_\n")[-1])
    with pytest.raises(InputError, match=r"the cell must have a volume, that of block some of .* is 5 6 7 90 90 180"):
        read_one(tmp_path, cif(UREA, cell=(5, 6, 7, 90, 90, 180)))
    # without a warning of ASE before
    with pytest.raises(InputError, match=r"the cell must have a volume, that of block some of .* is 5 6 7 90 90 0;"):
        read_one(tmp_path, cif(UREA, cell=(5, 6, 7, 90, 90, 0)))


def test_syntax(tmp_path):
    """Against gemmi's parser, on what the syntax allows."""
    text = """#\\#CIF_1.1
data_a
_quoted 'it's a #word'  # comment
_double "5' end"
_text
;first
 second ; not the end
;
_unknown ?
_stated '?'
loop_ _one _two
1 O1' 2
"a b" 3 .
_after x
DATA_b
_Case Y
"""
    path = tmp_path / "some.cif"
    path.write_text(text)
    blocks = read_blocks(path)
    assert [block.name for block in blocks] == ["a", "b"]
    document = gemmi.cif.read(str(path))
    for block, other in zip(blocks, document, strict=True):
        for tag, values in block.tags.items():
            expected = [
                None if gemmi.cif.is_null(value) else gemmi.cif.as_string(value) for value in other.find_values(tag)
            ]
            assert [None if v is None else v.rstrip("\n") for v in values] == expected, tag
    assert blocks[0].tags["_one"] == ["1", "2", "3"]
    assert blocks[0].tags["_two"] == ["O1'", "a b", None]
    for wrong, message in (
        ("data_a\nloop_\n_x\n_y\n1 2 3\n", "has 3 values for 2 tags"),
        ("_x 1\n", "must begin with data_, .* begins with '_x'"),
        ("data_a\n_x\n_y 1\n", "_x of block a of .* has none"),
        ("data_a\n_x 1 2\n", "'2' of block a of .* does not"),
        ("data_a\nsave_frame\n", "has save_frame"),
    ):
        path.write_text(wrong)
        with pytest.raises(InputError, match=message):
            read_blocks(path)


SITES = """data_1ABC
_cell.length_a {cell}
_cell.length_b {cell}
_cell.length_c {cell}
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 90
_symmetry.space_group_name_H-M '{group}'
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.auth_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.pdbx_formal_charge
_atom_site.pdbx_PDB_model_num
"""

ROWS = """HETATM 1 C "C1'" . LIG A . 1 ? 0.0 0.0 0.0 1.0 ? 1
HETATM 2 O O1 . LIG A . 1 ? 1.4 0.0 0.0 1.0 -1 1
HETATM 3 C C1 . SUG B . 2 ? 2.0 2.3 0.0 1.0 ? 1
HETATM 4 ZN ZN . ZN C . 3 ? -2.0 0.0 0.0 1.0 2 1
HETATM 5 D D1 . DOD D . 4 ? 9.0 0.0 0.0 1.0 0 1
HETATM 6 O O . DOD D . 5 ? 9.0 5.0 0.0 1.0 . 1
"""

LINKS = """loop_
_struct_conn.id
_struct_conn.conn_type_id
_struct_conn.ptnr1_label_asym_id
_struct_conn.ptnr1_label_comp_id
_struct_conn.ptnr1_auth_seq_id
_struct_conn.ptnr1_label_atom_id
_struct_conn.ptnr1_symmetry
_struct_conn.ptnr2_label_asym_id
_struct_conn.ptnr2_label_comp_id
_struct_conn.ptnr2_auth_seq_id
_struct_conn.ptnr2_label_atom_id
_struct_conn.ptnr2_symmetry
c1 covale A LIG 1 O1 1_555 B SUG 2 C1 {symmetry}
m1 metalc A LIG 1 "C1'" 1_555 C ZN 3 ZN 1_555
h1 hydrog A LIG 1 O1 1_555 D DOD 5 O 1_555
"""


def test_mmcif(tmp_path):
    head = SITES.format(cell=20, group="P 1")
    atoms = read_one(tmp_path, head + ROWS)
    assert atoms.get_chemical_symbols() == ["C", "O", "C", "Zn", "H", "O"]
    assert atoms.get_initial_charges().tolist() == [0, -1, 0, 2, 0, 0]
    assert atoms.get_masses()[4] == 2.01410178
    assert atoms.arrays["residue"].tolist() == [0, 0, 1, 2, 3, 4]
    assert atoms.arrays["molecule"].tolist() == [0, 0, 1, 2, 3, 4]
    assert atoms.cell.lengths().tolist() == [20, 20, 20]
    assert atoms.pbc.all()
    assert atoms.info == {"name": "1ABC"}
    sites = gemmi.read_structure(str(tmp_path / "some.cif"))[0].all()
    np.testing.assert_allclose(atoms.positions, [site.atom.pos.tolist() for site in sites])
    joined = read_one(tmp_path, head + ROWS + LINKS.format(symmetry="1_555"))
    assert joined.arrays["molecule"].tolist() == [0, 0, 0, 1, 2, 3]
    elsewhere = read_one(tmp_path, head + ROWS + LINKS.format(symmetry="2_555"))
    assert elsewhere.arrays["molecule"].tolist() == [0, 0, 1, 2, 3, 4]


def test_cells_and_models_of_mmcif(tmp_path):
    assert read_one(tmp_path, SITES.format(cell=20, group="P 21 21 21") + ROWS).info["asymmetric_unit"] == "P 21 21 21"
    assert not read_one(tmp_path, SITES.format(cell=1, group="P 1") + ROWS).pbc.any()
    second = "\n".join(row[:-1] + "2" for row in ROWS.splitlines()[:2]) + "\n"
    frames = read(tmp_path, SITES.format(cell=20, group="P 1") + ROWS + second)
    assert [len(atoms) for atoms in frames] == [6, 2]
    np.testing.assert_allclose(frames[1].positions, frames[0].positions[:2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "1.0 2 1",
            "0.5 2 1",
            r"atom ZN of residue ZN 3 of chain C in model 0 of block 1ABC of .* has an occupancy of 0\.5",
        ),
        ("O1 . LIG", "O1 B LIG", None),
        (
            "O O1 . LIG A . 1",
            "Lp O1 . LIG A . 1",
            "atom O1 of residue LIG 1 of chain A in block .* its type_symbol is Lp",
        ),
        ("1.0 2 1", "1.0 1.5 1", "the formal charge of atom ZN .* must be a whole number, and is 1.5"),
        ("-2.0", "?", r"a coordinate of atom ZN .* must be a number, and is \?"),
    ],
)
def test_what_is_refused_of_mmcif(tmp_path, old, new, message):
    assert old in ROWS
    text = SITES.format(cell=20, group="P 1") + ROWS.replace(old, new)
    if message is None:
        assert len(read_one(tmp_path, text)) == 6
    else:
        with pytest.raises(InputError, match=message):
            read_one(tmp_path, text)


def test_alternatives_of_mmcif_are_refused(tmp_path):
    other = "HETATM 7 O O1 B LIG A . 1 ? 1.5 0.0 0.0 1.0 -1 1\n"
    rows = ROWS.replace("O1 . LIG", "O1 A LIG").replace("HETATM 3", other + "HETATM 3")
    with pytest.raises(
        InputError, match=r"atom O1 of residue LIG 1 of chain A in model 0 of block 1ABC of .* alternatives A and B"
    ):
        read_one(tmp_path, SITES.format(cell=20, group="P 1") + rows)


@pytest.mark.parametrize(("charges", "formal"), [(("1", "-1"), True), (("0.9(1)", "-0.9"), False)])
def test_charges_of_sites(tmp_path, charges, formal):
    path = tmp_path / "salt.cif"
    path.write_text(
        "data_salt\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\nloop_\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        f"_atom_site_charge\nNa 0 0 0 {charges[0]}\nCl 0.5 0 0 {charges[1]}\n"
    )
    (atoms,) = read_structures(path, periodic=True)
    assert atoms.get_initial_charges().tolist() == ([1, -1] if formal else [0, 0])
    assert read_stated(atoms, "it").unused == ([] if formal else ["charges"])
