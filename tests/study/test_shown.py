"""What the report shows of grids of every make."""

from __future__ import annotations

from bodyorder.study.grid import Cell
from bodyorder.study.shown import MOST_SHOWN, first_seeds, of_last_makeup, shown_alone, side_by_side

GIVEN = Cell("given.pt")


def grid(n_models: int, makeups: tuple[str, ...]) -> list[Cell]:
    models = [f"model{index}" for index in range(n_models)]
    whole = [Cell(model, makeup, None, seed, True) for seed in (1, 2) for makeup in makeups for model in models]
    return [*whole, Cell(models[0], makeups[0], 20, 1, True), GIVEN]


def test_few_models_are_all_shown_with_their_first_seed():
    shown = shown_alone(grid(3, ("low", "all")), 1)
    assert len(shown) == 7
    assert GIVEN.name in shown
    assert not any("seed=2" in name or "n=20" in name for name in shown)


def test_of_many_those_on_the_last_makeup_are_shown_and_those_that_are_trained_already():
    shown = shown_alone(grid(5, ("low", "all")), 1)
    assert len(shown) == 6
    assert all("all" in name for name in shown if name != GIVEN.name)


def test_a_figure_holds_models_of_one_makeup_and_none_is_left_out():
    first = first_seeds(grid(MOST_SHOWN + 3, ("low", "all")), 1)
    figures = side_by_side(first)
    assert [(makeup, len(cells)) for makeup, cells in figures] == [
        ("low", MOST_SHOWN), ("low", 3), ("all", MOST_SHOWN), ("all", 3), (None, 1),
    ]  # fmt: skip
    assert all(cell.makeup == makeup for makeup, cells in figures for cell in cells)
    assert [makeup for makeup, _ in side_by_side(of_last_makeup(first))] == ["all", "all", None]


def test_without_models_the_reference_is_shown_alone():
    assert side_by_side([]) == [(None, [])]
