"""What orders depend on: against sums over reference energies, and on constructed results whose answer is known."""

import itertools

import ase
import numpy as np
import pytest
from ase.units import Hartree
from geometries import square
from references import reference
from trees import changed

from bodyorder._checks import InputError
from bodyorder.analysis import (
    combine,
    doubts,
    multiplicities,
    multiplicity_changes,
    order_changes,
    single_reference_errors,
)
from bodyorder.analysis.factors import exact_references, factors, pairs, series
from bodyorder.analysis.multiplicity import change_totals, state_totals
from bodyorder.engine import decompose
from bodyorder.sources import load_source
from bodyorder.structures.clusters import ClusterBatch

LOW, GROUND = "pyscf:fci/sto-6g?spin=low", "pyscf:fci/sto-6g?spin=ground"


def named_reference(name):
    atoms, subsets = reference(f"{name}_density_0")
    atoms.info = {"group": name, "name": name}
    return atoms, subsets


def order_totals(energies, n_bodies):
    """E⁽ⁿ⁾ by summing ε(S) = Σ (−1)^(|S|−|T|) E(T) subset by subset."""
    totals = np.zeros(n_bodies)
    for subset in energies:
        for size in range(1, len(subset) + 1):
            for part in itertools.combinations(subset, size):
                totals[len(subset) - 1] += (-1) ** (len(subset) - size) * energies[part]
    return totals


@pytest.fixture(scope="module")
def clusters():
    return {name: named_reference(name) for name in ("low", "high")}


@pytest.fixture(scope="module")
def by_spin(clusters):
    structures = [atoms for atoms, _ in clusters.values()]
    return combine({spec: decompose(structures, spec, subsets=True) for spec in (LOW, GROUND)})


def test_orders_change_with_the_spin_rule_as_the_reference_energies_say(by_spin, clusters):
    changes = order_changes(by_spin)
    assert changes["pair"].values.tolist() == ["spin low → ground (fci/sto-6g)"]
    assert (changes["from_source"].item(), changes["to_source"].item()) == (LOW, GROUND)
    for name, (_, subsets) in clusters.items():
        low, ground = (
            order_totals({members: subset[rule] * Hartree for members, subset in subsets.items()}, 8) / 8
            for rule in ("low_spin", "ground")
        )
        part = changes.sel(group=name).isel(pair=0)
        assert part["change_mean"].values == pytest.approx(ground - low, abs=1e-5)
        assert part["change_rms"].values == pytest.approx(abs(ground - low), abs=1e-5)
        assert float(part["change_total"]) == pytest.approx((ground - low).sum(), abs=1e-7)
    assert abs(changes["change_mean"].sel(group="high")).max() > 1


def test_sub_clusters_that_change_their_multiplicity_are_those_whose_reference_energies_differ(by_spin, clusters):
    changes = multiplicity_changes(by_spin, largest=30).isel(pair=0)
    expected = {
        (name, members): (subset["ground"] - subset["low_spin"]) * Hartree
        for name, (_, subsets) in clusters.items()
        for members, subset in subsets.items()
        if subset["low_spin"] - subset["ground"] > 1e-8
    }
    assert expected
    assert int(changes["n_changed"].sum()) == len(expected)
    assert int(changes["n_compared"].sum()) == 510
    named = {
        (str(row["changed_structure"].values), tuple(body for body in row["changed_members"].values if body >= 0)): row
        for rank in range(len(expected))
        for row in [changes.isel(rank=rank)]
    }
    assert named.keys() == expected.keys()
    for key, row in named.items():
        assert float(row["changed_energy"]) == pytest.approx(expected[key], abs=1e-6)
        assert (float(row["changed_from"]), float(row["changed_to"])) in {(1, 3), (2, 4), (1, 5)}
    assert changes["changed_structure"].values[len(expected) :].tolist() == [""] * (30 - len(expected))
    sizes = np.abs(changes["changed_energy"].values[: len(expected)])
    assert (np.diff(sizes) <= 0).all()
    for order in range(1, 9):
        own = [energy for (name, members), energy in expected.items() if len(members) == order and name == "high"]
        part = changes.sel(group="high", order=order)
        assert int(part["n_changed"]) == len(own)
        if own:
            assert float(part["changed_energy_mean"]) == pytest.approx(np.mean(own), abs=1e-6)
            assert float(part["changed_energy_largest"]) == pytest.approx(min(own), abs=1e-6)


