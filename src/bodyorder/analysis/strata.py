"""Statistics of sub-clusters, group by group and size by size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.alignment import groups
from bodyorder.analysis.correlation import correlation


@dataclass(frozen=True)
class Strata:
    """Which group and order each sub-cluster belongs to.

    Values are arrays of shape (n_subsets,), and so is what is chosen of them. Results have the shape (n_groups, n_orders),
    NaN where nothing was chosen.

    :param shape: numbers of groups and orders
    :param places: group · n_orders + order of each sub-cluster, shape (n_subsets,)
    """

    shape: tuple[int, int]
    places: np.ndarray

    @classmethod
    def of(cls, combined: xr.Dataset, needed: str, purpose: str) -> Strata:
        """The strata of the sub-clusters of results.

        :param combined: of :func:`bodyorder.analysis.combine`
        :param needed: variable without which nothing can be said
        :param purpose: what is wanted, for errors
        :raises InputError: if ``needed`` is missing
        """
        if needed not in combined:
            raise InputError(
                f"{purpose} must come from results with `{needed}`, which is missing; decompose with subsets=True and a "
                "source that records it"
            )
        members = groups(combined)
        group = np.zeros(combined.sizes["structure"], dtype=np.int64)
        for place, rows in enumerate(members.values()):
            group[rows] = place
        orders = combined["order"].values
        order = np.searchsorted(orders, combined["subset_order"].values)
        return cls((len(members), len(orders)), group[combined["subset_structure"].values] * len(orders) + order)

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """How many are chosen."""
        return np.bincount(self.places[chosen], minlength=self._size).reshape(self.shape)

    def mean(self, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Mean of those chosen."""
        sums = np.bincount(self.places[chosen], values[chosen], minlength=self._size).reshape(self.shape)
        counts = self.count(chosen)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def largest(self, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """The value of largest size, with its sign."""
        found = np.full(self._size, np.nan)
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(np.abs(values[rows]), kind="stable")]
        found[self.places[rows]] = values[rows]  # of several the last one stays
        return found.reshape(self.shape)

    def correlation(self, first: np.ndarray, second: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Pearson's r; NaN for fewer than three values and for values that do not vary."""
        found = np.full(self._size, np.nan)
        rows = np.flatnonzero(chosen)
        for stratum in np.unique(self.places[rows]):
            inside = rows[self.places[rows] == stratum]
            found[stratum] = correlation(first[inside], second[inside])
        return found.reshape(self.shape)

    @property
    def _size(self) -> int:
        return self.shape[0] * self.shape[1]
