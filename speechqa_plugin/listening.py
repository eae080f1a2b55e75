"""An audio LLM that was given a taxonomy: clips or files in, answers out.

The one place where prompt, model and parser meet. Evaluation, inference and (through its prompts)
training all come through here, so what is trained, measured and used is the same question. The two
former also hear whole recordings by one way: what is too long is cut and joined again, and where
a text cannot be read the scores are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from speechqa_plugin.audio import AudioError, load_audio
from speechqa_plugin.models.audio_llm import AudioLLM
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.decoder import fill_template, write
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.models.template import ScoreTemplate
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment, Taxonomy
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer, parse_answer, render_answer
from speechqa_plugin.text.prompts import build_prompt
from speechqa_plugin.windows import cut, join

SCORES = range(SCORE_MIN, SCORE_MAX + 1)
"""What the five score tokens stand for, in their order."""


@dataclass(frozen=True)
class Answer:
    """A model's answer on one clip.

    Arguments
    ---------
    parsed : ParsedAnswer
        The text as far as it could be read; its scores are the digits.
    probs : dict from str to tuple of float
        For each dimension, the probabilities of scores 1 to 5 where the model wrote its digit;
        empty if the text could not be read.
    steps : dict from str to int
        For each dimension, the index of the token that wrote its digit; empty if the text could
        not be read or was not written freely.
    finished : bool
        False where the limit of new tokens cut the text.
    rescue : Answer or None
        The scores answer that was asked for because the text could not be read.
    """

    parsed: ParsedAnswer
    probs: dict[str, tuple[float, ...]]
    steps: dict[str, int] = field(default_factory=dict)
    finished: bool = True
    rescue: Answer | None = None

    @property
    def assessment(self) -> Assessment | None:
        """The assessment with expected scores and confidences; None if the text is unreadable.

        Of a rescued one the scores without artifacts, and the text as their description.
        """
        if self.rescue is not None:
            return replace(self.rescue.assessment, description=self.parsed.text)
        if self.parsed.assessment is None:
            return None
        return replace(
            self.parsed.assessment,
            scores={n: expected_score(p) for n, p in self.probs.items()},
            confidence={n: confidence(p) for n, p in self.probs.items()},
        )


@dataclass(frozen=True)
class Heard:
    """What a model said of one recording, which may be longer than it hears at once.

    Arguments
    ---------
    parts : tuple of (float, float, Answer)
        Start and end in seconds, in order, and the answer on the part; at least one.
    """

    parts: tuple[tuple[float, float, Answer], ...]

    @property
    def assessment(self) -> Assessment:
        """The parts' assessments, joined by `speechqa_plugin.windows.join`."""
        return join([(start_s, end_s, answer.assessment) for start_s, end_s, answer in self.parts])

    @property
    def failure(self) -> str:
        """Why a text could not be read (of the last such part); empty if all could."""
        failures = [a.parsed.failure for _, _, a in self.parts if a.parsed.failure]
        return str(["", *failures][-1])


