import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from bodyorder._checks import InputError, check_between, check_choice, check_output, check_positive, first_line, require


def test_between():
    assert check_between("n", 3, 1, 8) == 3
    for wrong in (0, 9):
        with pytest.raises(InputError, match=rf"`n` must be between 1 and 8, got {wrong}"):
            check_between("n", wrong, 1, 8)
    for wrong in (True, 2.0, "2", None):
        with pytest.raises(InputError, match="`n` must be an integer between 1 and 8"):
            check_between("n", wrong, 1, 8)


def test_positive():
    assert check_positive("x", 2) == 2.0
    for wrong in (0, -1.0, float("nan"), float("inf"), "1", True):
        with pytest.raises(InputError, match="`x` must be a positive number"):
            check_positive("x", wrong)


def test_positive_numbers_of_other_kinds():
    for value in (np.float32(3), np.int64(3), Fraction(3)):
        assert check_positive("x", value) == 3.0
        assert type(check_positive("x", value)) is float


def test_first_line():
    assert first_line(ValueError("  one\ntwo ")) == "one"
    assert first_line(ValueError()) == "no message"


def test_choice_suggests_the_nearest():
    with pytest.raises(
        InputError, match=r"`spin` must be one of ground, high, low, got 'gruond'; did you mean 'ground'\?"
    ):
        check_choice("spin", "gruond", ["low", "ground", "high"])
    with pytest.raises(InputError, match=r"got 'xyz'$"):
        check_choice("spin", "xyz", ["low", "ground", "high"])


def test_a_missing_extra_is_named():
    with pytest.raises(InputError, match=r"surely_not_there must be installed .* pip install 'bodyorder\[qc\]'"):
        require("surely_not_there", "qc")


def test_output(tmp_path):
    assert check_output(tmp_path / "a.nc") == tmp_path / "a.nc"
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(InputError, match="is not one; make it first"):
        check_output(tmp_path / "no" / "a.nc")


def test_output_follows_links(tmp_path):
    (tmp_path / "good").symlink_to(tmp_path / "a.nc")
    (tmp_path / "astray").symlink_to(tmp_path / "no" / "a.nc")
    assert check_output(tmp_path / "good") == tmp_path / "good"
    with pytest.raises(InputError, match=r"must go into an existing folder, .*no is not one"):
        check_output(tmp_path / "astray")


def test_output_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (os.devnull, tmp_path / "null", tmp_path / "pipe"):
        with pytest.raises(InputError, match=f"output must be a file, {path} is a device, a pipe or a socket"):
            check_output(path)


def test_output_that_is_an_input(tmp_path):
    frames = tmp_path / "frames.xyz"
    frames.touch()
    (tmp_path / "link.xyz").symlink_to(frames)
    os.link(frames, tmp_path / "same.xyz")
    assert check_output(frames, never=[tmp_path / "other.xyz"]) == frames
    for path in ("frames.xyz", "link.xyz", "same.xyz"):
        with pytest.raises(InputError, match=rf"output must not be an input, .*{path} is$"):
            check_output(tmp_path / path, never=[tmp_path / "other.xyz", frames])
    with pytest.raises(InputError, match="output must not be an input"):
        check_output(tmp_path / "new.nc", never=[f"{tmp_path}/./new.nc"])


FORBIDDEN = """
import os, sys
from bodyorder._checks import InputError, check_output
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)
for path in ("new.nc", "old.nc"):
    try:
        check_output(path)
    except InputError as error:
        print(error)
"""


def test_output_in_a_folder_that_cannot_be_written(tmp_path):
    """The file is replaced by a new one, so that it is not enough if the old one can be written."""
    (tmp_path / "old.nc").touch()
    (tmp_path / "old.nc").chmod(0o666)
    tmp_path.chmod(0o555)
    run = subprocess.run([sys.executable, "-c", FORBIDDEN, tmp_path], capture_output=True, text=True, check=True)
    tmp_path.chmod(0o755)
    assert run.stdout.splitlines() == [
        f"output must go to a file that can be written, {name} cannot" for name in ("new.nc", "old.nc")
    ]
