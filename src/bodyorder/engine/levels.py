"""Several sources in one expansion: each order by the source of its level, and what is above by that of the rest.

With levels that serve the orders up to some N, E⁽ⁿ⁾ is the n-body total by the source of the level that n belongs to, made of its
energies of all sub-clusters up to n bodies, in the basis functions that its own counterpoise correction lends them. The rest is
E_rest − E_rest^{≤N}, what the expansion by its source leaves out above N, so that

    E = Σ_{n≤N} E⁽ⁿ⁾ + (E_rest − E_rest^{≤N}) = E_rest + Σ_{n≤N} (E⁽ⁿ⁾ − E_rest⁽ⁿ⁾),

the energy of the whole by the source of the rest with its first N orders exchanged. Dahlke and Truhlar, J. Chem. Theory Comput.
3, 1342 (2007), doi:10.1021/ct700057x; Bates, Smith, Janowski and Tschumper, J. Chem. Phys. 135, 044123 (2011),
doi:10.1063/1.3609922 ("N-body:many-body").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import ase
import numpy as np
import xarray as xr

from bodyorder._checks import InputError, check_between, check_switch, did_you_mean
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.engine.subset_energies import SubsetEnergies
from bodyorder.results.asked import ASKED, NOT_ASKED
from bodyorder.results.tree import flat, grown
from bodyorder.results.variables import DOUBTS, describe
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.registry import SourceLike
from bodyorder.structures.field import FieldLike, is_kind

#: Sources by the orders that they serve: one, or ``"2-3"``; the first may be named by the largest one that it serves; ``"rest"``
#: for what is above.
LevelsLike: TypeAlias = Mapping[int | str, SourceLike]

#: The level of all orders above.
REST = "rest"
#: How others call it.
_REST_OF_OTHERS = ("supersystem",)


@dataclass(frozen=True)
class Level:
    """Some orders that follow each other, and what is given for their source."""

    first: int
    last: int
    given: Any

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Levels:
    """Levels that serve all orders up to some largest one.

    :param numbered: in ascending order, without gaps
    :param rest: what is given for the source of what is above; None for nothing
    """

    numbered: tuple[Level, ...]
    rest: Any = None

    @property
    def sources(self) -> list[Any]:
        """What is given for sources, that of the rest at the end."""
        return [level.given for level in self.numbered] + [self.rest] * (self.rest is not None)

    def up_to(
        self, max_order: int | None, n_bodies: int, sources: Sequence[EnergySource], *, whole: bool = True
    ) -> Shared:
        """Which source serves what.

        :param max_order: largest order; that of the last level if None. The rest serves orders above that of the last level.
        :param n_bodies: of the largest structure
        :param sources: those of :attr:`sources`
        :param whole: whether the energy of the whole may be asked for
        :raises InputError: if orders are asked for that no level serves, levels serve orders that no structure has, or the rest
            cannot be by its source
        """
        check_switch("whole", whole)
        levels = [replace(level, given=source) for level, source in zip(self.numbered, sources, strict=False)]
        rest = sources[-1] if self.rest is not None else None
        end = levels[-1].last
        top = end if max_order is None else check_between("max_order", max_order, 1, n_bodies)
        if top > n_bodies:
            raise InputError(
                f"levels must serve orders up to the number of bodies, {n_bodies}, got {levels[-1]}; leave out what is above"
            )
        if rest is None and top > end:
            raise InputError(
                f"levels must serve all orders up to `max_order`, {top}, and end at {end}; add a level, or one for the rest"
            )
        if rest is not None and not whole:
            raise InputError(f"`whole` must be true with a level for the rest, which {rest.name} gives; leave it out")
        if rest is not None and rest.capabilities.counterpoise == "vmfc":
            raise InputError(
                f"the rest must be in one set of functions, got {rest.name}, whose orders are each in their own; use "
                "counterpoise=none or full"
            )
        levels = [replace(level, last=min(level.last, top)) for level in levels if level.first <= top]
        if top > end:
            levels.append(Level(end + 1, top, rest))
        return Shared(tuple(levels), rest)


@dataclass(frozen=True)
class Run:
    """What one source is asked for.

    :param orders: that it serves
    :param max_order: the largest one that is needed of it
    :param whole: whether the energy of the whole is needed
    :param name: what it serves, in words
    """

    source: EnergySource
    orders: tuple[int, ...]
    max_order: int
    whole: bool
    name: str


@dataclass(frozen=True)
class Shared:
    """Which source serves what.

    :param levels: their sources in place of what was given for them
    :param rest: its source, if there is one
    """

    levels: tuple[Level, ...]
    rest: EnergySource | None

    @property
    def top(self) -> int:
        """The largest order."""
        return self.levels[-1].last

    @property
    def runs(self) -> list[Run]:
        """Each source once, those of small orders first."""
        by_source: dict[tuple[str, str], list[Level]] = {}
        for level in self.levels:
            by_source.setdefault(_key(level.given), []).append(level)
        if self.rest is not None:
            by_source.setdefault(_key(self.rest), [])
        by_key = {_key(source): source for source in self.listed().values()}
        found = []
        for key, served in by_source.items():
            is_rest = self.rest is not None and key == _key(self.rest)
            orders = tuple(order for level in served for order in range(level.first, level.last + 1))
            words = [f"order{'s' * (level.first < level.last)} {level}" for level in served] + [REST] * is_rest
            largest = self.top if is_rest else orders[-1]
            found.append(Run(by_key[key], orders, largest, is_rest, " and ".join(words)))
        return found

    def listed(self) -> dict[str, EnergySource]:
        """Sources by their levels in words, the rest at the end."""
        named = {str(level): level.given for level in self.levels}
        return named if self.rest is None else named | {REST: self.rest}


def _key(source: EnergySource) -> tuple[str, str]:
    """What tells sources apart: energies in other functions have the same fingerprint."""
    return source.fingerprint, source.capabilities.counterpoise


@dataclass(frozen=True)
class Decomposed:
    """The result of a source, and the energies that it is made of, structure by structure."""

    result: xr.DataTree
    by_structure: Sequence[SubsetEnergies]


def is_by_levels(given: object) -> bool:
    """Whether something that stands for a source is several by their levels, and not one as a mapping."""
    return isinstance(given, Mapping) and "source" not in given and any(_looks_like_level(key) for key in given)


def _looks_like_level(key: object) -> bool:
    return hasattr(key, "__index__") or (isinstance(key, str) and (key in (REST, "") or key[0].isdigit()))


def read_levels(given: Mapping[Any, Any]) -> Levels:
    """Levels from sources by the orders that they serve.

    :raises InputError: if a key names no orders, two levels share an order, one is missing in between, or only a rest is given
    """
    numbered = sorted(
        ((_orders(key), source) for key, source in given.items() if key != REST), key=lambda one: one[0][1]
    )
    if not numbered:
        raise InputError(
            "levels must serve order 1 and on, got one for the rest alone; decompose by its source, which has all orders"
        )
    levels: list[Level] = []
    for (first, last), source in numbered:
        end = levels[-1].last if levels else 0
        # below the first level there is none that a smaller order could belong to
        level = Level(first or (last if levels else 1), last, source)
        if level.first > level.last or level.first <= end:
            raise InputError(f"levels must not share orders, {levels[-1]} and {_named(first, last)} do")
        if level.first > end + 1:
            missing = Level(end + 1, level.first - 1, None)
            raise InputError(
                f"levels must follow each other without gaps, got none for order{'s' * (missing.first < missing.last)} {missing} "
                f"below {level}; add it, or write {Level(end + 1, last, None)} in place of {level}"
            )
        levels.append(level)
    return Levels(tuple(levels), given.get(REST))


def parse_levels(texts: Iterable[str]) -> dict[str, str]:
    """Levels as the command line has them, ``1-2=SPEC`` and ``rest=SPEC``.

    :raises InputError: if one is none, or given twice
    """
    found: dict[str, str] = {}
    for text in texts:
        orders, equals, spec = text.partition("=")
        orders = orders.strip()
        if not equals or not spec or ":" in orders:
            raise InputError(f"a level must look like 1-2=SPEC or rest=SPEC, got {text!r}")
        if orders in found:
            raise InputError(f"levels must be given once, {orders} is given twice")
        found[orders] = spec
    return found


def check_together(structures: Sequence[ase.Atoms], field: FieldLike | None = None, **asked: bool) -> None:
    """Check that nothing is asked for that several sources do not have together.

    :param field: point charges, which all sources must share
    :param asked: options of a decomposition, and whether they are used
    :raises InputError: if one is, or a structure is periodic
    """
    for name, is_used in asked.items():
        if is_used:
            raise InputError(f"`{name}` must be left out with levels; decompose by each source alone for it")
    if field is not None and is_kind(field):
        raise InputError(
            f"`field` must be charges by atom or element, or 'column:NAME', with levels, whose sources would each find {field} "
            "charges of their own; decompose by one of them, and give those that its result holds (site_field_charge)"
        )
    for index, atoms in enumerate(structures):
        if atoms.pbc.any():
            raise InputError(
                f"levels must be of free clusters, structure {index} is periodic; take one source, or pbc=False"
            )


def _orders(key: object) -> tuple[int | None, int]:
    """The first (None if it is not said) and the last order that a key names."""
    first: int | None = None
    last: Any = key
    if isinstance(key, str):
        begin, dash, end = key.partition("-")
        first = _number(begin) if dash else None
        last = _number(end if dash else begin)
    is_number = hasattr(last, "__index__") and not isinstance(last, bool | np.bool_)
    if not is_number or int(last) < 1 or (first is not None and not 1 <= first <= int(last)):
        named = key if isinstance(key, str) else ""
        hint = f"; did you mean {REST!r}?" if named in _REST_OF_OTHERS else did_you_mean(named, [REST])
        raise InputError(f"a level must be an order, orders such as 2-3, or rest, got {key!r}{hint}")
    return first, int(last)


def _number(text: str) -> int:
    """A whole number as text, 0 for anything else."""
    return int(text) if text.strip().isdecimal() else 0


def _named(first: int | None, last: int) -> str:
    return str(last) if first is None else str(Level(first, last, None))


def together(shared: Shared, parts: Sequence[Decomposed]) -> xr.DataTree:
    """The result by levels.

    ``contribution``, ``noise`` and derivatives of an order are those by its own source. With a rest, ``total`` is the energy E
    above, ``total_force`` and ``hessian_total`` are its derivatives, and ``residual`` is the rest. Without, ``total`` is the sum
    of all orders where they reach the number of bodies, and was not asked for elsewhere. ``total_noise`` is 1σ of ``total``.

    :param shared: which source serves what
    :param parts: of each of its runs
    """
    runs = shared.runs
    owners = {order: place for place, run in enumerate(runs) for order in run.orders}
    flats = [flat(part.result) for part in parts]
    places = [owners[order] for order in range(1, shared.top + 1)]
    numbers = {name: _by_order(name, flats, places) for name in ("contribution", "noise")}
    contribution, noise = numbers["contribution"], numbers["noise"]
    total, total_noise = _totals(shared, parts, flats, contribution)
    dataset = flats[0][[str(name) for name in flats[0].data_vars if _is_shared(str(name), flats[0])]]
    dataset = dataset.drop_vars("order", errors="ignore").assign_coords(order=np.arange(1, shared.top + 1))
    dataset = dataset.assign(
        contribution=(("structure", "order"), contribution),
        noise=(("structure", "order"), noise),
        above_noise=(("structure", "order"), np.abs(contribution) > SIGNIFICANT * noise),
        total=("structure", total),
        total_noise=("structure", total_noise),
        residual=("structure", total - contribution.sum(axis=1)),
        n_evaluations=("structure", sum(data["n_evaluations"].values for data in flats)),
        failure=("structure", _failures(runs, flats)),
    )
    for name in (name for name in DOUBTS if any(name in data for data in flats)):
        dataset[name] = (("structure", "order"), _summed_counts(name, flats, shared.top))
    for derivative in (_FORCES, _HESSIANS):
        if derivative.by_order in flats[0]:
            values = _by_order(derivative.by_order, flats, places)
            dataset[derivative.by_order] = (("order", *derivative.dims), values)
            dataset[derivative.total] = (derivative.dims, _total(derivative, shared, parts, flats, values))
    dataset.attrs = _attributes(shared, flats)
    return grown(describe(dataset))


def _is_shared(name: str, data: xr.Dataset) -> bool:
    """Whether a variable is the same whichever source."""
    return name == "n_bodies" or (name.startswith(("site_", "atoms_")) and "order" not in data[name].dims)


def _by_order(name: str, flats: Sequence[xr.Dataset], places: Sequence[int]) -> np.ndarray:
    """A variable with each order from the result of its own source, in the dimensions that it has there."""
    dims = flats[0][name].dims
    axis = dims.index("order")
    own = [flats[place][name].transpose(*dims).values for place in places]
    return np.stack([np.take(values, row, axis=axis) for row, values in enumerate(own)], axis=axis)


def _of_rest(shared: Shared) -> int | None:
    """Which of the runs is that of the rest."""
    return next((place for place, run in enumerate(shared.runs) if run.whole), None)


def _exchanged(shared: Shared, rest: int) -> np.ndarray:
    """Which orders are by another source than the rest, shape (top,)."""
    own = shared.runs[rest].orders
    return np.array([order not in own for order in range(1, shared.top + 1)])


def _reached(shared: Shared, parts: Sequence[Decomposed]) -> np.ndarray:
    """Which structures have no orders above those that levels serve, and no sub-clusters left out, shape (n_structures,)."""
    pieces = [[own.piece for own in part.by_structure] for part in parts]
    return np.array(
        [
            all(piece.family.kind == "complete" and piece.n_bodies <= shared.top for piece in own)
            for own in zip(*pieces, strict=True)
        ]
    )


def _totals(
    shared: Shared, parts: Sequence[Decomposed], flats: Sequence[xr.Dataset], contribution: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Energies of the whole structures and their 1σ in eV, each of shape (n_structures,)."""
    rest = _of_rest(shared)
    if rest is None:
        total = np.where(_reached(shared, parts), contribution.sum(axis=1), np.nan)
    else:
        exchanged, by_rest = _exchanged(shared, rest), flats[rest]
        change = (contribution - by_rest["contribution"].values)[:, exchanged].sum(axis=1)
        total = by_rest["total"].values + change
    variance = np.zeros(len(total))
    for place, (run, part) in enumerate(zip(shared.runs, parts, strict=True)):
        counts = np.zeros(shared.top)
        counts[np.array(run.orders, dtype=np.int64) - 1] = 1
        if place == rest:
            counts -= 1
        for row, own in enumerate(part.by_structure):
            top = own.piece.family.max_order
            variance[row] += own.noise_of(counts[None, :top], float(place == rest))[0] ** 2
    return total, np.where(np.isfinite(total), np.sqrt(variance), np.nan)


