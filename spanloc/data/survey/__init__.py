"""What there is to know about annotated recordings before training, and all that is wrong."""

from spanloc.data.annotations.rows import Case
from spanloc.data.survey.recordings import survey_records
from spanloc.data.survey.result import SEVERITIES, Finding, Survey

__all__ = ["SEVERITIES", "Case", "Finding", "Survey", "survey_records"]
