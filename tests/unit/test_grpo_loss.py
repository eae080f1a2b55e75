import math
from dataclasses import replace

import pytest
import torch

from speechqa_plugin.grpo.loss import LOSS_TYPES, GRPOLoss, UpdateSize
from speechqa_plugin.grpo.policy import TokenLogps
from speechqa_plugin.models.completions import Completions

every_type = pytest.mark.parametrize("loss_type", LOSS_TYPES)


def case(requires_grad=True):
    """Six completions of unequal lengths, the last one without any token to train on."""
    generator = torch.Generator().manual_seed(4)
    logps, old, ref = (-3 * torch.rand(6, 5, generator=generator) for _ in range(3))
    old = logps + (old + 1.5) / 3  # ratios from .6 to 1.6
    advantages = torch.tensor([1.0, -0.5, 0.3, -1.0, 0.2, 0.7])
    mask = torch.arange(5) < torch.tensor([5, 2, 3, 1, 4, 0])[:, None]
    return logps.requires_grad_(requires_grad), advantages, mask, old, ref


def grpo_loss(
    logps,
    advantages,
    mask,
    old_logps=None,
    ref_logps=None,
    entropies=None,
    sampled_logps=None,
    update=None,
    **options,
):
    """Loss and statistics of completions that hold these; DAPO's, unless they say another."""
    completions = Completions(
        torch.zeros(logps.shape, dtype=torch.long),
        mask.bool(),
        group_size=1,
        sampled_logps=sampled_logps,
        advantages=advantages if advantages.dim() == 2 else advantages[:, None],
        old_logps=old_logps,
        ref_logps=ref_logps,
    )
    options = {"loss_type": "dapo", "epsilon_high": 0.28, **options}
    return GRPOLoss(**options)(TokenLogps(logps, entropies), completions, update=update)


def gradient(logps, *args, **kwargs):
    logps = logps.detach().requires_grad_()
    loss, _ = grpo_loss(logps, *args, max_new_tokens=8, **kwargs)
    loss.backward()
    return loss.detach(), logps.grad


def test_on_policy_the_gradient_is_reinforce():
    logps, advantages, mask, _, _ = case()
    _, found = gradient(logps, advantages, mask, loss_type="dapo")
    reinforce = -(advantages[:, None] * logps)[mask].sum() / mask.sum()
    reinforce.backward()
    torch.testing.assert_close(found, logps.grad)


def test_a_better_completion_becomes_more_likely():
    logps, advantages, mask, old, _ = case()
    _, found = gradient(logps, advantages, mask)
    assert (torch.sign(found) == -torch.sign(advantages[:, None]) * mask).all()


@pytest.mark.parametrize(
    "ratio, advantage, moves",
    [(1.27, 1, True), (1.29, 1, False), (1.29, -1, True)]
    + [(0.81, -1, True), (0.79, -1, False), (0.79, 1, True)],
)
def test_clipping_stops_only_what_has_gone_too_far(ratio, advantage, moves):
    old = torch.tensor([[-2.0]])
    logps = old + math.log(ratio)
    args = (torch.tensor([float(advantage)]), torch.ones(1, 1), old)
    _, found = gradient(logps, *args, epsilon_low=0.2, epsilon_high=0.28)
    assert bool(found.any()) == moves
    _, statistics = grpo_loss(logps, *args)
    log = statistics.as_log()
    assert log["clip_ratio/region_mean"] == (not moves)
    assert log["clip_ratio/high_mean"] == (not moves and advantage > 0)
    assert log["clip_ratio/low_min"] == (not moves and advantage < 0)


