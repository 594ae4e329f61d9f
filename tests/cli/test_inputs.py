"""What comes in is what was meant: files as users have them, through the commands, held against other programs."""

import numpy as np
import pytest

from bodyorder.results import load_results

UHF, EMT = "pyscf:uhf/sto-3g?spin=low", "ase:ase.calculators.emt.EMT"
EXTENDED = 'Properties=species:S:1:pos:R:3:{} pbc="F F F"'


def xyz(comment, *lines):
    return "\n".join([str(len(lines)), comment, *lines, ""])


CHARGED = EXTENDED.format("initial_charges:R:1")
SODIUM = ["Na 0 0 0 1", "O 2.3 0 0 0", "H 2.88 0.76 0 0", "H 2.88 -0.76 0 0"]
SODIUM += ["O -2.3 0 0 0", "H -2.88 0 0.76 0", "H -2.88 0 -0.76 0"]
SHARED = ["O 0 0 0", "H 1.15 0 0", "H -.3 .92 0", "O 2.47 0 0", "H 2.8 .9 0", "H 2.8 -.9 0"]
HELIUM = ["He 0 0 0", "H 0.774 0 0", "He 3 0 0"]
TWO = xyz("", "H 0 0 0", "H .74 0 0", "H 3 0 0") + "\n" + xyz("", "H 0 0 0", "H .74 0 0", "H 4 0 0")
BOHR = 0.529177210903

#: What a file holds, what is asked, and the contributions per body in eV that must come.
READ = {
    "ions and water": (xyz(CHARGED, *SODIUM), UHF, [-2809.209105, -1.007662, 0.019747], "2 × H2O, 1 × Na⁺"),
    "salt": (xyz(CHARGED, "Na 0 0 0 1", "Cl 2.36 0 0 -1"), UHF, [-8357.501526, -3.526460], "1 × Na⁺, 1 × Cl⁻"),
    "shared proton": (xyz("", *SHARED), EMT, [2.447430, 0.112105], "2 × H2O"),
}


@pytest.mark.parametrize("name", READ)
def test_molecules(run, tmp_path, name):
    text, source, wanted, bodies = READ[name]
    (tmp_path / "in.xyz").write_text(text)
    code, out, err = run(
        "decompose", tmp_path / "in.xyz", "--bodies", "molecules", "--source", source, "-o", tmp_path / "o.nc"
    )
    assert (code, err) == (0, "")
    assert f"bodies (molecules): {bodies}" in out.splitlines()[0]
    result = load_results(tmp_path / "o.nc")
    np.testing.assert_allclose(result.contribution.values[0] / len(wanted), wanted, atol=2e-6)
    assert out.splitlines()[0] == f"read: {result.attrs['input']}"


def test_a_charge_that_belongs_to_no_body_is_refused(run, tmp_path):
    comment = 'Properties=species:S:1:pos:R:3 total_charge=1 total_spin=1 pbc="F F F"'
    (tmp_path / "in.xyz").write_text(xyz(comment, *HELIUM))
    code, out, err = run("decompose", tmp_path / "in.xyz", "--source", UHF, "-o", tmp_path / "o.nc")
    assert (code, out) == (2, "")
    assert "must name the charge of each body by initial charges" in err
    assert "total_charge=1" in err


