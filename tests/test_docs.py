"""What the documentation shows is what happens."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{page.stem}")  # what is defined on it can be pickled
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names, printed = vars(module), None
    for language, text in BLOCKS.findall(page.read_text(encoding="utf-8")):
        if language == "text":
            assert printed == text
            continue
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(text, page.name, "exec"), names)
        printed = output.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    for name in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (DOCS / name).is_file()


@pytest.mark.parametrize("room", ["ab_initio", "inputs", "potentials"])
def test_tables_are_what_is_found(room):
    """That of inputs is found anew, and fails where a file is read as something that it does not say; those of potentials are
    what the last `make potentials` found."""
    ran = subprocess.run(
        [sys.executable, DOCS / room / "table.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
