import pytest

from bodyorder.structures.reading import read_file


@pytest.fixture
def read(tmp_path):
    """The structure of two atoms that a comment is written above."""

    def read_comment(comment):
        (tmp_path / "a.xyz").write_text(f"2\n{comment}\nH 0 0 0\nCl 1.27 0 0\n")
        return read_file(tmp_path / "a.xyz")[0]

    return read_comment