class Answerer:
    """Asks an audio LLM for answers in the words of a taxonomy.

    Arguments
    ---------
    audio_llm : AudioLLM
        The model.
    taxonomy : Taxonomy
        What to rate.
    max_new_tokens : int
        Limit of a reasoned answer.

    Example
    -------
    >>> import torch
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1)
    >>> answerer = Answerer(model, load_taxonomy("nisqa"))
    >>> 1 <= answerer.answer([torch.zeros(8000)], "scores")[0].assessment.mos <= 5
    True
    """

    def __init__(self, audio_llm: AudioLLM, taxonomy: Taxonomy, max_new_tokens: int = 256):
        self.audio_llm = audio_llm
        self.taxonomy = taxonomy
        self.max_new_tokens = max_new_tokens
        self.prompts = {form: build_prompt(taxonomy, form) for form in AnswerForm}

    @property
    def template(self) -> ScoreTemplate:
        """The scores answer with its scores left open, in the tokens of the model's tokenizer.

        Made anew each time: loading weights can bring another tokenizer.
        """
        rated = [
            Assessment(self.taxonomy, dict.fromkeys(self.taxonomy.names, score)) for score in SCORES
        ]
        return self.audio_llm.template([render_answer(a, AnswerForm.SCORES) for a in rated])

    def load(self, path) -> Tensor:
        """Read a file as the model needs it; see `speechqa_plugin.audio.load_audio`."""
        llm = self.audio_llm
        return load_audio(path, llm.sample_rate_hz, llm.min_audio_s, llm.max_audio_s)

    def inputs(
        self,
        wavs: Sequence[Tensor],
        forms: Sequence[AnswerForm],
        references: Sequence[Assessment] | None = None,
    ) -> ModelInputs:
        """Model inputs for B clips, with the right answers where references are given."""
        answers = None
        if references is not None:
            answers = [render_answer(r, f) for r, f in zip(references, forms, strict=True)]
        return self.audio_llm.inputs(wavs, [self.prompts[AnswerForm(f)] for f in forms], answers)

    def answer(
        self, wavs: Sequence[Tensor], form: AnswerForm = AnswerForm.REASONED
    ) -> list[Answer]:
        """Ask about clips, greedily.

        The scores form is decoded with only its scores open, so that every answer can be read;
        the reasoned form is written freely.

        Arguments
        ---------
        wavs : sequence of Tensor
            B mono clips [T_i] at the model's rate.
        form : AnswerForm
            Which answer to ask for.

        Returns
        -------
        list of Answer
            B answers in order.
        """
        form = AnswerForm(form)
        inputs = self.inputs(wavs, [form] * len(wavs)).to(self.audio_llm.device)
        if form == AnswerForm.SCORES:
            return self._scores_answers(inputs)
        score_ids = self.template.score_ids
        written = write(self.audio_llm, inputs, self.max_new_tokens, score_ids)
        return self.read(written, [form] * len(wavs))

    def answer_files(
        self, paths: Iterable, form: AnswerForm = AnswerForm.REASONED, batch_size: int = 16
    ) -> Iterator[Heard | AudioError]:
        """Ask about files, some of which may not be readable.

        Arguments
        ---------
        paths : iterable of str or Path
            Audio files of any length; a generator is read batch by batch.
        form : AnswerForm
            Which answer to ask for.
        batch_size : int
            Files that the model hears at once.

        Returns
        -------
        iterator of Heard or AudioError
            One for each path, in order: what was said, or why the file could not be heard.

        Raises
        ------
        TypeError
            If ``paths`` is a single path.
        ValueError
            If ``batch_size`` is no whole number above 0.
        """
        check_files(paths, batch_size)
        return self._answer_files(iter(paths), form, batch_size)

    def _answer_files(self, paths: Iterator, form: AnswerForm, batch_size: int):
        llm = self.audio_llm
        while some := list(islice(paths, batch_size)):
            batch: list[Tensor | AudioError] = []
            for path in some:
                try:
                    batch.append(load_audio(path, llm.sample_rate_hz, llm.min_audio_s))
                except AudioError as err:
                    batch.append(err)
            heard = iter(self.hear([c for c in batch if not isinstance(c, AudioError)], form))
            yield from (c if isinstance(c, AudioError) else next(heard) for c in batch)

    def hear(self, clips: Sequence[Tensor], form: AnswerForm = AnswerForm.REASONED) -> list[Heard]:
        """Ask about clips of any length; where a text cannot be read, ask for the scores.

        Arguments
        ---------
        clips : sequence of Tensor
            B mono clips [T_i] at the model's rate.
        form : AnswerForm
            Which answer to ask for.

        Returns
        -------
        list of Heard
            B of them in order.
        """
        rate_hz = self.audio_llm.sample_rate_hz
        longest = int(self.audio_llm.max_audio_s * rate_hz)
        places = [(i, *part) for i, clip in enumerate(clips) for part in cut(len(clip), longest)]
        parts: list[list] = [[] for _ in clips]
        for first in range(0, len(places), len(clips) or 1):
            batch = places[first : first + len(clips)]
            wavs = [clips[i][start:end] for i, start, end in batch]
            answers = self.answer(wavs, form)
            for (i, start, end), wav, answer in zip(batch, wavs, answers, strict=True):
                if answer.parsed.assessment is None:
                    answer = replace(answer, rescue=self.answer([wav], AnswerForm.SCORES)[0])
                parts[i].append((start / rate_hz, end / rate_hz, answer))
        return [Heard(tuple(some)) for some in parts]

    def _scores_answers(self, inputs: ModelInputs) -> list[Answer]:
        answers = []
        for row in fill_template(self.audio_llm, inputs, self.template).tolist():
            probs = dict(zip(self.taxonomy.names, map(tuple, row), strict=True))
            digits = {n: SCORES[p.index(max(p))] for n, p in probs.items()}
            text = render_answer(Assessment(self.taxonomy, digits), AnswerForm.SCORES)
            parsed = parse_answer(text, self.taxonomy, AnswerForm.SCORES)
            answers.append(Answer(_with_expected(parsed, probs), probs))
        return answers

    def read(self, written: Completions, forms: Sequence[AnswerForm]) -> list[Answer]:
        """Read what the model wrote freely, sampled or not.

        Arguments
        ---------
        written : Completions
            N of them, with the log-probabilities of this answerer's score tokens.
        forms : sequence of AnswerForm
            N forms that were asked for.

        Returns
        -------
        list of Answer
            N answers in order.
        """
        rows, score_probs = written.rows(), written.choice_logps.exp().cpu()
        texts = self.audio_llm.tokenizer.batch_decode(rows)
        answers = []
        for ids, text, row_probs, finished, form in zip(
            rows, texts, score_probs, written.finished.tolist(), forms, strict=True
        ):
            parsed = parse_answer(text, self.taxonomy, form)
            found = self._score_steps(ids, parsed.score_spans, written.choice_ids)
            steps = dict(zip(self.taxonomy.names, found, strict=False))
            probs = {name: tuple(row_probs[step].tolist()) for name, step in steps.items()}
            answers.append(Answer(_with_expected(parsed, probs), probs, steps, finished))
        return answers

    def _score_steps(
        self, ids: Sequence[int], spans: Sequence[int], score_ids: Sequence[int]
    ) -> list[int]:
        """Index of the token that wrote each score: a score token that starts at its span."""
        tokenizer = self.audio_llm.tokenizer
        candidates = [t for t, i in enumerate(ids) if i in score_ids]
        starts = {len(tokenizer.decode(ids[:t])): t for t in candidates} if spans else {}
        return [starts[span] for span in spans]


