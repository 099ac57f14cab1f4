"""The recipe: settings that a config leaves open, chosen for the data."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from spanloc.config.training_facts import TrainingFacts, num_processes
from spanloc.data.extremes import EXTREMES
from spanloc.decode.decode import times_of
from spanloc.files import counted, shown, time_text
from spanloc.models.backbones.conv import LARGEST_STEP
from spanloc.models.sizing import levels_for, stride_for

#: Training steps, as a multiple of the default.
BUDGETS: dict[str, float] = {"quick": 0.36, "default": 1.0, "best": 6.0}
# Cells of the finest level: of a training step, of a crop if nothing else decides, of a crop at most.
_STEP_CELLS, _CROP_CELLS, _MOST_CELLS = 8192, 800, 16384
# Spans that a crop for queries holds on average, at most; queries for each span that a crop may hold, and at least.
_CROP_SPANS, _QUERIES_EACH, _LEAST_QUERIES = 10, 3, 20
# Steps of a training step: the first layer sees them all, however coarse the grid is.
_STEP_STEPS = 2**21
# Cells of a short span, where a tIoU up to the first is wanted, and where a higher one is.
_LOW_TIOU, _FEW_CELLS, _MANY_CELLS = 0.7, 10, 12
# And of a typical span of each label, however rare the label is among longer ones.
_LABEL_CELLS = 5
# But a grid is at most so many times finer for it: time and memory of an evaluation grow as much.
_FINER = 10
# What is predicted for 2048 points is at least the first, and so many times the spans that are there.
_PREDICTIONS, _PREDICTIONS_EACH, _CANDIDATES_EACH = 200, 3, 10
_LEAST_STEPS, _MOST_STEPS = 500, 2000
_WARMUP = 60  # steps
_MOST_BATCH, _MOST_VALIDATIONS = 32, 12
# Of the time of training, that validation may take.
_VALIDATION = 0.1
# Above this share of the variance, a running mean over so many times the longest span is taken away. Where spans
# fill more than this share of the time the mean may be what their labels differ in, so more of it must be elsewhere.
_OFFSETS, _LARGE_OFFSETS, _COVERAGE, _BASELINE = 0.3, 0.8, 0.5, 4
# From so many channels on, such as those of embeddings, noise is relative to a channel's standard deviation.
_MANY_CHANNELS, _JITTER = 128, 1.0
# Above this ratio of the standard deviation to the changes, these become channels; noise is at most so large relative
# to them, and usually that of configs/transforms/jitter.yaml.
_SMALL_CHANGES, _NOISE, _USUAL_NOISE = 2.5, 0.5, 0.05
# Largest rotation of sensors with three axes.
_DEGREES = 15.0
# Standard deviations up to which values stay as they are where a channel has extremes.
_LIMIT = 10


class Choice(NamedTuple):
    """One setting: its place in the config, its value, and the reason; empty for the usual value."""

    place: str
    value: Any
    reason: str


def choose(config: Mapping[str, Any], facts: TrainingFacts) -> list[Choice]:
    """The settings that a plain config of ``spanloc-train`` leaves open (null); what it sets is taken into account."""
    require_budget(config["budget"])
    return _Recipe(config, facts).choices


def require_budget(budget: Any) -> None:
    """Raise a ``ValueError`` where ``budget`` is none of :data:`BUDGETS`."""
    if budget not in BUDGETS:
        raise ValueError(f"budget is {budget!r}; wanted one of {', '.join(BUDGETS)}")


class _Recipe:
    """Chooses one setting after the other; a later one may depend on those before."""

    def __init__(self, config: Mapping[str, Any], facts: TrainingFacts) -> None:
        self.config, self.facts = config, facts
        self.processes = num_processes(config.get("trainer") or {})
        self.max_steps = int(self._get("trainer.max_steps", -1))  # -1: no limit
        # Batches of a training step.
        self.parts = max(int(self._get("trainer.accumulate_grad_batches", 1)), 1)
        self.choices: list[Choice] = []
        stride = self._stride()
        crops = "crops_per_epoch" in config["data"]
        cells = self._crop(stride) if crops else sum(facts.steps) / len(facts.steps) / stride
        self._queries(cells * stride)
        batch = self._batch(cells, stride)
        steps = self._steps()
        if crops:
            steps = self._epochs(steps, batch, cells, stride)
        else:
            steps = self._passes(len(facts.steps), steps, batch)
        self._schedule(steps)
        self._workers()
        self._recordings()

    def _get(self, place: str, default: Any = None) -> Any:
        node: Any = self.config
        for part in place.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return default if node is None else node

    def _choose(self, place: str, value: Any, reason: str) -> Any:
        group, _, last = place.rpartition(".")
        node = self._get(group)
        if isinstance(node, Mapping) and last in node and node[last] is None:
            self.choices.append(Choice(place, value, reason))
            return value
        return self._get(place, value)

    def _length(self, steps: float) -> str:
        step = self.facts.seconds_per_step
        return f"{steps:.0f} steps" if step == 1 else time_text(steps * step)

    def _cells(self) -> int:
        """The cells that a short span is to have, for the tIoU that counts."""
        metrics = self._get("metric.metrics", {}).values()
        thresholds = [t for metric in metrics for t in metric.get("thresholds") or ()]
        return _FEW_CELLS if thresholds and max(thresholds) <= _LOW_TIOU else _MANY_CELLS

    def _stride(self) -> int:
        facts, cells = self.facts, self._cells()
        stride = stride_for(facts.shortest, cells)
        short = f"a short span ({self._length(facts.shortest)}; 95 % are longer)"
        reason = f"{short} covers {facts.shortest / stride:.0f} cells"
        finest = stride_for(stride / _FINER, cells=1)
        if facts.short_label and stride_for(facts.short_median, _LABEL_CELLS) < stride:
            stride = max(stride_for(facts.short_median, _LABEL_CELLS), finest)
            label = f"{shown(facts.short_label)} ({self._length(facts.short_median)})"
            reason = f"a typical {label} covers {facts.short_median / stride:.0f} cells"
        # A crop must have room for the longest span; better for three times as much, so that few crops cut it,
        # as long as typical spans keep their cells.
        needed = facts.longest * 1.5 / _MOST_CELLS
        typical = facts.short_median if facts.short_label else facts.shortest
        needed = max(needed, min(2 * needed, typical / _LABEL_CELLS))
        if stride < needed:
            stride = stride_for(1.25 * needed, cells=1)
            reason = f"crops have room around the longest span ({self._length(facts.longest)})"
        if stride > LARGEST_STEP and self._get("backbone.bands"):
            reason += "; cells see the power in bands of frequencies too (backbone.bands)"
        stride = int(self._choose("backbone.stride", stride, reason))
        if stride < 1:
            raise ValueError(f"stride is {stride}; it must be at least 1")
        levels = levels_for(facts.longest, stride)
        reason = f"for spans of up to {self._length(facts.longest)}"
        if facts.num_longer:
            reason += f" ({facts.num_longer} far longer: not counted)"
        levels = self._choose("neck.num_levels", levels, reason)
        self._predictions((2 - 2 ** (1 - levels)) / stride)
        return stride

    def _predictions(self, points: float) -> None:
        """Choose the most predictions, with so many points a step."""
        counts = zip(self.facts.counts, self.facts.steps, strict=False)
        most = max((count / times_of(round(steps * points)) for count, steps in counts), default=0)
        wanted = 100 * math.ceil(_PREDICTIONS_EACH * most / 100)
        reason = f"up to {most:.0f} spans for 2048 points" if wanted > _PREDICTIONS else ""
        wanted = int(self._choose("decode.max_predictions", max(wanted, _PREDICTIONS), reason))
        self._choose("decode.max_candidates", _CANDIDATES_EACH * max(wanted, _PREDICTIONS), reason)

    def _crop(self, stride: int) -> float:
        """Choose the length of a crop; its cells."""
        facts = self.facts
        longest = max(facts.steps)
        room = 3 * facts.longest
        steps: float = min(_CROP_CELLS * stride, _STEP_STEPS)
        if self._has_queries():
            steps = min(steps, _CROP_SPANS / self._density())
        steps = min(max(steps, room), _MOST_CELLS * stride)
        reason = f"{steps / stride:.0f} cells, and room for the longest span"
        if self._get("decode.max_predictions") == 1:
            seconds, reason = math.inf, "whole recordings: each has one span"
        elif steps >= longest:
            seconds, reason = math.inf, "whole recordings: they are short enough"
        else:
            seconds = float(f"{steps * facts.seconds_per_step:.3g}")
        seconds = float(self._choose("data.crop_seconds", seconds, reason))
        return min(seconds / facts.seconds_per_step, longest) / stride

    def _has_queries(self) -> bool:
        return "num_queries" in self._get("head", {})

    def _density(self) -> float:
        """Spans per step of the training recordings."""
        return max(self.facts.num_spans, 1) / sum(self.facts.steps)

    def _queries(self, steps: float) -> None:
        """Choose the number of queries, for the spans of a crop of so many steps."""
        if self._has_queries():
            usual = self._density() * steps
            most = max(self.facts.counts, default=self.facts.num_spans)
            if steps < max(self.facts.steps):
                # Spans lie closer together in places; a crop has no more of them than a recording.
                most = min(round(2 * usual), most)
            count = max(10 * math.ceil(_QUERIES_EACH * most / 10), _LEAST_QUERIES)
            self._choose("head.num_queries", count, f"about {usual:.3g} spans in a crop")

    def _batch(self, cells: float, stride: int) -> int:
        most = max(1, int(_STEP_STEPS / (cells * stride)))
        together = min(max(round(_STEP_CELLS / cells), 1), _MOST_BATCH)
        batch = min(max(round(together / self.processes), 1), most)
        reason = f"about {batch * self.processes * cells:.0f} cells per training step"
        if self.processes > 1:
            reason += f" of {self.processes} processes"
        return int(self._choose("data.batch_size", batch, reason))

    def _steps(self) -> int:
        """The optimizer steps of the training."""
        facts = self.facts
        steps = 125 * math.sqrt(facts.num_classes) + facts.num_spans / 20
        steps = min(max(steps, _LEAST_STEPS), _MOST_STEPS) * BUDGETS[self.config["budget"]]
        if self.max_steps != -1:
            self._said = ", as set"
            return self.max_steps
        spans, labels = counted(facts.num_spans, "span"), counted(facts.num_classes, "label")
        self._said = f" for {spans} of {labels}"
        return round(steps)

    def _epochs(self, steps: int, batch: int, cells: float, stride: int) -> int:
        crops = self._get("data.crops_per_epoch")
        if crops is not None:
            return self._passes(int(crops), steps, batch)
        batch *= self.processes
        # A step goes forward and back, which costs about three times as much as forward alone.
        validation = sum(self.facts.val_steps) / stride / (3 * batch * cells)
        most = _VALIDATION * steps / validation if validation else math.inf
        count = int(min(max(most, 1), _MOST_VALIDATIONS, max(steps, 1)))
        # So that the last epoch is as long as the others.
        even = max(n for n in range(1, count + 1) if steps % n == 0)
        count = even if 2 * even > count else count
        each = math.ceil(steps / count)
        # Another number of epochs is a longer or shorter training; their length stays.
        own = self._get("trainer.max_epochs")
        count = count if own in (None, -1) else max(int(own), 1)
        crops = batch * self.parts
        reason = f"{counted(each, 'training step')} of {counted(crops, 'crop')}"
        self._choose("data.crops_per_epoch", each * crops, reason)
        times = f"; validated {counted(count, 'time')}" if validation else ""
        done = self._at_most(count * each)
        reason = f"{counted(done, 'training step')}{self._said}{times}"
        self._choose("trainer.max_epochs", count, reason)
        return done

    def _passes(self, samples: int, steps: int, batch: int) -> int:
        """Choose the number of epochs, whose length is given; the number of steps they have."""
        each = math.ceil(max(1, samples // (batch * self.processes)) / self.parts)
        count = max(1, math.ceil(steps / each))
        reason = f"{counted(self._at_most(count * each), 'training step')}{self._said}"
        count = int(self._choose("trainer.max_epochs", count, reason))
        return self._at_most(count * each if count > 0 else steps)

    def _at_most(self, steps: int) -> int:
        return steps if self.max_steps == -1 else min(steps, self.max_steps)

    def _schedule(self, steps: int) -> None:
        warmup = round(min(max(0.1, _WARMUP / max(steps, 1)), 0.25), 3)
        first = counted(round(warmup * steps), "step")
        reason = f"the learning rate rises during the first {first}"
        self._choose("scheduler.warmup", warmup, reason)
        decay = round(1 - 10 / max(steps, 20), 4)
        last = counted(max(steps, 20) // 10, "step")
        reason = f"each validated model is the average of its weights over the last {last}"
        self._choose("callbacks.average.decay", decay, reason)

    def _recordings(self) -> None:
        """Choose what evens out recordings that differ all the time, rare large values, and many channels."""
        facts = self.facts
        several = facts.labels_each >= 2
        least = _OFFSETS if facts.coverage < _COVERAGE else _LARGE_OFFSETS if several else 1.0
        if facts.offsets > least:
            size = round(_BASELINE * facts.longest)
            offsets = f"recordings have different offsets ({facts.offsets:.0%} of the variance)"
            reason = f"a running mean over {self._length(size)} is subtracted: {offsets}"
            self._choose("localizer.baseline", size, reason)
        if facts.extremes > EXTREMES:
            times = f"make its standard deviation {facts.extremes:.0f} times as large"
            reason = f"{facts.extreme_channel}: rare values far outside its usual range {times}"
            self._choose("localizer.limit", _LIMIT, reason)
            self._choose("transforms.jitter.usual", True, "noise is relative to the usual values")
        if facts.num_channels >= _MANY_CHANNELS:
            self._choose("transforms.jitter.std", _JITTER, f"{facts.num_channels} channels")
        elif facts.changes > _SMALL_CHANGES:
            small = f"{1 / facts.changes:.1%} of the standard deviation"
            reason = f"changes within a short span are {small}: they become channels too"
            self._choose("localizer.changes", float(f"{facts.changes:.3g}"), reason)
            noise = float(f"{_NOISE / facts.changes:.2g}")
            if noise < _USUAL_NOISE:
                self._choose("transforms.jitter.std", noise, "noise is smaller than these changes")
        if facts.triples:
            reason = "channels x, y and z of a sensor: training rotates them, as if it were worn differently"
            self._choose("transforms.rotate.max_degrees", _DEGREES, reason)
            self._choose("transforms.rotate.triples", [*facts.triples], "")

    def _workers(self) -> None:
        work = ["reading"] if self.facts.slow else []
        if self._get("data.transforms"):
            work.append("transforms")
        reason = "no second process: reading takes next to no time"
        if work:
            reason = f"a second process prepares the samples ({' and '.join(work)})"
        self._choose("data.num_workers", int(bool(work)), reason)
