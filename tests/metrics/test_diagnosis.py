"""What the errors are: by hand, and against slow loops."""

import json
from collections import Counter

import pytest
import reference_metrics as reference
from metric_rows import mean, name, rows, tensors

from spanloc.metrics import FOUND, KINDS, diagnose

CLASSES = ["a", "b", "c"]


def of(predictions, truths, **options):
    return diagnose(*tensors(predictions, truths), CLASSES, **options)


def test_one_of_each_by_hand():
    truths = [(0, 0, 0, 10), (0, 1, 20, 30), (0, 0, 40, 50), (0, 0, 60, 70), (0, 1, 80, 90)]
    predictions = [
        (0, 0, 0, 10, 0.9),  # true positive
        (0, 0, 0, 9, 0.8),  # its target is taken: double detection
        (0, 0, 20, 29, 0.7),  # of label 1: wrong label
        (0, 0, 40, 44, 0.6),  # tIoU 0.4: localisation
        (0, 1, 60, 64, 0.5),  # tIoU 0.4 with label 0: confusion
        (0, 1, 100, 110, 0.4),  # background
    ]
    found = of(predictions, truths)
    assert found["predictions"] == dict.fromkeys(KINDS, 1)
    # With a label that no target has.
    every = of([*predictions, (0, 2, 100, 110, 0.3)], truths, min_score=0.3)["counted"]
    assert every == dict.fromkeys(KINDS, 1) | {"background": 2}
    assert found["targets"] == {
        "found": 1, "crowded out": 0, "wrong label": 1, "localisation": 1, "confusion": 1, "missed": 1,
    }  # fmt: skip
    # Label 0: a hit in the first place, of three: 1/3. Label 1: nothing. Mean 1/6.
    assert found["mAP"] == pytest.approx(1 / 6)
    gain = found["gain"]
    # Label 0 is ranked hit, double, wrong, localisation: what stands after its only hit costs nothing.
    assert gain["double detection"] == gain["background"] == gain["confusion"] == pytest.approx(0)
    # [20, 29] with its label finds a target of label 1, in the first place: 1/2.
    assert gain["wrong label"] == pytest.approx(1 / 4)
    # [40, 50] is found in the fourth place, precision 1/2: (1 + 1/2) / 3 of label 0.
    assert gain["localisation"] == pytest.approx(1 / 2 * (1 / 3 * 1 / 2))
    # Without [80, 90] label 1 still has nothing.
    assert gain["missed"] == pytest.approx(0)
    assert found["classes"]["a"]["predictions"]["double detection"] == 1
    assert found["classes"]["b"]["targets"] == {
        **dict.fromkeys(FOUND, 0),
        "wrong label": 1,
        "missed": 1,
    }
    assert "c" not in found["classes"]
    assert found["outside"] == 1
    assert of([(0, 0, 31, 39, 0.9), (1, 0, 0, 9, 0.8)], truths)["outside"] == 0


