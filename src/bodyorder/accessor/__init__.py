"""``result.mbe``: what a result says, as frames, datasets and plots, without a report.

Importing this gives it to every ``xarray.DataTree``; asking :mod:`bodyorder` for something that makes results does so, too.
"""

from bodyorder.accessor.expansion import Expansion

__all__ = ["Expansion"]
