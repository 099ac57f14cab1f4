"""Random changes of time: the spans move with the values that they cover."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spanloc.data.transforms.applied import require
from spanloc.structures import Sample

_WAVES = 4
# So that every step still has a share of a quarter at least in one that is made of it.
_FASTEST = 1.5


@dataclass(frozen=True)
class Speed:
    """Plays a sequence faster or slower: it gets another number of steps, and spans scale with it.

    A step still takes as long. Values are interpolated linearly.

    Args:
        low, high: The least and the most speed, 0.5 for twice as many steps; ``0.5 <= low <= high <= 1.5``,
            since much faster, interpolation would pass over steps. In between the logarithm is uniform.
    """

    low: float = 0.9
    high: float = 1.1

    def __post_init__(self) -> None:
        require(self, "low", 0.5, _FASTEST)
        require(self, "high", self.low, _FASTEST)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample at another speed."""
        steps = sample.features.shape[1]
        speed = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        num_steps = max(round(steps / speed), math.ceil(steps / _FASTEST))
        # Spans scale as the number of steps does, which is rounded, not by the speed that was drawn.
        places = (np.arange(num_steps) + 0.5) * steps / num_steps
        return _moved(sample, places, lambda ends: ends * (num_steps / steps))


@dataclass(frozen=True)
class TimeWarp:
    """Lets time run faster here and slower there, smoothly; the sequence stays as long as it is.

    The value at time ``t`` is now that of ``t + T * sum(a_k * sin(pi k t / T) / (pi k))``, with four waves,
    so that the sequence plays at ``1 + sum(a_k * cos(pi k t / T))`` times its speed.

    Args:
        strength: The most that the speed may be off 1, the sum of all ``|a_k|``; in [0, 0.5].
    """

    strength: float = 0.2

    def __post_init__(self) -> None:
        require(self, "strength", 0, _FASTEST - 1)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with its time warped."""
        steps = sample.features.shape[1]
        shares = rng.dirichlet(np.ones(_WAVES)) * rng.uniform(-1, 1, _WAVES) * self.strength
        waves = np.pi * np.arange(1, _WAVES + 1)

        def before(times: np.ndarray) -> np.ndarray:
            bend = np.sin(times[..., None] / steps * waves) @ (shares / waves)
            return times + steps * bend

        def after(ends: np.ndarray) -> np.ndarray:
            # Bisection down to the last digit: the map has no inverse in closed form.
            low, high = np.zeros_like(ends), np.full_like(ends, steps)
            for _ in range(60):
                middle = (low + high) / 2
                early = before(middle) < ends
                low, high = np.where(early, middle, low), np.where(early, high, middle)
            # The borders of the sequence stay exact.
            return np.where((ends <= 0) | (ends >= steps), ends, (low + high) / 2)

        return _moved(sample, before(np.arange(steps) + 0.5), after)


def _moved(sample: Sample, places: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> Sample:
    # Each new step has the value at one of the places; move says when an old time is now.
    steps = sample.features.shape[1]
    # A value is that of the middle of its step.
    x = np.clip(places - 0.5, 0, steps - 1)
    low = torch.from_numpy(np.floor(x).astype(np.int64))
    share = torch.from_numpy(x - np.floor(x)).float()
    # lerp is exact at both ends, and where the two are equal.
    features = torch.lerp(
        sample.features[:, low], sample.features[:, (low + 1).clamp(max=steps - 1)], share
    )

    def spans(before: Tensor) -> Tensor:
        moved = torch.from_numpy(move(before.double().numpy())).to(before.dtype)
        return moved.clamp(min=0, max=len(places))

    return replace(
        sample, features=features, spans=spans(sample.spans), ignored=spans(sample.ignored)
    )
