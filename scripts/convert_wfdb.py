"""Converts WFDB records whose waves are marked to a folder in the annotation format.

    python scripts/convert_wfdb.py SOURCE FOLDER --extension ii --labels p=P,N=QRS,t=T --test-share 0.2

A wave is a symbol between ``(`` and ``)``, as in the annotations of LUDB (one file a lead: ``i``, ``ii``,
``v1``) and of the QT database (``q1c``, ``pu0``). SOURCE holds the records, at its top or in ``data``.
Needs ``pip install 'spanloc[wfdb]'`` (in a clone: ``'.[wfdb]'``).

Where the marks begin late and end early, as in these two, the waves outside are unmarked, not absent:
``--between-marks`` leaves them out of training and evaluation.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from writing import Recording, write_folder

from spanloc.data import BadSpan, Record, read_annotations
from spanloc.data.annotations.rows import Policy
from spanloc.data.signals import Channels, Signal


def convert(
    source: Path,
    folder: Path,
    *,
    extension: str = "atr",
    labels: Mapping[str, str] | None = None,
    channels: Sequence[str | int] | None = None,
    subject: str | None = None,
    test_share: float | None = None,
    seed: int = 0,
    between_marks: bool = False,
    bad_spans: Policy = "error",
) -> str:
    """Write the folder, and give one line on it.

    Args:
        source: The folder of the records.
        folder: To write; another one.
        extension: Of the files of annotations.
        labels: Symbols that are kept and the labels they become, several the same too. None: all
            symbols, as they are.
        channels: Names or numbers from 0. None: all.
        subject: A regular expression whose first group, or else whose match, in the name of a record
            says whom it is of. None: what ``subsets.csv`` says, or every record is a subject of its own.
        test_share: Of the subjects, drawn at random. None: the subsets that the source says.
        seed: Of the draw.
        between_marks: Only the time between the first start and the last end was looked at.
        bad_spans: As in ``read_annotations``: what happens to a wave that lacks an end of its own.

    Raises:
        ValueError: The source or an option is off.
        OSError: A file is missing, or cannot be read.
    """
    if test_share is not None and not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}; wanted a number between 0 and 1")
    if source.resolve() == folder.resolve():
        raise ValueError(f"{folder}: is the source; wanted another folder to write")
    bad: list[BadSpan] = []
    content = read_annotations(
        source, format="wfdb", extension=extension, bad_spans=bad_spans, found=bad
    )
    if bad:
        kinds = ", ".join(
            f"{number} {kind}" for kind, number in Counter(b.kind for b in bad).items()
        )
        print(f"{source}: {len(bad)} bad spans ({kinds}); the first: {bad[0].text}")
    named = {name: name for name in content.classes} if labels is None else dict(labels)
    if absent := named.keys() - set(content.classes):
        raise ValueError(
            f"{source}: labels: no symbol {min(absent)!r} in *.{extension}; there are "
            f"{', '.join(content.classes)}"
        )
    if left := [name for name in content.classes if name not in named]:
        print(f"{source}: spans of {', '.join(left)} are left out")
    records = [record for part in content.subsets.values() for record in part]
    subjects = {record.id: _subject(record, subject) for record in records}
    testing = _drawn(sorted({*subjects.values()}), test_share, seed)

    names = _channel_names(records, channels)

    def recordings() -> Iterator[Recording]:
        for record in records:
            rate = record.signal.rate or 1 / record.timeline.seconds_per_step
            # The marks are at samples, but an annotation file may have another rate than its signal.
            spans = [(start / rate, end / rate) for start, end in record.spans.tolist()]
            kept = [content.classes[label] for label in record.labels.tolist()]
            owner = subjects[record.id]
            yield Recording(
                record.id,
                _chosen(record, channels).read(0, record.num_steps),
                rate,
                record.subset if test_share is None else _subset(owner, testing),
                owner,
                [(*s, named[name]) for s, name in zip(spans, kept, strict=True) if name in named],
                _hull(spans) if between_marks else None,
            )

    classes = list(dict.fromkeys(named.values()))
    return write_folder(folder, recordings(), classes=classes, channels=names)


def _subject(record: Record, pattern: str | None) -> str:
    if pattern is None:
        return record.subject or record.id
    match = re.search(pattern, record.id)
    name = match and match[1 if match.re.groups else 0]
    if not name:
        raise ValueError(f"subject: {pattern!r} finds nothing in {record.id!r}")
    return name


def _drawn(subjects: Sequence[str], share: float | None, seed: int) -> set[str]:
    if share is None:
        return set()
    if len(subjects) < 2:
        raise ValueError(f"test_share: there is one subject, {subjects[0]!r}; wanted several")
    count = min(max(1, round(share * len(subjects))), len(subjects) - 1)
    return {*np.random.default_rng(seed).permutation(subjects)[:count].tolist()}


def _subset(subject: str, testing: Collection[str]) -> str:
    return "testing" if subject in testing else "training"


def _chosen(record: Record, channels: Sequence[str | int] | None) -> Signal:
    return record.signal if channels is None else Channels(record.signal, channels)


def _channel_names(
    records: Sequence[Record], channels: Sequence[str | int] | None
) -> tuple[str, ...] | None:
    found = dict.fromkeys(_chosen(record, channels).channels for record in records)
    if len(found) > 1:
        several = " and ".join(map(str, list(found)[:2]))
        print(f"the channels differ in their names: {several}; the same place is the same channel")
        return None
    return next(iter(found))


def _hull(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(min(s for s, _ in spans), max(e for _, e in spans))] if spans else []


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    found = {symbol: label for symbol, _, label in pairs}
    if len(found) < len(pairs) or not all(symbol and label for symbol, label in found.items()):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted symbols and labels, as in p=P,N=QRS")
    return found


def _channels(text: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("source", type=Path, help="the folder of the records")
    add("folder", type=Path, help="to write")
    add("--extension", default="atr", help="of the files of annotations")
    add("--labels", type=_pairs, help="symbols to keep and their labels, as in p=P,N=QRS; else all")
    add("--channels", type=_channels, help="names, or numbers from 0, as in i,ii; else all")
    add(
        "--subject",
        help="regular expression for the part of a record's name that names its subject",
    )
    add("--test-share", type=float, help="share of the subjects that is for testing")
    add("--seed", type=int, default=0, help="of their draw")
    add("--between-marks", action="store_true", help="what lies before and after was not looked at")
    add("--bad-spans", choices=("error", "drop"), default="error", help="waves that lack an end")
    options = vars(parser.parse_args())
    try:
        print(convert(options.pop("source"), options.pop("folder"), **options))
    except (ValueError, OSError, re.error) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
