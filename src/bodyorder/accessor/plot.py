"""Plots of a result, on given axes or new ones. Matplotlib is loaded when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis import Aligned, align

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Plots:
    """The plots of :mod:`bodyorder.plots` of one result, as ``result.mbe.plot``.

    All draw on ``ax`` if it is given, on new axes of ``matplotlib.pyplot`` otherwise, take the options of their functions there,
    and return the axes.

    :param tree: the result
    :param aligned: the same, ready for analyses
    """

    def __init__(self, tree: xr.DataTree, aligned: Aligned):
        self._tree = tree
        self._aligned = aligned

    def __repr__(self) -> str:
        return f"plots of {self._aligned!r}: orders(), truncation(), noise(), parity(reference)"

    def orders(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Order totals per body, and their noise as a band (:func:`bodyorder.plots.orders`)."""
        from bodyorder import plots

        return plots.orders(self._aligned, ax, **options)

    def truncation(self, ax: Axes | None = None, **options: Any) -> Axes:
        """What the orders up to each miss of the energy per body (:func:`bodyorder.plots.truncation`)."""
        from bodyorder import plots

        return plots.truncation(self._aligned, ax, **options)

    def noise(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Sizes of order totals over their noise (:func:`bodyorder.plots.noise`)."""
        from bodyorder import plots

        return plots.noise(self._aligned, ax, **options)

    def parity(self, reference: str | xr.DataTree, ax: Axes | None = None, **options: Any) -> Axes:
        """Contributions against those of a reference (:func:`bodyorder.plots.parity`).

        :param reference: name of a source of this result, or another result of the same structures
        :raises InputError: if the result has no such source, or is of one source alone and no other result is given
        """
        from bodyorder import plots

        if isinstance(reference, xr.DataTree):
            return plots.parity(*_beside(self._aligned, self._tree, reference), ax, **options)
        if self._aligned.is_single:
            raise InputError(
                f"`reference` must be another result for a result of one source, got "
                f"{repr(reference) if isinstance(reference, str) else type(reference).__name__}; or combine several results"
            )
        return plots.parity(self._aligned, reference, ax, **options)


def _beside(aligned: Aligned, tree: xr.DataTree, reference: xr.DataTree) -> tuple[Aligned, str]:
    """A result beside its reference, and what that is called."""
    if not aligned.is_single:
        raise InputError("`reference` must be the name of a source for a result of several, got another result")
    own = str(aligned.data["source"].values[0])
    name = str(reference.attrs.get("source", "reference"))
    name = f"{name} (reference)" if name == own else name
    return align({name: reference, own: tree}), name
