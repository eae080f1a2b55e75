"""Rewards for the prose: likeness to the reference's, and the same with its polarity checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from speechqa_plugin.metrics import rouge_l, similarity
from speechqa_plugin.rewards.base import Part, Reward, RowReward, check_pairs
from speechqa_plugin.schema import Assessment, Taxonomy
from speechqa_plugin.text.answers import ParsedAnswer
from speechqa_plugin.text.polarity import Agreement
from speechqa_plugin.text.sections import split_sections


class DescriptionRouge(RowReward):
    """ROUGE-L of the description: the lexical reward, where no encoder is wanted.

    None where the reference has no description.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> said, there = (
    ...     Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
    ...     for text in ("A loud hum.", "a hum")
    ... )
    >>> DescriptionRouge()([ParsedAnswer("", said)], [there])
    [0.8]
    """

    name = "rouge_l"
    part = Part.DESCRIPTION

    def has_target(self, reference: Assessment) -> bool:
        """Whether there is a description."""
        return bool(reference.description)

    def score(self, prediction: Assessment, reference: Assessment) -> float:
        """In [0, 1]."""
        return rouge_l(prediction.description, reference.description)


class DescriptionSimilarity:
    """(1 + cos) / 2 between the sentence embeddings of two descriptions (arXiv 2603.10175).

    It knows topics but hardly polarity: see `PolarityAware`. None where the reference has no
    description; 0 where the completion has none or cannot be read.

    Arguments
    ---------
    encode : callable
        Takes N texts, returns their embeddings of shape [N, D], such as
        `speechqa_plugin.models.sentence_encoder.SentenceEncoder` of all-MiniLM-L6-v2.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("nisqa")
    >>> said, there = (
    ...     Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
    ...     for text in ("hum", "hiss")
    ... )
    >>> encode = lambda texts: np.array([[len(t) == 3, len(t) == 4] for t in texts], float)
    >>> DescriptionSimilarity(encode)([ParsedAnswer("", said)], [there])
    [0.5]
    """

    name = "similarity"
    part = Part.DESCRIPTION

    def __init__(self, encode: Callable[[list[str]], np.ndarray]):
        self.encode = encode

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """See `Reward`; every text is embedded once, all in one call.

        Raises
        ------
        ValueError
            If the lengths differ, or the embeddings are not finite or not one per text.
        """
        check_pairs(predictions, references)
        said = [self.text(p.assessment) if p.assessment else "" for p in predictions]
        there = [self.text(r) for r in references]
        values = similarity(said, there, self.encode)
        return [value if text else None for value, text in zip(values, there, strict=True)]

    def text(self, assessment: Assessment) -> str:
        """What of a readable answer is compared: the description."""
        return assessment.description


class SectionSimilarity(DescriptionSimilarity):
    """`DescriptionSimilarity` of what is said of one dimension (arXiv 2603.10175).

    Descriptions are read by `speechqa_plugin.text.sections`. None where the reference has no
    section on the dimension; 0 where the completion has none or cannot be read.

    Arguments
    ---------
    dimension : str
        Name of the dimension.
    taxonomy : Taxonomy
        Whose titles the sections stand under.
    encode : callable
        See `DescriptionSimilarity`.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> said, there = (
    ...     Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
    ...     for text in ("Background noise: a hum.", "Background noise: a hum. Naturalness: good.")
    ... )
    >>> same = lambda texts: np.ones((len(texts), 1))
    >>> rewards = [SectionSimilarity(n, taxonomy, same) for n in ("noise", "naturalness", "mos")]
    >>> [reward([ParsedAnswer("", said)], [there])[0] for reward in rewards]
    [1.0, 0.0, None]
    """

    def __init__(
        self, dimension: str, taxonomy: Taxonomy, encode: Callable[[list[str]], np.ndarray]
    ):
        super().__init__(encode)
        self.dimension = dimension
        self.taxonomy = taxonomy
        self.name = f"similarity/{dimension}"

    def text(self, assessment: Assessment) -> str:
        """The dimension's section; empty if there is none."""
        return split_sections(self.taxonomy, assessment.description).get(self.dimension, "")


class PolarityAware:
    """Agreement in what is said to be wrong, refined by likeness: ``A (1 + similarity) / 2``.

    A sentence encoder calls an opposite on the same topic as like as a paraphrase, or more. Here
    the agreement A (see `Agreement`) decides: likeness can at most double the reward, so an
    opposite (A = 0) earns nothing however like it is.

    None where the reference has no statement to agree with.

    Arguments
    ---------
    taxonomy : Taxonomy
        Whose dimensions, anchors and types the texts are read by.
    similarity : Reward
        `DescriptionSimilarity` or `DescriptionRouge`.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> loud, silent, like = (
    ...     Assessment(taxonomy, dict.fromkeys(taxonomy.names, 3), description=text)
    ...     for text in ("There is heavy noise.", "There is no noise.", "Loud babble.")
    ... )
    >>> reward = PolarityAware(taxonomy, DescriptionRouge())
    >>> reward([ParsedAnswer("", a) for a in (loud, silent, like)], [loud] * 3)
    [1.0, 0.0, 0.5]
    """

    part = Part.DESCRIPTION

    def __init__(self, taxonomy: Taxonomy, similarity: Reward):
        self.agreement = Agreement(taxonomy)
        self.similarity = similarity
        self.name = f"polarity_{similarity.name}"

    def __call__(
        self, predictions: Sequence[ParsedAnswer], references: Sequence[Assessment]
    ) -> list[float | None]:
        """See `Reward`."""
        likeness = self.similarity(predictions, references)
        values: list[float | None] = []
        for prediction, reference, like in zip(predictions, references, likeness, strict=True):
            said = prediction.assessment.description if prediction.assessment else ""
            agreed = self.agreement(said, reference.description)
            unknown = like is None or agreed is None
            values.append(None if unknown else agreed * (1 + like) / 2)
        return values
