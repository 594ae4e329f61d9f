"""A small report, and its words: ``python tests/shared/golden_page.py`` writes those that a test compares it with."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from ase import Atoms

from bodyorder.engine import decompose
from bodyorder.report import Report, render_report

FILE = Path(__file__).parents[1] / "data" / "report" / "golden.txt"

#: Elements that begin a line, and those whose content is no text for people.
_LINES = {
    "h1",
    "h2",
    "h3",
    "p",
    "li",
    "tr",
    "caption",
    "figcaption",
    "dt",
    "dd",
    "summary",
    "desc",
    "section",
    "details",
    "pre",
}
_SILENT = {"script", "style", "select", "title", "noscript"}


class _Words(HTMLParser):
    """What a reader is told, a line for each paragraph, row, caption and description."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self._silent = [""], 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        if tag in _LINES:
            self.lines.append("")
        elif tag in ("td", "th") and self.lines[-1].strip():
            self.lines[-1] += " | "

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT
        if tag in _LINES:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.lines[-1] += data


def words(page: str) -> str:
    """The words of a page, without versions and hashes."""
    parser = _Words()
    parser.feed(page)
    lines = [" ".join(line.split()) for line in parser.lines]
    text = "\n".join(line for line in lines if line)
    return re.sub(r"bodyorder [0-9][\w.]*", "bodyorder …", text[: text.index('{ "provenance"')]) + "\n"


def report() -> Report:
    """A pair potential beside one with three-body terms, on a square and a chain in groups of their own."""
    square = Atoms(
        "H4", [[0, 0, 0], [1.2, 0, 0], [1.2, 1.2, 0], [0, 1.2, 0]], info={"name": "square", "group": "rings"}
    )
    chain = Atoms("H4", np.arange(4)[:, None] * [1.1, 0, 0], info={"name": "chain", "group": "chains & more"})
    specs = {"pairs": "analytic:pair?kind=morse", "<triples>": "analytic:axilrod-teller?nu=0.5&epsilon=0.01&sigma=1.0"}
    results = {name: decompose([square, chain], spec, subsets=True) for name, spec in specs.items()}
    return Report("A square & a chain", results, "pairs", provenance={"seed": 7})


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(words(render_report(report())), encoding="utf-8")
    print(f"written to {FILE}")
