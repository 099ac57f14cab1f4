"""What a long run holds: memory, open files and sizes of its files, epoch by epoch."""

import json
import os
import resource
from pathlib import Path

from spanloc.lightning import Callback

FILES = ("train.log", "csv/version_0/metrics.csv", "tensorboard/version_0/events*", "last.ckpt")


class Watched(Callback):
    """Writes a row for each epoch: resident bytes, open files, and bytes of each of ``FILES``."""

    def __init__(self, folder):
        self.folder, self.rows = Path(folder), []

    def on_train_epoch_start(self, trainer, pl_module):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        row = {"rss": pages * resource.getpagesize(), "open": len(os.listdir("/proc/self/fd"))}
        for name in FILES:
            row[name] = sum(file.stat().st_size for file in self.folder.glob(name))
        self.rows.append(row)

    def on_train_end(self, trainer, pl_module):
        self.on_train_epoch_start(trainer, pl_module)
        (self.folder / "watched.json").write_text(json.dumps(self.rows))
