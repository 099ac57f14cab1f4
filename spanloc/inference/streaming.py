"""Spans of a recording while it is being made."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from spanloc.data.inputs import as_input, require_floats
from spanloc.data.sequences import require_finite
from spanloc.data.signals import LogSpectrogram, Signal
from spanloc.data.signals.mixed import same_rate
from spanloc.decode import Decode, Scored, reach_of
from spanloc.decode.windows import answering, evaluating
from spanloc.facts import InputFacts
from spanloc.structures import Predictions, Timeline
from spanloc.training.predicting import batch_of, require_finite_output
from spanloc.training.task import SpanLocalizer

# What these decide of a span may depend on spans at any distance.
_NOT_LOCAL = ("voting", "exclusive", "fill_gaps", "max_per_sequence")
# Of the longest training span: what is longer was never seen.
_LONGER = 1.5


class Stream:
    """Takes a recording in chunks and gives each span as soon as nothing that follows can change it.

    All spans together are those of :meth:`~spanloc.SpanLocalizer.predict` on the whole recording, from
    ``min_score`` on and up to ``longest``, also those that overlap, as long as the model finds none that is
    longer: the same ends to 1e-3 of a step, the same scores to 1e-4. For that a span has to wait until the model has seen all that it
    looks at, and until no span that may still come can overlap it, or one that overlaps it. Memory does not
    grow with the recording.

    Args:
        task: A trained model, such as :func:`spanloc.load` gives, of many spans per sequence from a head with
            points. Its decoding has none of the options ``voting``, ``exclusive``, ``fill_gaps`` and
            ``max_per_sequence``.
        rate: Steps per second of the chunks; None: the rate of training. Nothing is resampled: another rate
            is an error.
        min_score: Spans that score lower are left out. The default is meant for calibrated scores, as those of
            ``spanloc-train`` are.
        longest: Of spans, in seconds; longer ones are left out. None: one and a half of the longest in
            training.
        every: The model runs once in so many seconds: less often costs less, and spans come later. None: a
            quarter of what it looks ahead.

    Attributes:
        delay: The most seconds from the end of a span until it is given: what the model looks ahead,
            ``longest`` and ``every``. Where candidates of its label overlap it, these seconds count from the
            end of the last one: with a weak model, whose candidates overlap everywhere, that can be the end
            of the recording.
        seconds: Of what has come so far.

    Raises:
        ValueError: The model, its decoding or the rate is not as described above.

    >>> stream = Stream(spanloc.load(path))  # doctest: +SKIP
    >>> for chunk in source:  # doctest: +SKIP
    ...     print(stream.push(chunk).to_pandas())
    >>> print(stream.finish().to_pandas())  # doctest: +SKIP
    """

    def __init__(
        self,
        task: SpanLocalizer,
        rate: float | None = None,
        *,
        min_score: float = 0.2,
        longest: float | None = None,
        every: float | None = None,
    ) -> None:
        self.task, self.min_score = task, min_score
        facts = task.input or InputFacts(task.localizer.num_channels)
        if rate is not None and facts.rate is not None and not same_rate(rate, facts.rate):
            raise ValueError(f"rate is {rate:g}; the model was trained on {facts.rate:g}")
        self._facts = facts
        self._growing = _Growing(facts.num_channels, facts.rate or rate)
        signal = self._signal()
        self._step = 1 / (signal.rate or 1.0)
        with evaluating(task):
            reach = reach_of(task, signal.num_channels, 4096, task.device)
        if reach.full or not reach.steps:
            head = type(getattr(task.localizer, "head", task.localizer)).__name__
            raise ValueError(
                "a stream takes a model of many spans per sequence from a head with points, such as "
                f"PointsHead; this model has {head}"
            )
        _require_local(task.decode)
        grid = reach.stride
        self._margin = -(-reach.steps // grid) * grid
        hop = self._margin / 4 if every is None else every / self._step
        self._hop = max(1, round(hop / grid)) * grid
        if longest is None:
            if task.facts is None:
                raise ValueError("the model does not know the length of its spans: set longest")
            longest = _LONGER * task.facts.longest * self._step
        self._longest = longest / self._step
        bias = task.decode.bias
        # Ends move by so much before spans are compared.
        self._shift = 0.0 if bias is None else float(np.abs(bias).max())
        self._first = 0  # Step of the next window.
        self._seen = 0  # All points before this step have answered.
        self._open = Scored(
            torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0), torch.zeros(0).long()
        )
        self._finished = False
        self.delay = (self._margin + self._hop + self._ahead(signal) + self._longest) * self._step

    @property
    def seconds(self) -> float:
        """Of what has come so far."""
        return self._growing.num_steps / (self._growing.rate or 1.0)

    def push(self, values: Any) -> Predictions:
        """Take the next steps ``(n, channels)``, any number of them; gives the spans that are final now.

        Spans count in seconds from the start of the recording, best first, and come once only.

        Raises:
            ValueError: The channels are not as many as in training, a value is not finite, the model takes
                features of sound and the values are integers, or the stream was finished.
        """
        self._require_open()
        array = np.asarray(values)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != self._growing.num_channels:
            raise ValueError(
                f"the chunk has shape {array.shape}; wanted (steps, {self._growing.num_channels})"
            )
        require_floats("the chunk", array, self._facts)
        with np.errstate(over="ignore"):  # that is found next
            array = array.astype(np.float32)
        require_finite(self._growing.path, array, self._growing.num_steps)
        self._growing.append(array)
        signal = self._signal()
        # The last steps change with what follows.
        steps = int(self._growing.num_steps * self._ratio(signal)) - self._ahead(signal)
        size = 2 * self._margin + self._hop
        # A window is known not to be the last one when a step beyond it is there.
        while steps > self._first + size:
            last = self._first + size
            self._run(signal, self._first, last, last - self._margin)
            self._first += self._hop
            kept = self._first - self._ahead(signal) - 1
            self._growing.forget(int(kept / self._ratio(signal)))
        return self._final(self._seen - self._longest - self._shift)

    def finish(self) -> Predictions:
        """The spans that are left when the recording has ended.

        Raises:
            ValueError: The stream was finished before.
        """
        self._require_open()
        self._finished = True
        signal = self._signal()
        if self._growing.num_steps:
            self._run(signal, self._first, signal.num_steps, np.inf)
        return self._final(np.inf, signal.num_steps)

    def _require_open(self) -> None:
        if self._finished:
            raise ValueError("the stream was finished: a further recording takes a new one")

    def _signal(self) -> Signal:
        return as_input(self._growing, self._facts, self._growing.rate)[0]

    def _ratio(self, signal: Signal) -> float:
        # Steps of the features for each of the recording.
        return (signal.rate or 1.0) / (self._growing.rate or 1.0)

    @staticmethod
    def _ahead(signal: Signal) -> int:
        return signal.ahead if isinstance(signal, LogSpectrogram) else 0

    def _run(self, signal: Signal, first: int, last: int, own_last: float) -> None:
        task, own_first = self.task, first + self._margin if first else 0
        part = batch_of(signal, first, last, Timeline(self._step), "stream").to(task.device)
        with evaluating(task):
            output = task(part.features, part.mask)
            require_finite_output(output, part)
            output = answering(output, first, own_first, own_last)
            spans, scores, labels = (x.cpu() for x in task.decode.candidates(output, 0))
        # Only what scores as high can lower the score of a span that is given.
        calibrate = task.decode.calibration
        high = (scores if calibrate is None else calibrate(scores, labels)) >= self.min_score
        new = Scored(spans[high].double() + first, scores[high], labels[high])
        self._open = Scored(*(torch.cat(pair) for pair in zip(self._open, new, strict=True)))
        self._seen = last if np.isinf(own_last) else int(own_last)

    def _final(self, before: float, steps: int | None = None) -> Predictions:
        """The spans that end before a step, as all do that overlap them; they are open no longer."""
        done = _apart(self._open, self._shift, before)
        order = self._open.scores[done].argsort(descending=True, stable=True)
        ready = Scored(*(x[done][order] for x in self._open))
        self._open = Scored(*(x[~done] for x in self._open))
        limit = steps if steps is not None else self._seen
        # As many as there are: a cap would be that of a window.
        times = 1 + len(ready.scores)
        spans, scores, labels = self.task.decode.select(
            *ready, limit, times=times, seconds_per_step=self._step
        )
        kept = (scores >= self.min_score) & (spans[:, 1] - spans[:, 0] <= self._longest)
        places = torch.zeros(int(kept.sum()), dtype=torch.int64)
        found = Predictions(
            spans[kept], labels[kept], places, ("stream",), "steps", scores=scores[kept],
            classes=tuple(self.task.classes),
        )  # fmt: skip
        return found.in_seconds((Timeline(self._step, self._facts.offset),))


class _Growing:
    """A signal in memory whose end is open and whose beginning is forgotten."""

    channels: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None

    def __init__(self, num_channels: int, rate: float | None) -> None:
        self.path, self.num_channels, self.rate = Path("stream"), num_channels, rate
        self.num_steps, self._begin = 0, 0
        self._values = np.zeros((0, num_channels), np.float32)

    def append(self, values: np.ndarray) -> None:
        self._values = np.concatenate([self._values, values])
        self.num_steps += len(values)

    def forget(self, first: int) -> None:
        if first > self._begin:
            self._values = self._values[first - self._begin :]
            self._begin = first

    def read(self, first: int, last: int) -> np.ndarray:
        return self._values[max(first - self._begin, 0) : last - self._begin]


def _apart(found: Scored, shift: float, before: float) -> torch.Tensor:
    """A mask of the spans that belong to a group that ends before a step.

    A group is of one label, and of spans that overlap when each end moves outwards by ``shift``.
    """
    spans, labels = found.spans.numpy() + np.array([-shift, shift]), found.labels.numpy()
    done = np.zeros(len(spans), bool)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[spans[own, 0].argsort(kind="stable")]
        latest = np.maximum.accumulate(spans[own, 1])
        # A group ends where the next span starts after all ends so far.
        groups = np.append(np.flatnonzero(spans[own[1:], 0] >= latest[:-1]) + 1, len(own))
        done[own[: groups[latest[groups - 1] <= before].max(initial=0)]] = True
    return torch.from_numpy(done)


def _require_local(decode: Any) -> None:
    if not isinstance(decode, Decode):
        raise ValueError(f"task.decode is {type(decode).__name__}; a stream takes spanloc.Decode")
    found = [name for name in _NOT_LOCAL if getattr(decode, name)]
    if found or decode.max_predictions == 1:
        raise ValueError(
            f"decode.{[*found, 'max_predictions=1'][0]} is set: it decides over a whole recording, and a "
            "stream cannot wait"
        )
