"""Curves of two atoms and maps of three from several sources: wells, deviations, and where the training data lie behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import ase
import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from scipy.interpolate import CubicSpline
from scipy.spatial.distance import pdist

from bodyorder._checks import InputError, check_choice
from bodyorder.analysis.alignment import merged_attributes
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.results.variables import describe
from bodyorder.structures import read_structures
from bodyorder.structures.io import StructuresLike
from bodyorder.structures.neighbours import neighbours

#: Curves, or maps, of one source, of several by name, or combined ones.
Curves: TypeAlias = xr.Dataset | Mapping[str, xr.Dataset]

#: Width in Å of a range of distances.
_RANGE = 0.05


def combine_curves(curves: Curves, reference: str | None = None) -> xr.Dataset:
    """Stack curves, or maps, of several sources along a leading ``source`` dimension.

    Attributes that all share are kept; those of each source are in the attribute ``results`` as JSON, as
    :func:`~bodyorder.analysis.combine` has it.

    :param curves: of :func:`bodyorder.engine.curves.pair_curve` or :func:`~bodyorder.engine.curves.triple_map`, by the name of
        their source; one alone, which its attribute ``source`` names; or a combined one, which is returned as it is
    :param reference: name of the source that the others are held against, kept as an attribute: figures draw it in black
    :raises InputError: if there are none, they are not of the same species and on the same grid, or none is called ``reference``
    """
    if isinstance(curves, xr.Dataset):
        if "source" in curves.dims:
            return curves if reference is None else _with_reference(curves, reference)
        curves = {str(curves.attrs.get("source", "source")): curves}
    if not curves:
        raise InputError("at least one curve must be given to combine, got none")
    names, parts = [str(name) for name in curves], list(curves.values())
    for name, part in zip(names, parts, strict=True):
        _check_comparable(name, part, names[0], parts[0])
    sources = xr.Variable("source", np.array(names, dtype=object))
    combined = xr.concat(parts, dim="source", join="exact").assign_coords(source=sources)
    combined.attrs = merged_attributes(curves)
    return combined if reference is None else _with_reference(combined, reference)


def pair_wells(curves: Curves) -> xr.Dataset:
    """The lowest minimum of every two-body curve, by a cubic spline through its points.

    :param curves: see :func:`combine_curves`
    :return: ``well_depth`` (eV) and ``well_distance`` (Å) with dim ``source``; NaN for a curve that has no minimum inside its
        grid, or none that is deeper than its noise
    """
    combined = combine_curves(curves)
    grid = combined["distance"].values
    arrays = (combined[name].transpose("source", "distance").values for name in ("pair_contribution", "pair_noise"))
    wells = np.array([_well(grid, values, noise) for values, noise in zip(*arrays, strict=True)])
    found = {"well_depth": ("source", wells[:, 0]), "well_distance": ("source", wells[:, 1])}
    return describe(xr.Dataset(found, coords={"source": combined["source"]}))


def curve_deviation(curves: Curves, reference: str, density: xr.Dataset | None = None) -> xr.Dataset:
    """Deviations Δ of curves, or maps, from that of a reference.

    ``pair_rms`` is √⟨Δ²⟩ over the points of the grid, with equal weights; so it is mostly that of the repulsive wall.
    ``triple_rms`` is the same for each angle of a map. ``pair_training_rms`` is what the pairs of the training structures see,
    √(Σ_b n_b Δ²(r_b) / Σ_b n_b) with n_b pairs at distances around r_b, Δ interpolated linearly between points of the grid,
    over all r_b inside the grid.

    :param curves: see :func:`combine_curves`; points that either source lacks are left out
    :param reference: name of the source to compare with
    :param density: of :func:`distance_density`, for curves only
    :return: ``pair_deviation`` with dims (source, distance), ``pair_rms`` and, with a density, ``pair_training_rms`` with dim
        ``source``; or ``triple_deviation`` with dims (source, angle, first, second) and ``triple_rms`` with dims (source,
        angle); all in eV. ``pair_training_rms`` is NaN if no pair of the structures is inside the grid.
    :raises InputError: if no source is called ``reference``, or a density is given for maps
    """
    combined = combine_curves(curves, reference)
    kind, over = ("pair", ["distance"]) if "pair_contribution" in combined else ("triple", ["first", "second"])
    if kind == "triple" and density is not None:
        raise InputError("`density` must come with curves of two atoms, and came with a map of three")
    contribution = combined[f"{kind}_contribution"]
    deviation = (
        (contribution - contribution.sel(source=reference)).drop_vars("source").assign_coords(source=combined["source"])
    )
    found = xr.Dataset({f"{kind}_deviation": deviation, f"{kind}_rms": (deviation**2).mean(over) ** 0.5})
    found.attrs.update({"reference": reference, "species": combined.attrs["species"]})
    if density is not None:
        seen = [_seen(row, combined.attrs["species"], density) for row in deviation.transpose("source", "distance")]
        found["pair_training_rms"] = ("source", np.array(seen))
    return describe(found)


def distance_density(structures: StructuresLike, bins: Sequence[float] | np.ndarray) -> xr.Dataset:
    """How many pairs of atoms structures have by distance, for each pair of elements.

    :param structures: a structure, several, or a file of any usual format. Every pair of atoms of a cluster counts once, every
        pair of a periodic structure, images included, once per cell.
    :param bins: edges of ranges of distances in Å, increasing, shape (n + 1,)
    :return: ``distance_density`` with dims (pair, bin): pairs per Å and structure, mean over all structures; the coordinate
        ``pair`` is like ``"H-O"``, symbols in alphabetical order, for all pairs of elements that occur inside the bins;
        ``bin`` is the middle of a range, ``bin_width`` its width
    :raises InputError: if structures cannot be read, or bins do not increase
    """
    frames = read_structures(structures, periodic=True)
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise InputError(
            f"`bins` must be two or more finite distances that increase, got {np.array2string(edges, threshold=6)}"
        )
    widths = np.diff(edges)
    counts: dict[str, np.ndarray] = {}
    for atoms in frames:
        numbers, distances, weight = _pairs(atoms, float(edges[-1]))
        inside = (distances >= edges[0]) & (distances <= edges[-1])
        kinds, which = np.unique(np.sort(numbers[inside], axis=1), axis=0, return_inverse=True)
        for place, kind in enumerate(kinds):
            name = _pair_name(chemical_symbols[number] for number in kind)
            held = np.histogram(distances[inside][which == place], edges)[0] * weight
            counts[name] = counts.get(name, np.zeros(len(widths))) + held
    names = sorted(counts)
    density = np.array([counts[name] for name in names]).reshape(len(names), len(widths)) / widths / len(frames)
    return describe(
        xr.Dataset(
            {"distance_density": (("pair", "bin"), density)},
            coords={
                "pair": np.array(names, dtype=object),
                "bin": (edges[1:] + edges[:-1]) / 2,
                "bin_width": ("bin", widths),
            },
            attrs={"n_structures": len(frames)},
        )
    )


def distance_ranges(distances: np.ndarray) -> np.ndarray:
    """Edges of ranges of 0.05 Å that hold all distances of a curve, for :func:`distance_density`."""
    return _RANGE * np.arange(int(distances[-1] / _RANGE) + 2)


def density_of(species: str, density: xr.Dataset) -> np.ndarray:
    """The density of one pair of elements, zero in every bin if the structures have no such pair.

    :param species: two symbols with a space between, as curves have it in their attributes
    :param density: of :func:`distance_density`
    :return: pairs per Å and structure, shape (n_bins,)
    """
    name = _pair_name(species.split())
    if name not in density["pair"].values:
        return np.zeros(density.sizes["bin"])
    return density["distance_density"].sel(pair=name).values


def _with_reference(combined: xr.Dataset, reference: str) -> xr.Dataset:
    check_choice("reference", reference, [str(name) for name in combined["source"].values])
    return combined.assign_attrs(reference=reference)


def _pair_name(symbols: Any) -> str:
    return "-".join(sorted(symbols))


def _check_comparable(name: str, part: xr.Dataset, first_name: str, first: xr.Dataset) -> None:
    """Check that two curves can stand side by side.

    :raises InputError: if one is none, or of other species, or on another grid
    """
    if not {"pair_contribution", "triple_contribution"} & set(part.data_vars) or "species" not in part.attrs:
        raise InputError(f"curves must be those of `pair_curve` or `triple_map`, {name!r} is not")
    if part.attrs["species"] != first.attrs["species"]:
        ours, theirs = part.attrs["species"], first.attrs["species"]
        raise InputError(f"curves must be of the same species, {name!r} is of {ours} and {first_name!r} of {theirs}")
    for coordinate in ("distance", "angle", "first", "second"):
        if coordinate in first.coords and not np.array_equal(first[coordinate], part[coordinate]):
            raise InputError(
                f"curves must be on the same grid, {name!r} and {first_name!r} differ in {coordinate}; give all the same one"
            )


def _well(grid: np.ndarray, values: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Depth and place of the lowest minimum of a curve, NaN without one."""
    known = np.isfinite(values)
    grid, values, noise = grid[known], values[known], noise[known]
    inner = np.arange(1, len(values) - 1)
    lowest = [
        row
        for row in inner
        if values[row] < -SIGNIFICANT * noise[row] and values[row] <= values[row - 1 : row + 2].min()
    ]
    if not lowest:
        return np.nan, np.nan
    row = min(lowest, key=lambda row: values[row])
    spline = CubicSpline(grid, values)
    places = spline.derivative().roots(extrapolate=False)
    near = np.append(places[(places >= grid[row - 1]) & (places <= grid[row + 1])], grid[row])
    best = near[np.argmin(spline(near))]
    return -float(spline(best)), float(best)


def _seen(deviation: xr.DataArray, species: str, density: xr.Dataset) -> float:
    """Root mean square deviation at the distances of the pairs of structures."""
    known = np.isfinite(deviation.values)
    grid, values = deviation["distance"].values[known], deviation.values[known]
    middles = density["bin"].values
    pairs = density_of(species, density) * density["bin_width"].values
    inside = (middles >= grid.min(initial=np.inf)) & (middles <= grid.max(initial=-np.inf))
    if not pairs[inside].sum():
        return np.nan
    squares = np.interp(middles[inside], grid, values) ** 2
    return float(np.sqrt((pairs[inside] * squares).sum() / pairs[inside].sum()))


def _pairs(atoms: ase.Atoms, cutoff: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Atomic numbers, shape (n, 2), and distances in Å, shape (n,), of pairs of atoms, and what each row counts for."""
    if atoms.pbc.any():
        first, second, distances = neighbours("ijd", atoms, cutoff)
        return np.column_stack([atoms.numbers[first], atoms.numbers[second]]), distances, 0.5
    first, second = np.triu_indices(len(atoms), 1)
    return np.column_stack([atoms.numbers[first], atoms.numbers[second]]), pdist(atoms.positions), 1.0
