import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from geometries import scattered

from bodyorder.engine import Sampling, decompose
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source


class Clocked(EnergySource):
    """A source that takes as long as its cost says, by a clock of its own, and keeps what it was asked."""

    name, fingerprint = "clocked", "clocked 1"
    precision = Precision(absolute=1e-3)

    def __init__(self, cost, cutoff=None, per_call=0.0):
        self.cost, self.cutoff, self.per_call = cost, cutoff, per_call
        self.now, self.asked = 0.0, []

    def clock(self):
        return self.now

    def energies(self, batch):
        self.asked.append((batch.n_atoms, len(batch)))
        self.now += self.per_call + len(batch) * self.cost(batch.n_atoms)
        return -np.ones(len(batch))


def line(n_atoms, spacing=1.0):
    return Atoms(f"H{n_atoms}", positions=np.arange(n_atoms)[:, None] * [spacing, 0.0, 0.0])


def planned(structures, source, budget=20.0, **options):
    return plan(structures, source, Selection(**options), budget=budget, clock=source.clock)


def test_counts_of_every_order():
    result = planned([line(5), line(3)], Clocked(lambda n: 1e-3))
    np.testing.assert_array_equal(result.order, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(result.n_clusters, [8, 13, 11, 5, 1])


def test_a_cheap_source_is_measured_throughout():
    source = Clocked(lambda n: 1e-3 * n**2)
    result = planned([line(8)], source)
    assert result.measured.all()
    np.testing.assert_allclose(result.seconds_per_cluster, 1e-3 * np.arange(1, 9) ** 2)
    np.testing.assert_allclose(result.core_seconds, result.n_clusters * result.seconds_per_cluster)
    assert source.now < 20


def test_a_batch_shows_what_batching_saves():
    result = planned([line(8)], Clocked(lambda n: 1e-6, per_call=1e-3), max_order=3)
    np.testing.assert_allclose(result.seconds_per_cluster[1:], 1e-6 + 1e-3 / np.array([8, 28, 56]))


def test_what_would_not_fit_the_budget_is_not_evaluated():
    """1, 10, 100 ms, 1 s and 10 s: four atoms twice would be 20 s of the 17.8 that are left."""
    source = Clocked(lambda n: 1e-3 * 10.0 ** (n - 1))
    result = planned([line(14)], source)
    np.testing.assert_array_equal(result.measured, np.arange(1, 15) <= 4)
    assert max(n_atoms for n_atoms, _ in source.asked) == 4
    assert source.now <= 20
    # Twice the four atoms are still exponential.
    np.testing.assert_allclose(result.seconds_per_cluster[:8], 1e-3 * 10.0 ** np.arange(8))
    assert (np.diff(result.seconds_per_cluster) > 0).all()


@pytest.mark.parametrize("power", [0, 1, 3, 7])
def test_extrapolation_is_monotone(power):
    source = Clocked(lambda n: 0.1 * n**power)
    result = planned([line(14)], source, budget=3.0)
    assert not result.measured.all()
    assert (np.diff(result.seconds_per_cluster) >= 0).all()
    assert np.isfinite(result.core_seconds).all()


def test_the_whole_is_priced_by_its_atoms():
    """A pair costs 8 ms; the whole of 200 atoms would be 8000 s and is not touched."""
    source = Clocked(lambda n: 1e-3 * n**3)
    result = planned([line(200)], source, max_order=2)
    np.testing.assert_array_equal(result.order, [0, 1, 2])
    np.testing.assert_array_equal(result.n_clusters, [1, 200, 19_900])
    np.testing.assert_array_equal(result.measured, [False, True, True])
    assert max(n_atoms for n_atoms, _ in source.asked) == 2
    assert float(result.seconds_per_cluster[0]) > 1e3 * float(result.seconds_per_cluster[2])


def test_a_cheap_whole_is_run_once_to_warm_up_and_once_for_the_figure():
    source = Clocked(lambda n: 1e-3 * n)
    result = planned([line(40)], source, max_order=2)
    assert result.measured.all()
    assert source.asked.count((40, 1)) == 2
    assert float(result.seconds_per_cluster[0]) == pytest.approx(0.04)
    assert float(result.expected_noise[0]) == 0


def test_a_first_run_that_spends_the_budget_is_the_figure():
    source = Clocked(lambda n: 30.0 * n)
    result = planned([line(4)], source)
    assert source.asked == [(1, 1)]
    assert result.measured.values.tolist() == [True, False, False, False]
    assert float(result.seconds_per_cluster[0]) == 30


def test_a_large_family_is_not_cut_to_time_a_few_rows():
    source = Clocked(lambda n: 1e-4)
    source.capabilities = replace(source.capabilities, batch_size=16)
    result = planned([line(20)], source)
    assert result.measured.all()
    assert int(result.n_clusters.sum()) == 2**20 - 1
    assert max(rows for _, rows in source.asked) == 16


def test_bodies_of_several_atoms():
    labels = np.repeat(np.arange(4), 3)
    source = Clocked(lambda n: 1e-3 * n)
    result = planned([line(12)], source, bodies=labels)
    np.testing.assert_allclose(result.seconds_per_cluster, 3e-3 * np.arange(1, 5))
    np.testing.assert_array_equal(result.n_clusters, [4, 6, 4, 1])


def test_orders_that_no_subcluster_reaches_are_left_out():
    atoms = line(12)
    atoms.positions[:, 1] = 20.0 * (np.arange(12) // 3)
    result = planned([atoms], Clocked(lambda n: 1e-3, cutoff=1.5), cutoff=1.5)
    np.testing.assert_array_equal(result.order, [0, 1, 2, 3])
    np.testing.assert_array_equal(result.n_clusters, [1, 12, 8, 4])
    assert np.isfinite(result.expected_noise).all()


def test_noise_is_that_of_independent_errors():
    """A pair is E(ab) − E(a) − E(b): √(3 + 3·2²)σ for the three pairs of three bodies."""
    result = planned([line(3)], Clocked(lambda n: 1e-3))
    np.testing.assert_allclose(result.expected_noise, 1e-3 * np.sqrt([3, 3 + 3 * 4, 1 + 3 + 3]))


class Silent(EnergySource):
    """All energies are zero within 1 eV: contributions do not scatter, and noise is that of the energies alone."""

    name, fingerprint, cutoff, precision = "silent", "silent", None, Precision(absolute=1.0)

    def energies(self, batch):
        return np.zeros(len(batch))


def test_the_noise_of_a_sample_is_that_of_energies_as_they_count_in_it():
    options = {"max_order": 3, "sampling": Sampling(50)}
    result = plan([scattered(20, spread=8)], Silent(), Selection(**options))
    noise = decompose(scattered(20, spread=8), Silent(), **options).noise.values[0]
    np.testing.assert_allclose(result.expected_noise.sel(order=[1, 2, 3]), noise)
    assert noise[2] > 10 * np.sqrt(20)  # every triple drawn stands for many


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        (None, "none"),
        (Sampling(50), "once"),
        (Sampling(50, error=0.2), "until 0.2 eV"),
        (Sampling(5000, error=0.2), "none"),  # all sub-clusters
    ],
)
def test_what_is_sampled_is_said(sampling, said):
    result = plan([scattered(5, spread=8), scattered(12, spread=8)], Silent(), Selection(3, sampling=sampling))
    assert result.attrs["sampling"] == said


