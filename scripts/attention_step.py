"""Time and memory of a training step with local attention; ``make bench`` prints them."""

import torch
from rich.table import Table
from timing import medians, milliseconds, peak_over

from spanloc.models import AttentionBackbone, AttentionNeck, Localizer, PointsHead


def bench_attention(table: Table) -> None:
    """Add rows for a model as ActionFormer has it, with its blocks: two on the finest level, one on others."""
    torch.manual_seed(0)
    model = Localizer(
        AttentionBackbone(32, width=128), AttentionNeck(5, width=128), PointsHead(12, 5, width=128)
    )
    features, mask = torch.randn(8, 32, 2304), torch.ones(8, 2304, dtype=torch.bool)

    def levels() -> None:
        model.zero_grad()
        x, valid = model.backbone(features, mask)
        torch.stack([cells.sum() for cells, _ in model.neck(x, valid)]).sum().backward()

    def whole() -> None:
        model.zero_grad()
        output = model(features, mask)
        (output.spans.sum() + output.logits.sum()).backward()

    # Of the first call: what is freed stays with the process, so a later one needs nothing more.
    peak = peak_over(whole)
    label = "step of local attention, 8 x 32 x 2304, width 128, 5 levels"
    without, taken = medians(levels, whole, repeats=5)
    table.add_row(f"{label}, backbone and neck", milliseconds(without), "")
    table.add_row(f"{label}, with the head", milliseconds(taken), f"{peak / 2**30:.2f} GiB")
