"""Attention over the whole sequence with all far steps masked: slow, and as it is defined."""

import torch


def dense_attention(layer, x, mask, window):
    """What a layer of local attention should give, from its weights; padded steps see themselves too."""
    batch, steps, width = x.shape
    heads = layer.num_heads
    parts = layer.project(x).view(batch, steps, 3, heads, width // heads)
    rows = []
    for i in range(steps):
        distance = (torch.arange(steps) - i).abs()
        seen = mask & (distance <= window // 2) | (distance == 0)
        scores = torch.einsum("bhd,bshd->bhs", parts[:, i, 0], parts[:, :, 1])
        scores = scores / (width // heads) ** 0.5
        weights = scores.masked_fill(~seen[:, None], -torch.inf).softmax(-1)
        rows.append(torch.einsum("bhs,bshd->bhd", weights, parts[:, :, 2]).flatten(1))
    return layer.merge(torch.stack(rows, 1))
