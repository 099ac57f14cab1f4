"""Pages and tables over runs."""

from spanloc.reports.cells import NONE, Cell
from spanloc.reports.confusion import confusion_table
from spanloc.reports.find import find_runs
from spanloc.reports.groups import Difference, Group, Summary, compare, group_runs, summarize
from spanloc.reports.learning_curve import LearningCurve, by_metric, drawn, learning_curves
from spanloc.reports.markdown import markdown
from spanloc.reports.notes import notes
from spanloc.reports.oracles import oracle_table
from spanloc.reports.page import page
from spanloc.reports.result import Diagnosis, ScoreResult
from spanloc.reports.runs import Run, read_run
from spanloc.reports.scores import count_rows, error_table, score_page, score_tables
from spanloc.reports.tables import (
    Table,
    comparison_table,
    count_states,
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
    "drawn",
    "error_table",
    "find_runs",
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
