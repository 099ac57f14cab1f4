import copy
import re
from functools import partial

import pytest
import torch
from conftest import make_batch

import spanloc
from spanloc import Criterion, SpanLocalizer, losses
from spanloc.matching import match_single
from spanloc.models import ConvBackbone, Localizer, PyramidNeck, SingleHead


@pytest.fixture
def saved(trained, tmp_path):
    """A copy of a checkpoint with its config changed."""
    content = torch.load(trained["detection"] / "best.ckpt", weights_only=True)

    def save(change):
        changed = copy.deepcopy(content)
        change(changed["spanloc"]["config"]["module"])
        path = tmp_path / "changed.ckpt"
        torch.save(changed, path)
        return path

    return save


@pytest.mark.parametrize("model", ["single", "detection"])
@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_load_rebuilds_the_model_from_the_file_alone(trained, model, name):
    path = trained[model] / name
    task, again = spanloc.load(path), spanloc.load(str(path))
    assert not task.training
    assert task.classes == ["burst_0", "burst_1", "burst_2"]
    assert not torch.equal(task.localizer.mean, torch.zeros(4))
    weights = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(task.state_dict()[key], value) for key, value in weights.items())
    batch = make_batch((64, 50), num_channels=4)
    with torch.inference_mode():
        assert torch.equal(*(m(batch.features, batch.mask).spans for m in (task, again)))
        found = task.predict_step(batch)
    assert found.spans.shape == (len(found.scores), 2)
    if model == "single":
        assert found.places.tolist() == [0, 1]
        assert found.ids == batch.ids
        assert found.unit == "seconds"


def test_a_file_cannot_run_code(saved, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    theirs = tmp_path / "theirs.py"
    theirs.write_text(
        f"import os\nos.mkdir({str(marker)!r})\nfrom spanloc.decode import Decode\n"
        "class Mine(Decode):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for target in (
        "theirs.Mine",
        "os.system",
        "builtins.eval",
        "torch.hub.load",
        "spanloc.training.task.math.sqrt",
        "spanloc.config.build.instantiate",
        "spanloc.config.checkpoint.load",
        "spanloc.files.replacing",
        "spanloc.cli.train.run",
        "spanloc.SpanLocalizer.load_from_checkpoint",
    ):
        path = saved(lambda task, target=target: task["decode"].update(_target_=target))
        with pytest.raises(ValueError, match=f"decode would build '{target}'"):
            spanloc.load(path)
    assert not marker.exists()
    path = saved(lambda task: task["decode"].update(_target_="theirs.Mine"))
    assert type(spanloc.load(path, allow=("theirs",)).decode).__name__ == "Mine"
    path = saved(lambda task: task["decode"].update(_target_="theirs.os.system"))
    with pytest.raises(ValueError, match=r"'theirs\.os\.system'"):
        spanloc.load(path, allow=("theirs",))


def test_a_file_calls_no_function(saved):
    """A function may be bound, to be called with spans; not called with what the file says."""
    for node in (
        {"_target_": "spanloc.ops.suppress._loop", "starts": [0.0], "ends": [1.0]},
        {"_target_": "spanloc.ops.suppress._loop", "_partial_": True},
        {"_target_": "spanloc.metrics.kernels.ranked.match_ranked", "spans": [[0.0, 1.0]]},
    ):
        path = saved(lambda task, node=node: task["decode"].update(suppress=node))
        with pytest.raises(ValueError, match="decode.suppress would build"):
            spanloc.load(path)


def test_what_trains_need_not_be_trusted(saved):
    path = saved(lambda task: task["optimizer"].update(_target_="theirs_alone.Optimizer"))
    assert isinstance(spanloc.load(path), SpanLocalizer)


def test_a_loss_from_elsewhere_is_left_out_and_named_where_it_is_needed(
    saved, tmp_path, monkeypatch
):
    marker = tmp_path / "ran"
    (tmp_path / "their_loss.py").write_text(
        f"import os\nos.mkdir({str(marker)!r})\nfrom spanloc.losses import giou_loss as mine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def change(task):
        task["criterion"]["span_loss"] = {"_target_": "their_loss.mine", "_partial_": True}

    path, batch = saved(change), make_batch((64, 50), num_channels=4)
    task = spanloc.load(path)
    with torch.inference_mode():
        assert len(task.predict_step(batch).scores)
    assert not marker.exists()
    with pytest.raises(ValueError, match=r"span_loss of this model is 'their_loss.mine'.*allow=\["):
        task.criterion(task(batch.features, batch.mask), batch)
    assert spanloc.load(path, allow="their_loss").criterion.span_loss.func is losses.giou_loss
    path = saved(lambda task: task["criterion"].update(_target_="their_loss.Whole"))
    with pytest.raises(ValueError, match="criterion would build 'their_loss.Whole'"):
        spanloc.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"some.ckpt: no such checkpoint"),
        ("hello", r"some.ckpt: not a checkpoint"),
        (partial(print), "more than tensors and plain values"),
        ({"state_dict": {}}, "some.ckpt: not a checkpoint of spanloc"),
        ({"spanloc": 3}, "some.ckpt: not a checkpoint of spanloc"),
        ({"spanloc": {}}, "some.ckpt: not a checkpoint of spanloc"),
        ({"spanloc": {"config": {"module": {}}}}, "some.ckpt: its config describes no model"),
        (
            {"spanloc": {"config": {"module": {"_target_": "spanloc.decode.Decode"}}}, "state_dict": {}},
            "describes Decode, not a model",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, message):
    path = tmp_path / "some.ckpt"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        spanloc.load(path)


def test_weights_that_do_not_fit_are_an_error(saved):
    path = saved(lambda task: task["localizer"]["neck"].update(num_blocks=0))
    with pytest.raises(ValueError, match="the weights do not fit the config"):
        spanloc.load(path)


def test_a_model_from_plain_python_names_its_way(tmp_path):
    from pytorch_lightning import Trainer

    parts = {
        "localizer": Localizer(
            ConvBackbone(3, width=8, num_blocks=1),
            PyramidNeck(1, width=8, num_blocks=1),
            SingleHead(2, width=8),
        ),
        "criterion": Criterion(match_single, losses.giou_loss),
    }
    task = SpanLocalizer(**parts, classes=["a", "b"])
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    path = tmp_path / "mine.ckpt"
    trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match=r"built in plain Python.*load_from_checkpoint"):
        spanloc.load(path)
    again = SpanLocalizer.load_from_checkpoint(path, **copy.deepcopy(parts), weights_only=True)
    assert again.classes == ["a", "b"]
    assert all(
        torch.equal(a, b) for a, b in zip(task.parameters(), again.parameters(), strict=True)
    )


def test_a_folder_of_runs_is_no_run_and_its_runs_are_named(tmp_path):
    (tmp_path / "default" / "first").mkdir(parents=True)
    message = f"{tmp_path}: not a run folder, it has no best.ckpt"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        spanloc.load(tmp_path)
    first = tmp_path / "default" / "first"
    (first / "best.ckpt").touch()
    message += f"; run folders below it: {first}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        spanloc.load(tmp_path)
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(
        FileNotFoundError, match=r"no best.ckpt; its last checkpoint is .*last\.ckpt$"
    ):
        spanloc.load(tmp_path)
