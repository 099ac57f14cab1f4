"""Pages and tables over runs."""

from spanloc.report.cells import NONE, Cell
from spanloc.report.find import find_runs
from spanloc.report.groups import Difference, Group, Summary, compare, group_runs, summarize
from spanloc.report.markdown import markdown
from spanloc.report.page import page
from spanloc.report.runs import Run, read_run
from spanloc.report.scores import count_rows, error_table, score_page, score_tables
from spanloc.report.tables import (
    Table,
    comparison_table,
    count_states,
    group_table,
    run_table,
)

__all__ = [
    "NONE",
    "Cell",
    "Difference",
    "Group",
    "Run",
    "Summary",
    "Table",
    "compare",
    "comparison_table",
    "count_rows",
    "count_states",
    "error_table",
    "find_runs",
    "group_runs",
    "group_table",
    "markdown",
    "page",
    "read_run",
    "run_table",
    "score_page",
    "score_tables",
    "summarize",
]
