"""Run folders as ``spanloc-train`` leaves them, made by hand."""

import json
import os

import numpy as np
import yaml

from spanloc import reports

NOW = 2_000_000_000.0  # of the tests: a point in time for ages and states
LOG = "csv/version_0/metrics.csv"
QUANTILES = ("q05", "q25", "q75", "q95")


def put(tree, place, value):
    """Sets a value in nested dictionaries, at a list of keys."""
    *parents, last = place
    for key in parents:
        tree = tree[key]
    tree[last] = value


def config(loss="giou", seed=0, **settings):
    """As much of a config as tells runs apart; ``settings`` are ``data__label_noise=0.1``."""
    span_loss = {"_target_": f"spanloc.losses.{loss}_loss", "_partial_": True}
    if loss == "smooth_giou":
        span_loss["smoothing"] = 0.3
    backbone = {"_target_": "spanloc.models.ConvBackbone", "_partial_": True, "stride": 2}
    optimizer = {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.002}
    tree = {
        "data": {"_target_": "spanloc.data.SyntheticData", "seed": seed, "label_noise": 0.0},
        "backbone": backbone,
        "span_loss": span_loss,
        "optimizer": optimizer,
        "callbacks": {"average": None, "last": {"_target_": "a.Last", "dirpath": f"/there/{seed}"}},
        "trainer": {"_target_": "pytorch_lightning.Trainer", "max_epochs": 10},
        "name": "default",
        "seed": seed,
        "test": True,
    }
    for path, value in settings.items():
        put(tree, path.split("__"), value)
    # What Hydra's interpolation copies.
    tree["localizer"] = {"_target_": "spanloc.models.Localizer", "backbone": tree["backbone"]}
    tree["criterion"] = {"_target_": "spanloc.criterion.Criterion", "span_loss": span_loss}
    tree["module"] = {
        "_target_": "spanloc.training.task.SpanLocalizer",
        **{name: tree[name] for name in ("localizer", "criterion", "optimizer")},
    }
    return tree


def convergence(loss="giou", **figures):
    """``convergence.json``: of a sharp loss with a tIoU of 0.95, unless ``figures`` say otherwise."""
    relative = {"mean": 1.36, "median": 1.41, **dict.fromkeys(QUANTILES, 1.41)}
    histogram = {"edges": [0.0, 1.0, 2.0], "counts": [1, 9]}
    own = {"loss": 0.05, "total": 0.06, "grad_span": 0.07, "grad_total": 0.08}
    fit = {"slope": 0.02, "low": -0.03, "high": 0.07, "decades": 1.5, "reason": ""}
    content = {
        "step": 620,
        "epoch": 10,
        "reason": "last step",
        "trained": loss,
        "num_sequences": 100,
        "num_pairs": 100,
        "score_loss": 0.01,
        "tiou": 0.95,
        "endpoint_error": {"mean": 0.03, "median": 0.02, **dict.fromkeys(QUANTILES, 0.02)},
        "losses": {loss: {**own, "relative_gradient": relative, "histogram": histogram}},
        "minibatch": {"steps": 62, "grad_params": 0.3, "grad_spans": 1.4, "loss": 0.06},
        "exponent": dict(fit),
        "exponent_params": dict(fit),
    }
    for path, value in figures.items():
        put(content, path.split("__"), value)
    return content


def log(steps, *, loss="giou", start=0, steps_per_epoch=62, seed=0):
    """Text of a ``metrics.csv``: a row a step, and one of validation after every epoch."""
    random = np.random.default_rng(seed)
    lines = ["epoch,grad/params,grad/spans,train/loss_score,train/loss_span,step,val/tiou"]
    for step in range(start, steps):
        epoch = step // steps_per_epoch
        span = (1 + step) ** -0.6 * random.lognormal(0, 0.2)
        spans = 1.4 if loss != "smooth_giou" else (2 * span / 0.3) ** 0.5
        params = 0.3 * spans * random.lognormal(0, 0.4)
        lines.append(f"{epoch},{params:.6g},{spans:.6g},0.1,{span:.6g},{step},")
        if (step + 1) % steps_per_epoch == 0:
            lines.append(f"{epoch},,,,,{step},{1 - span:.6g}")
    return "\n".join(lines) + "\n"


def write_run(folder, files, *, age=3600.0):
    """Write ``files`` (name to text, or to what becomes JSON or YAML), all ``age`` seconds old."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            yaml_file = path.suffix == ".yaml"
            content = yaml.safe_dump(content) if yaml_file else json.dumps(content)
        path.write_text(content)
        os.utime(path, (NOW - age, NOW - age))
    return folder


def finished(folder, loss="giou", seed=0, *, metrics=None, figures=None, **settings):
    """A run that came to its end, whose command line gave the loss, the seed and ``settings``."""
    given = {"span_loss": loss, "seed": seed}
    given |= {path.replace("__", "."): value for path, value in settings.items()}
    files = {
        "config.yaml": config(loss, seed, **settings),
        "overrides.yaml": [f"{name}={value}" for name, value in given.items()],
        "metrics.json": {"val/tiou": 0.9, "test/tiou": 0.91, "time/train": 50.0} | (metrics or {}),
        "convergence.json": convergence(loss, **(figures or {})),
        LOG: log(124, loss=loss, seed=seed),
    }
    return write_run(folder, files)


def found(folder):
    """The runs of a folder, and their groups."""
    runs = reports.find_runs([folder], now=NOW)
    return runs, reports.group_runs(runs)


def logged(folder, text):
    """A run that has no more than a config and this log, as it is read."""
    write_run(folder, {"config.yaml": config(), LOG: text})
    (run,), _ = found(folder)
    return run


def by_name(folder):
    """The runs of a folder, by name."""
    return {run.name: run for run in found(folder)[0]}


def shown(folder, *forms):
    """The report of a folder: as a page and in Markdown, or in the one form that is asked for."""
    texts = [form(*found(folder), now=NOW) for form in forms or (reports.page, reports.markdown)]
    return texts[0] if len(forms) == 1 else texts
