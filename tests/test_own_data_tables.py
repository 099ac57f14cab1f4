"""The tables and the rule in docs/your-own-data.md are those of the code."""

import math
import re
import tomllib

import yaml
from conftest import CONFIGS
from pages import ROOT, page

from spanloc.config.recipe import BUDGETS, choose
from spanloc.config.training_facts import TrainingFacts
from spanloc.data.annotations.formats import FORMATS
from spanloc.data.signals.opening import SUFFIXES

PAGE = page("your-own-data.md")


def test_the_number_of_steps_follows_the_rule():
    def steps(spans, labels, budget="default"):
        facts = TrainingFacts(
            seconds_per_step=0.1, steps=[300], val_steps=[300], shortest=20, longest=50,
            num_spans=spans, num_classes=labels, one_each=False,
        )  # fmt: skip
        parts = {"data": {"crops_per_epoch": None}, "trainer": {"max_epochs": None}}
        (reason,) = [
            choice.reason
            for choice in choose({"budget": budget, **parts}, facts)
            if choice.place == "trainer.max_epochs"
        ]
        return int(reason.split()[0].replace(",", ""))

    rule = re.search(r"(\d+) × √labels \+ spans / (\d+), at least (\d+) and at most (\d+)", PAGE)
    each, spans_each, least, most = map(int, rule.groups())
    assert steps(10, 1) == least
    assert steps(10**6, 9) == most
    # Whole epochs: up to 20 more.
    assert 0 <= steps(6000, 25) - (each * math.sqrt(25) + 6000 / spans_each) < 20
    factors = re.search(r"`budget=quick` takes ([\d.]+) times as many, `budget=best` (\d+)", PAGE)
    assert [BUDGETS["quick"], BUDGETS["best"]] == [float(text) for text in factors.groups()]


def test_the_tables_name_all_that_there_is():
    cells = [row.split("|")[1:-1] for row in PAGE.split("\n") if row.startswith("| `")]
    named = [set(re.findall(r"`([\w.]+)`", row[0])) for row in cells]
    suffixes = set().union(*(names for names in named if min(names).startswith(".")))
    assert suffixes == set(SUFFIXES)
    assert {name for names in named for name in names if name in FORMATS} == set(FORMATS)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(re.findall(r"spanloc\[(\w+)\]", PAGE)) == set(extras) - {
        *("dev", "docs", "release", "export", "hub", "tune"),
        *("joblib", "slurm", "ray", "wandb", "mlflow", "trackio"),
    }
    transforms = {
        path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS.glob("transforms/*")
    }
    shown = {min(names): row[-1] for names, row in zip(named, cells, strict=True)}
    for several in ("none", "generic"):
        del transforms[several]
    assert set(transforms) <= set(shown)
    for name, content in transforms.items():
        for setting, value in re.findall(r"`(\w+)` \(([\d.]+)\)", shown[name]):
            assert content[name][setting] == float(value), name
