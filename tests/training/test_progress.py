"""Lines of progress where there is no terminal, by a clock that the model itself turns."""

import logging
import re
from itertools import pairwise

import pytest
import torch
from conftest import BARE, HINTS_OF_LIGHTNING, their_trainer
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, IterableDataset

from spanloc.files import time_text
from spanloc.training.callbacks import progress
from spanloc.training.callbacks.pace import Pace, counted
from spanloc.training.callbacks.progress import EpochBar, ProgressLines, progress_display

pytestmark = [
    HINTS_OF_LIGHTNING,
    pytest.mark.filterwarnings(
        "ignore:.*exists and is not empty.*", "ignore:.*could not find the monitored key.*"
    ),
]


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Timed(LightningModule):
    """Takes a second for a batch of training, and as given for one of validation or test."""

    def __init__(self, clock, pass_seconds=2.0, train=20, evaluated=5, stop=-1):
        super().__init__()
        self.stop = stop
        self.clock, self.pass_seconds = clock, pass_seconds
        self.counts = {"train": train, "evaluated": evaluated}
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        self.clock.now += 1
        self.trainer.should_stop = self.global_step == self.stop
        loss = self.weight * 0 + 0.25 + 0.001 * self.global_step
        # As SpanLocalizer, since Lightning divides by it.
        return {"loss": loss * self.trainer.accumulate_grad_batches}

    def validation_step(self, batch, batch_idx):
        self.clock.now += self.pass_seconds
        self.log("val/good", 0.5 + 0.1 * self.current_epoch, batch_size=1)

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(torch.zeros(self.counts["train"], 1))

    def val_dataloader(self):
        return DataLoader(torch.zeros(self.counts["evaluated"], 1))

    test_dataloader = val_dataloader


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.zeros(20, 1))


class Streamed(Timed):
    def train_dataloader(self):
        return DataLoader(Stream())


@pytest.fixture
def fitted(caplog, tmp_path):
    """Trains; gives the lines."""

    def run(make=Timed, *, options=None, resumed=None, fn="fit", **trainer):
        clock = Clock()
        module = make(clock, **(options or {}))
        keep = ModelCheckpoint(tmp_path, monitor="val/good", mode="max", save_last=True)
        callbacks = [ProgressLines(clock), *([keep] if fn == "fit" else [])]
        trainer = their_trainer(
            **{"max_epochs": 3, "callbacks": callbacks, "enable_progress_bar": True,
               "enable_checkpointing": fn == "fit", "num_sanity_val_steps": 0, **trainer}
        )  # fmt: skip
        caplog.clear()
        with caplog.at_level(logging.INFO, progress.log.name):
            getattr(trainer, fn)(module, **({"ckpt_path": resumed} if resumed else {}))
        return [r.getMessage() for r in caplog.records if r.name == progress.log.name]

    return run


def seconds(text):
    sizes = {"s": 1, "min": 60}
    return sum(int(n) * sizes[unit] for n, unit in re.findall(r"(\d+) (\w+)", text))


def lefts(lines):
    """What each line says of the whole training: elapsed, and left."""
    found = [re.search(r"; (.+) elapsed, about (.+) left", line) for line in lines]
    return [(seconds(match[1]), seconds(match[2])) for match in found if match]


def test_a_line_says_where_the_training_is(fitted):
    lines = fitted(num_sanity_val_steps=2)
    assert lines[0] == "epoch 1/3, step 5/60: loss 0.254; 5 s elapsed, about 1 min 10 s left"
    assert lines[1] == "epoch 1/3, step 15/60: loss 0.264; 15 s elapsed, about 1 min left"
    assert lines[2] == "validating: 3 of 5 batches, about 4 s left"
    assert lines[3].startswith("epoch 2/3, step 26/60: loss 0.275, val/good 0.5; 36 s elapsed")
    last = "training ended: epoch 3/3, step 60/60: loss 0.309, val/good 0.7; 1 min 30 s elapsed"
    assert lines[-1] == last


