"""What was measured at convergence, in a few lines."""

from pathlib import Path

from rich.console import Console

from spanloc.convergence import ConvergenceResult
from spanloc.files import counted


def show(result: ConvergenceResult, when: str, folder: str | None = None) -> None:
    """Print a verdict, the main numbers and where the others are.

    Args:
        when: The rule that was to be met.
        folder: Where the files are; None: there are none.
    """
    reason = result.reason
    if when not in ("last", reason):
        reason += f"; {'no plateau' if when == 'plateau' else 'the level was not reached'} before"
    count, available = result.num_sequences, result.num_available
    samples = f"all {counted(count, 'training sample')}"
    if available not in (None, count):
        samples = f"a random {count:,} of {available:,} training samples"
    relative = ", ".join(
        f"{name}{' (trained)' * (name == result.trained and '(' not in name)} "
        f"{row.relative_gradient.mean:.3g}"
        for name, row in result.losses.items()
    )
    lines = [
        f"What is left of the gradient at step {result.step} ({reason}), over {samples}:",
        _verdict(result),
        f"Relative gradient of a pair: {relative}.",
    ]
    if result.exponent.determinable:
        lines.append(
            f"Exponent of a pair's gradient against its loss (0 sharp, 1/2 smooth): {result.exponent}."
        )
    if folder is not None:
        lines.append(f"All of it: {Path(folder) / 'convergence.json'}, and a plot in figures/")
    # The name of a loss may look like markup.
    console = Console(markup=False, emoji=False)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _verdict(result: ConvergenceResult) -> str:
    relative = result.own.relative_gradient.mean
    where = f"mean tIoU {result.tiou:.4f}"
    if not result.tiou >= 0.8:
        return f"Far from the optimum ({where}): this says nothing about the loss's kink yet."
    if relative >= 1:
        return (
            f"A pair keeps a gradient of {relative:.3g} (a kink in both ends: 1.41) however small the "
            f"errors are ({where}): that is the loss, not the data."
        )
    return (
        f"A pair's gradient of {relative:.2g} falls with the loss ({where}): what is left comes from "
        "the errors, not from a kink."
    )
