"""Checkpoints of a run that may go on in another folder."""

import shutil
from pathlib import Path
from typing import Any

from spanloc.files import replacing
from spanloc.lightning import ModelCheckpoint


class RunCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which takes the best file along when the folder changes.

    Lightning forgets the best score of a run that is resumed in another folder, so that the first
    epoch there would count as the best, however good the epochs before were.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copies the best checkpoint so far to the folder of this run, and goes on from its score."""
        best = Path(state_dict["best_model_path"])
        if self.dirpath and best.is_file() and best.parent != Path(self.dirpath):
            here = Path(self.dirpath) / best.name
            with replacing(here) as temporary:
                shutil.copyfile(best, temporary)
            moved: dict[str, Any] = {"dirpath": self.dirpath, "best_model_path": str(here)}
            if state_dict["best_k_models"]:
                score = state_dict["best_model_score"]
                moved |= {"best_k_models": {str(here): score}, "kth_best_model_path": str(here)}
            state_dict = {**state_dict, **moved}
        super().load_state_dict(state_dict)
