"""The table of all variables: one name for one thing, and what is described is what it says."""

from collections import Counter

import xarray as xr

from bodyorder.engine.subset_energies import RULES
from bodyorder.results import variables
from bodyorder.results.variables import DISSOCIATED, DOUBTFUL, DOUBTS, VARIABLES, Variable, describe

#: The parts that the table is put together from.
PARTS = {
    name: part
    for name, part in vars(variables).items()
    if name != "VARIABLES" and isinstance(part, dict) and any(isinstance(entry, Variable) for entry in part.values())
}


def test_no_name_stands_for_two_things():
    assert len(PARTS) == 9
    counts = Counter(name for part in PARTS.values() for name in part)
    assert [name for name, count in counts.items() if count > 1] == []
    assert counts.keys() == VARIABLES.keys()


def test_what_is_described_has_the_unit_and_the_meaning_of_its_part():
    dataset = xr.Dataset({name: 0.0 for part in PARTS.values() for name in part})
    described = describe(dataset)
    for part in PARTS.values():
        for name, entry in part.items():
            assert (described[name].attrs["units"], described[name].attrs["long_name"]) == (entry.unit, entry.meaning)


def test_every_doubt_is_counted_by_a_rule_and_described():
    assert {"n_failed", *RULES} == set(DOUBTS)
    assert {*DOUBTS, *DOUBTFUL, DISSOCIATED[0]} <= set(VARIABLES)
