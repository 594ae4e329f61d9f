"""What a source says of two and of three atoms: a curve over their distance, a map over two distances and an angle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, TypedDict, Unpack

import ase
import numpy as np
import xarray as xr
from ase.data import atomic_numbers, covalent_radii

from bodyorder._checks import InputError
from bodyorder.engine.decomposition import decompose
from bodyorder.engine.store import Store
from bodyorder.results.variables import describe
from bodyorder.sources.one_body import OneBodyLike
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.registry import SourceLike, load_source

#: Atoms closer than this (Å) are not evaluated: sources overflow or do not converge there.
TOO_CLOSE = 0.2

#: Why the contribution of such atoms is missing.
COINCIDENT = f"atoms are closer than {TOO_CLOSE} Å"

#: Most geometries of one call: some 0.2 GB and minutes even for a fast source.
MOST_GEOMETRIES = 100_000

#: Default distances: where they begin, in sums of covalent radii; how far they reach beyond, and how far they are apart (Å): for
#: atoms of covalent radius 0.31 Å 0.3 to 6 Å, and 0.5 to 4 Å in maps.
_GRIDS = {2: (0.5, 5.7, 0.025), 3: (0.8, 3.5, 0.125)}

_ANGLES = (60.0, 90.0, 120.0, 180.0)

#: What their variables begin with, and what they are called, by number of atoms.
_KINDS = {2: ("pair", "curve"), 3: ("triple", "map")}

#: Attributes of a decomposition that hold for a curve.
_KEPT = (
    "schema_version", "source", "fingerprint", "spin", "counterpoise", "noise", "versions", "created", "one_body",
    "one_body_values",
)  # fmt: skip

#: What a curve says of its end, and what results call that.
_ENDS = {
    "pair_offset": "dissociation_offset",
    "pair_offset_noise": "dissociation_noise",
    "pair_offset_distance": "dissociated_distance",
}


class Running(TypedDict, total=False):
    """How energies are evaluated: options of :func:`bodyorder.decompose`, which says what they mean."""

    store: Store | str | os.PathLike[str] | None
    executor: Executor | None
    measure_noise: bool | None
    one_body: OneBodyLike
    progress: bool


def pair_curve(
    source: SourceLike,
    species: Sequence[str],
    distances: Sequence[float] | np.ndarray | None = None,
    **running: Unpack[Running],
) -> xr.Dataset:
    """The two-body curve ε₂(r) = E(AB) − E(A) − E(B) of two atoms at a distance r, each energy alone in vacuum.

    :param source: energy source, ASE calculator, or the spec of a source (see :func:`bodyorder.load_source`)
    :param species: two chemical symbols
    :param distances: in Å, increasing; None for :func:`default_distances`
    :param running: ``store``, ``executor``, ``measure_noise``, ``one_body`` and ``progress`` of :func:`bodyorder.decompose`
    :return: ``pair_contribution``, ``pair_energy`` and ``pair_noise`` (eV) with dim ``distance``. Where an evaluation failed,
        or atoms are closer than 0.2 Å, they are NaN and ``pair_failure`` says why. ``pair_offset`` (eV) is where the curve ends,
        ε₂(∞), found ``pair_offset_distance`` (Å) apart: not zero where lone atoms are not what two fall into; NaN where
        it is not known, or with counterpoise.
    :raises InputError: if the input cannot work: unknown elements, distances that do not increase, a source that lacks an element
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    numbers, engine = check_species(species, (2,)), load_source(source)
    grid = default_distances(engine, species) if distances is None else _increasing("distances", distances)
    positions = np.zeros((len(grid), 2, 3))
    positions[:, 1, 0] = grid
    return _resolved(engine, numbers, positions, {"distance": grid}, running)


def triple_map(
    source: SourceLike,
    species: Sequence[str],
    distances: Sequence[float] | np.ndarray | None = None,
    angles: Sequence[float] | np.ndarray = _ANGLES,
    **running: Unpack[Running],
) -> xr.Dataset:
    """The three-body map ε₃ = E(ABC) − ε₂(AB) − ε₂(AC) − ε₂(BC) − E(A) − E(B) − E(C) of three atoms.

    Atom A is the apex; B is ``first`` and C ``second`` away from it, and A sees them under ``angle``.

    :param source: energy source, ASE calculator, or the spec of a source (see :func:`bodyorder.load_source`)
    :param species: three chemical symbols, the apex first
    :param distances: of both B and C from A in Å, increasing; None for :func:`default_distances`
    :param angles: at the apex in degrees, increasing, between 0 and 180
    :param running: ``store``, ``executor``, ``measure_noise``, ``one_body`` and ``progress`` of :func:`bodyorder.decompose`
    :return: ``triple_contribution``, ``triple_energy`` and ``triple_noise`` (eV) with dims (angle, first, second). Where an
        evaluation failed, or two atoms are closer than 0.2 Å, they are NaN and ``triple_failure`` says why.
    :raises InputError: if the input cannot work: unknown elements, distances that do not increase, a source that lacks an element
    :raises ComputationError: if the computation breaks down; what is in the store is kept
    """
    numbers, engine = check_species(species, (3,)), load_source(source)
    grid = default_distances(engine, species) if distances is None else _increasing("distances", distances)
    opening = _increasing("angles", angles)
    if opening.min() < 0 or opening.max() > 180:
        raise InputError(f"`angles` must be between 0 and 180 degrees, got {opening.min():g} to {opening.max():g}")
    if len(opening) * len(grid) ** 2 > MOST_GEOMETRIES:
        raise InputError(
            f"a map must have at most {MOST_GEOMETRIES} geometries, {len(opening)} angles and {len(grid)} distances make "
            f"{len(opening) * len(grid) ** 2}; give fewer"
        )
    angle, first, second = np.meshgrid(np.deg2rad(opening), grid, grid, indexing="ij")
    positions = np.zeros((angle.size, 3, 3))
    positions[:, 1, 0] = first.ravel()
    positions[:, 2, :2] = np.stack([(second * np.cos(angle)).ravel(), (second * np.sin(angle)).ravel()], axis=1)
    return _resolved(engine, numbers, positions, {"angle": opening, "first": grid, "second": grid}, running)


