"""Every file of the config groups is built, and every override in the docs is real."""

from dataclasses import replace
from itertools import zip_longest

import pytest
import torch
import yaml
from conftest import CONFIGS, make_batch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from predicting import assert_same_rows

from spanloc.config import build as building
from spanloc.config import checks
from spanloc.config.recipe import choose
from spanloc.config.training_facts import TrainingFacts, _longest
from spanloc.decode import Decode
from spanloc.facts import DataFacts

# Groups whose choices know nothing of each other: the first of each are tried at once, then the second, since
# composing the settings takes longer than building what they say.
APART = (
    "span_loss", "score_loss", "metric", "transforms", "backbone", "neck", "optimizer", "scheduler", "logger",
    "trainer",
)  # fmt: skip
CHOICES = {
    folder.name: sorted(f"{folder.name}={path.stem}" for path in folder.glob("*.yaml"))
    for folder in sorted(CONFIGS.iterdir())
    if folder.is_dir() and folder.name not in ("experiment", "hparams_search")
}
TOGETHER = [
    *zip_longest(*(CHOICES[group] for group in APART)),
    *((choice,) for group in CHOICES if group not in APART for choice in CHOICES[group]),
]
EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
FACTS = DataFacts(num_channels=6, num_classes=3, shortest=24.0, longest=60.0)
TRAINING = TrainingFacts(
    seconds_per_step=0.02, steps=[900, 4000], val_steps=[2000], shortest=24.0, longest=60.0,
    num_spans=40, num_classes=3, one_each=False,
)  # fmt: skip


def composed(tmp_path, *overrides, name="train"):
    with initialize_config_module("spanloc.configs", version_base="1.3"):
        config = compose(name, overrides=list(overrides), return_hydra_config=True)
    OmegaConf.update(config, "hydra.runtime.output_dir", str(tmp_path))
    OmegaConf.set_struct(config, False)
    if OmegaConf.is_missing(config.data, "root"):
        config.data.root = str(tmp_path)
    from hydra.core.hydra_config import HydraConfig

    HydraConfig.instance().set_config(config)
    hydra = config.pop("hydra")
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    config.hydra = hydra
    return plain


def build_all(plain, tmp_path):
    config = OmegaConf.create(plain)
    for place, value, _ in choose(plain, TRAINING):
        OmegaConf.update(config, place, value)
        if place.split(".")[0] in plain["module"]["localizer"]:
            OmegaConf.update(config, f"module.localizer.{place}", value)
        if place.startswith("decode."):
            OmegaConf.update(config, f"module.{place}", value)
    plain = OmegaConf.to_container(config)
    task = building.build(plain["module"])
    task.build(FACTS)
    for group in ("callbacks", "logger"):
        for node in plain[group].values():
            if node:
                building.build(node)
    building.build(plain["trainer"], logger=False, default_root_dir=str(tmp_path))
    checks.check(plain["data"])
    return task


@pytest.mark.parametrize("choices", TOGETHER, ids=lambda choices: choices[0])
def test_every_choice_of_every_group_is_built(choices, tmp_path):
    build_all(composed(tmp_path, *filter(None, choices)), tmp_path)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_built_and_says_what_to_expect(experiment, tmp_path):
    plain = composed(tmp_path, f"experiment={experiment}")
    build_all(plain, tmp_path)
    assert plain["name"] == experiment
    head = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text().split("defaults:")[0]
    assert f"spanloc-train experiment={experiment}" in head
    assert "Expect" in head
    assert "minutes" in head


@pytest.mark.parametrize(
    ("task", "metric"), [("single", "tiou"), ("detection", "average_precision")]
)
def test_a_task_chooses_its_metric_which_chooses_the_checkpoint(task, metric, tmp_path):
    plain = composed(tmp_path, f"task={task}")
    own = yaml.safe_load((CONFIGS / "metric" / f"{metric}.yaml").read_text())
    assert plain["metric"] == own
    assert plain["callbacks"]["best"]["monitor"] == own["monitor"]


def test_an_experiment_that_chooses_a_task_gets_all_of_it(tmp_path):
    plain = composed(tmp_path, "experiment=sbhar")
    assert plain["head"]["_target_"] == "spanloc.models.BoundaryHead"
    assert plain["metric"]["monitor"] == "val/mAP"


def test_a_choice_on_the_command_line_beats_the_task(tmp_path):
    plain = composed(tmp_path, "task=detection", "head=distribution", "metric=events")
    assert plain["head"]["_target_"] == "spanloc.models.DistributionHead"
    assert list(plain["criterion"]["terms"]) == ["distribution"]
    assert plain["metric"]["monitor"] == "val/event_F1"


def test_no_name_is_a_choice_of_two_groups():
    names = [path.stem for path in CONFIGS.glob("*/*.yaml")]
    assert not [name for name in set(names) if names.count(name) > 1]
    assert not set(names) & {path.parent.name for path in CONFIGS.glob("*/*.yaml")}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "spanloc.losses.smooth_giou_loss", "_partial_": True, "smoohting": 0.3},
            "span_loss: spanloc.losses.smooth_giou_loss has no option 'smoohting'; it has pred",
        ),
        ({"_target_": "spanloc.losses.nothing"}, "span_loss: _target_ is .*; spanloc.losses has no 'nothing'"),
        ({"_target_": "spanloc.losses.iou_loss.x"}, "spanloc.losses.iou_loss has no 'x'"),
        ({"_target_": "nowhere.at_all"}, "there is no module 'nowhere'"),
        ({"_target_": "torch.optim.AdamW", "_partial_": True, "rate": 1}, "no option 'rate'"),
    ],
)  # fmt: skip
def test_a_config_that_names_what_does_not_exist(node, message):
    with pytest.raises(ValueError, match=message):
        checks.check({"span_loss": node})


@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        *((path.stem, "points") for path in sorted((CONFIGS / "backbone").glob("*.yaml"))),
        ("conv", "distribution"),
    ],
)
def test_windows_of_every_backbone_give_the_predictions_of_one_pass(backbone, head, tmp_path):
    narrow = ("backbone.width=16", "neck.width=16", "head.width=16")
    plain = composed(tmp_path, "task=detection", f"backbone={backbone}", f"head={head}", *narrow)
    task = build_all(plain, tmp_path).eval()
    task.decode = Decode(min_score=0.0, max_candidates=10**5, max_predictions=10**5)
    batch = make_batch((4003,), num_channels=6, num_targets=(1,), seed=1)
    found = []
    for window in (None, 2500):
        task.window = window
        with torch.no_grad():
            rows = task.predict_step(batch)
        found.append(replace(rows, spans=rows.spans / batch.timelines[0].seconds_per_step))
    assert task._reach[2500].steps < 1100
    assert len(found[0]) > 1000
    assert_same_rows(*found, spans=1e-3, scores=1e-4)


def test_one_span_far_longer_than_the_others_of_its_label_does_not_decide_the_sizes():
    lengths = [torch.full((25,), 10.0), torch.tensor([30.0] * 24 + [400.0])]
    labels = [torch.zeros(25), torch.ones(25)]
    assert _longest(lengths, labels) == (30.0, 1)
    assert _longest(lengths, [labels[0], torch.ones(24 + 1).cumsum(0)]) == (
        400.0,
        0,
    )  # too few of each
    lengths[1][-3:] = 400  # too many for a mistake
    assert _longest(lengths, labels) == (400.0, 0)
