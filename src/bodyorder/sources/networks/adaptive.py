"""Networks whose cutoff depends on how many neighbours an atom has: which they are, and what that does to an expansion."""

from __future__ import annotations

import torch

#: What networks call the number of neighbours that they aim at or stop at: PET (metatrain since 2026.1, UPET), Orb, and the
#: networks of fairchem.
TARGETS = ("num_neighbors_adaptive", "max_num_neighbors", "max_neighbors")


def adaptive_remark(model: torch.nn.Module) -> str:
    """What to say of the orders of a network whose cutoff adapts to the number of neighbours; empty if it does not.

    Sub-clusters in vacuum have fewer neighbours than the same atoms in the whole structure. Where the cutoff adapts, their atoms
    see farther, up to the largest cutoff, and orders are those of another graph than the whole's. The expansion stays exact: each
    energy is what the network gives for those atoms alone.

    :param model: the network, scripted or not
    """
    for module in model.modules():
        for name in TARGETS:
            target = getattr(module, name, None)
            if isinstance(target, int | float) and not isinstance(target, bool) and 0 < target < float("inf"):
                return (
                    f"the cutoff of this network adapts to the number of neighbours ({name} = {target:g}): atoms of a "
                    f"sub-cluster see farther than in the whole, so that orders of dense structures are those of another graph"
                )
    return ""
