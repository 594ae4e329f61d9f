"""Formats that ASE reads: which one a file has, and what ASE would guess of it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import ase
import ase.io
from ase.io.formats import UnknownFileTypeError, filetype, get_compression, ioformats

from bodyorder._checks import InputError, first_line
from bodyorder.structures.reading.text import read_head, read_text
from bodyorder.structures.reading.whole import STATING, stated_of_whole

#: Formats whose files do not tell ASE's reader what their atoms are, and what it does instead.
GUESSED = {
    "gromos": "takes the first letters of atom names for elements",
    "gpumd": "guesses elements from masses or numbers of types",
    "netcdftrajectory": "takes numbers of types for atomic numbers, or makes every atom hydrogen",
    "cp2k-dcd": "has no elements",
    "lammps-dump-binary": "takes numbers of types for atomic numbers",
    "nwchem-in": "passes over units, and over atoms that are not spelled as it expects",
}

#: What of a file ASE's reader passes over: a pattern of its text by format, and what is wrong with it.
PASSED_OVER = {
    "turbomole": [
        (r"^\s*\$coord\b[^\n]*\b(angs|frac)", "gives coordinates that are not in bohr"),
        (r"^\s*\$(periodic\s+[1-3]|cell\b|lattice\b)", "is periodic"),
        (r"^\s*\$coord\b(?s:.*)^\s*\$coord\b", "holds several structures"),
    ],
    "gaussian-in": [
        (r"^\s*--link1--", "holds several structures"),
        (r"^\s*#(?s:(?!\n\s*\n).)*\bunits\s*[=(][^\n]*\b(au|bohr)\b", "gives coordinates in bohr"),
    ],
    "gamess-us-out": [
        (r"COORDINATES OF ALL ATOMS ARE(?s:.*)COORDINATES OF ALL ATOMS ARE", "holds several structures"),
    ],
    "cube": [(r"\A[^\n]*\n[^\n]*\n[^\n]*\n(?:[^\n]*\n){0,2}[ \t]*-\d", "gives coordinates that are not in bohr")],
    "vasp": [
        (r"\A(?:[^\n]*\n){5}[ \t]*\d", "has no line of elements (as of VASP 4)"),
        (
            r"\A(?:[^\n]*\n){7}(?s:.*)\n[ \t]*(?=[A-Za-z])(?!(?i:direct|cart|sel|lattice))[A-Za-z_/\d \t]*\n[ \t\d]*\d[ \t]*\n",
            "holds several structures",
        ),
    ],
    "espresso-in": [
        (
            r"^[^!#\n]*\bstarting_magnetization\s*\(\s*\d+\s*\)\s*=\s*[+-]?[0.]*[1-9]",
            "gives moments in fractions of the valence electrons",
        ),
    ],
    "cp2k-restart": [(r"^\s*MAGNETIZATION\s+[+-]?[0.]*[1-9]", "gives moments of its kinds of atoms")],
    "gen": [(r"^\s*\d+\s+[CSF]\s*$(?s:.*)^\s*\d+\s+[CSF]\s*$", "holds several structures")],
}

_DATA = re.compile(r"^\s*\d+\s+atoms\s*$(?s:.*)^\s*\S+\s+\S+\s+xlo\s+xhi\b", re.MULTILINE)


def find_format(path: Path) -> str:
    """ASE's name of the format of a file, by its name and contents.

    :raises InputError: if it is none that is known
    """
    name = path.name
    if _DATA.search(read_head(path)):  # LAMMPS gives its data files no suffix of their own
        return "lammps-data"
    # the whole path: ASE takes what begins with "mysql" for a database
    for guess in (lambda: filetype(str(path.absolute())), lambda: filetype(name.rsplit("@", 1)[0], read=False)):
        try:
            found = str(guess())
        except UnknownFileTypeError:
            continue
        if found in ioformats and ioformats[found].can_read:
            return found
    ending = Path(get_compression(name)[0]).suffix or "no suffix"
    raise InputError(
        f"structures must be a file whose format is known, {path} is not ({ending}); write it as extended XYZ"
    )


#: Errors that say something of a reader, and nothing of a file.
_NO_STATEMENTS = (AttributeError, LookupError, TypeError, AssertionError, NameError)
#: Formats that are databases: structures in rows, with keys and values beside them.
_DATABASES = ("db", "json")
#: What ASE leaves of a label of DL_POLY when it takes off the element; a charge leaves no doubt.
_CHARGE = re.compile(r"\d*[+-]|")


def read_with_ase(path: Path, name: str) -> list[ase.Atoms]:
    """Read all structures of a file by ASE, unless its reader for this format would guess or pass over what counts.

    :param path: the file
    :param name: ASE's name of its format
    :raises InputError: if ASE would guess, cannot read the file, or finds atoms of no element
    """
    if name in GUESSED:
        raise InputError(
            f"structures must say their elements and frames, {path} is read by ASE as {name}, which {GUESSED[name]}; "
            "write it as extended XYZ"
        )
    text = read_text(path) if name in PASSED_OVER or name in STATING else ""
    for pattern, what in PASSED_OVER.get(name, ()):
        if re.search(pattern, text, re.MULTILINE | re.IGNORECASE):
            raise InputError(
                f"structures must be what ASE reads of a {name} file, {path} {what}; write it as extended XYZ"
            )
    frames = call_ase(path, name)
    said = stated_of_whole(text, name, path)
    for index, atoms in enumerate(frames):
        _check_elements(atoms, f"frame {index} of {path}", name)
        atoms.info |= said
    return frames


def call_ase(path: Path, name: str, **options: object) -> list[ase.Atoms]:
    """All frames of a file by ASE's reader.

    :param options: of the reader
    :raises InputError: if it fails; the message says what of
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parsing, which the user cannot do anything about
            whole = str(path.absolute())
            if name in _DATABASES:
                return _rows(whole)
            return list(ase.io.read(whole, index=":", format=name, do_not_split_by_at_sign=True, **options))
    except Exception as error:  # each of ASE's readers has errors of its own
        raise InputError(explain(error, path, name)) from None


