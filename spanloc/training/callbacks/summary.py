"""What was measured at convergence, as a table and in words."""

from rich.console import Console
from rich.table import Table

from spanloc.convergence import ConvergenceResult
from spanloc.files import counted


def show(result: ConvergenceResult, when: str) -> None:
    """Print a table, and how to read it. ``when`` is the rule that was to be met."""
    reason = result.reason
    if when not in ("last", reason):
        reason += f"; {'no plateau' if when == 'plateau' else 'the level was not reached'} before"
    count, available = result.num_sequences, result.num_available
    samples = counted(count, "training sample")
    of = f"all {samples}"
    if available not in (None, count):
        of = f"{samples} drawn at random from {available:,}"
    table = Table(title=f"What is left of the gradient at step {result.step} ({reason}), over {of}")
    table.add_column("span loss")
    for column in ("mean loss", "relative gradient\nof a pair", "gradient of all\nparameters"):
        table.add_column(column, justify="right")
    for name, row in result.losses.items():
        trained = name == result.trained
        table.add_row(
            f"{name} (trained)" if trained and "(" not in name else name,
            *(f"{v:.4g}" for v in (row.loss, row.relative_gradient.mean, row.grad_total)),
            style="bold" if trained else None,
        )
    # The name of a loss may look like markup.
    console = Console(markup=False, emoji=False)
    console.print(table)
    console.print(_reading(result), highlight=False)


def _reading(result: ConvergenceResult) -> str:
    own, batch = result.own, result.minibatch
    relative, error = own.relative_gradient.mean, result.endpoint_error.median
    where = f"Mean tIoU {result.tiou:.4f}, error of an end {error:.2g} of the length (median)."
    if not result.tiou >= 0.8:
        verdict = "Far from the optimum: the table says nothing about the loss's kink yet."
    elif relative >= 1:
        verdict = (
            f"A pair keeps a gradient of {relative:.3g} (a kink in both ends: 1.41) however small the "
            "errors are: that is the loss, not the data."
        )
    else:
        verdict = (
            f"A pair's gradient of {relative:.2g} falls with the loss: what is left comes from the "
            "errors, not from a kink."
        )
    exponent = result.exponent
    scatter = ", by this run's scatter" if exponent.determinable else ""
    # A run of a few steps may have none that was measured.
    mean = f"(mean of the last {batch.steps} steps)"
    noisy = f"{batch.grad_params:.3g} in a mini-batch {mean}; " if batch.grad_params >= 0 else ""
    return (
        f"{where}\n{verdict}\n"
        f"Gradient of all parameters: {noisy}{own.grad_total:.3g} over all these samples at once, "
        "where the noise of batches averages out and pairs that pull against each other cancel.\n"
        f"Exponent of a pair's gradient against its loss (0 sharp, 1/2 smooth): {exponent}{scatter}."
    )
