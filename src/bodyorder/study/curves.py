"""What the reference and each model of the grid say of two atoms and of three."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from itertools import combinations_with_replacement, product
from pathlib import Path
from typing import Unpack

import numpy as np
import xarray as xr

from bodyorder.analysis.curves import combine_curves, curve_deviation, distance_density, distance_ranges, pair_wells
from bodyorder.config import StudyOptions
from bodyorder.engine.curves import Running, default_distances, pair_curve, triple_map
from bodyorder.engine.executors import open_executor
from bodyorder.results.files import load_analysis, save
from bodyorder.sources import load_source
from bodyorder.sources.registry import SourceLike
from bodyorder.study.data import Data
from bodyorder.study.grid import Grid
from bodyorder.study.stages import Stage, in_own_process

#: Distances of the pairs of a training set.
DENSITY = "distances.nc"

#: Most elements for which maps are drawn unasked: their number grows with the third power.
_MOST_ELEMENTS = 2

#: Species of a curve or of a map, such as ("H", "H").
Species = tuple[str, ...]


class Curves:
    """Curves of a study as stages, those of the reference first.

    :param data: of the study
    :param grid: its runs
    """

    def __init__(self, data: Data, grid: Grid):
        self._data = data
        self._grid = grid
        wanted = data.options.curves
        settings = {"species": "all" if wanted is None else [list(species) for species in wanted]}
        samples = data.samples
        #: Curves of the reference.
        self.reference = Stage(
            "curves/reference", settings | {"source": data.source.fingerprint}, self._draw_reference, samples
        )
        #: Curves of each run.
        self.models = {
            name: Stage(
                f"curves/{name}",
                # a model that is trained already is what its resolution says it is
                settings | {"source": resolution.settings.get("source")},
                partial(self._draw, name),
                (self.reference, *resolution.needs),
            )
            for name, resolution in grid.resolutions.items()
        }

    @cached_property
    def species(self) -> list[Species]:
        """What curves and maps are of; the clusters must be there."""
        return drawn_species(
            self._data.options, {str(symbol) for atoms in self._data.clusters for symbol in atoms.symbols}
        )

    @property
    def grids(self) -> dict[Species, np.ndarray]:
        """Distances in Å by what they are of: those of the reference are everybody's, so that curves can be compared."""
        return {species: default_distances(self._data.source, species) for species in self.species}

    def drawn(self, species: Species, names: Mapping[str, str]) -> xr.Dataset:
        """Curves, or maps, of the reference and of some runs, side by side.

        :param species: of which atoms
        :param names: what runs whose curves are there are called in the outcome
        """
        data, file = self._data, _file(species)
        parts = {data.reference_name: load_analysis(self.reference.folder(data.root) / file)}
        parts |= {new: load_analysis(self.models[name].folder(data.root) / file) for name, new in names.items()}
        return combine_curves(parts, data.reference_name)

    def density(self, name: str) -> xr.Dataset | None:
        """Distances of the pairs that a run was trained on; None for a model that was trained already."""
        path = self.models[name].folder(self._data.root) / DENSITY
        return load_analysis(path) if path.is_file() else None

    def measures(self, name: str) -> xr.Dataset:
        """Wells and deviations of the curves of one run, or of the reference where ``name`` is its.

        :return: ``well_depth`` (eV), ``well_distance`` (Å), ``pair_rms`` and ``pair_training_rms`` (eV) with dim ``pair``, and
            ``triple_rms`` (eV) with dims (triple, angle); deviations of a run only
        """
        reference = self._data.reference_name
        pairs: dict[str, xr.Dataset] = {}
        triples: dict[str, xr.Dataset] = {}
        for species in self.species:
            curves = self.drawn(species, {} if name == reference else {name: name})
            found = []
            if len(species) == 2:
                found.append(pair_wells(curves).sel(source=name, drop=True))
            if name != reference:
                density = self.density(name) if len(species) == 2 else None
                deviation = curve_deviation(curves, reference, density).sel(source=name, drop=True)
                kept = [key for key in ("pair_rms", "pair_training_rms", "triple_rms") if key in deviation]
                found.append(deviation[kept])
            into = pairs if len(species) == 2 else triples
            into["-".join(species)] = xr.merge(found, combine_attrs="drop")
        parts = [
            xr.concat(list(held.values()), xr.IndexVariable(dim, list(held)), data_vars="all")
            for dim, held in (("pair", pairs), ("triple", triples))
            if held
        ]
        return xr.merge(parts, combine_attrs="drop") if parts else xr.Dataset()

    def _draw_reference(self, folder: Path) -> None:
        data = self._data
        with data.store() as store, open_executor(data.options.workers, data.options.executor) as executor:
            for species, grid in self.grids.items():
                save(_drawn(data.source, species, grid, store=store, executor=executor), folder / _file(species))

    def _draw(self, name: str, folder: Path) -> None:
        data, trained = self._data, self._grid.trained(name)
        if not self.grids:
            return
        in_own_process(data.options.executor, draw, self._grid.source(name), self.grids, folder.resolve())
        if trained is not None:
            bins = distance_ranges(max(self.grids.values(), key=lambda grid: float(grid[-1])))
            save(distance_density(trained.folder / "training.xyz", bins), folder / DENSITY)


def drawn_species(options: StudyOptions, elements: set[str]) -> list[Species]:
    """What curves and maps of a study are of.

    :param options: of the study
    :param elements: symbols of the elements of its clusters
    """
    if options.curves is not None:
        return list(options.curves)
    symbols = sorted(elements)
    pairs: list[Species] = list(combinations_with_replacement(symbols, 2))
    if len(symbols) > _MOST_ELEMENTS:
        return pairs
    return pairs + [(apex, *pair) for apex, pair in product(symbols, pairs)]


def draw(source: SourceLike, grids: Mapping[Species, np.ndarray], folder: Path) -> None:
    """Curves and maps of a model.

    :param source: the model
    :param grids: distances in Å by what they are of
    :param folder: for the files
    """
    model = load_source(source)
    for species, grid in grids.items():
        save(_drawn(model, species, grid), folder / _file(species))


def _drawn(source: SourceLike, species: Species, grid: np.ndarray, **running: Unpack[Running]) -> xr.Dataset:
    return (pair_curve if len(species) == 2 else triple_map)(source, species, grid, **running)


def _file(species: Species) -> str:
    return f"{'-'.join(species)}.nc"
