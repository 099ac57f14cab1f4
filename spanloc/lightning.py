"""Lightning, from the package that is in use: ``pytorch_lightning``, or ``lightning`` where it came first.

The two hold the same code under two names, and each refuses modules, data modules and callbacks that were
made for the other.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "lightning.pytorch" not in sys.modules:
    import pytorch_lightning as package
    from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.loggers.logger import Logger
    from pytorch_lightning.plugins.io import TorchCheckpointIO
    from pytorch_lightning.utilities import rank_zero_info
    from pytorch_lightning.utilities.seed import isolate_rng
else:
    import lightning.pytorch as package
    from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers.logger import Logger
    from lightning.pytorch.plugins.io import TorchCheckpointIO
    from lightning.pytorch.utilities import rank_zero_info
    from lightning.pytorch.utilities.seed import isolate_rng

__all__ = [
    "Callback",
    "LightningDataModule",
    "LightningModule",
    "Logger",
    "ModelCheckpoint",
    "TorchCheckpointIO",
    "Trainer",
    "isolate_rng",
    "package",
    "rank_zero_info",
]
