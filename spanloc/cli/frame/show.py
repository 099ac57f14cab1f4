"""Tables and progress in a terminal."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from spanloc.cli.frame.stopping import is_child
from spanloc.reports.table import NONE
from spanloc.reports.table import Table as ReportTable

log = logging.getLogger(__name__)
Item = TypeVar("Item")
MOST_PRINTED = 15


def plain_console() -> Console:
    """A console for lines as they are: no markup, which names may look like, no colours, no line breaks.

    Of several processes of a run only the first prints.
    """
    plain: dict[str, Any] = dict.fromkeys(("markup", "emoji", "highlight"), False)
    return Console(soft_wrap=True, quiet=is_child(), **plain)


def log_to_file(line: str) -> None:
    """Write a line that is printed in another way to the log file of the run."""
    entry = log.makeRecord(log.name, logging.INFO, "", 0, line, (), None)
    for handler in logging.root.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(entry)


def with_progress(items: Iterable[Item], count: int, noun: str) -> Iterator[Item]:
    """The items, with a bar of progress and the time left; some lines where there is no terminal."""
    console = plain_console()
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), noun, TimeRemainingColumn())
        plain = sys.stdout
        with Progress(*columns, console=console, transient=True) as progress, _logging_from(plain):
            yield from progress.track(items, total=count)
        return
    line = progress_lines(noun)
    line(0, count)  # starts the clock
    for number, item in enumerate(items, 1):
        yield item
        line(number, count)


def progress_lines(noun: str) -> Callable[[int, int], None]:
    """Return a call that takes the numbers of items that are done and of all, and logs a line now and then."""
    begin = time.monotonic()
    pace: Any = None

    def line(done: int, total: int) -> None:
        nonlocal pace
        seconds = time.monotonic() - begin
        # Lightning, which it imports, takes longer than most checks of data.
        if seconds < 2 and "spanloc.training.callbacks" not in sys.modules:
            return
        from spanloc.training.callbacks.pace import Pace, counted

        pace = pace or Pace()
        if pace.due() and 0 < done < total:
            log.info("%s", counted(done, total, noun, seconds))

    return line


@contextmanager
def _logging_from(plain: Any) -> Iterator[None]:
    # The bar has put a stream in the place of stdout that keeps lines above it; handlers know the old one.
    handlers: list[Any] = [h for h in logging.root.handlers if getattr(h, "stream", None) is plain]
    for handler in handlers:
        handler.setStream(sys.stdout)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(plain)


def show_metrics(
    metrics: Mapping[str, float], folder: Path, title: str = "Result", lines: Sequence[str] = ()
) -> None:
    """Print a table of metrics, lines about them, and the folder of the results."""
    console = plain_console()
    rows = [{"metric": name, "value": f"{value:.4f}"} for name, value in metrics.items()]
    show_table(console, ReportTable(title, rows), most=len(rows))
    console.print(*lines, f"Everything is in {folder}", sep="\n")


def show_table(
    console: Console, table: ReportTable, *, most: int = MOST_PRINTED, notes: bool = False
) -> None:
    """Print the main columns and first rows of a table of a report, with its notes if wanted."""
    shown = Table(title=table.title)
    # A column without a single value only takes room from the others.
    columns = [
        name
        for name in table.brief or table.columns
        if any(row[name].text != NONE for row in table.cells)
    ]
    for name in columns:
        justify: Any = "left" if name == columns[0] else "right"
        # Text from a file of a run may look like markup.
        shown.add_column(Text(name), justify=justify, overflow="fold")
    for row in table.cells[:most]:
        shown.add_row(*(Text(row[name].text) for name in columns))
    if columns:
        console.print(shown, soft_wrap=False)
    for note in table.notes if notes else ():
        console.print(note, soft_wrap=False)
    show_rest(console, len(table.rows), most)


def show_rest(console: Console, count: int, most: int = MOST_PRINTED) -> None:
    """Print the number of rows that were left out, if there are any."""
    if count > most:
        console.print(f"and {count - most} more, in the page")
