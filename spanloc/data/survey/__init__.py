"""Survey of annotated recordings before training: counts, and all that is wrong."""

from spanloc.data.survey.recordings import divided, survey_records

__all__ = ["divided", "survey_records"]
