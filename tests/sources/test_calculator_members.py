"""Members of ASE calculators: sums and means of calculators, and committees that keep an energy for each member."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import AverageCalculator, LinearCombinationCalculator, SumCalculator
from ase.calculators.morse import MorsePotential
from mace_models import calculator_of, pieces, process_as_it_was, save_model, source_of

from bodyorder import check_source, decompose
from bodyorder._checks import InputError
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.registry import load_source

PAIR = {"epsilon": 0.1, "sigma": 1.0, "rc": 4.0, "smooth": True}


def cluster(n=5, symbol="H", spacing=1.1):
    return Atoms(f"{symbol}{n}", pieces(1, n, elements=(1,), spacing=spacing).positions[0])


class Committee(Calculator):
    """Lennard-Jones with several depths; the energy is the mean, and ``energy_comm`` holds one for each."""

    implemented_properties = ("energy", "forces", "energies")
    default_parameters = {"depths": (0.1, 0.12, 0.17)}  # noqa: RUF012
    length = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        found = []
        for depth in self.parameters["depths"]:
            one = self.atoms.copy()
            one.calc = LennardJones(**PAIR | {"epsilon": depth})
            found.append((one.get_potential_energy(), one.get_forces()))
        energies = np.array([energy for energy, _ in found])
        forces = np.mean([forces for _, forces in found], axis=0)
        self.results = {"energy": energies.mean(), "forces": forces, "energies": energies, "energy_comm": energies}


def test_the_parts_of_a_sum_are_its_calculators():
    """An embedded-atom potential of copper with a pair potential, which ends with pairs."""
    structure = cluster(5, "Cu", 2.4)
    parts = [EMT(), LennardJones(epsilon=0.3, sigma=2.1, rc=6.0, smooth=True)]
    source = CalculatorSource(SumCalculator(parts))
    assert source.capabilities.members == ("EMT", "LennardJones")
    assert source.capabilities.member_kind == "parts"
    result = decompose(structure, source, members=True)
    for name, part in zip(("EMT", "LennardJones"), parts, strict=True):
        alone = decompose(structure, part)
        found = result.sel(member=name)
        np.testing.assert_allclose(found.member_contribution, alone.contribution, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found.member_total, alone.total, rtol=0, atol=1e-11)
    np.testing.assert_allclose(result.member_contribution.sum("member"), result.contribution, rtol=0, atol=1e-10)
    pairs, more = (result.member_contribution.sel(member=name).values[0] for name in ("LennardJones", "EMT"))
    np.testing.assert_allclose(pairs[2:], 0, atol=1e-11)
    assert abs(more[2]) > 0.01
    forces = decompose(structure, source, members=True, forces=True)
    np.testing.assert_allclose(forces.contribution, result.contribution, rtol=0, atol=1e-11)
    check_source(source, species=["Cu"]).raise_if_failed()


def test_weights_belong_to_parts_and_equal_names_are_numbered():
    source = CalculatorSource(
        LinearCombinationCalculator(
            [LennardJones(**PAIR), LennardJones(**PAIR | {"sigma": 0.9}), MorsePotential()], [2.0, -1.0, 0.5]
        )
    )
    assert source.capabilities.members == ("LennardJones 1", "LennardJones 2", "MorsePotential")
    batch = pieces(4, 3, elements=(1,))
    found = source.evaluate_members(batch, False)
    for row in range(4):
        atoms = batch.to_atoms(row)
        for place, (weight, part) in enumerate(
            ((2.0, LennardJones(**PAIR)), (-1.0, LennardJones(**PAIR | {"sigma": 0.9})))
        ):
            atoms.calc = part
            assert found.members[row, place] == pytest.approx(weight * atoms.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(found.members.sum(axis=1), found.energies, rtol=0, atol=1e-12)


def test_a_mean_of_calculators_is_an_ensemble():
    depths = np.array([0.1, 0.12, 0.17])
    mean = AverageCalculator([LennardJones(**PAIR | {"epsilon": depth}) for depth in depths])
    result = decompose(cluster(), CalculatorSource(mean), members=True)
    assert result.attrs["member_kind"] == "ensemble"
    spread = depths.std(ddof=1) / depths.mean()
    np.testing.assert_allclose(result.ensemble_uncertainty, spread * np.abs(result.contribution), rtol=1e-9, atol=1e-13)
    assert CalculatorSource(SumCalculator([LennardJones()])).capabilities.members == ()


def test_a_committee_keeps_its_energies_under_a_key():
    source = CalculatorSource(Committee(), members="energy_comm", n_members=3)
    result = decompose(cluster(), source, members=True)
    depths = np.array([0.1, 0.12, 0.17])
    one = decompose(cluster(), LennardJones(**PAIR | {"epsilon": 1.0})).contribution.values
    np.testing.assert_allclose(result.member_contribution.values, one[:, :, None] * depths, rtol=1e-10, atol=1e-13)
    assert source.fingerprint != CalculatorSource(Committee()).fingerprint
    assert not CalculatorSource(Committee(), members="energies", n_members=3).capabilities.atom_energies


def test_the_spec_names_the_key(tmp_path, monkeypatch):
    (tmp_path / "committee_of_mine.py").write_text(
        "import numpy as np\n"
        "from ase.calculators.calculator import Calculator, all_changes\n"
        "class Mine(Calculator):\n"
        "    implemented_properties = ['energy']\n"
        "    def calculate(self, atoms=None, properties=('energy',), system_changes=all_changes):\n"
        "        super().calculate(atoms, properties, system_changes)\n"
        "        self.results = {'energy': 1.5 * len(self.atoms), 'each': np.array([1.0, 2.0]) * len(self.atoms)}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = load_source("ase:committee_of_mine.Mine?members=each&n_members=2")
    assert source.name == "ase:committee_of_mine.Mine?members=each&n_members=2"
    result = decompose(cluster(3), source, members=True)
    np.testing.assert_allclose(result.member_contribution[0, 0], [3.0, 6.0])


def test_a_committee_of_mace_as_a_calculator(tmp_path):
    paths = [str(save_model(tmp_path / f"{seed}.model", seed=seed, interactions=1)) for seed in range(3)]
    structure = pieces(1, 4).to_atoms(0)
    native = decompose(structure, source_of(",".join(paths)), members=True)
    with calculator_of(paths[0]) as one, process_as_it_was():
        calculator = type(one)(paths, device="cpu", default_dtype="float64")
        key = (
            "energy_comm" if "energy_comm" in calculator.implemented_properties else "energies"
        )  # mace 0.3.16 or before
        found = decompose(structure, CalculatorSource(calculator, members=key), members=True)
        np.testing.assert_allclose(
            found.member_contribution.values, native.member_contribution.values, rtol=0, atol=1e-8
        )
        np.testing.assert_allclose(found.ensemble_uncertainty, native.ensemble_uncertainty, rtol=0, atol=1e-8)
        if key == "energies":
            with pytest.raises(
                InputError,
                match=r"must be one per atom, of shape \(4,\), and are of \(3,\): one for each of its 3 models, which "
                r"members=energies resolves; do without energies of atoms",
            ):
                decompose(structure, CalculatorSource(calculator), atom_energies=True, max_order=4)


def test_what_there_is_not_is_told():
    structure = cluster(4)
    for options, message in (
        (
            {"members": "gone", "n_members": 3},
            r"`members` must be a key of the calculator's results, got 'gone'; keys: energies, ",
        ),
        (
            {"members": "forces", "n_members": 3},
            r"`forces` of the calculator's results must be one energy for each of 3 members, ",
        ),
        ({"members": "energies", "n_members": 4}, r"one energy for each of 4 members, and is of shape \(3,\)"),
        (
            {"members": "energies"},
            "`n_members` must say how many energies `energies` of the calculator's results holds",
        ),
        ({"n_members": 3}, "`n_members` belongs to `members`, which is not given"),
        ({"members": "energies", "n_members": 1}, "`n_members` must be between 2 and"),
        ({"members": True, "n_members": 3}, "`members` must be a key of the calculator's results, got True"),
    ):
        with pytest.raises(InputError, match=message):
            decompose(structure, CalculatorSource(Committee(), **options), members=True)
    with pytest.raises(InputError, match=r"gives energies only; members=KEY says which of its results hold them"):
        decompose(structure, LennardJones(), members=True)


def test_energies_of_other_numbers_of_members_are_not_those_of_a_store(tmp_path):
    for depths in ((0.1, 0.12, 0.17), (0.1, 0.12)):
        committee = Committee(depths=depths)
        source = CalculatorSource(
            committee, members="energy_comm", n_members=len(depths), fingerprint="a word of the user"
        )
        found = decompose(cluster(3), source, members=True, store=tmp_path / "energies.db")
        assert found.sizes["member"] == len(depths)
        assert found.n_evaluations.item() > 0
