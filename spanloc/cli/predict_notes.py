"""Lines on what was done to the recordings of ``spanloc-predict``."""

from collections.abc import Sequence

from spanloc.data.inputs import Note
from spanloc.files import counted, shown
from spanloc.training.task import SpanLocalizer

_MOST_NAMES, _MOST_VALUES = 5, 4


def note_on_rate(task: SpanLocalizer, rate: float | None) -> str:
    """A warning if a rate may be that of the frames of a video, not of its features; or empty."""
    strided = ((task.config or {}).get("data") or {}).get("feature_stride")
    if not (strided and rate and task.rate and rate >= 2 * task.rate):
        return ""
    return (
        f"rate={rate:g}, but the features of training have {task.rate:g} vectors per second. rate is that of the "
        "vectors: frames per second / feature_stride. For features as in training, leave it out"
    )


class Notes:
    """Notes on some of ``total`` recordings, those alike in one line."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._alike: dict[str, list[tuple[str, Note]]] = {}

    def add(self, name: str, notes: Sequence[Note]) -> None:
        """Add the notes on one recording."""
        for note in notes:
            self._alike.setdefault(note.of_many or note.text, []).append((name, note))

    def lines(self) -> list[str]:
        """A line for each kind of note: of one recording with its name, of several with their number.

        >>> notes = Notes(3)
        >>> for name, rate in (("a", "24.9"), ("b", "25.1")):
        ...     notes.add(name, [Note(f"resampled from {rate} to 25 Hz", "resampled from {} to 25 Hz", rate)])
        >>> notes.lines()
        ["2 of 3 recordings ('a', 'b'): resampled from 24.9 and 25.1 to 25 Hz"]
        """
        return [self._line(what, those) for what, those in self._alike.items()]

    def _line(self, what: str, those: Sequence[tuple[str, Note]]) -> str:
        if len(those) == 1:
            name, note = those[0]
            return f"{name}: {note.text}"
        of = f"{len(those)} of {counted(self.total, 'recording')}"
        if len(those) < self.total:
            more = f" and {len(those) - _MOST_NAMES} more" if len(those) > _MOST_NAMES else ""
            of += f" ({', '.join(shown(name) for name, _ in those[:_MOST_NAMES])}{more})"
        values = sorted({note.value for _, note in those if note.value}, key=float)
        if values:
            few = len(values) < _MOST_VALUES
            what = what.replace("{}", " and ".join(values) if few else f"{len(values)} rates")
        return f"{of}: {what}"
