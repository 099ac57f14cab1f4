"""What ``spanloc-probe`` writes, for one loss and for all of a sweep."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc import plots
from spanloc.convergence import Anatomy, Descent
from spanloc.convergence.anatomy import Section
from spanloc.files import replacing
from spanloc.ops import length

_DEFINITIONS = {
    "error": "of each end, the largest over the last steps, in the unit of the target; worst: of both",
    "relative_error": "the same over the target's length",
    "loss": "at the last step",
    "gradient": "norm over start and end, mean over the last steps",
    "relative_gradient": "the same times the target's length",
    "median, q05, q95": "over the pairs that are finite",
    "stuck": "share of pairs: disjoint at the last step, with a gradient of zero",
    "one_end_exact, both_ends_exact": "share of pairs: on the target to the last bit, at the last step",
    "lost": "share of pairs: not finite",
    "exponent": "slope of log gradient norm against log loss, medians over the pairs",
}
_COLUMNS = ["loss", "section", "case", "length", "end", "quantity", "value"]
_FLAGS = ("stationary", "minimum", "differentiable")


def of_anatomies(anatomies: Sequence[Anatomy]) -> list[dict[str, Any]]:
    """Anatomies as plain values."""
    return [
        found._asdict()
        | {"start": found.start._asdict(), "end": found.end._asdict()}
        | {"places": {name: place._asdict() for name, place in found.places.items()}}
        for found in anatomies
    ]


def of_descents(
    descents: Mapping[str, Descent], starts: Tensor, target: Tensor, last: int
) -> dict[str, Any]:
    """The statistics of descents as plain values, with what they are of."""
    width = length(target).item()
    rules = {}
    for name, found in descents.items():
        ends = {
            "start": found.final_error[:, 0],
            "end": found.final_error[:, 1],
            "worst": found.final_error.amax(1),
        }
        exact = found.exact.sum(1)
        exponent = found.exponent()
        shares = {
            "stuck": found.stuck,
            "one_end_exact": exact == 1,
            "both_ends_exact": exact == 2,
            "lost": ~(found.final_error.isfinite().all(1) & found.final_loss.isfinite()),
        }
        rules[name] = {
            "num_steps": int(found.steps[-1]),
            "error": {end: _spread(values * width) for end, values in ends.items()},
            "relative_error": {end: _spread(values) for end, values in ends.items()},
            "loss": _spread(found.final_loss),
            "gradient": _spread(found.final_gradient / width),
            "relative_gradient": _spread(found.final_gradient),
            "share": {key: share.double().mean().item() for key, share in shares.items()},
            "exponent": exponent._asdict(),
        }
    return {
        "target": target.tolist(),
        "last": last,
        "definitions": _DEFINITIONS,
        "rules": rules,
        "starts": starts.tolist(),
    }


def write(
    folder: Path,
    content: Mapping[str, Any],
    across: Section,
    descents: Mapping[str, Descent],
    starts: Tensor,
    target: Tensor,
) -> None:
    """Write ``probe.json``, ``probe.csv``, ``trajectories.npz`` and the figures of one loss.

    ``trajectories.npz`` has ``starts`` (n, 2), ``target`` (2,), ``section/...`` (the loss across the
    match) and for each rule ``descent/RULE/steps`` (k,), ``error`` (k, n, 2) and ``gradient`` (k, n),
    both relative to the length, and ``loss`` (k, n).
    """
    content = _finite(content)
    arrays = {"starts": starts.numpy(), "target": target.numpy()}
    for key, values in across._asdict().items():
        arrays[f"section/{key}"] = values.numpy()
    for name, found in descents.items():
        arrays[f"descent/{name}/steps"] = found.steps.numpy()
        for key in ("error", "loss", "gradient"):
            arrays[f"descent/{name}/{key}"] = getattr(found, key).float().numpy()
    with replacing(folder / "trajectories.npz") as path:
        np.savez_compressed(path, **arrays)
    name = content["span_loss"]
    _write_rows(folder / "probe.csv", rows(name, content))
    _draw(folder, {name: arrays})
    errors = {rule: (found.steps, found.error) for rule, found in descents.items()}
    figure = plots.error_over_steps(errors, title=name)
    plots.save_figure(figure, folder / "figures" / "error-over-steps.png")
    # Last: a folder that has it is complete.
    with replacing(folder / "probe.json") as path:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_joint(sweep: Path) -> None:
    """Write ``probe.csv`` and figures of all losses that a sweep has finished, into its folder."""
    folders = [path.parent for path in sweep.glob("*/probe.json")]
    folders.sort(key=lambda path: [int(n) for n in re.findall(r"^\d+", path.name)])
    contents = {path: json.loads((path / "probe.json").read_text("utf-8")) for path in folders}
    count = Counter(content["span_loss"] for content in contents.values())
    # A loss that is there several times is told apart by the number that its folder begins with.
    names = {}
    for path, content in contents.items():
        name = content["span_loss"]
        names[path] = name if count[name] == 1 else f"{name} {path.name.partition('_')[0]}"
    _write_rows(
        sweep / "probe.csv",
        (row for path, content in contents.items() for row in rows(names[path], content)),
    )
    arrays = {}
    for path in folders:
        with np.load(path / "trajectories.npz") as file:
            arrays[names[path]] = dict(file)
    _draw(sweep, arrays)


def rows(name: str, content: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The content of ``probe.json`` as rows of ``loss, section, case, length, end, quantity, value``.

    ``case`` is the form and tie rule of the forum's case, the place of a prediction or the rule of a
    descent; ``value`` is a number, ``inf`` and ``-inf`` among them, 1 and 0 for yes and no, or empty
    where there is none.
    """
    for case in content["forum"]["cases"]:
        label = f"{case['form']}, ties {case['ties']}, shift {case['shift']:g}"
        yield [name, "forum", label, "", "", "loss", case["loss"]]
        for i, width in enumerate((1, 3)):
            for end in ("start", "end"):
                yield [name, "forum", label, width, end, "gradient", case[f"{end}s"][i]]
    for found in content["anatomy"]:
        width = found["length"]
        yield [name, "match", "", width, "", "loss", found["loss"]]
        stable = found["largest_stable_step"]
        yield [name, "match", "", width, "", "largest_stable_step", stable]
        for end in ("start", "end"):
            for key, value in found[end].items():
                quantity = key if key in _FLAGS else f"relative_{key}"
                yield [name, "match", "", width, end, quantity, value]
        for place, values in found["places"].items():
            yield [name, "place", place, width, "", "loss", values["loss"]]
            for end in ("start", "end"):
                yield [name, "place", place, width, end, "relative_autograd", values[end]]
                for side in ("left", "right"):
                    value = values[f"{end}_{side}"]
                    yield [name, "place", place, width, end, f"relative_{side}", value]
    low, high = content["descent"]["target"]
    for rule, values in content["descent"]["rules"].items():
        start = [name, "descent", rule, high - low]
        yield [*start, "", "num_steps", values["num_steps"]]
        for quantity in ("error", "relative_error"):
            for end, spread in values[quantity].items():
                for key, value in spread.items():
                    yield [*start, end, f"{quantity}_{key}", value]
        for quantity in ("loss", "gradient", "relative_gradient", "share", "exponent"):
            for key, value in values[quantity].items():
                if key != "reason":
                    yield [*start, "", f"{quantity}_{key}", value]