class Estimated(Clocked):
    """Says what a sub-cluster costs, in units of its own, and what it is given."""

    def __init__(self, cost, counterpoise="none"):
        super().__init__(None)
        self.cost, self.given = cost, set()
        self.capabilities = Capabilities(seconds=True, megabytes=True, counterpoise=counterpoise)

    def seconds(self, batch):
        return 50 * self.cost(batch.n_atoms, batch.ghosts.shape[1])

    def megabytes(self, batch, forces):
        return 100.0 + batch.n_atoms + 10 * batch.ghosts.shape[1] + 1000 * forces

    def energies(self, batch):
        self.given.add((batch.n_atoms, batch.ghosts.shape[1]))
        self.now += len(batch) * self.cost(batch.n_atoms, batch.ghosts.shape[1])
        return -np.ones(len(batch))


def steep(n_atoms, n_ghosts):
    return 1e-4 * 3.0 ** (n_atoms**1.5) * (1 + n_ghosts)


def test_what_the_source_estimates_is_believed_as_a_ratio():
    result = planned([line(8)], Estimated(steep))
    assert result.measured.values.tolist() == [True] * 4 + [False] * 4
    np.testing.assert_allclose(result.seconds_per_cluster, [steep(n, 0) for n in range(1, 9)])
    np.testing.assert_allclose(result.longest_seconds, result.seconds_per_cluster)


