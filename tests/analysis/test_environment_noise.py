"""Errors of single energies, carried to what the best approximations and the vacuum leave of the full cluster.

The map from energies to residuals is linear, so σ² = Σ_S M_S² σ²(S). M is found here in three other ways than in the package: by
raising one energy after the other, by least squares with the whole design matrix, and by adding up binomial coefficients.
"""

from functools import cache
from itertools import chain, combinations
from math import comb

import ase
import numpy as np
import pytest
import xarray as xr
from geometries import scattered
from references import Tabulated

from bodyorder import decompose
from bodyorder.analysis import order_convergence
from bodyorder.analysis.environment import environment_orders
from bodyorder.results import grown
from bodyorder.sources import Precision, load_source


@cache
def subsets_of(n_bodies):
    return list(chain.from_iterable(combinations(range(n_bodies), size) for size in range(1, n_bodies + 1)))


def sizes_of(n_bodies):
    return np.array([len(subset) for subset in subsets_of(n_bodies)])


def result_of(n_bodies, energies, sigmas=None):
    """Results of structures that have the given energies of sub-clusters, and their errors (eV), shape (structure, subset)."""
    energies = np.atleast_2d(energies)
    count, subsets = len(energies), subsets_of(n_bodies)
    members = np.full((len(subsets), n_bodies), -1)
    for row, subset in enumerate(subsets):
        members[row, : len(subset)] = subset
    result = xr.Dataset(
        {
            "contribution": (("structure", "order"), np.zeros((count, n_bodies))),
            "total": ("structure", energies[:, -1]),
            "n_bodies": ("structure", np.full(count, n_bodies)),
            "site_structure": ("site", np.repeat(np.arange(count), n_bodies)),
            "subset_members": (("subset", "slot"), np.tile(members, (count, 1))),
            "subset_structure": ("subset", np.repeat(np.arange(count), len(subsets))),
            "subset_order": ("subset", np.tile(sizes_of(n_bodies), count)),
            "subset_energy": ("subset", energies.ravel()),
        },
        coords={"structure": [str(index) for index in range(count)], "order": np.arange(1, n_bodies + 1)},
    )
    if sigmas is not None:
        result["subset_noise"] = ("subset", np.broadcast_to(sigmas, energies.shape).ravel())
    return grown(result)


def drawn(n_bodies, seed=0):
    """Energies, and an error of its own for each, over four powers of ten."""
    draw = np.random.default_rng(seed)
    sizes = sizes_of(n_bodies)
    return -13.6 * sizes + draw.normal(size=len(sizes)), 10 ** draw.uniform(-7, -3, size=len(sizes))


def beyond(n_bodies, order):
    """How much the energies of each size count in E − E^{≤n}."""
    counts = np.zeros(n_bodies)
    for n in range(order + 1, n_bodies + 1):
        for m in range(1, n + 1):
            counts[m - 1] += (-1) ** (n - m) * comb(n_bodies - m, n - m)
    return counts


class LeastSquares:
    """Residuals of the weighted best approximation of an order as a matrix: r = M E, by a QR decomposition of the design."""

    def __init__(self, n_bodies, order, weights="size"):
        held = np.zeros((2**n_bodies - 1, n_bodies))
        for row, subset in enumerate(subsets_of(n_bodies)):
            held[row, list(subset)] = 1
        self.sizes = held.sum(axis=1)
        design = (held @ held[self.sizes <= order].T == self.sizes[self.sizes <= order]).astype(float)
        self.weights = np.array([1 / comb(n_bodies, int(size)) if weights == "size" else 1.0 for size in self.sizes])
        root = np.sqrt(self.weights)
        base = np.linalg.qr(root[:, None] * design)[0]
        self.matrix = np.eye(len(held)) - base @ base.T * root / root[:, None]

    def noise(self, sigmas):
        """1σ of the residual of the full cluster, and the root mean square of all residuals per body (eV)."""
        variances = self.matrix**2 @ sigmas**2
        rms = np.sqrt((self.weights * variances / self.sizes**2).sum() / self.weights.sum())
        return np.sqrt(variances[-1]), rms


@pytest.mark.parametrize("weights", ["size", "banzhaf"])
@pytest.mark.parametrize("n_bodies", [4, 8, 12])
def test_noise_of_energies_each_with_an_error_of_its_own(n_bodies, weights):
    energies, sigmas = drawn(n_bodies)
    top = min(n_bodies - 1, 4)
    found = environment_orders(result_of(n_bodies, energies, sigmas), weights=weights, max_order=top)
    found = found.isel(structure=0)
    for order in range(1, top + 1):
        here = found.sel(order=order)
        whole, rms = LeastSquares(n_bodies, order, weights).noise(sigmas)
        assert here["environment_noise"].item() == pytest.approx(whole, rel=1e-7)
        assert here["environment_rms_noise"].item() == pytest.approx(rms, rel=1e-7)
        vacuum = np.sqrt((beyond(n_bodies, order)[sizes_of(n_bodies) - 1] ** 2 * sigmas**2).sum())
        assert here["vacuum_noise"].item() == pytest.approx(vacuum, rel=1e-10)


