"""Nothing heavy is loaded until it is asked for."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pyscf", "matplotlib", "metatrain", "metatomic", "chemiscope", "block2", "distributed", "mace")


def loaded_after(statement):
    code = f"import sys\n{statement}\nprint(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import bodyorder",
        "import bodyorder; bodyorder.decompose; bodyorder.load_source; bodyorder.Store; bodyorder.check_source",
        "import bodyorder.sources.base, bodyorder.engine, bodyorder.structures, bodyorder.subsets, bodyorder.testing",
        "import bodyorder.analysis, bodyorder.training, bodyorder.config",
        "import bodyorder; bodyorder.decompose([__import__('ase').Atoms('H2', [[0, 0, 0], [1, 0, 0]])], 'analytic:pair')",
    ],
)
def test_imports_are_light(statement):
    assert loaded_after(statement) == []


def test_help_is_light():
    statement = "from bodyorder.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(end='\\n')"
    assert [name for name in loaded_after(statement) if name in HEAVY] == []


def test_public_names_are_there():
    import bodyorder

    for name in bodyorder.__all__:
        assert getattr(bodyorder, name).__doc__
    assert sorted(bodyorder.__all__) == bodyorder.__all__
    assert set(bodyorder.__all__) == set(bodyorder._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'decomposse'"):
        bodyorder.decomposse  # noqa: B018
