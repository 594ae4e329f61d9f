"""The error of single energies measured on replicas, and orders that are within it."""

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.units import Hartree
from geometries import on_a_grid

from bodyorder._checks import InputError
from bodyorder.engine import Sampling, decompose
from bodyorder.sources.ase import tightening
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source

ARGON = {"epsilon": 0.0103, "sigma": 3.4, "rc": 9.0, "smooth": True}
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


class RoundedUnseen(Rounded):
    """Adds some float64 to it."""

    def energies(self, batch):
        return super().energies(batch) + np.pi * 1e-9


def cluster(n_atoms=7):
    return on_a_grid("H", n_atoms, spacing=1.5, shift=0.1, per_edge=2)


def test_rounding_is_found_where_none_is_claimed():
    claimed = decompose(cluster(), Rounded())
    measured = decompose(cluster(), Rounded(), measure_noise=True)
    np.testing.assert_array_equal(measured.contribution, claimed.contribution)
    assert claimed.attrs["noise"].startswith("claimed by the source; at least the rounding of float32 numbers")
    assert measured.attrs["noise"].startswith("measured on replicas: ")
    # float32 near 4,000 eV rounds to steps of 2⁻¹² eV, an error of 7e-5 eV in each of several sums
    exact = decompose(cluster(), TRIPLES)
    off = (measured.contribution - exact.contribution).values[0, 3:]
    noise = measured.noise.values[0, 3:]
    assert (np.abs(off) < 4 * noise).all()
    assert 0.3 < np.sqrt(np.mean(off**2) / np.mean(noise**2)) < 2
    # the sum alone is seen, not what it is added up from
    assert (claimed.noise.values[0, 1:] < measured.noise.values[0, 1:]).all()
    assert (claimed.noise.values[0, 3:] > 1e-4).all()


def test_orders_within_their_noise_are_marked():
    measured = decompose(cluster(), Rounded(), measure_noise=True)
    assert measured.above_noise.values[0].tolist() == [True, True, True, *[False] * 4]
    believed = decompose(cluster(), RoundedUnseen())
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


class Kinked(LennardJones):
    """Its slope changes by 20 meV/Å for each pair at the distance of one of them and a little more."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        beyond = argon().get_distance(0, 1) + 2e-4
        self.results["energy"] += (
            0.01 * np.abs(atoms.get_all_distances() - beyond)[np.triu_indices(len(atoms), 1)].sum()
        )


class Single(LennardJones):
    """Two thousand eV an atom, and the sum of all in float32."""

    unit = 1.0

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        self.results["energy"] = float(np.float32((self.results["energy"] - 2000 * len(atoms)) / self.unit)) * self.unit


class InHartree(Single):
    unit = Hartree


class Inside(LennardJones):
    """The same, energies of atoms in float32 and their sum in float64."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        shares = (self.results["energies"] - 2000).astype(np.float32)
        self.results["energy"] = float(shares.astype(np.float64).sum())


class Counted(LennardJones):
    """Counts its structures."""

    calls = 0

    def calculate(self, atoms=None, properties=None, system_changes=()):
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])
        type(self).calls += 1


class Iterating(Calculator):
    """Adds up Lennard-Jones pairs by a series of which it leaves out what is below a tolerance; one-sided, as energies of
    self-consistent fields are."""

    implemented_properties = ("energy",)
    default_parameters: ClassVar = {"tolerance": 1e-6}

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        pairs = atoms.get_all_distances()[np.triu_indices(len(atoms), 1)]
        powers = (3.4 / pairs) ** 6
        exact = 4 * 0.0103 * (powers**2 - powers).sum()
        # what is left of one iteration is a tenth of what was left before, and changes with the geometry
        left = 0.1 * abs(np.sin(exact * 1e3 + len(atoms)))
        while left > self.parameters["tolerance"]:
            left /= 10
        self.results["energy"] = exact + left * (len(atoms) > 1)


def noise_of(calculator, atoms=None, **options):
    return decompose(argon() if atoms is None else atoms, CalculatorSource(calculator), **options)


def argon(n_atoms=7):
    return on_a_grid("Ar", n_atoms, spacing=3.8, shift=0.1, per_edge=3)


@pytest.mark.parametrize("calculator", [LennardJones(**ARGON), Kinked(**ARGON)])
def test_calculators_that_claim_nothing_are_measured_and_float64_is_found(calculator):
    result = noise_of(calculator)
    assert result.attrs["noise"].startswith("measured on replicas: ")
    assert float(result.noise.max()) < 1e-11
    assert abs(result.contribution.values[0, 2:]).max() < 1e-11
    assert not result.above_noise.values[0, 2:].any()
    assert result.above_noise.values[0, 1]


def test_emt_is_found_to_compute_in_float64():
    result = decompose(on_a_grid("Cu", 7, spacing=2.5, shift=0.1, per_edge=2), EMT())
    assert float(result.noise.max()) < 1e-11
    assert result.attrs["noise"].startswith("measured on replicas: ")


