import numpy as np
import pytest

from bodyorder.sources.protocol import Evaluation, FailedClusters


def answer(n, k, seed, *, forces=True, atoms=True):
    rng = np.random.default_rng(seed)
    shares = rng.normal(size=(n, k))
    return Evaluation(
        shares.sum(axis=1), rng.normal(size=(n, k, 3)) if forces else None, atom_energies=shares if atoms else None
    )


@pytest.mark.parametrize(("forces", "atoms"), [(False, False), (True, False), (False, True), (True, True)])
def test_what_is_unknown_has_the_shape_of_what_is_wanted(forces, atoms):
    nothing = Evaluation.unknown(3, 4, forces=forces, atom_energies=atoms)
    assert np.isnan(nothing.energies).all()
    assert (None if nothing.forces is None else nothing.forces.shape) == ((3, 4, 3) if forces else None)
    assert (None if nothing.atom_energies is None else nothing.atom_energies.shape) == ((3, 4) if atoms else None)
    assert Evaluation.unknown(3).atom_energies is None
    assert Evaluation.unknown(3, 4).atom_energies is None
    assert Evaluation.unknown(3, 4).forces.shape == (3, 4, 3)


@pytest.mark.parametrize(("forces", "atoms"), [(False, False), (True, False), (False, True), (True, True)])
def test_two_answers_become_one(forces, atoms):
    first, second = answer(2, 3, 0, forces=forces, atoms=atoms), answer(4, 3, 1, forces=forces, atoms=atoms)
    second.messages, second.records = {1: "lost"}, {"gap": np.arange(4.0)}
    both = Evaluation.joined(first, second)
    np.testing.assert_array_equal(both.energies, np.concatenate([first.energies, second.energies]))
    for name, wanted in (("forces", forces), ("atom_energies", atoms)):
        if wanted:
            whole = np.concatenate([getattr(first, name), getattr(second, name)])
            np.testing.assert_array_equal(getattr(both, name), whole)
        else:
            assert getattr(both, name) is None
    assert both.messages == {3: "lost"}
    np.testing.assert_array_equal(both.records["gap"], [np.nan, np.nan, 0, 1, 2, 3])


def test_rows_are_put_where_they_belong():
    whole, part = Evaluation.unknown(5, 2, atom_energies=True), answer(2, 2, 0)
    whole.put(np.array([3, 1]), part)
    np.testing.assert_array_equal(whole.atom_energies[[3, 1]], part.atom_energies)
    assert np.isnan(whole.atom_energies[[0, 2, 4]]).all()
    bare = Evaluation.unknown(5)
    bare.put(np.array([3, 1]), part)
    assert bare.forces is None
    assert bare.atom_energies is None


def test_an_answer_with_failures_is_not_whole():
    good = answer(2, 2, 0)
    assert good.whole() is good
    good.messages[1] = "no convergence"
    with pytest.raises(FailedClusters, match="no convergence") as failure:
        good.whole()
    assert failure.value.forces is good.forces
