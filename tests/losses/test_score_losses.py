"""Score losses."""

import pytest
import torch
import yaml
from conftest import CONFIGS

from spanloc import losses
from spanloc.config.build import build

SCORE_LOSSES = {
    path.stem: build(yaml.safe_load(path.read_text()))
    for path in sorted((CONFIGS / "score_loss").glob("*.yaml"))
}
every_score_loss = pytest.mark.parametrize("loss", SCORE_LOSSES.values(), ids=SCORE_LOSSES)


@every_score_loss
def test_score_losses_are_unreduced_finite_and_best_when_right(loss):
    logits = torch.linspace(-60, 60, 24).view(4, 3, 2).requires_grad_()
    targets = torch.tensor([0.0, 1.0]).expand(4, 3, 2)
    values = loss(logits, targets)
    assert values.shape == (4, 3, 2)
    assert (values >= 0).all()
    values.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[..., 0] >= 0).all()
    assert (logits.grad[..., 1] <= 0).all()


def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets = torch.randn(20, 3), torch.rand(20, 3).round()
    torch.testing.assert_close(
        losses.focal_loss(logits, targets, alpha=0.5, gamma=0.0),
        losses.cross_entropy_loss(logits, targets) / 2,
    )


def test_a_focus_with_an_infinite_gradient_is_refused():
    with pytest.raises(ValueError, match="gamma is 0.5; it must be 0 or at least 1"):
        losses.focal_loss(torch.zeros(1, 1), torch.ones(1, 1), gamma=0.5)
