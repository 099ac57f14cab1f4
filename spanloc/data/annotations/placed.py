"""Annotations laid over their signal: rows of a file as spans in steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.rows import (
    MISSING,
    Annotated,
    BadSpan,
    Content,
    Ends,
    Policy,
    Row,
    Unit,
    listed,
    nearest,
)
from spanloc.files import shown
from spanloc.structures import Timeline

_SIZES = {"seconds": 1.0, "milliseconds": 1e-3}


def in_seconds(
    start: float, end: float, step: float, *, unit: Unit, ends: Ends, first_index: int
) -> tuple[float, float]:
    """A span of a file as a half-open span in seconds.

    Args:
        start, end: As the file has them.
        step: Seconds per step.
        unit: Of start and end.
        ends: ``inclusive`` where the end names the last step that is inside, or its time.
        first_index: Number of the first step, where the unit is steps.

    >>> in_seconds(1, 5, 0.02, unit="steps", ends="inclusive", first_index=1)
    (0.0, 0.1)
    """
    if unit == "steps":
        after = 1 if ends == "inclusive" else 0
        return (start - first_index) * step, (end - first_index + after) * step
    size = _SIZES[unit]
    return start * size, end * size + (step if ends == "inclusive" else 0.0)


@dataclass(frozen=True)
class Names:
    """What labels stand for.

    Args:
        classes: Names of the classes; a label's number is its place.
        label_map: Labels that have another name.
        unknown: Labels of spans whose class is not known.
        ignored: Labels of stretches that count neither as a span nor as background.
    """

    classes: Sequence[str]
    label_map: Mapping[str, str]
    unknown: Sequence[str] = ()
    ignored: Sequence[str] = ()


def names_of(
    content: Content,
    *,
    classes: Sequence[str] | None,
    label_map: Mapping[str, str] | None,
    unknown: Sequence[str],
    ignore: Sequence[str],
) -> Names:
    """The classes of a folder, in the order of its list or else sorted.

    Raises:
        ValueError: A label of the options is not in the files.
    """
    listed_ones = [] if content.classes is None else content.classes
    labels = (row.label for entry in content.sequences for row in entry.rows)
    used = {label for label in labels if isinstance(label, str) and label}
    sources = [*listed_ones, *sorted(used.difference(listed_ones))]
    renamed = {str(old): new for old, new in (label_map or {}).items()}
    for old, new in renamed.items():
        if old not in sources:
            raise ValueError(f"{content.file}: label_map: no label {old!r}{nearest(old, sources)}")
        if not isinstance(new, str) or not new:
            raise ValueError(f"label_map: {old!r} becomes {shown(new)}; wanted a name")
    # In a config, a label may be a number.
    unknown, ignore = [*map(str, unknown)], [*map(str, ignore)]
    names = list(dict.fromkeys(renamed.get(name, name) for name in sources))
    for option, chosen in (("unknown", unknown), ("ignore", ignore)):
        for name in chosen:
            if name not in names:
                raise ValueError(
                    f"{content.file}: {option}: no label {name!r}{nearest(name, names)}"
                )
    if both := set(unknown) & set(ignore):
        raise ValueError(f"the label {min(both)!r} is both in unknown and in ignore")
    apart = {*unknown, *ignore}
    if classes is not None:
        found = list(classes)
        if len({*found}) != len(found) or not all(isinstance(n, str) and n for n in found):
            raise ValueError(f"classes is {shown(found)}; wanted a list of different names")
        if both := apart & {*found}:
            raise ValueError(f"the label {min(both)!r} is in classes, and in unknown or ignore")
    elif content.classes is not None:
        kept = (renamed.get(name, name) for name in content.classes)
        found = [name for name in dict.fromkeys(kept) if name not in apart]
    else:
        found = sorted({*names} - apart)
    return Names(found, renamed, tuple(unknown), tuple(ignore))


class Grid(NamedTuple):
    """The steps of a sequence in time.

    Args:
        timeline: When they happen.
        rate: Steps per second.
        num_steps: How many there are.
        frame: Seconds per step of the annotations, which is one frame where features have a stride.
        duration: End of the sequence in seconds, for errors as it is written.
    """

    timeline: Timeline
    rate: float
    num_steps: int
    frame: float
    duration: float


class Placed(NamedTuple):
    """Spans in steps, their labels and places in the file.

    Args:
        ignored: Stretches that count neither as a span nor as background.
        unseen: Those of them that nobody looked at.
    """

    spans: Tensor
    labels: Tensor
    rows: list[str]
    ignored: Tensor
    unseen: Tensor


class Placer:
    """Lays annotations over the steps of their sequence, and judges those that do not fit.

    Args:
        names: What labels stand for.
        word: How the file calls a span, for errors.
        unit, ends, first_index: As in :func:`in_seconds`.
        bad_spans: ``error`` raises at the first span that is bad; ``clip`` cuts off what lies outside
            the sequence, and drops the span where that leaves nothing or it has another mistake;
            ``drop`` drops it. A duplicate is kept, unless ``bad_spans`` is ``drop``.
        found: Gets all that are bad, in the order of the files.
    """

    def __init__(
        self,
        names: Names,
        word: str,
        *,
        unit: Unit,
        ends: Ends,
        first_index: int,
        bad_spans: Policy,
        found: list[BadSpan],
    ) -> None:
        self.names, self.word, self.unit = names, word, unit
        self.ends, self.first_index = ends, first_index
        self.bad_spans, self.found = bad_spans, found
        self._numbers = {name: i for i, name in enumerate(names.classes)}
        self._numbers |= dict.fromkeys(names.unknown, -1)

    def place(self, entry: Annotated, grid: Grid) -> Placed:
        """The annotations of a sequence in steps.

        Raises:
            ValueError: One of them is bad, and ``bad_spans`` is ``error``.
        """
        spans: list[tuple[float, float]] = []
        labels: list[int] = []
        rows: list[str] = []
        unseen = self._unseen(entry, grid)
        ignored = list(unseen)
        seen = set()
        for i, row in enumerate(entry.rows):
            span, problem = self._span(row, grid)
            name = row.label
            if isinstance(name, str):
                name = self.names.label_map.get(name, name)
            # What is no text, such as a list, may not be hashable.
            known = isinstance(name, str) and (name in self._numbers or name in self.names.ignored)
            if problem is None and not known:
                came = "missing" if row.label is MISSING else shown(row.label)
                wanted = f"one of classes: {listed(list(self.names.classes))}"
                span, problem = None, ("label", f"label is {came}; wanted {wanted}")
            if problem is not None:
                self._report(entry, i, *problem)
            if span is None or (problem is not None and self.bad_spans == "drop"):
                continue
            if name in self.names.ignored:
                ignored.append(span)
                continue
            if (*span, name) in seen:
                self._report(entry, i, "duplicate", f"[{row.start}, {row.end}] is there twice")
                if self.bad_spans == "drop":
                    continue
            seen.add((*span, name))
            spans.append(span)
            labels.append(self._numbers[name])
            rows.append(row.where)
        return Placed(
            _tensor(spans),
            torch.tensor(labels, dtype=torch.int64),
            rows,
            _tensor(_merged(ignored)),
            _tensor(unseen),
        )

    def _in_steps(self, start: float, end: float, grid: Grid) -> tuple[float, float, float, float]:
        first, last = in_seconds(
            start, end, grid.frame, unit=self.unit, ends=self.ends, first_index=self.first_index
        )
        offset = grid.timeline.offset
        begin, stop = (
            float(min(max((time - offset) * grid.rate, 0), grid.num_steps))
            for time in (first, last)
        )
        return first, last, begin, stop

    def _span(
        self, row: Row, grid: Grid
    ) -> tuple[tuple[float, float] | None, tuple[str, str] | None]:
        first, last, start, end = self._in_steps(row.start, row.end, grid)
        came = f"{self.word} is [{row.start}, {row.end}]"
        came += "" if self.unit == "seconds" else f" ({self.unit})"
        wanted = f"{came}; wanted 0 <= start < end <= duration ({grid.duration})"
        # An end may stick out by less than a step: durations are rounded more often than not.
        step = 1 / grid.rate
        begin, stop = (grid.timeline.offset + n * step for n in (0, grid.num_steps))
        begin, stop = min(begin, 0.0), max(stop, grid.duration)
        if not first < last:
            kind = "reversed" if last < first else "empty"
            return None, (kind, wanted)
        if not start < end:
            side = "before the start" if end <= 0 else "past the end"
            return None, (side, wanted)
        if not np.float32(start) < np.float32(end):
            return None, ("empty", f"{came}, which has no length in steps of float32")
        if not begin - step < first:
            return (start, end), ("before the start", wanted)
        if not last < stop + step:
            return (start, end), ("past the end", wanted)
        return (start, end), None

    def _report(self, entry: Annotated, i: int, kind: str, text: str) -> None:
        row = entry.rows[i]
        text = f"{row.where}: {text}"
        self.found.append(BadSpan(str(entry.file), entry.id, i, kind, text, row.where))
        if self.bad_spans == "error" and kind != "duplicate":
            raise ValueError(f"{entry.where}: {text}")

    def _unseen(self, entry: Annotated, grid: Grid) -> list[tuple[float, float]]:
        if entry.annotated is None:
            return []
        looked_at = (self._in_steps(*stretch, grid)[2:] for stretch in entry.annotated)
        place, unseen = 0.0, []
        for start, end in _merged([s for s in looked_at if s[0] < s[1]]):
            unseen.append((place, start))
            place = end
        unseen.append((place, float(grid.num_steps)))
        return [stretch for stretch in unseen if stretch[0] < stretch[1]]


def _tensor(stretches: Sequence[tuple[float, float]]) -> Tensor:
    return torch.tensor(stretches, dtype=torch.float32).reshape(-1, 2)


def _merged(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
