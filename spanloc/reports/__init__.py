"""Pages and tables over runs."""

from spanloc.reports.groups import Difference, Group, Summary, compare, group_runs, summarize
from spanloc.reports.learning_curve import LearningCurve, by_metric, learning_curves
from spanloc.reports.page import markdown, page
from spanloc.reports.result import Diagnosis, ScoreResult
from spanloc.reports.runs import Run, find_runs, read_run
from spanloc.reports.score_tables import confusion_table, oracle_table, score_tables
from spanloc.reports.scores import count_rows, notes, score_page
from spanloc.reports.table import NONE, Cell, Table
from spanloc.reports.tables import (
    comparison_table,
    count_states,
    error_table,
    gradient_table,
    group_table,
    run_table,
)

__all__ = [
    "NONE",
    "Cell",
    "Diagnosis",
    "Difference",
    "Group",
    "LearningCurve",
    "Run",
    "ScoreResult",
    "Summary",
    "Table",
    "by_metric",
    "compare",
    "comparison_table",
    "confusion_table",
    "count_rows",
    "count_states",
    "error_table",
    "find_runs",
    "gradient_table",
    "group_runs",
    "group_table",
    "learning_curves",
    "markdown",
    "notes",
    "oracle_table",
    "page",
    "read_run",
    "run_table",
    "score_page",
    "score_tables",
    "summarize",
]
