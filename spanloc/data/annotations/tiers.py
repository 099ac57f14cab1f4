"""Annotations in tiers: Praat's TextGrid and ELAN's EAF."""

import re
from collections.abc import Iterator
from pathlib import Path

from spanloc.data.annotations.rows import MOMENTS, Annotated, Reading, Row, number, read_row
from spanloc.data.annotations.texts import read_text
from spanloc.data.signals.reading import library, listed, shown_path
from spanloc.data.signals.reading import reading as library_reading
from spanloc.files import read_bytes

#: In place of the name of a tier.
ALL = "*"
# What Praat reads of its text files, long or short: texts in quotes, numbers, flags; the rest is comment.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?[\d.]+(?:[eE][-+]?\d+)?)(?=\s|$)|<(\w+)>')


def textgrid(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """The intervals of one tier that have a text, or of all with ``*``; points where moments are spans."""
    where, text = shown_path(file), read_text(file)
    if "ooTextFile" not in text[:200] or "TextGrid" not in text[:200]:
        raise ValueError(f"{where}: not a TextGrid of Praat in text form")
    # The first two texts say what the file is.
    tokens = iter([m.groups() for m in _TOKEN.finditer(text)][2:])

    def take(kind: int, what: str) -> str:
        # A text may be empty, and what is not there is None.
        found = next(tokens, (None, None, None))[kind]
        if found is None:
            raise ValueError(f"{where}: not a whole TextGrid: wanted {what}")
        return found

    for what in ("the start of the file", "its end"):
        take(1, what)
    tiers: list[tuple[str, list[Row]]] = []
    points: list[str] = []
    size = int(number(take(1, "the number of tiers"), where, "size")) if take(2, "tiers") else 0
    for _ in range(size):
        kind = take(0, "the class of a tier")
        title = take(0, "the name of a tier").replace('""', '"')
        for what in ("the start of a tier", "its end"):
            take(1, what)
        count = int(number(take(1, "the number of intervals"), where, "size"))
        rows = []
        for i in range(1, count + 1):
            place = f"tier {title!r}, interval {i}"
            start = end = take(1, f"a time of {place}")
            if kind == "IntervalTier":
                end = take(1, f"the end of {place}")
            label = take(0, f"the text of {place}").replace('""', '"').strip()
            if label:
                with reading.row(where, place, name):
                    rows.append(read_row(start, end, label, where, place))
        if kind == "IntervalTier" or reading.moment_seconds is not None:
            tiers.append((title, rows))
        else:
            points.append(title)
    if reading.tier == ALL and tiers:
        yield Annotated(name, [row for _, rows in tiers for row in rows], file)
        return
    titles = [title for title, _ in tiers]
    wanted = points[0] if points and not titles else reading.tier
    if wanted in points and wanted not in titles:
        raise ValueError(f"{where}: the tier {wanted!r} has points only; {MOMENTS}")
    title = _chosen(where, titles, reading.tier)
    yield Annotated(name, next(rows for own, rows in tiers if own == title), file)


def elan(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """The annotations of one tier; those that refer to others have their times."""
    where = shown_path(file)
    pympi = library(file, "pympi.Elan", "annotations")
    read_bytes(file)
    with library_reading(file, "a file of ELAN"):
        content = pympi.Eaf(str(file), suppress_version_warning=True)
        titles = list(content.get_tier_names())
        used = [title for title in titles if any(content.tiers[title][:2])]
    title = _chosen(where, titles if reading.tier else used, reading.tier)
    with library_reading(file, "a file of ELAN"):
        found = content.get_annotation_data_for_tier(title)
    rows = []
    for i, (start, end, label, *_) in enumerate(found, 1):
        place = f"tier {title!r}, annotation {i}"
        with reading.row(where, place, name):
            if start is None or end is None:
                raise ValueError(f"{where}: {place}: has no time; wanted start and end")
            if (label or "").strip():
                rows.append(Row(start / 1000, end / 1000, label.strip(), place))
    yield Annotated(name, rows, file)


def _chosen(where: str, titles: list[str], tier: str | None) -> str:
    if not titles:
        raise ValueError(f"{where}: there is no tier with intervals")
    names = list(dict.fromkeys(titles))
    if tier is None and len(names) > 1:
        raise ValueError(f"{where}: set data.tier to one of {listed(names)}")
    tier = names[0] if tier is None else tier
    if tier not in titles:
        raise ValueError(
            f"{where}: there is no tier {tier!r}; set data.tier to one of {listed(names)}"
        )
    if titles.count(tier) > 1:
        raise ValueError(f"{where}: {titles.count(tier)} tiers are called {tier!r}; wanted one")
    return tier
