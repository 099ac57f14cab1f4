"""The options of Decode: each on its own, their order, and nothing of them by default."""

from functools import partial

import pytest
import torch
from conftest import make_batch, points_model, random_spans, unchecked

from spanloc import ops
from spanloc.decode import Decode, Isotonic, Temperature
from spanloc.decode.decode import shifted

SOFT = partial(ops.soft_nms, sigma=0.5)
IDENTITY = Temperature([1.0] * 3, [0.0] * 3)


def candidates(count=300, seed=0):
    spans = random_spans(count, seed=seed, spread=60).float()
    random = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=random).sort(descending=True).values
    return spans, scores, torch.randint(3, (count,), generator=random)


def by_hand(spans, scores, labels, steps, cap, suppress):
    # What a Decode without any option has to give, to the last bit.
    spans = spans.clamp(min=0, max=steps)
    kept, scores = suppress(spans, scores, labels)
    return spans[kept][:cap], scores[:cap], labels[kept][:cap]


@pytest.mark.parametrize("times", [1, 3])
def test_without_options_nothing_changes_by_a_bit(times):
    rows = candidates()
    found = Decode(suppress=SOFT, max_predictions=20).select(*rows, 50, times=times)
    wanted = by_hand(*rows, 50, 20 * times, SOFT)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert [field.dtype for field in found] == [torch.float32, torch.float32, torch.int64]


def test_options_that_are_off_run_no_code(monkeypatch):
    def never(*_, **__):
        raise AssertionError

    for name in ("vote", "exclusive", "fill_gaps"):
        monkeypatch.setattr(ops, name, never)
    monkeypatch.setattr(Decode, "_by_label", never)
    monkeypatch.setattr(torch.Tensor, "argsort", never)
    Decode(suppress=SOFT).select(*candidates(), 50)


def test_a_bias_is_added_exactly_by_label_and_spans_are_clipped_after_it():
    spans, scores, labels = candidates()
    bias = [[1.0, 2.0], [-0.5, 0.0], [0.0, -0.25]]
    found = Decode(bias=bias).select(spans + 10, scores, labels, 1000)
    wanted = spans + 10 + torch.tensor(bias)[labels]
    assert torch.equal(found.spans, wanted[:200])
    clipped = Decode(bias=[[-5.0, -5.0]] * 3).select(spans, scores, labels, 50).spans
    assert torch.equal(clipped, (spans - 5).clamp(0, 50)[:200])


def test_a_bias_turns_no_span_round():
    spans = torch.tensor([[4.0, 6.0], [4.0, 5.0]])
    found = shifted(spans, torch.tensor([[1.0, -1.0], [1.0, -1.0]]))
    assert found.tolist() == [[5.0, 5.0], [4.5, 4.5]]


def test_candidates_that_are_suppressed_vote():
    spans = torch.tensor([[0.0, 10.0], [1.0, 10.0]])
    scores, labels = torch.tensor([0.9, 0.8]), torch.tensor([0, 0])
    hard = partial(ops.nms, threshold=0.5)
    assert Decode(suppress=hard).select(spans, scores, labels, 20).spans.tolist() == [[0, 10]]
    found = Decode(suppress=hard, voting=0.8).select(spans, scores, labels, 20)
    # 0.8 * 0.9 / (0.9 + 0.8 * 0.9)
    assert found.spans[0].tolist() == pytest.approx([0.72 / 1.62, 10.0])
    assert found.scores.tolist() == scores[:1].tolist()


def test_calibrated_scores_rank_across_labels():
    spans, labels = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([0, 1])
    scores = torch.tensor([0.6, 0.5])
    found = Decode(calibration=Isotonic([[[0.6, 0.1]], []])).select(spans, scores, labels, 9)
    assert found.scores.tolist() == pytest.approx([0.5, 0.1])
    assert found.labels.tolist() == [1, 0]


def test_the_score_that_counts_is_that_of_the_label_and_calibrated():
    spans = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    scores, labels = torch.tensor([0.9, 0.5, 0.5]), torch.tensor([0, 0, 1])
    found = Decode(min_scores=[0.6, 0.5]).select(spans, scores, labels, 9)
    assert found.spans[:, 0].tolist() == [0.0, 4.0]
    halved = Isotonic([[[0.9, 0.45]]] * 2)
    found = Decode(min_scores=[0.5, 0.2], calibration=halved).select(spans, scores, labels, 9)
    assert found.spans[:, 0].tolist() == [4.0]


def test_an_exclusive_decoding_leaves_no_overlap_best_first():
    rows = candidates()
    whole = Decode(suppress=SOFT, exclusive=True).select(*rows, 50)
    spans = whole.spans[whole.spans[:, 0].argsort()]
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    assert (whole.scores[:-1] >= whole.scores[1:]).all()
    assert len(whole.spans) > len(Decode(exclusive=True, trim=0.0).select(*rows, 50).spans)