@dataclass(frozen=True)
class _Derivative:
    """Derivatives of energies that results hold.

    :param by_order: variable of each order
    :param total: of the whole structures
    :param dims: of the latter; the first one goes from structure to structure
    :param whole: of a structure by one source, None if it was not asked for
    """

    by_order: str
    total: str
    dims: tuple[str, ...]
    whole: Callable[[SubsetEnergies], np.ndarray | None]


_FORCES = _Derivative("force_contribution", "total_force", ("site", "xyz"), lambda own: own.whole_forces)
_HESSIANS = _Derivative(
    "hessian_contribution",
    "hessian_total",
    ("atoms", "xyz", "by_xyz"),
    lambda own: None if own.whole_hessian is None else own.whole_hessian.reshape(-1, 3, 3),
)


def _total(
    derivative: _Derivative,
    shared: Shared,
    parts: Sequence[Decomposed],
    flats: Sequence[xr.Dataset],
    values: np.ndarray,
) -> np.ndarray:
    """Derivatives of the energies of the whole structures, in the dimensions of the result; NaN where ``total`` is.

    :param values: of each order by its own source
    """
    rest = _of_rest(shared)
    wholes = [[whole for own in part.by_structure if (whole := derivative.whole(own)) is not None] for part in parts]
    if rest is None:
        known = np.repeat(_reached(shared, parts), [len(whole) for whole in wholes[0]])
        return np.where(known.reshape(-1, *[1] * (values.ndim - 2)), values.sum(axis=0), np.nan)
    exchanged = _exchanged(shared, rest)
    by_rest = flats[rest][derivative.by_order].transpose("order", *derivative.dims).values
    return np.concatenate(wholes[rest]) + (values - by_rest)[exchanged].sum(axis=0)


