"""Second derivatives by order, and the frequencies of truncated expansions."""

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.vibrations import Vibrations

from bodyorder import InputError, decompose, load_results
from bodyorder.analysis import harmonic_frequencies
from bodyorder.engine import Sampling, Store
from bodyorder.results.files import save

PAIR = "analytic:pair?cutoff=3"


def cluster(symbols="Ar4", seed=0, spread=4.0):
    rng = np.random.default_rng(seed)
    base = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=float)
    atoms = ase.Atoms(symbols)
    atoms.positions = spread * base[: len(atoms)] + rng.normal(scale=0.1, size=(len(atoms), 3))
    return atoms


def matrices(result, structure=0):
    """(order, 3k, 3k) and (3k, 3k) in eV/Å²."""
    part = result.hessians
    rows = part.atoms_structure.values == structure
    k = int(np.sqrt(rows.sum()))

    def square(values):
        return values.reshape(k, k, 3, 3).transpose(0, 2, 1, 3).reshape(3 * k, 3 * k)

    by_order = part.hessian_contribution.transpose("order", "atoms", "xyz", "by_xyz").values[:, rows]
    return np.array([square(values) for values in by_order]), square(part.hessian_total.values[rows])


def test_a_pair_in_closed_form():
    """d²E/dr² along the bond of two atoms, dE/dr / r across it."""
    r, epsilon, sigma = 3.9, 0.0104, 3.4
    atoms = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, r]])
    result = decompose(atoms, LennardJones(epsilon=epsilon, sigma=sigma, rc=50.0), hessians=True)
    by_order, whole = matrices(result)
    s = (sigma / r) ** 6
    slope = 4 * epsilon * (-12 * s**2 + 6 * s) / r
    curvature = 4 * epsilon * (156 * s**2 - 42 * s) / r**2
    wanted = np.diag([slope / r, slope / r, curvature])
    np.testing.assert_allclose(by_order[1][:3, :3], wanted, atol=2e-7)
    np.testing.assert_allclose(by_order[1][:3, 3:], -wanted, atol=2e-7)
    np.testing.assert_allclose(by_order[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(whole, by_order[1], atol=1e-12)


def test_orders_add_up_to_the_whole_and_end_where_the_energy_does():
    result = decompose(cluster("Ar5"), LennardJones(epsilon=0.0104, sigma=3.4, rc=50.0), hessians=True)
    by_order, whole = matrices(result)
    np.testing.assert_allclose(by_order.sum(axis=0), whole, atol=1e-10)
    assert np.abs(by_order[1]).max() > 1e-3
    assert np.abs(by_order[2:]).max() < 1e-9


def test_the_whole_is_asked_for_beyond_the_largest_order():
    atoms, calculator = cluster("Cu4", spread=2.5), EMT()
    complete = decompose(atoms, calculator, hessians=True)
    cut = decompose(atoms, calculator, max_order=2, hessians=True)
    np.testing.assert_allclose(matrices(cut)[0], matrices(complete)[0][:2], atol=1e-8)
    np.testing.assert_allclose(matrices(cut)[1], matrices(complete)[1], atol=1e-8)
    without = decompose(atoms, calculator, max_order=2, hessians=True, whole=False)
    assert np.isnan(matrices(without)[1]).all()
    assert np.isnan(without.mbe.frequencies().frequency_total).all()


def test_frequencies_are_those_of_ase(tmp_path):
    atoms = cluster("Cu3", spread=2.3)
    found = decompose(atoms, EMT(), hessians=True).mbe.frequencies()
    atoms.calc = EMT()
    vibrations = Vibrations(atoms, name=str(tmp_path / "vib"), delta=0.005, nfree=4)
    vibrations.run()
    # rigid motions are not projected out there, and mix in by the forces that are left
    hessian = vibrations.get_vibrations().get_hessian_2d()
    ours = matrices(decompose(atoms, EMT(), hessians=True))[1]
    np.testing.assert_allclose(ours, hessian, atol=1e-4)
    assert found.sizes["mode"] == 3
    assert found.frequency.attrs["units"] == "1/cm"


def test_a_diatomic_in_closed_form():
    """One mode of √(k/μ), and no more: atoms on a line turn about two axes."""
    r, epsilon, sigma = 3.4 * 2 ** (1 / 6), 0.0104, 3.4
    atoms = ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, r]])
    result = decompose(atoms, LennardJones(epsilon=epsilon, sigma=sigma, rc=1e3), hessians=True)
    found = harmonic_frequencies(result, masses={"Ar": 40.0})
    force_constant = 72 * epsilon / r**2  # eV/Å²
    omega = np.sqrt(force_constant * 1.602176634e-19 * 1e20 / (20.0 * 1.66053906660e-27))
    assert found.frequency_total.values[0] == pytest.approx([omega / (2 * np.pi * 2.99792458e10)], rel=1e-5)
    assert found.frequency_error.values[0, 1] == pytest.approx(0.0, abs=1e-6)


