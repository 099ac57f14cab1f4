"""How often an ordinary training step waits for a GPU, counted on a CPU."""

from conftest import (
    HINTS_OF_LIGHTNING,
    TheirData,
    make_batch,
    points_model,
    small_model,
    their_trainer,
)
from torch import Tensor
from torch.utils.data import DataLoader
from tracked import Recorder
from waits import Waits

from spanloc import Criterion, SpanLocalizer, losses
from spanloc.lightning import Callback
from spanloc.losses import quality_focal_loss
from spanloc.losses.terms import CellTerm, boundary_focal
from spanloc.matching import match_aligned, match_points
from spanloc.models import BoundaryHead, RefinedHead
from spanloc.structures import collate
from spanloc.training import finite
from spanloc.training.callbacks import GradientNorms

pytestmark = HINTS_OF_LIGHTNING


class SecondStep(Callback):
    """Counts in the second step, and in all that is between it and the third."""

    def __init__(self):
        self.waits = Waits()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 1:
            self.waits.__enter__()
        elif batch_idx == 2:
            self.waits.__exit__(None, None, None)


def test_a_step_waits_once_for_the_number_of_pairs(monkeypatch):
    # As if its tensors were on a GPU.
    monkeypatch.setattr(Tensor, "is_cuda", True)
    monkeypatch.setattr(finite, "_at_once", lambda: False)
    data = TheirData(num_spans=3, count=6)
    batches = [collate(data.samples[i : i + 2]) for i in range(0, 6, 2)]
    data.train_dataloader = lambda: DataLoader(batches, batch_size=None)
    terms = {"boundaries": CellTerm(boundary_focal, 0.5)}
    criterion = Criterion(match_points, losses.diou_loss, quality_focal_loss, terms=terms)
    task = SpanLocalizer(small_model(BoundaryHead), criterion)
    step, recorder = SecondStep(), Recorder()
    trainer = their_trainer(
        callbacks=[GradientNorms(1), step], logger=recorder, log_every_n_steps=1,
        gradient_clip_val=1.0, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(task, data)
    assert step.waits.places == {"nonzero in criterion._layer": 1}
    for name in ("train/loss", "lr", "epoch", "grad/params", "grad/spans"):
        assert list(recorder.column(name)) == [0, 1, 2], name


def waits_of(localizer, criterion):
    batch = make_batch(num_targets=(2, 1))
    with Waits() as waits:
        criterion(localizer(batch.features, batch.mask), batch).total.backward()
    return waits.places


def test_two_layers_of_predictions_wait_once_each():
    criterion = Criterion(match_aligned, losses.giou_loss, quality_focal_loss, quality="score")
    found = waits_of(small_model(RefinedHead), criterion)
    assert found == {"nonzero in criterion._layer": 2}


def test_a_loss_that_reads_values_is_found():
    def reading(pred, target):
        assert float(target.sum()) > 0
        pred[target[:, 0] > 0].tolist()
        return losses.giou_loss(pred, target * target.new_tensor([1.0, 1.0]))

    found = waits_of(points_model(), Criterion(match_points, reading))
    whats = ("_local_scalar_dense", "index", "tolist", "new_tensor")
    expected = {f"{what} in test_device_waits.reading": 1 for what in whats}
    assert found == {"nonzero in criterion._layer": 1, **expected}
