"""A running mean that every channel is freed of."""

import pytest
import torch
from conftest import make_batch
from test_models import localizer

from spanloc.decode import reach_of
from spanloc.models.layers import Baseline


def test_the_mean_of_blocks_around_by_hand():
    x = torch.tensor([[[1.0, 3.0, 5.0, 7.0, 9.0, 50.0, 70.0]]])
    mask = torch.tensor([[True, True, True, True, True, False, False]])
    out = Baseline(2, 3)(x, mask)
    # Blocks of 1 3, 5 7 and 9 alone: means over 1 3 5 7, over all five, and over 5 7 9.
    assert out.tolist() == [[[-3.0, -1.0, 0.0, 2.0, 2.0, 0.0, 0.0]]]


def test_an_offset_of_a_recording_changes_nothing():
    model, batch = localizer("points", baseline=64).eval(), make_batch((190, 33))
    offset = 30 * torch.randn(len(batch.features), batch.features.shape[1], 1)
    one = model(batch.features, batch.mask)
    other = model((batch.features + offset) * batch.mask[:, None], batch.mask)
    torch.testing.assert_close(one.logits[one.mask], other.logits[one.mask], rtol=1e-3, atol=1e-3)


def test_a_window_gives_what_one_pass_gives():
    model = localizer("points", 2, num_levels=2, baseline=40).eval()
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


@pytest.mark.parametrize("baseline", [-1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(baseline):
    with pytest.raises(ValueError, match=f"baseline is {baseline}; it must be a number"):
        localizer("points", baseline=baseline)
