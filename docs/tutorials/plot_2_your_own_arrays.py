"""
Your own data, from arrays
==========================

Recordings as arrays in memory, with spans as lists: no files, no command line. For a folder of
recordings, see :doc:`/your-own-data`.
"""

# %%
# Recordings, spans, subjects
# ---------------------------
#
# Each recording is an array, ``(steps, channels)``, with a list of ``(start, end, label)`` in seconds.
# Here they are made up: 10 steps per second, two channels of noise, and a span where the first channel is
# high. Each person has four recordings.

from functools import partial

import numpy as np
import torch
from pytorch_lightning import Trainer, seed_everything

from spanloc import Criterion, Decode, SpanLocalizer, losses, metrics, ops
from spanloc.data import from_arrays
from spanloc.matching import match_points
from spanloc.models import ConvBackbone, Localizer, PointsHead, PyramidNeck

seed_everything(0)
rng = np.random.default_rng(0)
signals, spans, subjects = {}, {}, {}
for i in range(40):
    signal = rng.normal(size=(300, 2))
    start, length = int(rng.integers(20, 200)), int(rng.integers(30, 80))
    signal[start : start + length, 0] += 3
    signals[f"rec{i}"] = signal
    spans[f"rec{i}"] = [(start / 10, (start + length) / 10, "high")]
    subjects[f"rec{i}"] = f"person{i // 4}"

data = from_arrays(signals, spans, rate=10, subjects=subjects, batch_size=8)

# %%
# Recordings of one person are held out together, so that the test says how good the model is for people
# that it has not seen.

data.setup()
print("\n".join(data.notes))

# %%
# Train and test
# --------------

parts = [
    partial(part, width=16) for part in (ConvBackbone, PyramidNeck, PointsHead)
]
task = SpanLocalizer(
    partial(Localizer, backbone=parts[0], neck=parts[1], head=parts[2]),
    Criterion(match_points, losses.giou_loss),
    Decode(suppress=ops.soft_nms),
    metrics={"detection": metrics.AveragePrecision([0.5])},
    optimizer=partial(torch.optim.AdamW, lr=5e-3),
)
trainer = Trainer(
    max_epochs=25, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
trainer.fit(task, data)
(tested,) = trainer.test(task, data, verbose=False)
print(tested)

# %%
# Predict
# -------
#
# On any array. Spans are in seconds, scores from 0 to 1, best first.

name = data.test_set[0].id
found = task.predict(signals[name], rate=10, name=name)
print(spans[name])
print(found[:3].to_pandas())

# %%
# A plot of the recording: the signal, annotated spans as thin lines, predictions as bars.

from spanloc.plots.recording import Shown, recording_figure

rows = zip(found.spans.tolist(), found.scores.tolist(), strict=True)
shown = Shown(
    name, signals[name], 10, None,
    spans=[(start, end, "high", score) for (start, end), score in rows],
    truth=spans[name],
)  # fmt: skip
figure = recording_figure(shown)
