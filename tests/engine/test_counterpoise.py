"""Schemes of counterpoise: random energies of subsets in the functions of supersets, held against QCManyBody."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from geometries import scattered
from qcelemental.models import Molecule
from qcmanybody.core import ManyBodyCore
from qcmanybody.utils import delabeler

from bodyorder._checks import InputError
from bodyorder.engine import decompose
from bodyorder.engine.counterpoise import parts
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision


def energy(present, lent):
    """A random number that knows which bodies are there, and whose functions."""
    text = f"{sorted(int(body) for body in present)}{sorted(int(body) for body in lent)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48 - 0.5


class Table(EnergySource):
    """Energies that depend on the atoms' places in the structure; bodies of ``size`` atoms."""

    name = fingerprint = "table"
    cutoff = None
    precision = Precision(absolute=1e-3)

    def __init__(self, scheme, size=1):
        self.size = size
        self.capabilities = Capabilities(records=("uncertainty",), batch_size=5, counterpoise=scheme)

    def evaluate(self, batch, forces):
        values = [
            energy(set(members // self.size), set(ghosts // self.size))
            for members, ghosts in zip(batch.members, batch.ghosts, strict=True)
        ]
        return Evaluation(np.array(values), records={"uncertainty": np.full(len(batch), 2e-3)})

    def energies(self, batch):
        return self.evaluate(batch, False).energies


def qcmanybody(scheme, n_bodies):
    core = ManyBodyCore(
        Molecule(
            symbols=["He"] * n_bodies,
            geometry=np.arange(3.0 * n_bodies).reshape(-1, 3),
            fragments=[[body] for body in range(n_bodies)],
        ),
        [scheme],
        dict.fromkeys(range(1, n_bodies + 1), "m"),
        return_total_data=True,
        supersystem_ie_only=False,
        embedding_charges=None,
    )
    components = {}
    for _, label, _ in core.iterate_molecules():
        _, present, basis = delabeler(label)
        there, lent = {body - 1 for body in present}, {body - 1 for body in set(basis) - set(present)}
        components[label] = {"energy": energy(there, lent)}
    return core.analyze(components)["results"]


@pytest.mark.parametrize("n_bodies", [2, 4, 5])
@pytest.mark.parametrize(("scheme", "theirs"), [("none", "nocp"), ("full", "cp"), ("vmfc", "vmfc")])
def test_order_totals_agree_with_qcmanybody(scheme, theirs, n_bodies):
    result = decompose(Atoms(f"He{n_bodies}", positions=4.0 * np.arange(3 * n_bodies).reshape(-1, 3)), Table(scheme))
    expected = qcmanybody(theirs, n_bodies)
    for order in range(2, n_bodies + 1):
        value = expected[f"{theirs}_corrected_{order}_body_contribution_to_energy"]
        assert float(result.contribution.sel(order=order)[0]) == pytest.approx(value, abs=1e-12)
    everything = set(range(n_bodies))
    alone = [energy({body}, everything - {body} if scheme == "full" else ()) for body in range(n_bodies)]
    assert float(result.contribution.sel(order=1)[0]) == pytest.approx(sum(alone), abs=1e-12)
    assert float(result.total[0]) == energy(everything, ())
    assert result.attrs["counterpoise"] == scheme


@pytest.mark.parametrize(("scheme", "count"), [("none", 15), ("full", 15), ("vmfc", 65)])
def test_what_is_evaluated(scheme, count):
    clusters = scattered(8, spread=9, symbol="He")
    result = decompose(clusters, Table(scheme, size=2), bodies=[0, 0, 1, 1, 2, 2, 3, 3], subsets=True)
    assert int(result.n_evaluations[0]) == count
    for row in range(15):
        present = {int(body) for body in result.subsets.subset_members[row] if body >= 0}
        lent = {0, 1, 2, 3} - present if scheme == "full" else ()
        assert float(result.subsets.subset_energy[row]) == energy(present, lent)


@pytest.mark.parametrize("n_bodies", [2, 3, 5])
@pytest.mark.parametrize("serial", [False, True])
def test_each_energy_once(tmp_path, n_bodies, serial):
    """Of N different bodies there are 3^N − 2^N pairs of bodies that are there and bodies that lend: Σ_S (2^|S| − 1)."""

    class Counting(Table):
        def __init__(self, scheme):
            super().__init__(scheme)
            self.capabilities, self.asked = replace(self.capabilities, serial=serial), []

        def evaluate(self, batch, forces):
            self.asked += zip(map(tuple, batch.members.tolist()), map(tuple, batch.ghosts.tolist()), strict=True)
            return super().evaluate(batch, forces)

    different = Atoms(
        ["H", "Li", "B", "Ne", "C"][:n_bodies], positions=np.random.default_rng(1).normal(scale=4, size=(n_bodies, 3))
    )
    first, store = Counting("vmfc"), tmp_path / "energies.sqlite"
    result = decompose(different, first, store=store)
    assert len(first.asked) == len(set(first.asked)) == 3**n_bodies - 2**n_bodies
    assert int(result.n_evaluations[0]) == len(first.asked)
    for scheme in ("vmfc", "full", "none"):
        again = Counting(scheme)
        decompose(different, again, store=store, dissociation=False)
        decompose(different, again, store=store, dissociation=False, max_order=2)
        assert again.asked == []
    unstored = Counting("vmfc")
    decompose(different, unstored)
    assert sorted(unstored.asked) == sorted(first.asked)


def test_noise_counts_every_energy_once():
    """σ² of one energy is 10⁻⁶ + 4·10⁻⁶; ε of a pair after Valiron and Mayer holds 3 energies, of a triple 7."""
    result = decompose(Atoms("He3", positions=4.0 * np.arange(9).reshape(3, 3)), Table("vmfc"))
    np.testing.assert_allclose(result.noise[0], np.sqrt(5e-6 * np.array([3, 3 * 3, 7])))
    plain = decompose(Atoms("He3", positions=4.0 * np.arange(9).reshape(3, 3)), Table("none"))
    np.testing.assert_allclose(plain.noise[0], np.sqrt(5e-6 * np.array([3, 3 + 4 * 3, 1 + 3 + 3])))
    assert plain.n_uncertain.values.tolist() == [[3, 3, 1]]


def test_truncated_and_cut_by_distance():
    """Orders up to 2 need no triples, and pairs beyond the cutoff are left out; the whole structure is evaluated plain."""
    line = Atoms("He4", positions=[[3.0 * place, 0, 0] for place in range(4)])
    result = decompose(line, Table("vmfc"), max_order=2, cutoff=4.0)
    assert int(result.n_evaluations[0]) == 4 + 3 * 3 + 1
    pairs = [energy({i, i + 1}, ()) - energy({i}, {i + 1}) - energy({i + 1}, {i}) for i in range(3)]
    assert float(result.contribution[0, 1]) == pytest.approx(sum(pairs), abs=1e-12)
    assert float(result.total[0]) == energy({0, 1, 2, 3}, ())


def test_lent_bodies_are_all_others_and_never_those_present():
    for scheme in ("full", "vmfc"):
        for present, lent in parts(scheme, np.array([[0, 2, 5], [1, 3, 4]]), 7):
            together = np.concatenate([present, lent], axis=1)
            assert all(len(set(row)) == len(row) for row in together.tolist())
            assert together.shape[1] == (7 if scheme == "full" else 3)


def test_forces_are_refused():
    class Forces(Table):
        def __init__(self, scheme):
            super().__init__(scheme)
            self.capabilities = replace(self.capabilities, forces=True)

        def energies_and_forces(self, batch):
            raise NotImplementedError

    with pytest.raises(InputError, match="`forces` need a source without counterpoise correction, got table"):
        decompose(Atoms("He2", positions=[[0, 0, 0], [0, 0, 3]]), Forces("full"), forces=True)
