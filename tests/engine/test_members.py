"""Several energies of every sub-cluster: their orders are those of each by itself, their spread that of correlated errors."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from several_energies import Several

from bodyorder import decompose, join
from bodyorder._checks import ComputationError, InputError
from bodyorder.analysis import combine, group_members
from bodyorder.cli.members import print_members
from bodyorder.engine import Sampling
from bodyorder.engine.executors import open_executor
from bodyorder.report import Report, render_report
from bodyorder.results.files import load, save
from bodyorder.sources import Capabilities, analytic
from bodyorder.sources.protocol import Evaluation

METALS = tuple(
    analytic.SuttonChen(epsilon=0.1 + 0.02 * n, a=1.0 + 0.03 * n, c=8.0, n=7, m=6, cutoff=2.5) for n in range(4)
)
PAIRS, TRIPLES = analytic.LennardJones(epsilon=0.1, sigma=0.9), analytic.AxilrodTeller(nu=0.3)


def cluster(n, seed=0):
    rng = np.random.default_rng(seed)
    lattice = np.indices((3, 3, 3)).reshape(3, -1).T
    return Atoms(f"H{n}", 1.1 * (rng.permutation(lattice)[:n] + rng.uniform(-0.1, 0.1, (n, 3))))


def crystal():
    return bulk("Cu", "fcc", a=1.7) * (1, 1, 2)


CASES = {
    "complete": ([cluster(5), cluster(3, 1)], {}),
    "truncated": ([cluster(7)], {"max_order": 3}),
    "connected": ([cluster(7)], {"max_order": 4, "cutoff": 2.5}),
    "periodic": ([crystal()], {"max_order": 2}),
    "sampled": ([cluster(9)], {"sampling": Sampling(40), "max_order": 4}),
    "molecules": ([cluster(8)], {"bodies": [0, 0, 0, 1, 1, 2, 3, 3]}),
}


@pytest.mark.parametrize("name", CASES)
def test_orders_of_a_member_are_those_of_its_source_alone(name):
    structures, options = CASES[name]
    result = decompose(structures, Several(METALS, "ensemble"), members=True, **options)
    assert result.member_contribution.dims == ("structure", "order", "member")
    assert result.attrs["member_kind"] == "ensemble"
    for own, member in zip(METALS, result.member.values, strict=True):
        alone = decompose(structures, own, **options)
        found = result.sel(member=member)
        np.testing.assert_allclose(found.member_contribution, alone.contribution, rtol=1e-10, atol=1e-12)
        if name != "periodic":
            np.testing.assert_allclose(found.member_total, alone.total, rtol=1e-12, atol=1e-13)
    assert result.member_total.isnull().values.all() == (name == "periodic")


def test_streamed_orders_hold_them_too(monkeypatch):
    kept = decompose(cluster(9), Several(METALS, "ensemble"), members=True, max_order=4, cutoff=2.5)
    monkeypatch.setattr("bodyorder.subsets.graphs.HELD", 5)
    streamed = decompose(cluster(9), Several(METALS, "ensemble"), members=True, max_order=4, cutoff=2.5)
    np.testing.assert_allclose(streamed.member_contribution, kept.member_contribution, rtol=0, atol=1e-12)


def test_the_uncertainty_of_an_order_is_that_of_correlated_errors():
    """Members that differ by a factor: the spread of every order is exactly the spread of the factors times the order."""
    factors = np.array([0.8, 0.95, 1.0, 1.3])
    members = [analytic.LennardJones(epsilon=0.1 * factor, sigma=0.9) for factor in factors]
    result = decompose(cluster(6), Several(members, "ensemble"), members=True)
    spread = factors.std(ddof=1) / factors.mean()
    np.testing.assert_allclose(
        result.ensemble_uncertainty, spread * np.abs(result.contribution), rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(result.total_uncertainty, spread * np.abs(result.total), rtol=1e-12)
    # errors that were independent would fall with the root of the number of pairs
    assert result.ensemble_uncertainty.values[0, 1] > 2 * result.ensemble_uncertainty.values[0, 2:].max()


def test_spread_of_members_holds_no_rounding_of_what_all_have_in_common():
    """10⁸ eV for every sub-cluster in all members cancel in every difference."""

    class Heavy(Several):
        def evaluate_members(self, batch, forces):
            found = super().evaluate_members(batch, forces)
            return Evaluation(found.energies + 1e8, found.forces, members=found.members + 1e8)

    heavy = decompose(cluster(8), Heavy(METALS, "ensemble"), members=True)
    light = decompose(cluster(8), Several(METALS, "ensemble"), members=True)
    assert np.abs(heavy.contribution - light.contribution)[0, 1:].max() > 1e-7  # what all lose by rounding
    rounding = 2 * 70 * 2**-26  # half a last digit of 10⁸ for each of the energies, with coefficients up to 35
    assert np.abs(heavy.ensemble_uncertainty - light.ensemble_uncertainty).max() < 100 * rounding


def test_parts_whose_orders_are_known_have_those_alone():
    result = decompose(cluster(6), Several([PAIRS, TRIPLES], "parts"), members=True)
    pairs, triples = (result.member_contribution.sel(member=member).values[0] for member in ("m0", "m1"))
    np.testing.assert_allclose(pairs[2:], 0, atol=1e-12)
    np.testing.assert_allclose(np.delete(triples, 2), 0, atol=1e-12)
    assert abs(pairs[1]) > 0.01
    assert abs(triples[2]) > 0.001
    np.testing.assert_allclose(result.member_contribution.sum("member"), result.contribution, atol=1e-12)
    np.testing.assert_allclose(result.member_total.sum("member"), result.total, atol=1e-12)
    assert "ensemble_uncertainty" not in result


def test_parts_that_do_not_add_up_are_refused():
    class Wrong(Several):
        def evaluate_members(self, batch, forces):
            found = super().evaluate_members(batch, forces)
            found.members[:, 0] += 1e-6
            return found

    with pytest.raises(
        ComputationError, match=r"several parts must give parts that add up to its energy, and gives .* do without"
    ):
        decompose(cluster(4), Wrong([PAIRS, TRIPLES], "parts"), members=True)


def test_a_store_keeps_them_and_energies_alone_do_not_stand_for_them(tmp_path):
    path, structures = tmp_path / "energies.db", [cluster(5), cluster(5)]
    plain = decompose(structures, Several(METALS, "ensemble"), store=path)
    first = decompose(structures, Several(METALS, "ensemble"), members=True, store=path)
    assert first.n_evaluations.sum() == plain.n_evaluations.sum() > 0
    source = Several(METALS, "ensemble")
    again = decompose(structures, source, members=True, store=path)
    assert again.n_evaluations.sum() == source.calls == 0
    np.testing.assert_array_equal(again.member_contribution, first.member_contribution)
    forces = decompose(structures, Several(METALS, "ensemble"), members=True, forces=True, store=path)
    np.testing.assert_allclose(forces.member_contribution, first.member_contribution, rtol=0, atol=1e-13)
    assert decompose(structures, Several(METALS, "ensemble"), store=path).n_evaluations.sum() == 0


def test_congruent_sub_clusters_share_theirs(tmp_path):
    square = Atoms("H4", 1.1 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))
    kept = decompose(square, Several(METALS, "ensemble"), members=True, store=tmp_path / "a.db")
    assert kept.n_evaluations == 1 + 2 + 1 + 1
    every = decompose(square, Several(METALS, "ensemble"), members=True)
    np.testing.assert_allclose(kept.member_contribution, every.member_contribution, rtol=0, atol=1e-12)


def test_workers_send_them(tmp_path):
    source = Several(METALS, "ensemble")
    with open_executor(2, None) as executor:
        found = decompose(cluster(6), source, members=True, executor=executor)
    np.testing.assert_array_equal(
        found.member_contribution, decompose(cluster(6), source, members=True).member_contribution
    )


def test_a_failure_is_unknown_from_its_order_on():
    class Broken(Several):
        def evaluate_members(self, batch, forces):
            found = super().evaluate_members(batch, forces)
            if batch.n_atoms == 3:
                found.members[0, 1] = np.nan
            return found

    result = decompose(cluster(5), Broken(METALS, "ensemble"), members=True)
    assert "energy of an atom or member is not finite" in str(result.failure.values[0])
    known = np.isfinite(result.member_contribution.values[0]).all(axis=1)
    assert known.tolist() == [True, True, False, False, False]
    assert np.isfinite(result.member_total).all()


def test_what_cannot_be_asked_is_refused():
    source = Several(METALS, "ensemble")
    with pytest.raises(
        InputError, match=r"`members` need a source that gives them, analytic:pair.* gives energies only"
    ):
        decompose(cluster(3), PAIRS, members=True)
    with pytest.raises(
        InputError, match="`members` and `atom_energies` must be asked for one at a time, got both; run twice"
    ):
        decompose(cluster(3), source, members=True, atom_energies=True)
    for claims, message in (
        ({"members": ("a", "b")}, "`member_kind` must be one of ensemble, heads, parts, got ''"),
        ({"members": ("a",), "member_kind": "heads"}, "`members` must be two different names or more, got a"),
        ({"members": ("a", "a"), "member_kind": "heads"}, "`members` must be two different names or more, got a, a"),
        ({"members": "ab", "member_kind": "heads"}, "`members` must be a tuple of names, got 'ab'"),
    ):
        with pytest.raises(InputError, match=message):
            Capabilities(**claims)

    class Short(Several):
        def evaluate_members(self, batch, forces):
            found = super().evaluate_members(batch, forces)
            found.members = found.members[:, :3]
            return found

    with pytest.raises(ComputationError, match=r"must give members of shape \(1, 4\), gave \(1, 3\)"):
        decompose(cluster(4), Short(METALS, "ensemble"), members=True, max_order=1, whole=False)


def test_files_parts_of_sets_and_sources_side_by_side(tmp_path):
    source, structures = Several(METALS, "ensemble"), [cluster(5), cluster(3, 1)]
    both = decompose(structures, source, members=True)
    save(both, tmp_path / "a.nc")
    xr.testing.assert_identical(load(tmp_path / "a.nc").member_contribution, both.member_contribution)
    joined = join([decompose(structure, source, members=True) for structure in structures])
    for name in ("member_contribution", "member_total", "ensemble_uncertainty", "total_uncertainty"):
        np.testing.assert_array_equal(joined[name], both[name])
        assert joined[name].attrs == both[name].attrs
        assert both[name].attrs["units"] == "eV"
    assert joined.attrs["member_kind"] == "ensemble"
    few = decompose(structures[0], source, members=True).isel(member=[0, 1])
    with pytest.raises(InputError, match="must have the same members, '1' and '0' differ in m2, m3"):
        join([decompose(structures[1], source, members=True), few])
    with pytest.raises(InputError, match="`member_kind`"):
        join([both, decompose(structures[0], source)])
    beside = combine({"ensemble": both, "one": decompose(structures, METALS[0])})
    assert beside.ensemble_uncertainty.dims == ("source", "structure", "order")
    assert "member_contribution" not in beside
    picked = both.mbe.structure("1")
    np.testing.assert_array_equal(picked.member_contribution, both.member_contribution[1:])


def test_frames_have_a_column_for_each_member():
    result = decompose([cluster(5), cluster(3, 1)], Several(METALS, "ensemble"), members=True)
    frame = result.mbe.members()
    assert frame.columns.tolist() == ["structure", "order", "m0", "m1", "m2", "m3", "uncertainty"]
    assert len(frame) == 5 + 3
    np.testing.assert_allclose(frame["uncertainty"], frame[["m0", "m1", "m2", "m3"]].std(axis=1, ddof=1))
    assert "±" in repr(result.mbe)
    with pytest.raises(
        InputError, match="a frame of members must come from a result with members; decompose with members=True"
    ):
        decompose(cluster(3), METALS[0]).mbe.members()


def test_means_of_groups_pages_and_tables(capsys):
    structures = [cluster(4), cluster(5, 1), cluster(3, 2)]
    for atoms, group in zip(structures, ("a", "a", "b"), strict=True):
        atoms.info["group"] = group
    result = decompose(structures, Several(METALS, "ensemble"), members=True)
    found = group_members(result)
    sizes = np.array([4, 5, 3])
    totals = result.member_contribution.values / sizes[:, None, None]
    np.testing.assert_allclose(found.group_member_contribution.sel(group="a"), totals[:2].mean(axis=0), atol=1e-14)
    spread = result.ensemble_uncertainty.values / sizes[:, None]
    wanted = np.sqrt((spread[:2] ** 2).mean(axis=0))
    np.testing.assert_allclose(found.group_ensemble_uncertainty.sel(group="a"), wanted, atol=1e-14)
    page = render_report(Report("Members", result))
    assert 'id="members"' in page
    assert "standard deviation over the members" in page
    other = decompose(structures, METALS[0])
    beside = render_report(Report("Members", {"several": result, "one": other}))
    assert "standard deviation over the members" in beside
    assert "of each member" not in beside
    assert 'id="members"' not in render_report(Report("None", other))
    with pytest.raises(InputError, match="members must come from a result with members; decompose with members=True"):
        group_members(other)
    print_members(result)
    printed = capsys.readouterr().out
    assert "members of the ensemble, eV per body, a, mean of 2" in printed
    assert "members of the ensemble, eV per body, b" in printed
    assert f"{totals[:2, 1, 0].mean():+.6f}" in printed
    print_members(decompose(crystal(), Several(METALS, "ensemble"), members=True, max_order=2))
    assert "no total of members: sources give energies of periodic cells alone" in capsys.readouterr().out
    print_members(other)
    assert capsys.readouterr().out == ""
