"""Several MACE models, all heads of one, and its parts: against mace's own calculator, tables and plain loops."""

import logging
import pickle

import ase
import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from mace_models import calculator_of, one_by_one, pieces, save_model, source_of

from bodyorder import check_source, decompose
from bodyorder._checks import ComputationError, InputError
from bodyorder.engine.executors import open_executor
from bodyorder.sources.registry import load_source

ATOMS = -13.6057 * np.array([1.0, 4.0, 9.0])  # of H, C and O, as save_model sets them
SCALE, SHIFT = 1.7, 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three models alike, one with two heads, and one with repulsion of cores."""
    folder = tmp_path_factory.mktemp("committee")
    for seed in range(3):
        save_model(folder / f"run-{seed}.model", seed=seed, interactions=1)
    heads = {"heads": ["Default", "high"], "atomic_energies": np.stack([ATOMS, 1.1 * ATOMS - 1.0])}
    scales = {"atomic_inter_scale": [1.0, 2.0], "atomic_inter_shift": [0.0, 0.5]}
    save_model(folder / "heads.model", **heads, **scales)
    save_model(folder / "repulsion.model", pair_repulsion=True)
    save_model(folder / "both.model", pair_repulsion=True, **heads, **scales)
    return folder


def committee(folder, **options):
    return source_of(",".join(str(folder / f"run-{seed}.model") for seed in range(3)), **options)


def cluster(n, seed=0, elements=(1, 6, 8)):
    return pieces(1, n, seed=seed, elements=elements).to_atoms(0)


def test_a_committee_is_that_of_mace(folder):
    batch, source = pieces(6, 4), committee(folder)
    found = source.evaluate_members(batch, True)
    paths = [str(folder / f"run-{seed}.model") for seed in range(3)]
    for row in range(len(batch)):
        with calculator_of(folder / "run-0.model") as one:  # sets torch up as mace wants it
            atoms = batch.to_atoms(row)
            atoms.calc = type(one)(paths, device="cpu", default_dtype="float64")
            assert found.energies[row] == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
            np.testing.assert_allclose(found.forces[row], atoms.get_forces(), rtol=0, atol=1e-9)
            theirs = atoms.calc.results.get("energy_comm", atoms.calc.results["energies"])  # mace 0.3.16 or before
            np.testing.assert_allclose(found.members[row], theirs, rtol=0, atol=1e-10)
    assert found.members.std(axis=1).min() > 0.01
    assert source.capabilities.members == ("run-0", "run-1", "run-2")
    assert source.capabilities.member_kind == "ensemble"


def test_a_committee_is_a_source_like_others(folder):
    check_source(committee(folder), species=["H", "C"]).raise_if_failed()
    star = load_source(f"mace:{folder}/run-*.model?trust=true")
    assert star.fingerprint == committee(folder).fingerprint
    assert star.name == f"mace:{folder}/run-*.model"
    assert pickle.loads(pickle.dumps(star)).fingerprint == star.fingerprint
    atoms = star.evaluate_atoms(pieces(3, 3), False)
    np.testing.assert_allclose(atoms.atom_energies.sum(axis=1), atoms.energies, rtol=0, atol=1e-10)
    crystal = ase.Atoms("HCO", [[0, 0, 0], [1.2, 0.1, 0], [0, 1.3, 0.2]], cell=[3.0, 3.1, 3.2], pbc=True)
    alone = [source_of(folder / f"run-{seed}.model").cell_energy(crystal) for seed in range(3)]
    assert star.cell_energy(crystal) == pytest.approx(np.mean(alone), abs=1e-10)


def test_the_spread_of_every_order_is_that_of_whole_expansions(folder):
    """Each model decomposed by itself, and the standard deviation over the three."""
    structures = [cluster(5), cluster(4, 1)]
    result = decompose(structures, committee(folder), members=True)
    alone = [decompose(structures, source_of(folder / f"run-{seed}.model")) for seed in range(3)]
    totals = np.stack([own.contribution.values for own in alone])
    np.testing.assert_allclose(result.member_contribution.values, np.moveaxis(totals, 0, 2), rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.contribution, totals.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.ensemble_uncertainty, totals.std(axis=0, ddof=1), rtol=0, atol=1e-9)
    wholes = np.stack([own.total.values for own in alone])
    np.testing.assert_allclose(result.total_uncertainty, wholes.std(axis=0, ddof=1), rtol=0, atol=1e-9)
    assert result.ensemble_uncertainty.values[0, 1:3].min() > 1e-3
    np.testing.assert_allclose(result.ensemble_uncertainty[:, 0], 0, atol=1e-12)  # one table of isolated atoms for all
    with open_executor(2, None) as executor:
        found = decompose(structures, committee(folder), members=True, executor=executor)
    np.testing.assert_allclose(found.member_contribution, result.member_contribution, rtol=0, atol=1e-11)


def test_all_heads_are_those_of_maces_calculator(folder, caplog):
    batch = pieces(6, 4)
    with caplog.at_level(logging.WARNING):
        source = source_of(folder / "heads.model", members="heads")
    assert not caplog.messages  # all are asked for
    assert source.capabilities.members == ("Default", "high")
    found = source.evaluate_members(batch, True)
    for place, head in enumerate(("Default", "high")):
        with calculator_of(folder / "heads.model") as one:
            calculator = type(one)(str(folder / "heads.model"), device="cpu", default_dtype="float64", head=head)
            wanted = []
            for row in range(len(batch)):
                atoms = batch.to_atoms(row)
                atoms.calc = calculator
                wanted.append(atoms.get_potential_energy())
        np.testing.assert_allclose(found.members[:, place], wanted, rtol=0, atol=1e-10)
        own = source_of(folder / "heads.model", head=head)
        np.testing.assert_allclose(found.members[:, place], own.energies(batch), rtol=0, atol=1e-11)
    energies, forces = source.energies_and_forces(batch)
    np.testing.assert_allclose(found.energies, energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-11)
    other = source_of(folder / "heads.model", members="heads", head="high").evaluate_members(batch, False)
    np.testing.assert_array_equal(other.energies, other.members[:, 1])
    check_source(source, species=["H", "O"]).raise_if_failed()


def test_a_head_taken_by_default_is_named(folder, tmp_path, caplog):
    save_model(tmp_path / "own.model", heads=["Default", "high"], atomic_energies=np.stack([ATOMS, ATOMS]), seed=7)
    with caplog.at_level(logging.WARNING):
        source_of(tmp_path / "own.model")
    assert caplog.messages == [
        f"mace:{tmp_path}/own.model has several heads (Default, high), and none is named: 'Default' is taken; "
        f"say head=… for another one, members=heads for all"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        source_of(tmp_path / "own.model", head="Default")
    assert not caplog.messages


def repulsion(atoms):
    """Ziegler, Biersack and Littmark, with MACE's smooth end at the sum of covalent radii, by a loop over pairs, in eV."""
    energy = 0.0
    for i in range(len(atoms)):
        for j in range(i):
            z, w = (int(atoms.numbers[atom]) for atom in (i, j))
            r, end = atoms.get_distance(i, j), covalent_radii[z] + covalent_radii[w]
            if r < end:
                a = 0.4543 * 0.529 / (z**0.3 + w**0.3)
                terms = [(0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4028), (0.02817, 0.2016)]
                x, p = r / end, 5
                smooth = 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2)
                energy += 14.3996 * z * w / r * sum(c * np.exp(-k * r / a) for c, k in terms) * smooth
    return energy