@pytest.mark.parametrize("pass_seconds", [0.1, 2.0, 8.0])
def test_the_time_that_is_left_counts_the_validation_to_come(fitted, pass_seconds):
    lines = fitted(options={"pass_seconds": pass_seconds}, max_epochs=6)
    whole = 6 * (20 + 5 * pass_seconds)
    found = lefts(lines)
    after_a_pass = [pair for pair in found if pair[0] > 20 + 5 * pass_seconds]
    assert len(after_a_pass) >= 2
    for elapsed, left in after_a_pass:
        assert elapsed + left == pytest.approx(whole, abs=1.5)


@pytest.mark.parametrize(
    ("options", "steps", "whole"),
    [
        ({"max_epochs": -1, "max_steps": 50}, "/50", 50 + 2 * 5),
        ({"max_epochs": 3, "limit_train_batches": 10}, "/30", 3 * 15),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, "/30", 3 * 25),
        ({"max_epochs": 3, "accumulate_grad_batches": 16}, "/6", 3 * 25),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, "/80", 80 + 2 * 5),
        ({"max_epochs": 3, "val_check_interval": 5}, "/60", 60 + 12 * 5),
        ({"max_epochs": 3, "limit_val_batches": 0}, "/60", 60),
    ],
)
def test_the_end_is_that_of_the_trainer_s_limits(fitted, options, steps, whole):
    lines = fitted(options={"pass_seconds": 1.0}, num_sanity_val_steps=1, **options)
    training = [line for line in lines if line.startswith("epoch")]
    assert all(f"{steps}: " in line for line in training)
    assert f" {time_text(whole)} elapsed" in lines[-1]
    for elapsed, left in lefts(lines):
        # Where steps end within an epoch, a part of a pass is counted that does not come.
        assert elapsed + left == pytest.approx(whole, abs=3 if "max_steps" in options else 0.5)


@pytest.mark.parametrize(
    ("make", "options", "text"),
    [
        (Timed, {"max_epochs": -1}, "epoch 1, step 5: "),
        (Streamed, {"max_epochs": 3}, "epoch 1/3, step 5: "),
    ],
)
def test_without_a_known_end_only_the_elapsed_time_is_said(fitted, make, options, text):
    lines = fitted(make, options={"stop": 60}, **options)
    assert text in lines[0]
    assert lines[0].endswith(" elapsed")
    assert not lefts(lines)


def test_a_resumed_run_counts_the_time_of_its_own_steps(fitted, tmp_path):
    fitted(max_epochs=2)
    lines = fitted(max_epochs=4, resumed=tmp_path / "last.ckpt")
    assert lines[0] == "epoch 3/4, step 45/80: loss 0.294; 5 s elapsed, about 45 s left"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        # A line comes before a step of many batches is done.
        ({"accumulate_grad_batches": 20}, "epoch 1/3, step 0/3: loss 0.25; 5 s elapsed, about 1 min 10 s left"),
        ({"make": Streamed, "max_epochs": -1, "max_steps": 40}, "epoch 1, step 5/40: loss 0.254; 5 s elapsed, about 35 s left"),
        ({"fn": "test", "options": {"evaluated": 20}}, "testing: 3 of 20 batches, about 34 s left"),
        ({"fn": "validate", "options": {"evaluated": 20}}, "validating: 3 of 20 batches, about 34 s left"),
    ],
)  # fmt: skip
def test_the_first_line_says_how_much_is_left(fitted, arguments, line):
    assert fitted(**arguments)[0] == line


def test_lines_come_at_longer_and_longer_intervals():
    clock = Clock()
    pace, due = Pace(clock), []
    for _ in range(1000):
        clock.now += 1
        if pace.due():
            due.append(pace.elapsed)
    assert due[:7] == [5, 15, 25, 35, 45, 55, 65]
    assert due[7:10] == [95, 125, 155]
    assert due[-1] - due[-2] == 60
    assert {b - a for a, b in pairwise(due)} == {10, 30, 60}


