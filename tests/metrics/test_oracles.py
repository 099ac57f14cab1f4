"""What would be gained if one part were perfect: by hand, and laws over random rows."""

import copy

import pytest
import torch
from metric_rows import rows, tensors

from spanloc.metrics import ORACLES, average_precision, diagnose, oracles
from spanloc.metrics.oracles import mended

AT = (0.3, 0.5, 0.7, 0.9)


def apart(seed, ties=False):
    """Random rows in which targets of one sequence do not overlap; places are kept to 1/8."""
    predictions, truths = rows(seed=seed, ties=ties)
    kept = []
    for truth in truths:
        free = all(t[0] != truth[0] or t[3] <= truth[2] or truth[3] <= t[2] for t in kept)
        kept += [truth] if free else []
    return predictions, kept


def listed(predictions):
    columns = (predictions.places, predictions.labels, predictions.spans, predictions.scores)
    return [
        (s, k, *span, score)
        for s, k, span, score in zip(*(c.tolist() for c in columns), strict=True)
    ]


def after(name, predictions, truths, tiou=0.5):
    both = tensors(predictions, truths)
    return average_precision(mended(name, *both, tiou), both[1], AT)[1].mean(0)


def test_each_mends_what_it_says_by_hand():
    truths = [(0, 0, 0, 10), (0, 1, 20, 30)]
    predictions = [
        (0, 0, 0, 8, 0.5),  # tIoU 0.8
        (0, 0, 0, 9, 0.4),  # tIoU 0.9: the second of its target
        (0, 0, 20, 26, 0.9),  # tIoU 0.6 with label 1
        (0, 1, 20, 24, 0.8),  # tIoU 0.4
        (0, 1, 30, 40, 0.7),  # after the last target
    ]
    both = tensors(predictions, truths)
    found = {name: listed(mended(name, *both, 0.5)) for name in ORACLES}
    assert found["as it is"] == predictions
    scores = [row[4] for row in found["ranking"]]
    assert scores == pytest.approx([0.5 * 0.8, 0.4 * 0.9, 0, 0.8 * 0.4, 0])
    assert found["labels"] == [*predictions[:2], (0, 1, 20, 26, 0.9), *predictions[3:]]
    whole = [(0, 0, 0, 10, 0.5), (0, 0, 0, 10, 0.4)]
    assert found["boundaries"] == [*whole, *predictions[2:]]
    assert found["selection"] == [(0, 0, 0, 9, 0.5), *predictions[2:]]
    assert found["outside"] == predictions[:4]


def test_the_figures_of_a_small_case_by_hand():
    # One target of each of two labels; the second is found by its label's worse prediction alone.
    truths = [(0, 0, 0, 10), (0, 1, 20, 30)]
    predictions = [(0, 0, 0, 8, 0.9), (0, 1, 50, 60, 0.8), (0, 1, 20, 30, 0.2)]
    found = oracles(*tensors(predictions, truths), [0.8])
    table = found["mAP"]
    assert list(table) == list(ORACLES)
    assert list(table["as it is"]) == [
        "mAP", "mAP@0.30:0.70", "mAP@0.50:0.95", "mAP@0.50", "mAP@0.75", "mAP@0.80", "mAP@0.90",
    ]  # fmt: skip
    one = {name: row["mAP@0.90"] for name, row in table.items()}
    # Label 0 has nothing at 0.9; label 1 a hit in the second place.
    assert one["as it is"] == one["labels"] == one["selection"] == pytest.approx(1 / 4)
    assert one["ranking"] == one["outside"] == pytest.approx(1 / 2)
    assert one["boundaries"] == pytest.approx(3 / 4)
    assert table["as it is"]["mAP"] == table["as it is"]["mAP@0.80"] == pytest.approx(3 / 4)
    # 0.5 to 0.8, seven of ten thresholds.
    assert table["as it is"]["mAP@0.50:0.95"] == pytest.approx((7 * 3 / 4 + 3 * 1 / 4) / 10)


@pytest.mark.parametrize("seed", range(6))
def test_perfect_predictions_stay_perfect_under_every_oracle(seed):
    _, truths = rows(seed=seed)
    truths += truths[:2]  # annotated twice
    perfect = [(*truth, i / 100) for i, truth in enumerate(truths)]
    for values in oracles(*tensors(perfect, truths))["mAP"].values():
        assert set(values.values()) == {1.0}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_what_can_only_raise_a_figure_does(seed, ties):
    predictions, truths = apart(seed, ties)
    before = after("as it is", predictions, truths)
    assert (after("outside", predictions, truths) >= before - 1e-12).all()
    high = [t >= 0.5 for t in AT]
    for name in ("boundaries", "selection"):
        assert (after(name, predictions, truths) >= before - 1e-12)[high].all(), name


@pytest.mark.parametrize("seed", range(8))
def test_right_boundaries_leave_the_figure_at_the_tiou_for_every_higher_one(seed):
    predictions, truths = apart(seed)
    figures = after("boundaries", predictions, truths)
    wanted = after("as it is", predictions, truths)[AT.index(0.5)]
    assert figures[1:] == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(8))
def test_a_perfect_ranking_does_not_see_what_overlaps_nothing(seed):
    predictions, truths = rows(seed=seed)
    both = tensors(predictions, truths)
    ranked = mended("ranking", *both, 0.5)
    left = ranked[ranked.scores > 0]
    assert len(left) < len(ranked)
    figures = average_precision(left, both[1], AT)[1].mean(0)
    assert figures == pytest.approx(after("ranking", predictions, truths))


@pytest.mark.parametrize("seed", range(4))
def test_selection_leaves_no_double_detection(seed):
    both = tensors(*apart(seed))
    left = mended("selection", *both, 0.5)
    assert diagnose(left, both[1], ["a", "b", "c"])["predictions"]["double detection"] == 0


def test_scores_below_zero_rank_by_what_they_are_worth():
    # Logits: the one that overlaps nothing must come last.
    both = tensors([(0, 0, 0, 10, -1.0), (0, 0, 50, 60, -0.5)], [(0, 0, 0, 10)])
    one, two = mended("ranking", *both, 0.5).scores.tolist()
    assert one >= two == 0
    higher = tensors([(0, 0, 0, 10, -1.0), (0, 0, 50, 60, -2.0)], [(0, 0, 0, 10)])
    one, two = mended("ranking", *higher, 0.5).scores.tolist()
    assert one > two == 0


@pytest.mark.parametrize("empty", [(True, False), (False, True), (True, True)])
def test_of_nothing_all_figures_are_zero(empty):
    both = [[] if e else r for e, r in zip(empty, rows(), strict=True)]
    for values in oracles(*tensors(*both))["mAP"].values():
        assert set(values.values()) == {0.0}


def test_a_sequence_without_targets_is_outside_as_a_whole():
    both = tensors([(0, 0, 0, 5, 0.5), (1, 0, 0, 5, 0.9)], [(1, 0, 0, 5)])
    assert mended("outside", *both, 0.5).scores.tolist() == [0.9]


def test_the_given_rows_are_not_changed():
    predictions, targets = tensors(*rows())
    kept = copy.deepcopy(predictions)
    oracles(predictions, targets)
    for name in ("spans", "labels", "scores"):
        assert torch.equal(getattr(predictions, name), getattr(kept, name)), name


def test_values_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"the tIoU of the oracles is 0; it must lie in \(0, 1\]"):
        oracles(*tensors(*rows()), tiou=0)
    with pytest.raises(ValueError, match="wanted decimals"):
        oracles(*tensors(*rows()), [1.5])
