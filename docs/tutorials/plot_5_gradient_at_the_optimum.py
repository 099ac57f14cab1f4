"""
The gradient at the optimum
===========================

Why is the gradient of a span IoU loss not zero at its minimum? From a question in a forum to a training run. The whole
story, with studies over seeds: :doc:`/why-gradients-are-not-zero`.
"""

# %%
# The question
# ------------
#
# Predictions equal their targets, ``[5, 5]`` and ``[2, 4]`` with inclusive ends. The loss is 0, and up to torch 1.9
# its gradient was not 0. Since torch 1.10 it is 0, as ties in ``minimum`` and ``maximum`` have another rule: half of the
# gradient for each argument (``split``), instead of all for the second (``second``). ``spanloc.ops.overlap(ties=...)``
# has both rules.

import torch

from spanloc.convergence import forum_cases

for case in forum_cases():
    if case.form == "overlap / union" and case.ties != "first":
        gradient = ", ".join(
            f"{value:+.4f}" for value in (*case.starts, *case.ends)
        )
        print(
            f"ties {case.ties:6}  first start moved by {case.shift:+.0e}"
            f"  gradient {gradient}"
        )

# %%
# A step of 1e-5 to either side shows the same jump under both rules: in the first start, from -0.5 to +0.5. At the minimum
# the loss has a kink, as ``abs`` has at 0. The value exactly *at* the kink is a choice of the framework.
#
# The slopes on both sides
# ------------------------
#
# Multiplied by the length of the target, the one-sided slopes are -1 and +1 for every length. A smooth loss, here
# GIoU with a pseudo-Huber function of the errors, has slope 0.

from spanloc.convergence import relative_gradient
from spanloc.losses import giou_loss, smooth_giou_loss

target = torch.tensor([[10.0, 20.0]], dtype=torch.float64)
for error in (1.0, 1e-2, 1e-4, 1e-6):
    pred = target + torch.tensor([[-error, error]])
    sharp, smooth = (
        float(relative_gradient(loss, pred, target))
        for loss in (giou_loss, smooth_giou_loss)
    )
    print(
        f"both boundaries wrong by {error:.0e}: giou {sharp:.4f}, smooth_giou {smooth:.6f}"
    )

# %%
# Gradient descent on free boundaries
# -----------------------------------
#
# There is no network: the boundaries are the parameters. With a step size that falls to zero, both losses reach the
# target; the gradient of the sharp loss is still the square root of 2.

from functools import partial

from matplotlib.figure import Figure

from spanloc.convergence import descend, random_starts
from spanloc.plots.style import BLUE, ORANGE
from spanloc.training.schedules import cosine

starts = random_starts(target[0], 100, spread=1.0)
figure = Figure(figsize=(7, 3.6), layout="constrained")
axes = figure.subplots()
for name, span_loss, rate, colour in (
    ("giou", giou_loss, 1.0, BLUE),
    ("smooth_giou", smooth_giou_loss, 2.0, ORANGE),
):
    found = descend(
        span_loss, starts, target.expand_as(starts), num_steps=1000,
        optimizer=partial(torch.optim.SGD, lr=rate),
        scheduler=partial(cosine, warmup=0.0),
    )  # fmt: skip
    loss, gradient = found.loss.median(1).values, found.gradient.median(1).values
    axes.loglog(
        loss.clamp(min=1e-12),
        gradient.clamp(min=1e-6),
        ".-",
        label=name,
        color=colour,
    )
    print(f"{name}: loss {loss[-1]:.1e}, length x gradient {gradient[-1]:.1e}")
    print(f"    exponent {found.exponent()}")
axes.set(xlabel="loss", ylabel="length × gradient norm", xlim=(2, 1e-12))
axes.legend(frameon=False)

# %%
# The *exponent* is the slope of these lines: 0 for a sharp loss, 1/2 for a smooth one.
#
# A training run
# --------------
#
# Two callbacks measure the same in a training run: ``GradientNorms`` during training, ``Convergence`` at its end, over
# the training set. One span per sequence, a small network, trained once with the sharp loss; the smooth one is
# evaluated at the same predictions.

from pytorch_lightning import Trainer, seed_everything

from spanloc import Criterion, SpanLocalizer
from spanloc.data import SyntheticData
from spanloc.matching import match_single
from spanloc.models import ConvBackbone, Localizer, PyramidNeck, SingleHead
from spanloc.training.callbacks import Convergence, GradientNorms

seed_everything(0)
data = SyntheticData(
    num_train=32, num_val=8, num_test=8, length=64, span_length=(12, 32),
    num_classes=1, num_distractors=0, noise=0.0, batch_size=8,
)  # fmt: skip
parts = [
    partial(part, width=24) for part in (ConvBackbone, PyramidNeck, SingleHead)
]
task = SpanLocalizer(
    partial(Localizer, backbone=parts[0], neck=parts[1], head=parts[2]),
    Criterion(match_single, giou_loss, score_weight=0.0),
    optimizer=partial(torch.optim.AdamW, lr=2e-3),
    scheduler=cosine,
)
convergence = Convergence({"smooth_giou": smooth_giou_loss}, share=None)
trainer = Trainer(
    max_epochs=60, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=4,
    check_val_every_n_epoch=60, callbacks=[GradientNorms(), convergence],
)  # fmt: skip
trainer.fit(task, data)

# %%
# The residual gradient of a pair, in numbers:

result = convergence.result
print(f"mean tIoU of the training set {result.tiou:.3f}")
print(f"exponent {result.exponent}")
for name, row in result.losses.items():
    print(f"{name}: loss {row.loss:.4f}, gradient {row.relative_gradient.mean:.3f}")

# %%
# The predictions are the same, and nearly right. With the sharp loss, each of them still has the gradient of a bad
# prediction; with the smooth loss, it has fallen with the error. So a gradient that does not vanish is not a sign of a
# failed training, and the step size must fall so that the boundaries come to rest.