def test_only_the_first_process_prints(fitted, monkeypatch):
    monkeypatch.setattr("pytorch_lightning.Trainer.is_global_zero", False)
    assert fitted() == []


def test_the_loss_is_read_when_a_line_is_printed_only(fitted, monkeypatch):
    reads = []
    read = torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda t: reads.append(t) or read(t))
    lines = fitted(limit_val_batches=0)
    assert 3 < len(reads) == len([line for line in lines if "loss" in line]) < 15


def test_times_and_counts_as_text():
    assert [time_text(s) for s in (0.4, 59.6, 3599.7, 4340)] == [
        "0.4 s",
        "1 min",
        "1 h",
        "1 h 12 min",
    ]
    assert counted(7, float("inf"), "batches", 61.0) == "7 batches, 1 min 1 s elapsed"


@pytest.mark.parametrize(
    ("terminal", "settings", "expected"),
    [
        (True, {"TERM": "xterm"}, EpochBar),
        (True, {"TERM": "dumb"}, ProgressLines),
        (False, {"TERM": "xterm"}, ProgressLines),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, ProgressLines),
    ],
)
def test_a_terminal_gets_the_bar(monkeypatch, terminal, settings, expected):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert type(progress_display()) is expected


@pytest.mark.parametrize(("most", "text"), [(3, "Epoch 1/3 "), (-1, "Epoch 1   ")])
def test_the_bar_counts_epochs_from_one(most, text):
    bar = EpochBar()
    bar._trainer = their_trainer(max_epochs=most)
    assert bar._get_train_description(0) == text


def test_the_bar_has_stopped_when_others_print():
    class Prints(Callback):
        def on_train_end(self, trainer, pl_module):
            self.live = bar.progress.live.is_started

    bar, prints = EpochBar(), Prints()
    trainer = their_trainer(
        callbacks=[bar, prints], enable_progress_bar=True, limit_train_batches=2
    )
    trainer.fit(Timed(Clock()))
    assert prints.live is False


def test_the_bar_shows_loss_and_metric_and_no_speed(tmp_path):
    class Looks(Callback):
        seen = ()

        def on_train_batch_end(self, trainer, pl_module, *args):
            self.seen = (*self.seen, bar.get_metrics(trainer, pl_module))

    clock = Clock()
    bar, looks = EpochBar(clock), Looks()
    keep = ModelCheckpoint(tmp_path, monitor="val/good", mode="max")
    trainer = their_trainer(
        callbacks=[bar, looks, keep], enable_progress_bar=True, enable_checkpointing=True,
        limit_train_batches=2, max_epochs=2, num_sanity_val_steps=1,
    )  # fmt: skip
    trainer.fit(Timed(clock))
    assert looks.seen[:2] == ({"loss": "0.25"}, {"loss": "0.251"})
    assert looks.seen[-1] == {"loss": "0.253", "val/good": "0.5"}
    kinds = {type(column).__name__ for column in bar.configure_columns(trainer)}
    assert "BatchesProcessedColumn" in kinds
    assert not {"ProcessingSpeedColumn", "CustomTimeColumn"} & kinds


def test_a_run_that_is_redirected_has_its_progress_in_its_log(cli, monkeypatch):
    # Every line is due.
    monkeypatch.setattr(Pace, "due", lambda self: True)
    settings = (*BARE, "data.num_train=16", "trainer.max_epochs=1", "hydra.run.dir=run")
    run = cli("train", *settings)
    assert not isinstance(run, str), run
    text = (run / "run" / "train.log").read_text()
    assert "epoch 1/1, step 1/2: loss " in text
    assert re.search(r"training ended: epoch 1/1, step 2/2: loss [\d.]+, val/tiou [\d.]+; ", text)
    cli("train", f"resume={run / 'run'}", "trainer.max_epochs=2", "callbacks.progress=null")
    assert "step 3/4" not in (run / "run" / "train.log").read_text()
