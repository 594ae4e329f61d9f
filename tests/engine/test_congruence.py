"""Sub-clusters that are the same, moved, rotated or reflected are evaluated once."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk
from geometries import scattered, square
from scipy.spatial.transform import Rotation

from bodyorder._checks import InputError
from bodyorder.engine import Store, decompose
from bodyorder.engine.executors import open_executor
from bodyorder.sources.registry import load_source
from bodyorder.testing import check_source

FCI = "pyscf:fci/sto-3g?spin=ground"
HE4 = square(2.0, "He")


def separately(spec):
    """The source without the promise that copies have one energy, nor that it takes them one after the other."""
    source = load_source(spec)
    source.capabilities = replace(source.capabilities, invariant=False, serial=False)
    return source


def test_a_square_has_five_shapes():
    """One atom, two pairs, one triple, the square."""
    result = decompose(HE4, FCI, subsets=True)
    assert result.n_evaluations == 1 + 2 + 1 + 1
    apart = decompose(HE4, separately(FCI), subsets=True)
    assert apart.n_evaluations == 15
    np.testing.assert_allclose(result.subsets.subset_energy, apart.subsets.subset_energy, atol=1e-9, rtol=0)
    np.testing.assert_array_equal(result.subsets.subset_multiplicity, apart.subsets.subset_multiplicity)


@pytest.mark.parametrize(
    ("scheme", "count"), [("full", 1 + 2 + 1 + 1), ("vmfc", 1 + (2 + 2) + (1 + 2 + 2) + (1 + 1 + 2 + 1))]
)
def test_functions_of_other_atoms_are_part_of_the_shape(scheme, count):
    """Side and diagonal; a triple holds its corner or an end, and a side or the diagonal."""
    spec = f"pyscf:fci/sto-3g?spin=ground&counterpoise={scheme}"
    result = decompose(HE4, spec)
    assert result.n_evaluations == count
    np.testing.assert_allclose(result.contribution, decompose(HE4, separately(spec)).contribution, atol=1e-8, rtol=0)


def test_a_cluster_without_symmetry_shares_its_atoms_only():
    result = decompose(scattered(5, spread=2.2), FCI)
    assert result.n_evaluations == 31 - 4
    np.testing.assert_allclose(
        result.contribution, decompose(scattered(5, spread=2.2), separately(FCI)).contribution, atol=1e-8
    )


def test_a_mirror_image_is_a_copy_and_so_is_a_turned_one(tmp_path):
    first = scattered(5, spread=2.2)
    image, turned = first.copy(), first.copy()
    image.positions[:, 2] *= -1
    turned.positions = first.positions[::-1] @ Rotation.from_euler("xyz", [0.3, 1.1, -0.4]).as_matrix().T + 3.0
    result = decompose([first, image, turned], FCI, store=tmp_path / "s.sqlite")
    np.testing.assert_array_equal(result.n_evaluations, [27, 0, 0])
    np.testing.assert_allclose(result.contribution[1:], result.contribution[[0, 0]], atol=1e-12)
    # they are stored under their own names too
    assert decompose(turned, separately(FCI), store=tmp_path / "s.sqlite").n_evaluations == 0


def test_a_copy_of_what_the_store_knows_is_not_computed(tmp_path):
    decompose(HE4[:3], FCI, store=tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store) == 1 + 3 + 1
        result = decompose(HE4, FCI, store=store)
        assert result.n_evaluations == 1
        assert len(store) == 1 + 4 + 4 + 1  # opposite sides have one key


def test_congruent_sub_clusters_fail_together(tmp_path):
    class Choosy(type(load_source(FCI))):
        def evaluate(self, batch, forces):
            found = super().evaluate(batch, forces)
            apart = np.linalg.norm(batch.positions[:, 0] - batch.positions[:, -1], axis=1)
            found.messages.update({int(row): "too far" for row in np.flatnonzero((apart > 2.5) & (batch.n_atoms == 2))})
            return found

    source = Choosy(load_source(FCI).settings)
    result = decompose(HE4, source, store=tmp_path / "s.sqlite")
    assert result.n_failed.values.tolist() == [[0, 2, 0, 0]]
    assert "2 of 15 sub-clusters failed, the first: atoms 0, 2: too far" in result.failure.item()
    with Store(tmp_path / "s.sqlite") as store:
        assert list(store.failures(source.fingerprint).values()) == ["too far", "too far"]
    assert decompose(HE4, source, store=tmp_path / "s.sqlite").n_evaluations == 1


def test_forces_are_not_copied():
    result = decompose(HE4, FCI, forces=True)
    assert result.n_evaluations == 10
    # the sum over the square is by symmetry
    np.testing.assert_allclose(result.sites.force_contribution.sum("site"), 0, atol=1e-8)


def test_what_depends_on_surroundings_or_directions_is_not_copied():
    assert load_source("pyscf:uhf/sto-3g?spin=ground").capabilities.invariant
    square = decompose(HE4, "pyscf:fci/sto-3g?spin=high")
    assert square.n_evaluations == 10


def test_workers_give_the_same_sums_bitwise():
    frames = [HE4, scattered(6, spread=2.2), HE4[[2, 0, 1]], scattered(6, spread=2.2)]
    source = load_source(FCI)
    source.capabilities = replace(source.capabilities, batch_size=4)
    alone = decompose(frames, source)
    with open_executor(workers=2) as executor:
        shared = decompose(frames, source, executor=executor)
    np.testing.assert_array_equal(shared.contribution, alone.contribution)
    np.testing.assert_array_equal(shared.n_evaluations, alone.n_evaluations)


class Counting(type(load_source(FCI))):
    """Counts what it is asked."""

    asked: ClassVar = []

    def evaluate(self, batch, forces):
        self.asked.append(len(batch))
        return super().evaluate(batch, forces)


def test_the_check_of_a_source_evaluates_every_cluster():
    assert check_source(Counting(load_source(FCI).settings)).passed
    assert sum(Counting.asked) > 100


def test_congruent_sub_clusters_in_files_are_found_by_their_rounded_distances(tmp_path):
    """Eight decimals, as files have them; what is the same only nearly is not stored as if it were the same."""
    exact = bulk("Ti") * (2, 2, 1)
    rounded = exact.copy()
    rounded.positions = rounded.positions.round(8)
    source = load_source("analytic:sutton-chen?cutoff=4.5")
    source.capabilities = replace(source.capabilities, costly=True, invariant=True)
    wanted = decompose(exact, source, max_order=3)
    path = tmp_path / "store"
    found = decompose(rounded, source, max_order=3, same_distance=1e-6, store=path)
    assert int(found.n_evaluations[0]) == int(wanted.n_evaluations[0]) < 60
    np.testing.assert_allclose(found.contribution, wanted.contribution, atol=1e-3)
    strict = decompose(rounded, source, max_order=3, store=path)
    assert int(strict.n_evaluations[0]) > 60
    plain = load_source("analytic:sutton-chen?cutoff=4.5")
    np.testing.assert_allclose(strict.contribution, decompose(rounded, plain, max_order=3).contribution, atol=1e-9)
    with pytest.raises(InputError, match="`same_distance` must be a positive number, got 0"):
        decompose(rounded, source, max_order=3, same_distance=0)
