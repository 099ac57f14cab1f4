"""What an evaluation may judge, counted by hand, the slow way, and seen by every metric."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_rows import METRICS, rows, tensors

from spanloc.config.build import build
from spanloc.metrics.assessable import assessable
from spanloc.structures import Predictions, Targets


def made(spans, labels=None, ignored=(), **options):
    spans = torch.tensor(spans).reshape(-1, 2)
    zeros = torch.zeros(len(spans), dtype=torch.int64)
    labels = zeros if labels is None else torch.tensor(labels)
    if options:
        return Predictions(spans, labels, zeros, ("a",), scores=zeros.float())
    stretches = (torch.tensor(ignored).reshape(-1, 2),) if len(ignored) else ()
    return Targets(spans, labels, zeros, ("a",), ignored=stretches)


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([9.0, 11.0], [[9, 10]]),  # half of it is no more than half
        ([9.0, 11.5], []),
        ([12.0, 13.0], []),
        ([17.0, 25.0], []),  # the two stretches overlap: [10, 22) is ignored
        ([17.0, 28.0], [[22, 28]]),
        ([0.0, 60.0], [[0, 10], [50, 60]]),  # 12 of [22, 44] are in targets that are left out
        ([0.0, 61.0], [[0, 10], [50, 60]]),
        ([43.5, 59.5], [[50, 59.5]]),  # the piece [43.5, 44] is less than a tenth
        ([32.0, 36.0], []),  # in the target without a label
        ([21.0, 35.0], [[22, 35]]),  # 1 of 14 in a stretch, 5 in that target
        ([19.0, 33.0], [[22, 33]]),  # 3 and 3 of 14
        ([41.5, 47.0], []),  # the target [42, 48] goes with its stretch, [44, 50)
        ([48.0, 53.0], [[50, 53]]),
        ([51.0, 51.0], [[51, 51]]),
        ([12.0, 12.0], []),
        ([22.0, 22.0], [[22, 22]]),
        ([55.0, 65.0], [[55, 60]]),  # tIoU 4 / 13 with the target [52, 59]; it stays
        ([58.5, 66.0], []),  # 0.5 / 14
        ([58.0, 60.5], [[58, 60]]),  # 0.5 of 2.5 is ignored
    ],
)
def test_what_can_be_assessed_by_hand(spans, kept):
    targets = made(
        [[30.0, 40.0], [42.0, 48.0], [52.0, 59.0]],
        [-1, 0, 1],
        [[10.0, 20.0], [15.0, 22.0], [44.0, 50.0], [60.0, 70.0]],
    )
    found, true = assessable(made(spans, scores=1), targets)
    assert found.spans.tolist() == kept
    assert len(found.scores) == len(kept)
    assert true.spans.tolist() == [[52.0, 59.0]]
    assert true.ignored == ()


def test_a_span_through_an_ignored_stretch_is_found_in_pieces():
    targets = made([[0.0, 10.0], [20.0, 30.0], [25.0, 70.0]], None, [[10.0, 20.0], [50.0, 52.0]])
    found, true = assessable(made([[1.0, 29.0]], scores=1), targets)
    assert found.spans.tolist() == [[1, 10], [20, 29]]
    assert true.spans.tolist() == [[0, 10], [20, 30], [25, 50], [52, 70]]


def test_what_is_predicted_on_a_small_piece_of_a_target_is_not_judged():
    targets = made([[0.0, 100.0]], None, [[8.0, 50.0]])
    for spans in ([[0.0, 8.0], [50.0, 100.0]], [[0.0, 100.0]]):
        found, true = assessable(made(spans, scores=1), targets)
        assert found.spans.tolist() == true.spans.tolist() == [[50, 100]]


def test_nothing_to_leave_out_gives_back_what_came():
    found, true = tensors(*rows())
    for some in (true, replace(true, ignored=(torch.zeros(0, 2),) * len(true.ids))):
        one, other = assessable(found, some)
        assert one is found
        assert other is some


def half_seen(seed):
    """Rows with stretches, some of which overlap; and some targets without a label."""
    found, true = tensors(*rows(seed=seed))
    random = np.random.default_rng(seed)
    starts = [random.uniform(0, 45, (int(random.integers(4)), 1)) for _ in true.ids]
    stretches = [torch.tensor(np.hstack([s, s + random.uniform(0.5, 12, s.shape)])) for s in starts]
    labels = torch.where(torch.from_numpy(random.random(len(true)) < 0.2), -1, true.labels)
    return found, replace(true, ignored=tuple(stretches), labels=labels)


def share(span, hidden, grid=2e-4):
    """How much of a span is hidden, counted on a fine grid."""
    places = np.arange(span[0] + grid / 2, span[1], grid)
    return np.any([(a <= places) & (places < b) for a, b in hidden], 0).mean() if hidden else 0.0


def pieces(span, hidden, least=0.1):
    """What is left of a span where it is not hidden, without what is less than a tenth of it."""
    left = [list(span)]
    for a, b in hidden:
        left = [p for c, d in left for p in ([c, min(d, a)], [max(c, b), d]) if p[0] < p[1]]
    return [p for p in left if p[1] - p[0] >= least * (span[1] - span[0])]


@pytest.mark.parametrize("seed", range(3))
def test_what_can_be_assessed_is_that_of_the_slow_way(seed):
    found, true = half_seen(seed)
    expected, kept_targets = [], []
    for place in range(len(true.ids)):
        own, mine = true.of(place), found.of(place)
        hidden = own.ignored[0].tolist()
        pairs = list(zip(own.spans.tolist(), own.labels.tolist(), strict=True))
        lost = [span for span, label in pairs if label < 0 or share(span, hidden) > 0.5]
        kept = [p for span, _ in pairs if span not in lost for p in pieces(span, hidden)]
        kept_targets += kept
        small = [
            p for s, _ in pairs if s not in lost for p in pieces(s, hidden, 0) if p not in kept
        ]
        unjudged = hidden + lost + small
        for a, b in mine.spans.tolist():
            shared = [(min(b, d) - max(a, c), max(b, d) - min(a, c)) for c, d in kept]
            about = any(inner >= 0.1 * outer for inner, outer in shared)
            if about or share((a, b), unjudged) <= 0.5:
                for c, d in pieces((a, b), hidden):
                    shared = [(min(d, f) - max(c, e), max(d, f) - min(c, e)) for e, f in kept]
                    about = any(inner >= 0.1 * outer for inner, outer in shared)
                    expected += [[c, d]] if about or share((c, d), unjudged) <= 0.5 else []
    one, other = assessable(found, true)
    for got, wanted in ((one, expected), (other, kept_targets)):
        assert np.allclose(sorted(got.spans.tolist()), sorted(wanted))
    assert 0 < len(one) < len(found)
    assert 0 < len(other) < len(true)


@pytest.mark.parametrize("node", METRICS.values(), ids=METRICS)
def test_no_metric_sees_what_is_predicted_in_ignored_stretches(node):
    found, true = half_seen(5)
    # All targets end before 60.
    far = torch.tensor([[70.0, 90.0]])
    true = replace(true, ignored=tuple(torch.cat([s, far]) for s in true.ignored))
    junk = torch.arange(len(true.ids)).repeat(3)
    starts = 68.0 + torch.arange(len(junk)) % 20
    more = Predictions(
        torch.cat([found.spans, torch.stack([starts, starts + 4.5], 1)]),
        torch.cat([found.labels, junk % 3]),
        torch.cat([found.places, junk]),
        found.ids,
        scores=torch.cat([found.scores, 2 + torch.rand(len(junk))]),
    )
    values = []
    for some in (found, more):
        metric = build(node)
        metric.update(*assessable(some, true))
        values.append({name: float(v) for name, v in metric.compute().items()})
    assert values[0] == pytest.approx(values[1], abs=1e-12, nan_ok=True)
    metric = build(node)
    metric.update(more, replace(true, ignored=(), labels=true.labels.clamp(min=0)))
    assert values[0] != pytest.approx({k: float(v) for k, v in metric.compute().items()})
