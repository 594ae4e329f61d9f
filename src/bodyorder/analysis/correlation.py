"""Correlation where there is enough to correlate."""

from __future__ import annotations

import numpy as np

#: Fewer values than this correlate with nothing.
_ENOUGH = 3

#: Values (eV) that spread less than this do not vary.
_CONSTANT = 1e-9


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's r of values, shape (n,) each, where both are known; NaN for fewer than three and for those that do not vary."""
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    if len(first) < _ENOUGH or min(first.std(), second.std()) <= _CONSTANT:
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])
