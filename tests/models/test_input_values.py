"""What is done to the input values: a running mean is subtracted, large ones compressed, changes added."""

import math

import pytest
import torch
from conftest import make_batch
from test_models import localizer

from spanloc.decode import reach_of
from spanloc.models import ConvBackbone, Localizer
from spanloc.models.layers import Baseline


def test_the_mean_of_blocks_around_by_hand():
    x = torch.tensor([[[1.0, 3.0, 5.0, 7.0, 9.0, 50.0, 70.0]]])
    mask = torch.tensor([[True, True, True, True, True, False, False]])
    out = Baseline(2, 3)(x, mask)
    # Blocks of 1 3, 5 7 and 9 alone: means over 1 3 5 7, over all five, and over 5 7 9.
    assert out.tolist() == [[[-3.0, -1.0, 0.0, 2.0, 2.0, 0.0, 0.0]]]


def test_with_a_baseline_an_offset_of_a_recording_changes_nothing():
    model, batch = localizer("points", baseline=64).eval(), make_batch((190, 33))
    offset = 30 * torch.randn(len(batch.features), batch.features.shape[1], 1)
    one = model(batch.features, batch.mask)
    other = model((batch.features + offset) * batch.mask[:, None], batch.mask)
    torch.testing.assert_close(one.logits[one.mask], other.logits[one.mask], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"baseline": 40}, {"changes": 9.0}])
def test_a_window_gives_what_one_pass_gives(options):
    model = localizer("points", 2, num_levels=2, **options).eval()
    reach = reach_of(model, 3, 256, torch.device("cpu"))
    assert 20 < reach.steps < 256
    batch, margin = make_batch((700,), num_targets=(0,)), -(-reach.steps // 4) * 4
    first, last = 200 - margin, 300 + margin
    with torch.no_grad():
        whole = model(batch.features, batch.mask)
        part = model(batch.features[..., first:last], batch.mask[:, first:last])
    inside = (whole.points[:, 0] >= 200) & (whole.points[:, 0] < 300)
    same = (part.points[:, 0] + first >= 200) & (part.points[:, 0] + first < 300)
    torch.testing.assert_close(whole.logits[0, inside], part.logits[0, same], rtol=1e-4, atol=1e-4)


def test_values_beyond_the_limit_grow_with_their_logarithm():
    model, seen = localizer("points", limit=10.0), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.set_statistics(torch.tensor([1.0, 0, 0]), torch.tensor([2.0, 1, 1]))
    features = torch.tensor([[1.0, 21.0, -19.0, 23.0, -9999.0]]).expand(1, 3, 5)
    model(features, torch.ones(1, 5, dtype=torch.bool))
    expected = [0.0, 10.0, -10.0, 10 + math.log(2), -10 - math.log(1 + 4990)]
    assert seen[0][0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_changes_over_a_cell_are_channels_of_their_own_after_the_others():
    model, seen = localizer("points", stride=2, changes=10.0), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.set_statistics(torch.tensor([5.0, 0, 0]), torch.tensor([2.0, 1, 1]))
    features = torch.tensor([[1.0, 3.0, 3.0, 9.0]]).expand(1, 3, 4)
    model(features, torch.ones(1, 4, dtype=torch.bool))
    assert model.num_channels == 3
    assert seen[0][0, 0].tolist() == [-2, -1, -1, 2]
    # From two steps before; before the first step is what it is.
    changes = torch.tensor([0.0, 10, 10, 30]).asinh()
    torch.testing.assert_close(seen[0][0, 3], changes)
    with pytest.raises(
        ValueError, match="the backbone has 3 channels; with changes it must be an even"
    ):
        Localizer(ConvBackbone(3, stride=2, width=16), model.neck, model.head, changes=1.0)


def test_values_within_the_limit_stay_as_they_are():
    batch = make_batch((190, 33))
    plain, wide, narrow = (
        localizer("points", limit=limit)(batch.features, batch.mask).logits
        for limit in (None, 50.0, 0.5)
    )
    assert torch.equal(plain, wide)
    assert not torch.equal(plain, narrow)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["baseline", "limit", "changes"])
def test_a_value_that_is_no_length_and_no_factor_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be a number"):
        localizer("points", **{name: value})