@pytest.mark.parametrize("options", [{}, {"weights": "banzhaf"}, {"weights": "shapley"}, {"sum_rule": True}])
@pytest.mark.parametrize("n_bodies", [4, 8])
def test_noise_is_that_of_raising_one_energy_after_the_other(n_bodies, options):
    """What an error of one energy does to the residuals is what the analysis itself makes of that error alone."""
    energies, sigmas = drawn(n_bodies, seed=1)
    expected = environment_orders(result_of(n_bodies, np.diag(sigmas)), **options)
    found = environment_orders(result_of(n_bodies, energies, sigmas), **options).isel(structure=0)
    for name, noise in (
        ("environment_residual", "environment_noise"),
        ("vacuum_residual", "vacuum_noise"),
        ("environment_rms", "environment_rms_noise"),
    ):
        propagated = np.sqrt((expected[name] ** 2).sum("structure"))
        np.testing.assert_allclose(found[noise], propagated, rtol=1e-6, atol=1e-12)


def test_absolute_and_relative_precision_give_every_energy_its_error():
    precision = Precision(absolute=2e-4, relative=1e-5)
    source = Tabulated("high_density_0", "ground", precision)
    result = decompose(source.atoms, source, subsets=True)
    subsets = result["subsets"]
    sigmas = precision.sigma(subsets["subset_energy"].values)
    assert sigmas.max() > 1.5 * sigmas.min()
    np.testing.assert_allclose(subsets["subset_noise"], sigmas, rtol=1e-12)
    members = [tuple(row[row >= 0]) for row in subsets["subset_members"].values]
    errors = np.array([sigmas[members.index(subset)] for subset in subsets_of(8)])
    found = environment_orders(result).isel(structure=0)
    for order in range(1, 8):
        whole, rms = LeastSquares(8, order).noise(errors)
        assert found["environment_noise"].sel(order=order).item() == pytest.approx(whole, rel=1e-7)
        assert found["environment_rms_noise"].sel(order=order).item() == pytest.approx(rms, rel=1e-7)


def test_noise_is_that_of_repeated_calculations():
    precision = Precision(absolute=2e-4, relative=1e-5)
    source = Tabulated("high_density_0", "ground", precision)
    result = decompose(source.atoms, source, subsets=True)
    subsets = result["subsets"]
    members = [tuple(row[row >= 0]) for row in subsets["subset_members"].values]
    energies = subsets["subset_energy"].values[[members.index(subset) for subset in subsets_of(8)]]
    noisy = energies + precision.sigma(energies) * np.random.default_rng(0).normal(size=(400, 255))
    sampled, alone = result_of(8, noisy), result_of(8, noisy - energies)
    for weights in ("size", "banzhaf"):
        expected = environment_orders(result, weights=weights).isel(structure=0)
        found = environment_orders(sampled, weights=weights)
        assert found["environment_noise"].isnull().all()
        for residual, noise in (("environment_residual", "environment_noise"), ("vacuum_residual", "vacuum_noise")):
            spread = found[residual].std("structure").values[:7]
            np.testing.assert_allclose(spread, expected[noise].values[:7], rtol=0.15)
        squares = (environment_orders(alone, weights=weights)["environment_rms"] ** 2).mean("structure") ** 0.5
        np.testing.assert_allclose(squares.values[:7], expected["environment_rms_noise"].values[:7], rtol=0.1)
        single = precision.sigma(energies[-1])
        assert expected["environment_noise"].max() < single
        assert expected["vacuum_noise"].max() > 20 * single


def test_noise_of_energies_that_are_uncertain_each_in_its_own_way():
    atoms = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1.1, 0], [0, 1, 0.2]])
    source = load_source("pyscf:uhf/sto-6g?spin=low")
    result = decompose(atoms, source, subsets=True)
    subsets = result["subsets"]
    own = np.nan_to_num(subsets["subset_uncertainty"].values)
    assert own.max() > 0.1
    errors = np.hypot(source.precision.sigma(subsets["subset_energy"].values), own)
    np.testing.assert_allclose(subsets["subset_noise"], errors, rtol=1e-12)
    members = [tuple(row[row >= 0]) for row in subsets["subset_members"].values]
    errors = np.array([errors[members.index(subset)] for subset in subsets_of(4)])
    found = environment_orders(result)
    for order in (1, 2, 3):
        expected = LeastSquares(4, order).noise(errors)[0]
        assert found["environment_noise"].sel(order=order).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n_bodies", [8, 12, 14])
