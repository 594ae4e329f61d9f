"""Charge and multiplicity of the whole, which files of programs state and ASE's readers pass over."""

from __future__ import annotations

import re
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.structures.bonds import WHOLE_CHARGE
from bodyorder.structures.reading.comment import real

_INTEGER = r"([+-]?\d+)\b"
_REAL = r"([+-]?\d[\d.]*(?:[dDeE][+-]?\d+)?)"
_PAIR = ("charge", "multiplicity")

#: By ASE's name of a format: patterns, and the keys of ``info`` that their groups are. ``unpaired`` is 2S.
_STATED: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "gaussian-in": [(r"^[ \t]*([+-]?\d+)[ \t,]+(\d+)(?:[ \t,]+[+-]?\d+)*[ \t]*$", _PAIR)],
    "gaussian-out": [(r"^\s*Charge =\s*([+-]?\d+) Multiplicity =\s*(\d+)(?![^\n]*fragment)", _PAIR)],
    "orca-output": [
        (rf"^\s*Total Charge\s+Charge\s+\.+\s+{_INTEGER}", ("charge",)),
        (rf"^\s*Multiplicity\s+Mult\s+\.+\s+{_INTEGER}", ("multiplicity",)),
    ],
    "gamess-us-out": [
        (rf"^\s*CHARGE OF MOLECULE\s*=\s*{_INTEGER}", ("charge",)),
        (rf"^\s*SPIN MULTIPLICITY\s*=\s*{_INTEGER}", ("multiplicity",)),
    ],
    "nwchem-out": [
        (rf"^\s*Charge\s+:\s*{_INTEGER}", ("charge",)),
        (rf"^\s*Spin multiplicity\s*:\s*{_INTEGER}", ("multiplicity",)),
    ],
    "espresso-in": [
        (rf"^[^!#\n]*\btot_charge\s*=\s*{_REAL}", ("charge",)),
        (r"^[^!#\n]*\btot_magnetization\s*=\s*\+?(\d[\d.]*(?:[dDeE][+-]?\d+)?)", ("unpaired",)),
    ],
    "cp2k-restart": [
        (rf"^\s*CHARGE\s+{_INTEGER}\s*$", ("charge",)),
        (rf"^\s*MULTIPLICITY\s+{_INTEGER}", ("multiplicity",)),
    ],
    "turbomole": [
        (rf"^\s*\$eht\b[^\n]*\bcharge\s*=\s*{_INTEGER}", ("charge",)),
        (rf"^\s*\$eht\b[^\n]*\bunpaired\s*=\s*{_INTEGER}", ("unpaired",)),
        (rf"^\s*\$chrg\s+{_INTEGER}", ("charge",)),
    ],
    "cjson": [
        (rf'"totalCharge"\s*:\s*{_INTEGER}', ("charge",)),
        (rf'"totalSpinMultiplicity"\s*:\s*{_INTEGER}', ("multiplicity",)),
    ],
}

#: The first pair of integers alone in a line is charge and multiplicity; later ones are other things.
_FIRST = {"gaussian-in"}

#: Electrons, atoms of each type and their valences in the two outputs of VASP; moments that were begun with.
_VASP = {
    "vasp-xml": {
        "electrons": rf'<parameters>(?s:.*?)<i name="NELECT">\s*{_REAL}',
        "atoms": r"<rc><c>\s*(\d+)\s*</c><c>[^<]*</c><c>[^<]*</c><c>[^<]*</c><c>",
        "valences": rf"<rc><c>\s*\d+\s*</c><c>[^<]*</c><c>[^<]*</c><c>\s*{_REAL}\s*</c><c>",
        "moments": r'<v name="MAGMOM">([^<]*)</v>(?s:.*?)</incar>',
    },
    "vasp-out": {
        "electrons": rf"^\s*NELECT\s*=\s*{_REAL}",
        "atoms": r"\bions per type\s*=([ \d]+)",
        "valences": rf"\bZVAL\s*=\s*{_REAL}\s+mass and valenz",
        "moments": r"^\s*MAGMOM\s*=\s*([^\n]*)",
    },
}

#: Formats that are looked through.
STATING = frozenset((*_STATED, *_VASP))


def stated_of_whole(text: str, name: str, path: Path) -> dict[str, float | str]:
    """What a file says of the whole: ``charge``, ``multiplicity`` or ``unpaired``, where ASE's reader does not hand it on.

    Of VASP the charge follows from the number of electrons and the valences of the atoms; moments that its calculation began
    with are ``MAGMOM``, as a text.

    :param name: ASE's name of the format
    :raises InputError: if the file says two different things
    """
    if name in _VASP:
        return _of_vasp(text, _VASP[name])
    said: dict[str, float | str] = {}
    for pattern, keys in _STATED.get(name, ()):
        found = [match.groups() for match in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE)]
        if len({tuple(map(real, numbers)) for numbers in found}) > 1 and name not in _FIRST:
            raise InputError(
                f"structures of one file must have one {' and '.join(keys)}, those of {path} have several; write extended XYZ"
            )
        said |= dict(zip(keys, map(real, found[0]), strict=True)) if found else {}
    return said


def _of_vasp(text: str, patterns: dict[str, str]) -> dict[str, float | str]:
    found = {key: re.findall(pattern, text, re.MULTILINE) for key, pattern in patterns.items()}
    said: dict[str, float | str] = {}
    atoms = [int(count) for counts in found["atoms"] for count in counts.split()]
    if found["electrons"] and len(atoms) == len(found["valences"]) > 0:
        neutral = sum(count * real(valence) for count, valence in zip(atoms, found["valences"], strict=True))
        charge = neutral - real(found["electrons"][-1])
        said["charge"] = charge if abs(charge) > WHOLE_CHARGE else 0.0
    if found["moments"]:
        said["MAGMOM"] = " ".join(found["moments"][0].split())
    return said
