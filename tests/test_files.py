"""Plain values and records."""

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pytest

from spanloc.files import plain, record, write_json


class Pair(NamedTuple):
    low: float
    high: float


class Entry(TypedDict):
    name: str
    count: int


@dataclass(frozen=True)
class Whole:
    pairs: list[Pair]
    entries: dict[str, Entry]
    span: tuple[float, float]
    reason: str | None
    known: bool
    more: Any


WHOLE = Whole([Pair(0.5, 1.0)], {"a": {"name": "x", "count": 3}}, (1.0, 2.0), None, True, [1, None])


def test_a_record_survives_plain_values():
    values = plain(WHOLE)
    assert values["pairs"] == [{"low": 0.5, "high": 1.0}]
    assert values["span"] == [1.0, 2.0]
    assert record(Whole, values) == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [{"low": 0.5}]}, "pairs[0].high is missing"),
        ({"pairs": [{"low": 0.5, "high": 1.0, "mid": 0.7}]}, "pairs[0].mid is unknown"),
        ({"pairs": [[0.5, 1.0]]}, "pairs[0] is [0.5, 1.0]; wanted names with values"),
        ({"pairs": [{"low": True, "high": 1.0}]}, "pairs[0].low is True; wanted a number"),
        ({"entries": {"a": {"name": "x", "count": 3.5}}}, "entries.a.count is 3.5; wanted a whole number"),
        ({"span": [1.0]}, "span is [1.0]; wanted a list"),
        ({"reason": 3}, "reason is 3; wanted text"),
        ({"known": 1}, "known is 1; wanted true or false"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_an_error_with_its_place(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        record(Whole, plain(WHOLE) | change)


def test_numbers_that_are_not_finite_are_null_or_text():
    low, high = record(Pair, {"low": "-inf", "high": None})
    assert low == -math.inf
    assert math.isnan(high)


def test_a_record_is_written_as_json_with_null_for_what_is_not_finite(tmp_path):
    write_json(tmp_path / "pair.json", Pair(math.nan, 2.0), indent=None)
    assert (tmp_path / "pair.json").read_text() == '{"low": null, "high": 2.0}\n'
