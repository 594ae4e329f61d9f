"""The one table of the names, dimensions, units and symbols of what results and analyses hold, a room for each purpose."""

from __future__ import annotations

import xarray as xr

from bodyorder.results.variables.comparison import COMPARISON
from bodyorder.results.variables.convergence import CONVERGENCE
from bodyorder.results.variables.curves import CURVES
from bodyorder.results.variables.diagnosis import DIAGNOSIS
from bodyorder.results.variables.doubts import DISSOCIATED, DOUBTFUL, DOUBTS
from bodyorder.results.variables.environment import ENVIRONMENT
from bodyorder.results.variables.findings import FINDINGS
from bodyorder.results.variables.frequencies import FREQUENCIES
from bodyorder.results.variables.results import RESULTS
from bodyorder.results.variables.variable import Variable
from bodyorder.results.variables.variance import VARIANCE

__all__ = ["DISSOCIATED", "DOUBTFUL", "DOUBTS", "VARIABLES", "Variable", "describe"]

#: Every variable that a result or an analysis can hold. Files, plots and the report read names, units and symbols here.
VARIABLES = RESULTS | CONVERGENCE | COMPARISON | DIAGNOSIS | ENVIRONMENT | CURVES | FINDINGS | FREQUENCIES | VARIANCE


def describe(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable of ``dataset`` its unit and meaning from :data:`VARIABLES`, in place."""
    for name, array in dataset.variables.items():
        if name in VARIABLES:
            entry = VARIABLES[str(name)]
            array.attrs.update(units=entry.unit, long_name=entry.meaning)
    return dataset
