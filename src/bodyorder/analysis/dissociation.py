"""Where lone atoms are not what two atoms far apart fall into, which shifts every order from 2 on."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bodyorder.analysis.aligned import Aligned
from bodyorder.analysis.significance import within_noise
from bodyorder.engine.noise import ROUNDING

_VARIABLES = ("dissociated_distance", "dissociated_energy", "dissociation_offset", "dissociation_noise")


def offsets(aligned: Aligned) -> xr.Dataset | None:
    """E(AB, r → ∞) − E(A) − E(B) of all pairs of elements that were looked at.

    :param aligned: results
    :return: the variables of the group ``dissociation`` with dims (source, pair), NaN where a source knows nothing; None
        where no source was asked
    """
    data = aligned.data
    if any(name not in data for name in _VARIABLES):
        return None
    found = data[list(_VARIABLES)].transpose("source", "pair")
    return found.drop_vars([name for name in found.coords if name not in ("source", "pair")])


def above_noise(found: xr.Dataset) -> xr.DataArray:
    """Which offsets are above twice their noise and rounding, dims (source, pair).

    :param found: of :func:`offsets`
    """
    offset = found["dissociation_offset"]
    return (abs(offset) > ROUNDING) & ~within_noise(offset, found["dissociation_noise"])


def largest_offset(aligned: Aligned) -> xr.DataArray:
    """The largest offset of each source that is above its noise, with its sign, in eV; NaN where there is none.

    :param aligned: results
    """
    found = offsets(aligned)
    if found is None:
        return xr.full_like(aligned.data["source"], np.nan, dtype=float)
    own = found["dissociation_offset"].where(above_noise(found))
    return own.isel(pair=abs(own).fillna(0.0).argmax("pair")).drop_vars("pair")


def said_offsets(aligned: Aligned) -> list[str]:
    """What is said of lone atoms that are not what two atoms fall into, a line for each source that has some.

    :param aligned: results
    """
    found = offsets(aligned)
    if found is None:
        return []
    lines, pairs = [], [str(pair).replace(" ", "–") for pair in found["pair"].values]
    values = found["dissociation_offset"].values
    for name, own, told in zip(found["source"].values, values, above_noise(found).values, strict=True):
        listed = [f"{pair} {value:+.3g} eV" for pair, value, is_told in zip(pairs, own, told, strict=True) if is_told]
        if listed:
            whose = f" of {name}" if found.sizes["source"] > 1 else ""
            lines.append(
                f"lone atoms{whose} are not what two far apart fall into: E(AB, r → ∞) − E(A) − E(B) is {', '.join(listed)}, "
                "which shifts every order from 2 on; one_body chooses their energy"
            )
    return lines
