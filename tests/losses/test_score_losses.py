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


def test_focal_loss_without_focus_is_cross_entropy_and_without_weights_quality_focal_loss():
    hard = torch.randn(20, 3), torch.rand(20, 3).round()
    plain = 2 * losses.focal_loss(*hard, alpha=0.5, gamma=0.0)
    torch.testing.assert_close(plain, losses.cross_entropy_loss(*hard))
    unweighted = 2 * losses.focal_loss(*hard, alpha=0.5)
    torch.testing.assert_close(unweighted, losses.quality_focal_loss(*hard))


# A focus between 0 and 1 has an infinite gradient; an alpha below 0 rewards false positives.
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("focal_loss", {"gamma": 0.5}, "gamma is 0.5; it must be 0 or at least 1"),
        ("quality_focal_loss", {"beta": 0.5}, "beta is 0.5; it must be 0 or at least 1"),
        ("varifocal_loss", {"gamma": 0.5}, "gamma is 0.5; it must be 0 or at least 1"),
        ("varifocal_loss", {"alpha": -1.0}, "alpha is -1.0; it must be at least 0"),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_score_loss(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(torch.zeros(1, 1), torch.ones(1, 1), **options)


@pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", ["quality_focal_loss", "varifocal_loss", "cross_entropy_loss"])
def test_losses_with_soft_targets_pull_the_score_to_the_target(name, target):
    # Of background, the varifocal loss weighs by the score: nothing pulls at a score of 0.
    loss = getattr(losses, name)
    scores = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    logits = scores.logit().requires_grad_()
    loss(logits, torch.full_like(logits, target)).sum().backward()
    away = (scores - target).abs() > 1e-6
    assert (logits.grad.sign() == (scores - target).sign())[away].all()
