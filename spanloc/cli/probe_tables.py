"""What ``spanloc-probe`` prints: tables, and under each how to read it."""

import math
from collections.abc import Sequence
from operator import attrgetter

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from spanloc.cli.probe_verdict import verdict
from spanloc.convergence import Anatomy, DescentResult, Exponent, Forum, ProbeResult
from spanloc.convergence.anatomy import End

_TIES = {"second": "to the target", "split": "half each", "first": "to the prediction"}


def show(
    result: ProbeResult,
    console: Console,
    *,
    forum: bool = True,
) -> None:
    """Print all tables of one loss.

    Args:
        result: Of that loss.
        console: To print to, without markup.
        forum: Whether with the forum's case, which is the same for all losses.
    """
    if forum:
        _show_forum(result.forum, console)
    _show_match(result, console)
    _show_places(result.span_loss, result.anatomy[len(result.anatomy) // 2], console)
    _show_descent(result.span_loss, result.descent, result.anatomy, console)


def _show_forum(forum: Forum, console: Console) -> None:
    for form in ("overlap / union", "overlap / hull"):
        table = _table(console, f"The forum's case: perfect predictions, loss = 1 - {form}")
        for column in ("a tie goes", "first start\nmoved by"):
            table.add_column(column, no_wrap=True)
        for column in ("loss", "gradient of\nthe starts", "gradient of\nthe ends"):
            table.add_column(column, justify="right", no_wrap=True)
        for case in forum.cases:
            if case.form != form:
                continue
            # Rounded first, so that no zero has a sign.
            gradients = [
                ", ".join(f"{round(g, 4) + 0.0:.4f}" for g in values)
                for values in (case.starts, case.ends)
            ]
            first = case.shift < 0
            table.add_row(
                _TIES[case.ties] if first else "",
                f"{case.shift:+.0e}" if case.shift else "0: the match",
                _number(case.loss),
                *gradients,
                end_section=case.shift > 0,
            )
        console.print(table)
    _read(
        console,
        "min and max have a kink where prediction and target agree. At the match itself the gradient "
        "is a choice: torch gave it to the target up to 1.9, and halves it since 1.10. To both sides "
        "it is -1/length or +1/length, halved here by the mean over two spans, under every rule.",
        "Over the hull the choice does not show: overlap and hull agree at the match and lose the "
        "same share of their gradients to the target, so those of their ratio cancel under each rule. "
        "Over the union, the lengths in the denominator keep theirs. One function, two answers.",
    )
    table = _table(
        console, "The forum's second attempt: the prediction's length in place of the overlap"
    )
    table.add_column("prediction")
    table.add_column("target")
    for column in ("loss", "gradient of start", "of end"):
        table.add_column(column, justify="right")
    for attempt in forum.second_attempt:
        table.add_row(
            _span(attempt.pred),
            _span(attempt.target),
            *(f"{value:.4f}" for value in (attempt.loss, attempt.start, attempt.end)),
        )
    console.print(table)
    _read(
        console,
        "What is left is 1 - length / length: the longer the prediction, the further below 0, with "
        "the same gradient everywhere, also at the match; and a prediction of the right length costs "
        "nothing wherever it lies. The match is no minimum.",
    )


def _show_match(result: ProbeResult, console: Console) -> None:
    anatomies = result.anatomy
    table = _table(
        console,
        f"{result.span_loss}: slopes to the left and to the right of the match, times length",
    )
    for column in ("length", "in start", "in end"):
        table.add_column(column, justify="right")
    for column in ("0 be-\ntween", "mini-\nmum", "smooth"):
        table.add_column(column)
    for column in ("curvature\n× length²", "largest\nstable step"):
        table.add_column(column, justify="right")
    for found in anatomies:
        ends = (found.start, found.end)
        curvatures = {f"{end.curvature:.4g}" for end in ends if not math.isnan(end.curvature)}
        table.add_row(
            f"{found.length:g}",
            *(_bracket(end) for end in ends),
            *(
                "yes" if all(getattr(end, flag) for end in ends) else "no"
                for flag in ("stationary", "minimum", "differentiable")
            ),
            ", ".join(sorted(curvatures)) or "-",
            _step(found.largest_stable_step),
        )
    console.print(table)
    known = [
        error
        for found in anatomies
        for end in (found.start, found.end)
        for slope, error in ((end.left, end.left_error), (end.right, end.right_error))
        if math.isfinite(slope)
    ]
    good = f", extrapolated; good to {max(known):.0e}" if known else ""
    why = f" ({result.why_not_float64})" if result.why_not_float64 else ""
    _read(
        console,
        verdict(anatomies),
        f"One-sided differences in {result.precision}{why}{good}.",
    )


def _show_places(name: str, found: Anatomy, console: Console) -> None:
    table = _table(
        console, f"{name}: away from the match, target [0, {found.length:g}], slopes times length"
    )
    for column in ("prediction", ""):
        table.add_column(column)
    for column in ("loss", "start:\nleft, right", "end:\nleft, right", "torch gives\nstart, end"):
        table.add_column(column, justify="right")
    table.add_row(
        "the match",
        _span((0.0, found.length)),
        f"{found.loss:.4g}",
        _bracket(found.start),
        _bracket(found.end),
        f"{_number(found.start.autograd)}, {_number(found.end.autograd)}",
    )
    for place, values in found.places.items():
        table.add_row(
            place,
            _span(values.pred),
            f"{values.loss:.3g}",
            f"{_number(values.start_left)}, {_number(values.start_right)}",
            f"{_number(values.end_left)}, {_number(values.end_right)}",
            f"{_number(values.start)}, {_number(values.end)}",
        )
    console.print(table)
    apart, touching = found.places["disjoint"], found.places["touching"]
    lines = []
    if math.hypot(apart.start, apart.end) < 1e-9:
        lines.append("Disjoint predictions get no gradient: they stay where they are.")
    elif apart.start > 0 > apart.end:
        lines.append(
            "A disjoint prediction is pulled in at its near end and pushed out at the far one."
        )
    elif apart.start > 0:
        lines.append("A disjoint prediction is pulled in.")
    if abs(touching.start_left - touching.start_right) > 1e-3:
        lines.append(
            f"There is a kink where spans touch: the slope of the near end is "
            f"{_number(touching.start_left)} on the side where they overlap and "
            f"{_number(touching.start_right)} where they part; torch gives {_number(touching.start)}."
        )
    if math.isnan(found.start.autograd) or math.isnan(found.end.autograd):
        lines.append(
            "Exactly at the match torch gives NaN: one perfect prediction ruins a training."
        )
    _read(console, *lines)


def _show_descent(
    name: str, descent: DescentResult, anatomies: Sequence[Anatomy], console: Console
) -> None:
    table = _table(
        console,
        f"{name}: gradient descent on free ends, {len(descent.starts)} starts, "
        f"target {_span(descent.target)}",
    )
    table.add_column("rule", no_wrap=True)
    for column in ("steps", "error", "95 %\nbelow", "loss", "length ×\ngradient"):
        table.add_column(column, justify="right")
    table.add_column("exponent")
    for rule, values in descent.rules.items():
        table.add_row(
            rule,
            str(values.num_steps),
            f"{values.error.worst.median:.2g}",
            f"{values.error.worst.q95:.2g}",
            _number(values.loss.median, least=0),
            f"{values.relative_gradient.median:.4f}",
            _exponent(values.exponent),
        )
    console.print(table)
    lines = [
        f"error: of the worse end, the largest over the last {descent.last} steps. loss: at the "
        f"last. gradient: norm over both ends, mean over the last {descent.last}. Medians over the starts. "
        "exponent: slope of log gradient against log loss, 0 sharp, 1/2 smooth; -: cannot be told."
    ]
    ends = [end for found in anatomies for end in (found.start, found.end)]
    if all(abs(end.right - 1) < 0.01 for end in ends):
        lines.append(
            "The loss goes with the step size, the gradient does not. √2 is a slope of 1 in both ends, "
            "1 is one end exact, 0 is both."
        )
    slow = [
        rule
        for rule, values in descent.rules.items()
        if values.relative_error.worst.median < 0.1 < values.relative_error.worst.q95
        and values.share.stuck < 0.05
    ]
    if slow:
        lines.append(f"Starts from far are still on their way: {', '.join(slow)}.")
    for share, meaning in (
        (attrgetter("stuck"), "are disjoint without a gradient and do not move"),
        (attrgetter("one_end_exact"), "have one end exact at the last step"),
        (attrgetter("both_ends_exact"), "have both ends exact at the last step"),
        (attrgetter("lost"), "have become NaN or infinite"),
    ):
        found = [
            f"{rule} {share(values.share):.0%}"
            for rule, values in descent.rules.items()
            if share(values.share) > 0
        ]
        if found:
            lines.append(f"Pairs that {meaning}: {', '.join(found)}.")
    _read(console, *lines)


def _table(console: Console, title: str) -> Table:
    # As a title of the table it would be wrapped to the table's width.
    console.print(title, style="bold", highlight=False)
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _read(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), style="italic"), highlight=False)
    console.print()


def _span(span: Sequence[float]) -> str:
    return f"[{span[0]:g}, {span[1]:g}]"


def _bracket(end: End) -> str:
    # What is 0 within its error is 0.
    left, right = (
        0.0 if abs(value) <= error else value
        for value, error in ((end.left, end.left_error), (end.right, end.right_error))
    )
    return f"{_number(left)}, {_number(right)}"


def _step(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}" if value else "none"


def _number(value: float, *, least: float = 1e-9) -> str:
    return "0" if abs(value) <= least else f"{value:.3g}"


def _exponent(found: Exponent) -> str:
    if not found.determinable:
        return "-"
    off = max(found.high - found.slope, found.slope - found.low)
    return f"{found.slope:.2f} ±{off:.2f}".replace("-0.00", "0.00")
