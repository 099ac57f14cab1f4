"""Random spans with scores and labels."""

import torch
from conftest import random_spans


def scored_spans(count, seed=0, spread=20.0, num_labels=3):
    """Spans, distinct scores in [0, 1), both float64, and labels."""
    random = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=random, dtype=torch.float64)
    labels = torch.randint(num_labels, (count,), generator=random)
    return random_spans(count, seed=seed, spread=spread), scores, labels
