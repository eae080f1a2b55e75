"""A reward is a metric turned towards one completion; one kind of reward a file.

Each has a ``name`` and is called with N parsed completions and N references. It gives N values in
[0, 1]; None where the reference has no such target, and 0, not None, where the completion cannot
be read. Rewards are pure, and what goes wrong in one is raised. `Composite` lines them up.
"""

from speechqa_plugin.rewards.answer_format import AnswerFormat
from speechqa_plugin.rewards.artifacts import KindF1, KindPresence, TypeF1
from speechqa_plugin.rewards.base import Part, Reward, RowReward, per_dimension, per_kind
from speechqa_plugin.rewards.composite import Composite
from speechqa_plugin.rewards.consistency import Consistency
from speechqa_plugin.rewards.description import (
    DescriptionRouge,
    DescriptionSimilarity,
    PolarityAware,
    SectionSimilarity,
)
from speechqa_plugin.rewards.judge import DescriptionJudge, JudgeReward, judge_per_dimension
from speechqa_plugin.rewards.scores import ExpectedScore, ScoreAccuracy, SoftScore
from speechqa_plugin.rewards.times import IntervalF1, TemporalIoU
from speechqa_plugin.rewards.trl_function import TRLReward
from speechqa_plugin.rewards.unified import Unified

__all__ = [
    "AnswerFormat",
    "Composite",
    "Consistency",
    "DescriptionJudge",
    "DescriptionRouge",
    "DescriptionSimilarity",
    "ExpectedScore",
    "IntervalF1",
    "JudgeReward",
    "KindF1",
    "KindPresence",
    "Part",
    "PolarityAware",
    "Reward",
    "RowReward",
    "ScoreAccuracy",
    "SectionSimilarity",
    "SoftScore",
    "TRLReward",
    "TemporalIoU",
    "TypeF1",
    "Unified",
    "judge_per_dimension",
    "per_dimension",
    "per_kind",
]
