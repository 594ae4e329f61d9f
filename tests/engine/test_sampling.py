"""Order totals from samples: right within their errors, to a requested error, seeded and resumable."""

import numpy as np
import pytest
from ase import Atoms
from geometries import on_a_grid, scattered

from bodyorder._checks import InputError
from bodyorder.engine import Sampling, Store, decompose
from bodyorder.sources.registry import load_source

THREE_BODY = "analytic:axilrod-teller"
MANY_BODY = "analytic:sutton-chen"


@pytest.fixture(scope="module")
def cluster():
    return on_a_grid("Ar", 18, spacing=3.5, shift=0.15)


@pytest.fixture(scope="module")
def exact(cluster):
    return decompose(cluster, MANY_BODY, max_order=4)


@pytest.mark.parametrize(("samples", "error"), [(120, None), (10, 60.0), (10, 30.0)])
def test_intervals_cover_the_truth(cluster, exact, samples, error):
    """Of 200 seeds, the interval of 95 % holds the truth in 180 to 200, also where its width decided when to stop."""
    samplings = [Sampling(samples, error, seed) for seed in range(200)]
    runs = [decompose(cluster, MANY_BODY, max_order=4, sampling=sampling) for sampling in samplings]
    estimates = np.array([run.contribution.values[0] for run in runs])
    errors = np.array([run.noise.values[0] for run in runs])
    truth = exact.contribution.values[0]
    covered = (np.abs(estimates - truth) <= 1.96 * errors + 1e-9).sum(axis=0)
    assert covered[0] == 200
    assert ((covered[1:] >= 180) & (covered[1:] <= 200)).all(), covered
    assert runs[0].attrs["family"] == "sampled"


def test_more_samples_err_less_and_all_of_them_not_at_all(cluster, exact):
    def error(count):
        runs = [decompose(cluster, MANY_BODY, max_order=4, sampling=Sampling(count, seed=seed)) for seed in range(12)]
        return np.sqrt(np.mean([run.noise.values[0, 3] ** 2 for run in runs]))

    assert error(150) / error(2400) == pytest.approx(4.0, rel=0.3)
    everything = decompose(cluster, MANY_BODY, max_order=4, sampling=Sampling(3060))
    np.testing.assert_allclose(everything.contribution, exact.contribution, atol=1e-9)
    assert everything.noise.max() < 1e-6


def test_a_requested_error_is_reached(cluster, exact):
    result = decompose(cluster, MANY_BODY, max_order=4, sampling=Sampling(64, error=2e-4, seed=3))
    assert (result.noise.values <= 2e-4).all()
    assert (np.abs(result.contribution - exact.contribution).values <= 5 * result.noise.values + 1e-9).all()


def test_evaluations_of_all_rounds_are_counted(cluster):
    source, asked = load_source(MANY_BODY), []
    energies = source.energies

    def counting(batch):
        asked.append(len(batch))
        return energies(batch)

    source.energies = counting
    result = decompose(cluster, source, max_order=4, sampling=Sampling(100, error=20.0, seed=3), dissociation=False)
    assert int(result.n_evaluations[0]) == sum(asked)
    once = decompose(cluster, MANY_BODY, max_order=4, sampling=Sampling(100, seed=3))
    assert sum(asked) > int(once.n_evaluations[0])


def test_a_second_run_finds_everything_in_the_store(cluster, tmp_path):
    options = {"max_order": 3, "sampling": Sampling(100, seed=5), "subsets": True, "store": tmp_path / "s"}
    options["dissociation"] = False  # the store would hold two atoms far apart, too
    first, second = decompose(cluster, THREE_BODY, **options), decompose(cluster, THREE_BODY, **options)
    assert int(second.n_evaluations[0]) == 0
    np.testing.assert_array_equal(first.contribution, second.contribution)
    with Store(tmp_path / "s") as store:
        assert len(store) == first.subsets.sizes["subset"] + 1 - 17  # one atom for all; and the whole cluster


def test_forces_are_unbiased_too(cluster):
    exact = decompose(cluster, THREE_BODY, max_order=3, forces=True).sites.force_contribution.values
    runs = [
        decompose(
            cluster, THREE_BODY, max_order=3, forces=True, sampling=Sampling(100, seed=seed)
        ).sites.force_contribution.values
        for seed in range(60)
    ]
    mean, error = np.mean(runs, axis=0), np.std(runs, axis=0) / np.sqrt(len(runs))
    assert (np.abs(mean - exact)[2] < 5 * error[2] + 1e-9).mean() > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": Sampling(10)}, "`max_order` must be given for a sample"),
        ({"sampling": Sampling(10), "max_order": 3, "cutoff": 5.0}, "`cutoff` and a sample must not be given together"),
        ({"sampling": Sampling(10), "max_order": 14}, "`max_order` of a sample must be at most 12"),
    ],
)
def test_options_that_cannot_work(cluster, options, message):
    with pytest.raises(InputError, match=message):
        decompose(cluster, THREE_BODY, **options)


def test_options_out_of_range():
    with pytest.raises(InputError, match="`samples` must be between 2 and"):
        Sampling(1)
    with pytest.raises(InputError, match="`error` must be"):
        Sampling(error=0.0)


def test_an_error_out_of_reach_is_said_and_what_was_drawn_is_kept():
    cloud = scattered(100, seed=1, spread=30, symbol="Ar")
    once = decompose(cloud, MANY_BODY, max_order=4, sampling=Sampling(200))
    never = decompose(cloud, MANY_BODY, max_order=4, sampling=Sampling(200, error=1e-12))
    assert "order 4: an error of 1e-12 eV must be within reach of 2000000 draws" in never.failure.item()
    assert never.noise[0, 3] == once.noise[0, 3]
    assert never.noise[0, 1] < 1e-8 < once.noise[0, 1]  # all pairs by now


