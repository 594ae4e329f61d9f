"""Networks inside calculators of ASE: whether their cutoff adapts to the number of neighbours."""

from __future__ import annotations

from ase.calculators.abc import GetPropertiesMixin

from bodyorder.sources.ase.with_torch import networks


def adaptive_remark_of(calculator: GetPropertiesMixin) -> str:
    """What to say of the orders of a calculator whose network has a cutoff that adapts; empty if none does."""
    held = networks(calculator)
    if not held:  # then torch need not be there
        return ""
    from bodyorder.sources.networks.adaptive import adaptive_remark

    return next(filter(None, map(adaptive_remark, held)), "")
