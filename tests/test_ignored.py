"""What nobody looked at, and spans whose label is not known: neither right nor wrong, in loss and metrics."""

from dataclasses import replace

import pytest
import torch
from conftest import make_batch, points_model, single_model

from spanloc import Criterion, SpanLocalizer, losses
from spanloc.convergence import measure
from spanloc.data import TiledSequences, read_annotations
from spanloc.decode import stretch
from spanloc.matching import match_points, match_single
from spanloc.metrics import AveragePrecision
from spanloc.metrics.assessable import assessable
from spanloc.structures import Output, Timeline, collate


def partly_seen(seed=0):
    """Three sequences: one with two ignored stretches and a span without label, one with one stretch."""
    batch = make_batch((90, 61, 40), num_targets=(5, 3, 0), seed=seed)
    batch.labels[0, 1] = batch.labels[1, 2] = -1
    stretches = [[[0.0, 20.5], [60.0, 90.0]], [[30.0, 38.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    return replace(batch, ignored=torch.tensor(stretches))


def is_in(place, spans):
    return any(start <= place < end for start, end in spans)


def output_of(model, batch):
    torch.manual_seed(0)
    return model()(batch.features, batch.mask)


def criterion(match=match_points, **options):
    return Criterion(match, losses.giou_loss, losses.focal_loss, momentum=0.0, **options)


def test_batches_keep_what_is_ignored():
    batch = partly_seen()
    samples = batch.split()
    assert [len(sample.ignored) for sample in samples] == [2, 1, 0]
    again = collate(samples)
    assert torch.equal(again.ignored, batch.ignored)
    assert torch.equal(again.labels, batch.labels)
    assert batch.to("meta").ignored.device.type == "meta"
    assert collate(samples[2:]).ignored is None
    assert torch.equal(collate(samples[2:]).split()[0].ignored, torch.zeros(0, 2))
    part = stretch(batch, 0, 15, 70)
    assert part.ignored.tolist() == [[[-15.0, 5.5], [45.0, 75.0]]]
    assert part.labels.min() == -1


def test_targets_have_the_ignored_stretches_in_their_unit():
    batch = replace(partly_seen(), timelines=(Timeline(0.5, 10.0), Timeline(), Timeline(2.0)))
    steps, seconds = batch.targets(), batch.targets("seconds")
    assert [len(spans) for spans in steps.ignored] == [2, 1, 0]
    assert seconds.ignored[0].tolist() == [[10.0, 20.25], [40.0, 55.0]]
    assert steps.of(1).ignored[0].tolist() == [[30.0, 38.0]]
    assert steps[:1].ignored == steps.ignored
    assert steps.to("meta").ignored[0].device.type == "meta"
    assert replace(batch, ignored=None).targets("seconds").ignored == ()
    assert replace(batch, ignored=None).targets().of(1).ignored == ()


def test_pieces_of_recordings_have_the_ignored_stretches_clipped(annotated):
    (record, *_) = read_annotations(annotated).subsets["training"]
    record = replace(record, ignored=torch.tensor([[5.0, 25.0], [38.0, 40.0]]))
    tiles = TiledSequences([record], 20)
    assert [tile.ignored.tolist() for tile in tiles] == [
        [[5.0, 20.0]],
        [[0.0, 5.0], [18.0, 20.0]],
        [],
    ]


def test_the_loss_with_ignored_stretches_and_unknown_labels_by_hand():
    batch = partly_seen()
    output = output_of(points_model, batch)
    found = criterion().sums(output, batch)
    spans, scores, count, silent = 0.0, 0.0, 0, 0
    index = match_points(output, batch)
    for i, sample in enumerate(batch.split()):
        ignored, labels = sample.ignored.tolist(), sample.labels.tolist()
        unknown = sample.spans[sample.labels < 0].tolist()
        for p, (place, _) in enumerate(output.points.tolist()):
            if not output.mask[i, p] or is_in(place, ignored):
                continue
            wanted, target = torch.zeros(2), int(index[i, p])
            if target >= 0:
                count += 1
                spans += losses.giou_loss(output.spans[i, p], batch.spans[i, target])
                if labels[target] < 0:
                    silent += 1
                    continue
                wanted[labels[target]] = 1
            elif is_in(place, unknown):
                silent += 1
                continue
            scores += losses.focal_loss(output.logits[i, p], wanted).sum()
    assert silent > 0
    assert 0 < count < (index >= 0).sum()
    assert found.num_pairs == count
    torch.testing.assert_close(found.terms["span"], spans)
    torch.testing.assert_close(found.terms["score"], scores)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_does_not_depend_on_what_is_said_of_ignored_points(seed):
    batch = partly_seen(seed)
    output = output_of(points_model, batch)
    hidden = torch.zeros_like(output.mask)
    for i, sample in enumerate(batch.split()):
        for p, (place, _) in enumerate(output.points.tolist()):
            hidden[i, p] = is_in(place, sample.ignored.tolist())
    assert hidden.any()
    values = []
    for change in (0.0, 3.0):
        logits = (output.logits + change * hidden[..., None]).detach().requires_grad_()
        spans = (output.spans + change * hidden[..., None]).detach().requires_grad_()
        total = criterion()(replace(output, logits=logits, spans=spans), batch).total
        total.backward()
        assert logits.grad[hidden].abs().max() == 0
        assert spans.grad[hidden].abs().max() == 0
        values.append((total.item(), logits.grad, spans.grad))
    (one, *gradients), (other, *others) = values
    assert one == other
    assert all(map(torch.equal, gradients, others))


@pytest.mark.parametrize(
    ("model", "match"), [(points_model, match_points), (single_model, match_single)]
)
@pytest.mark.parametrize("quality", [None, "tiou", "score"])
def test_nothing_ignored_changes_nothing(model, match, quality):
    batch = make_batch((60, 41), num_targets=(3, 1))
    output = output_of(model, batch)
    losses_of = criterion(match, quality=quality).eval()
    plain = losses_of(output, batch)
    found = losses_of(output, replace(batch, ignored=torch.zeros(2, 3, 2)))
    assert torch.equal(plain.total, found.total)
    assert all(torch.equal(plain.terms[name], found.terms[name]) for name in plain.terms)


@pytest.mark.parametrize("quality", [None, "tiou", "score"])
def test_a_target_without_a_label_is_learnt_by_its_place_alone(quality):
    batch = make_batch((90,), num_targets=(4,))
    batch.labels[:] = -1
    output = output_of(points_model, batch)
    logits = output.logits.detach().requires_grad_()
    sums = criterion(quality=quality).sums(replace(output, logits=logits), batch)
    assert sums.num_pairs == (match_points(output, batch) >= 0).sum() > 0
    assert sums.terms["span"] > 0
    assert (sums.pairs[0].weight > 0).any()
    sums.terms["score"].backward()
    # Elsewhere it is background, as ever.
    quiet = logits.grad.abs().sum(-1)[0] == 0
    spans = batch.spans[0].tolist()
    assert quiet.tolist() == [is_in(place, spans) for place in output.points[:, 0].tolist()]


def test_a_matcher_is_not_offered_the_ignored_points():
    batch, seen = partly_seen(), []
    output = output_of(points_model, batch)

    def match(output, batch):
        seen.append(output.mask)
        # Even one that takes no notice of it.
        return torch.zeros_like(output.mask, dtype=torch.int64)

    found = criterion(match).sums(output, batch)
    for i, sample in enumerate(batch.split()):
        places = output.points[:, 0].tolist()
        hidden = torch.tensor([is_in(place, sample.ignored.tolist()) for place in places])
        assert torch.equal(seen[0][i], output.mask[i] & ~hidden)
        assert not hidden[found.pairs[0].prediction[found.pairs[0].sequence == i]].any()


def test_the_order_of_targets_without_labels_does_not_matter():
    batch = make_batch((90,), num_targets=(5,))
    batch.labels[0, :3] = -1
    output = output_of(points_model, batch)
    order = torch.tensor([2, 0, 1, 3, 4])
    moved = replace(batch, spans=batch.spans[:, order], labels=batch.labels[:, order])
    one, other = (criterion()(output, some) for some in (batch, moved))
    torch.testing.assert_close(one.total, other.total)
    assert one.num_pairs == other.num_pairs


def test_a_single_head_has_no_score_loss_where_it_is_not_known_what_is_there():
    batch = make_batch((60, 60, 60), num_targets=(1, 0, 0))
    batch.labels[0] = -1
    spans = torch.tensor([[[10.0, 30.0]], [[10.0, 30.0]], [[10.0, 50.0]]])
    logits = torch.zeros(3, 1, 2, requires_grad=True)
    output = Output(spans, logits, None, torch.ones(3, 1, dtype=torch.bool))
    batch = replace(batch, ignored=torch.tensor([[[0.0, 25.0]]] * 3))
    sums = criterion(match_single).sums(output, batch)
    # The first answers for its target, although its middle lies in what is ignored.
    assert sums.num_pairs == 1
    torch.testing.assert_close(sums.terms["span"], losses.giou_loss(spans[0, 0], batch.spans[0, 0]))
    sums.terms["score"].backward()
    assert (logits.grad.abs().sum((1, 2)) > 0).tolist() == [False, False, True]


def test_a_step_in_parts_and_a_measurement_are_those_of_the_whole():
    batch = partly_seen()
    torch.manual_seed(0)
    model, losses_of = points_model().eval(), criterion().eval()
    whole = losses_of.sums(model(batch.features, batch.mask), batch)
    parts = [collate([sample]) for sample in batch.split()]
    sums = [losses_of.sums(model(part.features, part.mask), part) for part in parts]
    assert sum(part.num_pairs for part in sums) == whole.num_pairs
    for name, value in whole.terms.items():
        torch.testing.assert_close(sum(part.terms[name] for part in sums), value)
    found = measure(model, losses_of, parts, {"giou": losses.giou_loss})
    total = losses_of(model(batch.features, batch.mask), batch).total
    assert found.norms["giou"].total == pytest.approx(total.item(), rel=1e-5)
    assert len(found.pred) == whole.num_pairs


def test_a_shape_that_does_not_fit_is_refused():
    batch = make_batch()
    output = output_of(points_model, batch)
    with pytest.raises((ValueError, TypeError), match="ignored"):
        criterion()(output, replace(batch, ignored=torch.zeros(3, 1, 2)))


def test_windows_and_one_pass_leave_the_same_out():
    values = []
    for window in (None, 512):
        torch.manual_seed(0)
        batch = make_batch((1500, 1234), num_targets=(9, 4), seed=3)
        batch.labels[0, 2] = -1
        batch = replace(batch, ignored=torch.tensor([[[100.0, 800.0]], [[1000.0, 1234.0]]]))
        task = SpanLocalizer(points_model(), criterion(), metrics={"ap": AveragePrecision()})
        task.window = window
        with torch.no_grad():
            task.eval().validation_step(batch, 0)
            every = task.predict_step(batch)
        found, true = task.val_metrics["ap"].rows()
        assert true.labels.min() == 0
        assert torch.equal(found.spans, assessable(every, batch.targets("seconds"))[0].spans)
        assert len(found) < len(every)
        values.append(task._loss_sums.tolist())
    assert values[0] == pytest.approx(values[1], rel=1e-4)
