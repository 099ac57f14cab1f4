"""
Your own loss, backbone and data set
====================================

Each part of a model is a function or a ``Module`` with a few attributes. This page writes two of
them (a span loss and a backbone) and a data set, and trains with all three at once.
"""

# %%
# A data set
# ----------
#
# A :class:`~spanloc.data.SpanDataModule` needs three sets of samples (lists or ``Dataset`` objects) and the
# names of the labels. A :class:`~spanloc.Sample` has features ``(channels, steps)``, and spans in steps.

import torch
from pytorch_lightning import Trainer, seed_everything
from torch import nn

from spanloc import Criterion, Decode, Sample, SpanLocalizer, collate, metrics, ops
from spanloc.data import SpanDataModule
from spanloc.matching import match_points
from spanloc.models import Localizer, PointsHead, PyramidNeck


class Clicks(SpanDataModule):
    """Two channels of noise; where the first is high there is a span."""

    def __init__(self):
        super().__init__(batch_size=16)
        self.train_set = [self.sequence(i) for i in range(128)]
        self.val_set = self.test_set = [self.sequence(i) for i in range(1000, 1032)]
        self.classes = ["click"]

    def sequence(self, index):
        random = torch.Generator().manual_seed(index)
        features = torch.randn(2, 200, generator=random)
        start, size = torch.randint(20, 90, (2,), generator=random).tolist()
        features[0, start : start + size] += 3
        span = torch.tensor([[start, start + size]], dtype=torch.float32)
        return Sample(f"click-{index}", features, span, labels=torch.tensor([0]))


# %%
# A loss
# ------
#
# A function of pairs, from two tensors ``(n, 2)`` to one ``(n,)``: no mean, no weights, no masks; the
# criterion does that. This one is GIoU and a small pull on the errors of start and end.


def giou_and_ends(pred, target):
    """GIoU loss plus a tenth of the absolute errors, relative to the target's length."""
    errors = (pred - target).abs().sum(-1) / ops.length(target).clamp(min=1)
    return 1 - ops.overlap(pred, target) / ops.hull(pred, target) + 0.1 * errors


# %%
# Before any training, ``spanloc-probe span_loss._target_=mymodule.giou_and_ends`` shows the behaviour of
# such a loss at its minimum.
#
# A backbone
# ----------
#
# It takes features ``(batch, channels, steps)`` and a mask of the valid steps, and gives one column for
# every ``stride`` steps, zero in the padding. The attributes ``num_channels``, ``stride`` and ``width``
# are its input channels, its step and its output channels.


class TwoConvolutions(nn.Module):
    """Two strided convolutions: four steps a column."""

    def __init__(self, num_channels, width=32):
        super().__init__()
        self.num_channels, self.stride, self.width = num_channels, 4, width
        self.first = nn.Conv1d(num_channels, width, 5, stride=2, padding=2)
        self.second = nn.Conv1d(width, width, 5, stride=2, padding=2)

    def forward(self, features, mask):
        x = torch.relu(self.first(features * mask[:, None])) * mask[:, None, ::2]
        mask = mask[:, ::4]
        return torch.relu(self.second(x)) * mask[:, None], mask


# %%
# Together
# --------

seed_everything(0)
data = Clicks()
task = SpanLocalizer(
    Localizer(
        TwoConvolutions(num_channels=2),
        PyramidNeck(num_levels=4, width=32),
        PointsHead(num_classes=1, num_levels=4, width=32),
    ),
    Criterion(match_points, giou_and_ends),
    Decode(suppress=ops.soft_nms),
    metrics={"detection": metrics.AveragePrecision([0.5])},
)
trainer = Trainer(
    max_epochs=12, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
trainer.fit(task, data)
print(f"mAP at tIoU 0.5: {trainer.callback_metrics['val/mAP@0.50']:.3f}")

# %%

sample = data.sequence(7)
with torch.inference_mode():
    predictions = task.eval().predict_step(collate([sample]))
print(f"true {sample.spans[0].tolist()}, predicted {predictions.spans[0].tolist()}")

# %%
# The same on a time line:

from spanloc.plots import timelines

found = predictions[predictions.scores >= 0.1]
figure = timelines(
    [sample.features],
    [(found.spans, found.scores, found.labels)],
    [(sample.spans, sample.labels)],
    [sample.id],
    data.classes,
    unit="steps",
)

# %%
# The command line takes the same parts by name: :doc:`/in-python`.
