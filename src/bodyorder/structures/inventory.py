"""What was read, in one line: for users to see whether it is what they meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import ase
import numpy as np
from ase.symbols import Symbols

from bodyorder.structures.bodies import Bodies, stated_molecules
from bodyorder.structures.bonds import WHOLE_CHARGE
from bodyorder.structures.keys import UNNAMED_COLUMNS
from bodyorder.structures.stated import Stated, read_stated

#: So many kinds of structures, bodies and keys are named, and of more their number is said.
_NAMED = 6
_SUPERSCRIPTS = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
#: Words in a comment that may tell of charge or spin.
_TELLING = ("charge", "spin", "multiplicity", "anion", "cation")


def inventory(
    structures: Sequence[ase.Atoms],
    partitions: Sequence[Bodies],
    bodies: str,
    *,
    spin: str = "none",
    takes_moments: bool = True,
    takes_multiplicity: bool = True,
) -> str:
    """What was read, in one line: structures, cells, charges, moments, bodies, and what of it is not used.

    :param partitions: bodies of each structure
    :param bodies: how they were asked for
    :param spin: the rule of the source for the spin of sub-clusters, ``"none"`` where there is none
    :param takes_moments: whether the source uses moments of atoms
    :param takes_multiplicity: whether it holds its rule against the multiplicity that a structure states
    """
    stated = [read_stated(atoms, f"structure {index}") for index, atoms in enumerate(structures)]
    parts = [_structures(structures), _boundaries(structures), _charges(stated), _moments(stated)]
    parts += [_bodies(structures, partitions, bodies, stated)]
    rule = "the source" if spin == "none" else f"spin={spin}"
    left = []
    if not takes_moments and any(one.moments.any() for one in stated):
        left.append(f"moments ({rule} takes none)")
    multiplicities = sorted({one.multiplicity for one in stated if one.multiplicity is not None})
    if multiplicities and not takes_multiplicity:
        said = ", ".join(map(str, multiplicities))
        left.append(f"multiplicity {said} ({rule} {'takes none' if spin == 'none' else 'chooses its own'})")
    left += _unused(structures, stated)
    if left:
        parts.append(f"not used: {_some(left)}")
    return "; ".join(parts)


def _structures(structures: Sequence[ase.Atoms]) -> str:
    formulas: Counter[str] = Counter()
    for numbers, n in Counter(tuple(atoms.numbers.tolist()) for atoms in structures).items():
        formulas[_formula(numbers)] += n
    count = f"{len(structures)} structure{'s' * (len(structures) > 1)}"
    if len(formulas) == 1:
        return f"{count} of {next(iter(formulas))}"
    return f"{count}: {_some(f'{n} × {formula}' for formula, n in formulas.most_common())}"


def _boundaries(structures: Sequence[ase.Atoms]) -> str:
    kinds = Counter(tuple(atoms.pbc.tolist()) for atoms in structures)
    said = []
    for periodic, count in kinds.most_common():
        along = ", ".join(name for name, is_periodic in zip("abc", periodic, strict=True) if is_periodic)
        said.append((f"{count} " * (len(kinds) > 1)) + (f"periodic along {along}" if along else "free"))
    return ", ".join(said)


def _charges(stated: Sequence[Stated]) -> str:
    totals = np.array([one.charges.sum() for one in stated])
    low, high = (round(float(value)) for value in (totals.min(), totals.max()))
    said = f"charge {_signed(low)}" if low == high else f"charges {_signed(low)} to {_signed(high)}"
    return said + _from("charges", stated)


def _moments(stated: Sequence[Stated]) -> str:
    totals = [one.moments.sum() for one in stated if one.moments.any()]
    if not totals:
        return "no moments"
    low, high = min(totals), max(totals)
    said = f"{low:+g}" if low == high else f"{low:+g} to {high:+g}"
    whose = "" if len(totals) == len(stated) else f" in {len(totals)} of them"
    return f"moments of {said} in all{whose}" + _from("moments", stated)


def _from(kind: str, stated: Sequence[Stated]) -> str:
    """Which columns charges or moments come from, in parentheses; nothing if they are ASE's own."""
    columns = dict.fromkeys(one.columns[kind] for one in stated if kind in one.columns)
    return f" ({_some(f'{kind} from {column!r}' for column in columns)})" * bool(columns)


