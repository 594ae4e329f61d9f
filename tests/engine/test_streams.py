"""A largest order that is too large to be kept: the same orders, forces and noise as where it is kept."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor
from bodyorder.engine.planning import plan
from bodyorder.engine.selection import Selection
from bodyorder.sources.protocol import Evaluation, FailedClusters
from bodyorder.sources.registry import load_source

MANY = "analytic:sutton-chen?cutoff=3.6"


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    return atoms


def chain():
    positions = np.arange(14)[:, None] * [1.3, 0.4, 0.0]
    return Atoms("H14", positions=positions + np.random.default_rng(0).normal(0, 0.1, (14, 3)))


def waters():
    box = Atoms(cell=[4.0, 4.5, 5.0], pbc=True)
    for place in ([0, 0, 0], [2, 2, 2.4]):
        one = molecule("H2O")
        one.positions += place
        box += one
    return box


CASES = {
    "periodic": (silicon(), {"max_order": 3}),
    "free": (chain(), {"max_order": 4, "cutoff": 3.6}),
    "all": (chain()[:6], {"cutoff": 3.6}),
    "molecules": (waters(), {"max_order": 3, "bodies": "molecules"}),
}


@pytest.fixture
def small(monkeypatch):
    """Orders of more than 5 sub-clusters are streamed, in small pieces."""
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 5)
    monkeypatch.setattr("bodyorder.subsets.growth.CHUNK", 200)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("store", [None, ":memory:"])
def test_results_are_those_of_orders_that_are_kept(name, store, monkeypatch):
    structure, options = CASES[name]
    kept = decompose(structure, MANY, forces=True, store=store, **options)
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 5)
    monkeypatch.setattr("bodyorder.subsets.growth.CHUNK", 200)
    pieces = Selection(options.get("max_order"), options.get("bodies", "atoms"), options.get("cutoff")).pieces(
        [structure], load_source(MANY)
    )
    assert pieces[0].family.streams == (name != "all")  # of six bodies there is one set of all
    streamed = decompose(structure, MANY, forces=True, store=store, **options)
    for variable in kept.data_vars:
        if kept[variable].dtype.kind == "f":
            atol = max(1e-10, 1e-12 * float(np.abs(np.nan_to_num(kept[variable])).max()))
            np.testing.assert_allclose(streamed[variable], kept[variable], rtol=1e-12, atol=atol, err_msg=str(variable))
        else:
            np.testing.assert_array_equal(streamed[variable], kept[variable])


def test_several_structures_and_workers(small):
    frames = [silicon(), chain(), silicon()]
    alone = [decompose(frame, MANY, max_order=3, cutoff=3.6, forces=True) for frame in frames]
    with open_executor(2) as pool:
        together = decompose(frames, MANY, max_order=3, cutoff=3.6, forces=True, executor=pool)
    for row, one in enumerate(alone):
        np.testing.assert_allclose(together.contribution[row], one.contribution[0], atol=1e-10)
        inside = together.sites.site_structure.values == row
        np.testing.assert_allclose(
            together.sites.force_contribution[:, inside], one.sites.force_contribution, atol=1e-10
        )


def test_sub_clusters_that_are_kept_are_all_there(small):
    result = decompose(silicon(), MANY, max_order=3, subsets=True)
    expected = decompose(silicon(), MANY, max_order=3)
    orders = [
        result.subsets.subset_contribution.values[result.subsets.subset_order == order].sum() for order in (1, 2, 3)
    ]
    np.testing.assert_allclose(orders, expected.contribution.values[0], atol=1e-10)


class Failing:
    """Fails for triples, and knows how uncertain the others are."""

    def __init__(self):
        inner = load_source(MANY)
        self.inner, self.name, self.fingerprint = inner, "failing", "failing"
        self.cutoff, self.precision = inner.cutoff, inner.precision

    def energies(self, batch):
        return self.evaluate(batch, False).energies

    def evaluate(self, batch, forces):
        energies = self.inner.energies(batch)
        if batch.n_atoms == 3:
            energies[0] = np.nan
            raise FailedClusters({0: "too hard"}, energies)
        return Evaluation(energies, records={"uncertainty": np.full(len(batch), 2e-3)})


def test_what_fails_or_is_uncertain_is_counted(small):
    failing = Failing()
    result = decompose(silicon(), failing, max_order=3)
    assert np.isfinite(result.contribution.values[0, :2]).all()
    assert np.isnan(result.contribution.values[0, 2])
    assert int(result.n_failed[0, 2]) > 0
    assert "too hard" in result.failure.values[0]
    pairs = decompose(silicon(), failing, max_order=2)
    n_pairs = int(pairs.n_uncertain[0, 1])
    assert n_pairs == int(pairs.n_evaluations[0]) - 8
    assert float(pairs.noise[0, 1]) == pytest.approx(
        np.sqrt(n_pairs * 4e-6 + 4e-6 * (np.bincount(_ends(silicon(), 3.6)) ** 2).sum()), rel=1e-9
    )


def _ends(atoms, cutoff):
    """The atom at either end of each pair; one energy of an atom counts once for each pair that it is in."""
    from ase.neighborlist import neighbor_list

    return neighbor_list("i", atoms, cutoff)


def test_a_plan_of_orders_that_are_streamed(monkeypatch):
    source, selection = load_source(MANY), Selection(max_order=3)
    kept = plan([silicon()], source, selection)
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 5)
    streamed = plan([silicon()], source, selection)
    np.testing.assert_array_equal(streamed.n_clusters, kept.n_clusters)
    np.testing.assert_allclose(streamed.expected_noise, kept.expected_noise, rtol=1e-2)


def test_a_million_triples_leave_no_trace_in_memory(tmp_path):
    """The largest order of 1,728 atoms has 1.2 million sub-clusters; the process grows by less than they would take."""
    import subprocess
    import sys

    script = tmp_path / "run.py"
    script.write_text(
        "import numpy as np\n"
        "import bodyorder.subsets.graphs as graphs\n"
        "from ase.build import bulk\n"
        "from bodyorder import decompose\n"
        "from bodyorder.engine.timing import peak_megabytes\n"
        "graphs.HELD = 2**14\n"
        "from bodyorder.sources import Capabilities, Precision\n"
        "class Counts:\n"
        "    name, fingerprint, cutoff = 'counts', 'counts', 6.0\n"
        "    precision, capabilities = Precision(), Capabilities(batch_size=4096)\n"
        "    def energies(self, batch):\n"
        "        return np.full(len(batch), float(batch.n_atoms**2))\n"
        "decompose(bulk('Si', cubic=True), Counts(), max_order=3)\n"
        "before = peak_megabytes()\n"
        "result = decompose(bulk('Si', cubic=True).repeat(6), Counts(), max_order=3)\n"
        "print(int(result.n_evaluations[0]), peak_megabytes() - before)\n"
    )
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    count, grown = printed.split()
    assert int(count) > 1_200_000
    # members, parts and energies of all would be 38 MB of their own, and three times as much on the way
    assert float(grown) < 130


def test_too_many_to_keep_are_said(monkeypatch):
    monkeypatch.setattr("bodyorder.subsets.graphs.MAX_BYTES", 2**9)
    with pytest.raises(InputError, match=r"a connected family must fit in .* to order 3 does not; lower max_order"):
        decompose(silicon(), MANY, max_order=3, subsets=True)
