"""How many processes a training has."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def num_processes(trainer: Mapping[str, Any]) -> int:
    """How many processes a Trainer with these settings shares a step out over, on all machines."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, str) and "," in devices:
        devices = [part for part in devices.split(",") if part.strip()]
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        count = len(devices)
    elif devices in (None, "auto", -1, "-1"):
        # Without GPUs it is one.
        count = 1 if trainer.get("accelerator") == "cpu" else torch.cuda.device_count()
    else:
        # What is no number is the Trainer's to refuse.
        count = int(devices) if str(devices).isdecimal() else 1
    nodes = str(trainer.get("num_nodes") or 1)
    return max(count, 1) * (int(nodes) if nodes.isdecimal() else 1)