def _bodies(
    structures: Sequence[ase.Atoms], partitions: Sequence[Bodies], bodies: str, stated: Sequence[Stated]
) -> str:
    alike = Counter(
        (
            atoms.numbers.tobytes(),
            partition.labels.astype(np.int64).tobytes(),
            np.rint(one.charges * 1e3).tobytes(),
            len(atoms),
        )
        for atoms, partition, one in zip(structures, partitions, stated, strict=True)
    )
    kinds: Counter[_Kind] = Counter()
    for (numbers, labels, charges, _), count in alike.items():
        label, charge = np.frombuffer(labels, dtype=np.int64), np.frombuffer(charges)
        elements = np.frombuffer(numbers, dtype=structures[0].numbers.dtype)
        for kind, n in _kinds(elements, label, charge / 1e3).items():
            kinds[kind] += n * count
    odd = [kind for kind in kinds if kind.is_odd] if bodies != "atoms" else []
    columns = Counter(stated_molecules(atoms, "it") for atoms in structures) if bodies == "molecules" else Counter()
    silent = columns.pop(None, 0)
    named = ", ".join(sorted(map(repr, columns)))
    by = (
        f"{bodies} by column {named}" + f" in {len(structures) - silent} of {len(structures)}" * (silent > 0)
        if columns
        else bodies
    )
    # where charges are forgotten, ions are radicals
    return f"bodies ({by}): {_some(f'{n} × {kind.name}' for kind, n in kinds.most_common())}" + (
        f"; odd electrons: {_some(f'{kinds[kind]} × {kind.name}' for kind in odd)}" * bool(odd)
    )


class _Kind(NamedTuple):
    """Formula with charge, and whether the number of electrons is odd."""

    name: str
    is_odd: bool


def _kinds(numbers: np.ndarray, labels: np.ndarray, charges: np.ndarray) -> Counter[_Kind]:
    """Bodies of one structure by kind, from what belongs to its atoms, shape (n_atoms,) each."""
    whole = np.bincount(labels, charges)
    order = np.lexsort((numbers, labels))
    ends = np.cumsum(np.bincount(labels))
    members = numbers[order]
    found: Counter[tuple[bytes, float]] = Counter()
    single = np.bincount(labels) == 1
    # most bodies are atoms, and there can be millions
    for (number, charge), count in zip(
        *np.unique(np.column_stack([members[ends[single] - 1], whole[single]]), axis=0, return_counts=True), strict=True
    ):
        found[np.array([number], dtype=members.dtype).tobytes(), float(charge)] = int(count)
    for body in np.flatnonzero(~single).tolist():
        begin = ends[body - 1] if body else 0
        found[members[begin : ends[body]].tobytes(), float(whole[body])] += 1
    named: Counter[_Kind] = Counter()
    for (text, charge), count in found.items():
        elements = np.frombuffer(text, dtype=members.dtype)
        is_odd = bool((int(elements.sum()) - round(charge)) % 2)
        named[_Kind(_formula(elements) + _superscript(charge), is_odd)] += count
    return named


def _unused(structures: Sequence[ase.Atoms], stated: Sequence[Stated]) -> list[str]:
    """What structures carry that has no part in a decomposition, or looks like charge or spin and is not read."""
    used = {column for one in stated for column in one.columns.values()}
    results = {key for atoms in structures for key in (getattr(atoms.calc, "results", None) or {})} - used
    found = [f"results of a calculator ({', '.join(sorted(results))})"] * bool(results)
    # ASE's reader of Turbomole fixes no atoms where none are fixed
    fixed = (constraint for atoms in structures for constraint in atoms.constraints)
    found += ["constraints"] * any(np.size(getattr(constraint, "index", 0)) for constraint in fixed)
    dropped = sum(atoms.cell.rank > 0 and not atoms.pbc.any() for atoms in structures)
    found += ["cells without periodic directions (--periodic repeats them)"] * bool(dropped)
    found += ["velocities"] * any("momenta" in atoms.arrays for atoms in structures)
    unnamed = max(int(atoms.info.get(UNNAMED_COLUMNS, 0)) for atoms in structures)
    found += [f"{unnamed} column{'s' * (unnamed > 1)} without a name"] * (unnamed > 0)
    found += [repr(key) for key in dict.fromkeys(key for one in stated for key in one.unused)]
    told = [str(atoms.info.get("comment", "")) for atoms in structures]
    found += ["words on charge or spin in comments"] * any(word in text.lower() for text in told for word in _TELLING)
    return found


def _some(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + f" and {more} more" * (more > 0)


def _formula(numbers: Iterable[int]) -> str:
    return str(Symbols(np.asarray(numbers)).get_chemical_formula())


def _signed(charge: int) -> str:
    return f"{charge:+d}" if charge else "0"


def _superscript(charge: float) -> str:
    if abs(charge - round(charge)) <= WHOLE_CHARGE:
        charge = round(charge)
    if not charge:
        return ""
    size = f"{abs(charge):.3g}"
    return ("" if size == "1" else size).translate(_SUPERSCRIPTS) + ("⁺" if charge > 0 else "⁻")
