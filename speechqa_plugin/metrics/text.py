"""Likeness of a written text to a reference: in its words, and by a sentence encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

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


def similarity(
    predictions: Sequence[str],
    references: Sequence[str],
    encode: Callable[[list[str]], np.ndarray],
) -> list[float]:
    """(1 + cos) / 2 between the sentence embeddings of pairs of texts (arXiv 2603.10175).

    Every text is embedded once, all in one call.

    Arguments
    ---------
    predictions, references : sequence of str
        N texts of either.
    encode : callable
        Takes texts, returns their embeddings of shape [texts, D].

    Returns
    -------
    list of float
        N values in [0, 1]; 0 where either is empty.

    Raises
    ------
    ValueError
        If the lengths differ, or the embeddings are not finite or not one per text.

    Example
    -------
    >>> encode = lambda texts: np.array([[len(t) == 3, len(t) == 4] for t in texts], float)
    >>> similarity(["hum", "hum", ""], ["hum", "hiss", "hum"], encode)
    [1.0, 0.5, 0.0]
    """
    pairs = list(zip(predictions, references, strict=True))
    texts = sorted({text for pair in pairs if all(pair) for text in pair})
    units = dict(zip(texts, _units(encode, texts), strict=True)) if texts else {}
    values = []
    for ours, theirs in pairs:
        cos = float(units[ours] @ units[theirs]) if ours and theirs else -1.0
        values.append(min(1.0, max(0.0, (1 + cos) / 2)))  # rounding can leave [0, 1]
    return values


def _units(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> np.ndarray:
    vectors = np.asarray(encode(texts), dtype=float)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise ValueError(
            f"encoder gave shape {vectors.shape} for {len(texts)} texts; "
            "need finite vectors of shape [N, D]"
        )
    if not lengths.all():
        raise ValueError("encoder gave a zero vector, which has no cosine")
    return vectors / lengths


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