@pytest.mark.parametrize("kind", [Single, InHartree, Inside])
def test_orders_of_pairs_in_float32_are_within_their_noise(kind):
    """Pairs end at order two: all beyond is rounding of 2,000 eV an atom, up to some meV."""
    result = noise_of(kind(**ARGON))
    contribution, noise = result.contribution.values[0], result.noise.values[0]
    assert np.abs(contribution[2:]).max() > 5e-4
    assert not result.above_noise.values[0, 2:].any()
    assert result.above_noise.values[0, 1]
    # and it is not far larger than what it is to tell of
    assert 0.15 < np.sqrt(np.mean((contribution[2:] / noise[2:]) ** 2)) < 2


@pytest.mark.parametrize("precision", [Precision(absolute=1e-9), Precision(relative=1e-12)])
def test_claims_below_what_energies_are_seen_to_be_rounded_to_do_not_count(precision):
    result = decompose(argon(), CalculatorSource(Single(**ARGON), precision=precision))
    assert result.attrs["noise"] == (
        "claimed by the source; at least the rounding of float32 numbers, which the energies are"
    )
    assert not result.above_noise.values[0, 2:].any()
    # a number of 2¹¹ to 2¹² eV is rounded to steps of 2⁻¹² eV; a lone atom has exactly 2,000
    assert result.noise.values[0, 1] == pytest.approx(2**-12 / np.sqrt(12) * np.sqrt(21), rel=1e-3)
    larger = decompose(argon(), CalculatorSource(Single(**ARGON), precision=Precision(absolute=0.1)))
    assert larger.noise.sel(order=1).values[0] == pytest.approx(0.1 * 7)  # atoms are alike, and rounded alike


def test_what_is_neither_claimed_nor_measured_is_unknown():
    result = noise_of(LennardJones(**ARGON), measure_noise=False)
    assert result.attrs["noise"] == "unknown (NaN): the source claims no precision, and none was measured"
    assert np.isnan(result.noise).all()
    assert not result.above_noise.any()
    assert np.isfinite(result.contribution).all()


def test_energies_that_fail_tell_nothing():
    class Fails(LennardJones):
        def calculate(self, atoms=None, properties=None, system_changes=()):
            raise ArithmeticError("no convergence")

    result = noise_of(Fails(**ARGON), argon(3))
    assert result.attrs["noise"] == "measured on replicas: unknown, as all energies failed (3)"
    assert np.isnan(result.noise).all()


@pytest.mark.parametrize(("n_atoms", "max_order"), [(2, None), (3, None), (7, None), (9, 4)])
def test_measuring_takes_one_line_or_a_tenth_of_the_energies(n_atoms, max_order):
    Counted.calls = 0
    n_clusters = int(
        noise_of(Counted(**ARGON), argon(n_atoms), max_order=max_order, whole=False, dissociation=False).n_evaluations[
            0
        ]
    )
    assert 9 <= Counted.calls - n_clusters <= max(9, 0.1 * n_clusters)


def test_workers_measure_what_one_process_does():
    expected = noise_of(Single(**ARGON))
    with ThreadPoolExecutor(2) as pool:
        found = noise_of(Single(**ARGON), executor=pool)
    np.testing.assert_array_equal(found.noise, expected.noise)
    assert found.attrs["noise"] == expected.attrs["noise"]


def test_energies_that_converge_are_asked_for_converged_tighter(monkeypatch):
    name = f"{Iterating.__module__}.{Iterating.__qualname__}"
    blind = noise_of(Iterating())
    monkeypatch.setitem(tightening.KNOBS, name, {"tolerance": 1e-5})
    seen = noise_of(Iterating())
    off = (seen.contribution - noise_of(Iterating(tolerance=1e-13)).contribution).values[0]
    assert "; by converging tighter: 0.0e+00 eV (1), " in seen.attrs["noise"]
    assert (np.abs(off[1:]) < 2 * seen.noise.values[0, 1:]).all()
    assert np.sqrt(np.mean((off[1:] / seen.noise.values[0, 1:]) ** 2)) > 0.1
    assert "tighter" not in blind.attrs["noise"]
    claimed = decompose(argon(), CalculatorSource(Iterating(), precision=Precision(absolute=1e-3)))
    assert claimed.attrs["noise"] == "claimed by the source"


def test_gfn2_is_known_as_well_as_it_converges():
    tblite = pytest.importorskip("tblite.ase")
    hydrogen = on_a_grid("H", 6, spacing=1.5, shift=0.1, per_edge=2)
    loose, tight = (
        noise_of(tblite.TBLite(method="GFN2-xTB", verbosity=0, accuracy=accuracy), hydrogen) for accuracy in (1.0, 1e-4)
    )
    off, noise = (loose.contribution - tight.contribution).values[0], loose.noise.values[0]
    assert np.abs(off).max() > 1e-9
    assert (np.abs(off) <= 2 * noise).all()
    assert (noise < 1e-6).all()
    assert (tight.noise.values < 1e-9).all()
