"""Synthetic sequences: noise with bursts, some of them spans."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spanloc.structures import Sample

_MAX_TRIES = 200


class SyntheticSequences(Dataset[Sample]):
    """Bursts of oscillation in noise: classes differ in their frequency, and so do distractors.

    A span of class ``k`` is a burst with the class's own frequency, mixed into the channels by the
    class's own weights. A distractor is a burst of the same power and lengths and with the weights
    of some class, at a frequency of no class: it differs from a span in its oscillation only, not
    in its strength. Sequence ``i`` depends on ``seed`` and ``i`` alone.

    Args:
        num_sequences: Their number.
        length: Steps per sequence, or the least and the most of them (uniform).
        num_channels, num_classes: Channels of the features; classes of the spans.
        num_spans: Spans per sequence, or the least and the most. One that finds no room in 200
            tries is left out.
        span_length: Least and most length of spans and distractors, in steps (log-uniform).
        num_distractors: Distractors per sequence, or the least and the most.
        overlap: How much of the shorter of two bursts the other may cover, a fraction: 0 keeps all
            bursts apart.
        noise: Standard deviation of the noise in each channel; bursts have an average power of 1,
            summed over the channels.
        end_noise: Standard deviation of an error in each start and end that is given, as a fraction
            of the span's length; the features do not change.
        seed: One seed, one data set; several integers are one seed too.

    Raises:
        ValueError: A knob is out of range, or the longest span is longer than the shortest sequence.
    """

    def __init__(
        self,
        num_sequences: int,
        *,
        length: int | Sequence[int] = 256,
        num_channels: int = 4,
        num_classes: int = 3,
        num_spans: int | Sequence[int] = 1,
        span_length: Sequence[int] = (24, 96),
        num_distractors: int | Sequence[int] = 2,
        overlap: float = 0.0,
        noise: float = 0.3,
        end_noise: float = 0.0,
        seed: int | Sequence[int] = 0,
    ) -> None:
        self.num_sequences = num_sequences
        self.length = _bounds("length", length, 1)
        self.num_spans = _bounds("num_spans", num_spans, 0)
        self.span_length = _bounds("span_length", span_length, 1)
        self.num_distractors = _bounds("num_distractors", num_distractors, 0)
        self.num_channels, self.num_classes = num_channels, num_classes
        self.overlap, self.noise, self.end_noise = overlap, noise, end_noise
        self.seed = [seed] if isinstance(seed, int) else list(seed)
        for name, value, least in (
            ("num_sequences", num_sequences, 1),
            ("num_channels", num_channels, 1),
            ("num_classes", num_classes, 1),
            ("noise", noise, 0),
            ("end_noise", end_noise, 0),
        ):
            if not value >= least:
                raise ValueError(f"synthetic data: {name} is {value}; it must be at least {least}")
        if not 0 <= overlap <= 1:
            raise ValueError(f"synthetic data: overlap is {overlap}; it must lie in [0, 1]")
        if self.span_length[1] > self.length[0]:
            raise ValueError(
                f"synthetic data: spans may be {self.span_length[1]} steps long (span_length), "
                f"sequences only {self.length[0]} (length)"
            )
        # The classes are the same for every seed: a model trained on one set works on another.
        rng = np.random.default_rng(0)
        weights = rng.normal(size=(num_classes, num_channels))
        self._weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        # Cycles per step: classes on even places of a ladder, distractors between them.
        ladder = np.geomspace(0.04, 0.3, 2 * num_classes)
        self._frequencies, self._distractors = ladder[::2], ladder[1::2]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, by label."""
        return [f"burst_{k}" for k in range(self.num_classes)]

    def __len__(self) -> int:
        return self.num_sequences

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.num_sequences:
            raise IndexError(f"index {index} of {self.num_sequences} sequences")
        rng = np.random.default_rng([*self.seed, index])
        length = int(rng.integers(*self.length, endpoint=True))
        num_spans = int(rng.integers(*self.num_spans, endpoint=True))
        num_bursts = num_spans + int(rng.integers(*self.num_distractors, endpoint=True))
        features = rng.normal(scale=self.noise, size=(self.num_channels, length))
        placed: list[tuple[int, int]] = []
        spans, labels = [], []
        for burst in range(num_bursts):
            place = self._place(rng, length, placed)
            label = int(rng.integers(self.num_classes))
            if place is None:
                continue
            placed.append(place)
            true = burst < num_spans
            frequency = self._frequencies[label] if true else rng.choice(self._distractors)
            phase, gain = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.2)
            wave = np.sqrt(2) * gain * np.sin(2 * np.pi * frequency * np.arange(*place) + phase)
            features[:, slice(*place)] += self._weights[label][:, None] * wave
            if true:
                spans.append(place)
                labels.append(label)
        return Sample(
            id=f"synthetic-{'-'.join(map(str, self.seed))}-{index}",
            features=torch.from_numpy(features.astype(np.float32)),
            spans=self._annotate(spans, length, index),
            labels=torch.tensor(labels, dtype=torch.int64),
        )

    def _annotate(self, spans: list[tuple[int, int]], length: int, index: int) -> Tensor:
        exact = np.array(spans, np.float32).reshape(-1, 2)
        # Numbers of their own: the features are those of the sequence without these errors.
        errors = np.random.default_rng([*self.seed, index, 1]).normal(size=exact.shape)
        noisy = exact + self.end_noise * np.diff(exact) * errors
        return torch.from_numpy(np.sort(noisy.clip(0, length)).astype(np.float32))

    def _place(
        self, rng: np.random.Generator, length: int, placed: list[tuple[int, int]]
    ) -> tuple[int, int] | None:
        least, most = self.span_length
        for _ in range(_MAX_TRIES):
            size = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
            start = int(rng.integers(0, length - size, endpoint=True))
            end = start + size
            if all(
                min(end, e) - max(start, s) <= self.overlap * min(size, e - s) for s, e in placed
            ):
                return start, end
        return None


def _bounds(name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    ends = [value, value] if isinstance(value, int) else list(value)
    whole = len(ends) == 2 and all(isinstance(end, int) for end in ends)
    if not (whole and least <= ends[0] <= ends[1]):
        raise ValueError(
            f"synthetic data: {name} is {value}; wanted {least} <= least <= most, or one number"
        )
    return ends[0], ends[1]
