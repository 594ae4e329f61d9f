"""Files that the settings of a calculator name, by their content: a potential that is written again is another potential.

A setting may be the path of a file or a folder, or a line that holds one, such as ``pair_coeff * * Cu.eam Cu``. Every word that
is the name of a file counts. A word that happens to be one adds a hash that is not needed, and no more.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

#: Texts longer than this are data, not lines that name files; files larger than this are not read for others that they name.
LONGEST_TEXT = 2**16
#: A folder is hashed by the contents of its files, if it has no more than so many of them and bytes; a larger one by the names
#: and sizes of what lies in it directly.
MOST_FILES, MOST_BYTES = 1000, 2**32
#: What stands between words that name files.
_BETWEEN = re.compile(r"[\s=,;\"'()\[\]{}]+")
#: First words of lines that say where to write: what is there after a run is not what it began with.
_WRITING = re.compile(r"\s*(log|dump|restart|write_\w+|print|shell)\b")
#: What sends output into the file that follows.
_INTO = re.compile(r"\d*>+\s*\S+")
#: First words of lines in a file that name another one which belongs to the potential, of LAMMPS and MLIP.
_NAMING = re.compile(r"\s*(include|pair_style|pair_coeff|bond_coeff|angle_coeff|read_data|mtp-filename)\b")
#: Parts of names of settings that say where something is written.
_WRITTEN = {
    "log",
    "logfile",
    "out",
    "output",
    "outfile",
    "stdout",
    "stderr",
    "txt",
    "trajectory",
    "traj",
    "directory",
    "label",
}


def is_written(name: str) -> bool:
    """Whether a setting of this name says where something is written."""
    return not _WRITTEN.isdisjoint(name.lower().split("_"))


class NamedFiles:
    """Files that texts name, and the hash of each.

    :param folders: where names that are not absolute are looked for, one after the other; the current folder is the first of all
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]] = ()):
        self._folders = list(dict.fromkeys(["", *(os.fspath(folder) for folder in folders)]))
        #: hash of the content by path
        self.digests: dict[str, str] = {}

    def add_folder(self, folder: str) -> None:
        """Look in another folder as well."""
        if folder not in self._folders:
            self._folders.append(folder)

    def text(self, value: str | os.PathLike[str]) -> str:
        """A text that stands for a setting: its own, and the contents of the files that it names."""
        if os.path.isfile(value):
            return " ".join(["file", *self._chain(os.fspath(value))])
        path = os.fspath(value)
        if isinstance(path, str) and is_folder(path):
            return f"folder {self._folder(Path(path))}"
        named = self._in_lines(path.splitlines()) if isinstance(path, str) and len(path) <= LONGEST_TEXT else []
        return " ".join([repr(value), *named])

    def _in_lines(self, lines: Iterable[str], beside: str = "") -> list[str]:
        found: list[str] = []
        for line in lines:
            if _WRITING.match(line):
                continue
            for word in [line, *_BETWEEN.split(_INTO.sub(" ", line))]:
                if path := self._find(word, beside):
                    found += self._chain(path)
        return list(dict.fromkeys(found))

    def _find(self, word: str, beside: str) -> str:
        if not word or "\0" in word or not any(map(str.isalpha, word)):
            return ""
        places = [*self._folders, beside] if beside else self._folders
        return next((path for folder in places if os.path.isfile(path := os.path.join(folder, word))), "")

    def _chain(self, path: str) -> Iterator[str]:
        """Hashes of a file and of those that it names."""
        known = path in self.digests
        if not known:
            self.digests[path] = file_digest(path)
        yield self.digests[path]
        if known or os.path.getsize(path) > LONGEST_TEXT:
            return
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            return
        yield from self._in_lines(filter(_NAMING.match, lines), os.path.dirname(path))

    def _folder(self, folder: Path) -> str:
        paths = list(islice((path for path in folder.rglob("*") if path.is_file()), MOST_FILES + 1))
        is_small = len(paths) <= MOST_FILES and sum(path.stat().st_size for path in paths) <= MOST_BYTES
        whole = hashlib.blake2b(digest_size=16)
        for path in sorted(paths if is_small else folder.iterdir()):
            if is_small:
                self.digests[str(path)] = file_digest(path)
            said = self.digests[str(path)] if is_small else path.stat().st_size
            whole.update(f"{path.relative_to(folder).as_posix()} {said}\n".encode())
        return whole.hexdigest()


def is_folder(path: str) -> bool:
    """Whether a text is the path of a folder: one that looks like a path, and not where everything is written."""
    if os.sep not in path or not os.path.isdir(path):
        return False
    return not Path.cwd().resolve().is_relative_to(Path(path).resolve())


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hash of the content of a file, which may be large."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
