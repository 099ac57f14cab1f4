"""Adds corrected recordings to a folder that is trained on.

    python scripts/add_corrected.py FOLDER CORRECTED --format labelstudio

CORRECTED holds the annotations as they come from the tool, and the recordings in data/, as any folder
of your own data; FOLDER has an annotations.json. The recordings are copied, the annotations added to
that file. A recording that FOLDER already has is an error: nothing is overwritten.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from spanloc.data import read_annotations
from spanloc.data.annotations.folder import Record
from spanloc.files import counted, read_json, replacing, shown, write_json


def add(folder: Path, corrected: Path, **reading: Any) -> str:
    """Add the recordings of ``corrected`` to the annotations and the data of ``folder``.

    Args:
        folder: With an ``annotations.json``.
        corrected: A folder of annotated recordings.
        reading: How it is to be read, as in :func:`spanloc.data.read_annotations`.

    Returns:
        One line on what was added.

    Raises:
        FileNotFoundError: A folder or its annotations are missing.
        ValueError: ``corrected`` cannot be read, or ``folder`` has one of its recordings.
    """
    file = folder / "annotations.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; it is what the recordings are added to")
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{file}: wanted an object with the field 'database', objects by id")
    found = read_annotations(corrected, **reading)
    records = [record for subset in found.subsets.values() for record in subset]
    for record in records:
        if record.id in content["database"]:
            raise ValueError(f"{file}: sequence {shown(record.id)} is there already")
    for record in records:
        path = Path(record.signal.path)
        name = folder / "data" / f"{record.id}{path.suffix}"
        with replacing(name) as temporary:
            shutil.copyfile(path, temporary)
        content["database"][record.id] = _entry(record, found.classes)
    if isinstance(content.get("classes"), list):
        content["classes"] += [name for name in found.classes if name not in content["classes"]]
    write_json(file, content)
    spans = sum(len(record.spans) for record in records)
    return f"{file}: {counted(len(records), 'recording')} with {counted(spans, 'span')} added"


def _entry(record: Record, classes: list[str]) -> dict[str, Any]:
    step = record.timeline.seconds_per_step
    entry: dict[str, Any] = {
        "subset": record.subset,
        "duration": record.num_steps * step,
        "fps": 1 / step,
        "annotations": [
            # Without the noise of binary fractions.
            {"segment": [round(end * step, 6) for end in span], "label": classes[label]}
            for span, label in zip(record.spans.tolist(), record.labels.tolist(), strict=True)
        ],
    }
    if record.subject is not None:
        entry["subject"] = record.subject
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("corrected", type=Path)
    parser.add_argument("--format", default="auto", help="of the corrected annotations")
    parser.add_argument("--fps", type=float, help="steps per second, where no file says it")
    options = parser.parse_args()
    try:
        print(add(options.folder, options.corrected, format=options.format, fps=options.fps))
    except (OSError, ValueError) as error:
        sys.exit(f"add_corrected.py: error: {error}")


if __name__ == "__main__":
    main()
