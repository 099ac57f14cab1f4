"""The measurement at convergence: one record, one writer, one reader."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanloc.convergence.exponent import Exponent
from spanloc.files import plain, read_record, record, write_json


@dataclass(frozen=True)
class Spread:
    """Mean and quantiles of numbers; NaN of none."""

    mean: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float


@dataclass(frozen=True)
class Histogram:
    """Counts of relative gradients between ``edges``, one more than counts."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class LossAtConvergence:
    """One span loss at the predictions for the training sequences.

    Args:
        loss: Plain mean over the pairs.
        total: What training minimises, with every weight.
        grad_span, grad_total: Norms of the gradients of all parameters, of the span term and the total.
        relative_gradient: Length times gradient, pair by pair.
        histogram: Of these.
    """

    loss: float
    total: float
    grad_span: float
    grad_total: float
    relative_gradient: Spread
    histogram: Histogram


@dataclass(frozen=True)
class Minibatch:
    """Means over the last ``steps`` mini-batches."""

    steps: int
    loss: float
    grad_params: float
    grad_spans: float


@dataclass(frozen=True)
class ConvergenceResult:
    """The measurement of :class:`~spanloc.training.callbacks.Convergence`, once, at fixed weights.

    Args:
        step, epoch: When.
        reason: Why then.
        trained: Name of the trained loss among ``losses``.
        num_sequences, num_pairs: What it was measured on: training sequences, or tiles of them where
            training takes crops.
        score_loss: Over the number of pairs.
        tiou: Mean over the pairs.
        endpoint_error: Error of a boundary as a fraction of the target's length.
        losses: By name, all at the same predictions.
        minibatch: The same of the last mini-batches, for comparison.
        exponent: Of a pair's gradient against its loss over the run.
        exponent_params: Of the gradient of all parameters.
        num_available: Of how many sequences or tiles these are a random sample, if not all; None: unknown.
        kink: Relative gradient of the trained loss beside the match (:func:`~spanloc.convergence.kink_of`);
            None: unknown.
    """

    step: int
    epoch: int
    reason: str
    trained: str
    num_sequences: int
    num_pairs: int
    score_loss: float
    tiou: float
    endpoint_error: Spread
    losses: dict[str, LossAtConvergence]
    minibatch: Minibatch
    exponent: Exponent
    exponent_params: Exponent
    num_available: int | None = None
    kink: float | None = None

    @property
    def own(self) -> LossAtConvergence:
        """The trained loss."""
        return self.losses[self.trained]

    def state(self) -> dict[str, Any]:
        """As plain values, undone by :meth:`of`."""
        return plain(self)

    @classmethod
    def of(cls, state: Any) -> "ConvergenceResult":
        """From plain values, in which null is NaN.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        found: ConvergenceResult = record(cls, state)
        if found.trained not in found.losses:
            raise ValueError(f"trained is {found.trained!r}; losses has {sorted(found.losses)}")
        return found

    def write(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, self)

    @classmethod
    def read(cls, path: str | Path) -> "ConvergenceResult":
        """Read what :meth:`write` wrote.

        Raises:
            ValueError: The file holds something else.
        """
        return read_record(path, cls.of, "a result of convergence")

    def metrics(self) -> dict[str, float]:
        """The numbers of the trained loss, under the names by which they are logged."""
        own = self.own
        found = {"step": float(self.step)}
        found |= {k: getattr(own, k) for k in ("loss", "total", "grad_span", "grad_total")}
        spreads = {
            "relative_gradient": own.relative_gradient,
            "endpoint_error": self.endpoint_error,
        }
        for name, spread in spreads.items():
            for quantile, value in asdict(spread).items():
                found[name if quantile == "mean" else f"{name}_{quantile}"] = value
        found |= {"score_loss": self.score_loss, "tiou": self.tiou}
        found["minibatch_grad_params"] = self.minibatch.grad_params
        found["minibatch_grad_spans"] = self.minibatch.grad_spans
        for name in ("exponent", "exponent_params"):
            fit = getattr(self, name)
            if not fit.reason:
                found |= {name: fit.slope, f"{name}_low": fit.low, f"{name}_high": fit.high}
        return {f"convergence/{name}": value for name, value in found.items()}
