"""What there is to know about annotated recordings before training, and all that is wrong."""

from spanloc.data.survey.recordings import survey_records
from spanloc.data.survey.result import SEVERITIES, Finding, Survey

__all__ = ["SEVERITIES", "Finding", "Survey", "survey_records"]
