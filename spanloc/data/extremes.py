"""Rare extreme values in recordings: codes for lost samples such as -9999, spikes, saturation."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spanloc.data.annotations.folder import Record

#: A channel has extremes where its standard deviation is more than so many times that of its usual values. They
#: then drown what it holds; below that, as in heavy-tailed signals, they are a part of it.
EXTREMES = 3.0
# Share of the steps that extremes are, at most. Activations of a network that are mostly zero are large more often.
_RARE = 0.02
# Limits of the usual range, in widths between the 5 % and the 95 % quantile beyond these. For noise of a normal
# distribution they are 18 standard deviations from its mean.
_WIDTHS = 5
# A channel that varies by less than this part of its magnitude is constant but for rounding.
_CONSTANT = 1e-6
# Of a sample: recordings, steps and stretches of each, values in all.
_RECORDINGS, _STEPS, _STRETCHES, _VALUES = 32, 10_000, 10, 2**22
# Fewer steps have no 5 % quantile; more than the second are not needed for that of one training sample.
_FEWEST, _ENOUGH = 20, 200

_Limits = tuple[np.ndarray, np.ndarray]


def usual_range(values: Float[np.ndarray, "steps channels"]) -> _Limits:
    """Limits ``(C,)`` beyond which a value is an extreme one; infinite where a channel hardly varies.

    Those of a channel are ``q05 - 5 w`` and ``q95 + 5 w``, with the width ``w = q95 - q05`` between its
    quantiles. A channel without width, such as one that marks rare events, has none.

    >>> low, high = usual_range(np.array([[0.0, 7.0]] * 20 + [[1.0, 7.0]] * 20))
    >>> low.tolist(), high.tolist()
    ([-5.0, -inf], [6.0, inf])
    """
    # Values that are not finite are refused by others, with their place.
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(np.asarray(values, np.float64), (0.05, 0.95), axis=0)
        width = high - low
        varies = width > _CONSTANT * np.maximum(np.abs(low), np.abs(high))
        far = np.where(varies, _WIDTHS * width, np.inf)
        return low - far, high + far


def sampled(records: Sequence[Record]) -> Float[np.ndarray, "steps channels"]:
    """Steps of up to 32 recordings, at most 10,000 of each, in ten stretches spread over it."""
    some = records[:: -(-len(records) // _RECORDINGS)]
    room = _VALUES // (len(some) * max(1, some[0].signal.num_channels))
    most = max(_STRETCHES, min(_STEPS, room))
    return np.concatenate([piece for record in some for piece in _stretches(record, most)])


def extremes_of(records: Sequence[Record]) -> tuple[float, str]:
    """The largest ratio of a channel's standard deviation to that of its values clipped to the usual range; the channel.

    Of a sample of the recordings, and of channels with few values outside that range. It is at least 1; above
    :data:`EXTREMES`, a channel has extremes.
    """
    found = _measured(sampled(records))[0]
    worst = int(found.argmax())
    names = records[0].signal.channels
    return float(found[worst]), names[worst] if names else f"channel {worst}"


def limits_of(records: Sequence[Record]) -> _Limits:
    """The :func:`usual_range` of a sample of recordings; infinite for channels without extremes."""
    ratios, low, high = _measured(sampled(records))
    there = ratios > EXTREMES
    return np.where(there, low, -np.inf), np.where(there, high, np.inf)


def ratios(std: np.ndarray, usual: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Standard deviations of channels relative to those of usual values, ``(C,)``; 1 where extremes are not rare.

    Usual values are clipped to their :func:`usual_range`; ``outside`` is the share of the values outside of it.
    """
    known = (usual > 0) & (outside <= _RARE)
    return np.divide(std, usual, out=np.ones_like(std), where=known)


def usual_std(features: Float[Tensor, "channels steps"]) -> Float[Tensor, "channels 1"]:
    """The standard deviation of each channel, of its values clipped to their usual range in these steps."""
    steps = features.shape[1]
    if steps >= _FEWEST:
        limits = usual_range(features[:, :: -(-steps // _ENOUGH)].T.numpy())
        low, high = (torch.from_numpy(limit)[:, None].to(features) for limit in limits)
        features = features.clamp(low, high)
    return features.std(1, correction=0, keepdim=True)


def _stretches(record: Record, most: int) -> Iterator[np.ndarray]:
    if record.num_steps <= most:
        yield record.signal.read(0, record.num_steps)
        return
    size = most // _STRETCHES
    for i in range(_STRETCHES):
        first = (2 * i + 1) * record.num_steps // (2 * _STRETCHES) - size // 2
        yield record.signal.read(first, first + size)


def _measured(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The :func:`ratios` of channels, and their usual range."""
    low, high = usual_range(values)
    with np.errstate(invalid="ignore"):
        std = values.std(0, dtype=np.float64)
        usual = np.clip(values, low, high).std(0, dtype=np.float64)
    outside = ((values < low) | (values > high)).mean(0)
    return ratios(std, usual, outside), low, high
