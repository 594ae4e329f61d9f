"""Text of a CIF as its data blocks: https://www.iucr.org/resources/cif/spec/version1.1/cifsyntax.

ASE's parser drops rows that share a line, with a warning alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.structures.reading.text import read_text

_TOKEN = re.compile(
    r"^;(?P<text>.*?)^;(?=\s|\Z)"  # lines between semicolons
    r"|'(?P<single>[^\n]*?)'(?=\s|\Z)"  # a quote ends where a blank follows
    r'|"(?P<double>[^\n]*?)"(?=\s|\Z)'
    r"|\#[^\n]*"
    r"|(?P<word>[^\s]+)",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """One data block: the values of each tag, in lower case; None stands for ``?`` and ``.``."""

    name: str
    tags: dict[str, list[str | None]] = field(default_factory=dict)

    def first(self, *names: str) -> str | None:
        """The value of the first of some tags that has one."""
        return next((value for name in names for value in self.tags.get(name, ()) if value is not None), None)

    def column(self, *names: str) -> list[str | None]:
        """All values of the first of some tags that is there, or an empty list."""
        return next((self.tags[name] for name in names if name in self.tags), [])


def read_blocks(path: Path) -> list[Block]:
    """The data blocks of a CIF.

    :raises InputError: if the file does not follow the syntax
    """
    blocks: list[Block] = []
    heads: list[str] | None = None
    values: list[str | None] = []
    tag = ""

    def close() -> None:
        if tag:
            raise InputError(
                f"every tag of a CIF must have a value, {tag} of block {blocks[-1].name} of {path} has none"
            )
        if heads is not None:
            _set_loop(blocks[-1], heads, values, path)

    for bare, text in _tokens(path):
        lower = text.lower() if bare else ""
        if lower.startswith("data_"):
            if blocks:
                close()
            heads, values = None, []
            blocks.append(Block(text[5:]))
        elif not blocks:
            raise InputError(
                f"a CIF must begin with data_, {path} begins with {text.split()[0] if text.split() else text!r}"
            )
        elif lower == "loop_":
            close()
            heads, values = [], []
        elif lower.startswith("save_") or lower in ("global_", "stop_"):
            raise InputError(f"a CIF of structures must have data blocks alone, {path} has {text}")
        elif lower.startswith("_"):
            if heads is not None and not values:
                heads.append(lower)
                continue
            close()
            heads, tag = None, lower
        elif heads is not None:
            values.append(None if bare and text in "?." else text)
        elif tag:
            blocks[-1].tags[tag], tag = [None if bare and text in "?." else text], ""
        else:
            raise InputError(
                f"every value of a CIF must belong to a tag, {text[:40]!r} of block {blocks[-1].name} of {path} does not"
            )
    if blocks:
        close()
    return blocks


def _tokens(path: Path) -> Iterator[tuple[bool, str]]:
    """Words and values; true for those without quotes."""
    for match in _TOKEN.finditer(read_text(path)):
        if match.lastgroup:
            yield match.lastgroup == "word", match[match.lastgroup]


def _set_loop(block: Block, heads: list[str], values: list[str | None], path: Path) -> None:
    if not heads or len(values) % len(heads):
        raise InputError(
            f"a loop of a CIF must have a value for each of its tags in every row, that of {', '.join(heads[:1])} in block "
            f"{block.name} of {path} has {len(values)} values for {len(heads)} tags"
        )
    for column, head in enumerate(heads):
        block.tags[head] = values[column :: len(heads)]
