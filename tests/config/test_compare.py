"""What differs between the settings of a run and those it is resumed with."""

import copy
import json

import pytest
import yaml
from conftest import SMALL
from made_runs import put

from spanloc.config.compare import differences


@pytest.fixture(scope="module")
def before(trained):
    return yaml.safe_load((trained["single"] / "config.yaml").read_text())


def changed(config, place, value):
    now = copy.deepcopy(config)
    put(now, place.split("."), value)
    return now


def test_a_config_does_not_differ_from_itself(before):
    assert differences(before, before) == []


def test_an_option_that_is_newer_than_the_run_had_its_default():
    older = {"backbone": {"_target_": "spanloc.models.ConvBackbone", "width": 8}}
    assert differences(older, changed(older, "backbone.kernel", 7)) == []
    (found,) = differences(older, changed(older, "backbone.kernel", 9))
    assert found == ("backbone.kernel", 9, 7)


def test_the_samples_are_null_or_have_a_name():
    older = {"data": {"features": None}}
    assert differences(older, changed(older, "data.features", "none")) == []
    assert len(differences(older, changed(older, "data.features", "log_spectrogram"))) == 1


@pytest.mark.parametrize(
    ("place", "value", "harmless"),
    [
        ("seed", 7, False),
        ("matcher._target_", "theirs.matcher", False),
        ("criterion.quality", "tiou", False),
        ("metric.monitor", "val/mAP", False),
        ("metric.metrics.recall", None, False),
        ("callbacks.average", {"_target_": "theirs.Average"}, False),
        ("callbacks.last.every_n_epochs", 3, False),
        ("trainer.precision", "bf16-mixed", False),
        ("trainer.gradient_clip_val", None, False),
        ("data.num_train", 3, False),
        ("callbacks.convergence.when", "plateau", True),
        ("trainer.enable_model_summary", True, True),
        ("logger.csv", None, True),
        ("decode.max_predictions", 5, True),
        ("data.num_workers", 2, True),
        ("localizer.checkpointing", True, True),
        ("compile", True, False),
        ("test", False, True),
    ],
)
def test_every_setting_is_compared(before, place, value, harmless):
    (found,) = differences(before, changed(before, place, value))
    assert (found.place, found.now, found.harmless) == (place, value, harmless)


def test_where_a_run_writes_is_no_setting(before):
    for place in ("ckpt_path", "name", "callbacks.best.dirpath", "logger.csv.save_dir"):
        assert differences(before, changed(before, place, "elsewhere")) == []


def test_copies_of_a_setting_are_named_once(before):
    now = copy.deepcopy(before)
    for node in (now, now["criterion"], now["module"]["criterion"]):
        node["span_loss"] = {"_target_": "spanloc.losses.iou_loss", "_partial_": True}
    (found,) = differences(before, now)
    assert str(found) == (
        "span_loss._target_ is 'spanloc.losses.iou_loss', was 'spanloc.losses.giou_loss'"
    )


def test_metrics_and_their_monitor_are_named_once(before):
    now = copy.deepcopy(before)
    now["metric"]["monitor"] = now["callbacks"]["best"]["monitor"] = "val/mAP"
    for node in (now["metric"]["metrics"], now["module"]["metrics"]):
        del node["recall"]
    assert [d.place for d in differences(before, now)] == [
        "metric.monitor",
        "metric.metrics.recall",
    ]


def test_data_of_other_classes_are_refused(cli, annotated, tmp_path):
    settings = ("task=detection", "data=annotations", "data.crops_per_epoch=8", "backbone.width=8", "trainer.max_epochs=1",
                "test=false", "fit_decode=false", "callbacks.convergence=null", "hydra.run.dir=run")  # fmt: skip
    folder = cli("train", *settings, f"data.root={annotated}", folder=tmp_path)
    last = folder / "run" / "last.ckpt"
    file = annotated / "annotations.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "classes": ["walk", "sit"]}))
    line = cli("train", *settings[:-1], f"data.root={annotated}", f"ckpt_path={last}")
    assert "was trained on other data: module.classes is ['walk', 'sit'], was ['sit'" in line


def test_a_resumed_run_says_what_differs_and_refuses_what_cannot_change(cli, trained, tmp_path):
    last = trained["single"] / "last.ckpt"
    folder = cli("train", *SMALL, f"ckpt_path={last}", "hydra.run.dir=run", "trainer.max_epochs=3",
                 "trainer.gradient_clip_val=2.0", "callbacks.gradients.every_n_steps=1",
                 "data.num_distractors=1", "test=false")  # fmt: skip
    log = (folder / "run" / "train.log").read_text()
    for level, text in (
        ("WARNING", "trainer.max_epochs is 3, was 2"),
        ("WARNING", "trainer.gradient_clip_val is 2.0, was 1.0"),
        ("WARNING", "data.num_distractors is 1, was 0"),
        ("INFO", "callbacks.gradients.every_n_steps is 1, was 2"),
    ):
        assert f"[{level}] - not as in the run that is resumed: {text}\n" in log
    assert log.count("not as in the run") == 5  # and test, which is harmless
    line = cli("train", *SMALL, f"ckpt_path={last}", "trainer.max_epochs=3", "optimizer.lr=1e-3")
    assert (
        "the optimizer goes on with the settings it had: optimizer.lr is 0.001, was 0.002" in line
    )
    line = cli("train", *SMALL, f"ckpt_path={last}", "trainer.max_epochs=3", "head.num_layers=1")
    assert line.endswith(
        "of another model: head.num_layers is 1, was 2; to resume it, give the settings it had"
    )
    line = cli("train", *SMALL, f"ckpt_path={last}", "trainer.max_steps=12")
    assert "has done 2 epochs, and trainer.max_epochs is 2: there is nothing to do" in line
    line = cli("train", *SMALL, f"ckpt_path={last}", "trainer.max_epochs=-1", "trainer.max_steps=9")
    assert "has done 12 steps, and trainer.max_steps is 9: there is nothing to do" in line
