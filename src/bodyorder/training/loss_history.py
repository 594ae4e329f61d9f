"""Loss histories: what metatrain logs of every epoch, under our names and units."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import xarray as xr

from bodyorder._checks import InputError

#: Variables of a loss history: metatrain's name, unit. Losses are means over batches of metatrain's (scaled) loss.
_COLUMNS = {
    "learning_rate": ("learning rate", "1"),
    "training_loss": ("training loss", "1"),
    "validation_loss": ("validation loss", "1"),
    "training_energy_rmse": ("training energy RMSE (per atom)", "meV/atom"),
    "validation_energy_rmse": ("validation energy RMSE (per atom)", "meV/atom"),
    "training_force_rmse": ("training forces RMSE", "meV/Å"),
    "validation_force_rmse": ("validation forces RMSE", "meV/Å"),
}


def read_metatrain_log(path: Path, training_batches: int, validation_batches: int) -> xr.Dataset | None:
    """Read metatrain's ``train.csv``.

    :param path: the file
    :param training_batches: batches of one epoch of training; metatrain logs sums over them, and a mean is comparable
    :param validation_batches: batches of one epoch of validation
    :return: dimension ``epoch``; variables ``learning_rate``, ``training_loss``, ``validation_loss``, ``training_energy_rmse``
        and ``validation_energy_rmse`` in meV/atom, and, where forces are trained on, ``training_force_rmse`` and
        ``validation_force_rmse`` in meV/Å. None if no epoch was logged.
    """
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    if len(rows) < 3:
        return None
    # The second row holds units: meV and meV/A, since energies are given in eV and lengths in Å. A killed run may break off in
    # the middle of the last one.
    whole = [row for row in rows[2:] if len(row) == len(rows[0])]
    table = {name: [float(row[column]) for row in whole] for column, name in enumerate(rows[0])}
    history = {name: np.array(table[theirs]) for name, (theirs, _) in _COLUMNS.items() if theirs in table}
    history["training_loss"] = history["training_loss"] / training_batches
    history["validation_loss"] = history["validation_loss"] / validation_batches
    return _dataset(np.array(table["Epoch"], dtype=np.int64), history)


def write_history(history: xr.Dataset, path: Path) -> None:
    """Write a loss history as CSV, one row for each epoch."""
    names = [str(name) for name in history.data_vars]
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["epoch", *names])
        writer.writerows(
            zip(history["epoch"].values.tolist(), *(history[name].values.tolist() for name in names), strict=True)
        )


def read_history(path: Path) -> xr.Dataset:
    """Read a loss history written by :func:`write_history`.

    :raises InputError: if the file is missing
    """
    if not path.is_file():
        raise InputError(f"a loss history must be an existing file, {path} is not")
    with path.open(newline="") as handle:
        header, *rows = list(csv.reader(handle))
    columns = {name: np.array([float(row[column]) for row in rows]) for column, name in enumerate(header)}
    return _dataset(columns.pop("epoch").astype(np.int64), columns)


def _dataset(epochs: np.ndarray, history: dict[str, np.ndarray]) -> xr.Dataset:
    variables = {name: ("epoch", values, {"units": _COLUMNS[name][1]}) for name, values in history.items()}
    return xr.Dataset(variables, coords={"epoch": epochs})
