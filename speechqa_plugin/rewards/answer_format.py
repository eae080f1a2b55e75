"""Reward for an answer that can be read."""

from __future__ import annotations

from speechqa_plugin.rewards.base import Part, RowReward
from speechqa_plugin.schema import Assessment


class AnswerFormat(RowReward):
    """1 if the completion is a whole answer, else 0; there is no credit for half of one.

    With weight 0 its mean is the parse rate in the log. It is also the usual gate of a
    `Composite`.

    Example
    -------
    >>> from speechqa_plugin.text.answers import parse_answer
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> label = Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3))
    >>> AnswerFormat()([parse_answer("The noise is loud.", taxonomy)], [label])
    [0.0]
    """

    name = "format"
    part = Part.FORMAT

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """1, since it could be read."""
        return 1.0