def test_functions_of_the_whole_structure_are_priced():
    source = Estimated(steep, "full")
    result = planned([line(6)], source)
    assert (2, 4) in source.given
    assert all(n_atoms + n_ghosts == 6 for n_atoms, n_ghosts in source.given)
    np.testing.assert_allclose(result.seconds_per_cluster, [steep(n, 6 - n) for n in range(1, 7)])
    np.testing.assert_array_equal(result.n_clusters, [6, 15, 20, 15, 6, 1])


def test_every_part_of_a_subset_is_priced_after_valiron_and_mayer():
    """The energies of all parts of a subset in its functions: of two bodies 2·E(1 | 1) + E(2)."""
    source = Estimated(steep, "vmfc")
    result = planned([line(4)], source)
    np.testing.assert_array_equal(result.n_clusters, [4, 6 * 3, 4 * 7, 15])
    of_two = 2 * steep(1, 1) + steep(2, 0)
    of_three = 3 * steep(1, 2) + 3 * steep(2, 1) + steep(3, 0)
    np.testing.assert_allclose(result.core_seconds[:3], [4 * steep(1, 0), 6 * of_two, 4 * of_three])
    assert float(result.core_seconds[3]) == pytest.approx(
        4 * steep(1, 3) + 6 * steep(2, 2) + 4 * steep(3, 1) + steep(4, 0)
    )
    assert float(result.longest_seconds[3]) == pytest.approx(steep(4, 0))
    # every contribution has energies of its own
    assert float(result.expected_noise[1]) == pytest.approx(1e-3 * np.sqrt(6 * 3))
    np.testing.assert_allclose(result.megabytes, [101, 111, 121, 131])


def test_memory():
    result = plan([line(4)], source := Estimated(steep), Selection(), forces=False, clock=source.clock)
    np.testing.assert_allclose(result.megabytes, [101, 102, 103, 104])
    assert (result.resident_megabytes[:2] > 20).all()
    assert planned([line(4)], Clocked(lambda n: 1e-3)).megabytes.isnull().all()


RESIDENT = """
import sys
import numpy as np
from ase import Atoms
from bodyorder.engine.timing import peak_megabytes
from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch
n_atoms = int(sys.argv[2])
positions = np.arange(n_atoms)[:, None] * [0.9, 0.3, 0.0] + np.arange(n_atoms)[:, None] % 2 * [0.0, 0.7, 0.4]
batch = ClusterBatch.from_atoms([Atoms(f"H{n_atoms}", positions=positions)])
source = load_source(sys.argv[1])
source.energies(batch)
print(source.megabytes(batch, False), peak_megabytes())
"""


@pytest.mark.parametrize(
    ("spec", "n_atoms"),
    [("pyscf:fci/6-31g?spin=ground", 6), ("pyscf:fci/sto-6g?spin=ground", 8), ("pyscf:uhf/cc-pvtz?spin=low", 6)],
)
def test_the_estimated_memory_is_that_of_a_process(spec, n_atoms):
    run = subprocess.run(
        [sys.executable, "-c", RESIDENT, spec, str(n_atoms)], capture_output=True, text=True, check=True
    )
    estimated, seen = map(float, run.stdout.split())
    assert seen / 3 < estimated < seen * 3


def test_a_periodic_structure_is_priced_per_cell():
    atoms = Atoms("H2", positions=[[0, 0, 0], [1.2, 0.1, 0]], cell=[3.0, 3.1, 3.2], pbc=True)
    result = planned([atoms], Clocked(lambda n: 1e-3, cutoff=3.05), cutoff=3.05, max_order=2)
    source = load_source("analytic:pair?cutoff=3.05")
    evaluated = decompose(atoms, source, cutoff=3.05, max_order=2).n_evaluations
    np.testing.assert_array_equal(result.order, [1, 2])
    assert int(result.n_clusters.sum()) == int(evaluated[0])