CUT = "analytic:sutton-chen?cutoff=5.2"


def crystals(name):
    """A free cluster with an atom far away, a small cell, and molecules across its borders."""
    if name == "cluster":
        grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:17]
        positions = np.vstack([3.5 * grid, [[40.0, 0, 0]]])
        return Atoms("Ar18", positions=positions + np.random.default_rng(0).normal(0, 0.15, (18, 3))), "atoms"
    cell = Atoms(
        "Ar4",
        positions=3.5 * np.array([[0, 0, 0], [0.1, 1, 0], [1, 0, 0.1], [1, 1, 0]]),
        cell=[7.1, 7.2, 3.9],
        pbc=True,
    )
    if name == "cell":
        cell.rattle(0.1, seed=0)
        return cell, "atoms"
    return Atoms("Ar4", positions=[[0, 0, 0], [6.3, 0, 0], [3, 0, 0], [4, 0, 0]], cell=[7.2, 3.9, 4.0], pbc=True), [
        0,
        0,
        1,
        1,
    ]


@pytest.mark.parametrize("name", ["cluster", "cell", "molecules"])
def test_connected_samples_cover_the_truth(name):
    """Sources with a strict cutoff: of 200 seeds, the interval of 95 % holds the truth in 180 to 200."""
    atoms, bodies = crystals(name)
    exact = decompose(atoms, CUT, bodies=bodies, max_order=4, cutoff=5.2)
    truth = exact.contribution.values[0]
    runs = [decompose(atoms, CUT, bodies=bodies, max_order=4, sampling=Sampling(120, seed=seed)) for seed in range(200)]
    estimates = np.array([run.contribution.values[0] for run in runs])
    errors = np.array([run.noise.values[0] for run in runs])
    covered = (np.abs(estimates - truth) <= 1.96 * errors + 1e-9).sum(axis=0)
    assert (covered >= 180).all(), covered
    assert (errors[:, 3] > 1e-9).all()  # order 4 is a sample
    assert (np.abs(estimates.mean(axis=0) - truth) < 4 * errors.mean(axis=0) / np.sqrt(200) + 1e-9).all()
    large = decompose(atoms, CUT, bodies=bodies, max_order=3, sampling=Sampling(100_000))
    np.testing.assert_allclose(large.contribution.values[0], truth[:3], atol=1e-9)


def test_what_is_dense_is_drawn_where_most_is_thin():
    """Eight atoms hold the orders from three on, among forty pairs that hold none."""
    dense = 3.2 * np.stack(np.meshgrid(*[np.arange(2)] * 3), axis=-1).reshape(-1, 3)
    pairs = np.array([[20.0 * place, 30.0, end] for place in range(40) for end in (0.0, 3.3)])
    atoms = Atoms("Ar88", positions=np.vstack([dense, pairs]))
    atoms.rattle(0.1, seed=0)
    source = "analytic:sutton-chen?cutoff=4.8"
    truth = decompose(atoms, source, max_order=4, cutoff=4.8).contribution.values[0]
    runs = [decompose(atoms, source, max_order=4, sampling=Sampling(120, seed=seed)) for seed in range(200)]
    estimates, errors = (np.array([run[name].values[0] for run in runs]) for name in ("contribution", "noise"))
    covered = (np.abs(estimates - truth) <= 1.96 * errors + 1e-9).sum(axis=0)
    assert (covered >= 180).all(), covered


def test_connected_samples_waste_nothing_on_what_is_far():
    """The same number of draws, with and without the claim of the cutoff."""
    atoms = on_a_grid("Ar", 64, spacing=3.5, shift=0.15, per_edge=4)
    known = load_source(CUT)
    silent = load_source(CUT)
    silent.cutoff = None
    errors = [
        np.mean(
            [decompose(atoms, source, max_order=4, sampling=Sampling(400, seed=s)).noise.values[0, 3] for s in range(5)]
        )
        for source in (known, silent)
    ]
    assert errors[0] < 0.6 * errors[1]


def test_forces_and_stress_of_a_sampled_cell_are_unbiased():
    atoms, _ = crystals("cell")
    exact = decompose(atoms, CUT, max_order=3, forces=True)
    runs = [decompose(atoms, CUT, max_order=3, forces=True, sampling=Sampling(40, seed=seed)) for seed in range(100)]
    for name in ("sites/force_contribution", "cells/stress_contribution"):
        found = np.array([run[name].values for run in runs])
        error = found.std(axis=0, ddof=1) / 10
        assert (np.abs(found.mean(axis=0) - exact[name].values) < 4.5 * error + 1e-9).all()


def test_sub_clusters_of_a_sampled_cell_are_kept_with_their_cells():
    atoms, _ = crystals("cell")
    result = decompose(atoms, CUT, max_order=3, subsets=True, sampling=Sampling(40))
    exact = decompose(atoms, CUT, max_order=3, subsets=True)

    def named(dataset):
        rows = zip(
            dataset.subsets.subset_members.values.tolist(), dataset.subsets.subset_cells.values.tolist(), strict=True
        )
        names = [tuple((body, *cell) for body, cell in zip(*row, strict=True) if body >= 0) for row in rows]
        return dict(zip(names, dataset.subsets.subset_contribution.values, strict=True))

    known = named(exact)
    for name, contribution in named(result).items():
        assert contribution == pytest.approx(known[name], abs=1e-9)
