"""Shows what correcting predictions gains: train on few recordings, correct predictions, train again.

    python scripts/correction_loop.py --data FOLDER budget=quick

Of the training recordings of FOLDER (with an annotations.json) the first 5 are trained on. The model
predicts the next 10, as tasks for Label Studio; the export that comes back, with the predictions
corrected by the annotations that FOLDER has, is added, and all 15 are trained on. Both models are
evaluated on the testing recordings. Other settings go to spanloc-train.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import add_corrected

from spanloc.files import read_json, replacing, write_json

_COMMANDS = Path(sys.executable).parent
#: A boundary is left as predicted where it is nearer to the true one than this part of the length.
_NEAR = 0.1
_DONE = ("accepted", "boundaries moved", "label changed", "removed", "added")


class _Loop(NamedTuple):
    """One round: test metrics of both trainings, and what the correction took."""

    before: dict[str, float]
    after: dict[str, float]
    work: Counter[str]


def corrected(task: dict[str, Any], truth: list[dict[str, Any]], work: Counter[str]) -> None:
    """Turn a task with predictions into what Label Studio exports once they are corrected to the truth.

    Each true span takes the prediction that overlaps it most, half of their union at least, of its own
    label if there is one; its region is then ``prediction`` (accepted) or ``prediction-changed``, by
    its ``origin``, and ``manual`` where nothing was predicted. Predictions that none takes are removed.
    """
    (prediction,) = task.pop("predictions")
    left, result = list(prediction["result"]), []
    for number, row in enumerate(truth):
        start, end = row["segment"]
        near = [region for region in left if _tiou(region["value"], start, end) >= 0.5]
        best = max(
            near,
            key=lambda region: (
                _label(region) == row["label"],
                _tiou(region["value"], start, end),
            ),
            default=None,
        )
        region = {"id": f"new-{number}", "from_name": "label", "to_name": "ts", "origin": "manual"}
        done = "added"
        if best is not None:
            left.remove(best)
            done = _change(best, row)
            origin = "prediction" if done == "accepted" else "prediction-changed"
            region = {**best, "origin": origin}
        work[done] += 1
        value = {"start": start, "end": end, "instant": False, "timeserieslabels": [row["label"]]}
        result.append({**region, "type": "timeserieslabels", "value": value})
    work["removed"] += len(left)
    task["annotations"] = [{"id": 1, "was_cancelled": False, "result": result}]


def _change(region: dict[str, Any], row: dict[str, Any]) -> str:
    if _label(region) != row["label"]:
        return "label changed"
    start, end = row["segment"]
    errors = abs(region["value"]["start"] - start), abs(region["value"]["end"] - end)
    return "accepted" if max(errors) <= _NEAR * (end - start) else "boundaries moved"


def _label(region: dict[str, Any]) -> str:
    return str(region["value"]["timeserieslabels"][0])


def _tiou(value: dict[str, Any], start: float, end: float) -> float:
    overlap = min(value["end"], end) - max(value["start"], start)
    return max(0.0, overlap) / (max(value["end"], end) - min(value["start"], start))


def _run(command: str, *settings: str) -> None:
    words = [str(_COMMANDS / f"spanloc-{command}"), *settings]
    subprocess.run(words, check=True)


def _folder(folder: Path, source: Path, entries: dict[str, Any]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    for name in entries:
        (file,) = [path for path in (source / "data").glob("*") if path.stem == name]
        shutil.copy(file, folder / "data")
    write_json(folder / "annotations.json", {"database": entries})
    return folder


def loop(source: Path, out: Path, first: int, more: int, seed: int, settings: list[str]) -> _Loop:
    """One round of the loop, in ``out``."""
    database = read_json(source / "annotations.json")["database"]
    training = [name for name, entry in database.items() if entry["subset"] == "training"]
    if len(training) < first + more:
        raise ValueError(f"{source}: {len(training)} training recordings; wanted {first + more}")
    testing = {name: e for name, e in database.items() if e["subset"] == "testing"}
    few = _folder(out / "few", source, {n: database[n] for n in training[:first]} | testing)
    train = [*settings, f"seed={seed}", "callbacks.convergence=null", "callbacks.progress=null"]
    _run("train", f"data.root={few}", *train, f"hydra.run.dir={out / 'before'}")

    new = {name: database[name] for name in training[first : first + more]}
    folder = _folder(out / "new", source, new)
    # Nothing of these is known but the recordings.
    (folder / "annotations.json").unlink()
    found = out / "predictions"
    recordings = ",".join(f'"{path}"' for path in sorted((folder / "data").iterdir()))
    wanted = ["format=labelstudio", "min_score=0.5", f"hydra.run.dir={found}"]
    _run("predict", f"checkpoint={out / 'before'}", f"input=[{recordings}]", *wanted)
    tasks = json.loads((found / "predictions.labelstudio.json").read_text(encoding="utf-8"))
    work: Counter[str] = Counter()
    for task in tasks:
        corrected(task, new[task["data"]["sequence"]]["annotations"], work)
    write_json(folder / "export.json", tasks)

    both = shutil.copytree(few, out / "both", dirs_exist_ok=True)
    rate = next(iter(new.values())).get("fps")
    print(add_corrected.add(both, folder, format="labelstudio", fps=rate), flush=True)
    _run("train", f"data.root={both}", *train, f"hydra.run.dir={out / 'after'}")
    before, after = (read_json(out / name / "metrics.json") for name in ("before", "after"))
    return _Loop(before, after, work)


def table(rounds: list[_Loop], first: int, more: int) -> str:
    """The gain, and the work it took, as Markdown: means over the rounds."""
    lines = [f"| | {first} recordings | {first + more} recordings | gain |", "|---|---|---|---|"]
    for name in (name for name in rounds[0].before if name.startswith("test/mAP")):
        before, after = (
            mean(values[name] for values in part)
            for part in zip(*((one.before, one.after) for one in rounds), strict=True)
        )
        lines.append(f"| `{name}` | {before:.3f} | {after:.3f} | {after - before:+.3f} |")
    work = {name: mean(one.work[name] for one in rounds) for name in _DONE}
    text = ", ".join(f"{count:.0f} {name}" for name, count in work.items())
    return "\n".join([*lines, "", f"Spans of the {more} recordings: {text}."]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the annotation format")
    parser.add_argument("--out", type=Path, default=Path("runs/correction_loop"))
    parser.add_argument("--first", type=int, default=5, help="recordings that are annotated first")
    parser.add_argument("--more", type=int, default=10, help="recordings that are corrected")
    parser.add_argument("--seeds", type=int, default=1, help="rounds, the table has their means")
    options, settings = parser.parse_known_args()
    if unknown := [word for word in settings if "=" not in word]:
        parser.error(f"not an option, nor a setting of spanloc-train: {' '.join(unknown)}")
    out, rounds = options.out.resolve(), []
    for seed in range(options.seeds):
        place = out / f"seed{seed}"
        shutil.rmtree(place, ignore_errors=True)
        try:
            one = loop(options.data.resolve(), place, options.first, options.more, seed, settings)
        except (OSError, ValueError) as error:
            sys.exit(f"correction_loop.py: error: {error}")
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)
        rounds.append(one)
    text = table(rounds, options.first, options.more)
    with replacing(out / "loop.md") as path:
        path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
