"""The score answer as token ids: what is fixed and where a score stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ScoreTemplate:
    """Token ids of an answer in which only the scores are open.

    Arguments
    ---------
    segments : tuple of tuple of int
        For each of D scores, the fixed tokens right before it.
    score_ids : tuple of int
        The tokens of scores 1 to 5.

    Example
    -------
    >>> from speechqa_plugin.models.compact import compact_tokenizer
    >>> template = ScoreTemplate.from_texts(compact_tokenizer(), [f"mos: {s}" for s in range(1, 6)])
    >>> len(template.segments), len(template.score_ids)
    (1, 5)
    """

    segments: tuple[tuple[int, ...], ...]
    score_ids: tuple[int, ...]

    def filled(self, scores: Sequence[int]) -> list[int]:
        """Token ids of the answer with D scores from 1 to 5."""
        ids = []
        for segment, score in zip(self.segments, scores, strict=True):
            ids += [*segment, self.score_ids[int(score) - 1]]
        return ids

    @classmethod
    def from_texts(cls, tokenizer, texts: Sequence[str]) -> ScoreTemplate:
        """Find the score positions by comparing the answers for each score.

        Arguments
        ---------
        tokenizer : transformers.PreTrainedTokenizerBase
            The base's tokenizer.
        texts : sequence of str
            The same answer with every score 1, with every score 2, and so on.

        Returns
        -------
        ScoreTemplate

        Raises
        ------
        ValueError
            If a score is not one token of its own in this tokenizer.
        """
        rows = [tokenizer.encode(t, add_special_tokens=False) for t in texts]
        if len({len(row) for row in rows}) != 1:
            raise ValueError(
                f"{type(tokenizer).__name__} splits scores into unequal numbers of tokens "
                f"({[len(row) for row in rows]}); expected scores need one token for each score"
            )
        segments, open_segment, scores = [], [], set()
        for column in zip(*rows, strict=True):
            if len(set(column)) == 1:
                open_segment.append(column[0])
            else:
                segments.append(tuple(open_segment))
                open_segment = []
                scores.add(column)
        if len(scores) != 1 or open_segment:
            raise ValueError(
                f"{type(tokenizer).__name__} does not give each score one token of its own "
                f"({len(scores)} kinds of score columns, {len(open_segment)} tokens after the last)"
            )
        score_ids = scores.pop()
        if len(set(score_ids)) < len(score_ids):
            raise ValueError(
                f"{type(tokenizer).__name__} gives several scores one token ({score_ids})"
            )
        return cls(tuple(segments), score_ids)
