"""Whether results that are joined were made alike, as far as their attributes say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bodyorder._checks import InputError
from bodyorder.results.asked import ASKED
from bodyorder.results.tree import some

#: What says which energies these are; the numbers of results that differ in one of them are not of one kind.
_AGREE = (
    "schema_version", "source", "one_body", "fingerprint", "precision_absolute", "precision_relative", "spin", "counterpoise",
    "field", "whole", "bodies", "cutoff", "member_kind",
)  # fmt: skip

#: What is said where a result does not say it.
_UNSAID = {"field": "none", "whole": ASKED, "cutoff": "none", "one_body": "model"}

#: Bodies that are the same rule for all structures. All else is given atom by atom, in files of any name.
_RULES = ("atoms", "molecules", "residues")
_BY_COLUMN = "column:"

#: So many parts with different inputs are told one by one.
_MOST_INPUTS = 4

#: Bodies given atom by atom.
_GIVEN = "given"


def agreed_attributes(attributes: Mapping[str, Mapping[str, Any]], with_cells: Mapping[str, bool]) -> dict[str, Any]:
    """Attributes of results one behind the other.

    :param attributes: of each, by its name
    :param with_cells: whether each holds periodic structures
    :raises InputError: if they differ in what says which energies they are
    """
    held = {name: _UNSAID | dict(own) for name, own in attributes.items()}
    for own in held.values():
        bodies = str(own.get("bodies", _GIVEN))
        if bodies not in _RULES and not bodies.startswith(_BY_COLUMN):
            own["bodies"] = _GIVEN
    if len(attributes) == 1:
        return dict(next(iter(attributes.values())))
    (first, theirs), *others = held.items()
    cutoff = _cutoff(held, with_cells)
    for own in held.values():
        own["cutoff"] = cutoff if own["cutoff"] == "none" and cutoff is not None else own["cutoff"]
    for key in _AGREE:
        for name, own in others:
            if own.get(key) != theirs.get(key):
                raise InputError(
                    f"results that are joined must be made alike; they differ in `{key}`: {_said(own, key)} in {name!r}, "
                    f"{_said(theirs, key)} in {first!r}"
                )
    shared = {
        key: value
        for key, value in theirs.items()
        if all(key in own and np.array_equal(own[key], value) for _, own in others)
    }
    every = list(held.values())
    families = {kind for own in every for kind in str(own.get("family", "")).split(", ")} - {""}
    merged = {
        "family": ", ".join(sorted(families)),
        "noise": _each(own.get("noise") for own in every),
        "boxes": _each(own.get("boxes") for own in every),
        "input": _inputs(str(own["input"]) for own in every if "input" in own),
        "one_body_values": _values(str(own["one_body_values"]) for own in every if "one_body_values" in own),
        "versions": _versions(str(own["versions"]) for own in every if "versions" in own),
        "created": max((str(own["created"]) for own in every if "created" in own), default=""),
    }
    return shared | {key: value for key, value in merged.items() if value}


def _cutoff(held: Mapping[str, Mapping[str, Any]], with_cells: Mapping[str, bool]) -> Any:
    """The cutoff of results with periodic structures where all others are free and complete: one run says it of both."""
    periodic = [own["cutoff"] for name, own in held.items() if with_cells[name]]
    free = [own["cutoff"] for name, own in held.items() if not with_cells[name]]
    return periodic[0] if periodic and all(cutoff == "none" for cutoff in free) else None


def _said(own: Mapping[str, Any], key: str) -> str:
    if key not in own:
        return "nothing"
    return repr(own[key]) if isinstance(own[key], str) else str(own[key])


def _each(texts: Iterable[Any]) -> str:
    """All different texts, a few of them in words."""
    different = list(dict.fromkeys(str(text) for text in texts if text))
    return (
        different[0] if len(different) == 1 else f"different from part to part: {some(different)}" if different else ""
    )


def _inputs(texts: Iterable[str]) -> str:
    """What was read for each part, one after the other, equal ones with their number."""
    counts = Counter(texts)
    said = [f"{count} × ({text})" if count > 1 else f"({text})" for text, count in counts.items()]
    if len(said) == 1:
        return said[0] if next(iter(counts.values())) > 1 else next(iter(counts))
    more = len(said) - _MOST_INPUTS
    return " + ".join(said[:_MOST_INPUTS]) + f" + {more} more" * (more > 0)


def _values(held: Iterable[str]) -> str:
    """Energies of lone atoms of all parts, which have them by one rule."""
    merged: dict[str, float] = {}
    for text in held:
        merged = json.loads(text) | merged
    return json.dumps(merged, sort_keys=True) if merged else ""


def _versions(held: Iterable[str]) -> str:
    """Versions of programs, all of them where parts were made by several."""
    different = list(dict.fromkeys(held))
    if len(different) < 2:
        return different[0] if different else ""
    merged: dict[str, list[str]] = {}
    for text in different:
        for program, version in json.loads(text).items():
            if str(version) not in merged.setdefault(program, []):
                merged[program].append(str(version))
    return json.dumps({program: ", ".join(versions) for program, versions in merged.items()})
