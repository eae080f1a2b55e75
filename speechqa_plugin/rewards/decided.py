"""Where in a completion the rewards are decided, for `speechqa_plugin.grpo.credit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from speechqa_plugin.rewards.base import Part, Reward, part_of


def last_steps(
    rewards: Sequence[Reward], score_steps: Sequence[Mapping[str, int]], last: int
) -> list[list[int]]:
    """The last token of each completion that can have an influence on each reward.

    Arguments
    ---------
    rewards : sequence of Reward
        K of them.
    score_steps : sequence of mapping from str to int
        For each of N completions, the index of the token that wrote each dimension's score;
        empty where it could not be read.
    last : int
        Index where the whole completion decides.

    Returns
    -------
    list of list of int
        ``[N][K]``.

    Example
    -------
    >>> from speechqa_plugin.rewards import AnswerFormat, DescriptionRouge, ScoreAccuracy
    >>> rewards = [DescriptionRouge(), ScoreAccuracy("mos"), AnswerFormat()]
    >>> last_steps(rewards, [{"noi": 6, "mos": 9}, {}], 20)
    [[5, 9, 20], [20, 20, 20]]
    """
    return [[_last_step(reward, steps, last) for reward in rewards] for steps in score_steps]


def _last_step(reward: Reward, steps: Mapping[str, int], last: int) -> int:
    part = part_of(reward)
    if steps and part == Part.DESCRIPTION:
        return max(min(steps.values()) - 1, 0)  # it stands before the scores
    if steps and part == Part.EXPECTATION:
        return max(steps[reward.dimension] - 1, 0)
    if steps and part == Part.SCORE:
        return steps[reward.dimension]
    return last  # artifacts stand last
