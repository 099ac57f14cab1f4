"""Laws that every matcher keeps, over every file of ``configs/matcher``."""

from dataclasses import replace

import pytest
import torch
import yaml
from conftest import CONFIGS, make_batch, points_model, query_model, single_model

from spanloc import matching
from spanloc.config.build import build
from spanloc.structures import collate

MATCHERS = {
    path.stem: build(yaml.safe_load(path.read_text()))
    for path in sorted((CONFIGS / "matcher").glob("*.yaml"))
}
MODELS = {"center": points_model, "first": single_model, "hungarian": query_model}
MODELS |= {"aligned": points_model, "simota": points_model}
every_matcher = pytest.mark.parametrize("name", MATCHERS)


def case(name, lengths=(90, 61, 40), num_targets=(6, 3, 0), seed=0):
    batch = make_batch(lengths, num_targets=num_targets, seed=seed)
    torch.manual_seed(0)
    return MODELS[name]()(batch.features, batch.mask), batch


def test_every_public_matcher_is_in_a_config_and_has_a_model_here():
    named = {matcher.func.__name__ for matcher in MATCHERS.values()}
    assert named == set(matching.__all__) - {"Matcher"}
    assert MODELS.keys() == MATCHERS.keys()


@every_matcher
def test_an_index_is_that_of_a_target_or_none(name):
    output, batch = case(name)
    index = MATCHERS[name](output, batch)
    assert index.dtype == torch.int64
    assert index.shape == output.mask.shape
    count = batch.target_mask.sum(1, keepdim=True)
    assert (index >= -1).all()
    assert (index < count).all()
    assert (index >= 0).any()
    assert (index[2] == -1).all()


@every_matcher
def test_what_lies_in_the_padding_answers_for_nothing(name):
    output, batch = case(name)
    # Targets that reach into the padding, of a sequence that is shorter than the batch.
    spans = batch.spans.clone()
    spans[1, :3] = torch.tensor([[50.0, 90.0], [70.0, 80.0], [60.0, 64.0]])
    index = MATCHERS[name](output, replace(batch, spans=spans))
    assert (index[~output.mask] == -1).all()


@every_matcher
def test_targets_that_are_padding_are_not_matched_whatever_they_hold(name):
    output, batch = case(name)
    index = MATCHERS[name](output, batch)
    spans = torch.where(batch.target_mask[..., None], batch.spans, torch.tensor([10.0, 20.0]))
    assert torch.equal(MATCHERS[name](output, replace(batch, spans=spans)), index)


@every_matcher
def test_a_batch_is_matched_as_its_singles_are(name):
    output, batch = case(name)
    index = MATCHERS[name](output, batch)
    for i, sample in enumerate(batch.split()):
        single = collate([sample])
        torch.manual_seed(0)
        alone = MODELS[name]()(single.features, single.mask)
        found = MATCHERS[name](alone, single)
        assert found[0][alone.mask[0]].tolist() == index[i][output.mask[i]].tolist()


@every_matcher
def test_without_targets_nothing_is_matched(name):
    output, batch = case(name, num_targets=(0, 0, 0))
    assert (MATCHERS[name](output, batch) == -1).all()


@every_matcher
def test_matching_takes_no_gradient(name):
    output, batch = case(name)
    assert not MATCHERS[name](output, batch).requires_grad


def test_the_prediction_answers_for_the_first_target_if_there_is_one():
    batch = make_batch((40, 23), num_targets=(2, 0))
    output = single_model()(batch.features, batch.mask)
    assert matching.match_single(output, batch).tolist() == [[0], [-1]]


def test_a_head_with_points_is_refused():
    batch = make_batch((40, 23), num_targets=(2, 0))
    output = points_model()(batch.features, batch.mask)
    with pytest.raises(
        ValueError, match=r"one prediction per sequence, .* gives \d+; .*match_points"
    ):
        matching.match_single(output, batch)