def test_every_sub_cluster_has_a_multiplicity_that_its_rule_allows(by_spin):
    states = multiplicities(by_spin)
    sizes = [8, 28, 56, 70, 56, 28, 8, 1]
    assert (states["n_states"].sum("multiplicity") == sizes).all()
    assert not states["n_unknown"].any()
    low = states["n_states"].sel(source=LOW)
    assert int(low.sel(multiplicity=[1, 2]).sum()) == int(low.sum()) == 510
    parity = (states["order"] + states["multiplicity"]) % 2
    assert not states["n_states"].where(parity == 0, 0).any()


def test_states_and_their_changes_are_summed_over_sizes(by_spin, clusters):
    totals = state_totals(multiplicities(by_spin))
    assert totals["n_states_known"].values.tolist() == [510, 510]
    assert int(totals["n_high_spin"].sel(source=LOW)) == 0
    changes = change_totals(multiplicity_changes(by_spin)).isel(pair=0)
    lowered = {
        name: [(subset["low_spin"] - subset["ground"]) * Hartree for subset in subsets.values()]
        for name, (_, subsets) in clusters.items()
    }
    for name, energies in lowered.items():
        part = changes.sel(group=name)
        assert (int(part["n_changed"]), int(part["n_compared"])) == (sum(energy > 1e-7 for energy in energies), 255)
        expected = max(energies) if max(energies) > 1e-7 else np.nan
        assert float(part["changed_energy_size"]) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    # whatever is lower than the lowest spin allows is of a high spin
    assert int(totals["n_high_spin"].sel(source=GROUND)) == int(changes["n_changed"].sum())


@pytest.mark.parametrize("basis", ["6-31g", pytest.param("cc-pvdz", marks=pytest.mark.slow)])
def test_square_of_hydrogen_becomes_a_triplet_in_a_larger_basis(basis):
    specs = ("pyscf:fci/sto-6g?spin=ground", f"pyscf:fci/{basis}?spin=ground")
    results = combine({spec: decompose(square(), spec, subsets=True) for spec in specs})
    changes = multiplicity_changes(results).isel(pair=0)
    assert (changes["factor"].item(), changes["from"].item(), changes["to"].item()) == ("basis", "sto-6g", basis)
    assert changes["n_changed"].sel(group="all").values.tolist() == [0, 0, 0, 1]
    assert (changes["changed_from"].values[0], changes["changed_to"].values[0]) == (1, 3)
    assert changes["changed_members"].values[0].tolist() == [0, 1, 2, 3]


def test_unrestricted_hartree_fock_leaves_the_exact_energy_of_a_stretched_molecule():
    distances = [0.74, 1.5, 6.0]
    molecules = [
        ase.Atoms("H2", [[0, 0, 0], [0, 0, distance]], info={"name": f"{distance}", "group": f"{distance}"})
        for distance in distances
    ]
    specs = {"mean field": "pyscf:uhf/sto-6g?spin=low", "exact": "pyscf:fci/sto-6g?spin=low"}
    results = combine({name: decompose(molecules, spec, subsets=True) for name, spec in specs.items()})
    errors = single_reference_errors(results)
    assert errors["source"].values.tolist() == ["mean field"]
    assert errors["reference"].values.tolist() == ["exact"]
    pair = errors.isel(source=0).sel(order=2)
    expected = [plain_energies(distance) for distance in distances]
    assert pair["error_mean"].values == pytest.approx([hf - exact for hf, exact, _ in expected], abs=1e-6)
    assert pair["mean_contamination"].values == pytest.approx([square for *_, square in expected], abs=1e-4)
    assert pair["mean_contamination"].values == pytest.approx([0.0, 0.5, 1.0], abs=0.35)
    assert pair["n_beyond"].values.tolist() == [1, 1, 0]
    atoms = errors.isel(source=0).sel(order=1)
    assert atoms["error_rms"].values == pytest.approx(0.0, abs=1e-8)
    assert pair["order_bias"].values == pytest.approx(pair["error_mean"].values / 2, abs=1e-8)


