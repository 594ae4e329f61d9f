"""The table of docs/inputs.md: what is found in small files of many formats, each read by ``bodyorder.read_structures``.

Each file says one thing. An entry of the table is where that thing stands, if it is found as it was meant; "refused" if the file
is refused for it; "named" if the line of what was read names it among what is not used; "–" if the format cannot say it.
Anything else is wrong, and ends the script with an error.

Run with: python docs/inputs/table.py [--check]
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.units import Bohr
from content import Content
from formats import FORMATS, Format

import bodyorder
from bodyorder.structures.bodies import find_bodies
from bodyorder.structures.reading.files import READERS, SUFFIXES, suffix
from bodyorder.structures.reading.formats import find_format
from bodyorder.structures.reading.qcschema import find_qcschema
from bodyorder.structures.stated import read_stated

PAGE = Path(__file__).parents[1] / "inputs.md"
BEGIN, END = "<!-- made by docs/inputs/table.py: begin -->\n", "<!-- made by docs/inputs/table.py: end -->\n"
HEADS = (
    "format",
    "read by",
    "frames",
    "elements",
    "charges",
    "spins",
    "bodies",
    "cell",
    "lengths in",
    "occupancy below 1",
)
#: What a refusal must speak of, lest a file be refused for another reason.
REASONS = {
    "frames": "several structures|one molecule|records",
    "elements": "element",
    "charges": "charge",
    "spins": "moments|multiplicity",
    "bodies": "molecules",
    "lengths": r"units|in Å|bohr",
    "occupancy": "occupancy|occupancies|wholly",
}
LENGTHS = {"Å": 1.0, "bohr": Bohr, "nm": 10.0}
#: Lattice vectors in Å, the first along x and the second in the plane of x and y.
CELL = np.array([[9.0, 0, 0], [-1.5, 10.0, 0], [1.0, 0.5, 11.0]])
#: A molecule of hydrogen whose bond is 1.4 in whatever unit the file has.
BOND = 1.4
WATER = [[2, 6.5, 2], [2.96, 6.5, 2], [1.76, 7.43, 2]]
#: Two molecules of water; the second atom is between them, a little nearer to the first.
SHARED = [[3, 3, 3], [4.15, 3, 3], [2.76, 3.93, 3], [5.47, 3, 3], [6.07, 3.76, 3], [6.07, 2.24, 3]]


class Wrong(Exception):
    """A file was read as something that it does not say."""


Right = Callable[[list[ase.Atoms]], bool]


def content(form: Format, symbols: str, positions: Sequence[Sequence[float]], molecules: str, **said: Any) -> Content:
    """What a file of a format is to say, from positions in Å in the usual unit of the format."""
    unit, size = next(iter(form.units.items()))
    cell = said.pop("cell", None)
    return Content(
        tuple(symbols.split()),
        np.array(positions) / size,
        tuple(map(int, molecules)),
        None if cell is None else cell / size,
        unit,
        said,
    )


def outcome(form: Format, frames: list[Content], right: Right, found: str, reason: str) -> str:
    """What comes of a file with some frames.

    :param right: whether structures are what the frames say
    :param found: what the table says then
    :param reason: what a refusal must speak of
    :raises Wrong: if they are not, or the refusal speaks of something else
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / form.file
        form.write(path, frames)
        try:
            structures = bodyorder.read_structures(path, periodic=True)
        except bodyorder.InputError as error:
            if not re.search(reason, str(error).replace(str(path), "")):
                raise Wrong(f"{form.name} ({found}): refused, and not for {reason}: {error}") from None
            return f"{found}: refused" if found != "refused" else found
        if right(structures):
            return found
        if any(read_stated(atoms, "it").unused for atoms in structures):
            return f"{found}: named"
        raise Wrong(f"{form.name} ({found}): read as {structures}")


