"""Survey of annotated recordings before training: counts, and all that is wrong."""

from spanloc.data.annotations.rows import Case
from spanloc.data.survey.recordings import divided, survey_records
from spanloc.data.survey.result import SEVERITIES, Finding, Survey

__all__ = ["SEVERITIES", "Case", "Finding", "Survey", "divided", "survey_records"]
