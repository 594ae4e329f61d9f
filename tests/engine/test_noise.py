"""The error of single energies measured on replicas, and orders that are within it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from geometries import on_a_grid

from bodyorder._checks import InputError
from bodyorder.engine import Sampling, decompose
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source

TRIPLES = "analytic:axilrod-teller?epsilon=0.3&sigma=1.2"


class Rounded(EnergySource):
    """A three-body potential that adds up atoms in single precision, claims double, and may feel how a structure lies."""

    name, fingerprint, cutoff, precision = "rounded", "rounded", None, Precision(absolute=1e-14)

    def __init__(self, invariant=True):
        self.inner, self.slope = load_source(TRIPLES), 0.0 if invariant else 1e-3

    def energies(self, batch):
        energies = self.inner.energies(batch)[:, None]
        along = batch.positions[:, :, 0] - batch.positions[:, :, 0].mean(axis=1, keepdims=True)
        # energies of atoms far below that of the cluster, and parts of them that cancel
        atoms = (energies / batch.n_atoms - 1000.0 + along).astype(np.float32)
        spread = along.max(axis=1) - along.min(axis=1)
        return np.cumsum(atoms, axis=1)[:, -1].astype(np.float64) + self.slope * spread


def cluster(n_atoms=7):
    return on_a_grid("H", n_atoms, spacing=1.5, shift=0.1, per_edge=2)


def test_rounding_is_found_where_none_is_claimed():
    claimed = decompose(cluster(), Rounded())
    measured = decompose(cluster(), Rounded(), measure_noise=True)
    np.testing.assert_array_equal(measured.contribution, claimed.contribution)
    assert claimed.attrs["noise"] == "claimed by the source"
    assert measured.attrs["noise"].startswith("measured on replicas: ")
    # float32 near 4,000 eV rounds to steps of 2⁻¹² eV, an error of 7e-5 eV in each of several sums
    exact = decompose(cluster(), TRIPLES)
    off = (measured.contribution - exact.contribution).values[0, 3:]
    noise = measured.noise.values[0, 3:]
    assert (np.abs(off) < 4 * noise).all()
    assert 0.3 < np.sqrt(np.mean(off**2) / np.mean(noise**2)) < 2
    assert (claimed.noise.values[0, 3:] < 1e-9).all()


def test_orders_within_their_noise_are_marked():
    measured = decompose(cluster(), Rounded(), measure_noise=True)
    assert measured.above_noise.values[0].tolist() == [True, True, True, *[False] * 4]
    believed = decompose(cluster(), Rounded())
    assert believed.above_noise.values[0, 4:].all()  # of a three-body potential


def test_what_turning_does_to_a_model_that_is_not_invariant_is_part_of_it():
    for invariant, least, most in ((True, 0.0, 3e-4), (False, 2e-4, 3e-3)):
        result = decompose(cluster(4), Rounded(invariant), measure_noise=True)
        sigma = float(result.attrs["noise"].split("(2)")[0].split()[-2])
        assert least <= sigma <= most


def test_no_structure_speaks_for_all():
    """The second structure is larger in space, where this potential feels more how it lies."""
    small, large = cluster(3), cluster(3)
    large.positions *= 4
    sigmas = []
    for frames in ([small], [large], [small, large], [large, small]):
        result = decompose(frames, Rounded(invariant=False), measure_noise=True)
        sigmas.append(float(result.attrs["noise"].split("(2)")[0].split()[-2]))
    assert sigmas[1] > 2 * sigmas[0]
    assert all(sigmas[0] < sigma < sigmas[1] for sigma in sigmas[2:])


def test_double_precision_stays_what_it_is():
    claimed, measured = decompose(cluster(), TRIPLES), decompose(cluster(), TRIPLES, measure_noise=True)
    assert (measured.noise >= claimed.noise).all()
    assert float(measured.noise.max()) < 1e-9


def test_sources_that_round_coarsely_are_measured_unasked():
    source = Rounded()
    source.capabilities = Capabilities(single_precision=True)
    assert decompose(cluster(), source).attrs["noise"].startswith("measured")
    assert decompose(cluster(), source, measure_noise=False).attrs["noise"].startswith("claimed")


def test_streamed_sampled_and_by_workers(monkeypatch):
    source = Rounded()
    source.cutoff = 2.6
    expected = decompose(cluster(), source, max_order=3, cutoff=2.6, measure_noise=True)
    with ThreadPoolExecutor(2) as pool:
        found = decompose(cluster(), source, max_order=3, cutoff=2.6, measure_noise=True, executor=pool)
    np.testing.assert_allclose(found.noise, expected.noise, rtol=1e-12)
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 3)
    streamed = decompose(cluster(), source, max_order=3, cutoff=2.6, measure_noise=True)
    np.testing.assert_allclose(streamed.noise, expected.noise, rtol=0.5)  # other triples are copied
    sampled = decompose(cluster(), source, max_order=3, sampling=Sampling(10), measure_noise=True)
    assert (sampled.noise.values[0, 1:] > 1e-4).all()


@pytest.mark.parametrize(("measured", "rest"), [(False, "claimed by the source"), (True, "measured on replicas: ")])
def test_a_sample_says_that_its_error_is_noise(measured, rest):
    options = {"max_order": 3, "measure_noise": measured}
    sampled = decompose(cluster(), TRIPLES, sampling=Sampling(10), **options)
    assert sampled.attrs["noise"].startswith(f"the error of sampling, and what is {rest}")
    everything = decompose(cluster(), TRIPLES, sampling=Sampling(1000), **options)
    assert everything.attrs["noise"].startswith(rest)


def test_counterpoise_has_no_replicas():
    with pytest.raises(InputError, match="`measure_noise` needs a source without counterpoise"):
        decompose(cluster(2), "pyscf:uhf/sto-3g?spin=ground&counterpoise=full", measure_noise=True)
