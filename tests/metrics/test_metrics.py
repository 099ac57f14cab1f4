"""Laws that every metric keeps, over every file of ``configs/metric``."""

import math

import pytest
from matplotlib import pyplot
from metric_rows import METRICS, rows, tensors, value
from processes import in_two_processes

from spanloc import metrics
from spanloc.config.build import build, targets

every_metric = pytest.mark.parametrize("node", METRICS.values(), ids=METRICS)


def test_every_public_metric_is_in_a_config_and_the_other_way_round():
    named = {node["_target_"].rsplit(".", 1)[1] for _, node in targets(METRICS)}
    public = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), type)}
    assert named == public - {"Predictions", "Targets", "SpanMetric"}


@every_metric
def test_perfect_is_one_and_nothing_is_zero(node):
    _, truths = rows()
    perfect = [(*truth, 0.5) for truth in truths]
    errors = "BoundaryError" in node["_target_"]
    # R1 and AR@1 cannot find several; an error is 0 where all is well and of nothing known without.
    several = not any(name in node["_target_"] for name in ("MeanTIoU", "Recall"))
    if errors:
        found = value(node, (perfect, truths))
        assert found.pop("matched@0.50") == 1
        assert set(found.values()) == {0.0}
        assert all(map(math.isnan, [*value(node, ([], truths)).values()][1:]))
        return
    if several:
        assert set(value(node, (perfect, truths)).values()) == {1.0}
    single = [next(t for t in truths if t[0] == s) for s in sorted({t[0] for t in truths})]
    found = value(node, ([(*t, 0.5) for t in single], single))
    assert set(found.values()) == {1.0}
    assert set(value(node, ([], truths)).values()) == {0.0}
    assert set(value(node, (perfect, [])).values()) == {0.0}
    assert set(value(node, ([], [])).values()) == {0.0}
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert set(value(node).values()) == {0.0}


@every_metric
def test_order_and_division_into_updates_do_not_matter(node):
    predictions, truths = rows(ties=True)
    more_predictions, more_truths = rows(seed=1, first=100, ties=True)
    together = value(node, (predictions + more_predictions, truths + more_truths))
    apart = value(node, (predictions, truths), (more_predictions, more_truths))
    assert together == pytest.approx(apart, abs=1e-12, nan_ok=True)
    # Sequences in another order, the rows of each as they were.
    backwards = value(
        node,
        [
            sorted(some, key=lambda row: -row[0])
            for some in (predictions + more_predictions, truths + more_truths)
        ],
    )
    assert together == backwards


@every_metric
def test_unit_and_place_do_not_matter(node):
    if "F1" in node["_target_"] or "Boundary" in node["_target_"]:
        return  # their options have a unit
    predictions, truths = rows()
    moved = (
        [(s, k, a * 4 + 64, b * 4 + 64, p) for s, k, a, b, p in predictions],
        [(s, k, a * 4 + 64, b * 4 + 64) for s, k, a, b in truths],
    )
    assert value(node, moved) == pytest.approx(value(node, (predictions, truths)), abs=1e-9)


@every_metric
@pytest.mark.parametrize(
    "bad", [(math.nan, 4.0), (0.0, math.nan), (4.0, 0.0), (0.0, math.inf)], ids=str
)
def test_spans_that_are_broken_are_refused_by_name(node, bad):
    good, row = (0, 0, 0.0, 4.0), (1, 0, *bad)
    with pytest.raises(ValueError, match=r"sequence 's00001': Predictions has .* \(1 such of 2\)"):
        value(node, ([(*good, 0.9), (*row, 0.9)], [good]))
    with pytest.raises(
        ValueError, match="sequence 's00001': Targets has the span .* wanted finite"
    ):
        value(node, ([(*good, 0.9)], [good, row]))


@every_metric
def test_it_draws_itself(node):
    metric = build(node)
    metric.update(*tensors(*rows()))
    figure, _ = metric.plot()
    assert figure.axes
    figure, _ = metric.plot([metric.compute(), metric.compute()])
    assert figure.axes[0].lines
    pyplot.close("all")


@every_metric
def test_resetting_lets_everything_go(node):
    metric, size = build(node), None
    for _ in range(3):
        metric.update(*tensors(*rows()))
        metric.compute()
        held = sum(len(getattr(metric, name)) for name in metric._defaults)
        assert size in (None, held)
        size = held
        metric.reset()
        assert not any(len(getattr(metric, name)) for name in metric._defaults)


def values_of(rank):
    mine = rows(seed=rank, first=100 * rank)
    # At last one of the two has had nothing.
    return [value(node, *[mine] * n) for node in METRICS.values() for n in (1, rank)]


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_two_processes_are_one(tmp_path):
    both = [rows(seed=0), rows(seed=1, first=100)]
    expected = [value(node, *some) for node in METRICS.values() for some in (both, both[1:])]
    for found in in_two_processes(values_of, tmp_path):
        for numbers, whole in zip(found, expected, strict=True):
            assert numbers == pytest.approx(whole, abs=1e-12)
