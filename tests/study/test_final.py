"""What the report shows of grids of every make."""

from __future__ import annotations

from bodyorder.study.final import MOST_SHOWN, first_seeds, on_last_training_set, shown_alone, side_by_side
from bodyorder.study.runs import Run

GIVEN = Run("given.pt")


def grid(n_models: int, training_sets: tuple[str, ...]) -> list[Run]:
    models = [f"model{index}" for index in range(n_models)]
    whole = [
        Run(model, training_set, None, seed, True)
        for seed in (1, 2)
        for training_set in training_sets
        for model in models
    ]
    return [*whole, Run(models[0], training_sets[0], 20, 1, True), GIVEN]


def test_few_models_are_all_shown_with_their_first_seed():
    shown = shown_alone(grid(3, ("low", "all")), 1)
    assert len(shown) == 7
    assert GIVEN.name in shown
    assert not any("seed=2" in name or "n=20" in name for name in shown)


def test_of_many_those_on_the_last_training_set_are_shown_and_those_that_are_trained_already():
    shown = shown_alone(grid(5, ("low", "all")), 1)
    assert len(shown) == 6
    assert all("all" in name for name in shown if name != GIVEN.name)


def test_a_figure_holds_models_of_one_training_set_and_none_is_left_out():
    first = first_seeds(grid(MOST_SHOWN + 3, ("low", "all")), 1)
    figures = side_by_side(first)
    assert [(training_set, len(runs)) for training_set, runs in figures] == [
        ("low", MOST_SHOWN), ("low", 3), ("all", MOST_SHOWN), ("all", 3), (None, 1),
    ]  # fmt: skip
    assert all(run.training_set == training_set for training_set, runs in figures for run in runs)
    assert [training_set for training_set, _ in side_by_side(on_last_training_set(first))] == ["all", "all", None]


def test_without_models_the_reference_is_shown_alone():
    assert side_by_side([]) == [(None, [])]
