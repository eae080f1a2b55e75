"""Rewards for one dimension's score."""

from __future__ import annotations

from speechqa_plugin.metrics import mae
from speechqa_plugin.rewards.base import Part, RowReward
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, round_score
from speechqa_plugin.text.answers import ParsedAnswer


class _ScoreReward(RowReward):
    metric: str
    part = Part.SCORE

    def __init__(self, dimension: str):
        self.dimension = dimension
        self.name = f"{self.metric}/{dimension}"

    def _both(self, prediction: Assessment, reference: Assessment) -> tuple[float, float]:
        return prediction.scores[self.dimension], reference.scores[self.dimension]


class ScoreAccuracy(_ScoreReward):
    r"""1 if the score is the label's nearest whole one, else 0 (arXiv 2603.10175).

    Arguments
    ---------
    dimension : str
        Name of the dimension.

    Example
    -------
    >>> from speechqa_plugin.text.answers import parse_answer
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3.6))
    >>> answer = parse_answer("noi: 4\ncol: 4\ndis: 4\nloud: 4\nmos: 3", taxonomy, "scores")
    >>> [ScoreAccuracy(name)([answer], [label])[0] for name in ("noi", "mos")]
    [1.0, 0.0]
    """

    metric = "accuracy"

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """1 or 0."""
        said, right = map(round_score, self._both(prediction, reference))
        return float(said == right)


class SoftScore(_ScoreReward):
    r"""1 - |error| / 4, the mean absolute error of one clip over the range of the scale.

    The label is not rounded, so of two neighbouring digits the nearer one earns more; the best
    digit earns 1 if the label is whole and at least .875 if it is not.

    Arguments are those of `ScoreAccuracy`.

    Example
    -------
    >>> from speechqa_plugin.text.answers import parse_answer
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3.5))
    >>> answer = parse_answer("noi: 4\ncol: 4\ndis: 4\nloud: 4\nmos: 1", taxonomy, "scores")
    >>> [SoftScore(name)([answer], [label])[0] for name in ("noi", "mos")]
    [0.875, 0.375]
    """

    metric = "soft_score"

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        said, right = self._both(prediction, reference)
        return 1 - mae([said], [right]) / (SCORE_MAX - SCORE_MIN)


class ExpectedScore(_ScoreReward):
    r"""1 - (error / 4)² of the expected score, which is what evaluation correlates.

    Unlike a digit's reward, which is earned best by one digit alone, it leaves the model's doubt
    between two digits as it is. It is a function of the policy itself, so its gradient has two
    parts: completions that led to a better expectation are reinforced, as with any reward, and
    the expectation itself is moved (`speechqa_plugin.grpo.expectation`).

    Arguments are those of `ScoreAccuracy`.

    Raises
    ------
    KeyError
        If a readable answer comes without expected scores.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 4))
    >>> ExpectedScore("mos")([ParsedAnswer("", label, expected={"mos": 3.0})], [label])
    [0.9375]
    """

    metric = "expected_score"
    part = Part.EXPECTATION

    def _row(self, prediction: ParsedAnswer, reference: Assessment) -> float:
        if prediction.assessment is None:
            return 0.0
        said, right = prediction.expected[self.dimension], reference.scores[self.dimension]
        return 1 - (mae([said], [right]) / (SCORE_MAX - SCORE_MIN)) ** 2