def reader(form: Format) -> str:
    """Who reads the files of a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / form.file
        form.write(path, [hydrogen(form)])
        own = suffix(path) in SUFFIXES or find_qcschema(path) is not None or find_format(path) in READERS
    return "bodyorder" if own else "ASE"


def hydrogen(form: Format, unit: str | None = None, length: float = BOND) -> Content:
    """A molecule of hydrogen whose bond has a length in a unit, by default the usual one of the format."""
    positions = np.array([[0.0, 0, 0], [0, 0, length]])
    return Content(("H", "H"), positions, (0, 0), unit=unit or next(iter(form.units)))


def frames(form: Format) -> str:
    """Two frames that differ."""
    if not form.frames:
        return "–"
    longer = hydrogen(form, length=2 * BOND)

    def right(structures: list[ase.Atoms]) -> bool:
        lengths = [atoms.get_distance(0, 1) for atoms in structures]
        return len(lengths) == 2 and abs(lengths[1] / lengths[0] - 2) < 1e-3

    return outcome(form, [hydrogen(form), longer], right, "all", REASONS["frames"]).removeprefix("all: ")


def elements(form: Format) -> str:
    """Sodium, chlorine and water: in names and in capitals the first two may be nitrogen and carbon."""

    def right(structures: list[ase.Atoms]) -> bool:
        return structures[0].get_chemical_symbols() == ["Na", "Cl", "O", "H", "H"]

    return outcome(form, [salt(form)], right, form.elements, REASONS["elements"])


def salt(form: Format, **said: Any) -> Content:
    """A sodium and a chlorine atom and a molecule of water, far from each other."""
    return content(form, "Na Cl O H H", [[2, 2, 2], [6.5, 2, 2], *WATER], "01222", **said)


def charges(form: Format) -> list[str]:
    """Charges +1 and -1 of two atoms; or +1 of the whole, where it is not said which of two bodies has it."""
    found = []
    for key, where in form.charges.items():
        if key in ("charge", "comment"):
            value = "1 1" if key == "comment" else 1
            said = content(form, "Na O H H", [[2, 2, 2], *WATER], "0111", **{key: value})
        else:
            said = salt(form, **{key: [1, -1, 0, 0, 0]})
        of_atoms = said.said[key]

        def right(structures: list[ase.Atoms], of_atoms: Any = of_atoms) -> bool:
            return structures[0].get_initial_charges().tolist() == of_atoms

        found.append(outcome(form, [said], right, where, REASONS["charges"]))
    return found


def spins(form: Format) -> list[str]:
    """Oxygen with two unpaired electrons, beside helium."""
    found = []
    for key, where in form.spins.items():
        of_atoms = key in ("moments", "initial_magmoms")
        value = [0, 2] if of_atoms else 3 if key == "multiplicity" else 2
        said = content(form, "He O", [[1, 1, 1], [1, 1, 5]], "01", **{key: value})

        def right(structures: list[ase.Atoms], of_atoms: bool = of_atoms, value: Any = value) -> bool:
            if of_atoms:
                return structures[0].get_initial_magnetic_moments().tolist() == value
            return read_stated(structures[0], "it").multiplicity == 3

        found.append(outcome(form, [said], right, where, REASONS["spins"]))
    return found


def bodies(form: Format) -> list[str]:
    """A molecule that is torn, where files say what is bonded; else two waters with a hydrogen between them."""
    torn = [[1, 1, 1], [1, 1, 3.5], [1, 1, 7]]
    cases = [(where, content(form, "H H He", torn, "001", **{key: True})) for key, where in form.bodies.items()]
    found = []
    for where, said in cases or [("distances", content(form, "O H H O H H", SHARED, "000111"))]:

        def right(structures: list[ase.Atoms], molecules: tuple[int, ...] = said.molecules) -> bool:
            return tuple(find_bodies(structures[0], "molecules").labels.tolist()) == molecules

        found.append(outcome(form, [said], right, where, REASONS["bodies"]))
    return found


def cell(form: Format) -> str:
    """Three vectors, with an atom that is nearest to the other across the border."""
    if not form.cell:
        return "–"
    said = content(form, "He He", [[0.2, 5, 5], [8.2, 5, 5]], "01", cell=CELL)

    def right(structures: list[ase.Atoms]) -> bool:
        (atoms,) = structures
        same = np.allclose(atoms.cell.array @ atoms.cell.array.T, CELL @ CELL.T, atol=2e-2)
        return same and bool(atoms.pbc.all()) and abs(atoms.get_distance(0, 1, mic=True) - 1) < 1e-2

    return outcome(form, [said], right, "read", "cell|periodic").removeprefix("read: ")


def lengths(form: Format) -> list[str]:
    """The unit that makes 1.4 what is read."""
    found = []
    for unit, size in form.units.items():
        name = next((name for name, of in LENGTHS.items() if of == size), unit)

        def right(structures: list[ase.Atoms], size: float = size) -> bool:
            return abs(structures[0].get_distance(0, 1) - BOND * size) < 1e-3

        found.append(outcome(form, [hydrogen(form, unit)], right, name, REASONS["lengths"]))
    return found


def occupancy(form: Format) -> str:
    """An atom that is there by half."""
    if not form.occupancy:
        return "–"
    said = content(form, "He He", [[1, 1, 1], [1, 1, 5]], "01", occupancy=[0.5, 1.0])
    return outcome(form, [said], lambda _: False, "refused", REASONS["occupancy"])


def row(form: Format) -> str:
    """The row of a format; one that not even a molecule of hydrogen is read from has nothing to show."""
    if is_unreadable(form):
        found: list[str | list[str]] = ["refused", *[""] * 8]
    else:
        columns = (reader, frames, elements, charges, spins, bodies, cell, lengths, occupancy)
        found = [column(form) for column in columns]
    entries = [entry if isinstance(entry, str) else "; ".join(entry) or "–" for entry in found]
    return f"| {form.name} | {' | '.join(entries)} |\n"


def is_unreadable(form: Format) -> bool:
    """Whether a format is refused as a whole."""
    return outcome(form, [hydrogen(form)], lambda _: True, "read", "") == "read: refused"


def table() -> str:
    """The table, in Markdown."""
    return f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n" + "".join(map(row, FORMATS))


def main(arguments: Sequence[str]) -> None:
    """Write the table into the page, or check that it is there."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page = before + BEGIN + table() + END + after
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
    elif page != PAGE.read_text(encoding="utf-8"):
        raise SystemExit(f"{PAGE} must hold what is found, and does not; run python docs/inputs/table.py")


if __name__ == "__main__":
    main(sys.argv[1:])
