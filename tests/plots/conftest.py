"""Results of real decompositions of clusters in two groups."""

from __future__ import annotations

import pytest
import xarray as xr

from bodyorder.analysis import combine
from bodyorder.engine import decompose
from bodyorder.structures.hydrogen import high_density, low_density

#: A many-body potential, a pair potential, and one with three-body terms.
SPECS = {
    "many-body": "analytic:sutton-chen?epsilon=1.0&a=1.0&c=3.0&n=6&m=3",
    "pairs": "analytic:pair?kind=morse",
    "triples": "analytic:axilrod-teller?nu=0.5&epsilon=0.01&sigma=1.0",
}


@pytest.fixture(scope="session")
def separate() -> dict[str, xr.DataTree]:
    frames = low_density(4, 2, seed=1) + high_density(5, 2, seed=2)
    for index, atoms in enumerate(frames):
        atoms.info.update(group=("thin", "dense")[index // 2], name=f"s{index}")
    return {name: decompose(frames, spec, forces=True, subsets=True) for name, spec in SPECS.items()}


@pytest.fixture(scope="session")
def results(separate) -> xr.DataTree:
    return combine(separate)
