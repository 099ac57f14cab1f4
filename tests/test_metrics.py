"""Laws that every metric keeps, over every file of ``configs/metric``."""

import pytest
import reference
import torch
import torch.distributed as dist
import yaml
from conftest import CONFIGS
from torch import multiprocessing

from spanloc import metrics
from spanloc.checkpoint import build, targets
from spanloc.metrics import Predictions, Targets

METRICS = {
    name: node
    for path in sorted((CONFIGS / "metric").glob("*.yaml"))
    for name, node in yaml.safe_load(path.read_text())["metrics"].items()
}
every_metric = pytest.mark.parametrize("node", METRICS.values(), ids=METRICS)


def rows(num_sequences=12, num_labels=3, seed=0, first=0):
    """Predictions and targets as lists of rows; some sequences and labels have only one of them."""
    random = torch.Generator().manual_seed(seed)

    def draw(high):
        return float(torch.rand((), generator=random)) * high

    predictions, truths = [], []
    for sequence in range(first, first + num_sequences):
        for _ in range(int(draw(5))):
            label, start = int(draw(num_labels)), draw(40)
            end = start + 1 + draw(9)
            truths.append((sequence, label, start, end))
            for _ in range(int(draw(3))):
                shift = draw(2) - 1
                predictions.append((sequence, label, start + shift, end + draw(2), draw(1)))
        for _ in range(int(draw(4))):
            start = draw(40)
            predictions.append((sequence, int(draw(num_labels)), start, start + draw(9), draw(1)))
    return predictions, truths


def tensors(predictions, truths):
    p = torch.tensor(predictions, dtype=torch.float64).reshape(-1, 5)
    t = torch.tensor(truths, dtype=torch.float64).reshape(-1, 4)
    return (
        Predictions(p[:, 2:4], p[:, 4], p[:, 1].long(), p[:, 0].long()),
        Targets(t[:, 2:], t[:, 1].long(), t[:, 0].long()),
    )


def value(node, *updates):
    metric = build(node)
    for predictions, truths in updates:
        metric.update(*tensors(predictions, truths))
    result = metric.compute()
    result = result if isinstance(result, dict) else {"value": result}
    return {name: float(number) for name, number in result.items()}


def test_every_public_metric_is_in_a_config_and_the_other_way_round():
    named = {node["_target_"].rsplit(".", 1)[1] for _, node in targets(METRICS)}
    assert named == set(metrics.__all__) - {"Predictions", "Targets"}


@every_metric
def test_perfect_is_one_and_nothing_is_zero(node):
    _, truths = rows()
    perfect = [(*truth, 0.5) for truth in truths]
    assert set(value(node, (perfect, truths)).values()) == {1.0}
    assert set(value(node, ([], truths)).values()) == {0.0}
    assert set(value(node, (perfect, [])).values()) == {0.0}
    assert set(value(node, ([], [])).values()) == {0.0}
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert set(value(node).values()) == {0.0}


@every_metric
def test_order_and_division_into_updates_do_not_matter(node):
    predictions, truths = rows()
    more_predictions, more_truths = rows(seed=1, first=100)
    together = value(node, (predictions + more_predictions, truths + more_truths))
    apart = value(node, (predictions, truths), (more_predictions, more_truths))
    backwards = value(node, ((predictions + more_predictions)[::-1], (truths + more_truths)[::-1]))
    assert together == pytest.approx(apart, abs=1e-12)
    assert together == pytest.approx(backwards, abs=1e-12)


@every_metric
def test_unit_and_place_do_not_matter(node):
    predictions, truths = rows()
    moved = (
        [(s, k, a * 4 + 64, b * 4 + 64, p) for s, k, a, b, p in predictions],
        [(s, k, a * 4 + 64, b * 4 + 64) for s, k, a, b in truths],
    )
    assert value(node, moved) == pytest.approx(value(node, (predictions, truths)), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_the_reference(seed):
    predictions, truths = rows(seed=seed)
    thresholds = [0.1, 0.3, 0.5, 0.7, 0.9]
    node = {"_target_": "spanloc.metrics.AveragePrecision", "thresholds": thresholds}
    result = value(node, (predictions, truths))
    for threshold in thresholds:
        expected = reference.average_precision(predictions, truths, threshold)
        assert result[f"mAP@{threshold:.2f}"] == pytest.approx(expected, abs=1e-12)
    assert 0 < result["mAP"] < 1
    numbers = [result[f"mAP@{threshold:.2f}"] for threshold in thresholds]
    assert result["mAP"] == pytest.approx(sum(numbers) / len(numbers))


def test_average_precision_counted_by_hand():
    # Ranked: hit, miss, hit; two targets found of three. Envelope 1 at the first, 2/3 at the second.
    truths = [(0, 0, 0.0, 10.0), (0, 0, 20.0, 30.0), (1, 0, 0.0, 10.0)]
    predictions = [
        (0, 0, 0.0, 10.0, 0.9),
        (0, 0, 50.0, 60.0, 0.8),
        (1, 0, 0.0, 9.0, 0.7),
        (1, 5, 0.0, 9.0, 0.99),  # a label without targets: left out
    ]
    node = {"_target_": "spanloc.metrics.AveragePrecision", "thresholds": [0.5, 0.9, 0.95]}
    result = value(node, (predictions, truths))
    # tIoU 9/10 reaches 0.9, as the decimal is written.
    assert result["mAP@0.50"] == result["mAP@0.90"] == pytest.approx((1 + 2 / 3) / 3)
    assert result["mAP@0.95"] == pytest.approx(1 / 3)


def test_a_label_without_predictions_counts_zero():
    truths = [(0, 0, 0.0, 10.0), (0, 1, 20.0, 30.0)]
    node = {"_target_": "spanloc.metrics.AveragePrecision", "thresholds": [0.5]}
    assert value(node, ([(0, 0, 0.0, 10.0, 0.9)], truths))["mAP@0.50"] == 0.5


def test_two_empty_spans_do_not_match():
    rows = ([(0, 0, 3.0, 3.0, 0.9)], [(0, 0, 3.0, 3.0)])
    for node in METRICS.values():
        assert set(value(node, rows).values()) == {0.0}


@pytest.mark.parametrize("seed", range(4))
def test_single_span_metrics_are_the_reference(seed):
    predictions, truths = rows(seed=seed)
    result = value({"_target_": "spanloc.metrics.MeanTIoU"}, (predictions, truths))
    assert result["value"] == pytest.approx(reference.best_tiou(predictions, truths))


@pytest.mark.parametrize("name", ["AveragePrecision", "RecallAtTIoU"])
def test_thresholds_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=r"thresholds are \[0.5, 1.5\]"):
        getattr(metrics, name)([0.5, 1.5])


def two_processes(rank, store, results):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        for node in METRICS.values():
            predictions, truths = rows(seed=rank, first=100 * rank)
            results.put((rank, value(node, (predictions, truths))))
    finally:
        dist.destroy_process_group()


def test_two_processes_are_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=two_processes, args=(rank, tmp_path / "store", results))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    found = {0: [], 1: []}
    for _ in range(2 * len(METRICS)):
        rank, numbers = results.get(timeout=120)
        found[rank].append(numbers)
    for worker in workers:
        worker.join()
    expected = [value(node, rows(seed=0), rows(seed=1, first=100)) for node in METRICS.values()]
    for rank in range(2):
        for numbers, whole in zip(found[rank], expected, strict=True):
            assert numbers == pytest.approx(whole, abs=1e-12)