def default_distances(source: EnergySource, species: Sequence[str]) -> np.ndarray:
    """Distances in Å that show what there is between atoms: from the repulsive wall to the source's cutoff, or some Å farther.

    :param species: two chemical symbols for a curve, three for a map
    """
    numbers = check_species(species, (2, 3))
    scale, length, step = _GRIDS[len(numbers)]
    radii = covalent_radii[numbers]
    begin = round(scale * float(radii[0] + radii[1:].max()), 1)
    # a cutoff so short that nothing of the grid would be left is no end
    end = begin + length
    if source.cutoff is not None and source.cutoff > begin + step:
        end = min(end, source.cutoff)
    return np.round(begin + step * np.arange(int((end - begin) / step + 1e-6) + 1), 6)


def check_species(species: Sequence[str], allowed: Sequence[int]) -> list[int]:
    """Atomic numbers of chemical symbols.

    :param allowed: how many there may be
    :raises InputError: if there are more or fewer, or one is no element
    """
    symbols = [species] if isinstance(species, str) else list(species)
    if len(symbols) not in allowed:
        wanted = " or ".join(f"{('two', 'three')[count - 2]} elements for a {_KINDS[count][1]}" for count in allowed)
        raise InputError(f"`species` must be {wanted}, got {len(symbols)}: {' '.join(map(str, symbols)) or 'none'}")
    for symbol in symbols:
        if not atomic_numbers.get(symbol):  # X, which stands for nothing, is number 0
            proper = str(symbol).capitalize()
            hint = f"; did you mean {proper!r}?" if atomic_numbers.get(proper) else ""
            raise InputError(f"`species` must be chemical symbols, got {symbol!r}{hint}")
    return [atomic_numbers[symbol] for symbol in symbols]


def _increasing(name: str, given: Sequence[float] | np.ndarray) -> np.ndarray:
    """Numbers of a grid.

    :raises InputError: if they are not finite, positive (angles may be zero) and increasing, or there are none or too many
    """
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"`{name}` must be numbers, got {given!r}") from None
    if values.ndim != 1 or not 1 <= len(values) <= MOST_GEOMETRIES:
        raise InputError(f"`{name}` must be a list of 1 to {MOST_GEOMETRIES} numbers, got shape {values.shape}")
    if not np.isfinite(values).all() or (np.diff(values) <= 0).any() or (name == "distances" and values[0] <= 0):
        positive = "positive, " if name == "distances" else ""
        raise InputError(
            f"`{name}` must be {positive}finite and increasing, got {np.array2string(values, threshold=6)}"
        )
    return values


def _resolved(
    source: EnergySource, numbers: Sequence[int], positions: np.ndarray, grid: dict[str, np.ndarray], running: Running
) -> xr.Dataset:
    """The contributions of all atoms together, geometry by geometry, on a grid.

    :param positions: in Å, shape (n, k, 3), in the order of the grid
    :param grid: coordinates by dimension
    """
    order = len(numbers)
    prefix, kind = _KINDS[order]
    pairs = np.triu_indices(order, 1)
    near = (np.linalg.norm(positions[:, pairs[0]] - positions[:, pairs[1]], axis=2) < TOO_CLOSE).any(axis=1)
    if near.all():
        raise InputError(f"a {kind} must have atoms that are {TOO_CLOSE} Å apart or more, and has none")
    frames = [ase.Atoms(numbers, places) for places in positions[~near]]
    result = decompose(frames, source, dissociation=order == 2, **running)

    def filled(values: Any, missing: Any) -> tuple[tuple[str, ...], np.ndarray]:
        whole = np.full(len(near), missing, dtype=object if isinstance(missing, str) else np.float64)
        whole[~near] = values
        return tuple(grid), whole.reshape([len(values) for values in grid.values()])

    curve = xr.Dataset(
        {
            f"{prefix}_contribution": filled(result["contribution"].sel(order=order).values, np.nan),
            f"{prefix}_energy": filled(result["total"].values, np.nan),
            f"{prefix}_noise": filled(result["noise"].sel(order=order).values, np.nan),
            f"{prefix}_failure": filled(result["failure"].values, COINCIDENT),
        },
        coords=grid,
        attrs={name: result.attrs[name] for name in _KEPT if name in result.attrs},
    )
    if order == 2:
        ends = result.children.get("dissociation")
        curve = curve.assign({new: ((), np.nan if ends is None else ends[name].item()) for new, name in _ENDS.items()})
    curve.attrs["species"] = " ".join(ase.Atoms(numbers).get_chemical_symbols())
    return describe(curve)