def test_only_the_best_ranked_are_counted_and_by_rank():
    truths = [(0, 0, 0, 10), (0, 0, 20, 30)]
    predictions = [(0, 0, 0, 10, 1.0)] + [(0, 0, 100, 110, 0.9 - i / 100) for i in range(30)]
    found = of(predictions, truths)
    assert sum(found["predictions"].values()) == 20  # ten times two targets
    assert found["ranks"][0] == {**dict.fromkeys(KINDS, 0), "true positive": 1, "background": 1}
    assert all(row["background"] == 2 for row in found["ranks"][1:])
    assert len(found["ranks"]) == 10
    assert found["num_predictions"] == 31


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", [False, True])
def test_kinds_fates_and_sensitivity_are_the_reference(seed, ties):
    predictions, truths = rows(seed=seed, ties=ties)
    truths = list(dict.fromkeys(truths))  # the loops tell targets apart by what they are
    found = of(predictions, truths, durations=dict.fromkeys(map(name, range(6)), 60.0))
    names = {t[1] for t in truths}
    counts = Counter(t[1] for t in truths)
    seen, expected = Counter(), Counter()
    order = reference.ranked(predictions)
    for row, (kind, _) in zip(order, reference.kinds(predictions, truths, 0.5, 0.1), strict=True):
        seen[row[1]] += 1
        if row[1] in names and seen[row[1]] <= 10 * counts[row[1]]:
            expected[kind] += 1
    assert found["predictions"] == {kind: expected[kind] for kind in KINDS}
    fates = reference.fates(predictions, truths, 0.5, 0.1)
    assert found["targets"] == {fate: fates.count(fate) for fate in FOUND}
    areas = reference.average_precision(predictions, truths, 0.5)
    assert found["mAP"] == pytest.approx(mean(areas.values()))
    for label, area in areas.items():
        assert found["classes"][CLASSES[label]]["AP"] == pytest.approx(area)
    whole = reference.normalised(predictions, truths, lambda _: True, 0.5)
    assert found["mAP_N"] == pytest.approx(whole)
    for title, value in (
        ("length", lambda t: t[3] - t[2]),
        ("coverage", lambda t: (t[3] - t[2]) / 60 if t[0] < 6 else -1),
        ("number", lambda t: sum(t[:2] == other[:2] for other in truths)),
    ):
        groups = found["sensitivity"][title]
        known = [t for t in truths if value(t) >= 0]
        assert sum(group["targets"] for group in groups) == len(known)
        for group in groups:
            # Rounding aside, which the groups' ends go through.
            def member(t, group=group, value=value):
                return group["least"] - 1e-9 <= value(t) <= group["most"] + 1e-9

            mine = [t for t in truths if member(t)]
            assert group["targets"] == len(mine)
            lost = [fates[truths.index(t)] for t in mine]
            assert group["found"] == pytest.approx(lost.count("found") / len(mine))
            expected = reference.normalised(predictions, truths, member, 0.5)
            assert group["mAP_N"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(6))
def test_mending_is_what_it_says(seed):
    predictions, truths = rows(seed=seed)
    found = of(predictions, truths)
    order = reference.ranked(predictions)
    kinds = reference.kinds(predictions, truths, 0.5, 0.1)
    taken = [t for t in reference.matched(predictions, truths, 0.5) if t is not None]
    for kind in KINDS[1:]:
        mended, given = [], []
        for row, (its, near) in zip(order, kinds, strict=True):
            if its != kind:
                mended.append(row)
            elif kind in ("wrong label", "localisation") and near not in taken + given:
                given.append(near)
                mended.append(
                    (row[0], near[1], *(row if kind == "wrong label" else near)[2:4], row[4])
                )
        areas = reference.average_precision(mended, truths, 0.5)
        assert found["mAP"] + found["gain"][kind] == pytest.approx(mean(areas.values())), kind
    fates = reference.fates(predictions, truths, 0.5, 0.1)
    kept = [t for t, fate in zip(truths, fates, strict=True) if fate != "missed"]
    areas = reference.average_precision(predictions, kept, 0.5)
    assert found["mAP"] + found["gain"]["missed"] == pytest.approx(mean(areas.values()))


@pytest.mark.parametrize("empty", [(True, False), (False, True), (True, True)])
def test_of_nothing_there_are_no_errors(empty):
    predictions, truths = ([] if e else r for e, r in zip(empty, rows(), strict=True))
    found = of(predictions, truths)
    assert found["mAP"] == 0
    assert set(found["gain"].values()) == {0.0}
    assert sum(found["targets"].values()) == len(truths)
    json.dumps(found, allow_nan=False)


def test_limits_out_of_range_are_refused():
    for limits in ({"threshold": 1.5}, {"background": 0.6}, {"background": 0.0}):
        with pytest.raises(ValueError, match="wanted 0 < background < tIoU <= 1"):
            of(*rows(), **limits)
