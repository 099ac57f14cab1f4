"""Options fitted on validation sequences: what is planted is found, and chance is not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from conftest import make_batch, points_task

from spanloc import ops
from spanloc.decode import Decode, Scored, best_thresholds, boundary_bias, collect, fit_decode
from spanloc.decode.collected import FIGURES, Collected, Kept
from spanloc.decode.estimates import errors_beyond_chance
from spanloc.decode.fitting import OF_SETS, RANKED
from spanloc.structures import Sample, Targets, Timeline, collate

STEP = 0.1
BATCH = partial(make_batch, (1500, 311, 1234), num_targets=(9, 0, 4), seed=3)


def planted(num_sequences=12, shift=(0.0, 0.0), noise=0.5, power=1.0, seed=0):
    """Candidates around targets of two labels, and false ones between; half of each scores higher."""
    rng = np.random.default_rng(seed)
    rows, spans, labels, places = [], [], [], []
    for i in range(num_sequences):
        starts = np.arange(8) * 60.0 + 5
        true = np.stack([starts, starts + 30], 1)
        own = rng.integers(2, size=8)
        found = true + np.array(shift) + rng.normal(0, noise, true.shape)
        wrong = np.stack([starts + 38, starts + 50], 1) + rng.normal(0, 1, true.shape)
        right = rng.random(16) < np.repeat([0.9, 0.0], 8)
        chance = np.where(right, rng.uniform(0.55, 0.99, 16), rng.uniform(0.02, 0.6, 16))
        every = np.concatenate([found, wrong])
        every[:8][~right[:8]] += 12
        scores = chance**power
        order = np.argsort(-scores)
        kinds = np.concatenate([own, rng.integers(2, size=8)])
        fields = (torch.from_numpy(field[order]) for field in (every, scores, kinds))
        rows.append(Kept(Scored(*fields), 480, 1))
        spans.append(true * STEP + 7)
        labels.append(own)
        places.append(np.full(8, i))
    joined = [torch.from_numpy(np.concatenate(field)) for field in (spans, labels, places)]
    ids = tuple(f"s{i:02d}" for i in range(len(rows)))
    return Collected(rows, [Timeline(STEP, 7.0)] * len(rows), Targets(*joined, ids))


@pytest.mark.parametrize("window", [None, 512])
def test_collected_candidates_give_the_predictions_of_the_model(window):
    torch.manual_seed(0)
    task = points_task(decode=Decode(suppress=ops.soft_nms))
    task.window, task.decode.max_predictions = window, 30
    decode, batch = task.decode, BATCH()
    task.train()
    found = collect(task, [batch])
    assert task.training
    assert task.decode is decode
    assert found.targets.ids == batch.ids
    assert torch.equal(found.targets.spans, batch.targets("seconds").spans)
    with torch.no_grad():
        wanted = task.eval().predict_step(batch)
    again = found.predictions([decode] * len(found))
    assert len(again)
    for name in ("spans", "labels", "places"):
        assert torch.equal(getattr(again, name), getattr(wanted, name)), name
    assert torch.equal(again.scores.float(), wanted.scores)


def test_sequences_of_several_batches_keep_their_ids_and_ignored_stretches():
    rng = torch.Generator().manual_seed(0)
    samples = [
        Sample(
            f"x{i}", torch.randn(3, 64, generator=rng), torch.tensor([[3.0, 20.0]]),
            torch.tensor([i % 2]), Timeline(), ignored=torch.tensor([[30.0, 40.0]])[: i % 2],
        )
        for i in range(5)
    ]  # fmt: skip
    found = collect(points_task(), [collate(samples[:2]), collate(samples[2:])])
    assert found.targets.ids == ("x0", "x1", "x2", "x3", "x4")
    assert found.targets.places.tolist() == [0, 1, 2, 3, 4]
    assert [len(stretches) for stretches in found.targets.ignored] == [0, 1, 0, 1, 0]


def test_nothing_to_fit_on_is_an_error():
    with pytest.raises(ValueError, match="there are no sequences to fit the decoding on"):
        collect(points_task(), [])


def test_a_constant_error_is_found_and_made_good():
    found = planted(shift=(2.0, -1.5))
    fitted = fit_decode(Decode(), found, 2, ["bias"])
    assert np.array(fitted.settings["bias"]) == pytest.approx(np.array([[-2.0, 1.5]] * 2), abs=0.3)
    assert fitted.decode.bias == fitted.settings["bias"]
    (tried,) = fitted.tried
    assert tried.taken
    assert tried.figures["AP@0.90"] > fitted.before["AP@0.90"] + 0.2
    # The same error in sequences it was not fitted on.
    other = planted(shift=(2.0, -1.5), seed=1)
    bias = boundary_bias(*other.judged([fitted.decode] * 12), 2, other.seconds_per_step)
    assert np.abs(bias).max() < 0.4


@pytest.mark.parametrize("seed", range(4))
def test_chance_is_no_constant_error(seed):
    fitted = fit_decode(Decode(), planted(noise=4.0, seed=seed), 2, ["bias", "voting"])
    assert fitted.settings == {}
    assert fitted.decode.bias is None
    assert fitted.decode.voting is None


def test_a_label_with_few_matches_has_no_bias():
    found = planted(num_sequences=4, shift=(2.0, 0.0))
    rows = found.judged([Decode()] * 4)
    counts = torch.bincount(found.targets.labels)
    assert counts.max() < 24
    assert np.abs(boundary_bias(*rows, 3, found.seconds_per_step))[2].max() == 0
    assert boundary_bias(rows[0][:12], rows[1], 2, found.seconds_per_step) == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_scores_are_calibrated_and_average_precision_stays(kind):
    found = planted(num_sequences=20, power=3.0)
    fitted = fit_decode(Decode(), found, 2, ["calibration"], calibration=kind)
    assert fitted.tried[0].taken
    after = fit_decode(fitted.decode, found, 2, ["bias"]).before
    for name in ("mAP", "AP@0.75", "F1"):
        assert after[name] == fitted.before[name] == fitted.tried[0].figures[name]
    assert after["Brier"] < fitted.before["Brier"]
    assert after["ECE"] < fitted.before["ECE"] / 2
    target = fitted.settings["calibration"]["_target_"]
    assert target == {
        "temperature": "spanloc.decode.Temperature", "isotonic": "spanloc.decode.Isotonic",
    }[kind]  # fmt: skip


def test_the_thresholds_are_those_of_the_highest_f1():
    rng = np.random.default_rng(0)
    scores, labels = rng.random(300).round(2), rng.integers(2, size=300)
    right = rng.random(300) < scores
    counts = np.bincount(labels[right], minlength=2) + 5
    for label, found in enumerate(best_thresholds(scores, right, labels, counts)):
        mine = labels == label

        def f1(least, mine=mine, label=label):
            kept = mine & (scores >= least)
            return 2 * right[kept].sum() / (kept.sum() + counts[label])

        assert f1(found) == pytest.approx(max(f1(least) for least in np.unique(scores)))
    few = best_thresholds(scores, right & (labels == 0), labels, counts)
    assert few[1] != few[0]
    assert best_thresholds(scores, np.zeros(300, bool), labels, counts) == [0.0, 0.0]


def test_sets_of_predictions_get_a_higher_f1():
    found = planted()
    fitted = fit_decode(Decode(), found, 2, [*RANKED, *OF_SETS])
    assert fitted.decode.min_scores is not None
    taken = next(tried for tried in fitted.tried if tried.option == "min_scores")
    assert taken.figures["F1"] > fitted.before["F1"] + 0.1
    other = planted(seed=5)
    assert fit_decode(fitted.decode, other, 2, []).before["F1"] > fitted.before["F1"] + 0.1
    assert all(set(tried.figures) == set(FIGURES) for tried in fitted.tried)


def test_what_is_fitted_is_judged_on_sequences_that_it_was_not_fitted_on():
    found = planted(num_sequences=6)
    fitted = fit_decode(Decode(), found, 2, ["min_scores"])
    (tried,) = fitted.tried
    assert tried.taken
    # On what they were fitted to, thresholds of the highest F1 look better than they are.
    same = fit_decode(fitted.decode, found, 2, []).before["F1"]
    assert tried.figures["F1"] < same - 0.002


def test_what_overlaps_in_the_targets_is_not_made_exclusive():
    found = planted()
    spans = found.targets.spans.clone()
    spans[1::2, 0] -= 10
    targets = replace(found.targets, spans=spans)
    fitted = fit_decode(Decode(), replace(found, targets=targets), 2, ["exclusive"])
    assert fitted.notes == ["exclusive: the targets overlap one another"]
    assert fitted.tried == []


def test_one_sequence_is_too_few_but_for_calibration():
    fitted = fit_decode(Decode(), planted(1, power=3.0), 2)
    assert [tried.option for tried in fitted.tried] == ["calibration"]
    assert fitted.notes == [
        "only calibration is fitted: others take two sequences to see whether they help"
    ]


def test_of_two_sequences_it_takes_more_than_two_standard_errors():
    assert [round(errors_beyond_chance(n), 1) for n in (2, 3, 10)] == [13.8, 4.5, 2.3]
    assert errors_beyond_chance(10_000) == pytest.approx(2, abs=0.01)
    between = 0
    for seed in range(8):
        fitted = fit_decode(Decode(), planted(2, seed=seed), 2, ["min_scores"])
        (tried,) = fitted.tried
        assert tried.errors == errors_beyond_chance(2)
        assert tried.taken == (tried.gain > errors_beyond_chance(2) * tried.error)
        between += 2 * tried.error < tried.gain and not tried.taken
    assert between


def test_the_predictions_of_two_sequences_are_enough_to_calibrate_by():
    kept = []
    for seed in range(8):
        found, other = planted(2, power=3.0, seed=seed), planted(20, power=3.0, seed=100 + seed)
        fitted = fit_decode(Decode(), found, 2, ["calibration"])
        (tried,) = fitted.tried
        assert tried.errors == errors_beyond_chance(10)
        kept.append(tried.taken)
        if tried.taken:
            before, after = (fit_decode(d, other, 2, []).before for d in (Decode(), fitted.decode))
            assert after["ECE_from_0.1"] < 0.6 * before["ECE_from_0.1"]
    assert sum(kept) > 6


def test_what_was_fitted_before_is_fitted_from_the_start():
    found = planted(shift=(2.0, 0.0))
    once = fit_decode(Decode(), found, 2, ["bias"])
    assert fit_decode(once.decode, found, 2, ["bias"]).settings == once.settings


def test_an_option_that_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="decode.suppress cannot be fitted; bias, voting, "):
        fit_decode(Decode(), planted(2), 2, ["suppress"])
