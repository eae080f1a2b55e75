"""Explained answers, decided step by step: scores, then the list of artifacts, then what to say.

Scores are decoded with nothing else open. The list is what the model hears at each moment, where it
has a layer for that (`AudioLLM.types`). Any other model writes freely behind its scores, and the
list is what can be read of that. Either is settled: what overlaps is merged, and what its
dimension's score calls inaudible is left out. Where the settled list is not what the model wrote,
it writes the description once more, behind that list. A sentence that contradicts the scores or the
list all the same is struck. So there is always an answer, and it agrees with itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from speechqa_plugin.heard import Answer, expected_score, with_expected
from speechqa_plugin.schema import Artifact, Assessment, Taxonomy, round_score
from speechqa_plugin.sounding import hears, sounding
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer, parse_answer, render_answer
from speechqa_plugin.text.contradictions import Contradictions
from speechqa_plugin.windows import merge_artifacts

_FORM = AnswerForm.EXPLAINED
_KEY = "description:"
_GOOD = 4
"""Nothing is wrong where a dimension's digit is this or more. On the validation split of the wide
corpus that costs the embedded model no F1 (artifacts of severity .3 and more, mean over kinds: .68,
now .69), and 4 instead of 13 of 20 clean clips are said to have an artifact."""


def explained_answers(answerer, wavs: Sequence, inputs) -> list[Answer]:
    """Ask a model that explains.

    Arguments
    ---------
    answerer : speechqa_plugin.listening.Answerer
        Its model and taxonomy.
    wavs : sequence
        B clips.
    inputs : ModelInputs
        The clips with the explained form's prompt.

    Returns
    -------
    list of Answer
        B answers in order; each can be read.
    """
    llm, template, taxonomy = answerer.audio_llm, answerer.template, answerer.taxonomy
    rows = llm.fill_template(inputs, template).tolist()
    decided = [[round_score(expected_score(probs)) for probs in row] for row in rows]
    begun = [template.filled(digits) for digits in decided]
    scored = [llm.tokenizer.decode(ids) for ids in begun]
    if hears(answerer):
        texts = _heard(answerer, wavs, inputs, scored)
    else:
        left = answerer.max_new_tokens - len(begun[0])
        rests = llm.write(inputs.followed_by(begun), left).rows()
        texts = [llm.tokenizer.decode([*b, *r]) for b, r in zip(begun, rests, strict=True)]
    contradictions, answers = Contradictions(taxonomy), []
    for wav, row, scores, text in zip(wavs, rows, scored, texts, strict=True):
        probs = dict(zip(taxonomy.names, map(tuple, row), strict=True))
        parsed = parse_answer(text, taxonomy, _FORM)
        artifacts = settled(text, scores, taxonomy)
        if not _says(parsed, artifacts):
            parsed = _describe(answerer, wav, scores, artifacts)
        parsed = replace(parsed, assessment=contradictions.struck(parsed.assessment))
        answers.append(Answer(with_expected(parsed, probs), probs))
    return answers


def _heard(answerer, wavs: Sequence, inputs, scored: Sequence[str]) -> list[str]:
    """Scores, and behind them the list of what the model hears at each moment."""
    llm, taxonomy = answerer.audio_llm, answerer.taxonomy
    types, texts = taxonomy.types, []
    for wav, scores, logits in zip(wavs, scored, llm.hear_types(inputs), strict=True):
        duration_s = len(wav) / llm.sample_rate_hz
        found = sounding(np.asarray(logits), types, llm.audio_token_s, duration_s)
        rated = parse_answer(scores, taxonomy, AnswerForm.SCORES).assessment.scores
        whole = render_answer(Assessment(taxonomy, rated, tuple(found)), _FORM)
        texts.append(whole[: whole.rindex(_KEY)])
    return texts


def settled(text: str, scores: str, taxonomy: Taxonomy) -> tuple[Artifact, ...]:
    r"""The artifacts that a text lists behind its scores, up to a line that cannot be read.

    One of a dimension whose digit says that all is well is left out, unless its scale is best in
    the middle.

    Arguments
    ---------
    text : str
        What a model wrote.
    scores : str
        Its beginning: the scores answer.
    taxonomy : Taxonomy

    Returns
    -------
    tuple of Artifact
        Merged where they overlap.

    Example
    -------
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> taxonomy = load_taxonomy("qualispeech")
    >>> scores = "\n".join(f"{name}: 3" for name in taxonomy.names)
    >>> lines = ["noise (babble) 0.0-2.0 s", "noise (babble) 1.0-3.0 s", "noise (bab"]
    >>> text = scores + "".join(f"\nartifact: {line}" for line in lines)
    >>> [(a.type, a.start_s, a.end_s) for a in settled(text, scores, taxonomy)]
    [('babble', 0.0, 3.0)]
    """
    found: list[Artifact] = []
    for line in text[len(scores) :].strip("\n").split("\n"):
        if not line.strip().lower().startswith("artifact:"):
            break
        parsed = parse_answer(f"{scores}\n{line}\n{_KEY}", taxonomy, _FORM)
        if parsed.assessment is None:
            break
        found += parsed.assessment.artifacts
    digits = parse_answer(scores, taxonomy, AnswerForm.SCORES).assessment.scores
    return merge_artifacts([a for a in found if _audible(a, digits, taxonomy)])


def _audible(artifact: Artifact, digits: Mapping[str, float], taxonomy: Taxonomy) -> bool:
    dimension = taxonomy.dimension(taxonomy.kind(artifact.kind).dimension)
    return dimension.magnitude or digits[dimension.name] < _GOOD


def _says(parsed: ParsedAnswer, artifacts: Sequence[Artifact]) -> bool:
    if parsed.assessment is None:
        return False
    return Counter(parsed.assessment.artifacts) == Counter(artifacts)


def _describe(answerer, wav, scores: str, artifacts: tuple[Artifact, ...]) -> ParsedAnswer:
    """Let the model go on behind a list that is settled; without prose if it can't."""
    llm, taxonomy = answerer.audio_llm, answerer.taxonomy
    rated = parse_answer(scores, taxonomy, AnswerForm.SCORES).assessment
    bare = render_answer(Assessment(taxonomy, rated.scores, artifacts), _FORM)
    begun = bare[: bare.rindex(_KEY)]
    ids = llm.tokenizer.encode(begun, add_special_tokens=False)
    inputs = llm.inputs([wav], [answerer.prompts[_FORM]]).followed_by([ids])
    # However long the list: it has cost the model nothing.
    written = llm.write(inputs, answerer.max_new_tokens, first_ids=_beginnings(llm.tokenizer))
    text = llm.tokenizer.decode(written.rows()[0])
    if not written.finished[0]:
        text = text[: text.rfind(".") + 1]  # a sentence that the limit cut says nothing
    parsed = parse_answer(begun + text, taxonomy, _FORM)
    return parsed if _says(parsed, artifacts) else parse_answer(bare, taxonomy, _FORM)


@lru_cache(maxsize=1)
def _beginnings(tokenizer) -> list[int]:
    """Tokens that a description's line can begin with: some hold whole phrases."""
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return [i for i, t in enumerate(texts) if t and (t.startswith(_KEY) or _KEY.startswith(t))]