def test_moments_reach_calculators(run, tmp_path, monkeypatch):
    (tmp_path / "magnets.py").write_text(
        "import ase.calculators.calculator as c\n"
        "class Moments(c.Calculator):\n"
        "    implemented_properties = ['energy']\n"
        "    def calculate(self, atoms=None, properties=('energy',), system_changes=c.all_changes):\n"
        "        super().calculate(atoms, properties, system_changes)\n"
        "        self.results['energy'] = -float(atoms.get_initial_magnetic_moments().sum()) ** 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "in.xyz").write_text(xyz(EXTENDED.format("initial_magmoms:R:1"), "O 0 0 0 2", "H 0.97 0 0 1"))
    code, _, _ = run(
        "decompose", tmp_path / "in.xyz", "--source", "ase:magnets.Moments", "--workers", 1, "-o", tmp_path / "o.nc"
    )
    assert code == 0
    np.testing.assert_allclose(load_results(tmp_path / "o.nc").contribution.values, [[-5.0, -4.0]])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TWO, "2 structures of H3; free; charge 0"),
        (xyz("HCl ion pair, charge 0, multiplicity 1", "H 0 0 0", "Cl 1.27 0 0"), "1 structure of HCl; free; charge 0"),
        (
            xyz('pbc="[True, True, False]" Lattice="5 0 0 0 5 0 0 0 5"', "H 0 0 0", "H 1 0 0"),
            "1 structure of H2; periodic along a, b; charge 0",
        ),
    ],
)
def test_frames_comments_and_boundaries(run, tmp_path, text, line):
    (tmp_path / "in.xyz").write_text(text)
    code, out, err = run("plan", tmp_path / "in.xyz", "--source", f"{EMT}?additive_cutoff=6", "--max-order", 2)
    assert (code, err) == (0, "")
    assert out.startswith(f"read: {line}; no moments; bodies (atoms): ")


def test_lengths_and_cells_in_bohr(run, tmp_path):
    header = "# CELL(abcABC): 35.2 35.2 35.2 90 90 90 Step: 0 Bead: 0 positions{atomic_unit} cell{atomic_unit}"
    (tmp_path / "in.xyz").write_text(xyz(header, "H 0 0 0", "H 1.4 0 0", "H 6 0 0"))
    arguments = ["--source", "analytic:pair", "--free", "-o", tmp_path / "o.nc"]
    assert run("decompose", tmp_path / "in.xyz", *arguments)[0] == 0
    positions = load_results(tmp_path / "o.nc")["sites"]["site_position"].values
    np.testing.assert_allclose(positions[:, 0], np.array([0, 1.4, 6]) * BOHR, atol=1e-8)
    arguments = ["--source", f"{EMT}?additive_cutoff=8", "--max-order", 2, "-o", tmp_path / "p.nc"]
    assert run("decompose", tmp_path / "in.xyz", *arguments)[0] == 0
    np.testing.assert_allclose(
        load_results(tmp_path / "p.nc")["cells"]["cell"].values[0], 35.2 * BOHR * np.eye(3), atol=1e-8
    )


def test_a_cell_that_is_none(run, tmp_path):
    (tmp_path / "in.xyz").write_text(xyz('Lattice="2.6 0 0 5.2 0 0 0 0 3" pbc="T T T"', "H 0 0 0", "H 1 0 0"))
    code, _, err = run("decompose", tmp_path / "in.xyz", "--source", EMT, "--max-order", 2, "-o", tmp_path / "o.nc")
    assert code == 2
    assert "must have lattice vectors that span its periodic directions" in err
    assert err.count("\n") == 1


def test_bodies_by_a_column_in_each_frame(run, tmp_path):
    comment = EXTENDED.format("half:I:1")
    frames = xyz(comment, "H 0 0 0 1", "H 1 0 0 1", "H 3 0 0 2") + xyz(comment, "H 0 0 0 1", "H 1 0 0 2", "H 3 0 0 2")
    (tmp_path / "in.xyz").write_text(frames)
    arguments = ["--source", "analytic:pair", "--bodies", "column:half", "-o", tmp_path / "o.nc"]
    assert run("decompose", tmp_path / "in.xyz", *arguments)[0] == 0
    result = load_results(tmp_path / "o.nc")
    assert result["sites"]["site_body"].values.tolist() == [0, 0, 1, 0, 1, 1]
    code, _, err = run(
        "decompose", tmp_path / "in.xyz", "--source", "analytic:pair", "--bodies", "residues", "-o", tmp_path / "o.nc"
    )
    assert (code, err) == (
        2,
        "bodyorder: residues must be named by the file, structure 0 has none; use bodies='molecules' or a column\n",
    )


def test_boundaries_belong_to_structures(run, tmp_path):
    (tmp_path / "study.yaml").write_text("clusters: {}\n")
    code, _, err = run("plan", tmp_path / "study.yaml", "--free")
    assert (code, err) == (2, "bodyorder: `--free` belongs to structures, and a study has its own options\n")
