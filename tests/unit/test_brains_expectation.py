"""What expected scores are drawn to: labels, and what the start hears."""

import pytest
import tiny
import torch

from speechqa_plugin.brains.expectation import Expectation
from speechqa_plugin.grpo.expectation import aim, expectation_losses
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.rewards import AnswerFormat, Composite, ExpectedScore, ScoreAccuracy, Unified

VALUES = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def answerer():
    return tiny.unsure_answerer()


def expectation(answerer, weights, **options):
    """Of rewards of expected scores with these weights, by dimension."""
    rewards = [*map(ExpectedScore, weights), AnswerFormat()]
    return Expectation(Composite(rewards, [*weights.values(), 1.0]), answerer, **options)


def test_one_target_pulls_as_label_and_teacher_do_together(answerer):
    """Its gradient is the sum of theirs, each taken by autograd from its own formula."""
    logits = torch.randn(4, 1, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    expected = (logits.softmax(-1) * torch.tensor(VALUES)).sum(-1)[:, 0]
    by_hand = (2 * ((expected - 4.5) / 4) ** 2 + 7 * ((expected - 1.25) / 4) ** 2).sum()
    drawn = expectation(answerer, {"mos": 2.0}, teacher_weight=7.0)
    targets = drawn.target({"mos": 4.5}, {"mos": 1.25})
    ids = torch.ones(4, 1, dtype=torch.long)
    completions = aim(Completions(ids, ids > 0, 1), [{0: targets["mos"]}] * 4)
    together = expectation_losses(logits.log_softmax(-1), VALUES, completions).sum()
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (together, by_hand))
    )


def test_without_a_teacher_the_label_is_the_target(answerer):
    labels = {"noise": 2.0, "mos": 5.0}
    assert expectation(answerer, {"mos": 2.0}).target(labels, labels) == {"mos": (5.0, 2.0)}
    assert expectation(answerer, {"mos": 2.0}).target(labels, {"mos": 1.0}) == {"mos": (5.0, 2.0)}
    weighed = expectation(answerer, {"mos": 2.0, "noise": 0.0}, error_weight=4.0)
    assert weighed.target(labels, labels) == {"mos": (5.0, 4.0)}
    taught = expectation(answerer, {"mos": 1.0, "noise": 1.0}, teacher_weight=3.0)
    assert taught.target(labels, {"mos": 3.0, "noise": 2.0})["mos"] == (3.5, 4.0)
    for composite in (Composite([ScoreAccuracy("mos")], [1.0]), Unified([AnswerFormat()], [1.0])):
        assert Expectation(composite, answerer).target(labels, labels) == {}