def test_parts_are_tables_pairs_and_the_rest(folder):
    batch = pieces(8, 4, spacing=0.7)
    source = source_of(folder / "repulsion.model", members="parts")
    found = source.evaluate_members(batch, True)
    assert source.capabilities.members == ("isolated atoms", "pair repulsion", "network")
    table = dict(zip((1, 6, 8), ATOMS, strict=True))
    for row in range(len(batch)):
        atoms = batch.to_atoms(row)
        assert found.members[row, 0] == pytest.approx(sum(table[z] for z in atoms.numbers.tolist()), abs=1e-10)
        assert found.members[row, 1] == pytest.approx(SCALE * repulsion(atoms), rel=1e-10, abs=1e-9)
    np.testing.assert_allclose(found.members.sum(axis=1), found.energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.energies, one_by_one(folder / "repulsion.model", batch)[0], rtol=0, atol=1e-10)
    assert found.members[:, 1].max() > 1
    check_source(source, species=["H", "C"]).raise_if_failed()


def test_orders_of_parts_that_are_known(folder):
    result = decompose(
        pieces(1, 6, spacing=0.7).to_atoms(0), source_of(folder / "repulsion.model", members="parts"), members=True
    )
    atoms, pairs, network = (result.member_contribution.sel(member=name).values[0] for name in result.member.values)
    np.testing.assert_allclose(atoms[1:], 0, atol=1e-9)
    np.testing.assert_allclose(np.delete(pairs, 1), 0, atol=1e-9)
    assert pairs[1] > 1
    assert np.abs(network[1:4]).min() > 1e-3
    np.testing.assert_allclose(atoms + network + pairs, result.contribution.values[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(result.member_total.sum("member"), result.total, rtol=0, atol=1e-9)


@pytest.mark.parametrize("head", ["Default", "high"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parts_of_a_head_add_up_to_its_energy(folder, head, dtype):
    batch = pieces(8, 3, spacing=0.7)
    found = source_of(folder / "both.model", members="parts", head=head, dtype=dtype).evaluate_members(batch, False)
    wanted = source_of(folder / "both.model", head=head).energies(batch)
    np.testing.assert_allclose(found.members.sum(axis=1), wanted, rtol=0, atol=1e-9 if dtype == "float64" else 1e-3)
    plain = source_of(folder / "both.model", head=head, members="parts").evaluate_members(batch, False).members
    scale = 2.0 if head == "high" else 1.0
    np.testing.assert_allclose(
        plain[:, 1], [scale * repulsion(batch.to_atoms(row)) for row in range(8)], rtol=1e-10, atol=1e-9
    )


class Shifted(torch.nn.Module):
    """A block of scale and shift that adds something of its own."""

    def __init__(self, block):
        super().__init__()
        self.block, self.scale, self.shift = block, block.scale, block.shift

    def forward(self, x, head):
        return self.block(x, head) + 0.01


def test_a_model_with_more_terms_is_refused(folder, tmp_path):
    content = torch.load(folder / "repulsion.model", weights_only=False)
    content.scale_shift = Shifted(content.scale_shift)
    torch.save(content, tmp_path / "more.model")
    source = source_of(tmp_path / "more.model", members="parts")
    with pytest.raises(
        ComputationError, match=r"must give parts that add up to its energy, and gives .* eV; do without members"
    ):
        decompose(cluster(3), source, members=True)


def test_a_model_without_scale_has_parts(folder, tmp_path):
    save_model(tmp_path / "plain.model", plain=True, pair_repulsion=True)
    batch = pieces(6, 3, spacing=0.7)
    found = source_of(tmp_path / "plain.model", members="parts").evaluate_members(batch, False)
    np.testing.assert_allclose(found.members.sum(axis=1), one_by_one(tmp_path / "plain.model", batch)[0], atol=1e-10)
    np.testing.assert_allclose(found.members[:, 1], [repulsion(batch.to_atoms(row)) for row in range(6)], rtol=1e-10)


def test_stores_keep_members_of_each_kind_apart(folder, tmp_path):
    structure, path = cluster(4), tmp_path / "energies.db"
    parts = decompose(
        structure, source_of(folder / "both.model", members="parts", head="high"), members=True, store=path
    )
    heads = decompose(
        structure, source_of(folder / "both.model", members="heads", head="high"), members=True, store=path
    )
    assert heads.member.values.tolist() == ["Default", "high"]
    assert parts.member.values.tolist() == ["isolated atoms", "pair repulsion", "network"]
    np.testing.assert_allclose(heads.contribution, parts.contribution, rtol=0, atol=1e-9)
    again = decompose(
        structure, source_of(folder / "both.model", members="heads", head="high"), members=True, store=path
    )
    assert again.n_evaluations == 0
    np.testing.assert_array_equal(again.member_contribution, heads.member_contribution)


def test_what_there_is_not_is_told(folder, tmp_path):
    one = folder / "run-0.model"
    for options, message in (
        (
            {"members": "heads"},
            r"`members=heads` needs a model with several heads, mace:.*run-0.model has one, Default",
        ),
        ({"members": "all"}, "`members` must be one of heads, parts, got 'all'"),
    ):
        with pytest.raises(InputError, match=message):
            source_of(one, **options)
    with pytest.raises(
        InputError, match="`members` must be left out for several models, which are the members, got 'parts'"
    ):
        committee(folder, members="parts")
    with pytest.raises(InputError, match=r"must name different models, and names run-0.model twice"):
        source_of(f"{one},{folder}/../{folder.name}/run-0.model")
    with pytest.raises(InputError, match=r"must name MACE models \(.model\), and nothing fits .*none-\*.model"):
        source_of(f"{one},{folder}/none-*.model")
    with pytest.raises(
        InputError, match=r"mace:.*gone.model must be the file of a MACE model \(.model\), and there is nothing"
    ):
        source_of(f"{one},{folder}/gone.model")
    with pytest.raises(InputError, match=r"`members` need a source that gives them, .*; say members=parts$"):
        decompose(cluster(3), source_of(one), members=True)
    with pytest.raises(InputError, match=r"gives energies only; say members=parts, or members=heads$"):
        decompose(cluster(3), source_of(folder / "heads.model"), members=True)
    with pytest.raises(InputError, match="must be trusted to be loaded"):
        load_source(f"mace:{folder}/run-*.model")


def test_files_of_the_coming_layout_are_refused(folder, tmp_path):
    """Tensors with JSON beside them, as mace's own plan has it (ACEsuit/mace, issues 1565 and 1586); no release reads it."""
    (tmp_path / "v1").mkdir()
    for where in (tmp_path, tmp_path / "v1"):
        (where / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
        (where / "model.json").write_text('{"r_max": 5.0}')
    for name in ("v1", "model.safetensors", "model.json"):
        with pytest.raises(
            InputError,
            match=rf"{name} must be a .model file as mace 0.3 writes it, and is of the layout of MACE v1 .* take the .model file",
        ):
            source_of(tmp_path / name)
    with pytest.raises(InputError, match="and there is a folder"):
        source_of(folder)


def test_a_name_with_a_comma_is_one_file(folder, tmp_path, monkeypatch):
    (tmp_path / "a,b.model").write_bytes((folder / "run-0.model").read_bytes())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run-0.model").write_bytes((folder / "run-1.model").read_bytes())
    assert source_of(tmp_path / "a,b.model").capabilities.members == ()
    for number in range(4):
        (tmp_path / (20 * "very_" + f"{number}.model")).write_bytes((folder / f"run-{number % 3}.model").read_bytes())
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        many = ",".join(20 * "very_" + f"{number}.model" for number in range(4))
        assert len(many) > 255
        assert len(source_of(many).capabilities.members) == 4
    same = source_of(f"{folder}/run-0.model,{tmp_path}/other/run-0.model")
    assert same.capabilities.members == (f"{folder}/run-0.model", f"{tmp_path}/other/run-0.model")


def test_the_command_prints_a_table_of_members(folder, tmp_path, run):
    from bodyorder.structures import write_structures

    write_structures(tmp_path / "a.xyz", [cluster(3), cluster(4)])
    spec = f"mace:{folder}/run-*.model"
    code, out, err = run(
        "decompose", tmp_path / "a.xyz", "--source", spec, "--trust", "--members", "--no-whole", "-o", tmp_path / "a.nc"
    )
    assert code == 0, err
    assert "members of the ensemble, eV per body, mean of 2" in out
    assert all(name in out for name in ("±", "run-0", "run-1", "run-2"))
    code, out, _ = run("decompose", tmp_path / "a.xyz", "--source", spec, "--trust", "-o", tmp_path / "b.nc")
    assert code == 0
    assert "members of" not in out