def _rows(path: str) -> list[ase.Atoms]:
    """The structures of a database of ASE, with what its rows say beside them, which ASE's reader leaves out."""
    from ase.db import connect  # brings databases along, which few need

    frames = []
    for row in connect(path).select():
        atoms = row.toatoms()
        atoms.info |= {key: value for key, value in row.key_value_pairs.items() if key not in atoms.info}
        frames.append(atoms)
    return frames


def explain(error: Exception, path: Path, name: str) -> str:
    """What the failure of one of ASE's readers means, in one line."""
    if isinstance(error, KeyError) and error.args and _from_symbols(error):
        return f"structures must be made of elements, {path} names one that there is not: {str(error.args[0])!r} (read as {name})"
    said, kind = first_line(error), type(error).__name__
    if isinstance(error, _NO_STATEMENTS):
        return (
            f"structures must be a file that ASE reads, {path} is not: by its name or beginning it is {name}, and as that it "
            f"cannot be read ({kind}: {said}); rename it, or write it as extended XYZ"
        )
    return (
        f"structures must be a file that ASE reads, {path} is not: {said} ({kind} of ASE's reader of {name}); write it as "
        "extended XYZ"
    )


def _check_elements(atoms: ase.Atoms, frame: str, name: str) -> None:
    if not atoms.numbers.all():
        atom = int((atoms.numbers == 0).argmax())
        raise InputError(f"{frame} must have an element for every atom, atom {atom} has none (read as {name})")
    for atom, rest in enumerate(atoms.arrays.get("dlp4_labels", ())):
        if not _CHARGE.fullmatch(str(rest)):
            label = f"{atoms[atom].symbol}{rest}"
            raise InputError(
                f"{frame} must name atoms by their elements, atom {atom} is {label}; write it as extended XYZ"
            )


def _from_symbols(error: BaseException) -> bool:
    """Whether an error comes from looking up an element."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and Path(place.tb_frame.f_code.co_filename).name in ("symbols.py", "atom.py", "atoms.py")
