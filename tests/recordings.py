"""Folders of annotated recordings, for tests of their formats."""

import numpy as np

RATE = 50


def recording(folder, *names, seconds=10, rate=RATE):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", np.zeros((round(seconds * rate), 2), np.float32))


def said(found):
    """Spans in seconds with their labels, by sequence."""
    return {
        record.id: [
            (*(round(end * record.timeline.seconds_per_step, 3) for end in span), label)
            for span, label in zip(
                record.spans.tolist(),
                [found.classes[i] for i in record.labels.tolist()],
                strict=True,
            )
        ]
        for records in found.subsets.values()
        for record in records
    }