def plain_energies(distance):
    """UHF and FCI energy in eV and ⟨S²⟩ of H2, by plain PySCF from a start that breaks the symmetry of spins."""
    from pyscf import fci, gto, scf

    molecule = gto.M(atom=f"H 0 0 0; H 0 0 {distance}", basis="sto-6g", verbose=0)
    field = scf.UHF(molecule).set(conv_tol=1e-12)
    field.kernel(dm0=np.array([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]))
    exact = fci.FCI(scf.RHF(molecule).run()).kernel()[0]
    return field.e_tot * Hartree, exact * Hartree, field.spin_square()[0]


def named(build, specs, terms):
    """A combined result of the same structure by several sources, named by their specs."""
    return combine({name: of_spec(build({"s0": terms}), spec) for name, spec in specs.items()})


def of_spec(result, spec):
    result.attrs["source"] = spec
    return result


def test_sources_are_paired_if_one_factor_differs(build, terms):
    specs = {
        "a": "pyscf:fci/sto-6g?spin=ground",
        "b": "pyscf:fci/sto-6g?spin=low",
        "c": "pyscf:fci/6-31g?spin=ground",
        "d": "pyscf:uhf/6-31g?spin=ground&counterpoise=full",
        "e": "pyscf:fci/6-31g?counterpoise=full&spin=ground",
        "f": "pyscf:uks/6-31g?xc=pbe&spin=ground&counterpoise=full",
        "g": "pyscf:uks/6-31g?xc=r2scan&spin=ground&counterpoise=full",
        "h": "pyscf:fci/sto-6g?spin=ground&gap=true",
    }
    results = named(build, specs, terms(3, [1.0, 1.0, 1.0], 1))
    assert factors(results)["f"] == {
        "method": "uks", "basis": "6-31g", "spin": "ground", "counterpoise": "full", "field": "none",
        "xc": "pbe",
    }  # fmt: skip
    found = {pair.label: "".join(results["source"].values[list(pair.sources)]) for pair in pairs(results)}
    assert found == {
        "spin low → ground (fci/sto-6g)": "bh",
        "basis sto-6g → 6-31g (fci, spin ground)": "ac",
        "basis 6-31g → sto-6g (fci, spin ground)": "ch",
        "counterpoise none → full (fci/6-31g, spin ground)": "ce",
        "method uhf → fci (6-31g, spin ground, counterpoise full)": "de",
        "method uhf → uks xc=pbe (6-31g, spin ground, counterpoise full)": "df",
        "method uhf → uks xc=r2scan (6-31g, spin ground, counterpoise full)": "dg",
        "method uks xc=pbe → fci (6-31g, spin ground, counterpoise full)": "fe",
        "method uks xc=r2scan → fci (6-31g, spin ground, counterpoise full)": "ge",
        "xc pbe → r2scan (uks/6-31g, spin ground, counterpoise full)": "fg",
    }
    assert exact_references(results) == {"d": "e", "f": "e", "g": "e"}
    methods = next(line for line in series(results) if line.factor == "method")
    assert methods.sources == ("d", "f", "g", "e")
    assert methods.anchor == "e"


def test_a_potential_is_paired_with_everything_by_its_name(build, terms):
    specs = {"MACE": "metatomic:mace.pt", "FCI": "pyscf:fci/sto-6g?spin=ground", "pairs": "pairs"}
    results = named(build, specs, terms(3, [1.0, 1.0, 1.0], 1))
    assert factors(results)["MACE"] == {"method": "MACE"}
    assert [pair.label for pair in pairs(results)] == [
        "method FCI → MACE", "method MACE → pairs", "method FCI → pairs",
    ]  # fmt: skip
    assert series(results) == []
    assert exact_references(results) == {}