def test_noise_of_equal_errors_of_all_energies_keeps_its_digits(n_bodies):
    """Nor do many bodies take them: sums of alternating coefficients would lose all."""
    sigma, counts = 1e-8, np.array([comb(n_bodies, size) for size in range(1, n_bodies + 1)])
    result = result_of(n_bodies, drawn(n_bodies)[0], sigma)
    found = environment_orders(result, max_order=4).isel(structure=0)
    vacuum = [sigma * np.sqrt((counts * beyond(n_bodies, order) ** 2).sum()) for order in range(1, 5)]
    np.testing.assert_allclose(found["vacuum_noise"], vacuum, rtol=1e-9)
    inside = [propagated_by_size(sigma**2 * counts, n_bodies, order) for order in range(1, 5)]
    np.testing.assert_allclose(found["environment_noise"], inside, rtol=1e-9)


def propagated_by_size(variances, n_bodies, order):
    """1σ of the residual of the full cluster: a regression of mean energies along the size on polynomials through zero."""
    sizes = np.arange(1, n_bodies + 1)
    design = np.array([[comb(size, degree) for degree in range(1, order + 1)] for size in sizes], dtype=float)
    row = np.eye(n_bodies)[-1] - design[-1] @ np.linalg.pinv(design)
    counts = np.array([comb(n_bodies, size) for size in sizes])
    return np.sqrt(((row / counts) ** 2 * variances).sum())


def test_noise_of_the_orders_is_that_of_the_same_errors():
    """The noise of a decomposition, σ⁽ⁿ⁾, and that of the vacuum residual of the order before the last are one number."""
    source = Tabulated("high_density_0", "ground", Precision(absolute=2e-4, relative=1e-5))
    result = decompose(source.atoms, source, subsets=True)
    found = environment_orders(result)
    assert found["vacuum_noise"].sel(order=7).item() == pytest.approx(result["noise"].sel(order=8).item(), rel=1e-9)
    bound = order_convergence(result)["truncation_noise"] * 8
    assert (found["vacuum_noise"].sel(order=slice(1, 7)) <= bound.sel(order=8).item()).all()


def test_noise_of_structures_stands_each_for_itself():
    """An error that is not known makes the noise of its structure unknown, and no other."""
    energies, sigmas = (np.array(values) for values in zip(*(drawn(5, seed) for seed in range(3)), strict=True))
    sigmas[2, 7] = np.nan
    found = environment_orders(result_of(5, energies, sigmas))
    for name in ("environment_noise", "vacuum_noise", "environment_rms_noise"):
        assert found[name].isel(structure=2).isnull().all()
    for row in (0, 1):
        vacuum = [np.sqrt((sigmas[row] ** 2 * beyond(5, order)[sizes_of(5) - 1] ** 2).sum()) for order in range(1, 6)]
        np.testing.assert_allclose(found["vacuum_noise"].isel(structure=row), vacuum, rtol=1e-9, atol=1e-12)


def test_noise_of_sources_and_of_structures_of_several_sizes(build, terms):
    draw = np.random.default_rng(4)
    sigmas = {"a": draw.uniform(1e-6, 1e-4, 31), "b": draw.uniform(1e-6, 1e-4, 7)}
    structures = {"a": terms(5, [1.0] * 5, 1), "b": terms(3, [1.0] * 3, 2)}
    both = np.concatenate(list(sigmas.values()))
    found = environment_orders(
        {str(factor): build(structures, subset_noise=factor * both) for factor in (1, 3)}, weights="banzhaf"
    )
    for row, name in enumerate(structures):
        alone = environment_orders(build({name: structures[name]}, subset_noise=sigmas[name]), weights="banzhaf")
        for noise in ("environment_noise", "vacuum_noise", "environment_rms_noise"):
            for source, factor in enumerate((1, 3)):
                here = found[noise].values[source, row, : alone.sizes["order"]]
                np.testing.assert_allclose(here, factor * alone[noise].values[0], rtol=1e-9, atol=1e-15)


def test_noise_of_energies_that_were_put_together_is_unknown():
    atoms = scattered(7, seed=3, spread=5.0)
    spec = "analytic:sutton-chen?cutoff=3.0"
    both = {"part": decompose(atoms, spec, subsets=True, cutoff=3.0), "whole": decompose(atoms, spec, subsets=True)}
    found = environment_orders(both)["environment_noise"]
    assert found.sel(source="part").isnull().all()
    assert found.sel(source="whole").notnull().all()


def test_noise_without_errors_of_single_energies_behind_it_is_not_propagated(build, terms):
    found = environment_orders(build({"a": terms(4, [1.0] * 4, 1)}, noise=0.02, subset_noise=None))
    for name in ("environment_noise", "vacuum_noise", "environment_rms_noise"):
        assert found[name].isnull().all()
    found = environment_orders(build({"a": terms(4, [1.0] * 4, 1)}, noise=0.02, subset_noise=0.0))
    assert (found["environment_noise"] == 0).all()