@every_type
def test_what_is_masked_has_no_influence(loss_type):
    logps, advantages, mask, old, ref = case()
    kwargs = {"loss_type": loss_type, "beta": 0.1}
    loss, grad = gradient(logps, advantages, mask, old, ref, **kwargs)
    assert (grad[~mask] == 0).all()
    garbage = torch.where(mask, 0.0, math.nan)
    dirty, dirty_grad = gradient(
        logps + garbage, advantages, mask, old + garbage, ref - garbage, **kwargs
    )
    assert torch.equal(loss, dirty) and torch.equal(grad, dirty_grad)
    wider = [torch.nn.functional.pad(t, (0, 3)) for t in (logps, mask, old, ref)]
    wide, wide_grad = gradient(wider[0], advantages, *wider[1:], **kwargs)
    torch.testing.assert_close(wide, loss)
    torch.testing.assert_close(wide_grad[:, :5], grad)


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo"])
def test_micro_batches_add_up_to_the_update(loss_type):
    logps, advantages, mask, old, ref = case()
    kwargs = {"loss_type": loss_type, "beta": 0.1}
    loss, grad = gradient(logps, advantages, mask, old, ref, **kwargs)
    _, statistics = grpo_loss(logps, advantages, mask, old, ref, ref, max_new_tokens=8, **kwargs)
    update = UpdateSize(completions=6, tokens=int(mask.sum()), micro_batches=3)
    rows = [slice(0, 1), slice(1, 4), slice(4, 6)]
    parts = [[t[r] for t in (logps, advantages, mask, old, ref)] for r in rows]
    shares = [gradient(*part, update=update, **kwargs) for part in parts]
    torch.testing.assert_close(sum(share for share, _ in shares), loss)
    torch.testing.assert_close(torch.cat([g for _, g in shares]), grad)
    together = [
        grpo_loss(*part, part[-1], update=update, max_new_tokens=8, **kwargs)[1] for part in parts
    ]
    total = together[0] + together[1] + together[2]
    assert total.as_log() == pytest.approx(statistics.as_log())


def test_bnpo_is_the_mean_of_its_micro_batches():
    logps, advantages, mask, old, _ = case()
    rows = [slice(0, 2), slice(2, 6)]
    parts = [[t[r] for t in (logps, advantages, mask, old)] for r in rows]
    update = UpdateSize(6, int(mask.sum()), micro_batches=2)
    shares = [grpo_loss(*p, loss_type="bnpo", update=update)[0] for p in parts]
    alone = [grpo_loss(*p, loss_type="dapo")[0] for p in parts]
    torch.testing.assert_close(sum(shares), sum(alone) / 2)


@every_type
def test_a_group_without_advantage_has_exactly_no_gradient(loss_type):
    logps, advantages, mask, old, _ = case()
    loss, grad = gradient(logps, advantages * 0, mask, old, loss_type=loss_type)
    assert loss == 0 and (grad == 0).all()


@every_type
def test_an_empty_micro_batch_is_a_zero_that_can_be_differentiated(loss_type):
    logps, advantages, mask, _, ref = case()
    loss, grad = gradient(logps, advantages, mask & False, None, ref, loss_type=loss_type, beta=0.1)
    assert loss == 0 and (grad == 0).all()
    _, statistics = grpo_loss(logps, advantages, mask & False)
    assert math.isnan(statistics.as_log()["clip_ratio/low_min"])


def test_the_first_step_of_an_update_is_on_policy():
    logps, advantages, mask, _, _ = case()
    _, statistics = grpo_loss(logps, advantages, mask, logps.detach(), logps.detach(), beta=0.1)
    log = statistics.as_log()
    assert log["kl"] == log["clip_ratio/region_mean"] == 0.0


def test_kl_is_zero_at_the_reference_and_pulls_towards_it():
    logps, advantages, mask, _, ref = case()
    loss, grad = gradient(logps, advantages * 0, mask, None, ref, beta=0.5)
    ratio = (ref - logps).exp()
    expected = 0.5 * (ratio - ratio.log() - 1)[mask].mean().detach()
    assert float(loss) == pytest.approx(float(expected)) and loss > 0
    assert (torch.sign(grad)[mask] == torch.sign(logps - ref)[mask]).all()


