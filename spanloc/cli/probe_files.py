"""The files of ``spanloc-probe``, for one loss and for all of a sweep."""

import re
from collections.abc import Mapping
from pathlib import Path

from spanloc import plots
from spanloc.convergence import Descent, ProbeResult, Trajectories
from spanloc.files import read_json


def write(
    folder: Path, result: ProbeResult, trajectories: Trajectories, descents: Mapping[str, Descent]
) -> None:
    """Write ``probe.json``, ``trajectories.npz`` and the plots of one loss."""
    name = result.span_loss
    trajectories.write(folder / "trajectories.npz")
    _draw(folder, {name: trajectories})
    figure = plots.error_over_steps(descents, title=name)
    plots.save_figure(figure, folder / "figures" / "error-over-steps.png")
    # Last: a folder that has it is complete.
    result.write(folder / "probe.json")


def write_joint(sweep: Path) -> None:
    """Write the plots of all losses that a sweep has finished, into its folder."""
    folders = [path.parent for path in sweep.glob("*/probe.json")]
    folders.sort(key=lambda path: [int(n) for n in re.findall(r"^\d+", path.name)])
    names = [read_json(folder / "probe.json")["span_loss"] for folder in folders]
    # A loss that is there several times is named with the number that its folder begins with.
    names = [
        f"{name} {folder.name.partition('_')[0]}" if names.count(name) > 1 else name
        for name, folder in zip(names, folders, strict=True)
    ]
    read = [Trajectories.read(folder / "trajectories.npz") for folder in folders]
    _draw(sweep, dict(zip(names, read, strict=True)))


def _draw(folder: Path, trajectories: Mapping[str, Trajectories]) -> None:
    figure = plots.match({name: found.section for name, found in trajectories.items()})
    plots.save_figure(figure, folder / "figures" / "match.png")
    figure = plots.gradient_against_loss(trajectories)
    plots.save_figure(figure, folder / "figures" / "gradient-against-loss.png")
