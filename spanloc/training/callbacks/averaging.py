"""Averaged weights, which a test takes too."""

from typing import Any

from spanloc.lightning import LightningModule, Trainer, package


class EMAWeightAveraging(package.callbacks.EMAWeightAveraging):
    """Lightning's exponential moving average of the weights, without its surprise after training.

    Lightning's own restores the weights of the optimizer, not their average, where a trainer that has
    trained tests or predicts with a checkpoint (``trainer.test(ckpt_path="best")``).
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores both to train on; otherwise the average is there already."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
