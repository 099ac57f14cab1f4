"""Sequences that go through a model in windows."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    make_batch,
    points_model,
    points_task,
    single_task,
    their_trainer,
)
from predicting import assert_same_rows

from spanloc import ops
from spanloc.data import AnnotatedData
from spanloc.decode import Decode, reach_of, stretch, windows
from spanloc.metrics import AveragePrecision
from spanloc.models import (
    BoundaryHead,
    ConvBackbone,
    DistributionHead,
    Localizer,
    PointsHead,
    PyramidNeck,
    RefinedHead,
)
from spanloc.training.callbacks import Convergence, GradientNorms
from spanloc.training.callbacks.pace import Pace

pytestmark = HINTS_OF_LIGHTNING


# No limit that one pass and windows could reach differently.
ALL = {"max_predictions": 10**4, "max_candidates": 10**4}


def model_with(head, backbone=None):
    backbone = backbone or ConvBackbone(3, stride=3, width=8, num_blocks=1)
    neck = PyramidNeck(3, width=8, num_blocks=1)
    return Localizer(backbone, neck, partial(head, 2, num_layers=1))


def refined_model():
    model = model_with(RefinedHead)
    with torch.no_grad():
        for layers in model.head.correct:
            layers[-1].weight.normal_(std=0.3)
    return model


def near_sighted(num_channels):
    return Localizer(
        ConvBackbone(num_channels, stride=1, width=8, num_blocks=1),
        PyramidNeck(1, width=8, num_blocks=0),
        PointsHead(2, 1, width=8, num_layers=1),
    )


def task_of(model, window=None, **decode):
    decode = Decode(suppress=partial(ops.soft_nms, sigma=0.5), **decode)
    made = points_task(model, decode=decode).eval()
    made.window = window
    return made


def predicted(task, batch):
    with torch.no_grad():
        return task.predict_step(batch)


@pytest.fixture(scope="module")
def long_batch():
    return make_batch((1500, 311, 1234), num_targets=(9, 0, 4), seed=3)


@pytest.mark.parametrize(
    "make",
    [points_model, refined_model, partial(model_with, DistributionHead), partial(model_with, BoundaryHead)],
    ids=["points", "refined", "distribution", "boundary"],
)  # fmt: skip
def test_windows_give_the_predictions_of_one_pass(make, long_batch):
    torch.manual_seed(0)
    model = make()
    whole = predicted(task_of(model, **ALL), long_batch)
    parts = task_of(model, 512, **ALL)
    found = predicted(parts, long_batch)
    assert parts._reach[512].steps < 375  # so that the long sequence has several
    assert found.ids == whole.ids
    assert found.unit == "seconds"
    assert torch.equal(found.places, whole.places)
    assert len(found) > 500
    for i in range(3):
        one, other = (rows.of(i) for rows in (whole, found))
        assert_same_rows(one, other, spans=1e-3, scores=1e-5)


def test_the_reach_has_the_second_look_wherever_it_may_go():
    model = refined_model().eval()
    assert model.look == 8 * 12 + 9 * 3
    assert reach_of(model, 3, 512, torch.device("cpu")).steps > model.look + 12
    assert points_model().look == 0


def test_the_points_of_all_windows_are_those_of_one_pass_each_once(long_batch):
    model = points_model().eval()
    with torch.no_grad():
        whole = model(long_batch.features, long_batch.mask)
        reach = reach_of(model, 3, 512, torch.device("cpu"))
        for i in range(3):
            seen = []
            steps = int(long_batch.mask[i].sum())
            for part in windows(model, partial(stretch, long_batch, i), steps, 512, reach):
                own = part.output.mask[0]
                seen.append(part.output.points[own] + torch.tensor([part.first, 0.0]))
            order = torch.cat(seen).tolist()
            assert sorted(order) == sorted(whole.points[whole.mask[i]].tolist())


def test_the_loss_and_the_metrics_of_windows_are_those_of_one_pass(long_batch):
    values = []
    for window in (None, 512):
        torch.manual_seed(0)
        task = task_of(points_model(), window, **ALL)
        task.val_metrics.add_metrics({"ap": AveragePrecision()})
        with torch.no_grad():
            task.validation_step(long_batch, 0)
        assert task._loss_sums[1] > 5
        values.append([*task._loss_sums.tolist(), float(task.val_metrics.compute()["val/mAP"])])
    assert values[0] == pytest.approx(values[1], rel=1e-4)


def test_how_far_a_model_looks_is_found():
    """By hand: a block of kernel 7 looks 3 cells to each side, a halving and a head's layers one each."""
    model = near_sighted(3).eval()
    # Stem 1, block 3, head 1 + 1; the middle of a cell is half a step away from its border.
    assert reach_of(model, 3, 512, torch.device("cpu")).steps in (6, 7)
    assert reach_of(model, 3, 16, torch.device("cpu")).steps in (6, 7)
    model.backbone.stem[0].conv = torch.nn.Conv1d(3, 8, 31, padding=15)
    assert reach_of(model, 3, 512, torch.device("cpu")).steps in (20, 21)


