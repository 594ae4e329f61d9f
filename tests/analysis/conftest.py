"""Results made from known contributions: E(S) = Σ_{T⊆S} ε(T) is summed here, so that no inversion is trusted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import xarray as xr

from bodyorder.results import grown
from bodyorder.results.files import SCHEMA_VERSION

Subset = tuple[int, ...]
Terms = Mapping[Subset, float]
Builder = Callable[..., xr.DataTree]


def subsets_of(n_bodies: int, max_order: int | None = None) -> list[Subset]:
    orders = range(1, (max_order or n_bodies) + 1)
    return [subset for order in orders for subset in itertools.combinations(range(n_bodies), order)]


def random_terms(n_bodies: int, scale: Sequence[float], seed: int) -> dict[Subset, float]:
    """ε(S) drawn from a normal distribution of width ``scale[|S| - 1]``; zero above."""
    draw = np.random.default_rng(seed)
    return {
        subset: float(draw.normal(scale=scale[len(subset) - 1])) if len(subset) <= len(scale) else 0.0
        for subset in subsets_of(n_bodies)
    }


def build_result(
    structures: Mapping[str, Terms],
    *,
    groups: Sequence[str] | None = None,
    max_order: int | None = None,
    noise: float = 0.0,
    subset_noise: float | np.ndarray | None = 0.0,
    subsets: bool = True,
    numbers: Mapping[str, Sequence[int]] | None = None,
) -> xr.DataTree:
    """A result as `decompose` gives it, from the contribution of every subset of every structure (eV).

    :param noise: of all orders, whatever that of the energies is, eV
    :param subset_noise: σ(S) of all energies or of each, eV; None for results that say nothing of it
    """
    names = list(structures)
    sizes = [max(max(subset) for subset in terms) + 1 for terms in structures.values()]
    top = max_order or max(sizes)
    rows: list[tuple[int, Subset, float, float]] = []
    contribution = np.zeros((len(names), top))
    for index, (terms, size) in enumerate(zip(structures.values(), sizes, strict=True)):
        for subset in subsets_of(size, min(top, size)):
            energy = sum(value for part, value in terms.items() if set(part) <= set(subset))
            rows.append((index, subset, energy, terms[subset]))
            contribution[index, len(subset) - 1] += terms[subset]
    total = np.array([sum(terms.values()) for terms in structures.values()])
    draw = np.random.default_rng(5)
    kinds = [list((numbers or {}).get(name, [1] * size)) for name, size in zip(names, sizes, strict=True)]
    positions = [draw.normal(size=(size, 3)) for size in sizes]
    result = xr.Dataset(
        {
            "contribution": (("structure", "order"), contribution),
            "noise": (("structure", "order"), np.full(contribution.shape, noise)),
            "total": ("structure", total),
            "residual": ("structure", total - contribution.sum(axis=1)),
            "n_bodies": ("structure", sizes),
            "n_evaluations": ("structure", [2**size - 1 for size in sizes]),
            "failure": ("structure", [""] * len(names)),
            "site_structure": ("site", np.repeat(np.arange(len(names)), sizes)),
            "site_number": ("site", np.concatenate(kinds)),
            "site_body": ("site", np.concatenate([np.arange(size) for size in sizes])),
            "site_position": (("site", "xyz"), np.concatenate(positions)),
        },
        coords={"structure": names, "order": np.arange(1, top + 1), "xyz": ["x", "y", "z"]},
        attrs={"source": "terms", "fingerprint": "1", "bodies": "atoms", "family": "complete"},
    )
    result.attrs["schema_version"] = SCHEMA_VERSION
    if groups is not None:
        result = result.assign_coords(group=("structure", list(groups)))
    if subsets:
        members = np.full((len(rows), top), -1)
        for row, (_, subset, _, _) in enumerate(rows):
            members[row, : len(subset)] = subset
        result = result.assign(
            subset_members=(("subset", "slot"), members),
            subset_structure=("subset", [row[0] for row in rows]),
            subset_order=("subset", [len(row[1]) for row in rows]),
            subset_energy=("subset", [row[2] for row in rows]),
            subset_contribution=("subset", [row[3] for row in rows]),
        )
        if subset_noise is not None:
            result = result.assign(subset_noise=("subset", np.broadcast_to(subset_noise, len(rows)).copy()))
    return grown(result)


@pytest.fixture(scope="session")
def build() -> Builder:
    return build_result


@pytest.fixture(scope="session")
def terms() -> Callable[..., dict[Subset, float]]:
    return random_terms
