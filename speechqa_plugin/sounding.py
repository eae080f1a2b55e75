"""What sounds when: from a model's logits of each type at each moment to a list of artifacts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speechqa_plugin.schema import Artifact, Taxonomy

SMOOTHED = 9
"""Audio tokens whose mean is looked at: of single ones the logits flicker."""


def type_names(taxonomy: Taxonomy) -> list[str]:
    """What a model that hears a taxonomy's types calls them.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> type_names(load_taxonomy("qualispeech"))[:2]
    ['noise (white noise)', 'noise (coloured noise)']
    """
    return [f"{kind} ({type_})" for kind, type_ in taxonomy.types]


def hears(answerer) -> bool:
    """Whether an answerer's model hears the types of its taxonomy."""
    types = answerer.audio_llm.types
    return bool(types) and list(types) == type_names(answerer.taxonomy)


def smoothed(logits: np.ndarray) -> np.ndarray:
    """Running mean over `SMOOTHED` moments; at the edges the first and the last go on.

    Arguments
    ---------
    logits : array
        [T, Y].

    Returns
    -------
    array
        [T, Y].
    """
    half = SMOOTHED // 2
    padded = np.pad(logits, ((half, half), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=0).mean(axis=-1)


def sounding(
    logits: np.ndarray, types: Sequence[tuple[str, str]], token_s: float, duration_s: float
) -> list[Artifact]:
    """Artifacts wherever a type's smoothed logit is above 0.

    Arguments
    ---------
    logits : array
        [T, Y] of the Y types in each of a clip's T audio tokens.
    types : sequence of (str, str)
        Y kinds and types.
    token_s : float
        Time that a token covers, in seconds.
    duration_s : float
        Length of the clip; its last token may end earlier, or later. Silence at its end may have
        no tokens.

    Returns
    -------
    list of Artifact
        Each with its times.

    Example
    -------
    >>> logits = np.repeat([[-1.0], [1.0]], 20, axis=0)
    >>> [(a.type, a.start_s, a.end_s) for a in sounding(logits, [("noise", "hiss")], 0.1, 4.05)]
    [('hiss', 2.0, 4.05)]
    """
    found = []
    for type_, row in zip(types, smoothed(logits).T, strict=True):
        edges = np.flatnonzero(np.diff(row > 0, prepend=False, append=False))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            end_s = last * token_s
            if duration_s - end_s < token_s:  # what no token is left for
                end_s = duration_s
            found.append(Artifact(*type_, round(first * token_s, 3), round(end_s, 3)))
    return found


def best_threshold(logits: np.ndarray, there: np.ndarray) -> float:
    """Where to cut the logits of a type so that most of what is above is there, and the reverse.

    Arguments
    ---------
    logits : array
        [N] of many moments.
    there : array
        [N] bool, whether the type sounds in them.

    Returns
    -------
    float
        The threshold with the highest F1 over the moments; infinite if the type never sounds.

    Example
    -------
    >>> best_threshold(np.array([-3.0, 2.0, -1.0, 0.0]), np.array([False, True, True, False]))
    -2.0
    """
    if not there.any():
        return float("inf")
    order = np.argsort(-logits, kind="stable")
    sorted_ = logits[order]
    f1 = 2 * np.cumsum(there[order]) / (np.arange(1, len(logits) + 1) + there.sum())
    f1[:-1][sorted_[1:] == sorted_[:-1]] = 0  # no cut between equals
    last = int(f1.argmax())
    below = sorted_[last + 1] if last + 1 < len(sorted_) else sorted_[last] - 1
    return float((sorted_[last] + below) / 2)
