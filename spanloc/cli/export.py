"""``spanloc-export``: a trained model as one file that runs without spanloc."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.table import Table
from torch import Tensor

from spanloc.cli.frame.folder import run_folder
from spanloc.cli.frame.show import plain_console
from spanloc.config.checkpoint import load
from spanloc.data.inputs import as_input, open_recording
from spanloc.facts import InputFacts
from spanloc.files import counted, require_whole
from spanloc.inference.export import export, require_packages
from spanloc.inference.exported import SUFFIXES, Difference, Exported, difference, latency
from spanloc.inference.exported import tolerance as tolerance_of
from spanloc.training.task import SpanLocalizer


def run(config: DictConfig) -> None:
    """Run ``spanloc-export``; no file is written where the exported model predicts something else."""
    if config.format not in SUFFIXES:
        raise ValueError(f"format is {config.format!r}; wanted {' or '.join(SUFFIXES)}")
    for name, least in (("steps", 1), ("opset", 18)):
        require_whole(name, config[name], least)
    require_packages(config.format)
    task = load(config.checkpoint, allow=config.allow)
    file = Path(str(config.file or run_folder() / f"model{SUFFIXES[config.format]}"))
    features, what = _features(task, config)
    most = Difference(0.0, 0.0)

    def check(exported: Exported) -> None:
        nonlocal most
        for batch, mask in _batches(features):
            found = difference(task, exported, batch, mask)
            allowed = tolerance_of(mask.shape[1], exported.metadata["stride"])
            if not (found.spans <= allowed.spans and found.scores <= allowed.scores):
                raise ValueError(
                    f"{file}: not written: for {what} and a batch {tuple(batch.shape)} spans differ "
                    f"from the checkpoint's by {found.spans:.2g} steps, scores by {found.scores:.2g}; "
                    f"at most {allowed.spans:.2g} and {allowed.scores:.2g} are rounding"
                )
            most = Difference(*map(max, most, found))

    console, stages = plain_console(), itertools.count(1)
    console.print("Exporting the model: half a minute, or some minutes on a busy machine")

    def progress(stage: str) -> None:
        console.print(f"{next(stages)} of 4: {stage}")

    export(task, file, config.format, opset=config.opset, check=check, progress=progress)
    progress("measuring the time of both")
    _show(task, file, features, what, most)


def _features(task: SpanLocalizer, config: DictConfig) -> tuple[Tensor, str]:
    """Features ``(1, C, T)``, and their description."""
    channels = task.localizer.num_channels
    if config.recording is None:
        random = torch.Generator().manual_seed(0)
        noise = torch.randn(1, channels, config.steps, generator=random)
        mean, std = (
            getattr(task.localizer, name, torch.tensor([value]))[:, None]
            for name, value in (("mean", 0.0), ("std", 1.0))
        )
        return noise * std + mean, f"{config.steps} random steps"
    signal = open_recording(str(config.recording), task.input, rate=config.rate)
    signal, _ = as_input(signal, task.input or InputFacts(channels), config.rate)
    steps = min(config.steps, signal.num_steps)
    values: Any = np.array(signal.read(0, steps).T, np.float32, order="C")
    return torch.from_numpy(values)[None], f"the first {steps} steps of {config.recording}"


def _batches(features: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The features alone, seven stretches of them in one batch, and their first step."""
    steps = features.shape[2]
    lengths = torch.tensor([max(1, steps * part // 7) for part in range(7, 0, -1)])
    mask = torch.arange(steps) < lengths[:, None]
    whole = torch.ones(1, steps, dtype=torch.bool)
    return [
        (features, whole),
        (features * mask[:, None], mask),
        (features[:, :, :1].contiguous(), whole[:, :1]),
    ]


def _show(
    task: SpanLocalizer, file: Path, features: Tensor, what: str, differences: Difference
) -> None:
    exported, mask = Exported(file), torch.ones(1, features.shape[2], dtype=torch.bool)
    inputs = features.numpy(), mask.numpy()
    with torch.inference_mode():
        ours = latency(lambda: task(features, mask))
    theirs = latency(lambda: exported(*inputs))
    name = "ONNX Runtime" if file.suffix == SUFFIXES["onnx"] else "torch.export"
    table = Table("", show_header=False, title=f"Exported to {file.name}")
    table.add_column(justify="right")
    for row in (
        ("size", f"{file.stat().st_size / 1e6:.2f} MB"),
        ("largest difference of spans, in steps", f"{differences.spans:.2g}"),
        ("largest difference of scores", f"{differences.scores:.2g}"),
        ("time of the checkpoint, torch", f"{1e3 * ours:.1f} ms"),
        (f"time of the file, {name}", f"{1e3 * theirs:.1f} ms"),
    ):
        table.add_row(*row)
    console = plain_console()
    console.print(table, soft_wrap=False)
    note = f"Compared on {what}, also as a batch of 7 and as one step; times are medians of 20, "
    note += f"of one sequence on the CPU, torch with {counted(torch.get_num_threads(), 'thread')}."
    console.print(note)
    console.print(f"The file is {file}")