def test_advantages_may_differ_between_tokens():
    logps, advantages, mask, old, _ = case()
    spread = advantages[:, None].expand_as(logps)
    torch.testing.assert_close(
        gradient(logps, spread, mask, old), gradient(logps, advantages, mask, old)
    )
    _, halves = gradient(logps, torch.where(torch.arange(5) < 2, spread, 0.0), mask, old)
    assert halves[:, :2].any() and not halves[:, 2:].any()


def test_entropy_is_a_mean_over_tokens_and_kl_is_left_out_without_reference():
    logps, advantages, mask, _, _ = case()
    entropies = torch.rand(6, 5)
    _, statistics = grpo_loss(logps, advantages, mask, entropies=entropies)
    log = statistics.as_log()
    assert log["entropy"] == pytest.approx(float(entropies[mask].mean())) and "kl" not in log
    assert "entropy" not in replace(statistics, entropy=None).as_log()


def test_how_far_tokens_were_drawn_from_the_policy_that_drew_them():
    """Whatever has become of it since, and over micro-batches of unequal sizes."""
    logps, advantages, mask, old, _ = case()
    mean, largest = (f"sampling/sampling_logp_difference/{k}" for k in ("mean", "max"))
    sampled = old + 0.1 * torch.randn(6, 5)
    wanted = (sampled - old).abs()[mask]
    columns = (logps, advantages, mask, old)
    rows = [[column[some] for column in columns] for some in (slice(0, 2), slice(2, 6))]
    _, whole = grpo_loss(*columns, sampled_logps=sampled)
    (_, first), (_, second) = (
        grpo_loss(*part, sampled_logps=drawn)
        for part, drawn in zip(rows, (sampled[:2], sampled[2:]), strict=True)
    )
    for statistics in (whole, first + second):
        log = statistics.as_log()
        assert log[mean] == pytest.approx(float(wanted.mean()))
        assert log[largest] == pytest.approx(float(wanted.max()))
    _, on_policy = grpo_loss(logps, advantages, mask, sampled_logps=logps.detach())
    assert on_policy.as_log()[largest] == 0.0
    _, without = grpo_loss(*columns)
    assert mean not in without.as_log()


def test_cut_completions_can_be_kept_from_the_loss():
    mask = torch.arange(4) < torch.tensor([4, 2, 4, 1])[:, None]
    finished = torch.tensor([False, True, True, True])
    written = Completions(mask.long(), mask, group_size=2, finished=finished)
    assert torch.equal(GRPOLoss().mask(written).loss_mask, mask)
    kept = GRPOLoss(mask_truncated=True).mask(written).loss_mask
    assert torch.equal(kept.any(dim=-1), finished)
    assert torch.equal(kept[finished], mask[finished])
    logps = -torch.rand(4, 4)
    written = replace(written, advantages=torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]))
    masked = GRPOLoss(mask_truncated=True).mask(written)
    loss, statistics = GRPOLoss()(TokenLogps(logps), masked)
    assert loss == GRPOLoss()(TokenLogps(logps), replace(written, loss_mask=kept))[0]
    assert statistics.tokens == 7


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"loss_type": "ppo"}, "'ppo'; known are grpo"),
        ({"beta": 0.1}, "there are no ref_logps"),
        ({"loss_type": "dr_grpo"}, "give max_new_tokens"),
        ({"advantages": torch.zeros(5)}, r"advantages have shape \(5, 1\)"),
        ({"old_logps": torch.zeros(6, 4)}, r"old_logps have shape \(6, 4\)"),
    ],
)
def test_wrong_arguments_are_refused(kwargs, message):
    logps, advantages, mask, _, _ = case()
    with pytest.raises(ValueError, match=message):
        grpo_loss(**{"logps": logps, "advantages": advantages, "mask": mask, **kwargs})
