"""Converts SBHAR, "Smartphone-Based Recognition of Human Activities and Postural Transitions", to a folder.

    python scripts/convert_sbhar.py FOLDER                   downloads the archive (80 MB) first
    python scripts/convert_sbhar.py FOLDER --archive PATH    a zip that is here, or what was in it

61 recordings of 30 volunteers, accelerometer (g) and gyroscope (rad/s) of a smartphone at the waist, 50
Hz; 6 activities and 6 transitions between postures. ``labels.txt`` numbers samples, and does not say
from where: they are taken to count from 1, with the end inside. Testing are the volunteers of
``Test/subject_id_test.txt``; where that file is missing, those of UCI HAR, whose volunteers are the same.

The download is NOT checked against a digest of the publisher, who gives none: the sha256 of what came is
printed, together with the word whether it is the one that others report. ``--sha256`` makes it a condition.

References:
    Reyes-Ortiz et al. 2015, Transition-Aware Human Activity Recognition Using Smartphones,
    Neurocomputing; to be cited by who uses the data. https://doi.org/10.24432/C54G7M
"""

import argparse
import hashlib
import http.client
import io
import re
import sys
import urllib.request
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from writing import Recording, require_new, write_folder

from spanloc.files import replacing

URL = (
    "https://archive.ics.uci.edu/static/public/341/"
    "smartphone+based+recognition+of+human+activities+and+postural+transitions.zip"
)
#: As three public projects independently report it for that URL. Not seen by us, so not demanded.
REPORTED_SHA256 = "4ac4ae064227c07045a99551876b54d204837e995e298b6488559e209b3deb09"
RATE = 50.0
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
CLASSES = (
    "walking", "walking_upstairs", "walking_downstairs", "sitting", "standing", "lying", "stand-to-sit",
    "sit-to-stand", "sit-to-lie", "lie-to-sit", "stand-to-lie", "lie-to-stand",
)  # fmt: skip
TEST_USERS = frozenset({2, 4, 9, 10, 12, 13, 18, 20, 24})

Root = Path | zipfile.Path
Key = tuple[int, int]


def convert(archive: Path, folder: Path) -> str:
    """Write the folder, and give one line on it.

    Args:
        archive: The zip, or a folder that it was unpacked into.
        folder: To write.

    Raises:
        ValueError: The archive lacks a file, or one of them is not as described above.
        OSError: It cannot be read.
    """
    root = _root(archive)
    names, users = _classes(root), _test_users(root)
    files = _signals(root)
    labels = _labels(root, names)
    if silent := files.keys() - labels.keys():
        raise ValueError(f"{root}/RawData/labels.txt: no row of {_id(min(silent))}")
    if missing := labels.keys() - files.keys():
        print(f"{root}: the recordings of {len(missing)} labelled experiments are not there")
    recordings = (
        Recording(
            _id(key),
            _values(root, *files[key]),
            RATE,
            "testing" if key[1] in users else "training",
            f"user{key[1]:02}",
            labels[key],
        )
        for key in sorted(files)
    )
    return write_folder(folder, recordings, classes=list(names.values()), channels=CHANNELS)


def _id(key: Key) -> str:
    return "exp{:02}_user{:02}".format(*key)


def _root(archive: Path) -> Root:
    """The place of ``RawData``: at the top, or in a folder, or in a zip within the zip."""
    wanted = "RawData/labels.txt"
    if archive.is_dir():
        for root in (archive, *sorted(archive.iterdir())):
            if (root / wanted).is_file():
                return root
        raise ValueError(f"{archive}: no {wanted} in it, nor in a folder of it")
    try:
        file = zipfile.ZipFile(archive)
        while True:
            inside = file.namelist()
            found = [name for name in inside if f"/{name}".endswith(f"/{wanted}")]
            if found:
                return zipfile.Path(file, found[0].removesuffix(wanted))
            inner = [name for name in inside if re.search(r"(^|/)[^./][^/]*\.zip$", name)]
            if len(inner) != 1:
                raise ValueError(f"{archive}: no {wanted} in it")
            file = zipfile.ZipFile(io.BytesIO(file.read(inner[0])))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive}: not a zip archive, or not all of it: {error}") from None