def _draw(folder: Path, arrays: Mapping[str, Mapping[str, Any]]) -> None:
    sections, points = {}, {}
    for name, found in arrays.items():
        sections[name] = tuple(
            torch.as_tensor(found[f"section/{key}"]) for key in ("error", "loss", "derivative")
        )
        points[name] = tuple(
            torch.cat(
                [
                    torch.as_tensor(values).flatten()
                    for key, values in found.items()
                    if re.fullmatch(rf"descent/.*/{wanted}", key)
                ]
            )
            for wanted in ("loss", "gradient")
        )
    plots.save_figure(plots.match(sections), folder / "figures" / "match.png")
    figure = plots.gradient_against_loss(points)
    plots.save_figure(figure, folder / "figures" / "gradient-against-loss.png")


def _write_rows(path: Path, lines: Iterator[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for *labels, value in lines:
        value = "" if value is None else int(value) if isinstance(value, bool) else value
        writer.writerow([*labels, value])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _spread(values: Tensor) -> dict[str, float]:
    known = values[values.isfinite()]
    if not len(known):
        return dict.fromkeys(("median", "q05", "q95"), math.nan)
    quantiles = known.quantile(torch.tensor([0.5, 0.05, 0.95], dtype=known.dtype))
    return dict(zip(("median", "q05", "q95"), quantiles.tolist(), strict=True))


def _finite(value: Any) -> Any:
    # JSON has no NaN and no infinity: null for what there is not, "inf" and "-inf".
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return None if isinstance(value, float) and math.isnan(value) else value
