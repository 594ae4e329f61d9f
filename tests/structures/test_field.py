"""Fields as the command line has them."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from bodyorder import load_results
from bodyorder._checks import InputError
from bodyorder.cli import main
from bodyorder.structures.field import field_label, is_kind, parse_field

DIMER = Atoms("OH2OH2", [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0], [0, 0, 2.9], [0.76, 0, 3.5], [-0.76, 0, 3.5]])


@pytest.mark.parametrize(
    ("text", "field", "label", "found"),
    [
        ("O=-0.834, H=0.417", {"O": -0.834, "H": 0.417}, "H=0.417,O=-0.834", False),
        ("column:a=b", "column:a=b", "column:a=b", False),
        ("mulliken", "mulliken", "mulliken", True),
    ],
)
def test_a_field_is_read_and_named(text, field, label, found):
    assert parse_field(text) == field
    assert field_label(field) == label
    assert is_kind(field) == found
    assert field_label(np.zeros(3)) == "given"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("O=-0.8,O=1", "must give one charge for each element, and gives two for O"),
        ("O=x", "must give charges as O=-0.834,H=0.417, and 'O=x' is none"),
        ("O=-0.8,H", "must give charges as O=-0.834,H=0.417, and 'H' is none"),
    ],
)
def test_what_is_no_field(text, message):
    with pytest.raises(InputError, match=message):
        parse_field(text)


def test_the_command_line_gives_a_field(tmp_path, capsys):
    dimer = DIMER.copy()
    dimer.set_array("partial", np.array([-0.8, 0.4, 0.4] * 2))
    write(tmp_path / "dimer.xyz", dimer, format="extxyz")
    common = [
        "decompose",
        str(tmp_path / "dimer.xyz"),
        "--source",
        "pyscf:uhf/sto-3g?spin=low",
        "--bodies",
        "molecules",
    ]
    results = []
    for field in ("O=-0.8,H=0.4", "column:partial", "mulliken"):
        assert main([*common, "--field", field, "-o", str(tmp_path / "r.nc")]) == 0
        label = "H=0.4,O=-0.8" if "=" in field else field
        assert f"in a field ({label})" in " ".join(capsys.readouterr().out.split())
        results.append(load_results(tmp_path / "r.nc").load())
        assert results[-1].attrs["field"] == label
    np.testing.assert_array_equal(results[0].contribution, results[1].contribution)
    assert abs(float(results[0].contribution[0, 1] - results[2].contribution[0, 1])) > 1e-4
    assert main([*common, "--field", "muliken", "-o", str(tmp_path / "r.nc")]) == 2
    assert "did you mean 'mulliken'?" in capsys.readouterr().err
