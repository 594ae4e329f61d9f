"""What sources know of states, on its way through workers and store into results and noise."""

import numpy as np
import pytest
from ase import Atoms
from geometries import square

from bodyorder._checks import ComputationError
from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor
from bodyorder.results.files import load, save
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.registry import load_source
from bodyorder.structures import ClusterBatch


class Knowing(EnergySource):
    """Energies of Sutton and Chen, and records that follow from the number and places of the atoms."""

    name = fingerprint = "knowing"
    cutoff = None
    precision = Precision(absolute=0.0)
    capabilities = Capabilities(records=("multiplicity", "gap", "uncertainty"), batch_size=7)

    def energies(self, batch):
        return load_source("analytic:sutton-chen").energies(batch)

    def evaluate(self, batch, forces):
        k = batch.n_atoms
        records = {"multiplicity": np.full(len(batch), k % 2 + 1.0), "gap": np.ptp(batch.positions[:, :, 0], axis=1)}
        if k > 2:
            records["uncertainty"] = np.full(len(batch), 10.0**-k)
        return Evaluation(self.energies(batch), records=records)


class Wrong(Knowing):
    name = fingerprint = "wrong"

    def __init__(self, records):
        self._records = records

    def evaluate(self, batch, forces):
        return Evaluation(self.energies(batch), records=self._records)


@pytest.fixture
def clusters():
    rng = np.random.default_rng(3)
    return [Atoms(f"H{n}", positions=rng.uniform(0.01, 0.02, (n, 3)) + np.arange(n)[:, None]) for n in (4, 3)]


def test_records_reach_the_result(clusters, tmp_path):
    first = decompose(clusters, Knowing(), subsets=True, store=tmp_path / "store")
    again = decompose(clusters, Knowing(), subsets=True, store=tmp_path / "store")
    assert again.n_evaluations.sum() == 0
    for result in (first, again, load(save(first, tmp_path / "r.nc"))):
        order = result.subsets.subset_order.values
        np.testing.assert_array_equal(result.subsets.subset_multiplicity, order % 2 + 1)
        np.testing.assert_array_equal(result.subsets.subset_uncertainty, np.where(order > 2, 10.0**-order, np.nan))
        for row in np.flatnonzero(order == 2):
            atoms = clusters[int(result.subsets.subset_structure[row])]
            members = [int(body) for body in result.subsets.subset_members[row] if body >= 0]
            assert float(result.subsets.subset_gap[row]) == pytest.approx(np.ptp(atoms.positions[members, 0]))
        # a single atom extends over nothing; triples lie on the edge of what counts as uncertain
        assert result.n_degenerate.values.tolist() == [[4, 0, 0, 0], [3, 0, 0, 0]]
        assert result.n_uncertain.values.sum() == 0
        assert result.n_failed.values.sum() == 0
        assert "n_contaminated" not in result


def test_uncertainties_enter_the_noise(clusters):
    noise = decompose(clusters, Knowing()).noise
    np.testing.assert_allclose(noise[1], [0, 0, 1e-3, 0], atol=1e-18)
    # order 4 holds four triples with weight −1 and the whole once
    np.testing.assert_allclose(noise[0], [0, 0, 2e-3, np.sqrt(4e-6 + 1e-8)], atol=1e-18)


def test_records_must_be_known_and_of_the_right_shape(clusters):
    with pytest.raises(ComputationError, match=r"wrong must give records among multiplicity, .* gave spin"):
        decompose(clusters, Wrong({"spin": np.zeros(3)}))
    with pytest.raises(ComputationError, match=r"wrong must give gap of shape \(7,\), gave \(3,\)"):
        decompose(clusters, Wrong({"gap": np.zeros(3)}))


def test_the_answers_of_pyscf_hold_multiplicities():
    """Square H4: a singlet in a minimal basis, a triplet in cc-pVDZ, and both agree that an atom is a doublet."""
    whole = ClusterBatch.from_atoms([square()])
    for basis, multiplicity in (("sto-6g", 1), ("cc-pvdz", 3)):
        found = load_source(f"pyscf:fci/{basis}?spin=ground").evaluate(whole, False)
        assert found.records["multiplicity"].tolist() == [multiplicity]


def test_records_come_back_from_workers():
    atoms = Atoms("H3", positions=[[0, 0, 0], [0.9, 0, 0], [0.3, 1.2, 0]])
    with open_executor(2) as executor:
        result = decompose(atoms, "pyscf:fci/sto-3g?spin=high", subsets=True, executor=executor)
    np.testing.assert_array_equal(result.subsets.subset_multiplicity, result.subsets.subset_order + 1)
