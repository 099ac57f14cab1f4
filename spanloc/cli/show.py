"""Tables and progress in a terminal."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from spanloc.cli.stopping import is_child
from spanloc.reports.table import NONE
from spanloc.reports.table import Table as ReportTable

log = logging.getLogger(__name__)
Item = TypeVar("Item")
MOST_PRINTED = 15


def plain_console() -> Console:
    """A console that prints text as it is: names of folders and of classes may look like markup.

    Of several processes of a run the first prints.
    """
    return Console(markup=False, emoji=False, quiet=is_child())


def with_progress(items: Sequence[Item], noun: str) -> Iterator[Item]:
    """The items, and how many are done and how long the rest takes: a bar, or without a terminal some lines.

    Args:
        noun: What an item is, in the plural.
    """
    console = plain_console()
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), noun, TimeRemainingColumn())
        plain = sys.stdout
        with Progress(*columns, console=console, transient=True) as progress, _logging_from(plain):
            yield from progress.track(items)
        return
    from spanloc.training.callbacks.pace import Pace, counted

    pace = Pace()
    for number, item in enumerate(items, 1):
        yield item
        if pace.due() and number < len(items):
            log.info("%s", counted(number, len(items), noun, pace.elapsed))


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


def show_metrics(metrics: Mapping[str, float], folder: Path) -> None:
    """Print metrics and where everything is."""
    table = Table("metric", title="Result")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    console = plain_console()
    console.print(table)
    console.print(f"Everything is in {folder}", soft_wrap=True)


def show_table(
    console: Console, table: ReportTable, *, most: int = MOST_PRINTED, notes: bool = False
) -> None:
    """Print the main columns of a table of a report, its first rows, and perhaps its notes."""
    shown = Table(title=table.title)
    # A column without a single figure only takes room from the others.
    columns = [
        name
        for name in table.brief or table.columns
        if any(row[name].text != NONE for row in table.cells)
    ]
    for name in columns:
        justify: Any = "left" if name == columns[0] else "right"
        # What stands in a file of a run may look like markup.
        shown.add_column(Text(name), justify=justify, overflow="fold")
    for row in table.cells[:most]:
        shown.add_row(*(Text(row[name].text) for name in columns))
    if columns:
        console.print(shown)
    for note in table.notes if notes else ():
        console.print(Text(note))
    show_rest(console, len(table.rows), most)


def show_rest(console: Console, count: int, most: int = MOST_PRINTED) -> None:
    """Say how many of so many rows were not printed."""
    if count > most:
        console.print(f"and {count - most} more, in the page")
