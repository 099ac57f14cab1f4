"""Checkpoints of a run that may go on in another folder."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from spanloc.files import replacing
from spanloc.lightning import ModelCheckpoint

log = logging.getLogger(__name__)


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which takes the best files along when the folder changes.

    Lightning forgets the best score of a run that is resumed in another folder, so that the first
    epoch there would count as the best, however good the epochs before were. And it believes the paths
    that a checkpoint holds, and removes what lies there. Here these are names of files beside the
    checkpoint, and nothing else.
    """

    _source: Path | None = None

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Notes the folder of the checkpoints of the resumed run."""
        self._source = Path(trainer.ckpt_path).resolve().parent if trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the scores so far; their files are copied from where the run was."""
        if self._source is None or self.dirpath is None:
            return
        here = Path(self.dirpath)
        scores = state_dict.get("best_k_models")
        scores = scores if isinstance(scores, dict) else {}
        found = {}
        for path, score in scores.items():
            name = self._own(path, state_dict)
            if name and isinstance(score, Tensor) and score.numel() == 1 and not score.isnan():
                found[str(_brought(self._source / name, here / name))] = score.reshape(())
        if scores and not found:
            log.warning(
                "%s: the best checkpoint so far is not beside it; the best of the epochs to come will be",
                self._source,
            )
        order = sorted(found, key=lambda path: float(found[path]), reverse=self.mode == "max")
        if self.save_top_k >= 0:
            order = order[: self.save_top_k]
        self.best_k_models = {path: found[path] for path in order}
        if order:
            self.best_model_path, self.best_model_score = order[0], found[order[0]]
            self.kth_best_model_path, self.kth_value = order[-1], found[order[-1]]
        elif self.monitor is None and (
            name := self._own(state_dict.get("best_model_path"), state_dict)
        ):
            self.best_model_path = str(_brought(self._source / name, here / name))

    def check_monitor_top_k(self, trainer: Any, current: Tensor | None = None) -> bool:
        """True for a score among the best; of equal ones the later: it has been trained for longer."""
        kth = self.best_k_models.get(self.kth_best_model_path)
        if current is not None and kth is not None and bool(current == kth):
            return True
        return bool(super().check_monitor_top_k(trainer, current))

    def _own(self, path: Any, state_dict: dict[str, Any]) -> str | None:
        """The place in its folder of a checkpoint that this callback wrote, if it is still there."""
        if not path:  # none so far
            return None
        name = os.path.relpath(str(path), str(state_dict.get("dirpath")))
        # A name may hold values, and with them folders.
        parts = re.split(r"\{.*?\}", self.filename or "{}")
        pattern = ".*".join(map(re.escape, parts)) + r".*" + re.escape(self.FILE_EXTENSION)
        if self._source is None or ".." in Path(name).parts or not re.fullmatch(pattern, name):
            return None
        file = self._source / name
        inside = file.resolve() == file.parent.resolve() / file.name
        inside = inside and file.resolve().is_relative_to(self._source)
        return name if inside and file.is_file() else None


class LastCheckpoint(RunCheckpoint):
    """The checkpoint that a run goes on from: after epochs, and within long ones.

    Within an epoch it is saved every so many minutes, and where a run is asked to stop; not by several
    processes, whose clocks differ, and not where the training batches come from a loader that cannot go on
    in the middle, as one with a ``load_state_dict`` can.

    Args:
        every_minutes: How often it is saved within an epoch.
        options: Of Lightning's ``ModelCheckpoint``.

    Raises:
        ValueError: ``every_minutes`` is not above 0.
    """

    def __init__(self, *, every_minutes: float = 10.0, **options: Any) -> None:
        if not every_minutes > 0:
            raise ValueError(f"every_minutes is {every_minutes}; it must be above 0")
        super().__init__(**options)
        self.every_minutes = every_minutes
        #: Whether it can be saved after the current batch.
        self.can_save = False
        self._stop: Callable[[], None] | None = None
        self._saved = 0.0

    def stop(self, how: Callable[[], None]) -> None:
        """Save after the current batch, and then call this."""
        self._stop = how

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Starts the clock."""
        super().on_train_start(trainer, pl_module)
        self._saved, self._stop = time.monotonic(), None

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes if a run could go on from a checkpoint after this batch."""
        goes_on = hasattr(trainer.train_dataloader, "load_state_dict") and self.dirpath is not None
        more = batch_idx + 1 < trainer.num_training_batches
        self.can_save = more and goes_on and trainer.world_size == 1

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where it is time or the run is to stop. Lightning calls it after all other callbacks."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        due = time.monotonic() - self._saved > 60 * self.every_minutes
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if (due or self._stop) and self.can_save and stepped:
            path = Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}"
            trainer.save_checkpoint(path)
            self._saved = time.monotonic()
        # With micro-batches to come their step is waited for.
        if self._stop and (stepped or not self.can_save):
            how, self._stop = self._stop, None
            how()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Saves."""
        super().on_train_epoch_end(trainer, pl_module)
        self._saved = time.monotonic()


def _brought(file: Path, here: Path) -> Path:
    if file.resolve() != here.resolve():
        with replacing(here) as temporary:
            shutil.copyfile(file, temporary)
    return here