def test_changes_are_those_of_the_structures_that_have_the_order(build, terms):
    small, large = terms(2, [1.0, 1.0], 1), terms(3, [1.0, 1.0, 1.0], 2)
    shifted = [{subset: value + 0.1 * len(subset) for subset, value in part.items()} for part in (small, large)]
    first = of_spec(build({"small": small, "large": large}, noise=0.03), LOW)
    second = of_spec(build(dict(zip(("small", "large"), shifted, strict=True)), noise=0.04), GROUND)
    changes = order_changes({"first": first, "second": second}).isel(pair=0).sel(group="all")
    expected = [(2 * 0.1 / 2 + 3 * 0.1 / 3) / 2, (0.2 / 2 + 3 * 0.2 / 3) / 2, 0.3 / 3]
    assert changes["change_mean"].values == pytest.approx(expected)
    assert changes["change_rms"].values[1] == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 2))
    assert changes["change_noise"].values == pytest.approx(
        [0.05 * np.sqrt((1 / 4 + 1 / 9) / 2), 0.05 * np.sqrt((1 / 4 + 1 / 9) / 2), 0.05 / 3]
    )


def with_states(result, values, **records):
    variables = {f"subset_{name}": ("subset", np.asarray(held, dtype=float)) for name, held in records.items()}
    variables["subset_multiplicity"] = ("subset", np.asarray(values, dtype=float))
    return changed(result, lambda held: held.assign(variables))


def test_states_that_are_not_known_are_counted_and_not_compared(build, terms):
    result = build({"s0": terms(3, [1.0, 1.0, 1.0], 1)})
    one = of_spec(with_states(result, [2, 2, 2, 1, 1, np.nan, 2]), LOW)
    other = of_spec(with_states(result, [2, 2, 2, 1, 3, 3, 4]), GROUND)
    combined = combine({"one": one, "other": other})
    states = multiplicities(combined).sel(group="all")
    assert states["multiplicity"].values.tolist() == [1, 2, 3, 4]
    assert states["n_states"].sel(source="other").values.tolist() == [[0, 3, 0, 0], [1, 0, 2, 0], [0, 0, 0, 1]]
    assert states["n_unknown"].values.tolist() == [[0, 1, 0], [0, 0, 0]]
    changes = multiplicity_changes(combined).isel(pair=0).sel(group="all")
    assert changes["n_compared"].values.tolist() == [3, 2, 1]
    assert changes["n_changed"].values.tolist() == [0, 1, 1]


def test_records_of_sub_clusters_follow_them_when_results_are_combined(build, terms):
    structures = {f"s{seed}": terms(3, [1.0, 1.0, 1.0], seed) for seed in range(2)}
    whole = with_states(build(structures), np.arange(14))
    pairs_only = with_states(build(structures, max_order=2), np.arange(12))
    combined = combine({"whole": whole, "pairs": pairs_only})
    held = combined["subsets/subset_multiplicity"]
    assert held.sel(source="whole").values.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert held.sel(source="pairs").values.tolist()[:6] == [0, 1, 2, 3, 4, 5]
    assert np.isnan(held.sel(source="pairs").values[6])


