"""Exported models at work: outputs of a file, their difference from the model, the time of a call."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spanloc.decode.windows import evaluating
from spanloc.training.task import SpanLocalizer

#: Formats, and the suffix of their files.
SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2"}
#: Name of the metadata in a file, whose text is JSON.
METADATA = "spanloc.json"


class Exported:
    """An exported model, run on arrays: what programs in other languages do with the file.

    A file of ``torch.export`` is a program: open only those that you trust.

    Args:
        path: A file of :func:`export`.

    Attributes:
        metadata: See :func:`metadata_of`.
    """

    metadata: dict[str, Any]

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if path.suffix == SUFFIXES["onnx"]:
            from onnxruntime import InferenceSession

            session = InferenceSession(path, providers=["CPUExecutionProvider"])
            text = session.get_modelmeta().custom_metadata_map[METADATA]
            self._run: Callable[..., Any] = lambda **inputs: session.run(None, inputs)
        else:
            files = {METADATA: ""}
            module = torch.export.load(path, extra_files=files).module()
            text = files[METADATA]

            def run(**inputs: np.ndarray) -> list[np.ndarray]:
                with torch.no_grad():
                    found = module(*map(torch.from_numpy, inputs.values()))
                return [one.numpy() for one in found]

            self._run = run
        self.metadata = json.loads(text)

    def __call__(self, features: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spans ``(B, n, 2)`` and scores ``(B, n, K)`` of ``(B, C, T)`` float32 and ``(B, T)`` bool."""
        spans, scores = self._run(features=features, mask=mask)
        return spans, scores


class Difference(NamedTuple):
    """The largest differences of spans, in steps, and of scores."""

    spans: float
    scores: float


def difference(
    task: SpanLocalizer, exported: Exported, features: Tensor, mask: Tensor
) -> Difference:
    """The difference of an exported model from its model for a batch; infinite if the counts differ."""
    with evaluating(task):
        output = task(features, mask)
        all_spans, all_scores = task.decode.scored(output)
    spans, scores = (torch.from_numpy(x) for x in exported(features.numpy(), mask.numpy()))
    most = Difference(0.0, 0.0)
    for i, steps in enumerate(mask.sum(1).tolist()):
        # Both are in the same order but for padding, which scores 0.
        there, own = scores[i].amax(-1) > 0, output.mask[i]
        wanted = all_spans[i, own].clamp(min=0, max=steps), all_scores[i, own]
        found = spans[i, there], scores[i, there]
        if len(found[0]) != len(wanted[0]):
            return Difference(np.inf, np.inf)
        pairs = zip(found, wanted, most, strict=True)
        most = Difference(*(max(b, float((f - w).abs().max())) for f, w, b in pairs))
    return most


def tolerance(steps: int, stride: int) -> Difference:
    """Differences that rounding explains: 1e-4, and of spans a millionth of the padded sequence if more."""
    return Difference(max(1e-4, 1e-6 * (steps + 2 * stride)), 1e-4)


def latency(run: Callable[[], Any]) -> float:
    """The median time of twenty calls, in seconds, after three that do not count."""
    return median(repeat(run, number=1, repeat=23)[3:])
