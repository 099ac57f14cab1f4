"""Annotations laid over their signal: rows of a file as spans in steps."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.meaning import Grid, Meaning, around, in_seconds, transposed
from spanloc.data.annotations.rows import (
    MISSING,
    MOMENTS,
    Annotated,
    BadSpan,
    Content,
    Row,
    is_moment,
    listed,
    nearest,
)
from spanloc.data.annotations.units import Units, size_of
from spanloc.data.signals.clock import DATES
from spanloc.files import shown

log = logging.getLogger(__name__)
_OUTSIDE = "data.bad_spans=clip cuts off what is outside"
_REMEDIES = {
    "empty": MOMENTS,
    "past the end": _OUTSIDE,
    "before the start": _OUTSIDE,
    "no label": "fill it in, or leave the span out: data.bad_spans=drop",
}


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
        content: Of the files.
        meaning: Of their rows. With ``moment_seconds``, moments become spans of that length around them.
            ``bad_spans="error"`` raises at the first span that is bad; ``clip`` cuts off what lies
            outside the sequence, and drops the span where that leaves nothing or it has another mistake,
            and a moment outside; ``drop`` drops it. A duplicate is kept, unless it is ``drop``.

    Attributes:
        classes: In the order of their list or else sorted; a label's number is its place.
        found: Gets all spans that are bad, in the order of the files.
        units: Compares the spans with the recordings in other units.

    Raises:
        ValueError: A label of the options is not in the files, and the classes are not set.
    """

    def __init__(self, content: Content, meaning: Meaning) -> None:
        self.word, self.meaning = content.word, meaning
        # Of the last recording with a span past its end: its id, and the unit that may be meant.
        self._hint = ("", "")
        self.units = Units(meaning.unit, fixed=content.unit_known)
        self.found: list[BadSpan] = [] if meaning.found is None else meaning.found
        self.label_map = {str(old): new for old, new in (meaning.label_map or {}).items()}
        # In a config, a label may be a number.
        unknown, self.ignored = [*map(str, meaning.unknown)], [*map(str, meaning.ignore)]
        names = self._names(content)
        for option, chosen in (("unknown", unknown), ("ignore", self.ignored)):
            for name in chosen:
                self._require(content.file, option, name, names)
        if both := set(unknown) & set(self.ignored):
            raise ValueError(f"the label {min(both)!r} is both in unknown and in ignore")
        apart = {*unknown, *self.ignored}
        self.background = {*map(str, meaning.background or ())}
        for name in self.background:
            self._require(content.file, "background", name, names)
        if both := self.background & apart:
            raise ValueError(f"the label {min(both)!r} is in background, and in unknown or ignore")
        apart |= self.background
        if meaning.classes is not None:
            self.classes = list(meaning.classes)
            known = all(isinstance(name, str) and name for name in self.classes)
            if not known or len({*self.classes}) != len(self.classes):
                raise ValueError(
                    f"classes is {shown(self.classes)}; wanted a list of different names"
                )
            if both := apart & {*self.classes}:
                raise ValueError(
                    f"the label {min(both)!r} is in classes, and in unknown, ignore or background"
                )
        elif content.classes is not None:
            kept = dict.fromkeys(self.label_map.get(name, name) for name in content.classes)
            self.classes = [name for name in kept if name not in apart]
        else:
            self.classes = sorted({*names} - apart)
        self._numbers = {name: i for i, name in enumerate(self.classes)}
        self._numbers |= dict.fromkeys(unknown, -1)

    def _names(self, content: Content) -> list[str]:
        # All labels by their new names, those that the file lists first.
        listed_ones = content.classes or []
        labels = (row.label for entry in content.sequences for row in entry.rows)
        used = {label for label in labels if isinstance(label, str) and label}
        sources = [*listed_ones, *sorted(used.difference(listed_ones))]
        for old, new in self.label_map.items():
            if not isinstance(new, str) or not new:
                raise ValueError(f"label_map: {old!r} becomes {shown(new)}; wanted a name")
            self._require(content.file, "label_map", old, sources)
        return list(dict.fromkeys(self.label_map.get(name, name) for name in sources))

    def _require(self, file: Path, option: str, name: str, names: Sequence[str]) -> None:
        # With classes, as of a trained model, it need not be there. Were it misspelt, the label that is meant
        # would be none of the classes, which is an error.
        if name not in names and self.meaning.classes is None:
            raise ValueError(f"{file}: {option}: no label {name!r}{nearest(name, names)}")

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
        self.units.add(entry.rows, grid)
        for i, row in enumerate(entry.rows):
            span, problem = self._span(row, grid)
            name = row.label
            if isinstance(name, str):
                name = self.label_map.get(name, name)
            if isinstance(name, str) and name in self.background:
                continue
            # What is no text, such as a list, may not be hashable.
            known = isinstance(name, str) and (name in self._numbers or name in self.ignored)
            if problem is None and isinstance(name, str) and not name.strip() and not known:
                span, problem = None, ("no label", "the label is empty")
            elif problem is None and not known:
                came = "missing" if row.label is MISSING else shown(row.label)
                wanted = f"one of classes: {listed(self.classes)}"
                span, problem = None, ("label", f"label is {came}; wanted {wanted}")
            if problem is not None:
                self._report(entry, i, grid, *problem)
            if span is None or (problem is not None and self.meaning.bad_spans == "drop"):
                continue
            if name in self.ignored:
                ignored.append(span)
                continue
            if (*span, name) in seen:
                text = f"[{row.start}, {row.end}] is given twice"
                self._report(entry, i, grid, "duplicate", text)
                if self.meaning.bad_spans == "drop":
                    continue
            seen.add((*span, name))
            spans.append(span)
            labels.append(self._numbers[name])
            rows.append(row.where)
        return Placed(
            as_stretches(spans),
            torch.tensor(labels, dtype=torch.int64),
            rows,
            as_stretches(merged(ignored)),
            as_stretches(unseen),
        )

    def _in_steps(self, start: float, end: float, grid: Grid) -> tuple[float, float, float, float]:
        first, last = in_seconds(start, end, grid.frame, self.meaning)
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
        came += "" if self.meaning.unit == "seconds" else f" ({self.meaning.unit})"
        wanted = f"{came}; wanted {self._range(grid)}"
        # An end may stick out by less than a step: durations are rounded more often than not.
        step = 1 / grid.rate
        begin, stop = (grid.timeline.offset + n * step for n in (0, grid.num_steps))
        begin, stop = min(begin, 0.0), max(stop, grid.duration)
        moment = self.meaning.moment_seconds if is_moment(row) else None
        if moment is not None:
            last = first
            place = (first - grid.timeline.offset) * grid.rate
            start, end = around(place, moment * grid.rate, grid.num_steps)
            wanted = f"{came}, a moment; wanted {self._range(grid, 'start')}"
        elif not first < last:
            kind = "reversed" if last < first else "empty"
            return None, (kind, wanted)
        if not start < end:
            side = "before the start" if end <= 0 else "past the end"
            return None, (side, wanted)
        if not np.float32(start) < np.float32(end):
            return None, ("empty", f"{came}, which has no length in steps of float32")
        if not begin - step < first:
            return None if moment else (start, end), ("before the start", wanted)
        if not last < stop + step:
            return None if moment else (start, end), ("past the end", wanted)
        return (start, end), None

    def _range(self, grid: Grid, order: str = "start < end") -> str:
        first, inclusive = self.meaning.first_index, self.meaning.ends == "inclusive"
        last = grid.duration / size_of(self.meaning.unit, grid)
        if self.meaning.unit != "steps":
            return f"0 <= {order} <= duration ({round(last, 3) if last >= 0.01 else last})"
        order = order.replace("<", "<=") if inclusive else order
        return f"{first} <= {order} <= {round(last) + first - inclusive}"

    def _report(self, entry: Annotated, i: int, grid: Grid, kind: str, text: str) -> None:
        row = entry.rows[i]
        text = f"{row.where}: {text}"
        unit = ""
        if kind == "past the end":
            if self._hint[0] != entry.id:
                self._hint = entry.id, self.units.past_end(entry.rows, grid)
            unit = self._hint[1]
            if not grid.begins and row.start * size_of(self.meaning.unit, grid) > DATES[0]:
                text = f"{text}; a date needs a recording with clock times"
            if not unit and (question := transposed(grid.num_steps, grid.num_channels)):
                text = f"{text}; {question}"
        self.found.append(BadSpan(str(entry.file), entry.id, i, kind, text, row.where, unit))
        if self.meaning.bad_spans == "error" and kind != "duplicate":
            remedy = unit or _REMEDIES.get(kind, "")
            raise ValueError("; ".join(filter(None, (f"{entry.where}: {text}", remedy))))

    def _unseen(self, entry: Annotated, grid: Grid) -> list[tuple[float, float]]:
        if entry.annotated is None:
            return []
        looked_at = (self._in_steps(*stretch, grid)[2:] for stretch in entry.annotated)
        place, unseen = 0.0, []
        for start, end in merged([s for s in looked_at if s[0] < s[1]]):
            unseen.append((place, start))
            place = end
        unseen.append((place, float(grid.num_steps)))
        return [stretch for stretch in unseen if stretch[0] < stretch[1]]


def as_stretches(stretches: Sequence[Sequence[float]]) -> Tensor:
    """Starts and ends as a tensor ``(number, 2)``."""
    return torch.tensor(stretches, dtype=torch.float32).reshape(-1, 2)


def merged(stretches: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Stretches in order, those that touch as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(map(tuple, stretches)):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
