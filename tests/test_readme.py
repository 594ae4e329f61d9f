"""What the README shows is what happens."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from bodyorder.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_python_example_prints_what_it_says():
    code, (expected,) = blocks("python"), blocks("text")
    assert all(len(block.strip().splitlines()) <= 10 for block in code)
    names, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in code:
            exec(compile(block, "README.md", "exec"), names)
    assert printed.getvalue() == expected
    # what the example ends with: the orders of the last source, a row each
    assert names["frame"]["contribution"].sum() == pytest.approx(names["result"].total.item())


def test_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (commands,) = (block for block in blocks("sh") if block.startswith("bodyorder"))
    for line in commands.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "bodyorder"
        assert main(arguments) == 0, capsys.readouterr().err
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"\]\((?!https?:)([^)]+)\)", README))
def test_links_lead_to_files(name):
    name, _, heading = name.partition("#")
    assert (ROOT / name).is_file()
    if heading:
        titles = re.findall(r"^#+ (.+)$", (ROOT / name).read_text(), flags=re.MULTILINE)
        assert heading in {title.lower().replace(" ", "-") for title in titles}


def test_presets_are_valid():
    from bodyorder.config import load_config

    for path in sorted((ROOT / "examples").glob("*.yaml")):
        assert load_config(path).clusters.keys() == {"low", "high"}