def _failures(runs: Sequence[Run], flats: Sequence[xr.Dataset]) -> list[str]:
    """Why something is missing, structure by structure, with whose fault it is."""
    columns = [data["failure"].values.astype(str) for data in flats]
    return [
        "; ".join(f"{run.name}: {text}" for run, text in zip(runs, texts, strict=True) if text)
        for texts in zip(*columns, strict=True)
    ]


def _summed_counts(name: str, flats: Sequence[xr.Dataset], top: int) -> np.ndarray:
    """Sub-clusters in doubt by structure and size, of all sources together."""
    counts = np.zeros((flats[0].sizes["structure"], top), dtype=np.int64)
    for data in flats:
        if name in data:
            values = data[name].transpose("structure", "order").values
            counts[:, : values.shape[1]] += values
    return counts


def _attributes(shared: Shared, flats: Sequence[xr.Dataset]) -> dict[str, Any]:
    """What a result says of itself; what its sources say differently, it says level by level."""
    named = shared.listed()
    owners = {_key(run.source): data.attrs for run, data in zip(shared.runs, flats, strict=True)}
    own = {name: owners[_key(source)] for name, source in named.items()}
    attributes = dict(flats[0].attrs)
    for key in ("spin", "counterpoise", "noise", "family", "remark", "boxes", "force_kind"):
        attributes[key] = _each({name: str(held.get(key, "")) for name, held in own.items()})
    for key in ("precision_absolute", "precision_relative"):
        attributes[key] = max(held[key] for held in own.values())
    versions: dict[str, str] = {}
    for held in own.values():
        versions |= json.loads(held["versions"])
    attributes |= {
        "source": "; ".join(f"{name}: {source.name}" for name, source in named.items()),
        "fingerprint": "; ".join(
            f"{name}: {source.fingerprint} counterpoise={source.capabilities.counterpoise}"
            for name, source in named.items()
        ),
        "levels": json.dumps(
            {
                name: {key: held[key] for key in ("source", "fingerprint", "spin", "counterpoise", "noise")}
                for name, held in own.items()
            },
            ensure_ascii=False,
        ),
        "whole": NOT_ASKED if shared.rest is None else ASKED,
        "versions": json.dumps(versions),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not attributes["boxes"]:
        del attributes["boxes"]
    return attributes


def _each(texts: Mapping[str, str]) -> str:
    """One text where all are alike, else those that say something, level by level."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name}: {text}" for name, text in texts.items() if text)
