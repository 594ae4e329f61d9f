from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.units import Hartree
from lone_potentials import OWN, TABLE, Tabulated

from bodyorder._checks import InputError
from bodyorder.engine import Store
from bodyorder.engine.curves import COINCIDENT, default_distances, pair_curve, triple_map
from bodyorder.results.files import save
from bodyorder.results.variables import VARIABLES
from bodyorder.sources.protocol import Precision
from bodyorder.sources.registry import load_source

FCI = "pyscf:fci/sto-6g?spin=low"
GRID = np.linspace(0.5, 5.0, 31)
ANGLES = (45.0, 60.0, 90.0, 180.0)


class Counted(type(load_source("analytic:axilrod-teller"))):
    """Counts what it is asked, in calls of as many as it claims at most, and fails for atoms farther apart than ``reach``."""

    reach = np.inf

    def __init__(self, **options):
        super().__init__(**options)
        self.capabilities = replace(self.capabilities, batch_size=7)

    def energies(self, batch):
        assert len(batch) <= self.capabilities.batch_size
        self.asked = getattr(self, "asked", 0) + len(batch)
        spans = np.linalg.norm(batch.positions[:, :, None] - batch.positions[:, None], axis=-1).max(axis=(1, 2))
        if (spans > self.reach).any():
            raise ArithmeticError(f"{spans.max():.2f} Å is too far")
        return super().energies(batch)


def counted(**attributes):
    source = Counted(epsilon=0.1)
    vars(source).update(attributes)
    return source


