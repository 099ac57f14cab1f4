"""Units and ends of the numbers of annotations, and the steps they are laid over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from spanloc.data.annotations.rows import (
    LEAST,
    MOST,
    BadSpan,
    Ends,
    LookedAt,
    Policy,
    Unit,
    is_number,
)
from spanloc.files import counted
from spanloc.structures import Timeline

#: Seconds of a unit, without steps.
SIZES = {"seconds": 1.0, "milliseconds": 1e-3}


@dataclass(frozen=True)
class Meaning:
    """Settings for the meaning of rows; the arguments of that name of :func:`read_annotations`."""

    fps: float | None = None
    unit: Unit = "seconds"
    ends: Ends = "half-open"
    first_index: int = 0
    feature_stride: float | None = None
    feature_window: float | None = None
    classes: Sequence[str] | None = None
    label_map: Mapping[str, str] | None = None
    unknown: Sequence[str] = ()
    ignore: Sequence[str] = ()
    background: Sequence[str] | None = None
    moment_seconds: float | None = None
    annotated: LookedAt = "all"
    bad_spans: Policy = "error"
    found: list[BadSpan] | None = None

    def __post_init__(self) -> None:
        kinds = {"unit": Unit, "ends": Ends, "first_index": Literal[0, 1], "bad_spans": Policy}
        kinds["annotated"] = LookedAt
        for name, kind in kinds.items():
            if (value := getattr(self, name)) not in get_args(kind):
                wanted = ", ".join(map(str, get_args(kind)))
                raise ValueError(f"data.{name} is {value!r}; wanted one of {wanted}")
        for name in ("fps", "feature_stride", "feature_window", "moment_seconds"):
            value = getattr(self, name)
            if value is not None and not is_number(value, LEAST, MOST):
                raise ValueError(f"data.{name} is {value!r}; wanted a number above 0")
        for name in ("classes", "unknown", "ignore", "background"):
            if isinstance(value := getattr(self, name), str | int | float):
                raise ValueError(
                    f"data.{name} is {value!r}; wanted a list of labels: 'data.{name}=[{value}]'"
                )
        if self.first_index and self.unit != "steps":
            raise ValueError(f"data.first_index is {self.first_index}; that is for unit=steps")
        if self.feature_window is not None and self.feature_stride is None:
            raise ValueError("data.feature_window is set, and no feature_stride")


def in_seconds(start: float, end: float, step: float, meaning: Meaning) -> tuple[float, float]:
    """A span of a file as a half-open span in seconds; ``step`` is the seconds per step.

    >>> in_seconds(1, 5, 0.02, Meaning(unit="steps", ends="inclusive", first_index=1))
    (0.0, 0.1)
    """
    inclusive = meaning.ends == "inclusive"
    if meaning.unit == "steps":
        first = meaning.first_index
        return (start - first) * step, (end - first + inclusive) * step
    size = SIZES[meaning.unit]
    return start * size, end * size + (step if inclusive else 0.0)


def around(moment: float, length: float, last: float) -> tuple[float, float]:
    """A span of a length around a moment; near a border of ``[0, last]`` it is moved inside.

    >>> around(5, 2, last=9), around(0.5, 2, last=9), around(9, 2, last=9), around(1, 7, last=4)
    ((4.0, 6.0), (0.0, 2.0), (7.0, 9.0), (0.0, 4.0))
    """
    start = max(min(moment - length / 2, last - length), 0.0)
    return float(start), float(min(start + length, last))


def transposed(num_steps: int, num_channels: int) -> str:
    """The question at the end of an error, where a signal has more channels than steps; else empty."""
    if num_channels <= num_steps:
        return ""
    return f"; {num_channels:,} channels of {counted(num_steps, 'step')}: is the array transposed?"


def of_video(stride: float) -> str:
    """The question where recordings would fit as features of videos."""
    return f"features of a video? data.feature_stride={stride}"


class Grid(NamedTuple):
    """The steps of a sequence in time.

    Args:
        timeline: When they happen.
        rate: Steps per second.
        num_steps: How many there are.
        frame: Seconds per step of the annotations, which is one frame where features have a stride.
        duration: End of the sequence in seconds, for errors as it is written.
        num_channels: Of the signal, for errors too.
        begins: Time of the first step in the signal's own column of times, in seconds; 0 without one.
    """

    timeline: Timeline
    rate: float
    num_steps: int
    frame: float
    duration: float
    num_channels: int = 1
    begins: float = 0.0

    @property
    def stop(self) -> float:
        """End of the last step in seconds."""
        return self.timeline.offset + self.num_steps / self.rate
