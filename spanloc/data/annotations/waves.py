"""Annotations of WFDB records, in their own bytes: waves between an onset and an end."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spanloc.data.annotations.rows import Annotated, Reading, Row
from spanloc.data.signals.reading import shown_path
from spanloc.files import read_bytes, shown

# By code; a blank has no meaning.
_SYMBOLS = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
_NOTE, _SKIP, _AUX = 22, 59, 63
_MOST_BYTES = 2**28


class _Mark(NamedTuple):
    sample: int
    code: int
    note: str


def wfdb(file: Path, name: str, reading: Reading) -> Iterator[Annotated]:
    """Waves between ``(`` and ``)``; the symbol between them is the label.

    A symbol that lacks one of the two is a moment. ``)`` is where the wave ends.

    References:
        The MIT format of annotation files, WFDB Programmer's Guide, annot(5).
    """
    marks = _marks(file)
    symbols = dict(enumerate(_SYMBOLS)) | _defined(marks)
    fps = _rate(file, marks)
    rows: list[Row] = []
    start: int | None = None
    # Whether the symbol before may be that of a wave.
    inside = False
    for sample, code, _ in marks:
        symbol = symbols.get(code, f"code {code}").strip()
        if not symbol or code == _NOTE:
            continue
        if symbol not in ("(", ")"):
            rows.append(Row(sample / fps, math.nan, symbol, f"sample {sample}"))
        elif symbol == ")" and start is not None and inside:
            rows[-1] = rows[-1]._replace(start=start / fps, end=sample / fps)
        inside = symbol not in ("(", ")")
        if not inside:
            start = sample if symbol == "(" else None
    yield Annotated(name, rows, file, fps=fps)


def _marks(file: Path) -> list[_Mark]:
    content, where = read_bytes(file, most=_MOST_BYTES), shown_path(file)
    place, sample = 0, 0
    marks: list[_Mark] = []

    def word() -> int:
        nonlocal place
        place += 2
        if place > len(content):
            raise ValueError(f"{where}: not a WFDB annotation file, or not all of it")
        return int.from_bytes(content[place - 2 : place], "little")

    while (two := word()) != 0:
        code, number = two >> 10, two & 1023
        if code == _SKIP:
            # The upper half comes first.
            skipped = word() << 16 | word()
            sample += skipped - 2**32 * (skipped >= 2**31)
        elif code == _AUX:
            text = content[place : place + number].rstrip(b"\0").decode("utf-8", "replace")
            place += number + number % 2
            if marks:
                marks[-1] = marks[-1]._replace(note=text)
        elif code < _SKIP:
            sample += number
            marks.append(_Mark(sample, code, ""))
    return marks


def _defined(marks: list[_Mark]) -> dict[int, str]:
    notes = [mark.note for mark in marks if mark.code == _NOTE and mark.sample == 0]
    found = (re.match(r"(\d{1,2}) (\S+)", note) for note in notes)
    return {int(match[1]): match[2] for match in found if match}


def _rate(file: Path, marks: list[_Mark]) -> float:
    where, header = shown_path(file), file.with_suffix(".hea")
    texts = [mark.note.removeprefix("## time resolution:") for mark in marks if "##" in mark.note]
    if header.is_file():
        lines = read_bytes(header, most=2**24).decode("utf-8", "replace").splitlines()
        fields = next((line.split() for line in lines if line.strip() and line[0] != "#"), [])
        # A record that does not say it has 250 samples per second.
        texts.append(re.split(r"[/(]", fields[2])[0] if len(fields) > 2 else "250")
    for text in texts:
        try:
            rate = float(text)
        except ValueError:
            continue
        if not 1e-12 <= rate <= 1e12:
            raise ValueError(f"{where}: the sampling frequency is {shown(rate)}; wanted above 0")
        return rate
    raise ValueError(f"{where}: does not say its sampling frequency, nor does {header.name}")
