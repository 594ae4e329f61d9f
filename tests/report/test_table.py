"""Tables: numbers as a person writes them, noise as a mark and a footnote, text of anybody's escaped."""

import re

import numpy as np
import pandas as pd
import pytest

from bodyorder.report import Table
from bodyorder.report.numbers import energy, milli, number, percent, power_of_ten, whole, with_spread

INDEX = pd.MultiIndex.from_product([["near", "far"], ["<a>", "b"]], names=["group", "source"])


def cells(table):
    rows = re.findall(r"<tr>(.*?)</tr>", table.render())
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", row)] for row in rows]


def test_groups_head_blocks_and_missing_numbers_are_dashes():
    table = Table(pd.DataFrame({"x": [1, np.nan, -2.5, 0], "<n>": [1, 2, 3, 4]}, INDEX), "a & b")
    assert cells(table) == [
        ["source", "x", "&lt;n&gt;"],
        ["near"], ["&lt;a&gt;", "1.000", "1"], ["b", "—", "2"],
        ["far"], ["&lt;a&gt;", "−2.500", "3"], ["b", "0.000", "4"],
    ]  # fmt: skip
    assert "<caption>a &amp; b</caption>" in table.render()


def test_structures_that_are_not_grouped_have_no_blocks():
    index = pd.MultiIndex.from_tuples([("all", "a"), ("all", "b")], names=["group", "source"])
    assert cells(Table(pd.DataFrame({"x": [1.0, 2.0]}, index), ""))[1:] == [["a", "1.000"], ["b", "2.000"]]


def test_cells_within_twice_their_noise_are_marked_and_the_footnote_says_how_large_it_is():
    frame = pd.DataFrame({"x": [1.0, -0.1, 0.3, np.nan], "y": [5.0, 5.0, 5.0, 5.0], "other": 0.0}, INDEX)
    noise = pd.DataFrame({"x": [0.4, 0.05, 0.2, np.nan], "y": [0.0, 2.5, 1e-9, 0.0]}, INDEX)
    table = Table(frame, "", noise=noise)
    np.testing.assert_array_equal(
        table.lost, [[False, False, False], [True, True, False], [True, False, False], [False, False, False]]
    )
    text = table.render()
    assert text.count('class="lost"') == text.count("~&#8239;") == 3
    assert "Largest 1σ: &lt;a&gt; 0.4 (x); b 2.5 (y)." in text
    assert "1σ" not in Table(frame, "", noise=noise * 0).render()


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (number, -1e-5, "0.000"), (number, np.nan, "—"), (number, 7, "7"), (number, "so", "so"), (whole, 3.0, "3"),
        (whole, np.nan, "—"), (milli, 0.0123, "12.3"), (percent, 0.1234, "12.3 %"), (percent, 1e-6, "< 0.01 %"),
        (power_of_ten, 6.2e-12, "6·10⁻¹²"), (power_of_ten, 0.25, "0.25"), (energy, -0.0104, "−10.4 meV"),
        (energy, 2.0, "2.00 eV"), (energy, 0.0, "less than 0.001 meV"), (lambda pair: with_spread(*pair), (63.2, 8.1), "63 ± 8"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_do(write, value, text):
    assert write(value) == text
