"""A training, before and after: what is to be trained on what, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import xarray as xr
from ase.data import chemical_symbols

from bodyorder._checks import InputError
from bodyorder.training.loss_history import read_history
from bodyorder.training.options import training_options

#: File written last: a folder that holds it holds a finished training.
RECORD = "trained.json"
LOSS_HISTORY = "loss_history.csv"


@dataclass(frozen=True)
class TrainingJob:
    """One training. A folder belongs to one job.

    :param folder: where everything goes; made if missing
    :param model: name of a curated model
    :param training: labelled clusters to train on, as :func:`~bodyorder.training.datasets.draw_set` draws them
    :param validation: labelled clusters that choose the best epoch
    :param test: labelled clusters that are kept beside the model and never shown to it
    :param epochs: epochs to train; None for what suits the model
    :param seed: equal seeds give equal models
    :param size: size of the model
    :param forces: whether forces are trained on
    :param atom_energies: energy of an isolated atom in eV by atomic number, which fixes the baseline that is taken off before
        training; None leaves the baseline to a least-squares fit of the training set. Either way the energy that the
        finished model gives an isolated atom is its own.
    :param changes: further options of the program, merged into those of the curated model
    """

    folder: Path
    model: str
    training: Sequence[ase.Atoms] = field(repr=False)
    validation: Sequence[ase.Atoms] = field(repr=False)
    test: Sequence[ase.Atoms] = field(repr=False, default=())
    epochs: int | None = None
    seed: int = 0
    size: str = "small"
    forces: bool = True
    atom_energies: Mapping[int, float] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """All options, in metatrain's layout.

        :raises InputError: for an unknown model or size, options out of range, sets that are empty, or missing forces
        """
        for name, clusters in (("training", self.training), ("validation", self.validation)):
            if not len(clusters):
                raise InputError(f"the {name} set of {self.model} must hold clusters, and is empty")
            if self.forces and not all("forces" in atoms.arrays for atoms in clusters):
                raise InputError(f"the {name} set of {self.model} must have forces, and some clusters have none")
        if max(map(len, self.training)) == 1:
            raise InputError(
                f"the training set of {self.model} must hold clusters of two atoms or more, and holds single atoms only"
            )
        elements = {int(number) for atoms in self.training for number in atoms.numbers}
        for name in ("validation", "test"):
            unknown = {int(number) for atoms in getattr(self, name) for number in atoms.numbers} - elements
            if unknown:
                listed = ", ".join(chemical_symbols[number] for number in sorted(unknown))
                raise InputError(
                    f"the {name} set of {self.model} must hold elements of its training set, and has {listed}"
                )
        options = training_options(
            self.model,
            [len(atoms) for atoms in self.training],
            elements=elements,
            epochs=self.epochs,
            seed=self.seed,
            size=self.size,
        )
        if self.atom_energies is not None:
            baseline = {int(number): float(energy) for number, energy in self.atom_energies.items()}
            options["architecture"]["training"]["atomic_baseline"] = {"energy": baseline}
        for name in ("training", "validation"):
            options[f"{name}_set"] = self._data_set(name)
        return _merge(options, self.changes)

    def _data_set(self, name: str) -> dict[str, Any]:
        energy = {"key": "energy", "unit": "eV", "forces": {"key": "forces"} if self.forces else False, "stress": False}
        return {"systems": {"read_from": f"{name}.xyz", "length_unit": "angstrom"}, "targets": {"energy": energy}}


@dataclass(frozen=True)
class TrainedModel:
    """A finished training.

    :param folder: where it is
    :param model: name of the curated model
    :param seconds: wall time that the training took
    :param options_hash: of the options
    :param data_hashes: of the files of clusters, by name
    :param model_hash: of ``model.pt``
    :param program: what trained it, with its version
    """

    folder: Path
    model: str
    seconds: float
    options_hash: str
    data_hashes: Mapping[str, str]
    model_hash: str
    program: str

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """The finished training in a folder.

        :raises InputError: if there is none
        """
        try:
            return cls(folder=folder, **json.loads((folder / RECORD).read_text()))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"a trained model must be a folder with {RECORD}, {folder} is not") from None
        except (json.JSONDecodeError, TypeError):
            raise InputError(f"{folder / RECORD} must be a record of this version of bodyorder, and is not") from None

    @property
    def spec(self) -> str:
        """The model as an energy source, for :func:`bodyorder.load_source`."""
        return f"metatomic:{self.folder / 'model.pt'}"

    @property
    def loss_history(self) -> xr.Dataset | None:
        """Loss, errors and learning rate of each epoch, see :func:`~bodyorder.training.loss_history.read_metatrain_log`.

        None for a model whose weights were solved for.
        """
        path = self.folder / LOSS_HISTORY
        return read_history(path) if path.is_file() else None


def _merge(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with ``changes`` on top, mapping by mapping."""
    merged = dict(options)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
