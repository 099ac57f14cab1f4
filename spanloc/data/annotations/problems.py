"""Invalid rows and spans of files: their number, and the first example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spanloc.data.annotations.rows import BadSpan
from spanloc.files import counted, shown

# So few spans may be wrong without a wrong setting.
_FEW_LOST = 10


def bad_span_notes(found: Sequence[BadSpan], policy: str) -> list[str]:
    """Notes of the spans that were not used as they are, and of those that are there twice.

    Args:
        found: All of them.
        policy: What became of them: ``bad_spans`` of :func:`~spanloc.data.read_annotations`.
    """
    bad = [span for span in found if span.kind != "duplicate"]
    twice = [span for span in found if span.kind == "duplicate"]
    done = {"drop": "dropped", "clip": "clipped or dropped"}.get(policy, "kept")
    kept = "dropped" if policy == "drop" else "kept"
    return [
        f"{counted(len(own), noun)} {what}; the first: {own[0].file}: sequence "
        f"{shown(own[0].sequence)}: {'; '.join(filter(None, (own[0].text, own[0].unit)))}"
        for own, noun, what in ((bad, "bad span", done), (twice, "span", f"given twice: {kept}"))
        if own
    ]


def mostly_lost(found: Sequence[BadSpan], num_spans: int) -> str:
    """A message where more than half of all spans, and not just a few, do not lie in their recording; or empty."""
    lost = [span for span in found if span.lost]
    if len(lost) < _FEW_LOST or 2 * len(lost) <= num_spans:
        return ""
    return (
        f"{len(lost):,} of {num_spans:,} spans are reversed or outside of their recording: probably "
        "the unit, the rate, the columns or a clock is wrong, not the spans"
    )


def require_few_lost(found: Sequence[BadSpan], num_spans: int, file: Path) -> None:
    """Refuse to leave out most of the spans."""
    if text := mostly_lost(found, num_spans):
        first = next(span for span in found if span.lost)
        case = f"{first.file}: sequence {shown(first.sequence)}: {first.text}"
        raise ValueError(
            "; ".join(filter(None, (f"{file}: {text}; the first: {case}", first.unit)))
        )


@dataclass
class Problems:
    """Counts the invalid rows (``what``) of a file by kind, with the place of the first of each."""

    file: str
    what: str
    _found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind: str, count: int, example: str) -> None:
        """``count`` more of a kind; the example is kept where it is the first."""
        before, first = self._found.get(kind, (0, example))
        self._found[kind] = (before + count, first)

    def counts(self) -> Mapping[str, int]:
        """Number of rows by kind."""
        return {kind: count for kind, (count, _) in self._found.items()}

    def lines(self) -> list[str]:
        """A line for each kind: how many, and the first."""
        return [
            f"{count:,} {self.what if count > 1 else self.what[:-1]} with {kind}, first {example}"
            for kind, (count, example) in self._found.items()
        ]

    def settle(self, policy: str, valid: bool) -> None:
        """Refuse the file, unless invalid rows are to be skipped and there are valid ones."""
        if self._found and not (valid and policy == "skip"):
            end = "invalid=skip leaves such rows out" if valid else "There are no other rows"
            raise ValueError(f"{self.file}: {'; '.join(self.lines())}. {end}")
