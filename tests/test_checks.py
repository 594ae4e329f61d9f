import pytest

from bodyorder._checks import InputError, check_between, check_choice, check_output, check_positive, require


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