def test_several_structures_files_and_selections(tmp_path):
    structures = [cluster("Cu2", spread=2.5), cluster("Cu3", 1, spread=2.5)]
    result = decompose(structures, EMT(), hessians=True, forces=True)
    save(result, tmp_path / "result.nc")
    again = load_results(tmp_path / "result.nc")
    np.testing.assert_array_equal(again.hessians.hessian_contribution, result.hessians.hessian_contribution)
    found, kept = result.mbe.frequencies(), again.mbe.structure("1").mbe.frequencies()
    np.testing.assert_allclose(kept.frequency_total[0], found.frequency_total[1])
    assert np.isfinite(found.frequency_total.values[0]).sum() == 1
    assert np.isnan(found.frequency.values[0, 2]).all()


def test_a_store_gives_them_back(tmp_path):
    atoms = cluster("Cu4", spread=2.5)
    path = tmp_path / "store.db"
    first = decompose(atoms, EMT(), hessians=True, store=path)
    turned = atoms[[2, 0, 3, 1]]
    with Store(path) as store:
        second = decompose(turned, EMT(), hessians=True, store=store)
        assert int(second.n_evaluations[0]) == 0
        energies = decompose(atoms, EMT(), store=store)
        assert int(energies.n_evaluations[0]) == 0
    order = np.array([3 * atom + axis for atom in (2, 0, 3, 1) for axis in range(3)])
    np.testing.assert_allclose(matrices(second)[0], matrices(first)[0][:, order][:, :, order], atol=1e-12)


def test_energies_that_are_known_do_not_stand_for_hessians(tmp_path):
    path = tmp_path / "store.db"
    decompose(cluster("Cu3", spread=2.5), EMT(), store=path)
    result = decompose(cluster("Cu3", spread=2.5), EMT(), hessians=True, store=path)
    assert int(result.n_evaluations[0]) == 5  # three lone atoms are one
    assert np.isfinite(matrices(result)[0]).all()


@pytest.mark.parametrize(
    ("options", "source", "words"),
    [
        ({}, "pyscf:ccsd(t)/sto-3g?spin=ground", "`hessians` need a source that gives them"),
        ({}, "pyscf:uhf/sto-3g?spin=low&counterpoise=full", "`hessians` need a source without counterpoise"),
        ({"atom_energies": True}, EMT(), "`hessians` and `atom_energies` must be asked for one at a time"),
        ({"hessians": "yes"}, EMT(), "`hessians` must be true or false"),
    ],
)
def test_wrong_input(options, source, words):
    with pytest.raises(InputError, match=words):
        decompose(cluster("H2"), source, **({"hessians": True} | options))


def test_periodic_structures_are_refused():
    crystal = cluster("Cu2", spread=2.5)
    crystal.cell, crystal.pbc = [20, 20, 20], True
    with pytest.raises(InputError, match="`hessians` need free structures"):
        decompose(crystal, PAIR, cutoff=3.0, max_order=2, hessians=True)


def test_results_without_them():
    with pytest.raises(InputError, match="decompose with hessians=True"):
        decompose(cluster("Cu2"), EMT()).mbe.frequencies()
    result = decompose(cluster("Cu2"), EMT(), hessians=True)
    with pytest.raises(InputError, match="`masses` must be given by chemical symbol, got 'Xx'"):
        result.mbe.frequencies({"Xx": 1.0})


def test_a_sample_of_all_is_exact():
    atoms = cluster("Cu5", spread=2.5)
    whole = decompose(atoms, EMT(), max_order=2, hessians=True)
    sampled = decompose(atoms, EMT(), max_order=2, hessians=True, sampling=Sampling(10))
    np.testing.assert_allclose(matrices(sampled)[0], matrices(whole)[0], atol=1e-8)


def test_a_water_dimer_is_exact_at_second_order_by_molecules():
    first, second = molecule("H2O"), molecule("H2O")
    second.rotate(70, "y")
    second.positions += [2.9, 0.3, 0.2]
    result = decompose(first + second, "pyscf:uhf/sto-3g?spin=low", bodies="molecules", hessians=True)
    found = result.mbe.frequencies()
    assert found.frequency_error.values[0, 1] == pytest.approx(0.0, abs=1e-3)
    assert found.frequency_error.values[0, 0] > 1.0
    assert np.isfinite(found.frequency_total.values).sum() == 12