def test_a_coarse_grid_looks_beyond_a_short_window():
    model = Localizer(
        ConvBackbone(1, stride=160, width=4), PyramidNeck(3, width=4), PointsHead(1, 3, width=4)
    ).eval()
    short, long = (reach_of(model, 1, size, torch.device("cpu")) for size in (4096, 100_000))
    assert long.steps > 4096
    # By which of its steps the cell is looked at.
    assert abs(short.steps - long.steps) <= short.stride


@pytest.mark.parametrize("window", [4, 16, 24, 36, 64, 100, 191, 192])
def test_windows_shorter_than_what_a_model_sees_lose_nothing(long_batch, window):
    torch.manual_seed(0)
    model = points_model()
    whole = predicted(task_of(model, **ALL), long_batch)
    task = task_of(model, **ALL)
    for task.window in (512, window):
        found = predicted(task, long_batch)
    assert torch.equal(found.places, whole.places)
    torch.testing.assert_close(
        found.scores.sort().values, whole.scores.sort().values, atol=1e-5, rtol=0
    )


class Everywhere(torch.nn.Module):
    """A backbone that looks at all of a sequence."""

    num_channels, stride, width = 3, 2, 8

    def __init__(self):
        super().__init__()
        self.inner = ConvBackbone(3, stride=2, width=8, num_blocks=1)

    def forward(self, features, mask):
        x, mask = self.inner(features, mask)
        return (x + x.mean(2, keepdim=True)) * mask[:, None], mask


def test_a_model_that_sees_everything_is_given_half_a_window_to_each_point(long_batch):
    model = model_with(PointsHead, Everywhere()).eval()
    assert reach_of(model, 3, 512, torch.device("cpu")).steps == 128
    whole = predicted(task_of(model, **ALL), long_batch)
    found = predicted(task_of(model, 512, **ALL), long_batch)
    assert 0.8 * len(whole) < len(found) < 1.2 * len(whole)


def test_an_output_that_is_not_finite_names_the_sequence_of_the_window(long_batch):
    broken = replace(long_batch, features=long_batch.features.clone())
    broken.features[2, :, 700] = torch.nan
    with pytest.raises(FloatingPointError, match="for the sequences sequence-2$"):
        predicted(task_of(points_model(), 512), broken)


def test_a_long_sequence_says_how_far_it_is(long_batch, monkeypatch, caplog):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    with caplog.at_level("INFO"):
        predicted(task_of(points_model(), 512), long_batch)
    assert "sequence sequence-0: 2 of 4 windows, about 0 s left" in caplog.text


def test_one_prediction_a_sequence_is_one_however_long_it_is(long_batch):
    found = predicted(task_of(points_model(), 512, max_predictions=1), long_batch)
    assert found.places.tolist() == [0, 1, 2]


def test_a_single_head_gives_one_span_of_a_long_sequence(long_batch):
    task = single_task(decode=Decode(min_score=0.0, max_predictions=1)).eval()
    task.window = 512
    with torch.no_grad():
        found = task.predict_step(long_batch)
        task.validation_step(long_batch, 0)
    assert found.places.tolist() == [0, 1, 2]
    assert found.spans.dtype == torch.float64
    assert task._loss_sums.isfinite().all()


def test_the_number_of_predictions_grows_with_a_sequence_and_their_places_are_exact():
    torch.manual_seed(0)
    steps = 2**15
    batch = make_batch((steps,), num_targets=(0,))
    task = task_of(points_model(), 1024, max_predictions=20, max_candidates=100)
    found = predicted(task, batch)
    # Cells of three levels, from stride 2.
    assert len(found) == 20 * (steps // 2 + steps // 4 + steps // 8) // 2048
    task.window = None
    assert len(predicted(task, batch)) == len(found)
    assert found.spans.min() >= 0
    assert found.spans.max() <= steps
    assert found.spans[:, 0].max() > steps - 2048


def test_a_model_never_sees_more_steps_at_once_than_a_few_training_batches(annotated):
    data = AnnotatedData(annotated, crop_seconds=1.2, batch_size=1, num_workers=0)
    model, seen = near_sighted(2), []
    task = points_task(model, metrics={"ap": AveragePrecision()})

    def look(module, inputs):
        # Once it is looked how far the model sees, with one NaN.
        if not inputs[0].isnan().any():
            seen.append(inputs[0].shape[::2])

    model.register_forward_pre_hook(look)
    trainer = their_trainer(callbacks=[GradientNorms(1), Convergence()], max_epochs=2)
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    assert data.window == task.window == 4 * 12
    assert max(record.num_steps for record in data.test_set.records) > 90
    assert max(batch * steps for batch, steps in seen) <= 48
    assert {steps for _, steps in seen} >= {12, 48}
    task.window = 7
    task.prepare(TheirData(count=2))
    assert task.window == 7  # of data that do not say
    # Several short ones still go together.
    batches = AnnotatedData(annotated, crop_seconds=4, batch_size=2)
    batches.setup()
    assert batches.evaluation_batch_size == 2


def test_lengths_in_seconds_hold_in_windows_too(long_batch):
    whole, parts = (
        task_of(points_model(), window, max_predictions=10**4, max_candidates=10**5, min_length=1.0)
        for window in (None, 512)
    )
    parts.load_state_dict(whole.state_dict())
    expected, found = predicted(whole, long_batch), predicted(parts, long_batch)
    lengths = found.spans[:, 1] - found.spans[:, 0]
    assert lengths.min() >= 1.0
    assert len(found) == len(expected) > 50
