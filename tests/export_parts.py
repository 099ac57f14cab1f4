"""Exports a model of a backbone, a neck and a head, named as in the configs, and compares it for many lengths."""

import sys
from functools import partial
from pathlib import Path

import torch
from omegaconf import OmegaConf

from spanloc import Criterion, SpanLocalizer, losses
from spanloc.config.build import build
from spanloc.inference.export import export
from spanloc.inference.exported import SUFFIXES, Exported, difference, tolerance
from spanloc.matching import match_points
from spanloc.models import Localizer, PointsHead, QueryHead

CONFIGS = Path(__file__).parent.parent / "configs"
HEADS = {"points": PointsHead, "query": partial(QueryHead, num_queries=12, num_layers=2)}
LENGTHS = [[1], [2], [7], [8], [9], [61], [640], [1001], [1] * 7, [97, 50, 13, 7, 2, 1]]


def part(path, **sizes):
    node = OmegaConf.load(CONFIGS / path)
    parents = [
        OmegaConf.load(CONFIGS / Path(path).parent / f"{p}.yaml") for p in node.pop("defaults", ())
    ]
    return build(OmegaConf.to_container(OmegaConf.merge(*parents, node)))(**sizes)


def main(backbone, neck, head, baseline, limit, format, folder):  # noqa: A002 - as the setting is called
    torch.manual_seed(0)
    model = Localizer(
        # With a limit, changes are channels too.
        part(
            f"backbone/{backbone}.yaml", num_channels=6 if float(limit) else 3, stride=2, width=16
        ),
        part(f"neck/{neck}.yaml", num_levels=3, width=16),
        partial(HEADS[head], 2),
        baseline=float(baseline),
        limit=float(limit),
        changes=float(limit),
    )
    task = SpanLocalizer(model, Criterion(match_points, losses.giou_loss)).eval()
    task.classes = ["a", "b"]
    file = Path(folder) / f"model{SUFFIXES[format]}"
    export(task, file, format)
    run = Exported(file)
    for lengths in LENGTHS:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        features = torch.randn(len(lengths), 3, max(lengths)) * mask[:, None]
        found, allowed = difference(task, run, features, mask), tolerance(max(lengths), 8)
        assert found.spans <= allowed.spans, lengths
        assert found.scores <= allowed.scores, lengths


if __name__ == "__main__":
    main(*sys.argv[1:])
