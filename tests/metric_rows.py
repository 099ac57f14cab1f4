"""Rows of predictions and targets, and what a metric makes of them."""

import torch
import yaml
from conftest import CONFIGS

from spanloc.config.build import build
from spanloc.structures import Predictions, Targets

METRICS = {
    label: content
    for path in sorted((CONFIGS / "metric").glob("*.yaml"))
    for label, content in yaml.safe_load(path.read_text())["metrics"].items()
}


def node(name, **options):
    return {"_target_": f"spanloc.metrics.{name}", **options}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def rows(num_sequences=12, num_labels=3, seed=0, first=0, ties=False):
    """Predictions and targets as lists of rows; some sequences and labels have only one of them.

    With ``ties`` many scores are equal, and many spans.
    """
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
    if ties:
        predictions = [(s, k, round(a), round(b), round(p, 1)) for s, k, a, b, p in predictions]
        truths = [(s, k, round(a), round(b)) for s, k, a, b in truths]
    return predictions, truths


def name(number):
    """The id of a sequence; ids sort as their numbers do."""
    return f"s{int(number):05d}"


def tensors(predictions, truths):
    p = torch.tensor(predictions, dtype=torch.float64).reshape(-1, 5)
    t = torch.tensor(truths, dtype=torch.float64).reshape(-1, 4)
    numbers = list(dict.fromkeys([*p[:, 0].int().tolist(), *t[:, 0].int().tolist()]))
    ids = tuple(map(name, numbers))

    def places(rows):
        return torch.tensor([numbers.index(int(row[0])) for row in rows], dtype=torch.int64)

    return (
        Predictions(p[:, 2:4], p[:, 1].long(), places(p), ids, scores=p[:, 4]),
        Targets(t[:, 2:], t[:, 1].long(), places(t), ids),
    )


def value(node, *updates):
    metric = build(node)
    for predictions, truths in updates:
        metric.update(*tensors(predictions, truths))
    result = metric.compute()
    result = result if isinstance(result, dict) else {"value": result}
    return {name: float(number) for name, number in result.items()}
