"""The measurement at convergence, in a few lines."""

from pathlib import Path

from rich.console import Console

from spanloc.convergence import ConvergenceResult

# Of the mean tIoU, below which pairs are too far from the match to say anything of its kink.
_NEAR = 0.9


def show(result: ConvergenceResult, when: str, folder: str | None = None) -> None:
    """Print the lines of :func:`summary`."""
    # The name of a loss may look like markup.
    console = Console(markup=False, emoji=False)
    for line in summary(result, when, folder):
        console.print(line, highlight=False, soft_wrap=True)


def summary(
    result: ConvergenceResult,
    when: str,
    folder: str | None = None,
    *,
    samples: str = "training samples",
) -> list[str]:
    """A verdict, the main numbers and where the others are, a line each.

    Args:
        when: The rule that was to be met.
        folder: Where the files are; None: there are none.
        samples: The word for what it was measured on.
    """
    reason = result.reason
    if when not in ("last", reason):
        reason += f"; {'no plateau' if when == 'plateau' else 'the level was not reached'} before"
    count, available = result.num_sequences, result.num_available
    over = f"all {count:,} {samples}"
    if available not in (None, count):
        over = f"a random {count:,} of {available:,} {samples}"
    relative = ", ".join(
        f"{name}{' (trained)' * (name == result.trained and '(' not in name)} "
        f"{row.relative_gradient.mean:.3g}"
        for name, row in result.losses.items()
    )
    lines = [
        f"Residual gradient at step {result.step} ({reason}), over {over}:",
        _verdict(result),
        f"Relative gradient of a pair: {relative}.",
    ]
    if result.exponent.determinable:
        lines.append(
            f"Exponent of a pair's gradient against its loss (0 sharp, 1/2 smooth): {result.exponent}."
        )
    if folder is not None:
        lines.append(f"All of it: {Path(folder) / 'convergence.json'}, and a plot in figures/")
    return lines


def _verdict(result: ConvergenceResult) -> str:
    relative, kink = result.own.relative_gradient.mean, result.kink
    where = f"mean tIoU {result.tiou:.4f}"
    if not result.tiou >= _NEAR:
        return f"Far from the optimum ({where}): this says nothing about the loss's kink yet."
    # Of a loss whose kink is unknown, by that of most sharp ones.
    if kink != 0 and relative >= (1.0 if kink is None else kink / 2):
        known = "" if kink is None else f" (the kink of this loss: {kink:.3g})"
        return (
            f"The gradient of a pair stays at {relative:.3g}{known} although the errors are small "
            f"({where}): it comes from the loss, not from the data."
        )
    return (
        f"A pair's gradient of {relative:.2g} falls with the loss ({where}): what is left comes from "
        "the errors, not from a kink."
    )
