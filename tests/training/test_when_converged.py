"""When convergence is measured, what it needs for that, and what becomes of it."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from conftest import HINTS_OF_LIGHTNING, TheirData, their_trainer
from pytorch_lightning import Callback
from test_convergence import fitted, single
from torch.utils.data import DataLoader, Dataset, IterableDataset

from spanloc import losses
from spanloc.config.build import build
from spanloc.convergence import has_plateaued, kink_of
from spanloc.structures import collate
from spanloc.training.callbacks import AnnealSmoothing, Convergence, GradientNorms
from spanloc.training.callbacks.pace import Pace
from spanloc.training.callbacks.summary import show

pytestmark = HINTS_OF_LIGHTNING
LEVEL = {"when": "level", "level": 9.0, "window": 2}  # met at the second step


@pytest.mark.parametrize(
    ("rule", "reason", "step"),
    [
        ({"when": "last"}, "last step", 8),
        ({"when": "level", "level": 1e-9, "window": 2}, "last step", 8),
        (LEVEL, "level", 2),
        ({"when": "plateau", "window": 2, "patience": 1}, "plateau", 4),
        ({"when": "plateau", "window": 2, "patience": 9}, "last step", 8),
    ],
)
def test_each_rule_measures_at_its_step(rule, reason, step, tmp_path):
    convergence = Convergence(folder=str(tmp_path), **rule)
    data = TheirData(count=16)  # twice the same two batches, so that windows are equal
    found = fitted(single(), data, convergence, max_epochs=4)
    assert (found.reason, found.step) == (reason, step)


@pytest.mark.parametrize(("rule", "reason", "step"), [(LEVEL, "level", 2), ({}, "last step", 8)])
def test_a_resumed_run_measures_again_by_another_rule_only(tmp_path, rule, reason, step):
    first = their_trainer(callbacks=[GradientNorms(1), Convergence(**LEVEL)], max_epochs=1)
    first.fit(single(), TheirData())
    first.save_checkpoint(tmp_path / "a.ckpt")
    convergence, norms = Convergence(**rule, folder=str(tmp_path)), GradientNorms(1)
    trainer = their_trainer(callbacks=[norms, convergence], max_epochs=2)
    trainer.fit(single(), TheirData(), ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert (convergence.result.reason, convergence.result.step) == (reason, step)
    assert json.loads((tmp_path / "convergence.json").read_text())["step"] == step
    assert norms.history().step.tolist() == list(range(1, 9))


def test_a_second_fit_is_a_new_run():
    norms, convergence = GradientNorms(1), Convergence()
    for epochs in (1, 2):
        trainer = their_trainer(callbacks=[norms, convergence], max_epochs=epochs)
        trainer.fit(single(), TheirData())
        assert convergence.result.step == 4 * epochs
        assert norms.history().step.tolist() == list(range(1, 1 + 4 * epochs))


class Stops(Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step == 6:
            raise RuntimeError("power cut")


def test_what_was_measured_outlives_the_run(tmp_path):
    convergence = Convergence(**LEVEL, folder=str(tmp_path))
    trainer = their_trainer(callbacks=[GradientNorms(1), convergence, Stops()], max_epochs=3)
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.fit(single(), TheirData())
    assert json.loads((tmp_path / "convergence.json").read_text())["step"] == 2


@pytest.mark.parametrize(
    "loss", [lambda p, t: losses.giou_loss(p, t).mean(), lambda p, t, extra: p.sum(-1)]
)
def test_a_loss_to_compare_that_does_not_work_is_refused_before_training(loss):
    trainer = their_trainer(callbacks=[GradientNorms(1), Convergence({"bad": loss})])
    with pytest.raises(ValueError, match="convergence.losses.bad: "):
        trainer.fit(single(), TheirData())
    assert trainer.global_step == 0


def configured(function, **options):
    # Hydra has a partial of its own.
    return build({"_target_": f"spanloc.losses.{function.__name__}", "_partial_": True, **options})


@pytest.mark.parametrize("make", [partial, configured])
def test_the_trained_loss_is_known_however_it_is_bound(make):
    inner = {"inner": make(losses.giou_loss, eps=1e-6)}
    trained = partial(make(losses.huber_loss, loss=inner["inner"]), delta=0.2)
    same = make(losses.huber_loss, loss=make(losses.giou_loss, eps=1e-6), delta=0.2)
    other = make(losses.huber_loss, loss=make(losses.iou_loss), delta=0.2)
    assert Convergence({"one": same, "two": other})._named(trained)[0] == "one"
    assert Convergence({"two": other})._named(trained)[0] == "huber"
    assert Convergence({"huber": other})._named(trained)[0] == "huber (trained)"


def test_the_exponent_of_an_annealed_loss_is_none():
    task = single()
    task.criterion.span_loss = losses.smooth_giou_loss
    convergence = Convergence()
    callbacks = [GradientNorms(1), AnnealSmoothing(), convergence]
    their_trainer(callbacks=callbacks).fit(task, TheirData())
    assert "annealed" in convergence.result.exponent.reason
    assert convergence.result.trained == "smooth_giou"


def test_a_plateau_is_a_loss_that_came_to_rest():
    falling = 0.99 ** torch.arange(200.0)
    rule = {"window": 10, "patience": 3, "tolerance": 0.01}
    assert not has_plateaued(falling, **rule)
    assert not has_plateaued(falling[:30], **rule)
    noisy = 0.1 * torch.rand(200, generator=torch.Generator().manual_seed(0))
    assert has_plateaued(torch.cat([falling, falling[-1] + noisy]), **rule)
    assert not has_plateaued(torch.cat([noisy + 1, falling / 2]), **rule)
    # A window without a loss counts for nothing; below zero is below zero.
    still = torch.ones(100)
    still[3] = still[40:50] = torch.nan
    assert has_plateaued(still, **rule)
    assert has_plateaued(still - 2, **rule)
    assert not has_plateaued(falling - 2, **rule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"when": "level"}, "level is None and when is level"),
        ({"level": 0.1}, "when=level goes with a level"),
        ({"window": 0}, "window is 0; it must be at least 1"),
        ({"tolerance": 1.0}, r"tolerance is 1.0; it must lie in \[0, 1\)"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Convergence(**options)


def test_what_it_lacks_is_named():
    trainer = their_trainer(callbacks=[Convergence()])
    with pytest.raises(
        ValueError, match="Convergence needs GradientNorms before it among the callbacks"
    ):
        trainer.fit(single(), TheirData())
    data = TheirData()
    trainer = their_trainer(callbacks=[GradientNorms(1), Convergence()], max_steps=2)
    with pytest.raises(ValueError, match="training data are Endless, .* whole_train_dataloader"):
        trainer.fit(single(), Endless(), data.val_dataloader())


class Stream(IterableDataset):
    def __iter__(self):
        return iter(TheirData(count=20).samples)


class Streamed(TheirData):
    """Training data whose whole is a stream, as an error advises."""

    def whole_train_dataloader(self, *, num_replicas, rank):
        return DataLoader(Stream(), 8, collate_fn=collate)


def test_the_whole_of_the_training_data_may_be_a_stream(monkeypatch):
    monkeypatch.setattr(Pace, "due", lambda self: True)
    found = fitted(single(), Streamed(count=8), Convergence())
    assert (found.num_sequences, found.num_available) == (20, None)


class Augmented(Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        sample = self.samples[i]
        return replace(sample, features=sample.features + torch.randn(3, 1))


def test_a_sample_of_data_that_are_augmented_changes_nothing_in_training():
    weights = []
    for share in (0.01, None):
        task, data = single(partial(torch.optim.SGD, lr=0.05)), TheirData(count=100)
        data.train_dataloader = lambda samples=data.samples: DataLoader(
            Augmented(samples), 8, shuffle=True, collate_fn=collate
        )
        fitted(task, data, Convergence(**LEVEL, share=share))
        weights.append(torch.cat([p.detach().flatten() for p in task.parameters()]))
    assert torch.equal(*weights)


class Endless:
    def __iter__(self):
        while True:
            yield collate(TheirData(count=4).samples)


def test_the_summary_interprets_the_measurement(capsys):
    result = fitted(single(), TheirData(), Convergence())
    printed = capsys.readouterr().out
    assert "Far from the optimum" in printed
    assert len(printed.splitlines()) < 6  # the result of the run is not to drown in it
    for relative, when, reason, words in (
        (1.4, "last", "last step", "it comes from the loss, not from the data"),
        (0.2, "plateau", "last step", "what is left comes from the errors, not from a kink"),
    ):
        own = result.losses["giou"]
        spread = replace(own.relative_gradient, mean=relative)
        found = replace(result, tiou=0.97, reason=reason, kink=None)
        show(replace(found, losses={"giou": replace(own, relative_gradient=spread)}), when)
        printed = " ".join(capsys.readouterr().out.split())
        assert words in printed
        assert ("no plateau before" in printed) == (when == "plateau")


def steep(pred, target):
    return 2 * (pred - target).abs().sum(-1) / (target[:, 1] - target[:, 0])


def test_the_verdict_goes_by_the_kink_of_the_loss_itself(capsys):
    def verdict(tiou, kink, relative):
        own = result.losses["giou"]
        spread = replace(own.relative_gradient, mean=relative)
        table = {"giou": replace(own, relative_gradient=spread)}
        show(replace(result, tiou=tiou, kink=kink, losses=table), "last")
        return capsys.readouterr().out.splitlines()[1]

    result = fitted(single(), TheirData(), Convergence())
    assert result.kink == pytest.approx(2**0.5)
    capsys.readouterr()
    twice = kink_of(steep, 20.0)
    assert twice == pytest.approx(2 * 2**0.5)
    assert verdict(0.97, twice, 2.8).startswith(
        "The gradient of a pair stays at 2.8 (the kink of this loss: 2.83) although the errors are small"
    )
    # Of a steep loss even a part of the kink is above 1; of one without a kink it is no kink.
    assert "falls with the loss" in verdict(0.97, twice, 1.2)
    assert "falls with the loss" in verdict(0.97, 0.0, 1.2)
    # An unknown kink has no number.
    assert "stays at 1.2 although" in verdict(0.97, None, 1.2)
    assert verdict(0.81, twice, 2.58).startswith("Far from the optimum (mean tIoU 0.8100)")
    # Neither sharp nor smooth, or no loss at all.
    assert kink_of(lambda p, t: (p - t).abs().mean(), 20.0) is None
    assert kink_of(lambda p, t: (p - t)[:, 0].abs(), 20.0) is None