def test_morse_curve_in_closed_form():
    curve = pair_curve("analytic:pair?kind=morse&epsilon=4.75&alpha=1.94&r0=0.741", ("H", "H"), distances=GRID)
    decay = np.exp(-1.94 * (GRID - 0.741))
    np.testing.assert_allclose(curve.pair_contribution, 4.75 * decay * (decay - 2), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(curve.distance, GRID)
    assert (curve.pair_failure == "").all()


def test_lennard_jones_curve_in_closed_form():
    curve = pair_curve("analytic:pair?epsilon=0.01&sigma=2.0", ("Ar", "Kr"), np.linspace(1.6, 9.0, 40))
    sixth = (2.0 / curve.distance.values) ** 6
    np.testing.assert_allclose(curve.pair_contribution, 0.04 * sixth * (sixth - 1), rtol=0, atol=1e-10)
    assert curve.attrs["species"] == "Ar Kr"


def test_pairs_have_no_three_body_map():
    found = triple_map("analytic:pair?kind=morse", ("H", "H", "H"), distances=GRID[::5], angles=ANGLES)
    assert float(abs(found.triple_contribution).max()) < 1e-10
    assert float(abs(found.triple_energy).max()) > 1


def test_axilrod_teller_map_in_closed_form():
    """By the cosines of the three angles, which the source does not compute; a pair potential beside it changes nothing."""
    found = triple_map(
        "analytic:axilrod-teller?nu=0.7&epsilon=0.01&sigma=1.0", ("H", "H", "H"), distances=GRID[::5], angles=ANGLES
    )
    for angle, opening in zip(ANGLES, found.triple_contribution, strict=True):
        for first in GRID[::5]:
            for second in GRID[::5]:
                b, c = np.array([first, 0.0]), second * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
                across = np.linalg.norm(c - b)
                cosines = b @ c / first / second * ((b - c) @ b) / first / across * ((c - b) @ c) / second / across
                expected = 0.7 * (1 + 3 * cosines) / (first * second * across) ** 3
                value = float(opening.sel(first=first, second=second))
                assert value == pytest.approx(expected, rel=1e-11, abs=1e-10)


def test_hydrogen_molecule_by_full_configuration_interaction():
    curve = pair_curve(FCI, ("H", "H"), distances=[0.74])
    assert float(curve.pair_energy[0]) == pytest.approx(-1.145939810 * Hartree, abs=3e-8)
    assert float(curve.pair_contribution[0]) == pytest.approx((-1.145939810 + 2 * 0.471039054) * Hartree, abs=1e-7)


def test_three_hydrogen_atoms_by_full_configuration_interaction():
    found = triple_map(FCI, ("H", "H", "H"), distances=[1.0, 1.3], angles=[60.0, 180.0])
    assert float(found.triple_contribution.sel(angle=60, first=1.0, second=1.0)) == pytest.approx(14.58982, abs=6e-6)
    swapped = found.triple_contribution.transpose("angle", "second", "first").values
    np.testing.assert_allclose(found.triple_contribution, swapped, rtol=0, atol=1e-8)


def test_the_order_of_species_is_apex_first_second():
    """Swapping the outer atoms swaps the distances; each geometry is that of a decomposition by hand."""
    grid = [2.2, 2.6, 3.1]
    one, other = (triple_map(EMT(), ("Cu", *outer), grid, [70.0, 110.0]) for outer in (("Au", "Al"), ("Al", "Au")))
    swapped = other.triple_contribution.transpose("angle", "second", "first").values
    np.testing.assert_allclose(one.triple_contribution, swapped, rtol=0, atol=1e-10)
    bend = np.deg2rad(110.0)
    atoms = Atoms("CuAuAl", positions=[[0, 0, 0], [2.2, 0, 0], [3.1 * np.cos(bend), 3.1 * np.sin(bend), 0]])
    expected = 0.0
    for size, sign in ((3, 1), (2, -1), (1, 1)):
        for members in {3: [[0, 1, 2]], 2: [[0, 1], [0, 2], [1, 2]], 1: [[0], [1], [2]]}[size]:
            part = atoms[members]
            part.calc = EMT()
            expected += sign * part.get_potential_energy()
    found = float(one.triple_contribution.sel(angle=110, first=2.2, second=3.1))
    assert found == pytest.approx(expected, abs=1e-9)


def test_noise_follows_from_the_precision():
    """Three energies make a pair, seven a triple."""
    sigma = 1e-4
    source = counted(precision=Precision(absolute=sigma))
    np.testing.assert_allclose(pair_curve(source, ("H", "H"), distances=GRID).pair_noise, np.sqrt(3) * sigma)
    found = triple_map(source, ("H", "H", "H"), distances=[1.0, 2.0], angles=[90])
    np.testing.assert_allclose(found.triple_noise, np.sqrt(7) * sigma)


def test_what_fails_is_missing_alone_and_says_why():
    curve = pair_curve(counted(reach=3.0), ("H", "H"), distances=GRID)
    beyond = GRID > 3.0
    np.testing.assert_array_equal(np.isnan(curve.pair_contribution), beyond)
    np.testing.assert_array_equal(curve.pair_failure != "", beyond)
    assert "ArithmeticError: 3.05 Å is too far" in str(curve.pair_failure.values[beyond][0])
    found = triple_map(counted(reach=3.0), ("H", "H", "H"), distances=[1.0, 2.0], angles=[60, 180])
    assert bool(np.isnan(found.triple_contribution.sel(angle=180, first=2, second=2)))
    assert "is too far" in found.triple_failure.sel(angle=180, first=2, second=2).item()
    assert int(np.isnan(found.triple_contribution).sum()) == 1


def test_coincident_atoms_are_missing():
    curve = pair_curve("analytic:pair", ("H", "H"), distances=[0.05, 0.19, 0.21])
    assert curve.pair_failure.values.tolist() == [COINCIDENT, COINCIDENT, ""]
    np.testing.assert_array_equal(np.isnan(curve.pair_energy), [True, True, False])
    found = triple_map("analytic:axilrod-teller", ("H", "H", "H"), distances=[1.0, 1.1, 2.0], angles=[0, 60])
    near = found.triple_failure == COINCIDENT
    expected = np.array([[True, True, False], [True, True, False], [False, False, True]])
    np.testing.assert_array_equal(near, [expected, np.zeros((3, 3), dtype=bool)])
    np.testing.assert_array_equal(np.isnan(found.triple_contribution), near)
    assert COINCIDENT == "atoms are closer than 0.2 Å"


def test_a_store_keeps_what_was_computed(tmp_path):
    first, again = counted(), counted()
    with Store(tmp_path / "s.sqlite") as store:
        one = triple_map(first, ("H", "H", "H"), distances=[1.0, 1.5, 2.0], store=store)
        other = triple_map(again, ("H", "H", "H"), distances=[1.0, 1.5, 2.0], store=store)
    assert first.asked > 27
    assert not hasattr(again, "asked")
    np.testing.assert_array_equal(one.triple_contribution, other.triple_contribution)


def test_counterpoise_is_that_of_the_source():
    """The functions of the other atom lower an atom, so two repel more."""
    plain, corrected = (
        float(pair_curve(f"pyscf:fci/6-31g?spin=low&counterpoise={scheme}", ("He", "He"), [2.0]).pair_contribution[0])
        for scheme in ("none", "full")
    )
    assert 3e-3 < corrected - plain < 0.02


def test_default_distances_begin_at_the_wall_and_end_at_the_cutoff():
    free, near = load_source("analytic:pair"), load_source("analytic:pair?cutoff=4.0")
    curve = pair_curve(free, ("H", "H"))
    assert (float(curve.distance[0]), float(curve.distance[-1])) == (0.3, 6.0)
    assert default_distances(near, ("H", "H"))[-1] == 4.0
    assert default_distances(free, ("H", "H", "H"))[[0, -1]].tolist() == [0.5, 4.0]
    assert default_distances(free, ("Au", "Au"))[0] == 1.4
    tiny = load_source("analytic:pair?cutoff=0.2")
    np.testing.assert_array_equal(default_distances(tiny, ("H", "H")), default_distances(free, ("H", "H")))


def test_every_variable_has_a_unit_and_results_can_be_saved(tmp_path):
    grid = [0.1, 1.0, 1.5]
    for found in (
        pair_curve("analytic:pair", ("H", "H"), distances=grid),
        triple_map("analytic:pair", ("H", "H", "H"), distances=grid),
    ):
        for name, variable in found.variables.items():
            assert variable.dims == VARIABLES[name].dims
            assert variable.attrs["units"] == VARIABLES[name].unit
        assert set(found.attrs) >= {"source", "fingerprint", "spin", "counterpoise", "versions", "created", "species"}
        save(found, tmp_path / "c.nc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": ("H",)}, r"^`species` must be two elements for a curve, got 1: H$"),
        ({"species": "HH"}, r"^`species` must be two elements for a curve, got 1: HH$"),
        ({"species": ("H",) * 4}, r"^`species` must be two elements for a curve, got 4: H H H H$"),
        ({"species": ("H", "he")}, r"^`species` must be chemical symbols, got 'he'; did you mean 'He'\?$"),
        ({"species": ("X", "H")}, r"^`species` must be chemical symbols, got 'X'$"),
        ({"distances": [1.0, 0.5]}, r"^`distances` must be positive, finite and increasing, got \[1\.  0\.5\]$"),
        ({"distances": [0.0, 0.5]}, r"^`distances` must be positive, finite and increasing"),
        ({"distances": [1.0, np.nan]}, r"^`distances` must be positive, finite and increasing"),
        ({"distances": []}, r"^`distances` must be a list of 1 to 100000 numbers, got shape \(0,\)$"),
        ({"distances": "near"}, r"^`distances` must be numbers, got 'near'$"),
        ({"distances": [0.1]}, r"^a curve must have atoms that are 0\.2 Å apart or more, and has none$"),
    ],
)
def test_wrong_curves(options, message):
    with pytest.raises(InputError, match=message):
        pair_curve("analytic:pair", **{"species": ("H", "H")} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"species": ("H", "H")}, r"^`species` must be three elements for a map, got 2: H H$"),
        ({"angles": [-1.0]}, r"^`angles` must be between 0 and 180 degrees, got -1 to -1$"),
        ({"angles": [90, 181]}, r"^`angles` must be between 0 and 180 degrees, got 90 to 181$"),
        ({"angles": [90, 60]}, r"^`angles` must be finite and increasing, got \[90\. 60\.\]$"),
        (
            {"distances": np.linspace(1, 2, 200)},
            r"^a map must have at most 100000 geometries, 4 angles and 200 distances make 160000; give fewer$",
        ),
        ({"distances": [1.0], "angles": [0.0]}, r"^a map must have atoms that are 0\.2 Å apart or more, and has none$"),
    ],
)
def test_wrong_maps(options, message):
    with pytest.raises(InputError, match=message):
        triple_map("analytic:pair", **{"species": ("H", "H", "H")} | options)


