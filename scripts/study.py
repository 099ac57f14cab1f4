"""Runs the studies of docs/why-gradients-are-not-zero.md: several losses, several seeds each.

    python scripts/study.py zero_loss                    fitting 32 sequences exactly
    python scripts/study.py end_noise                    with and without errors in the targets
    python scripts/study.py detection --data FOLDER      recordings with many spans; a folder for each data set

It can be stopped and started again: finished runs are kept, an unfinished one begins again. At the
end it writes a report of all runs.
"""

import argparse
import shutil
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

from spanloc.reports.runs import read_run

# A training on recordings takes minutes.
SEEDS = {"zero_loss": range(5), "end_noise": range(5), "detection": range(3)}
LOSSES = {
    "iou": ["span_loss=iou"],
    "giou": ["span_loss=giou"],
    "diou": ["span_loss=diou"],
    "smooth": ["span_loss=smooth_giou"],
    "annealed": ["span_loss=smooth_giou", "callbacks=anneal"],
    "huber": ["span_loss=huber_giou"],
    "l1": ["span_loss=l1"],
    "distribution": ["span_loss=diou", "head=distribution"],
}


def runs(study: str, data: Path | None) -> dict[str, list[str]]:
    """Name of each run's folder, and its settings."""
    if study == "zero_loss":
        names, variants = ["iou", "giou", "smooth", "annealed", "huber"], {"": []}
        common = ["experiment=zero_loss"]
    elif study == "end_noise":
        names = ["giou", "smooth", "annealed"]
        variants = {f"noise{n}-": [f"data.end_noise={n}"] for n in (0.0, 0.1)}
        common = []
    else:
        names, variants = ["giou", "diou", "smooth", "annealed", "l1", "distribution"], {"": []}
        # Nothing is chosen on the testing recordings: a third of the training recordings validates.
        thresholds = [0.3, 0.4, *(0.5 + 0.05 * i for i in range(10))]
        wanted = ",".join(f"{threshold:.2g}" for threshold in thresholds)
        common = [
            "data=annotations",
            f"data.root={data}",
            "task=detection",
            "data.val_share=0.33",
            "test=false",
        ]
        common += [f"metric.metrics.average_precision.thresholds=[{wanted}]"]
        # The loss of spans alone is to decide where they end, not curves of boundaries beside it.
        variants = {"": ["head=points"]}
    return {
        f"{variant}{name}-{seed}": _settled([*common, *settings, *LOSSES[name], f"seed={seed}"])
        for seed, (variant, settings), name in product(SEEDS[study], variants.items(), names)
    }


def _settled(settings: list[str]) -> list[str]:
    """The last choice of each setting."""
    return list({setting.split("=")[0]: setting for setting in settings}.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=list(SEEDS))
    parser.add_argument("--data", type=Path, help="folder of annotated recordings")
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    options, more = parser.parse_known_args()
    if options.study == "detection" and options.data is None:
        parser.error("detection needs --data FOLDER")
    if unknown := [word for word in more if "=" not in word]:
        parser.error(f"not an option, nor a setting of spanloc-train: {' '.join(unknown)}")
    out = options.out / options.study
    commands = Path(sys.executable).parent
    todo = runs(options.study, options.data and options.data.resolve())
    for number, (name, settings) in enumerate(todo.items(), 1):
        folder = out / name
        done = folder.is_dir() and read_run(folder, name, now=time.time()).state == "finished"
        print(f"{number} of {len(todo)}: {name}{' (done)' if done else ''}", flush=True)
        if done:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        command = [str(commands / "spanloc-train"), *settings, *more, f"hydra.run.dir={folder}"]
        # Over the whole training set: the figures of the page are.
        command += ["callbacks.convergence.share=null", "callbacks.progress=null"]
        subprocess.run(command, check=True)
        if options.study == "detection":
            # mAP at each tIoU, which a training keeps of its test set only.
            command = [str(commands / "spanloc-evaluate"), f"checkpoint={folder / 'best.ckpt'}"]
            command += ["subset=val", f"hydra.run.dir={folder / 'val'}"]
            subprocess.run(command, check=True)
    command = [str(commands / "spanloc-report"), f"runs={out}", f"hydra.run.dir={out / 'report'}"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
