"""Blocks that compute a second time what they do not keep: the same gradients, with less memory."""

import pytest
import torch
from conftest import make_batch

from spanloc.models import (
    AttentionBackbone,
    AttentionNeck,
    BoundaryHead,
    ConvBackbone,
    Localizer,
    PyramidNeck,
)


def model(attention, checkpointing):
    torch.manual_seed(0)
    backbone, neck = (
        (AttentionBackbone, AttentionNeck) if attention else (ConvBackbone, PyramidNeck)
    )
    return Localizer(
        backbone(3, width=8), neck(2, width=8), BoundaryHead(2, 2, width=8),
        checkpointing=checkpointing,
    )  # fmt: skip


def kept_and_gradients(localizer, autocast=False):
    """Bytes that wait for the backward pass outside of blocks, and the gradients."""
    batch, kept = make_batch(), {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output = localizer(batch.features, batch.mask)
        output.spans.square().mean().add(output.logits.square().mean()).backward()
    return sum(kept.values()), {name: p.grad for name, p in localizer.named_parameters()}


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_gradients_by_name_are_the_same_and_less_is_kept(attention, autocast):
    usual, expected = kept_and_gradients(model(attention, False), autocast)
    less, found = kept_and_gradients(model(attention, True), autocast)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert less < usual / 2


def test_without_gradients_nothing_is_computed_twice():
    localizer, batch, calls = model(False, True), make_batch(), []
    localizer.backbone.blocks[0].norm.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        localizer(batch.features, batch.mask)
    assert len(calls) == 1
    localizer(batch.features, batch.mask).spans.sum().backward()
    assert len(calls) == 3
