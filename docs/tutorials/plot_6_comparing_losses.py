"""
Comparing losses over seeds
===========================

One run of each loss says little: another seed changes the result as much as another loss. Train both losses with the same
seeds, and compare them seed by seed.
"""

# %%
# One training as a function of the loss and the seed
# ---------------------------------------------------
#
# The seed decides the data, the first weights and the order of the batches. Both losses share these, so their effect
# cancels in the difference.

import logging
from functools import partial

import torch
from pytorch_lightning import Trainer, seed_everything

from spanloc import Criterion, SpanLocalizer, losses, metrics
from spanloc.data import SyntheticData
from spanloc.matching import match_single
from spanloc.models import ConvBackbone, Localizer, PyramidNeck, SingleHead
from spanloc.training.schedules import cosine

logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)


def test_tiou(span_loss, seed):
    """Mean tIoU of a small model of one span per sequence, on its test set."""
    seed_everything(seed, verbose=False)
    data = SyntheticData(
        num_train=128, num_val=1, num_test=64, length=64, span_length=(12, 32),
        num_classes=1, num_distractors=0, noise=0.1, batch_size=32, seed=seed,
    )  # fmt: skip
    backbone = partial(ConvBackbone, width=16, stride=2)
    neck, head = partial(PyramidNeck, width=16), partial(SingleHead, width=16)
    task = SpanLocalizer(
        partial(Localizer, backbone=backbone, neck=neck, head=head),
        Criterion(match_single, span_loss),
        metrics={"tiou": metrics.MeanTIoU()},
        optimizer=partial(torch.optim.AdamW, lr=1e-2),
        scheduler=cosine,
    )
    trainer = Trainer(
        max_epochs=20, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(task, data)
    (found,) = trainer.test(task, data, verbose=False)
    return found["test/tiou"]


# %%
# Two losses, three seeds
# -----------------------

seeds = (0, 1, 2)
compared = {"giou": losses.giou_loss, "smooth_giou": losses.smooth_giou_loss}
found = {
    name: {seed: test_tiou(loss, seed) for seed in seeds}
    for name, loss in compared.items()
}
for name, by_seed in found.items():
    print(name, {seed: round(value, 3) for seed, value in by_seed.items()})

# %%
# Paired
# ------
#
# The mean of the differences, with a 95 % interval of Student's t. With three seeds the interval is wide: t is 4.3.

from spanloc.reports import compare

difference = compare(found["giou"], found["smooth_giou"])
low, high = difference.low, difference.high
print(f"giou - smooth_giou: {difference.mean:+.3f} [{low:+.3f}, {high:+.3f}]")
print(f"{difference.n} seeds: {difference.verdict}")

# %%
# One dot per seed; thin lines join the runs of one seed. If all lean to one side, one loss was better with every seed.

from spanloc.plots import seed_dots

rows = [(name, by_seed, i) for i, (name, by_seed) in enumerate(found.items())]
figure = seed_dots(rows, "test tIoU")

# %%
# On the command line, this is a sweep and a report, here with five seeds:
#
# .. code-block:: sh
#
#    spanloc-train -m span_loss=giou,smooth_giou seed=0,1,2,3,4
#    spanloc-report runs=runs/default
#
# The report groups runs that differ only in the seed, and compares the groups in this way.
