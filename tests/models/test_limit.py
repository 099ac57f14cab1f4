"""Normalised values that are compressed beyond a limit."""

import math

import pytest
import torch
from conftest import make_batch
from test_models import localizer


def test_values_beyond_the_limit_grow_with_their_logarithm():
    model, seen = localizer("points", limit=10.0), []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.set_statistics(torch.tensor([1.0, 0, 0]), torch.tensor([2.0, 1, 1]))
    features = torch.tensor([[1.0, 21.0, -19.0, 23.0, -9999.0]]).expand(1, 3, 5)
    model(features, torch.ones(1, 5, dtype=torch.bool))
    expected = [0.0, 10.0, -10.0, 10 + math.log(2), -10 - math.log(1 + 4990)]
    assert seen[0][0, 0].tolist() == pytest.approx(expected, rel=1e-6)


def test_values_within_the_limit_stay_as_they_are():
    batch = make_batch((190, 33))
    one, other = (localizer("points", limit=limit) for limit in (None, 50.0))
    one, other = (model(batch.features, batch.mask) for model in (one, other))
    assert torch.equal(one.logits, other.logits)
    assert not torch.equal(
        one.logits, localizer("points", limit=0.5)(batch.features, batch.mask).logits
    )


@pytest.mark.parametrize("limit", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit is {limit}; it must be a number"):
        localizer("points", limit=limit)