def test_errors_are_counted_beyond_a_tolerance_and_correlated_with_contamination(build, terms):
    exact = of_spec(build({"s0": terms(4, [1.0, 1.0, 1.0, 1.0], 3)}), "pyscf:fci/sto-6g?spin=low")
    draw = np.random.default_rng(1)
    error = draw.uniform(0.0, 0.1, size=15)
    wrong = with_states(exact.copy(deep=True), np.ones(15), contamination=3 * error + 0.2)
    wrong = of_spec(wrong, "pyscf:uhf/sto-6g?spin=low")
    wrong["subsets/subset_energy"][:] += error
    wrong["subsets/subset_energy"][14] = np.nan
    found = single_reference_errors({"exact": exact, "wrong": wrong}, tolerance=0.05).sel(source="wrong", group="all")
    orders = exact["subsets/subset_order"].values
    for order in (1, 2, 3):
        own = error[orders == order]
        part = found.sel(order=order)
        assert float(part["error_mean"]) == pytest.approx(own.mean())
        assert float(part["error_rms"]) == pytest.approx(np.sqrt((own**2).mean()))
        assert float(part["error_largest"]) == pytest.approx(own.max())
        assert int(part["n_beyond"]) == (own > 0.05).sum()
        assert int(part["n_compared"]) == len(own)
        assert float(part["error_contamination"]) == pytest.approx(1.0)
        assert float(part["mean_contamination"]) == pytest.approx((3 * own + 0.2).mean())
    assert np.isnan(float(found["error_rms"].sel(order=4)))
    assert found["order_bias"].values == pytest.approx(0.0)


def test_a_reference_can_be_named_and_must_be_there(build, terms):
    results = named(build, {"a": "pairs", "b": "triples"}, terms(3, [1.0, 1.0, 1.0], 1))
    assert single_reference_errors(results, "b")["source"].values.tolist() == ["a"]
    with pytest.raises(InputError, match="no result is of FCI or DMRG in the basis, spin rule and counterpoise"):
        single_reference_errors(results)
    with pytest.raises(InputError, match="`reference` must be one of a, b, got 'c'"):
        single_reference_errors(results, "c")
    with pytest.raises(InputError, match="`tolerance` must be a positive number"):
        single_reference_errors(results, "b", tolerance=0)


def test_results_without_states_are_refused(build, terms):
    results = named(build, {"a": LOW, "b": GROUND}, terms(3, [1.0, 1.0, 1.0], 1))
    message = (
        "multiplicities must come from results with `subset_multiplicity`, which is missing; decompose with subsets"
    )
    with pytest.raises(InputError, match=message):
        multiplicities(results)
    with pytest.raises(InputError, match=message):
        multiplicity_changes(results)


def test_doubts_are_summed_over_the_structures_of_a_group(build, terms):
    structures = {"s0": terms(3, [1.0, 1.0, 1.0], 0), "s1": terms(2, [1.0, 1.0], 1)}
    result = build(structures, groups=["low", "low"])
    counted = changed(
        result,
        lambda held: held.assign(
            n_contaminated=(("structure", "order"), [[0, 2, 1], [0, 1, 0]]),
            n_failed=(("structure", "order"), [[0, 0, 1], [0, 0, 0]]),
        ),
    )
    found = doubts({"counted": counted, "silent": result}).sel(group="low")
    assert found["n_contaminated"].sel(source="counted").values.tolist() == [0, 3, 1]
    assert found["n_failed"].sel(source="counted").values.tolist() == [0, 0, 1]
    assert found["n_clusters"].sel(source="counted").values.tolist() == [5, 4, 1]
    assert np.isnan(found["n_contaminated"].sel(source="silent").values).all()
    other = doubts({"one": changed(counted, lambda held: held.drop_vars("n_contaminated")), "two": counted})
    assert other["n_clusters"].sel(group="low").values.tolist() == [[5, 4, 1]] * 2
    assert not set(doubts(result).data_vars)
    cut = changed(
        counted, lambda held: held.isel(subset=held["subset_order"].values < 3).assign_attrs(family="cliques")
    )
    assert doubts(cut)["n_clusters"].sel(group="low").values.tolist() == [5, 4, 0]


def test_one_source_alone_has_states_and_no_changes():
    result = decompose(square(), GROUND, subsets=True)
    assert multiplicities(result)["n_states"].sum() == 15
    assert order_changes(result).sizes["pair"] == 0
    assert multiplicity_changes(result).sizes["pair"] == 0


def test_multiplicities_are_those_of_the_source():
    result = decompose(square(), GROUND, subsets=True)
    batch = ClusterBatch.from_atoms([square()])
    evaluation = load_source(GROUND).evaluate(batch, forces=False)
    assert result["subsets/subset_multiplicity"].values[-1] == evaluation.records["multiplicity"][0] == 1
