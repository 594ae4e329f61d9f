"""What *ab initio* energies are made of, their factors: method, basis, spin, counterpoise, field; and which differ in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import attributes
from bodyorder.sources.spec import parse_spec

#: Factors that every *ab initio* source has. All others are options of its method.
FACTORS = ("spin", "basis", "counterpoise", "field", "method")

#: Methods that are exact in their basis, the best first: what the others are measured against.
EXACT = ("fci", "dmrg")

#: Options that change no energy.
_NO_FACTORS = ("forces", "gap", "memory")

#: Values of a factor from the cruder to the better, or from the fewer to the more: a pair goes in this direction.
#: Those that are not here come in the order of the results.
_DIRECTIONS = {
    "spin": ("low", "ground", "high"),
    "counterpoise": ("none", "full", "vmfc"),
    "field": ("none",),
    "method": ("rhf", "rohf", "uhf", "rks", "uks", "mp2", "ccsd", "ccsd(t)", "dmrg", "fci"),
}


@dataclass(frozen=True)
class Pair:
    """Two sources that differ in one factor.

    :param factor: which
    :param sources: where they stand along the ``source`` dimension: from which, to which
    :param values: the values of the factor that they have
    :param common: what they share, for people
    """

    factor: str
    sources: tuple[int, int]
    values: tuple[str, str]
    common: str

    @property
    def label(self) -> str:
        """The pair in one line, such as ``spin low → ground (fci/sto-6g)``."""
        change = " → ".join(self.values)
        return f"{self.factor} {change}" + (f" ({self.common})" if self.common else "")


@dataclass(frozen=True)
class Series:
    """*Ab initio* sources that differ in one factor alone.

    :param factor: which
    :param common: what they share, for people
    :param values: the values of the factor, in the direction of a pair
    :param sources: their names
    """

    factor: str
    common: str
    values: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """The source that the others are measured against: the best method, the ground state, else the first."""
        if self.factor == "method":
            return self.sources[-1]
        return self.sources[self.values.index("ground") if "ground" in self.values else 0]


def factors(results: xr.Dataset) -> dict[str, dict[str, str]]:
    """Factors of every source by name.

    A source of PySCF has ``method``, ``basis``, ``spin``, ``counterpoise``, ``field`` and those of its other options that change
    energies; any other source has its name as ``method`` and nothing else.

    :param results: of :func:`bodyorder.analysis.combine`; their attributes ``source`` and ``field`` name them
    """
    return {
        name: _of_spec(str(held.get("source", name)), name, str(held.get("field", "none")))
        for name, held in attributes(results).items()
    }


def pairs(results: xr.Dataset) -> list[Pair]:
    """All pairs of sources that differ in exactly one factor, factor by factor.

    Options that only one of two methods has belong to the method: UHF and a functional are a pair. Whatever is not *ab
    initio* has no basis and no spin rule that could differ, so that it is paired with every source by ``method``.

    :param results: of :func:`bodyorder.analysis.combine`
    """
    known = factors(results)
    found = []
    for (first, one), (second, other) in combinations(enumerate(known.items()), 2):
        pair = _pair((first, *one), (second, *other))
        if pair is not None:
            found.append(pair)
    places = {factor: place for place, factor in enumerate(FACTORS)}
    return sorted(found, key=lambda pair: (places.get(pair.factor, len(places)), pair.factor))


def series(results: xr.Dataset) -> list[Series]:
    """All series of *ab initio* sources that differ in one factor, factor by factor and the longest first.

    :param results: of :func:`bodyorder.analysis.combine`
    """
    names = [str(name) for name in results["source"].values]
    members: dict[tuple[str, str], dict[int, str]] = {}
    for pair in pairs(results):
        if pair.common:
            held = members.setdefault((pair.factor, pair.common), {})
            for place, value in zip(pair.sources, pair.values, strict=True):
                held.setdefault(place, value)
    known = list(factors(results).values())
    found = []
    for (factor, common), held in members.items():
        places = sorted(held, key=lambda place: (_place(factor, known[place]), place))
        values = tuple(held[place] for place in places)
        found.append(Series(factor, common, values, tuple(names[place] for place in places)))
    rank = {factor: place for place, factor in enumerate(dict.fromkeys(line.factor for line in found))}
    return sorted(found, key=lambda line: (rank[line.factor], -len(line.sources)))


def anchored(dataset: xr.Dataset, lines: Sequence[Series]) -> xr.Dataset:
    """The pairs of a dataset that hold the anchor of their series: all others are differences of these.

    :param dataset: with the coordinates of pairs (:func:`bodyorder.analysis.order_changes`)
    :param lines: of :func:`series`
    """
    ends = list(zip(dataset["from_source"].values.astype(str), dataset["to_source"].values.astype(str), strict=True))
    rows = [
        row
        for row, pair in enumerate(ends)
        if any(set(pair) <= set(line.sources) and line.anchor in pair for line in lines)
    ]
    return dataset.isel(pair=rows)


def exact_references(results: xr.Dataset) -> dict[str, str]:
    """For each *ab initio* source the one that differs from it in the method alone and is exact: FCI, or else DMRG.

    :param results: of :func:`bodyorder.analysis.combine`
    :return: names of references by names of sources; without sources that have none
    """
    known = factors(results)
    found: dict[str, str] = {}
    for name, own in known.items():
        better = EXACT[: EXACT.index(own["method"])] if own["method"] in EXACT else EXACT
        for method in better:
            equal = [
                other
                for other, held in known.items()
                if held["method"] == method and "basis" in own and _setting(held) == _setting(own)
            ]
            if equal:
                found[name] = equal[0]
                break
    return found


def is_ab_initio(held: Mapping[str, str]) -> bool:
    """Whether these are the factors of an *ab initio* source."""
    return "basis" in held


def short(held: Mapping[str, str]) -> str:
    """A source by its factors, such as ``fci/sto-6g, spin ground``."""
    if not is_ab_initio(held):
        return held["method"]
    return _common(held, "")


def _of_spec(spec: str, name: str, field: str) -> dict[str, str]:
    try:
        scheme, target, options = parse_spec(spec)
    except InputError:
        return {"method": name}
    method, slash, basis = target.partition("/")
    if scheme != "pyscf" or not slash:
        return {"method": name}
    silent = {"method": method, "basis": basis, "spin": "none", "counterpoise": "none", "field": field}
    return silent | {key: _text(value) for key, value in options.items() if key not in _NO_FACTORS}


def _text(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _setting(held: Mapping[str, str]) -> tuple[str, ...]:
    """Everything but the method."""
    return tuple(held[factor] for factor in FACTORS if factor != "method" and factor in held)


def _options(held: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in held.items() if key not in FACTORS}


def _pair(one: tuple[int, str, dict[str, str]], other: tuple[int, str, dict[str, str]]) -> Pair | None:
    (first, name, own), (second, other_name, held) = one, other
    if not is_ab_initio(own) or not is_ab_initio(held):
        # The one that is ab initio is what the other is measured against.
        if is_ab_initio(held):
            return Pair("method", (second, first), (other_name, name), "")
        return Pair("method", (first, second), (name, other_name), "")
    factor = _single_difference(own, held)
    if factor is None:
        return None
    values = [own.get(factor, "default"), held.get(factor, "default")]
    if factor == "method":
        values = [_with_options(mine, theirs) for mine, theirs in ((own, held), (held, own))]
    places = [_place(factor, own), _place(factor, held)]
    sources, common = [first, second], _common(own, factor, held)
    if places[0] > places[1]:
        sources.reverse()
        values.reverse()
    return Pair(factor, (sources[0], sources[1]), (values[0], values[1]), common)


def _single_difference(own: Mapping[str, str], held: Mapping[str, str]) -> str | None:
    """The only factor in which two sources differ; None if there is none, or more than one."""
    different = [factor for factor in FACTORS if own[factor] != held[factor]]
    if different == ["method"]:
        return "method"
    options, others = _options(own), _options(held)
    different += [key for key in sorted(options.keys() | others.keys()) if options.get(key) != others.get(key)]
    return different[0] if len(different) == 1 else None


def _with_options(own: Mapping[str, str], held: Mapping[str, str]) -> str:
    """A method with the options that the other one does not share."""
    others = _options(held)
    extra = [f"{key}={value}" for key, value in _options(own).items() if others.get(key) != value]
    return " ".join([own["method"], *extra])


def _place(factor: str, held: Mapping[str, str]) -> int:
    direction = _DIRECTIONS.get(factor, ())
    value = held.get(factor, "")
    return direction.index(value) if value in direction else len(direction)


def _common(own: Mapping[str, str], factor: str, held: Mapping[str, str] | None = None) -> str:
    """What a source has beside one factor, and another one shares."""
    level = "/".join(own[name] for name in ("method", "basis") if name != factor)
    rest = [] if factor == "spin" else [f"spin {own['spin']}"]
    if factor != "counterpoise" and own["counterpoise"] != "none":
        rest.append(f"counterpoise {own['counterpoise']}")
    if factor != "field" and own["field"] != "none":
        rest.append(f"in a field ({own['field']})")
    shared = own if held is None else held
    rest += [f"{key} {value}" for key, value in _options(own).items() if key != factor and shared.get(key) == value]
    return ", ".join([level, *rest])
