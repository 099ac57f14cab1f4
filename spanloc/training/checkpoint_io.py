"""Checkpoint files: atomic writes, and damage noticed when they are read."""

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch

from spanloc.files import replacing
from spanloc.lightning import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, so that a crash or a full disk costs none of them.

    A ``Trainer`` takes it as one of its ``plugins``. A new checkpoint is written beside the old one,
    flushed to the disk, and takes its name then. One that was damaged since is refused.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint atomically.

        Raises:
            OSError: Writing failed; the file that was there stays.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # By way of memory: torch hides the cause of a write that fails.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; a damaged one is a ``ValueError``."""
        if "://" not in str(path):
            require_intact(path)
        found: dict[str, Any] = super().load_checkpoint(path, *args, **options)
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint that is a file; never a folder."""
        if "://" in str(path):
            super().remove_checkpoint(path)
        elif Path(path).is_file():
            Path(path).unlink()


def require_intact(path: str | Path) -> None:
    """Compare the content of a checkpoint with the checksums in it, which torch does not do.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no checkpoint, or was damaged after it was written.
    """
    try:
        with zipfile.ZipFile(path) as file:
            # torch stores plain bytes; a packed record could grow without bound.
            packed = any(part.compress_type != zipfile.ZIP_STORED for part in file.infolist())
            damaged = None if packed else file.testzip()
            pickles = (file.read(name) for name in file.namelist() if name.endswith(".pkl"))
            packed = packed or not all(map(_is_small, pickles))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        packed, damaged = True, None
    if packed:
        raise ValueError(f"{path}: not a checkpoint, or a damaged one")
    if damaged:
        raise ValueError(f"{path}: the file is damaged: {damaged} does not match its checksum")


def _is_small(content: bytes) -> bool:
    # A few bytes of pickle can ask for any number of zeros, which torch allows.
    names = (value for _, value, _ in pickletools.genops(content) if isinstance(value, str))
    return not any(name.endswith(" bytearray") for name in names)
