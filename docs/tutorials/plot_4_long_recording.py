"""
A long recording
================

Training uses short crops; recordings may last for hours. A model trained on crops predicts on a recording of
any length: long ones are processed in overlapping windows, so memory does not grow with the
recording.
"""

# %%
# Train on crops
# --------------
#
# Six recordings of four minutes at 20 Hz. About every 20 seconds there is a swing at
# 2 Hz, which lasts 3 to 6 seconds. Training draws crops of 30 seconds.

from functools import partial

import numpy as np
import torch
from pytorch_lightning import Trainer, seed_everything

from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
from spanloc.data import from_arrays
from spanloc.matching import match_points
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck

RATE = 20


def record(seconds, seed):
    """A signal ``(steps, 2)`` and its spans in seconds."""
    rng = np.random.default_rng(seed)
    signal = 0.5 * rng.normal(size=(seconds * RATE, 2))
    spans, now = [], 5 + 10 * rng.random()
    while now + 6 < seconds:
        end = now + 3 + 3 * rng.random()
        times = np.arange(round(now * RATE), round(end * RATE))
        signal[times] += np.sin(2 * np.pi * 2 * times / RATE)[:, None] * [1.0, -0.7]
        spans.append((times[0] / RATE, (times[-1] + 1) / RATE, "swing"))
        now = end + 8 + 12 * rng.random()
    return signal, spans


seed_everything(0)
recorded = {f"rec{i}": record(240, seed=i) for i in range(6)}
data = from_arrays(
    {name: signal for name, (signal, _) in recorded.items()},
    {name: spans for name, (_, spans) in recorded.items()},
    rate=RATE, crop_seconds=30, crops_per_epoch=80, batch_size=8,
    val_share=0.2, test_share=0.2,
)  # fmt: skip
parts = [
    partial(part, width=16) for part in (ConvBackbone, PyramidNeck, PointsHead)
]
task = SpanLocalizer(
    partial(Localizer, backbone=parts[0], neck=parts[1], head=parts[2]),
    Criterion(match_points, losses.giou_loss),
    Decode(suppress=ops.soft_nms),
    metrics={"detection": metrics.AveragePrecision([0.5, 0.75])},
    optimizer=partial(torch.optim.AdamW, lr=5e-3),
)
trainer = Trainer(
    max_epochs=12, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
trainer.fit(task, data)
print(f"mAP at tIoU 0.75: {trainer.callback_metrics['val/mAP@0.75']:.3f}")

# %%
# Predict
# -------
#
# Half an hour that the model has never seen. A recording with more than ``task.window`` steps is
# evaluated in windows. The windows overlap by the range that the model sees on each side, so the
# predictions are those of a single pass.

signal, truth = record(1800, seed=100)
found = task.predict(signal, rate=RATE, name="half an hour")
print(
    f"{len(signal)} steps in windows of {task.window}; {len(truth)} annotated spans"
)

task.window = None  # all at once, to compare
once = task.predict(signal, rate=RATE, name="half an hour")
apart = (found.spans[:60] - once.spans[:60]).abs().max()
print("largest difference in seconds:", float(apart))

# %%
# ``predict`` gives all predictions, most with low scores. Keep those above a threshold,
# and count how many of the annotated spans are among them:

likely = found[found.scores >= 0.3]
known = torch.tensor([span[:2] for span in truth], dtype=torch.float64)
hits = ops.tiou(likely.spans[:, None], known).amax(0) >= 0.5
print(f"{len(likely)} predictions; {int(hits.sum())} annotated spans are found")

# %%
# Files are read piece by piece by ``task.predict("FILE")``, or by the command ``spanloc-predict``
# (:doc:`/predicting`). For a signal that is still being recorded, use a stream.
#
# Plot
# ----

from spanloc.plots.recording import Shown, recording_figure

rows = zip(likely.spans.tolist(), likely.scores.tolist(), strict=True)
shown = Shown(
    "half an hour", signal, RATE, None,
    spans=[(start, end, "swing", score) for (start, end), score in rows], truth=truth,
)  # fmt: skip
figure = recording_figure(shown)

# %%
# The first two minutes:

first = 120
shown = Shown(
    "the first two minutes", signal[: first * RATE], RATE, None,
    spans=[row for row in shown.spans if row[1] < first],
    truth=[row for row in truth if row[1] < first],
)  # fmt: skip
figure = recording_figure(shown)
