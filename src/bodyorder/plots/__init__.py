"""What analyses say as figures of matplotlib: functions that draw on given or new axes and return them, and figures of them."""

from bodyorder.plots.convergence import noise, orders, truncation
from bodyorder.plots.parity import parity

__all__ = ["noise", "orders", "parity", "truncation"]
