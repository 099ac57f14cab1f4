"""
A first model
=============

Train a model that says where in a sequence something starts and ends, and look at what it predicts.
Everything is Python: a data set, a model and a Lightning ``Trainer``.
"""

# %%
# The data
# --------
#
# Sequences of four channels with noise. Each holds one to three bursts of oscillation; the frequency of
# a burst is its label. Distractors oscillate at other frequencies, so strength alone does not find the
# spans. A span is half-open, ``[start, end)``, and counts steps.

from functools import partial

import torch
from pytorch_lightning import Trainer, seed_everything

from spanloc.data import SyntheticData

seed_everything(0)
data = SyntheticData(
    num_train=128, num_val=16, num_test=32, length=160, num_spans=(1, 3),
    span_length=(16, 40), num_distractors=1, noise=0.1, batch_size=16,
)  # fmt: skip
sample = data.train_set[0]
print(sample.features.shape, sample.spans.tolist(), sample.labels.tolist())

# %%
# The model
# ---------
#
# A *backbone* computes features, a *neck* makes coarser levels of them for longer spans, a *head*
# predicts a span and a score for each label at every point. ``partial`` leaves open the arguments that
# follow from the data, such as the number of channels, of labels and of levels.
#
# The *criterion* matches predictions to targets and computes the loss; ``Decode`` turns the many
# candidates into a few predictions.

from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
from spanloc.matching import match_points
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck
from spanloc.training.schedules import cosine

backbone = partial(ConvBackbone, width=24, stride=2)
neck, head = partial(PyramidNeck, width=24), partial(PointsHead, width=24)
task = SpanLocalizer(
    partial(Localizer, backbone=backbone, neck=neck, head=head),
    Criterion(match_points, losses.giou_loss),
    Decode(suppress=ops.soft_nms),
    metrics={"detection": metrics.AveragePrecision([0.5, 0.75])},
    optimizer=partial(torch.optim.AdamW, lr=5e-3),
    scheduler=cosine,
)

# %%
# Training
# --------

quiet = dict.fromkeys(
    (
        "logger",
        "enable_checkpointing",
        "enable_progress_bar",
        "enable_model_summary",
    ),
    False,
)
trainer = Trainer(
    max_epochs=12, check_val_every_n_epoch=4, accelerator="cpu", **quiet
)
trainer.fit(task, data)
for name in ("val/mAP@0.50", "val/mAP@0.75"):
    print(name, round(float(trainer.callback_metrics[name]), 3))

# %%
# ``mAP@0.50`` is mean average precision. A prediction is right if its temporal IoU (tIoU: overlap
# over union) with a target of its label is 0.5 or more.
#
# Predictions
# -----------
#
# ``predict`` gives the spans of each batch with their scores, best first.

predictions = trainer.predict(task, data)[0]
first = predictions.of(0)
print(first.ids, first.spans[:3], first.scores[:3])

# %%
# A time line of the first three sequences: true spans above, predicted ones below.

from spanloc.plots import timelines

samples = [data.test_set[i] for i in range(3)]
shown = [predictions.of(i) for i in range(3)]
figure = timelines(
    [sample.features for sample in samples],
    [(found.spans, found.scores, found.labels) for found in shown],
    [(sample.spans, sample.labels) for sample in samples],
    [sample.id for sample in samples],
    data.classes,
    unit="steps",
)
