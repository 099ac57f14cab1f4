"""Adds corrected recordings to a folder that is trained on.

    python scripts/add_corrected.py FOLDER CORRECTED --format labelstudio

CORRECTED holds the annotations as they come from the tool, and the recordings in data/, as any folder
of your own data. The recordings are copied to FOLDER, the annotations added to its annotations.json;
annotations of FOLDER in another format, such as a table, are not added to. A recording that FOLDER
already has, in that file or in data/, is an error: nothing is overwritten.
"""

import argparse
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from spanloc.data import read_annotations
from spanloc.data.annotations.folder import Record
from spanloc.data.annotations.written.one_file import one_file
from spanloc.data.fingerprint import named_in
from spanloc.data.signals import find_signal
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
        raise FileNotFoundError(
            f"{file}: no such file; to a table, append the rows of predictions.csv (docs/labels.md, section 1)"
        )
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{file}: wanted an object with the field 'database', objects by id")
    found = read_annotations(corrected, **reading)
    records = [record for subset in found.subsets.values() for record in subset]
    entries, copies = one_file(found)["database"], dict[Path, Path]()
    for record in records:
        if record.id in content["database"]:
            raise ValueError(f"{file}: sequence {shown(record.id)} is there already")
        with suppress(FileNotFoundError):
            there = find_signal(folder / "data", record.id)
            raise ValueError(f"{there}: is there already; nothing is overwritten")
        for to, path in _files(record, folder / "data"):
            if to.exists() or copies.setdefault(to, path) != path:
                raise ValueError(f"{to}: is there already; nothing is overwritten")
    for to, path in copies.items():
        with replacing(to) as temporary:
            shutil.copyfile(path, temporary)
    for record in records:
        rate = {"fps": 1 / record.timeline.seconds_per_step}
        content["database"][record.id] = entries[record.id] | rate
    if isinstance(content.get("classes"), list):
        content["classes"] += [name for name in found.classes if name not in content["classes"]]
    write_json(file, content)
    spans = sum(len(record.spans) for record in records)
    return f"{file}: {counted(len(records), 'recording')} with {counted(spans, 'span')} added"


def _files(record: Record, data: Path) -> list[tuple[Path, Path]]:
    # Where to, and where from. A header of WFDB names the files of its signals, which lie beside it.
    path = Path(record.signal.path)
    to = data / f"{record.id}{path.suffix}"
    return [(to, path), *((to.with_name(other.name), other) for other in named_in(path))]


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
