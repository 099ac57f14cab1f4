"""What predictions score and what their errors are, as a page."""

from spanloc import plots
from spanloc.files import counted
from spanloc.reports.pages import render
from spanloc.reports.result import ScoreResult
from spanloc.reports.score_tables import confusion_table, oracle_table, score_tables, setting_table


def score_page(scores: ScoreResult) -> str:
    """What ``scores.json`` holds as one page."""
    diagnosis, found = scores.diagnosis, scores.reliability
    figures, errors, targets, sensitivity, labels = score_tables(scores)
    return render(
        "scores.html",
        "Scores and errors",
        whose=" against ".join(filter(None, (scores.predictions, scores.annotations))),
        counts=count_rows(scores),
        scores=scores,
        tables=[
            errors,
            *([oracle_table(scores.oracles)] if scores.oracles is not None else []),
            *(targets, sensitivity, labels),
            *([confusion_table(scores)] if scores.confusion is not None else []),
        ],
        figures=figures,
        settings=setting_table(scores) if scores.settings else None,
        ranks=plots.error_ranks(diagnosis["ranks"]),
        gains=plots.error_gains(diagnosis["gain"]),
        fates=plots.target_fates(diagnosis["targets"]),
        sensitivities=plots.error_sensitivity(diagnosis["sensitivity"], diagnosis["mAP_N"]),
        reliability=plots.reliability(found.counts, found.scores, found.shares) if found else None,
    )


def count_rows(scores: ScoreResult) -> str:
    """In words: how much was scored."""
    diagnosis = scores.diagnosis
    subset = f" of the subset {scores.subset}" if scores.subset else ""
    return (
        f"{counted(diagnosis['num_predictions'], 'prediction')} and "
        f"{counted(diagnosis['num_targets'], 'target')} in "
        f"{counted(scores.num_sequences, 'sequence')}{subset}"
    )
