import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from speechqa_plugin.grpo.advantages import AGGREGATIONS, Advantages
from speechqa_plugin.grpo.statistics import stack_rewards
from speechqa_plugin.models.completions import Completions

FLOOR = 0.05
NAN = float("nan")
rewards_arrays = arrays(
    np.float64, (3, 4, 2), elements=st.floats(0, 1, width=16).map(lambda x: round(x, 2))
)
both = pytest.mark.parametrize("aggregation", AGGREGATIONS)


def group_advantages(
    rewards, weights, aggregation="sum_then_normalize", all_reduce=None, **options
):
    return Advantages(aggregation, **options).compare(rewards, weights, all_reduce)


def advantages_of(rewards, weights=(1.0, 0.5), aggregation="sum_then_normalize", **kwargs):
    options = {"aggregation": aggregation, "std_floor": FLOOR, **kwargs}
    found, _ = group_advantages(torch.as_tensor(rewards), weights, **options)
    assert found.shape == rewards.shape
    return found.sum(dim=-1)


@given(rewards_arrays)
def test_sum_then_normalize_is_the_papers_formula(rewards):
    total = rewards @ np.array([1.0, 0.5])
    std = total.std(axis=1, ddof=1, keepdims=True)
    expected = (total - total.mean(axis=1, keepdims=True)) / (std + FLOOR)
    np.testing.assert_allclose(advantages_of(rewards), expected, atol=1e-6)


@given(rewards_arrays)
def test_normalize_then_sum_is_the_papers_formula(rewards):
    std = rewards.std(axis=1, ddof=1, keepdims=True)
    z = (rewards - rewards.mean(axis=1, keepdims=True)) / (std + FLOOR)
    total = z @ np.array([1.0, 0.5])
    expected = (total - total.mean()) / (total.std(ddof=1) + FLOOR)
    found = advantages_of(rewards, aggregation="normalize_then_sum")
    np.testing.assert_allclose(found, expected, atol=1e-6)


@both
@given(rewards=rewards_arrays, missing=arrays(np.bool_, (3, 4)))
def test_a_missing_reward_counts_as_its_siblings_mean(aggregation, rewards, missing):
    missing[:, 0] = False  # someone has the reward
    rewards[..., 1][missing] = NAN
    filled = rewards.copy()
    means = np.nanmean(rewards[..., 1], axis=1, keepdims=True)
    filled[..., 1] = np.where(missing, means, rewards[..., 1])
    found = advantages_of(rewards, aggregation=aggregation)
    assert found.isfinite().all()
    if aggregation == "sum_then_normalize":
        np.testing.assert_allclose(found, advantages_of(filled), atol=1e-6)
    else:  # the standard deviation is over those that have the reward
        neutral = advantages_of(rewards, (0.0, 1.0), aggregation)
        assert (neutral[torch.from_numpy(missing)] == 0).all()


@both
def test_a_reward_that_a_whole_group_lacks_has_no_influence(aggregation):
    rewards = np.random.default_rng(0).random((2, 4, 2))
    rewards[1, :, 1] = NAN
    zero = rewards.copy()
    zero[1, :, 1] = 0.0
    torch.testing.assert_close(
        advantages_of(rewards, aggregation=aggregation),
        advantages_of(zero, aggregation=aggregation),
    )


@both
def test_a_completion_without_rewards_is_left_out(aggregation):
    rewards = torch.tensor([[[1.0], [0.0], [0.5], [NAN]], [[0.2], [0.9], [0.4], [NAN]]])
    found = advantages_of(rewards, [1.0], aggregation)
    assert (found[:, 3] == 0).all()
    torch.testing.assert_close(found[:, :3], advantages_of(rewards[:, :3], [1.0], aggregation))


@both
def test_a_group_of_equal_rewards_is_exactly_zero(aggregation):
    rewards = torch.tensor([[0.1, 0.2]] * 3).expand(2, 3, 2).clone()
    rewards[1, 0] = 1.0
    found = advantages_of(rewards, (0.3, 0.7), aggregation)
    assert (found[0] == 0).all() and (found[1] != 0).all()
    whole = advantages_of(rewards[:1], (0.3, 0.7), aggregation)  # a batch without any variance
    assert (whole == 0).all()
    assert (advantages_of(torch.full((2, 3, 2), NAN), aggregation=aggregation) == 0).all()


@both
def test_what_is_equal_but_for_rounding_is_exactly_zero(aggregation):
    rewards = 0.5 + 6e-8 * torch.rand(3, 4, 2, dtype=torch.float64)
    found, statistics = group_advantages(rewards, [1.0, 1.0], aggregation)
    assert (found == 0).all()
    assert statistics.frac_reward_zero_std == 1.0 and set(statistics.frac_zero_stds) == {1.0}


@both
def test_ranks_that_add_up_their_moments_agree_with_one_process(aggregation):
    rewards = torch.from_numpy(np.random.default_rng(1).random((5, 4, 2)))
    rewards[0, 2, 1] = NAN
    expected, statistics = group_advantages(rewards, (1, 2), aggregation)
    vectors = []

    def collect(vector):
        vectors.append(vector)
        return vector

    parts = rewards.split([2, 3])
    for part in parts:
        group_advantages(part, (1, 2), aggregation, all_reduce=collect)
    assert len(vectors) == 2  # one collective each
    for part, wanted in zip(parts, expected.split([2, 3]), strict=True):
        found, same = group_advantages(
            part, (1, 2), aggregation, all_reduce=lambda _: vectors[0] + vectors[1]
        )
        torch.testing.assert_close(found, wanted)
        assert same.as_log("ab") == pytest.approx(statistics.as_log("ab"))


