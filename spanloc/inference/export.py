"""Trained models as files that run without spanloc: ONNX, and programs of ``torch.export``."""

import inspect
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from spanloc.decode import Decode, reach_of
from spanloc.decode.windows import evaluating
from spanloc.files import pip_install, replacing
from spanloc.inference.exported import METADATA, SUFFIXES, Exported
from spanloc.training.task import SpanLocalizer

_TRACED_STEPS = 500


class ScoredCandidates(nn.Module):
    """A localizer with its decoding up to suppression: features and mask to spans and scores.

    Inside, sequences are padded to a multiple of the coarsest stride: then all sizes are multiples of one
    number, and the exported graph holds for every length from 1. The masked padding changes no result.

    Args:
        localizer: Features ``(B, C, T)`` and mask ``(B, T)`` to an :class:`~spanloc.structures.Output`.
        stride: Its coarsest, in steps.
        decode: What makes spans and scores of an output.
    """

    def __init__(self, localizer: nn.Module, stride: int, decode: Decode) -> None:
        super().__init__()
        self.localizer, self.stride, self.decode = localizer, stride, decode

    def forward(
        self, features: Float[Tensor, "batch channels steps"], mask: Bool[Tensor, "batch steps"]
    ) -> tuple[Float[Tensor, "batch n 2"], Float[Tensor, "batch n labels"]]:
        """Spans in steps, clipped to their sequence, and scores in [0, 1], 0 for padding."""
        steps = features.shape[2]
        # A cell more than are needed: torch has cases of its own for a size of 1.
        padding = ((steps + self.stride - 1) // self.stride + 1) * self.stride - steps
        output = self.localizer(F.pad(features, (0, padding)), F.pad(mask, (0, padding)))
        lengths = mask.sum(1)[:, None, None].to(output.spans.dtype)
        spans, scores = self.decode.scored(output)
        return torch.minimum(spans.clamp(min=0), lengths), scores * output.mask[:, :, None]


def require_packages(format: str) -> None:  # noqa: A002 - as the setting is called
    """Raise a ``ValueError`` that names the packages which a format lacks, and how to install them."""
    names = ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ()
    if missing := [name for name in names if find_spec(name) is None]:
        raise ValueError(f"format={format} needs {' and '.join(missing)}: {pip_install('export')}")


def export(
    task: SpanLocalizer,
    path: str | Path,
    format: str = "onnx",  # noqa: A002 - as the setting is called
    *,
    opset: int = 18,
    check: Callable[["Exported"], None] | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> None:
    """Write a trained model to one file, atomically, for any number and length of sequences.

    Inputs are ``features (batch, channels, steps)`` float32, as the data gave them, not normalised, and
    ``mask (batch, steps)``, false in the padding. Outputs are ``spans (batch, n, 2)`` in steps and
    ``scores (batch, n, labels)``. The file also holds what :func:`metadata_of` gives.

    Args:
        task: The model, such as :func:`spanloc.load` gives; it is not changed.
        path: The file; an earlier one is replaced.
        format: ``"onnx"``, or ``"torch_export"`` for :func:`torch.export.load`.
        opset: Version of the operators of ONNX, at least 18.
        check: Called with the exported model before the file takes its name; an error keeps it from that.
        progress: Called with the name of each stage as it begins.

    Raises:
        ValueError: There is no such format, the suffix is another one, a package is missing, or the model
            cannot be exported.
        OSError: Writing failed; an earlier file stays as it was.
    """
    suffix = SUFFIXES.get(format)
    if suffix is None:
        raise ValueError(f"format is {format!r}; wanted {' or '.join(SUFFIXES)}")
    if Path(path).suffix != suffix:
        raise ValueError(f"{path}: a file of format={format} ends in {suffix}")
    if format == "onnx" and opset < 18:
        raise ValueError(f"opset is {opset}; wanted at least 18")
    require_packages(format)
    metadata = json.dumps(metadata_of(task))
    with evaluating(task), _quiet(), replacing(path) as file:
        progress("tracing the model")
        program = _program(task)
        progress(f"writing it as {format}")
        if format == "torch_export":
            torch.export.save(program, file, extra_files={METADATA: metadata})
        else:
            file.write_bytes(_onnx(program, metadata, opset))
        if check is not None:
            progress("comparing the file with the checkpoint")
            check(Exported(file))


def metadata_of(task: SpanLocalizer) -> dict[str, Any]:
    """The facts that a program needs to run an exported model, as plain values.

    Returns:
        ``version`` of this list; ``labels``, their names; ``seconds_per_step`` of the features, or null;
        ``num_channels`` of the features; ``input``, the signals that these are or are computed from
        (:class:`~spanloc.facts.InputFacts`: rate, names and units of the channels, features), or null;
        ``crop_seconds``, the length that was trained on, or null; ``window``, the most steps evaluated at
        once, or null; ``reach``, how many steps the model looks to each side; ``stride``, its coarsest;
        ``decode``, the options of :class:`~spanloc.decode.Decode`: the file itself does
        ``boundary_weight``, ``snap`` and the clipping.
    """
    config = task.config or {}
    stride = _coarsest(task.localizer)
    with evaluating(task):
        reach = reach_of(task, task.localizer.num_channels, 16 * stride, task.device)
    return {
        "version": 1,
        "labels": list(task.classes),
        "seconds_per_step": config.get("seconds_per_step"),
        "num_channels": task.localizer.num_channels,
        "input": None if task.input is None else asdict(task.input),
        "crop_seconds": (config.get("data") or {}).get("crop_seconds"),
        "window": task.window,
        "reach": reach.steps,
        "stride": stride,
        "decode": decode_options(task.decode),
    }


def decode_options(decode: Decode) -> dict[str, Any]:
    """The options of a decoding as plain values; of a function, its name and all of its options."""
    options: dict[str, Any] = json.loads(json.dumps(vars(decode), default=_described))
    return options


def _described(value: Any) -> Any:
    # Of what JSON has no word for.
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if inspect.isroutine(value):
        return _described(partial(value))
    if isinstance(value, partial):
        parameters = inspect.signature(value.func).parameters.values()
        options = {p.name: p.default for p in parameters if p.default is not p.empty}
        options.pop("labels", None)
        return {"function": value.func.__name__} | options | value.keywords
    return {"type": type(value).__name__} | vars(value)


def _program(task: SpanLocalizer) -> ExportedProgram:
    module = ScoredCandidates(task.localizer, _coarsest(task.localizer), task.decode).eval()
    # No size may look like a special one.
    mask = torch.ones(3, _TRACED_STEPS, dtype=torch.bool)
    features = torch.zeros(3, task.localizer.num_channels, _TRACED_STEPS)
    batch, steps = Dim("batch", min=1), Dim("steps", min=1)
    shapes = {"features": {0: batch, 2: steps}, "mask": {0: batch, 1: steps}}
    # Else torch takes for granted that no size is 0 or 1.
    symbolic_shapes: Any = torch.fx.experimental._config
    with symbolic_shapes.patch(backed_size_oblivious=True):
        return torch.export.export(module, (features, mask), dynamic_shapes=shapes, strict=False)


def _coarsest(localizer: Any) -> int:
    strides = localizer.neck.strides(localizer.backbone.stride)
    return int(max(strides))


def _onnx(program: ExportedProgram, metadata: str, opset: int) -> bytes:
    found: Any = torch.onnx.export(
        program,
        (),
        input_names=["features", "mask"],
        output_names=["spans", "scores"],
        opset_version=opset,
        verbose=False,
    )
    model = found.model
    model.metadata_props[METADATA] = metadata
    # Where a node comes from in the code; half of a small file, with the folders of this machine.
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    written = found.model_proto
    # The sizes have numbers for names.
    for value in (*written.graph.input, *written.graph.output):
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param = "batch"
        if value.name in ("features", "mask"):
            dims[-1].dim_param = "steps"
    content: bytes = written.SerializeToString()
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    # torch and its converter warn of their own future.
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)
