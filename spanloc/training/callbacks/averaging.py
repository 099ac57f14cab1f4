"""Averaged weights, which a test takes too."""

from typing import Any

from spanloc.lightning import LightningModule, Trainer, package


class EMAWeightAveraging(package.callbacks.EMAWeightAveraging):
    """Lightning's exponential moving average of the weights, without its surprises after training.

    Where a trainer that has trained is given a checkpoint (``trainer.test(ckpt_path="best")``), Lightning's own
    tests and predicts with the weights of the optimizer, not their average, and validates the last average.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores both to train on; otherwise the average is there already."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """During training the average is validated."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training goes on with its own weights."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)
