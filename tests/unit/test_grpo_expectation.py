"""The gradient that a reward of an expected value has of its own."""

import pytest
import torch

from speechqa_plugin.grpo.expectation import aim, expectation_losses
from speechqa_plugin.models.completions import Completions

VALUES = (1, 2, 3, 4, 5)


def aimed(rows, width):
    """Completions of as many tokens, with targets."""
    ids = torch.ones(len(rows), width, dtype=torch.long)
    return aim(Completions(ids, ids > 0, group_size=1), rows)


def test_equals_the_reward_by_hand():
    """Weight times squared error over the range, where a number stands; 0 elsewhere."""
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = aimed([{0: (2.5, 4.0), 2: (5.0, 0.5)}, {}], 3)
    losses = expectation_losses(logits.log_softmax(-1), VALUES, targets)
    by_hand = torch.zeros(2, 3)
    for step, value, weight in ((0, 2.5, 4.0), (2, 5.0, 0.5)):
        expected = sum(v * p for v, p in zip(VALUES, logits[0, step].softmax(-1), strict=True))
        by_hand[0, step] = weight * ((expected - value) / 4) ** 2
    torch.testing.assert_close(losses, by_hand)


def test_descent_moves_the_expectation_and_leaves_the_doubt():
    """Towards 3.5 by spreading over digits: the best answer is not one of them."""
    logits = torch.tensor([[[0.0, 4.0, 0.0, 0.0, 0.0]]], requires_grad=True)
    targets = aimed([{0: (3.5, 1.0)}], 1)
    optimizer = torch.optim.SGD([logits], lr=5.0)
    for _ in range(2000):
        optimizer.zero_grad()
        expectation_losses(logits.log_softmax(-1), VALUES, targets).sum().backward()
        optimizer.step()
    probs = logits.softmax(-1)[0, 0]
    assert float((probs * torch.tensor(VALUES)).sum()) == pytest.approx(3.5, abs=0.01)
    assert probs.max() < 0.9


def test_padding_has_no_influence_and_no_gradient():
    """Not even where its log-probabilities are not finite."""
    choices = torch.full((1, 2, 5), -torch.inf)
    choices[0, 0] = torch.zeros(5).log_softmax(-1)
    choices.requires_grad_()
    targets = aimed([{0: (1.0, 1.0)}], 2)
    losses = expectation_losses(choices, VALUES, targets)
    assert losses.tolist() == [pytest.approx([0.25, 0.0])]
    losses.sum().backward()
    assert choices.grad[0, 0].isfinite().all() and (choices.grad[0, 1] == 0).all()


def test_some_completions_of_targets():
    some = aimed([{0: (1.0, 1.0)}, {1: (2.0, 3.0)}], 3).take(torch.tensor([1]))
    assert some.target_values.tolist() == [[0.0, 2.0, 0.0]]
    assert some.target_weights.tolist() == [[0.0, 3.0, 0.0]]
