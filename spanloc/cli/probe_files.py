"""What ``spanloc-probe`` writes, for one loss and for all of a sweep."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from spanloc import plots
from spanloc.convergence import Descent, ProbeResult, Trajectories
from spanloc.files import replacing

_COLUMNS = ["loss", "section", "case", "length", "end", "quantity", "value"]
_FLAGS = ("stationary", "minimum", "differentiable")


def write(
    folder: Path, result: ProbeResult, trajectories: Trajectories, descents: Mapping[str, Descent]
) -> None:
    """Write ``probe.json``, ``probe.csv``, ``trajectories.npz`` and the figures of one loss."""
    name = result.span_loss
    trajectories.write(folder / "trajectories.npz")
    _write_rows(folder / "probe.csv", rows(name, result))
    _draw(folder, {name: trajectories})
    figure = plots.error_over_steps(descents, title=name)
    plots.save_figure(figure, folder / "figures" / "error-over-steps.png")
    # Last: a folder that has it is complete.
    result.write(folder / "probe.json")


def write_joint(sweep: Path) -> None:
    """Write ``probe.csv`` and figures of all losses that a sweep has finished, into its folder."""
    folders = [path.parent for path in sweep.glob("*/probe.json")]
    folders.sort(key=lambda path: [int(n) for n in re.findall(r"^\d+", path.name)])
    results = {folder: ProbeResult.read(folder / "probe.json") for folder in folders}
    count = Counter(result.span_loss for result in results.values())
    names = {folder: result.span_loss for folder, result in results.items()}
    for folder, name in names.items():
        # A loss that is there several times is told apart by the number that its folder begins with.
        if count[name] > 1:
            names[folder] = f"{name} {folder.name.partition('_')[0]}"
    _write_rows(sweep / "probe.csv", chain(*(rows(names[f], results[f]) for f in folders)))
    _draw(sweep, {names[f]: Trajectories.read(f / "trajectories.npz") for f in folders})


def rows(name: str, result: ProbeResult) -> Iterator[list[Any]]:
    """The result as rows of ``loss, section, case, length, end, quantity, value``.

    ``case`` is the form and tie rule of the forum's case, the place of a prediction or the rule of a
    descent; ``value`` is a number, ``inf`` and ``-inf`` among them, 1 and 0 for yes and no, or empty
    where there is none.
    """
    for case in result.forum.cases:
        label = f"{case.form}, ties {case.ties}, shift {case.shift:g}"
        yield [name, "forum", label, "", "", "loss", case.loss]
        for size, at_start, at_end in zip((1, 3), case.starts, case.ends, strict=True):
            yield [name, "forum", label, size, "start", "gradient", at_start]
            yield [name, "forum", label, size, "end", "gradient", at_end]
    for found in result.anatomy:
        width = found.length
        for quantity in ("loss", "largest_stable_step"):
            yield [name, "match", "", width, "", quantity, getattr(found, quantity)]
        for side, slopes in (("start", found.start), ("end", found.end)):
            for key, value in slopes._asdict().items():
                quantity = key if key in _FLAGS else f"relative_{key}"
                yield [name, "match", "", width, side, quantity, value]
        for where, place in found.places.items():
            yield [name, "place", where, width, "", "loss", place.loss]
            for side, derivatives in (
                ("start", (place.start, place.start_left, place.start_right)),
                ("end", (place.end, place.end_left, place.end_right)),
            ):
                for key, value in zip(("autograd", "left", "right"), derivatives, strict=True):
                    yield [name, "place", where, width, side, f"relative_{key}", value]
    low, high = result.descent.target
    for rule, values in result.descent.rules.items():
        start: list[Any] = [name, "descent", rule, high - low]
        yield [*start, "", "num_steps", values.num_steps]
        for quantity in ("error", "relative_error"):
            for end, spread in getattr(values, quantity)._asdict().items():
                for key, value in spread._asdict().items():
                    yield [*start, end, f"{quantity}_{key}", value]
        for quantity in ("loss", "gradient", "relative_gradient", "share", "exponent"):
            for key, value in getattr(values, quantity)._asdict().items():
                if key != "reason":
                    yield [*start, "", f"{quantity}_{key}", value]


def _draw(folder: Path, trajectories: Mapping[str, Trajectories]) -> None:
    figure = plots.match({name: found.section for name, found in trajectories.items()})
    plots.save_figure(figure, folder / "figures" / "match.png")
    figure = plots.gradient_against_loss(trajectories)
    plots.save_figure(figure, folder / "figures" / "gradient-against-loss.png")


def _write_rows(path: Path, lines: Iterator[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for *labels, value in lines:
        value = int(value) if isinstance(value, bool) else "" if math.isnan(value) else value
        writer.writerow([*labels, value])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
