"""Order totals from samples: right within their errors, to a requested error, seeded and resumable."""

import numpy as np
import pytest
from ase import Atoms

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import Sampling, Store, decompose

THREE_BODY = "analytic:axilrod-teller"
MANY_BODY = "analytic:sutton-chen"


@pytest.fixture(scope="module")
def cluster():
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:18]
    return Atoms("Ar18", positions=3.5 * grid + np.random.default_rng(0).normal(0, 0.15, (18, 3)))


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
    coarse = decompose(cluster, MANY_BODY, max_order=4, sampling=Sampling(64, error=1e-2, seed=3))
    assert int(coarse.n_evaluations[0]) < int(result.n_evaluations[0]) + 1000


def test_a_second_run_finds_everything_in_the_store(cluster, tmp_path):
    options = {"max_order": 3, "sampling": Sampling(100, seed=5), "subsets": True, "store": tmp_path / "s"}
    first, second = decompose(cluster, THREE_BODY, **options), decompose(cluster, THREE_BODY, **options)
    assert int(second.n_evaluations[0]) == 0
    np.testing.assert_array_equal(first.contribution, second.contribution)
    with Store(tmp_path / "s") as store:
        assert len(store) == first.sizes["subset"] + 1 - 17  # one atom for all; and the whole cluster


def test_forces_are_unbiased_too(cluster):
    exact = decompose(cluster, THREE_BODY, max_order=3, forces=True).force_contribution.values
    runs = [
        decompose(
            cluster, THREE_BODY, max_order=3, forces=True, sampling=Sampling(100, seed=seed)
        ).force_contribution.values
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


def test_an_error_out_of_reach_is_said():
    cloud = Atoms("Ar100", positions=np.random.default_rng(1).uniform(0, 30, (100, 3)))
    with pytest.raises(ComputationError, match=r"an error of 1e-12 eV must be within reach of 2000000 draws, order 4"):
        decompose(cloud, MANY_BODY, max_order=4, sampling=Sampling(200, error=1e-12))
