"""A run that is killed at any moment and resumed ends as one that was not."""

import json
import random
import signal

import pytest
from hostile import TINY, same_results, undisturbed

AVERAGE = (
    "+callbacks.average={_target_:pytorch_lightning.callbacks.EMAWeightAveraging,decay:0.9}",
)
ANNEAL = ("callbacks=anneal", "span_loss=smooth_giou")
KINDS = {
    "single": ("task=single",),
    "detection": ("task=detection",),
    "averaged": ("task=detection", *AVERAGE),
    "annealed": ("task=single", *ANNEAL),
    "averaged and annealed": (
        "task=single",
        *AVERAGE,
        *ANNEAL,
        "trainer.accumulate_grad_batches=2",
    ),
}


@pytest.fixture(scope="module")
def whole(commands, tmp_path_factory):
    """Results of the run of a kind that is not disturbed, its seconds, and its file operations."""
    known = {}

    def run(kind):
        if kind not in known:
            folder = tmp_path_factory.mktemp("whole")
            known[kind] = undisturbed(commands, folder, *TINY, *KINDS[kind])
        return known[kind]

    return run


def go_on(commands, folder, kind, **kill):
    """Resumes, or starts again what cannot be resumed; gives the outcome and the word for what it was."""
    found = commands.train(folder, f"resume={folder / 'run'}", **kill)
    if found.code != 1:
        said = (folder / "run" / "train.log").read_text().splitlines()[-1:]
        complete = any("there is nothing to do" in line for line in said)
        return found, "complete" if complete else "resumed"
    assert len(found.text.splitlines()) == 1, found.text
    assert "no such f" in found.text, found.text
    return commands.train(folder, *TINY, *KINDS[kind], **kill), "started again"


def check(commands, folder, kind, expected):
    found, what = go_on(commands, folder, kind)
    assert found.code == 0, found.text
    same_results(folder / "run", expected)
    return what


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_killed_run_ends_as_one_that_was_not(commands, whole, tmp_path, part):
    draw = random.Random(part)
    kind = ("single", "detection")[part % 2]
    expected, seconds, _ = whole(kind)
    moment = (part + draw.random()) / 4 * seconds
    found = commands.train(tmp_path, *TINY, *KINDS[kind], moment=moment)
    assert found.code in (-signal.SIGKILL, 0)
    check(commands, tmp_path, kind, expected)


@pytest.mark.slow  # 8 minutes
def test_a_hundred_kills(commands, whole, tmp_path):
    """At moments and at all file operations in turn; one in three resumed runs is killed too."""
    draw, seen = random.Random(0), []
    for number in range(100):
        kind = list(KINDS)[number % len(KINDS)]
        expected, seconds, events = whole(kind)
        folder = tmp_path / str(number)
        moments = {"moment": draw.random() * seconds}
        operations = {
            "event": number * events // 100,
            "delay": draw.choice([0.0, 2e-3]) * draw.random(),
        }
        first, second = (moments, operations) if number % 2 else (operations, moments)
        try:
            commands.train(folder, *TINY, *KINDS[kind], **first)
            if number % 3 == 0:
                go_on(commands, folder, kind, **second)
            seen.append(check(commands, folder, kind, expected))
        except Exception as error:
            error.add_note(f"run {number}, {kind}, killed at {json.dumps([first, second])}")
            raise
    assert {"resumed", "complete", "started again"} == set(seen)
