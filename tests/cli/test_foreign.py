"""A user's own package: a loss, a backbone, a head, a whole model and a data set, a YAML each."""

import json

import pytest

import spanloc

MODULE = '''
import torch
from torch import nn

from spanloc.data import SyntheticData
from spanloc.losses import giou_loss
from spanloc.models import PointsHead
from spanloc.structures import Output


def half_loss(pred, target, *, factor):
    return factor * giou_loss(pred, target)


class Plain(nn.Module):
    """A backbone that knows nothing of blocks or kernels."""

    def __init__(self, num_channels, stride, size=8):
        super().__init__()
        self.num_channels, self.stride, self.width = num_channels, stride, size
        self.conv = nn.Conv1d(num_channels, size, stride, stride)

    def forward(self, features, mask):
        x = nn.functional.pad(features * mask[:, None], (0, -features.shape[2] % self.stride))
        mask = mask[:, :: self.stride]
        return self.conv(x) * mask[:, None], mask


class MyHead(PointsHead):
    pass


class Whole(nn.Module):
    """Not made of parts: the middle of each sequence, as long as the longest span."""

    def __init__(self, num_channels, num_classes, longest):
        super().__init__()
        self.num_channels, self.num_classes = num_channels, num_classes
        self.size = nn.Parameter(torch.tensor(float(longest)))
        self.score = nn.Parameter(torch.zeros(num_classes))

    def forward(self, features, mask):
        middle = mask.sum(1)[:, None] / 2
        half = self.size.abs() / 2
        spans = torch.cat([middle - half, middle + half], 1)[:, None]
        logits = self.score.expand(len(mask), 1, -1)
        return Output(spans, logits, None, mask.new_ones(len(mask), 1))


class MyData(SyntheticData):
    def __init__(self, seed):
        super().__init__(num_train=16, num_val=4, num_test=4, batch_size=8, length=64,
                         span_length=[12, 24], num_distractors=0, seed=seed)
'''
CHOICES = {
    "span_loss/half": "_target_: foreign_parts.half_loss\n_partial_: true\nfactor: 0.5\n",
    "backbone/plain": "_target_: foreign_parts.Plain\n_partial_: true\nsize: 6\n",
    "head/mine": "_target_: foreign_parts.MyHead\n_partial_: true\nnum_layers: 1\n",
    "localizer/whole": "_target_: foreign_parts.Whole\n_partial_: true\n",
    "data/made": "_target_: foreign_parts.MyData\nseed: ${seed}\n",
}


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    (tmp_path / "foreign_parts.py").write_text(MODULE)
    for name, text in CHOICES.items():
        path = tmp_path / "settings" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return f"--config-dir={tmp_path / 'settings'}"


@pytest.mark.parametrize(
    "choices",
    [
        ("task=detection", "backbone=plain", "head=mine", "span_loss=half"),
        pytest.param(("task=single", "localizer=whole"), marks=pytest.mark.slow),  # 4 s
    ],
)
def test_their_parts_train_load_and_are_evaluated(cli, theirs, choices):
    run = cli("train", theirs, "data=made", *choices, "trainer.max_epochs=1",
              "trainer.accelerator=cpu", "callbacks.convergence=null", "fit_decode=false",
              "hydra.run.dir=run")  # fmt: skip
    assert not isinstance(run, str), run
    best = run / "run" / "best.ckpt"
    with pytest.raises(ValueError, match="allow its package: allow=\\[foreign_parts\\]"):
        spanloc.load(best)
    task = spanloc.load(best, allow="foreign_parts")
    assert type(task.localizer).__name__ == (
        "Whole" if "localizer=whole" in choices else "Localizer"
    )
    folder = cli("evaluate", f"checkpoint={best}", "allow=[foreign_parts]", "hydra.run.dir=out")
    found = json.loads((folder / "out" / "metrics.json").read_text())
    trained = json.loads((run / "run" / "metrics.json").read_text())
    assert found == {k: v for k, v in trained.items() if k.startswith("test/")}
    resumed = cli("train", f"resume={run / 'run'}", "trainer.max_epochs=2", "test=false")
    assert not isinstance(resumed, str), resumed
