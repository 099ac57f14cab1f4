"""The records of a probe: what is written is what is read, and a broken file is one error."""

import json
import math
import re
from functools import partial

import pytest
import torch

from spanloc.convergence import (
    DescentResult,
    Forum,
    ProbeResult,
    Trajectories,
    anatomy,
    descend,
    forum_cases,
    random_starts,
    second_attempt,
    section,
)
from spanloc.losses import giou_loss

TARGET = torch.tensor([10.0, 20.0], dtype=torch.float64)
STARTS = random_starts(TARGET, 6)


@pytest.fixture(scope="module")
def descents():
    target = TARGET.expand_as(STARTS)
    sgd = partial(torch.optim.SGD, lr=1.0)
    return {
        rule: descend(giou_loss, STARTS, target, optimizer=sgd, num_steps=steps, last=2)
        for rule, steps in (("short", 3), ("a/b", 30))
    }


@pytest.fixture
def result(descents):
    found = anatomy(giou_loss, 10.0)
    return ProbeResult(
        span_loss="giou",
        precision="float64",
        why_not_float64=None,
        config={"seed": 0, "lengths": [10.0], "rules": {"adam": None}},
        versions={"spanloc": "0"},
        forum=Forum(forum_cases(), second_attempt()),
        anatomy=[found, found._replace(largest_stable_step=math.inf)],
        descent=DescentResult.of(descents, STARTS, TARGET, 2),
    )


def test_a_result_is_read_as_it_was_written_with_a_text_for_what_is_not_finite(result, tmp_path):
    path = tmp_path / "probe.json"
    result.write(path)
    # NaN is not equal to itself, but it looks the same.
    assert repr(ProbeResult.read(path)) == repr(result)
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["anatomy"][0]["largest_stable_step"] is None
    assert content["anatomy"][1]["largest_stable_step"] == "inf"


def test_a_field_of_another_type_is_named(result, tmp_path):
    path = tmp_path / "probe.json"
    result.write(path)
    text = path.read_text()
    for change, message in (
        ("anatomy", "anatomy is 3; wanted a list"),
        ("versions", "versions is 3; wanted names with values"),
        ("why_not_float64", "why_not_float64 is 3; wanted text"),
        ("speed", "speed is unknown"),
    ):
        path.write_text(json.dumps(json.loads(text) | {change: 3}))
        message = f"probe.json: not the result of a probe: {message}"
        with pytest.raises(ValueError, match=re.escape(message)):
            ProbeResult.read(path)
    path.write_text(text.replace('"q95"', '"q96"'))
    with pytest.raises(ValueError, match=r"descent.rules.short.error.start.q95 is missing"):
        ProbeResult.read(path)
    path.write_text(text[:-20])
    with pytest.raises(
        ValueError, match=r"probe.json: not the result of a probe: not valid JSON: "
    ):
        ProbeResult.read(path)


def test_trajectories_are_read_as_they_were_written(descents, tmp_path):
    path = tmp_path / "trajectories.npz"
    written = Trajectories.of(STARTS, TARGET, section(giou_loss, 10.0), descents)
    written.write(path)
    found = Trajectories.read(path)
    assert list(found.descents) == list(written.descents)
    for field in ("starts", "target", "section", "points", "descents"):
        one, other = getattr(found, field), getattr(written, field)
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_file_that_is_no_trajectories_is_one_error(tmp_path):
    path = tmp_path / "trajectories.npz"
    for content in (b"", b"PK\x03\x04", b"text"):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"trajectories.npz: not the trajectories of a probe: "
        ):
            Trajectories.read(path)