def test_basis_sets_without_an_element():
    with pytest.raises(InputError, match="sto-6g has none for Og"):
        pair_curve(FCI, ("H", "Og"), [1.0])


def test_a_curve_says_where_it_ends():
    """By a plain difference of energies; with half of two atoms far apart for a lone one it ends at zero."""
    found = pair_curve(Tabulated(), ("H", "O"), distances=[1.0, 2.0, 5.5, 7.0])
    end = OWN[1] + OWN[8] - TABLE[1] - TABLE[8]
    assert found.pair_offset.item() == pytest.approx(end, rel=1e-14)
    assert found.pair_contribution[-1].item() == pytest.approx(end, rel=1e-14)
    assert (found.pair_offset_distance.item(), found.attrs["one_body"]) == (60.0, "model")
    assert 0 < found.pair_offset_noise.item() < 1e-11
    chosen = pair_curve(Tabulated(), ("H", "O"), distances=[1.0, 7.0], one_body="dissociation")
    assert (chosen.pair_offset.item(), chosen.pair_contribution[-1].item()) == (0.0, 0.0)
    assert chosen.attrs["one_body_values"] == '{"H": -3.25, "O": -7.5}'
    shifted = pair_curve(Tabulated(), ("H", "O"), distances=[1.0, 7.0])
    np.testing.assert_allclose(shifted.pair_contribution - chosen.pair_contribution, end, rtol=1e-12)


def test_curves_with_borrowed_functions_have_no_such_end():
    found = pair_curve("pyscf:fci/sto-6g?spin=low&counterpoise=full", ("H", "H"), [0.74])
    assert np.isnan(found.pair_offset.item())
