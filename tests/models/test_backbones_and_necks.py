"""Laws of every file of ``configs/backbone`` and ``configs/neck``, and what each part is by hand."""

from dataclasses import replace

import pytest
import torch
from conftest import make_batch
from processes import python
from reference_attention import dense_attention
from test_models import every_part, localizer

from spanloc.decode import reach_of
from spanloc.models import MaxPoolNeck, PyramidNeck
from spanloc.models.attention import AttentionBlock, LocalAttention
from spanloc.models.layers import Excite


@every_part
@pytest.mark.parametrize("stride", [1, 4])
def test_noise_in_the_padding_never_reaches_a_valid_cell(group, name, stride):
    model, batch = localizer("points", stride, **{group: name}), make_batch((190, 33))
    if group == "changes":  # the backbone has more channels
        batch = replace(batch, features=batch.features.repeat(1, 2, 1))
    noise = 100 * torch.randn_like(batch.features) * ~batch.mask[:, None]
    clean = model.neck(*model.backbone(batch.features, batch.mask))
    noisy = model.neck(*model.backbone(batch.features + noise, batch.mask))
    for (a, mask), (b, _) in zip(clean, noisy, strict=True):
        assert torch.equal(a, b)
        assert not (a * ~mask[:, None]).any()


@every_part
def test_each_part_looks_a_bounded_distance_away_and_no_further_than_is_found(group, name):
    model = localizer("points", 1, num_levels=2, **{group: name}).eval()
    reach = reach_of(model, 3, 256, torch.device("cpu"))
    assert reach.steps < 256
    batch = make_batch((700,), num_targets=(0,))
    moved = batch.features.clone()
    moved[..., 350] += 10
    with torch.no_grad():
        one, other = model(batch.features, batch.mask), model(moved, batch.mask)
    away = (one.points[:, 0] - 350).abs()
    changed = (one.logits != other.logits).any(-1)[0]
    assert away[changed].max() <= reach.steps


@pytest.mark.parametrize("window", [1, 3, 19, 65, 101])
@pytest.mark.parametrize("steps", [1, 31, 33, 100])
def test_local_attention_is_attention_masked_by_distance_and_padding(window, steps):
    torch.manual_seed(0)
    layer = LocalAttention(16, window, num_heads=2)
    x = torch.randn(3, steps, 16, requires_grad=True)
    mask = torch.arange(steps) < torch.tensor([[steps], [max(1, steps - 1)], [steps // 3]])
    found, wanted = layer(x, mask), dense_attention(layer, x, mask, window)
    inputs, weight = [x, *layer.parameters()], torch.randn(3, steps, 16) * mask[:, :, None]
    torch.testing.assert_close(found[mask], wanted[mask], rtol=1e-4, atol=1e-5)
    mine, theirs = (torch.autograd.grad((out * weight).sum(), inputs) for out in (found, wanted))
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_attention_where_all_is_padding_is_finite_and_so_is_its_gradient():
    block, x = AttentionBlock(8, 5, 2), torch.randn(2, 8, 100, requires_grad=True)
    mask = torch.zeros(2, 100, dtype=torch.bool)
    mask[0, :3] = True
    out = block(x * mask[:, None], mask)
    assert not out[:, :, 3:].any()
    out.sum().backward()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())


def test_a_nan_reaches_exactly_the_window_of_an_attention_block():
    # By hand: 9 steps of attention and 1 of the convolution to each side.
    block, x = AttentionBlock(8, 19, 2).eval(), torch.zeros(1, 8, 100)
    x[..., 50] = torch.nan
    out = block(x, torch.ones(1, 100, dtype=torch.bool))
    assert out.isnan().any(1)[0].nonzero()[:, 0].tolist() == list(range(40, 61))
    x = torch.randn(1, 8, 100)
    mask = torch.ones(1, 100, dtype=torch.bool)
    torch.testing.assert_close(block(x, mask), block.train()(x, mask))


def test_attention_sees_the_order_of_the_steps():
    block, x = AttentionBlock(8, 5, 2), torch.randn(1, 8, 9)
    mask = torch.ones(1, 9, dtype=torch.bool)
    middle, mirrored = block(x, mask)[..., 4], block(x.flip(2), mask)[..., 4]
    assert not torch.allclose(middle, mirrored, atol=1e-3)


def test_maximum_of_neighbours_by_hand():
    x = torch.tensor([[[-5.0, -3.0, -4.0, -9.0, -8.0, 0.0]]])
    mask = torch.tensor([[True, True, True, True, True, False]])
    (_, _), (a, mask_a), (b, mask_b) = MaxPoolNeck(3, width=1)(x, mask)
    assert a.tolist() == [[[-3.0, -3.0, -8.0]]]
    assert mask_a.tolist() == [[True, True, True]]
    assert b.tolist() == [[[-3.0, -3.0]]]
    assert mask_b.tolist() == [[True, True]]
    assert MaxPoolNeck(2, width=1, kernel=2)(x, mask)[1][0].tolist() == [[[-3.0, -4.0, -8.0]]]


def test_excitation_averages_valid_steps_of_its_window_only():
    layer, mask = Excite(4, 5), torch.arange(70) < torch.tensor([70, 33, 1])[:, None]
    x = torch.ones(3, 4, 70) * mask[:, None]
    # The average of ones is 1 at the ends too, so all steps have one factor.
    factor = layer(x, mask)[mask[:, None].expand_as(x)].reshape(-1, 4, 1)
    scaled = layer(x, mask)
    assert torch.allclose(scaled[0, :, :1], scaled[0], atol=1e-6)
    assert torch.allclose(scaled[0, :, 0], scaled[2, :, 0], atol=1e-6)
    assert factor.min() > 0
    assert factor.max() < 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionBlock(10, 19, 4), "width is 10; it must be a multiple of num_heads, 4"),
        (lambda: AttentionBlock(8, 20, 4), "window is 20; it must be odd"),
        (lambda: MaxPoolNeck(2, width=8, kernel=3), "kernel is 3; it must be even"),
        (lambda: Excite(8, 4), "excite is 4; it must be odd"),
    ],
)
def test_a_wrong_size_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow  # half a minute each
@pytest.mark.parametrize("kind", ["onnx", "torch_export"])
@pytest.mark.parametrize(
    "parts",
    [
        ("conv_attention", "pyramid_attention", "points", "0", "0"),
        ("conv_excite", "pyramid_maxpool", "points", "0", "0"),
        ("conv", "pyramid", "points", "40", "1"),
        ("conv", "pyramid", "query", "0", "0"),
    ],
)
def test_each_family_is_exported_for_every_length(parts, kind, tmp_path):
    python("export_parts.py", *parts, kind, tmp_path)


def test_a_coarser_level_keeps_the_mean_of_the_cells_below():
    neck = PyramidNeck(3, width=4, num_blocks=0)
    for layer in neck.down:  # nothing of the convolutions is left
        torch.nn.init.zeros_(layer.norm.norm.weight)
        torch.nn.init.zeros_(layer.norm.norm.bias)
    x = torch.randn(1, 4, 8)
    levels = neck(x, torch.ones(1, 8, dtype=torch.bool))
    torch.testing.assert_close(levels[1][0], x.unflatten(2, (4, 2)).mean(3))
    torch.testing.assert_close(levels[2][0], x.unflatten(2, (2, 4)).mean(3))
