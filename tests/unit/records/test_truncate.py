"""Text is cut at a character, never silently, and CustomVars stays one JSON object."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauser_dlt.records.truncate import TRUNCATED, truncate_array, truncate_object, truncated
from support import reference

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)).map(
    lambda number: reference.Number(json.dumps(number))
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.none(), NUMBERS), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)
OBJECTS = st.dictionaries(TEXTS.filter(lambda name: name != TRUNCATED), VALUES, max_size=8)


@given(text=TEXTS, limit=st.integers(0, 80))
def test_a_text_is_cut_after_its_last_whole_character_that_fits(text, limit):
    kept = truncated(text, limit)

    assert text.startswith(kept)
    assert len(kept.encode()) <= limit
    if kept != text:
        assert len(text[: len(kept) + 1].encode()) > limit


@given(variables=OBJECTS, limit=st.integers(2, 400))
def test_an_object_fits_is_json_and_names_what_was_touched(variables, limit):
    text = reference.write(variables)
    if len(text.encode()) <= limit:
        return

    short = truncate_object(text, limit)

    assert len(short.encode()) <= limit
    kept = reference.read(short)
    touched = kept.pop(TRUNCATED, [])
    for name, value in kept.items():
        assert value == variables[name] if name not in touched else variables[name].startswith(value)
    names_fit = len(reference.write({TRUNCATED: list(variables)}).encode()) <= limit
    if names_fit:
        assert set(touched) | set(kept) == set(variables)


def test_the_largest_values_go_first_and_numbers_keep_their_spelling():
    numbers = ",".join(["1.50"] * 90)
    text = f'{{"small":"as it was","price":1.10,"long":"{"x" * 500}","list":[{numbers}]}}'

    short = json.loads(truncate_object(text, 560), parse_float=str)

    assert short["small"] == "as it was"
    assert short["price"] == "1.10"
    assert short["list"] == ["1.50"] * 90
    assert short[TRUNCATED] == ["long"]
    assert set(short["long"]) <= {"x"}


def test_an_object_is_not_emptied_for_a_little_excess():
    text = json.dumps({"long": "x" * 70_000, **{f"k{n}": "v" for n in range(10)}})

    short = truncate_object(text, 65_535)

    assert 65_000 < len(short) <= 65_535


@given(texts=st.lists(st.one_of(st.none(), TEXTS), max_size=8), limit=st.integers(0, 40))
def test_in_an_array_only_what_is_too_long_is_touched_and_counted(texts, limit):
    array, count = truncate_array(pa.array(texts, pa.string()), limit)

    assert array.to_pylist() == [text if text is None else truncated(text, limit) for text in texts]
    assert count == sum(1 for text in texts if text is not None and len(text.encode()) > limit)


@pytest.mark.parametrize("limit", [2, 10, 30])
def test_an_object_of_names_alone_that_do_not_fit_still_ends_as_an_object(limit):
    short = truncate_object(json.dumps({"n" * 40 + str(n): 1 for n in range(50)}), limit)

    assert len(short) <= limit
    assert isinstance(json.loads(short), dict)
