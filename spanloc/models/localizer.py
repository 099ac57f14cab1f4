"""A whole model: normalisation, backbone, neck, head."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spanloc.facts import DataFacts
from spanloc.models.layers import Baseline, Mask, Steps
from spanloc.models.sizing import complete, levels_for, stride_for
from spanloc.structures import Output

Part = nn.Module | Callable[..., nn.Module]


class Localizer(nn.Module):
    """Features to spans. With the parts of this package, padding does not change the spans of a sequence.

    A part is a module, or a function that builds one, such as ``partial(ConvBackbone, width=64)``.
    What such a function leaves open is filled in from ``facts``: ``num_channels`` and ``num_classes``
    are the data's, ``stride`` and ``num_levels`` suit the lengths of the spans
    (:mod:`spanloc.models.sizing`), and ``width`` is that of the part before.

    The mean and standard deviation of the channels are buffers, 0 and 1 until
    :meth:`set_statistics` is called, so they travel with the weights.

    Args:
        backbone: Such as :class:`~spanloc.models.ConvBackbone`.
        neck: Such as :class:`~spanloc.models.PyramidNeck`.
        head: Such as :class:`~spanloc.models.PointsHead`.
        facts: Of the training data; None where all parts are built, or leave nothing open.
        checkpointing: Blocks compute their inner values a second time in the backward pass instead of
            keeping them: the same gradients with about half the memory, in a fifth more time.
            Blocks of your own take part if they have an attribute ``checkpointing``, which is set to True.
        baseline: Steps of the running mean that is subtracted from every channel
            (:class:`~spanloc.models.layers.Baseline`), for recordings that differ in what they have all the
            time; it is rounded to cells of the coarsest level. None or 0: channels as they are.
        limit: Standard deviations from the mean beyond which a normalised value is compressed, to
            ``sign(x) * (limit + log1p(|x| - limit))``, for recordings with rare values far outside the usual
            range, such as codes for lost samples. None or 0: values as they are.
        changes: Factor of the changes of each normalised channel from cell to cell (over ``stride`` steps of the
            backbone). The backbone gets their inverse hyperbolic sine (linear where small, logarithmic where
            large) as channels of their own, after the others: for short events in signals whose values vary far
            more than they usually change, such as positions. None or 0: without.

    Raises:
        ValueError: ``baseline``, ``limit`` or ``changes`` is negative or infinite, or the parts do not fit together.
        TypeError: A part needs an argument that is neither bound nor known from ``facts``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: Part,
        neck: Part,
        head: Part,
        *,
        facts: DataFacts | None = None,
        checkpointing: bool = False,
        baseline: float | None = None,
        limit: float | None = None,
        changes: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("baseline", baseline), ("limit", limit), ("changes", changes)):
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; it must be a number, at least 0")
        sizes: dict[str, Any] = {}
        if facts is not None:
            channels = facts.num_channels * (2 if changes else 1)
            sizes = {"num_channels": channels, "stride": stride_for(facts.shortest)}
        self.backbone = _promising(complete(backbone, sizes), "num_channels stride width")
        sizes = {"width": self.backbone.width}
        if facts is not None:
            sizes["num_levels"] = levels_for(facts.longest, self.backbone.stride)
        self.neck = _promising(complete(neck, sizes), "num_levels width")
        sizes = {"width": self.neck.width, "num_levels": self.neck.num_levels}
        if facts is not None:
            sizes["num_classes"] = facts.num_classes
        self.head = _promising(complete(head, sizes), "num_classes")
        for name in ("width", "num_levels"):
            needed, given = getattr(self.head, name, None), getattr(self.neck, name)
            if needed not in (None, given):
                raise ValueError(
                    f"{type(self.head).__name__} has {name}={needed}; {type(self.neck).__name__} has "
                    f"{name}={given}, and both must be the same"
                )
        if checkpointing:
            blocks: Any = (block for block in self.modules() if hasattr(block, "checkpointing"))
            for block in blocks:
                block.checkpointing = True
        self.baseline, self.limit, self.changes = baseline or 0.0, limit or 0.0, changes or 0.0
        channels = self.backbone.num_channels
        if changes and channels % 2:
            raise ValueError(
                f"the backbone has {channels} channels; with changes it must be an even number"
            )
        block = self.neck.strides(self.backbone.stride)[-1]
        count = 2 * max(1, round(self.baseline / block / 2)) + 1
        self.centre = Baseline(block, count) if self.baseline else None
        channels //= 2 if changes else 1
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @property
    def num_channels(self) -> int:
        """Channels of the features."""
        return len(self.mean)

    @property
    def num_classes(self) -> int:
        """Labels."""
        return int(self.head.num_classes)

    @property
    def bounded(self) -> bool:
        """True if sequences longer than those of training are to be evaluated in windows."""
        return bool(getattr(self.head, "bounded", False))

    @property
    def look(self) -> int:
        """Steps beyond what its layers see, at which a head may look for a boundary."""
        finest, *_, coarsest = 2 * tuple(self.neck.strides(self.backbone.stride))
        far, around = (getattr(self.head, name, 0) for name in ("reach_of_look", "cells_of_look"))
        return math.ceil(far * coarsest + around * finest)

    @property
    def normalised(self) -> bool:
        """True once :meth:`set_statistics` has been called."""
        return bool((self.mean != 0).any() or (self.std != 1).any())

    def set_statistics(
        self, mean: Float[Tensor, " channels"], std: Float[Tensor, " channels"]
    ) -> None:
        """Normalise features by these, from the training sequences only."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, features: Steps, mask: Mask) -> Output:
        """Spans of a batch; ``mask`` is false in the padding."""
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"features have {features.shape[1]} channels; the model takes {len(self.mean)}"
            )
        x = (features - self.mean[:, None]) / self.std[:, None]
        if self.limit:
            beyond = (x.abs() - self.limit).clamp(min=0)
            x = x.clamp(-self.limit, self.limit) + x.sign() * beyond.log1p()
        whole = x
        if self.centre is not None:
            x = self.centre(x, mask)
        if self.changes:
            before = F.pad(whole, (self.backbone.stride, 0), mode="replicate")[
                ..., : whole.shape[2]
            ]
            x = torch.cat([x, torch.asinh(self.changes * (whole - before))], 1)
        cells = self.backbone(x, mask)
        if not torch.compiler.is_compiling():
            _require_cells(cells, mask, self.backbone)
        levels = self.neck(*cells)
        output: Output = self.head(levels, self.neck.strides(self.backbone.stride))
        return output


def _require_cells(cells: Any, mask: Tensor, backbone: Any) -> None:
    shape = len(mask), -(-mask.shape[1] // backbone.stride)
    wanted = [(shape[0], backbone.width, shape[1]), shape]
    found: Any = type(cells).__name__
    if isinstance(cells, tuple | list):
        found = [tuple(getattr(part, "shape", ())) for part in cells]
    if found != wanted:
        raise ValueError(
            f"the backbone {type(backbone).__name__} gave {found}; wanted a tuple of cells (batch, width, "
            f"ceil(steps / stride)) and their mask, of the shapes {wanted}"
        )


def _promising(part: nn.Module, names: str) -> Any:
    for name in names.split():
        if not hasattr(part, name):
            raise ValueError(
                f"{type(part).__name__} has no attribute {name!r}; its part of a localizer says "
                f"{', '.join(names.split())} (see spanloc.models.protocols)"
            )
    return part
