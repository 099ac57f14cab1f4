"""The printed tables of ``spanloc-probe``, and under each how to read it."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from spanloc.convergence import Anatomy, DescentResult, Exponent
from spanloc.convergence.anatomy import End

_SHARES = {
    "stuck": "are disjoint, have no gradient and do not move",
    "one_end_exact": "have one boundary exact at the last iteration",
    "both_ends_exact": "have both boundaries exact at the last iteration",
    "lost": "have become NaN or infinite",
}


def show_match(
    name: str, anatomies: Sequence[Anatomy], precision: str, reason: str, console: Console
) -> None:
    """Print the tables of a loss at its match, and at the middle one of the lengths away from it.

    ``precision`` is the dtype that it computes in, ``reason`` why that is not float64, or empty.
    """
    columns = ["length", "in start", "in end", "<0 lies\nbetween", "<mini-\nmum", "<smooth"]
    table = _table([*columns, "curvature\n× length²", "largest\nstable step"])
    known = []
    for found in anatomies:
        ends = (found.start, found.end)
        curvatures = {f"{end.curvature:.4g}" for end in ends if not math.isnan(end.curvature)}
        flags = ("stationary", "minimum", "differentiable")
        table.add_row(
            f"{found.length:g}",
            *map(_bracket, ends),
            *("yes" if all(getattr(end, flag) for end in ends) else "no" for flag in flags),
            ", ".join(sorted(curvatures)) or "-",
            _step(found.largest_stable_step),
        )
        for end in ends:
            slopes = ((end.left, end.left_error), (end.right, end.right_error))
            known += [error for slope, error in slopes if math.isfinite(slope)]
    title = f"{name}: slopes to the left and to the right of the match, times length"
    _print(console, title, table)
    good = f", extrapolated; good to {max(known):.0e}" if known else ""
    why = f" ({reason})" if reason else ""
    _read(
        console,
        verdict(anatomies),
        f"One-sided differences in {precision}{why}{good}. 0 lies between: 0 is between the slopes to the left and to the right.",
    )
    _show_places(name, anatomies[len(anatomies) // 2], console)


def _show_places(name: str, found: Anatomy, console: Console) -> None:
    columns = ["loss", "start:\nleft, right", "end:\nleft, right", "torch gives\nstart, end"]
    table = _table(["<prediction", "<", *columns])
    table.add_row(
        "the match",
        _span((0.0, found.length)),
        f"{found.loss:.4g}",
        _bracket(found.start),
        _bracket(found.end),
        _pair(found.start.autograd, found.end.autograd),
    )
    for place, values in found.places.items():
        table.add_row(
            place,
            _span(values.pred),
            f"{values.loss:.3g}",
            _pair(values.start_left, values.start_right),
            _pair(values.end_left, values.end_right),
            _pair(values.start, values.end),
        )
    title = f"{name}: away from the match, target [0, {found.length:g}], slopes times length"
    _print(console, title, table)
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


def show_descent(
    name: str, descent: DescentResult, anatomies: Sequence[Anatomy], console: Console
) -> None:
    """Print the table of the descents of a loss."""
    columns = [
        "<rule",
        "iterations",
        "error",
        "95 %\nbelow",
        "loss",
        "length ×\ngradient",
        "<exponent",
    ]
    table = _table(columns)
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
    starts = f"{len(descent.starts)} initial spans, target {_span(descent.target)}"
    _print(console, f"{name}: gradient descent on free boundaries, {starts}", table)
    lines = [
        f"error: of the worse boundary, the largest over the last {descent.last} iterations. 95 % below: 95 of 100 "
        "initial spans end with an error below this. loss: at the "
        f"last. gradient: norm over both boundaries, mean over the last {descent.last}. Medians over the initial spans. "
        "exponent: slope of log gradient against log loss, 0 sharp, 1/2 smooth; -: undetermined."
    ]
    ends = [end for found in anatomies for end in (found.start, found.end)]
    if all(abs(end.right - 1) < 0.01 for end in ends):
        lines.append(
            "The loss falls with the step size, the gradient does not: √2 means a slope of 1 at both boundaries, "
            "1 that one boundary is exact, 0 that both are."
        )
    slow: dict[str, list[str]] = {}
    for rule, values in descent.rules.items():
        worst, stuck = values.relative_error.worst, values.share.stuck
        if worst.median > 0.1 and stuck < 0.5:
            slow.setdefault("most spans", []).append(rule)
        elif worst.median < 0.1 < worst.q95 and stuck < 0.05:
            slow.setdefault("spans that began far away", []).append(rule)
    for which, rules in slow.items():
        lines.append(
            f"Not finished: with these step rules, {which} have not arrived: {', '.join(rules)}. "
            "More iterations (descent.num_steps) or other step sizes may help."
        )
    for share, meaning in _SHARES.items():
        shares = {rule: getattr(values.share, share) for rule, values in descent.rules.items()}
        found = [f"{rule} {part:.0%}" for rule, part in shares.items() if part > 0]
        if found:
            lines.append(f"Pairs that {meaning}: {', '.join(found)}.")
    _read(console, *lines)


def _table(columns: Sequence[str]) -> Table:
    # A name that begins with < is of a column of text.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        text = name.startswith("<")
        table.add_column(name[text:], justify="left" if text else "right")
    return table


def _print(console: Console, title: str, table: Table) -> None:
    # As a title of the table it would be wrapped to the table's width.
    console.print(title, style="bold")
    console.print(table, soft_wrap=False)


def _read(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), style="italic"), soft_wrap=False)
    console.print()


def _span(span: Sequence[float]) -> str:
    return f"[{span[0]:g}, {span[1]:g}]"


def _bracket(end: End) -> str:
    # What is 0 within its error is 0.
    left, right = (
        0.0 if abs(value) <= error else value
        for value, error in ((end.left, end.left_error), (end.right, end.right_error))
    )
    return _pair(left, right)


def _pair(left: float, right: float) -> str:
    return f"{_number(left)}, {_number(right)}"


def _step(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}" if value else "none"


def _number(value: float, *, least: float = 1e-9) -> str:
    return "0" if abs(value) <= least else f"{value:.3g}"


def _exponent(found: Exponent) -> str:
    if not found.determinable:
        return "-"
    off = max(found.high - found.slope, found.slope - found.low)
    return f"{found.slope:z.2f} ±{off:.2f}"


def verdict(anatomies: Sequence[Anatomy]) -> str:
    """Sum up a loss at its match in one or two sentences, from its anatomies at all lengths."""
    ends = [end for found in anatomies for end in (found.start, found.end)]
    slopes = [slope for end in ends for slope in (end.left, end.right)]
    smooth = all(found.smooth for found in anatomies)
    # The first that holds.
    verdicts = (
        (any(map(math.isnan, slopes)),
         "Some slopes at the match are undetermined: as steps get shorter, the differences settle too slowly, or "
         "not at all."),
        (not all(end.minimum for end in ends),
         "The match is not a minimum along both boundaries, at least not for every length."),
        (any(map(math.isinf, slopes)),
         "A minimum with an infinite slope: differences grow without bound as steps get shorter, as at a jump, at "
         "a cusp, or where the slope goes as a logarithm."),
        (all(found.sharp for found in anatomies),
         "Sharp: the match is a minimum and 0 lies between the slopes, but the gradient stays large right beside the "
         "minimum and does not get smaller with the loss: only a falling step size brings the boundaries to rest."),
        (smooth and any(end.curvature == math.inf for end in ends),
         "The gradient goes to 0 with the loss, but the curvature is infinite: plain gradient descent settles "
         "with no constant step."),
        (smooth and any(math.isnan(found.largest_stable_step) for found in anatomies),
         "The gradient goes to 0 with the loss; the curvature is undetermined, at least for some length."),
        (smooth,
         "Smooth: the gradient goes to 0 with the loss. Plain gradient descent settles with a constant step below "
         "the largest stable one."),
        (True, "A minimum, but neither sharp nor smooth at both boundaries and at every length."),
    )  # fmt: skip
    return next(text for holds, text in verdicts if holds)