def check_files(paths: Iterable, batch_size: int) -> None:
    """Refuse what `Answerer.answer_files` cannot go through; the message says what it needs."""
    if isinstance(paths, str | bytes | Path):
        raise TypeError(f"paths is one path, {str(paths)!r}; give a list of them")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; need a whole number, at least 1")


def _with_expected(parsed: ParsedAnswer, probs: dict[str, tuple[float, ...]]) -> ParsedAnswer:
    return replace(parsed, expected={n: expected_score(p) for n, p in probs.items()})


def expected_score(probs: Sequence[float]) -> float:
    """Mean of the score under its distribution.

    Arguments
    ---------
    probs : sequence of float
        Five probabilities, of scores 1 to 5, that sum to 1.

    Returns
    -------
    float
        In [1, 5].

    Raises
    ------
    FloatingPointError
        If the probabilities are those of a broken model.

    Example
    -------
    >>> expected_score((0, 0, 0.5, 0.5, 0))
    3.5
    """
    mean = sum(s * p for s, p in zip(SCORES, probs, strict=True))
    if math.isnan(mean):
        raise FloatingPointError(
            "a score's probabilities are not finite: the model's weights hold nan or inf, or its "
            "dtype is too narrow for them"
        )
    return min(float(SCORE_MAX), max(float(SCORE_MIN), mean))


def confidence(probs: Sequence[float]) -> float:
    """How narrow a score's distribution is: ``1 - std / 2``.

    2 is the largest standard deviation that a distribution on 1 to 5 can have (half of it on
    either end), so 1 is certain, .29 an even spread and 0 torn between worst and best.

    Arguments
    ---------
    probs : sequence of float
        Five probabilities, of scores 1 to 5, that sum to 1.

    Returns
    -------
    float
        In [0, 1].

    Example
    -------
    >>> confidence((0, 0, 1, 0, 0)), confidence((0.5, 0, 0, 0, 0.5))
    (1.0, 0.0)
    """
    mean = expected_score(probs)
    variance = sum(p * (s - mean) ** 2 for s, p in zip(SCORES, probs, strict=True))
    widest = (SCORE_MAX - SCORE_MIN) / 2
    return min(1.0, max(0.0, 1 - math.sqrt(max(variance, 0.0)) / widest))
