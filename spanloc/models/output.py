"""What every localizer gives back."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32
from torch import Tensor


@dataclass(frozen=True)
class Output:
    """Predicted spans of a batch.

    ``spans`` are in steps and float32, ``start <= end`` by construction; ``logits`` are scores
    before the sigmoid, one a label; ``points`` are position and stride, in steps, of the point each
    prediction comes from, where it comes from one; ``mask`` is false for those of the padding.
    """

    spans: Float32[Tensor, "batch predictions 2"]
    logits: Float32[Tensor, "batch predictions labels"]
    points: Float32[Tensor, "predictions 2"] | None
    mask: Bool[Tensor, "batch predictions"]


# So that torch.export and torch.onnx.export see through it.
with warnings.catch_warnings():
    # torch 2.6 warns of what it calls itself.
    warnings.simplefilter("ignore", FutureWarning)
    torch.export.register_dataclass(Output)
