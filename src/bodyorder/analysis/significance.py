"""What within_noise in its noise."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr

from bodyorder.engine.noise import SIGNIFICANT

Values = TypeVar("Values", np.ndarray, xr.DataArray)


def within_noise(energies: Values, noise: Values) -> Values:
    """Whether energies are within their noise: there is some, and they are at most :data:`SIGNIFICANT` times as large.

    The same as ``above_noise`` of a result says of a structure, and of results that do not hold it. A mean over structures is
    held against the root mean square of their noise: their errors need not be independent, and then do not average out.

    :param energies: of structures, or means of them
    :param noise: 1σ of each in the same unit, or root mean squares
    """
    return (abs(energies) <= SIGNIFICANT * noise) & (noise > 0)
