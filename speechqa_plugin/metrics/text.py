"""Overlap of words between a written description and a reference."""

from __future__ import annotations

import re

from speechqa_plugin.metrics.counts import ratio

_WORD = re.compile("[a-z0-9]+")


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L F-measure (Lin, 2004) of two texts, without stemming.

    Equal to the ``rougeL`` of the package ``rouge-score`` with
    ``use_stemmer=False``. Words are runs of ASCII letters and digits in lower
    case; with L the length of the longest common subsequence of words,
    F = 2 L / (words predicted + words in the reference).

    Arguments
    ---------
    prediction, reference : str
        The texts.

    Returns
    -------
    float
        In [0, 1]; 0 if either has no words, even if both have none.

    Example
    -------
    >>> rouge_l("A loud hum.", "a hum")
    0.8
    """
    predicted, expected = (_WORD.findall(text.lower()) for text in (prediction, reference))
    if not predicted or not expected:
        return 0.0
    return ratio(2 * _lcs_length(predicted, expected), len(predicted) + len(expected))


def _lcs_length(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence, one row of the usual table at a time."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if word == other else max(above, row[j - 1])
            diagonal = above
    return row[-1]
