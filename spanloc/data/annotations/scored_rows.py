"""The rows of a file to evaluate: the valid ones as numbers, the others counted by their mistake."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spanloc.data.annotations.activitynet import LARGEST
from spanloc.data.annotations.beside import without_suffix
from spanloc.data.annotations.pieces import NO_LABEL, Piece, floats
from spanloc.data.annotations.problems import Problems
from spanloc.data.annotations.rows import nearest
from spanloc.files import shown

#: Codes of labels in place of their numbers.
UNKNOWN, SILENT, HIDDEN = -1, -2, -3


class Labels:
    """The labels of both files.

    Attributes:
        numbers: By label, in the order of their appearance.
    """

    def __init__(
        self, label_map: Mapping[Any, Any], ignore: Iterable[Any], background: Iterable[Any]
    ) -> None:
        self.numbers: dict[str, int] = {}
        for name, value in {"ignore": ignore, "background": background}.items():
            if isinstance(value, str):
                raise ValueError(f"{name} is {value!r}; wanted a list of labels")
        for old, new in label_map.items():
            if new in (None, "") or isinstance(new, list | dict):
                raise ValueError(f"label_map: {old!r} becomes {shown(new)}; wanted a name")
        self._new = {str(old): str(new) for old, new in label_map.items()}
        hidden, silent = {*map(str, ignore)}, {*map(str, background)}
        if both := hidden & silent:
            raise ValueError(f"the label {min(both)!r} is both in ignore and in background")
        self._apart = dict.fromkeys(hidden, HIDDEN) | dict.fromkeys(silent, SILENT)
        self._seen: set[str] = set()

    def code(self, label: str, *, add: bool) -> int:
        """The number of a label, or its code."""
        self._seen.add(label)
        name = self._new.get(label, label)
        return self._apart[name] if name in self._apart else _number(self.numbers, add, name)

    def require_known(self) -> None:
        """Raise ValueError for a setting with a label that neither file has."""
        renamed = {self._new.get(name, name) for name in self._seen}
        for setting, wanted, there in (
            ("label_map", self._new, self._seen),
            ("ignore and background", self._apart, renamed),
        ):
            if unknown := sorted({*wanted} - there):
                raise ValueError(
                    f"{setting}: no span has the label {unknown[0]!r}{nearest(unknown[0], sorted(there))}"
                )


@dataclass
class Rows:
    """The valid rows of a file; sequences and labels are numbers, in the order of their appearance.

    Args:
        problems: Get the other rows.
        size: Seconds of a unit of the times.
        sequences, labels: Shared by both files.
        new_sequences, new_labels: Whether names that are not among them are added, or are unknown.
        hidden: Number of the sequence, start and end of each row whose label is ignored.
    """

    problems: Problems
    size: float
    sequences: dict[str, int]
    labels: Labels
    new_sequences: bool = False
    new_labels: bool = False
    parts: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    hidden: list[tuple[Any, ...]] = field(default_factory=list)

    def take(self, pieces: Iterable[Piece], invalid: str) -> None:
        """Take the valid rows, and count the others."""
        for piece in pieces:
            self._add(piece)
        self.problems.settle(invalid, any(len(part[0]) for part in self.parts))

    def _add(self, piece: Piece) -> None:
        import pyarrow as pa

        sequences = _codes(piece.sequence, self._sequence)
        # A row that names a sequence alone says that there is nothing in it; a prediction with a score
        # lacks its span.
        valid = _there(piece.start) | _there(piece.end)
        if not self.new_sequences:
            valid |= (sequences < 0) | (piece.score is not None and _there(piece.score))
        labels = np.full(len(valid), UNKNOWN, np.int32)
        title = pa.repeat(NO_LABEL, len(valid)) if piece.label is None else piece.label
        labels[valid] = _codes(title.filter(valid), partial(self.labels.code, add=self.new_labels))
        ends = self.size * np.stack([floats(piece.start), floats(piece.end)], 1)
        score = np.ones(len(valid)) if piece.score is None else floats(piece.score)

        def span(i: int) -> str:
            return f"[{_written(piece.start, i)}, {_written(piece.end, i)}]"

        def scored(i: int) -> str:
            return _written(piece.score, i)

        for kind, bad, show in (
            ("an unknown sequence", sequences < 0, lambda i: shown(piece.sequence[i].as_py())),
            ("an unknown label", labels == UNKNOWN, lambda i: self._label(title[i].as_py())),
            ("a start or end that is no finite number", ~np.isfinite(ends).all(1), span),
            (f"a start or end beyond {LARGEST:g}", np.abs(ends).max(1) > LARGEST, span),
            ("an end before the start", ends[:, 0] > ends[:, 1], span),
            ("a score that is no finite number", ~np.isfinite(score), scored),
        ):
            bad = bad & valid
            if bad.any():
                i = int(bad.argmax())
                # Only of the first: to find its line takes time.
                new = kind not in self.problems.counts()
                example = f"{show(i)} ({piece.place(i)})" if new else ""
                self.problems.add(kind, int(bad.sum()), example)
                valid &= ~bad
        # A label that is ignored or background is no row, and no mistake.
        hidden = valid & (labels == HIDDEN)
        self.hidden += zip(sequences[hidden], *ends[hidden].T, strict=True)
        valid &= labels >= 0
        columns = (ends, score, labels, sequences)
        self.parts.append(tuple(column[valid] for column in columns))

    def tensors(self) -> tuple[Tensor, ...]:
        """Spans, scores, labels and the places of the sequences."""
        if not self.parts:
            none = torch.zeros(0, dtype=torch.int64)
            return torch.zeros(0, 2, dtype=torch.float64), none.double(), none, none
        columns = (np.concatenate(parts) for parts in zip(*self.parts, strict=True))
        spans, scores, *whole = map(torch.from_numpy, columns)
        return spans, scores, *(numbers.long() for numbers in whole)

    def _sequence(self, name: str) -> int:
        number = _number(self.sequences, self.new_sequences, name)
        return number if number >= 0 else self._by_file.get(without_suffix(name), -1)

    @cached_property
    def _by_file(self) -> dict[str, int]:
        # One file may have the names of the recordings' files, and the other their ids.
        found = {without_suffix(name): number for name, number in self.sequences.items()}
        return found if len(found) == len(self.sequences) else {}

    def _label(self, label: Any) -> str:
        known = [*self.labels.numbers]
        if label == NO_LABEL:
            return f"{label!r}, as without labels; known are {shown(known)[1:-1]}"
        none = "; the annotations have none" if known == [NO_LABEL] else ""
        return f"{shown(label)}{none}"


def _there(column: Any) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)


def _number(known: dict[str, int], new: bool, name: str) -> int:
    return known.setdefault(name, len(known)) if new else known.get(name, -1)


def _codes(names: Any, number_of: Callable[[str], int]) -> np.ndarray:
    """The numbers of names; -1 where there is none."""
    encoded = names.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    codes = np.array([*map(number_of, texts), -1], np.int32)
    return codes[encoded.indices.fill_null(len(texts)).to_numpy()]


def _written(column: Any, row: int) -> str:
    # As it stands in the file, where that does no harm to a terminal.
    value = column[row].as_py()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    short = isinstance(value, str) and value.isprintable() and len(value) <= 60
    return "nothing" if value is None else value if short else shown(value)
