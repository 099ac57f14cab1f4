"""Settings chosen from data against settings by hand: the choices, and the metrics of both.

    python scripts/recipe.py [ecg spindles gait offsets] [--data ROOT] [--budget default]

The sets are those of ``made_data.py``, in their real size. Each takes about two trainings of five minutes on
two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from made_data import SETS, write
from rich.console import Console
from rich.table import Table

#: As one would set them from the lengths of the spans, without trying others.
BY_HAND = {
    "ecg": (
        "backbone.stride=2",
        "data.crop_seconds=10",
        "data.batch_size=8",
        "trainer.max_steps=1000",
    ),
    "spindles": (
        "backbone.stride=10",
        "data.crop_seconds=30",
        "data.batch_size=16",
        "trainer.max_steps=800",
    ),
    "gait": (
        "backbone.stride=4",
        "data.crop_seconds=20",
        "data.batch_size=16",
        "trainer.max_steps=800",
    ),
    # The same as chosen, but for the running mean.
    "offsets": ("localizer.baseline=0",),
}
SHOWN = (
    "backbone.stride",
    "data.crop_seconds",
    "data.batch_size",
    "data.crops_per_epoch",
    "trainer.max_epochs",
)


def run(
    root: Path, folder: Path, *settings: str
) -> tuple[dict[str, float], dict[str, object], float]:
    """Metrics, the settings that are shown, and seconds of a training."""
    command = Path(sys.executable).with_name("spanloc-train")
    begin = time.perf_counter()
    subprocess.run(
        [command, f"data.root={root}", *settings, f"hydra.run.dir={folder}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begin
    config = yaml.safe_load((folder / "config.yaml").read_text())
    chosen = {}
    for place in SHOWN:
        group, name = place.split(".")
        chosen[place] = config[group][name]
    return json.loads((folder / "metrics.json").read_text()), chosen, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--data", type=Path, help="where the sets are written; a temporary folder")
    parser.add_argument("--budget", default="default")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    table = Table("set", "settings", *SHOWN, "val/mAP", "test/mAP", "minutes")
    for name in arguments.names:
        root = (arguments.data or work) / name
        if not (root / "annotations.json").exists():
            write(name, root)
        for label, settings in (
            ("recipe", (f"budget={arguments.budget}",)),
            ("by hand", BY_HAND[name]),
        ):
            print(f"{name}, {label} ...", flush=True)
            metrics, chosen, seconds = run(root, work / f"{name}-{label[:2]}", *settings)
            values = [f"{metrics[key]:.3f}" for key in ("val/mAP", "test/mAP")]
            table.add_row(name, label, *map(str, chosen.values()), *values, f"{seconds / 60:.1f}")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
