"""The text of a file, plain or compressed."""

from __future__ import annotations

import codecs
import zlib
from lzma import LZMAError
from pathlib import Path

from ase.io.formats import open_with_compression

from bodyorder._checks import InputError, first_line

#: Bytes in which the header of a file is looked for.
HEAD = 4096


def read_text(path: Path, size: int = -1) -> str:
    """The text of a file with plain line ends and without a byte-order mark; what is no UTF-8 is replaced.

    :param size: bytes to read, all by default
    :raises InputError: if the file cannot be read
    """
    try:
        with open_with_compression(str(path.absolute()), "rb") as handle:
            content: bytes = handle.read(size)
    except (OSError, EOFError, LZMAError, zlib.error) as error:
        raise InputError(f"structures must be a file that can be read, {path} cannot: {first_line(error)}") from None
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_head(path: Path) -> str:
    """The text that a file begins with.

    :raises InputError: if the file cannot be read
    """
    return read_text(path, HEAD)


def read_lines(path: Path) -> list[str]:
    """The lines of a file, without their ends."""
    return read_text(path).split("\n")