def test_gaps_and_lengths_are_in_seconds_and_gaps_are_filled_first():
    spans = torch.tensor([[0.0, 4.0], [6.0, 8.0], [20.0, 22.0]])
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 0])
    decode = Decode(fill_gaps=0.2, min_length=0.3)
    found = decode.select(spans, scores, labels, 30, seconds_per_step=0.1)
    assert found.spans.tolist() == [[0.0, 8.0]]
    # Twice as long a step: the gap is 0.4 s, and the shortest span 0.4 s.
    found = decode.select(spans, scores, labels, 30, seconds_per_step=0.2)
    assert torch.equal(found.spans, spans)


def test_a_batch_knows_its_seconds():
    batch = make_batch((40, 23))
    model, decode = points_model().eval(), Decode(min_length=0.5)
    with torch.no_grad():
        found = decode(model(batch.features, batch.mask), batch).in_seconds(batch.timelines)
    lengths = found.spans[:, 1] - found.spans[:, 0]
    assert len(lengths)
    assert (lengths >= 0.5 - 1e-6).all()


def test_seconds_that_are_not_known_are_an_error():
    with pytest.raises(ValueError, match="decode.min_length are in seconds: give select"):
        Decode(min_length=1.0).select(*candidates(), 50)


def test_at_most_so_many_of_a_sequence_however_many_windows_it_has():
    decode = Decode(max_predictions=20, max_per_sequence=5)
    assert len(decode.select(*candidates(), 50, times=3).scores) == 5
    assert len(decode.having(max_per_sequence=None).select(*candidates(), 50, times=3).scores) == 60


EVERYTHING = {
    "bias": [[0.1, 0.1]] * 3, "voting": 0.7, "calibration": IDENTITY, "min_scores": [0.1] * 3,
    "exclusive": True, "fill_gaps": 1.0, "min_length": 0.5, "max_per_sequence": 7,
}  # fmt: skip


@pytest.mark.parametrize("name", [*EVERYTHING, "all"])
def test_any_option_decodes_a_sequence_without_candidates(name):
    spans, scores, labels = candidates()
    options = EVERYTHING if name == "all" else {name: EVERYTHING[name]}
    decode = Decode(suppress=SOFT, **options)
    found = decode.select(spans[:0], scores[:0], labels[:0], 50, seconds_per_step=1.0)
    assert [len(field) for field in found] == [0, 0, 0]
    some = decode.select(spans, scores, labels, 50, seconds_per_step=1.0)
    assert len(some.scores)
    assert (some.scores[:-1] >= some.scores[1:]).all()
    assert some.spans.min() >= 0
    assert some.spans.max() <= 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voting": 0.0}, r"decode.voting is 0.0; wanted a number in \(0, 1\]"),
        ({"trim": 0.5}, r"decode.trim is 0.5; wanted a number in \[0, 0.5\)"),
        ({"fill_gaps": -1.0}, "decode.fill_gaps is -1.0; wanted a number, at least 0"),
        ({"min_length": float("nan")}, "decode.min_length is nan"),
        (
            {"max_per_sequence": 0},
            "decode.max_per_sequence is 0; wanted a whole number, at least 1",
        ),
        ({"bias": [[1.0]]}, "decode.bias is .*; wanted a start and an end for each label"),
        ({"bias": [[1.0, 2.0], [1.0]]}, "decode.bias is .*; wanted a start and an end"),
        ({"min_scores": [float("inf")]}, "decode.min_scores is .*; wanted a number"),
        ({"boundary_weight": -0.1}, "decode.boundary_weight is -0.1; wanted a number, at least 0"),
        ({"snap": 1.5}, "decode.snap is 1.5; wanted a number in .0, 1."),
        ({"snap": None}, "decode.snap is None; wanted a number"),
        ({"suppress": "soft_nms"}, "decode.suppress is 'soft_nms'; wanted a function, such as ops"),
        ({"fill_gaps": "1 s"}, "decode.fill_gaps is '1 s'; wanted a number"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    for make in (Decode, Decode().having):
        with unchecked(), pytest.raises(ValueError, match=message):
            make(**options)


def test_values_for_fewer_labels_than_there_are_are_an_error():
    for options in ({"bias": [[0.0, 0.0]]}, {"min_scores": [0.0]}):
        with pytest.raises(ValueError, match="has 1 values; there is a label 2, from 0"):
            Decode(**options).select(*candidates(), 50)
    with pytest.raises(ValueError, match="the calibration is of 1 labels; there is a label 2"):
        Decode(calibration=Temperature([1.0], [0.0])).select(*candidates(), 50)


def test_there_is_no_other_option():
    with pytest.raises(ValueError, match="decode has no option 'votes'; it has boundary_weight, "):
        Decode().having(votes=0.5)
    assert Decode().having(voting=0.5).voting == 0.5
