"""Variance shares of sources whose order is known, of whole structures, and their bookkeeping."""

import ase
import numpy as np
import pytest

from bodyorder import InputError, Store, load_source
from bodyorder.engine.replacement import variance_shares
from bodyorder.sources.protocol import EnergySource, FailedClusters, Precision


def scattered(count, seed=0, symbol="H"):
    return ase.Atoms(f"{symbol}{count}", positions=np.random.default_rng(seed).normal(scale=2.5, size=(count, 3)))


@pytest.mark.parametrize(("source", "top"), [("analytic:pair", 2), ("analytic:axilrod-teller", 3)])
def test_nothing_is_above_the_order_of_a_potential(source, top):
    found = variance_shares(scattered(5), source, (0.05, 0.2), draws=3)
    assert found.variance_share.sel(order=slice(top + 1, None)).max() < 1e-16
    assert float(found.variance_share.sel(order=top).min()) > 1e-6
    np.testing.assert_allclose(found.variance_share.sum("order"), 1.0, atol=1e-12)
    orders = (found.variance_share * found.order).sum("order")
    np.testing.assert_allclose(found.mean_order, orders, atol=1e-12)


def test_small_displacements_are_of_low_order():
    """Of a smooth energy all that is left is its slope."""
    found = variance_shares(scattered(4), "analytic:axilrod-teller", (0.001, 0.3), draws=6)
    assert found.variance_share.sel(displacement=0.001, order=1) > 0.9999
    assert found.mean_order.sel(displacement=0.3) > found.mean_order.sel(displacement=0.001)


class Product(EnergySource):
    """The product of the x coordinates of the atoms, in order: known variances whatever the structure."""

    name = fingerprint = "product"
    cutoff = None
    precision = Precision()

    def energies(self, batch):
        return np.prod(batch.positions[:, :, 0], axis=1)


def test_variances_of_a_product():
    """Π (μ_i + σ z_i) has W_u = σ^{2|u|} Π_{i ∉ u} μ_i²."""
    atoms = ase.Atoms("H3", positions=[[1.0, 0, 0], [2.0, 0, 0], [-1.5, 0, 0]])
    found = variance_shares(atoms, Product(), (0.5,), draws=4000)
    squares, width = np.array([1.0, 4.0, 2.25]), 0.25
    known = [
        width * (squares[0] * squares[1] + squares[0] * squares[2] + squares[1] * squares[2]),
        width**2 * squares.sum(),
        width**3,
    ]
    np.testing.assert_allclose(found.order_variance.values.ravel(), known, rtol=0.15)
    apart = found.variance_share.values[0] - np.array(known) / sum(known)
    assert (np.abs(apart) < 4.0 * found.variance_share_error.values[0]).all()
    mean = np.arange(1, 4) @ known / sum(known)
    assert abs(float(found.mean_order[0]) - mean) < 4.0 * float(found.mean_order_error[0])


def test_molecules_move_as_one():
    """The inside of a molecule does not change, so one of them alone has no variance, and two have pairs."""
    dimer = ase.Atoms("H4", positions=[[0, 0, 0], [0, 0, 0.8], [3.0, 0, 0], [3.0, 0, 0.8]])
    found = variance_shares(dimer, "analytic:pair", (0.2,), draws=4, bodies="molecules")
    assert found.sizes["order"] == 2
    alone = variance_shares(dimer[:2], "analytic:pair", (0.2,), draws=2, bodies=[0, 0])
    assert float(alone.order_variance.max()) < 1e-24
    assert np.isnan(alone.variance_share).all()
    assert float(found.order_variance.sum()) > 1e-6


def test_positions_of_another_structure():
    frames = [scattered(4, seed) for seed in range(6)]
    found = variance_shares(frames, "analytic:pair", (0.1, np.inf), draws=3)
    assert found.variance_share.sel(order=slice(3, None)).max() < 1e-16
    assert float(found.mean_order.sel(displacement=np.inf)) > float(found.mean_order.sel(displacement=0.1))
    with pytest.raises(InputError, match="same elements in the same order, structure 0 is alone"):
        variance_shares([scattered(3), scattered(4)], "analytic:pair", (np.inf,))


def test_the_same_displacements_for_every_source(tmp_path):
    atoms = scattered(4)
    with Store(tmp_path / "energies.sqlite") as store:
        first = variance_shares(atoms, "analytic:pair", (0.2,), draws=2, store=store)
        again = variance_shares(atoms, "analytic:pair", (0.2,), draws=2, store=store)
    assert first.equals(again)
    other = variance_shares(atoms, "analytic:pair", (0.2,), draws=2, seed=1)
    assert not np.allclose(first.order_variance, other.order_variance)


class Fails(EnergySource):
    """Of one structure, where an atom leaves its place."""

    name = fingerprint = "fails"
    cutoff = None
    precision = Precision()

    def energies(self, batch):
        energies = load_source("analytic:pair").energies(batch)
        failed = np.flatnonzero(batch.positions[:, 0, 0] > 100.05)
        if len(failed):
            energies[failed] = np.nan
            raise FailedClusters(dict.fromkeys(failed.tolist(), "too far"), energies)
        return energies


def test_draws_that_fail_are_left_out():
    far = scattered(3, 1)
    far.positions += [100.0 - far.positions[0, 0], 0, 0]
    found = variance_shares([scattered(3), far], Fails(), (0.1,), draws=8)
    missing = found.n_failed_draws.values[0]
    assert missing[0] == 0
    assert 0 < missing[1] < 8
    assert found.variance_failure.values.tolist() == [["", "too far"]]
    assert np.isfinite(found.order_variance).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"displacements": (0.2, 0.1)}, "`displacements` must be positive and ascending, such as 0.1, 0.2, inf"),
        ({"displacements": (0.0,)}, "`displacements` must be positive and ascending"),
        ({"displacements": ("a",)}, "`displacements` must be numbers in Å"),
        ({"draws": 1}, "`draws` must be between 2 and 10000, got 1"),
        (
            {"source": "pyscf:uhf/6-31g?spin=low&counterpoise=full"},
            "variance shares need a source without counterpoise",
        ),
        (
            {"structures": scattered(15)},
            "structures of at most 14 bodies, of which each draw is 16,384 energies, got 15",
        ),
    ],
)
def test_what_cannot_be(options, said):
    given = {"structures": scattered(3), "source": "analytic:pair"} | options
    with pytest.raises(InputError) as error:
        variance_shares(given.pop("structures"), given.pop("source"), **given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
