"""Queries on sequences longer than those of training: windows of that length."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, make_batch, query_model, single_model, their_trainer

from spanloc import Criterion, SpanLocalizer, losses
from spanloc.data import AnnotatedData
from spanloc.decode import Decode, decode_windows, reach_of, stretch, windows
from spanloc.matching import match_hungarian
from spanloc.structures import Output, Sample, collate

pytestmark = HINTS_OF_LIGHTNING
SIZE = 100


class Marked(torch.nn.Module):
    """Finds the spans whose starts and ends are marked in the two channels; its outputs have an earlier layer.

    Like queries, it has as many predictions for every window; those left over lie in its middle.
    """

    def __init__(self):
        super().__init__()
        self.lengths = []

    def forward(self, features, mask):
        self.lengths.append(int(mask.sum()))
        spans = torch.full((1, 8, 2), features.shape[2] / 2)
        logits = torch.full((1, 8, 1), -9.0)
        if features.isnan().any():
            return Output(spans, logits, None, logits[..., 0] < 0)
        starts, ends = (features[0, i].nonzero()[:, 0].tolist() for i in range(2))
        # Of a span that the window cuts, what is inside.
        if ends and (not starts or ends[0] < starts[0]):
            starts = [0, *starts]
        if len(starts) > len(ends):
            ends = [*ends, features.shape[2]]
        for i, pair in enumerate(zip(starts, ends, strict=True)):
            spans[0, i], logits[0, i] = torch.tensor(pair), 3.0
        earlier = Output(spans + 1, logits, None, logits[..., 0] < 9)
        return replace(earlier, spans=spans, earlier=(earlier,))


def marked(steps, spans):
    """A sequence for the model above."""
    features, spans = torch.zeros(2, steps), torch.tensor(spans, dtype=torch.float32)
    for i in range(2):
        features[i, spans[:, i].long()] = 1
    return collate([Sample("one", features, spans, torch.zeros(len(spans), dtype=torch.int64))])


def parts_of(batch, model, size=SIZE):
    steps = batch.mask.shape[1]
    reach = reach_of(model, 2, size, torch.device("cpu"))
    model.lengths.clear()
    return list(windows(model, partial(stretch, batch, 0), steps, size, reach))


@pytest.mark.parametrize("steps", [100, 101, 149, 150, 151, 200, 333, 350])
@pytest.mark.parametrize("first", [1, 3, 11, 26])
def test_each_span_is_predicted_once_and_whole(steps, first):
    """Spans of 40 steps, which is less than half a window, wherever they lie."""
    spans = [[start, start + 40] for start in range(first, steps - 41, 47)]
    batch, model = marked(steps, spans), Marked()
    found = decode_windows(Decode(min_score=0.5), parts_of(batch, model), steps)
    assert sorted(found.spans.tolist()) == spans
    assert len(spans) > 0


@pytest.mark.parametrize("steps", [150, 151, 190, 333])
def test_all_windows_are_as_long_as_in_training(steps):
    model = Marked()
    parts = parts_of(marked(steps, [[5, 9]]), model)
    assert model.lengths == [SIZE] * len(parts)
    assert len(parts) == -(-(steps - SIZE // 2) // (SIZE // 2))
    assert parts[-1].first == steps - SIZE


def test_each_target_belongs_to_one_window_whose_loss_has_it():
    spans = [[start, start + 40] for start in range(4, 280, 47)]
    batch, model = marked(333, spans), Marked()
    parts = parts_of(batch, model)
    there = [part.batch.spans[part.batch.target_mask] + part.first for part in parts]
    assert sorted(torch.cat(there).tolist()) == spans
    criterion = Criterion(match_hungarian, losses.l1_loss).eval()
    # The earlier layer is off by a step at either end.
    sums = [criterion(part.output, part.batch) for part in parts]
    assert sum(float(s.num_pairs) for s in sums) == len(spans)
    assert all(s.terms["span"] == 0 for s in sums)


def test_an_earlier_layer_answers_by_its_own_spans():
    batch = marked(200, [[53, 96], [120, 160]])  # middles at 74.5 and 140
    output = parts_of(batch, Marked())[0].output
    assert output.mask[0].tolist() == [True] + [True] * 7
    assert output.earlier[0].mask[0].tolist() == [False] + [True] * 7


def test_one_prediction_a_sequence_answers_wherever_it_is():
    model, batch = single_model().eval(), make_batch((200,), num_targets=(1,))
    assert reach_of(model, 3, 64, torch.device("cpu")) == (0, 1, False)
    parts = windows(
        model, partial(stretch, batch, 0), 200, 64, reach_of(model, 3, 64, batch.mask.device)
    )
    assert all(bool(part.output.mask.all()) for part in parts)


def test_a_query_model_sees_windows_of_a_crop_and_a_checkpoint_keeps_that(annotated, tmp_path):
    data = AnnotatedData(annotated, crop_seconds=2.5, batch_size=4, num_workers=0)
    model, seen = query_model(num_channels=2), []
    task = SpanLocalizer(model, Criterion(match_hungarian, losses.giou_loss))
    model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[2]))
    trainer = their_trainer(max_epochs=1)
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    assert task.window == data.train_window == 25
    assert data.window == 4 * 4 * 25
    # But for the NaN that is followed through the model.
    assert set(seen) - {1024} == {25}
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert saved["spanloc"]["window"] == 25
