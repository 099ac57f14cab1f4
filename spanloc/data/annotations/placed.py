"""Annotations laid over their signal: rows of a file as spans in steps."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

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
    misspellings,
    misspelt,
    nearest,
)
from spanloc.data.annotations.units import hours_off, past_end, size_of
from spanloc.data.quotes import renaming
from spanloc.data.signals.clock import DATES
from spanloc.data.signals.reading import listed
from spanloc.files import counted, shown

log = logging.getLogger(__name__)
_OUTSIDE = "data.bad_spans=clip cuts off what is outside"
_REMEDIES = {
    "empty": MOMENTS,
    "past the end": _OUTSIDE,
    "before the start": _OUTSIDE,
    "no label": "fill it in, or leave the span out: data.bad_spans=drop",
}


class Source(NamedTuple):
    """The places of the spans of a record in its file.

    Args:
        file: Of the annotations.
        rows: The place of each span in it, in words.
        unseen: Stretches in steps, ``(R, 2)``, that nobody looked at.
    """

    file: str
    rows: Sequence[str]
    unseen: Tensor


class Placer:
    """Lays annotations over the steps of their sequence, and judges those that do not fit.

    Attributes:
        classes: In the order of their list or else sorted; a label's number is its place.
        found: Gets all spans that are bad, in the order of the files.
        num_spans: The number of spans so far, with the bad ones.
        counted: Whether clock times are counted from the first step.
        stride: The question about features of videos, where the spans would fit as those; or empty.
        columns: How many recordings have a number of channels.
    """

    def __init__(self, content: Content, meaning: Meaning) -> None:
        self.word, self.unit_known, self.meaning = content.word, content.unit_known, meaning
        # Of the last recording with a span past its end: its id, and the unit that may be meant.
        self._hint, self.stride = ("", ""), ""
        self.num_spans, self.counted, self.columns = 0, False, Counter[int]()
        self.found: list[BadSpan] = [] if meaning.found is None else meaning.found
        self.label_map = {str(old): new for old, new in (meaning.label_map or {}).items()}
        names = self._names(content)
        # In a config, a label may be a number.
        chosen = {
            option: [*map(str, getattr(meaning, option) or ())]
            for option in ("unknown", "ignore", "background")
        }
        for option, labels in chosen.items():
            for name in labels:
                self._require(content.file, option, name, names)
        apart = {*chain(*chosen.values())}
        if meaning.classes is not None:
            self.classes = list(meaning.classes)
            known = all(isinstance(name, str) and name for name in self.classes)
            if not known or len({*self.classes}) != len(self.classes):
                raise ValueError(
                    f"classes is {shown(self.classes)}; wanted a list of different names"
                )
            chosen["classes"] = self.classes
        elif content.classes is not None:
            kept = dict.fromkeys(self.label_map.get(name, name) for name in content.classes)
            self.classes = [name for name in kept if name not in apart]
        else:
            self.classes = sorted({*names} - apart)
        for one, other in combinations(chosen, 2):
            if both := {*chosen[one]} & {*chosen[other]}:
                raise ValueError(f"the label {min(both)!r} is both in {one} and in {other}")
        self.ignored, self.background = chosen["ignore"], chosen["background"]
        self._numbers = {name: i for i, name in enumerate(self.classes)}
        self._numbers |= dict.fromkeys(chosen["unknown"], -1)
        if meaning.classes is None:
            self._warn_of_misspelt(content.file)

    def _names(self, content: Content) -> list[str]:
        # All labels by their new names, those that the file lists first.
        listed_ones = content.classes or []
        labels = (row.label for entry in content.sequences for row in entry.rows)
        used = Counter(label for label in labels if isinstance(label, str) and label)
        sources = [*listed_ones, *sorted(used.keys() - {*listed_ones})]
        for old, new in self.label_map.items():
            if not isinstance(new, str) or not new:
                raise ValueError(f"label_map: {old!r} becomes {shown(new)}; wanted a name")
            self._require(content.file, "label_map", old, sources)
        self._counts = Counter[str]()
        for name, count in used.items():
            self._counts[self.label_map.get(name, name)] += count
        return list(dict.fromkeys(self.label_map.get(name, name) for name in sources))

    def _warn_of_misspelt(self, file: Path) -> None:
        counts = self._counts
        if found := misspellings({name: counts[name] for name in self.classes if counts[name]}):
            times = {name: f"{name!r} ({counted(count, 'time')})" for name, count in counts.items()}
            named = [[times[name] for name in pair] for pair in found.items()]
            text = ", ".join(map(" is nearly ".join, named))
            advice = f"If it is a misspelling, set {renaming(found)}."
            log.warning("%s: %s. %s", file, text, advice, extra={"advice": advice})

    def _require(self, file: Path, option: str, name: str, names: Sequence[str]) -> None:
        # With classes, as of a trained model, it need not be there. Were it misspelt, the label that is meant
        # would be none of the classes, which is an error.
        if name not in names and self.meaning.classes is None:
            raise ValueError(
                f"{file}: {option}: no span has the label {name!r}{nearest(name, names)}"
            )

    def place(self, entry: Annotated, grid: Grid) -> tuple[Tensor, Tensor, Tensor, Source]:
        """The spans of a sequence in steps, their labels, ignored stretches, and where it is written.

        Where ``bad_spans`` is ``error``, a bad one raises.
        """
        spans: list[tuple[float, float]] = []
        labels: list[int] = []
        rows: list[str] = []
        ignored, seen, placed = [], set(), []
        for i, row in enumerate(entry.rows):
            span, problem = self._span(row, grid)
            placed += [] if span is None else [span]
            # What is no text, such as a list, may not be hashable.
            name: Any = row.label if isinstance(row.label, str) else None
            name = self.label_map.get(name, name)
            if name in self.background:
                continue
            self.num_spans += 1
            if problem is None and name not in self._numbers and name not in self.ignored:
                span, problem = None, ("no label", "the label is empty")
                if name is None or name.strip():
                    came = "missing" if row.label is MISSING else shown(row.label)
                    wanted = f"one of classes: {listed(self.classes)}"
                    problem = "label", f"label is {came}; wanted {wanted}"
            if problem is not None:
                self._report(entry, i, grid, *problem, lost=span is None)
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
        unseen = self._unseen(entry, grid, placed)
        source = Source(str(entry.file), rows, as_stretches(unseen))
        ignored = merged([*unseen, *ignored])
        return as_stretches(spans), torch.tensor(labels).long(), as_stretches(ignored), source

    def _in_steps(self, start: float, end: float, grid: Grid) -> tuple[float, float, float, float]:
        first, last = in_seconds(start, end, grid.frame, self.meaning)
        offset = grid.timeline.offset
        steps = ((time - offset) * grid.rate for time in (first, last))
        begin, stop = (float(min(max(step, 0), grid.num_steps)) for step in steps)
        return first, last, begin, stop

    def _span(
        self, row: Row, grid: Grid
    ) -> tuple[tuple[float, float] | None, tuple[str, str] | None]:
        first, last, start, end = self._in_steps(row.start, row.end, grid)
        came = f"{self.word} is [{row.start}, {row.end}]"
        came += "" if self.meaning.unit == "seconds" else f" ({self.meaning.unit})"
        wanted = f"{came}; wanted {self._range(grid)}"
        # An end may stick out by less than a step, or in seconds by one: durations are rounded more often than not.
        step = (1.0 if self.meaning.unit == "steps" else 1.01) / grid.rate
        begin, stop = min(grid.timeline.offset, 0.0), max(grid.stop, grid.duration)
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
            if end > 0 and max(first, grid.stop) < grid.duration:
                wanted = f"{came}; the features end at {round(grid.stop, 3)} s"
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

    def _report(
        self, entry: Annotated, i: int, grid: Grid, kind: str, text: str, *, lost: bool = False
    ) -> None:
        row = entry.rows[i]
        outside = kind in ("past the end", "before the start")
        late, unit = "", ""
        if outside and lost:
            late, unit = hours_off(row, grid, self.meaning.unit, self.counted)
        text = f"{row.where}: {late or text}"
        if kind == "past the end" and not late:
            if self._hint[0] != entry.id and not self.unit_known:
                self._hint = entry.id, past_end(entry.rows, grid, self.meaning.unit)
            unit = self.stride or self._hint[1]
            if not grid.begins and row.start * size_of(self.meaning.unit, grid) > DATES[0]:
                text = f"{text}; a date needs a recording with clock times"
            if not unit and self.columns[grid.num_channels] < 2:
                text += transposed(grid.num_steps, grid.num_channels)
        lost = lost and (outside or kind == "reversed")
        self.found.append(BadSpan(str(entry.file), entry.id, i, kind, text, row.where, unit, lost))
        if self.meaning.bad_spans == "error" and kind != "duplicate":
            remedy = unit or _REMEDIES.get(kind, "")
            if kind == "label" and (near := misspelt(str(row.label), self.classes)):
                remedy = f"did you mean {near!r}?"
            raise ValueError("; ".join(filter(None, (f"{entry.where}: {text}", remedy))))

    def _unseen(
        self, entry: Annotated, grid: Grid, spans: list[tuple[float, float]]
    ) -> list[tuple[float, float]]:
        looked_at = [self._in_steps(*stretch, grid)[2:] for stretch in entry.annotated or ()]
        if entry.annotated is None:
            if self.meaning.annotated == "all" or not spans:
                return []
            looked_at = [(min(start for start, _ in spans), max(end for _, end in spans))]
        return between([s for s in looked_at if s[0] < s[1]], 0.0, float(grid.num_steps))


def as_stretches(stretches: Sequence[Sequence[float]]) -> Tensor:
    """Starts and ends as a tensor ``(number, 2)``."""
    return torch.tensor(stretches, dtype=torch.float32).reshape(-1, 2)


def between(
    stretches: Iterable[tuple[float, float]], place: float, last: float
) -> list[tuple[float, float]]:
    """What lies between stretches, from ``place`` to ``last``."""
    found = []
    for start, end in [*sorted(stretches), (last, last)]:
        if place < min(start, last):
            found.append((place, min(start, last)))
        place = max(place, end)
    return found


def merged(stretches: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Stretches in order, those that touch as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(map(tuple, stretches)):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found