def _numbers(root: Root, name: str, num_columns: int, kind: type) -> np.ndarray:
    path = root / name
    try:
        text = path.read_text(encoding="ascii")
        rows = np.loadtxt(io.StringIO(text), dtype=kind, ndmin=2)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {error}") from None
    if rows.shape[1] != num_columns or not len(rows):
        raise ValueError(f"{path}: {len(rows)} rows of {rows.shape[1]}; wanted {num_columns} a row")
    return rows


def _classes(root: Root) -> dict[int, str]:
    path = root / "activity_labels.txt"
    if not path.is_file():
        return dict(enumerate(CLASSES, 1))
    classes = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d+)\s+(\w+)\s*", line)
        if match is None or int(match[1]) in classes:
            raise ValueError(f"{path}: {line!r:.80}; wanted a number of its own and a name")
        name = match[2].lower().replace("_to_", "-to-")
        # The spelling of the archive, of a word that it spells otherwise in its transitions.
        classes[int(match[1])] = "lying" if name == "laying" else name
    return classes


def _test_users(root: Root) -> frozenset[int]:
    if not (root / "Test" / "subject_id_test.txt").is_file():
        return TEST_USERS
    return frozenset(_numbers(root, "Test/subject_id_test.txt", 1, int)[:, 0].tolist())


def _signals(root: Root) -> dict[Key, tuple[str, str]]:
    found: dict[str, dict[Key, str]] = {"acc": {}, "gyro": {}}
    for path in (root / "RawData").iterdir():
        if match := re.fullmatch(r"(acc|gyro)_exp(\d+)_user(\d+)\.txt", path.name):
            found[match[1]][int(match[2]), int(match[3])] = f"RawData/{path.name}"
    if not found["acc"]:
        raise ValueError(f"{root}/RawData: no acc_exp<number>_user<number>.txt")
    if alone := found["acc"].keys() ^ found["gyro"].keys():
        raise ValueError(f"{root}/RawData: {_id(min(alone))} lacks its acc or its gyro file")
    return {key: (name, found["gyro"][key]) for key, name in found["acc"].items()}


def _values(root: Root, acc: str, gyro: str) -> np.ndarray:
    parts = [_numbers(root, name, 3, float) for name in (acc, gyro)]
    if len(parts[0]) != len(parts[1]):
        raise ValueError(f"{root / gyro}: {len(parts[1])} rows; {acc} has {len(parts[0])}")
    return np.hstack(parts)


def _labels(root: Root, names: dict[int, str]) -> dict[Key, list[tuple[float, float, str]]]:
    labels = defaultdict(list)
    rows = _numbers(root, "RawData/labels.txt", 5, int)
    for number, (experiment, user, activity, first, last) in enumerate(rows.tolist(), 1):
        if activity not in names or not 1 <= first <= last:
            raise ValueError(
                f"{root}/RawData/labels.txt: row {number}: activity {activity}, samples {first} to "
                f"{last}; wanted an activity of {', '.join(map(str, names))}, and 1 <= first <= last"
            )
        labels[experiment, user].append(((first - 1) / RATE, last / RATE, names[activity]))
    return labels


def _downloaded(folder: Path, url: str, sha256: str | None) -> Path:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{url}: {error}") from None
    came = hashlib.sha256(content).hexdigest()
    if sha256 and came != sha256.lower():
        raise ValueError(f"{url}: has the sha256 {came}; wanted {sha256.lower()}")
    archive = folder / "original.zip"
    with replacing(archive) as file:
        file.write_bytes(content)
    if not sha256:
        same = "the same as" if came == REPORTED_SHA256 else "NOT"
        print(f"{archive}: its sha256, not checked, is {came}")
        print(f"{archive}: its sha256 is {same} the one that others report, {REPORTED_SHA256}")
    return archive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="to write")
    parser.add_argument("--archive", type=Path, help="the zip, or the folder it was unpacked into")
    parser.add_argument("--url", default=URL, help="of the zip, without --archive")
    parser.add_argument("--sha256", help="of the zip at the URL; it is not checked without")
    options = parser.parse_args()
    if options.archive and (options.sha256 or options.url != URL):
        parser.error("--archive is taken as it is: without --url and --sha256")
    try:
        require_new(options.folder)
        archive = options.archive or _downloaded(options.folder, options.url, options.sha256)
        print(convert(archive, options.folder))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
