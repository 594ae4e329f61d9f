"""The code keeps the words of the glossary, and the rooms of the architecture."""

import ast
import re
from pathlib import Path

import pytest

from bodyorder.results.variables import VARIABLES

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "bodyorder").rglob("*.py"))

#: Words that had several meanings, or none that the field knows; what stands for them is in the glossary.
RETIRED = (
    "makeup", "make_up", "shelf", "lesson", "trial", "closing", "elsewhere", "drown", "heard", "dressed", "twin", "probe",
)  # fmt: skip

#: Words of crystals, and where crystals are spoken of.
CRYSTALS = {"lattice": {"structures", "results"}}


def names_in(path):
    """Everything that a module names: itself, its classes, functions, parameters, variables."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words_of(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src" / "bodyorder")))
def test_names_are_words_of_the_glossary(path):
    room = path.relative_to(ROOT / "src" / "bodyorder").parts[0]
    foreign = {word for word, rooms in CRYSTALS.items() if room not in rooms}
    found = {name for name in names_in(path) for word in (*RETIRED, *foreign) if word in words_of(name)}
    assert found == set()


def test_variables_are_words_of_the_glossary():
    assert [name for name in VARIABLES for word in (*RETIRED, "lattice", "copy", "copies") if word in name] == []


PROSE = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "src" / "bodyorder").rglob("*.html")])


@pytest.mark.parametrize("path", [*PROSE, *SOURCES], ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_keeps_the_words_of_the_glossary(path):
    """As far as a word can be told from its use in other senses."""
    text = path.read_text(encoding="utf-8")
    assert (
        re.findall(r"\bmake-ups?\b|\bdrown\w*|\bshelf\b|\blessons?\b|\bcopies of (?:a|the) sub-clusters?\b", text) == []
    )


def test_the_architecture_has_every_room_in_the_order_of_imports():
    listed = re.findall(r"`(\w+)/?`", "\n".join(
        line.split("|")[1] for line in (ROOT / "docs" / "architecture.md").read_text().splitlines() if line.startswith("| `")
    ))  # fmt: skip
    rooms = {path.name for path in (ROOT / "src" / "bodyorder").iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(listed)
    layers = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    contract = [name for name in re.findall(r'"bodyorder\.(\w+)"', layers.group(1)) if name in listed]
    assert [name for name in reversed(contract) if name in rooms] == [name for name in listed if name in rooms]
