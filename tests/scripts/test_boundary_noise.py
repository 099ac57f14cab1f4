"""What the study of boundaries measures: changes of a signal, and the noise of three measurements."""

import boundary_noise as study
import numpy as np
import pandas as pd
import pytest
import torch

from spanloc.structures import Predictions, Sample, Timeline

RATE = 50.0


def signal(seconds=20, at=8.0, mean=0.0, scale=3.0):
    values = np.random.default_rng(0).normal(size=(round(seconds * RATE), 2))
    after = np.arange(len(values)) >= at * RATE
    return np.where(after[:, None], mean + scale * values, values)


@pytest.mark.parametrize(("mean", "scale"), [(3.0, 1.0), (0.0, 3.0)])
@pytest.mark.parametrize("around", [7.5, 8.0, 8.9])
def test_a_change_of_mean_or_variance_is_found_to_a_few_steps(mean, scale, around):
    found = study.change(signal(mean=mean, scale=scale), RATE, around, 1.5)
    assert found == pytest.approx(8.0, abs=5 / RATE)


def test_a_change_is_looked_for_no_further_than_wanted():
    assert abs(study.change(signal(), RATE, 6.0, 1.0) - 6.0) <= 1.0


def test_three_measurements_give_the_noise_of_each():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 100, 20000)
    one, two, three = (pd.Series(true + rng.normal(0, s, len(true))) for s in (0.3, 0.1, 0.2))
    assert study.noise(one, two, three) == pytest.approx(0.3, rel=0.05)
    assert study.noise(two, one, three) == pytest.approx(0.1, rel=0.15)
    assert study.noise(three, one, two) == pytest.approx(0.2, rel=0.1)


class Exact:
    """A model that starts half a second late."""

    classes = ("walk", "turn")

    def predict(self, values, rate):
        spans = torch.tensor([[8.5, 14.0], [3.0, 8.0], [3.0, 4.0]])
        labels, places = torch.tensor([0, 1, 1]), torch.zeros(3, dtype=torch.int64)
        return Predictions(spans, labels, places, ("r",), scores=torch.tensor([0.9, 0.8, 0.7]))


def test_boundaries_have_their_neighbours_and_three_times():
    spans = torch.tensor([[8.0, 14.0], [3.0, 8.0]]) * RATE
    features = torch.from_numpy(signal().T).float()
    sample = Sample("r", features, spans, torch.tensor([0, 1]), Timeline(1 / RATE))
    rows = study.boundaries(Exact(), sample)
    assert [row.kind for row in rows] == ["turn | walk", "walk | -", "- | turn", "turn | walk"]
    assert [row.model - row.label for row in rows] == pytest.approx([0.5, 0, 0, 0])
    assert rows[0].signal == pytest.approx(8.0, abs=0.1)
    table = study.summary(pd.DataFrame(rows), np.random.default_rng(0)).set_index("kind")
    assert table.loc["turn | walk", "boundaries"] == 2
    # Half a second of six is more than 5 %, and it is nearer to the change than to the model.
    assert table.loc["turn | walk", "wrong by > 5 %"] == 1
