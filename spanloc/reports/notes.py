"""What is not wrong with two files, but likely not meant."""

import torch

from spanloc.data.annotations.scored import Scored


def notes(scored: Scored) -> list[str]:
    """Sentences, without their full stop, for what was left out and for what lowers or lifts figures."""
    spans, scores = scored.predictions.spans, scored.predictions.scores
    true = scored.targets
    found = [f"left out: {line}" for problems in scored.problems for line in problems.lines()]
    if any("an unknown sequence" in problems.counts() for problems in scored.problems):
        found.append(
            "predictions for sequences that the annotations do not have are not held against them; "
            "if there is nothing in these, list them there"
        )
    asked = true.places.unique()
    silent = int((~torch.isin(asked, scored.predictions.places)).sum())
    if not len(spans):
        found.append("there are no predictions at all")
    elif silent:
        found.append(f"{silent:,} of {len(asked):,} sequences with annotations have no prediction")
    if len(spans) and bool((scores == scores[0]).all()) and len(spans) > 1:
        found.append("all scores are equal, so that the order of the predictions decides")
    rows = torch.cat([true.spans, true.labels[:, None], true.places[:, None]], 1)
    twice = len(rows) - len(rows.unique(dim=0))
    if twice:
        found.append(f"{twice:,} annotations are there twice")
    empty = int((true.spans[:, 0] == true.spans[:, 1]).sum())
    if empty:
        found.append(f"{empty:,} annotations are empty, which nothing can match")
    return found
