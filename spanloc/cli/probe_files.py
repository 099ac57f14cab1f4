"""The files of ``spanloc-probe``, for one loss and for all of a sweep."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spanloc import plots
from spanloc.convergence import Descent, ProbeResult, Trajectories
from spanloc.files import leaves, plain, replacing


def write(
    folder: Path, result: ProbeResult, trajectories: Trajectories, descents: Mapping[str, Descent]
) -> None:
    """Write ``probe.json``, ``probe.csv``, ``trajectories.npz`` and the plots of one loss."""
    name = result.span_loss
    trajectories.write(folder / "trajectories.npz")
    _write_table(folder / "probe.csv", table(result))
    _draw(folder, {name: trajectories})
    figure = plots.error_over_steps(descents, title=name)
    plots.save_figure(figure, folder / "figures" / "error-over-steps.png")
    # Last: a folder that has it is complete.
    result.write(folder / "probe.json")


def write_joint(sweep: Path) -> None:
    """Write ``probe.csv`` and plots of all losses that a sweep has finished, into its folder."""
    folders = [path.parent for path in sweep.glob("*/probe.json")]
    folders.sort(key=lambda path: [int(n) for n in re.findall(r"^\d+", path.name)])
    tables = [pd.read_csv(f / "probe.csv", dtype=str, keep_default_na=False) for f in folders]
    names = pd.Series([rows["loss"].iat[0] for rows in tables])
    numbers = pd.Series([folder.name.partition("_")[0] for folder in folders])
    # A loss that is there several times is named with the number that its folder begins with.
    names = names.mask(names.duplicated(keep=False), names + " " + numbers)
    joint = [rows.assign(loss=name) for rows, name in zip(tables, names, strict=True)]
    _write_table(sweep / "probe.csv", pd.concat(joint))
    read = [Trajectories.read(folder / "trajectories.npz") for folder in folders]
    _draw(sweep, dict(zip(names, read, strict=True)))


def table(result: ProbeResult) -> pd.DataFrame:
    """The result as rows of ``loss, section, case, length, end, quantity, value``.

    ``case`` is the form and tie rule of the forum's case, the place of a prediction or the rule of a
    descent; ``value`` is a number, ``inf`` and ``-inf`` among them, 1 and 0 for yes and no, or NaN,
    empty in the file, where it is undetermined.
    """
    columns = ["section", "case", "length", "end", "quantity", "value"]
    # As objects: a column of floats would write 1.0 for yes.
    found = pd.DataFrame(_rows(result), columns=columns, dtype=object)
    found.insert(0, "loss", result.span_loss)
    return found


def _rows(result: ProbeResult) -> Iterator[tuple[Any, ...]]:
    for case in result.forum.cases:
        label = f"{case.form}, ties {case.ties}, shift {case.shift:g}"
        yield "forum", label, "", "", "loss", case.loss
        for size, at_start, at_end in zip((1, 3), case.starts, case.ends, strict=True):
            yield "forum", label, size, "start", "gradient", at_start
            yield "forum", label, size, "end", "gradient", at_end
    for found in result.anatomy:
        width = found.length
        for quantity in ("loss", "largest_stable_step"):
            yield "match", "", width, "", quantity, getattr(found, quantity)
        for side in ("start", "end"):
            for key, value in getattr(found, side)._asdict().items():
                if isinstance(value, bool):
                    yield "match", "", width, side, key, int(value)
                else:
                    yield "match", "", width, side, f"relative_{key}", value
        for where, place in found.places.items():
            yield "place", where, width, "", "loss", place.loss
            for side in ("start", "end"):
                for key, field in (("autograd", ""), ("left", "_left"), ("right", "_right")):
                    value = getattr(place, side + field)
                    yield "place", where, width, side, f"relative_{key}", value
    low, high = result.descent.target
    for rule, values in result.descent.rules.items():
        for path, value in leaves(plain(values)):
            # Such as error.start.median, loss.median and num_steps.
            *parts, key = path.split(".")
            end = parts.pop() if len(parts) == 2 else ""
            if key != "reason":
                yield "descent", rule, high - low, end, "_".join([*parts, key]), value


def _draw(folder: Path, trajectories: Mapping[str, Trajectories]) -> None:
    figure = plots.match({name: found.section for name, found in trajectories.items()})
    plots.save_figure(figure, folder / "figures" / "match.png")
    figure = plots.gradient_against_loss(trajectories)
    plots.save_figure(figure, folder / "figures" / "gradient-against-loss.png")


def _write_table(path: Path, rows: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        rows.to_csv(temporary, index=False)
