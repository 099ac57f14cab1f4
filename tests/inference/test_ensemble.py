"""Several models, or shifted recordings, as one: what stays as it is, what moves, what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, make_batch, points_model, points_task, single_model

import spanloc
from spanloc.decode import Decode, Temperature
from spanloc.facts import DataFacts
from spanloc.inference.ensemble import Ensemble, _part, _shifted, load_models
from spanloc.ops import soft_nms
from spanloc.structures import Output

pytestmark = HINTS_OF_LIGHTNING


def a_task(seed=0, model=points_model, classes=("a", "b"), **options):
    torch.manual_seed(seed)
    decode = Decode(suppress=soft_nms, min_score=0.0, **options)
    return points_task(model(), classes=list(classes), decode=decode).eval()


def same(one, other):
    assert one.ids == other.ids
    for name in ("spans", "labels", "scores", "places"):
        torch.testing.assert_close(getattr(one, name).double(), getattr(other, name).double(), rtol=0, atol=1e-5)  # fmt: skip


BIAS = [[0.5, -0.5], [0.25, 0.0]]
CALIBRATION = Temperature([2.0, 1.5], [0.5, 0.0])


@pytest.mark.parametrize("options", [{}, {"bias": BIAS, "calibration": CALIBRATION, "voting": 0.7}])
@pytest.mark.parametrize("window", [None, 64])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_model_with_itself_predicts_as_alone(count, window, options):
    task = a_task(**options)
    task.window = window
    ensemble = Ensemble([task] * count)
    values = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    same(ensemble.predict(values, 10.0), task.predict(values, 10.0))
    batch = make_batch((200, 90))
    with torch.no_grad():
        same(ensemble.predict_step(batch), task.predict_step(batch))


def test_two_models_share_their_scores_and_boundaries():
    one, two = a_task(0), a_task(1)
    both = Ensemble([one, two])
    batch = make_batch((120,), num_targets=(2,))
    with torch.no_grad():
        found = both.predict_step(batch)
        alone = [task.predict_step(batch) for task in (one, two)]
    best = [float(p.scores.max()) for p in alone]
    assert max(best) / 2 <= float(found.scores.max()) <= max(best)
    other = Ensemble([two, one])
    with torch.no_grad():
        torch.testing.assert_close(other.predict_step(batch).scores[:20], found.scores[:20])


class Edges(torch.nn.Module):
    """Finds where the only channel rises, to the cell of four steps in which it does."""

    num_channels = 1

    def forward(self, features, mask):
        count = -(-features.shape[-1] // 4)
        level = torch.nn.functional.pad(features[:, 0], (0, 4 * count - features.shape[-1]))
        start = torch.arange(count) * 4.0
        spans = torch.stack([start, start + 40], -1).expand(len(features), -1, -1)
        high = level.reshape(len(features), count, 4).amax(-1)
        rises = high - torch.nn.functional.pad(high, (1, 0))[:, :-1]
        points = torch.stack([start + 2, torch.full_like(start, 4.0)], -1)
        return Output(spans, (20 * rises - 10)[..., None], points, mask[:, ::4])


@pytest.mark.parametrize("window", [None, 64])
def test_shifts_are_taken_back_and_refine_boundaries(window):
    task = a_task(model=Edges, classes=["a"])
    task.window = window
    starts = {}
    for shifts in (1, 2, 4):
        values = np.zeros((300, 1), np.float32)
        values[183:223] = 1
        found = Ensemble([task], shifts=shifts).predict(values, 1.0)
        starts[shifts] = float(found.spans[0, 0])
    # The step 183 is the last of its cell, which begins at 180; shifted by 2 the cell begins at 182,
    # by 1 at 183, by 3 at 181.
    assert starts[1] == 180
    assert starts[2] == pytest.approx(181, abs=1e-3)
    assert starts[4] == pytest.approx((180 + 181 + 182 + 183) / 4, abs=1e-3)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_a_shifted_recording_is_read_in_pieces(shift):
    batch = make_batch((20,), num_targets=(1,))

    def part_of(first, last):
        assert 0 <= first < last <= 20
        return replace(
            batch, features=batch.features[..., first:last], mask=batch.mask[:, first:last]
        )

    whole = _shifted(batch, shift)
    assert whole.features.shape[-1] == 20 + shift
    for first, last in ((0, 1), (0, 2), (0, 20 + shift), (2, 9), (5, 20 + shift)):
        part = _part(part_of, shift, first, last)
        assert torch.equal(part.features, whole.features[..., first:last])
        assert torch.equal(part.mask, whole.mask[:, first:last])


def test_each_model_has_its_own_bias_and_the_calibrations_are_averaged():
    plain, moved = a_task(0), a_task(0, bias=[[1.0, 1.0], [1.0, 1.0]], calibration=CALIBRATION)
    batch = make_batch((120,), num_targets=(2,))
    with torch.no_grad():
        found, alone = Ensemble([plain, moved]).predict_step(batch), plain.predict_step(batch)
    inside = (alone.spans[:, 0] > 5) & (alone.spans[:, 1] < 110)
    first = alone[inside][0:1]
    shift = (found.spans - first.spans - 0.5).abs().sum(-1).min()
    assert float(shift) < 1e-3
    raw = torch.tensor([0.2, 0.6]), torch.tensor([0, 1])
    mean = Ensemble([plain, moved]).decode.calibration(*raw)
    torch.testing.assert_close(mean, (raw[0].double() + CALIBRATION(*raw).double()) / 2)


def test_models_that_differ_are_one_clear_error():
    with pytest.raises(
        ValueError, match=r"classes of model 2: \['a', 'c'\]; model 1 has \['a', 'b'\]"
    ):
        Ensemble([a_task(), a_task(classes=["a", "c"])])
    faster = a_task()
    faster.config = {"seconds_per_step": 0.5}
    with pytest.raises(ValueError, match="rate of B: .* same classes, channels and rate"):
        Ensemble([a_task(), faster], names=["A", "B"])
    with pytest.raises(ValueError, match="channels of model 2: 1; model 1 has 3"):
        Ensemble([a_task(), a_task(model=Edges)])


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [(False, False, True), (False, True, False), (False, None, False), (True, False, False)],
)
def test_predictions_of_models_are_apart_where_the_training_spans_of_all_are(first, second, apart):
    members = [a_task(seed) for seed in (0, 1)]
    for member, overlapping in zip(members, (first, second), strict=True):
        member.facts = DataFacts(3, 2, 5.0, 30.0, overlapping)
    values = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    found = Ensemble(members).predict(values, 10.0, min_score=1e-6)
    spans = found.spans[found.spans[:, 0].argsort()]
    assert bool((spans[:-1, 1] <= spans[1:, 0]).all()) is apart
    members[1].facts = None
    assert Ensemble(members).facts.overlapping is None


def test_shifts_that_change_nothing_are_refused():
    with pytest.raises(
        ValueError, match=r"tta.shifts is 3; the finest level of model 1 has a stride of 2"
    ):
        Ensemble([a_task()], shifts=3)
    with pytest.raises(ValueError, match="model 1 has no points"):
        Ensemble([a_task(model=single_model)], shifts=2)


def test_the_commands_take_several_checkpoints(cli, trained, tmp_path):
    one, two = tmp_path / "one.ckpt", tmp_path / "two.ckpt"
    for path in (one, two):
        shutil.copy(trained["detection"] / "best.ckpt", path)
    common = ("trainer.accelerator=cpu", "hydra.run.dir=run")
    alone = cli("evaluate", f"checkpoint={one}", *common) / "run"
    both = cli("evaluate", f"checkpoint=[{one},{two}]", *common) / "run"
    for name in ("metrics.json", "predictions.json"):
        assert json.loads((both / name).read_text()) == json.loads((alone / name).read_text())
    task = spanloc.load(one)
    assert type(load_models([one])) is type(task)
    values = np.zeros((64, task.localizer.num_channels), np.float32)
    np.save(tmp_path / "r.npy", values)
    given = (f"input={tmp_path / 'r.npy'}", "min_score=0", "hydra.run.dir=run", "device=cpu")
    found = [
        cli("predict", f"checkpoint={paths}", *given) / "run" / "predictions.json"
        for paths in (one, f"[{one},{two}]")
    ]
    assert json.loads(found[0].read_text()) == json.loads(found[1].read_text())
    line = cli("predict", f"checkpoint=[{one},{two}]", *given, "tta.shifts=2", "resume=true",
               folder=found[0].parents[1])  # fmt: skip
    assert isinstance(line, str)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tta.shifts=0"], "tta.shifts is 0; wanted a whole number, at least 1"),
        (["tta.shifts=1.5"], "tta.shifts is 1.5; wanted a whole number"),
        (["tta.shifts=some"], "tta.shifts is 'some'; wanted a whole number"),
        (["tta.shifts=1000"], "wanted at most"),
        (["checkpoint=[]"], "checkpoint is an empty list"),
        (["tta.shifts=2", "fit_decode=true"], "fit_decode is for one checkpoint with tta.shifts=1"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(refused, trained, arguments, message):
    assert message in refused("evaluate", f"checkpoint={trained['detection']}", *arguments)
