"""The gradient that a reward of an expected value has of its own."""

import pytest
import torch

from speechqa_plugin.grpo.expectation import Targets, draw_to, expectation_losses

VALUES = (1, 2, 3, 4, 5)


def test_equals_the_reward_by_hand():
    """Weight times squared error over the range, where a number stands; 0 elsewhere."""
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    targets = Targets.of([{0: (2.5, 4.0), 2: (5.0, 0.5)}, {}], 3)
    losses = expectation_losses(logits.log_softmax(-1), VALUES, targets)
    by_hand = torch.zeros(2, 3)
    for step, value, weight in ((0, 2.5, 4.0), (2, 5.0, 0.5)):
        expected = sum(v * p for v, p in zip(VALUES, logits[0, step].softmax(-1), strict=True))
        by_hand[0, step] = weight * ((expected - value) / 4) ** 2
    torch.testing.assert_close(losses, by_hand)


def test_descent_moves_the_expectation_and_leaves_the_doubt():
    """Towards 3.5 by spreading over digits: the best answer is not one of them."""
    logits = torch.tensor([[[0.0, 4.0, 0.0, 0.0, 0.0]]], requires_grad=True)
    targets = Targets.of([{0: (3.5, 1.0)}], 1)
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
    targets = Targets.of([{0: (1.0, 1.0)}], 2)
    losses = expectation_losses(choices, VALUES, targets)
    assert losses.tolist() == [pytest.approx([0.25, 0.0])]
    losses.sum().backward()
    assert choices.grad[0, 0].isfinite().all() and (choices.grad[0, 1] == 0).all()


def test_some_completions_of_targets():
    targets = Targets.of([{0: (1.0, 1.0)}, {1: (2.0, 3.0)}], 3)
    some = targets.take(torch.tensor([1]), 2)
    assert some.values.tolist() == [[0.0, 2.0]] and some.weights.tolist() == [[0.0, 3.0]]


def test_one_target_pulls_as_label_and_teacher_do_together():
    """Its gradient is the sum of theirs, each taken by autograd from its own formula."""
    logits = torch.randn(4, 1, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    expected = (logits.softmax(-1) * torch.tensor(VALUES)).sum(-1)[:, 0]
    by_hand = (2 * ((expected - 4.5) / 4) ** 2 + 7 * ((expected - 1.25) / 4) ** 2).sum()
    targets = draw_to({"mos": 4.5}, {"mos": 2.0}, {"mos": 1.25}, teacher_weight=7.0)
    rows = [{0: targets["mos"]}] * 4
    together = expectation_losses(logits.log_softmax(-1), VALUES, Targets.of(rows, 1)).sum()
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (together, by_hand))
    )


def test_without_a_teacher_the_label_is_the_target():
    labels = {"noi": 2.0, "mos": 5.0}
    assert draw_to(labels, {"mos": 2.0}, teacher_weight=9.0) == {"mos": (5.0, 2.0)}
    assert draw_to(labels, {"mos": 2.0}, {"mos": 1.0}) == {"mos": (5.0, 2.0)}
    assert draw_to(labels, {}, {"mos": 1.0}, 9.0) == {}
