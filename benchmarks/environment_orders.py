"""Best n-body approximations of many clusters with all their sub-clusters, against one least-squares problem for each order.

Both give the error of every order, which are compared. Ours starts from a result in memory and gives validation, noise and the
errors of each size besides; the loop starts from energies and a design matrix that is made once. The first call lays the energies
of all sub-clusters out; every further analysis of what was aligned once finds them so. Seconds of processor time.

Run with: OMP_NUM_THREADS=1 python benchmarks/environment_orders.py
"""

from __future__ import annotations

from math import comb

import numpy as np
import xarray as xr
from _timing import seconds

from bodyorder.analysis import align, environment_orders
from bodyorder.results import flat, grown
from bodyorder.subsets import complete

N_BODIES, N_STRUCTURES = 8, 600
#: Clusters that the loop does, to be scaled up.
N_LOOP = 10
N_ROUNDS = 5
LARGE, LARGE_ORDER = 16, 4


def result(n_bodies: int, n_structures: int, seed: int) -> xr.DataTree:
    """Random energies of all sub-clusters, as `bodyorder.decompose` would have them."""
    rng = np.random.default_rng(seed)
    family = complete(n_bodies)
    members = np.full((2**n_bodies - 1, n_bodies), -1)
    orders = np.repeat(np.arange(1, n_bodies + 1), family.sizes)
    start = 0
    for rows in family.members:
        members[start : start + len(rows), : rows.shape[1]] = rows
        start += len(rows)
    count = len(members)
    shape = (n_structures, n_bodies)
    held = xr.Dataset(
        {
            "contribution": (("structure", "order"), np.zeros(shape)),
            "noise": (("structure", "order"), np.zeros(shape)),
            "total": ("structure", np.zeros(n_structures)),
            "n_bodies": ("structure", np.full(n_structures, n_bodies)),
            "failure": ("structure", np.full(n_structures, "")),
            "site_structure": ("site", np.repeat(np.arange(n_structures), n_bodies)),
            "subset_members": (("subset", "slot"), np.tile(members, (n_structures, 1))),
            "subset_structure": ("subset", np.repeat(np.arange(n_structures), count)),
            "subset_order": ("subset", np.tile(orders, n_structures)),
            "subset_noise": ("subset", np.full(count * n_structures, 1e-6)),
            "subset_energy": ("subset", rng.normal(size=count * n_structures) - 14 * np.tile(orders, n_structures)),
        },
        coords={"structure": [str(index) for index in range(n_structures)], "order": np.arange(1, n_bodies + 1)},
        attrs={"family": "complete"},
    )
    return grown(held)


def loop(found: xr.DataTree) -> np.ndarray:
    """Error of every order of the first structures by one least-squares problem each, shape (N_LOOP, N)."""
    dataset = flat(found)
    members = dataset["subset_members"].values[: 2**N_BODIES - 1]
    sizes = (members >= 0).sum(axis=1)
    masks = np.array([sum(1 << int(body) for body in row if body >= 0) for row in members])
    design = ((masks[:, None] & masks) == masks).astype(float)
    weights = np.array([1 / comb(N_BODIES, int(size)) for size in sizes])
    root = np.sqrt(weights)
    energies = dataset["subset_energy"].values.reshape(-1, len(members))[:N_LOOP]
    errors = np.empty((N_LOOP, N_BODIES))
    for row, values in enumerate(energies):
        for order in range(1, N_BODIES + 1):
            matrix = design[:, sizes <= order]
            terms = np.linalg.lstsq(root[:, None] * matrix, root * values)[0]
            left = values - matrix @ terms
            errors[row, order - 1] = np.sqrt((weights * (left / sizes) ** 2).sum() / weights.sum())
    return errors


def main() -> None:
    tree = result(N_BODIES, N_STRUCTURES, 0)
    reference = loop(tree)
    theirs = seconds(lambda: loop(tree)) * N_STRUCTURES / N_LOOP
    environment_orders(result(N_BODIES, 1, 0))
    first = float(np.median([seconds(lambda: environment_orders(tree)) for _ in range(N_ROUNDS)]))
    aligned = align(tree)
    found = environment_orders(aligned)
    again = float(np.median([seconds(lambda: environment_orders(aligned)) for _ in range(N_ROUNDS)]))
    assert np.abs(found.environment_rms.values[:N_LOOP] - reference).max() < 1e-10
    print(
        f"{N_STRUCTURES} clusters of {2**N_BODIES - 1} sub-clusters, orders 1 to {N_BODIES}: seconds of processor time"
    )
    print(f"{f'least squares per cluster (from {N_LOOP})':60s}{theirs:9.3f}")
    for name, own in (("a result", first), ("energies laid out once", again)):
        label = f"environment_orders, {name} (median of {N_ROUNDS})"
        print(f"{label:60s}{own:9.3f}, {own / N_BODIES:.3f} per order, ratio {theirs / own:.0f}")

    large = result(LARGE, 1, 1)
    own = seconds(lambda: environment_orders(large, max_order=LARGE_ORDER))
    print(f"one cluster of {2**LARGE - 1} sub-clusters, to order {LARGE_ORDER}: {own:.3f} s")


if __name__ == "__main__":
    main()
