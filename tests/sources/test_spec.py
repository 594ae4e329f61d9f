import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyorder._checks import InputError
from bodyorder.sources.registry import load_source
from bodyorder.sources.spec import format_spec, parse_spec

KEYS = st.text(st.characters(categories=["Ll"], max_codepoint=127), min_size=1)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("ab/1.?&=+%'\" {}"),
)


@given(st.text("ab/:.?&=+% é", min_size=1), st.dictionaries(KEYS, VALUES, max_size=3))
def test_a_spec_gives_back_what_went_in(target, options):
    scheme, again, found = parse_spec(format_spec("ase", target, options))
    assert (scheme, again) == ("ase", target)
    assert found == options
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in options.items()}


def test_a_plus_is_a_plus():
    assert parse_spec("ase:a.B?epsilon=1e+1&label=a+b") == ("ase", "a.B", {"epsilon": 10.0, "label": "a+b"})
    assert (
        load_source("analytic:sutton-chen?epsilon=1e+1").name == load_source("analytic:sutton-chen?epsilon=10.0").name
    )


def test_names_stay_readable():
    assert format_spec("pyscf", "fci/6-31+g", {"spin": "ground", "a": 1}) == "pyscf:fci/6-31+g?a=1&spin=ground"
    assert format_spec("metatomic", "a?b.pt", {"variant": "x&y"}) == "metatomic:a%3Fb.pt?variant=x%26y"


@pytest.mark.parametrize("query", ["a", "a=1&", "&a=1", "=1", "a=1&&b=2"])
def test_options_that_are_none(query):
    with pytest.raises(InputError, match="options of a source must look like 'option=value&option=value', got"):
        parse_spec(f"ase:a.B?{query}")


@pytest.mark.parametrize("spec", ["", "ase", "ase:", ":x", "ase:?a=1"])
def test_what_is_no_spec(spec):
    with pytest.raises(InputError, match=r"a source must look like 'scheme:target\?option=value', got"):
        parse_spec(spec)


def test_an_option_that_is_given_twice_is_refused():
    with pytest.raises(InputError, match=r"must be given once, 'rc' is given twice in 'rc=3&a=1&rc=4'"):
        parse_spec("ase:a.b.C?rc=3&a=1&rc=4")