def test_statistics_are_those_of_the_rewards():
    columns = [[1.0, 0.0, 0.5, 0.5], [None, 1.0, 0.25, 0.25]]
    _, statistics = group_advantages(stack_rewards(columns, 2), [1.0, 2.0])
    log = statistics.as_log(["score", "iou"])
    totals = [1.0 + 2.0, 0.0 + 2.0, 1.0, 1.0]  # the missing one counts as its sibling's
    assert log == pytest.approx(
        {
            "reward": np.mean(totals),
            "reward_std": np.std(totals, ddof=1),
            "frac_reward_zero_std": 0.5,
            "rewards/score/mean": 0.5,
            "rewards/score/std": np.std([1.0, 0.0, 0.5, 0.5], ddof=1),
            "rewards/score/frac_zero_std": 0.5,
            "rewards/score/count": 4,
            "rewards/iou/mean": 0.5,
            "rewards/iou/std": np.std([1.0, 0.25, 0.25], ddof=1),
            "rewards/iou/frac_zero_std": 1.0,
            "rewards/iou/count": 3,
        }
    )


def test_a_weight_of_zero_only_logs():
    rewards = torch.from_numpy(np.random.default_rng(2).random((2, 4, 2)))
    advantages, statistics = group_advantages(rewards, [1.0, 0.0])
    torch.testing.assert_close(advantages[..., :1], group_advantages(rewards[..., :1], [1.0])[0])
    assert (advantages[..., 1] == 0).all()
    assert statistics.counts == (8, 8)


def test_unscaled_advantages_are_deviations():
    rewards = torch.tensor([[[1.0], [0.0], [0.5]]])
    assert advantages_of(rewards, [1.0], scale_rewards=False).tolist() == [[0.5, -0.5, 0.0]]


def test_a_floor_keeps_a_nearly_constant_reward_small():
    rewards = np.random.default_rng(3).random((50, 4, 2))
    rewards[..., 1] = 0.9 + rewards[..., 1] / 100

    def influence(floor):
        found = group_advantages(
            torch.from_numpy(rewards), (1, 1), "normalize_then_sum", std_floor=floor
        )[0].sum(dim=-1)
        noise = rewards[..., 1] - rewards[..., 1].mean(axis=1, keepdims=True)
        return np.corrcoef(found.numpy().ravel(), noise.ravel())[0, 1]

    assert influence(1e-4) > 0.5 and influence(0.05) < 0.2


@pytest.mark.parametrize(
    "columns, group_size, message",
    [
        ([], 2, "0 columns"),
        ([[1.0, 2.0], [1.0]], 1, r"\[1, 2\] rewards"),
        ([[1.0, 2.0, 3.0]], 2, "groups of 2"),
        ([[1.0, 0.0], [0.0, NAN]], 2, "reward 1 of completion 1 is nan"),
        ([[float("inf"), None]], 2, "reward 0 of completion 0 is inf"),
    ],
)
def test_columns_that_are_no_rewards_are_refused(columns, group_size, message):
    with pytest.raises(ValueError, match=message):
        stack_rewards(columns, group_size)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"weights": [1.0, 2.0]}, r"weights \(2,\)"),
        ({"aggregation": "mean"}, "'mean'; known are sum_then_normalize"),
        (
            {"aggregation": "normalize_then_sum", "scale_rewards": False},
            "scale_rewards must be True",
        ),
        ({"std_floor": 0.0}, "above 0"),
        ({"credit": "both"}, "'both'; known are answer, causal"),
    ],
)
def test_wrong_settings_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        group_advantages(torch.zeros(1, 2, 1), **{"weights": [1.0], **kwargs})


@pytest.mark.parametrize("credit", ["answer", "causal"])
def test_tokens_get_what_rewards_give_to_their_completion(credit):
    rng = np.random.default_rng(4)
    rewards, steps = rng.random((6, 2)), rng.integers(0, 4, size=(6, 2)).tolist()
    rewards[3, 1] = NAN
    rows = [[None if np.isnan(r) else r for r in row] for row in rewards.tolist()]
    ids = torch.ones(6, 4, dtype=torch.long)
    written = Completions(ids, ids > 0, group_size=3)
    found, by_reward, statistics = Advantages(credit=credit)(written, rows, [1, 2], steps)
    compared, same = group_advantages(torch.from_numpy(rewards.reshape(2, 3, 2)), [1, 2])
    torch.testing.assert_close(by_reward, compared.flatten(end_dim=1))
    assert statistics.as_log("ab") == same.as_log("ab")
    for n, t in np.ndindex(6, 4):
        counts = [credit == "answer" or t <= steps[n][k] for k in range(2)]
        wanted = sum(by_reward[n, k] for k in range(2) if counts[k])
        assert found.advantages[n, t].item() == pytest.approx(float(wanted), abs=1e-6)
