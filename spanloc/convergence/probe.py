"""The result of a probe of a span loss: one record, one writer, one reader."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spanloc.convergence.anatomy import Anatomy
from spanloc.convergence.descent import Descent
from spanloc.convergence.exponent import Exponent
from spanloc.convergence.forum import Attempt, Case
from spanloc.files import plain, read_record, record, write_json
from spanloc.ops import length

_DEFINITIONS = {
    "error": "of each end, the largest over the last steps, in the unit of the target; worst: of both",
    "relative_error": "the same over the target's length",
    "loss": "at the last step",
    "gradient": "norm over start and end, mean over the last steps",
    "relative_gradient": "the same times the target's length",
    "median, q05, q95": "over the pairs that are finite",
    "stuck": "share of pairs: disjoint at the last step, with a gradient of zero",
    "one_end_exact, both_ends_exact": "share of pairs: on the target to the last bit, at the last step",
    "lost": "share of pairs: not finite",
    "exponent": "slope of log gradient norm against log loss, medians over the pairs",
}


class Quantiles(NamedTuple):
    """Over the pairs that are finite; NaN without any."""

    median: float
    q05: float
    q95: float

    @classmethod
    def of(cls, values: Tensor) -> "Quantiles":
        """Of the values of the pairs, ``(n,)``."""
        known = values[values.isfinite()]
        if not len(known):
            return cls(math.nan, math.nan, math.nan)
        return cls(*known.quantile(torch.tensor([0.5, 0.05, 0.95], dtype=known.dtype)).tolist())


class EndErrors(NamedTuple):
    """Errors of the start, of the end and of the worse of both."""

    start: Quantiles
    end: Quantiles
    worst: Quantiles


class Shares(NamedTuple):
    """Shares of the pairs, in ``[0, 1]``."""

    stuck: float
    one_end_exact: float
    both_ends_exact: float
    lost: float


class RuleResult(NamedTuple):
    """The descents under one step rule; the fields are defined in :attr:`DescentResult.definitions`."""

    num_steps: int
    error: EndErrors
    relative_error: EndErrors
    loss: Quantiles
    gradient: Quantiles
    relative_gradient: Quantiles
    share: Shares
    exponent: Exponent

    @classmethod
    def of(cls, found: Descent, width: float) -> "RuleResult":
        """Of all pairs; ``width`` is the target's length."""
        error, gradient = found.final_error, found.final_gradient
        ends = (error[:, 0], error[:, 1], error.amax(1))
        exact = found.exact.sum(1)
        lost = ~(error.isfinite().all(1) & found.final_loss.isfinite())
        shares = (found.stuck, exact == 1, exact == 2, lost)
        return cls(
            num_steps=int(found.steps[-1]),
            error=EndErrors(*(Quantiles.of(values * width) for values in ends)),
            relative_error=EndErrors(*map(Quantiles.of, ends)),
            loss=Quantiles.of(found.final_loss),
            gradient=Quantiles.of(gradient / width),
            relative_gradient=Quantiles.of(gradient),
            share=Shares(*(share.double().mean().item() for share in shares)),
            exponent=found.exponent(),
        )


class DescentResult(NamedTuple):
    """Gradient descent on free ends.

    ``last`` is the number of steps that final errors and gradients are taken over, ``definitions`` says
    in words what the fields of a rule are.
    """

    target: tuple[float, float]
    last: int
    definitions: dict[str, str]
    rules: dict[str, RuleResult]
    starts: list[tuple[float, float]]

    @classmethod
    def of(
        cls, descents: Mapping[str, Descent], starts: Tensor, target: Tensor, last: int
    ) -> "DescentResult":
        """Of descents by rule, from ``starts (n, 2)`` to one ``target (2,)``."""
        width = length(target).item()
        rules = {rule: RuleResult.of(found, width) for rule, found in descents.items()}
        low, high = target.tolist()
        return cls((low, high), last, _DEFINITIONS, rules, [(a, b) for a, b in starts.tolist()])


class Forum(NamedTuple):
    """The case of the forum thread, the same for all losses."""

    cases: list[Case]
    second_attempt: list[Attempt]


@dataclass(frozen=True)
class ProbeResult:
    """The result of ``spanloc-probe`` for one span loss.

    Args:
        span_loss: Its name.
        precision: Dtype that it was computed in.
        why_not_float64: Why not in float64; None where it was.
        config: Settings of the command.
        versions: Of spanloc, torch and python.
        forum: For comparison.
        anatomy: The match and odd places, at each length.
        descent: From many starts, under several step rules.
    """

    span_loss: str
    precision: str
    why_not_float64: str | None
    config: dict[str, Any]
    versions: dict[str, str]
    forum: Forum
    anatomy: list[Anatomy]
    descent: DescentResult

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically: NaN as null, infinities as ``"inf"`` and ``"-inf"``."""
        # JSON has no infinities.
        words = {"Infinity": "inf", "-Infinity": "-inf"}
        content = json.loads(json.dumps(plain(self)), parse_constant=words.get)
        write_json(path, content, indent=1)

    @classmethod
    def read(cls, path: str | Path) -> "ProbeResult":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        return read_record(path, partial(record, cls), "the result of a probe")
