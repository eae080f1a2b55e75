"""An audio LLM that was given a taxonomy: clips or files in, answers out.

The one place where prompt, model and parser meet. Evaluation, inference and (through its prompts)
training all come through here, so what is trained, measured and used is the same question. The two
former also hear whole recordings by one way: what is too long is heard in windows that are joined
again, where a text cannot be read the scores are asked for, and what lacks speech is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speechqa_plugin.activity import lacking_speech
from speechqa_plugin.ahead import ahead
from speechqa_plugin.audio import AudioError, load_audio
from speechqa_plugin.explained import explained_answers
from speechqa_plugin.heard import SCORES, UNKNOWN, Answer, Heard, expected_score, with_expected
from speechqa_plugin.models.template import ScoreTemplate
from speechqa_plugin.samples import as_array
from speechqa_plugin.schema import Assessment, Taxonomy
from speechqa_plugin.streams import HeldRecording, LongFile, open_recording
from speechqa_plugin.text.answers import AnswerForm, parse_answer, render_answer
from speechqa_plugin.text.prompts import build_prompt
from speechqa_plugin.windows import OVERLAP_S, cut

if TYPE_CHECKING:
    # A command that hears a file without torch comes through here, too.
    from torch import Tensor

    from speechqa_plugin.models.array_llm import ArrayLLM, Written
    from speechqa_plugin.models.audio_llm import AudioLLM
    from speechqa_plugin.models.completions import Completions
    from speechqa_plugin.models.inputs import ModelInputs

    Clip = Tensor | np.ndarray

MOST_OVERLAP = 0.2
"""Of a window that is too short for `OVERLAP_S`."""

Progress = Callable[[str, float, float], None]
"""Called while a long recording is heard: its path, seconds heard, seconds in all."""


class Answerer:
    """Asks an audio LLM for answers in the words of a taxonomy.

    Arguments
    ---------
    audio_llm : AudioLLM or ArrayLLM
        The model.
    taxonomy : Taxonomy
        What to rate.
    max_new_tokens : int
        Limit of a long answer.
    long_form : AnswerForm
        The form in which the model was taught to tell more than scores, reasoned or explained. A
        model that explains is asked one question only: its scores answer is the beginning of its
        explained one.

    cut_long : bool
        Whether `load`, by which clips are trained on, takes the beginning of a clip that is longer
        than the model hears at once, and does not refuse it. For scores alone: a clip's ratings
        are about all of it, as far as they are about its beginning.

    Raises
    ------
    ValueError
        If the long form is the scores form.

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

    def __init__(
        self,
        audio_llm: AudioLLM | ArrayLLM,
        taxonomy: Taxonomy,
        max_new_tokens: int = 256,
        long_form: AnswerForm = AnswerForm.REASONED,
        cut_long: bool = False,
    ):
        self.audio_llm = audio_llm
        self.taxonomy = taxonomy
        self.max_new_tokens = max_new_tokens
        self.long_form = AnswerForm(long_form)
        if self.long_form == AnswerForm.SCORES:
            raise ValueError("long_form is 'scores'; need 'reasoned' or 'explained'")
        self.cut_long = cut_long
        self.prompts = {form: build_prompt(taxonomy, form) for form in AnswerForm}
        if self.long_form == AnswerForm.EXPLAINED:
            self.prompts[AnswerForm.SCORES] = self.prompts[AnswerForm.EXPLAINED]

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
        if self.cut_long:
            wav = load_audio(path, llm.sample_rate_hz, llm.min_audio_s)
            return wav[: int(llm.max_audio_s * llm.sample_rate_hz)]
        return load_audio(path, llm.sample_rate_hz, llm.min_audio_s, llm.max_audio_s)

    def inputs(
        self,
        wavs: Sequence[Clip],
        forms: Sequence[AnswerForm],
        references: Sequence[Assessment] | None = None,
    ) -> ModelInputs:
        """Model inputs for B clips, with the right answers where references are given."""
        answers = None
        if references is not None:
            answers = [render_answer(r, f) for r, f in zip(references, forms, strict=True)]
        return self.audio_llm.inputs(wavs, [self.prompts[AnswerForm(f)] for f in forms], answers)

    def answer(self, wavs: Sequence[Clip], form: AnswerForm | None = None) -> list[Answer]:
        """Ask about clips, greedily.

        The scores form is decoded with only its scores open, so that every answer can be read;
        the reasoned form is written freely. Of the explained form the scores are decoded so, too,
        and the rest follows behind the digits nearest to the expected scores; see
        `speechqa_plugin.explained`.

        Arguments
        ---------
        wavs : sequence of Tensor or array
            B mono clips [T_i], tensors or arrays, at the model's rate.
        form : AnswerForm, optional
            Which answer to ask for; the model's `long_form` if not given.

        Returns
        -------
        list of Answer
            B answers in order.
        """
        form = AnswerForm(form or self.long_form)
        inputs = self.audio_llm.inputs(wavs, [self.prompts[form]] * len(wavs))
        if form == AnswerForm.SCORES:
            return self._scores_answers(inputs)
        if form == AnswerForm.EXPLAINED:
            return explained_answers(self, wavs, inputs)
        score_ids = self.template.score_ids
        written = self.audio_llm.write(inputs, self.max_new_tokens, score_ids)
        return self.read(written, [form] * len(wavs))

    def answer_files(
        self,
        paths: Iterable,
        form: AnswerForm | None = None,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> Iterator[Heard | AudioError]:
        """Ask about files, some of which may not be readable.

        Arguments
        ---------
        paths : iterable of str or Path
            Audio files of any length; a generator is read batch by batch.
        form : AnswerForm, optional
            Which answer to ask for; the model's `long_form` if not given.
        batch_size : int
            Files, or windows of a long one, that the model hears at once. No more of a file is
            in memory.
        progress : callable, optional
            See `Progress`.

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
        return self._answer_files(iter(paths), form or self.long_form, batch_size, progress)

    def _answer_files(
        self, paths: Iterator, form: AnswerForm, batch_size: int, progress: Progress | None
    ) -> Iterator[Heard | AudioError]:
        batches = iter(lambda: [self._open(path) for path in islice(paths, batch_size)], [])
        for opened in ahead(batches):
            yield from self._hear(opened, form, batch_size, progress)

    def hear(self, clips: Sequence[Clip], form: AnswerForm | None = None) -> list[Heard]:
        """Ask about clips of any length; where a text cannot be read, ask for the scores.

        A clip without speech, or with too little of it, is not asked about: what is said of it is
        the middle of the scale, with confidence 0 and a warning, whatever the form.

        Arguments
        ---------
        clips : sequence of Tensor or array
            B mono clips [T_i], tensors or arrays, at the model's rate.
        form : AnswerForm, optional
            Which answer to ask for; the model's `long_form` if not given.

        Returns
        -------
        list of Heard
            B of them in order.
        """
        held = [HeldRecording(as_array(clip)) for clip in clips]
        return list(self._hear(held, form or self.long_form, len(clips)))

    def _open(self, path) -> HeldRecording | LongFile | AudioError:
        llm = self.audio_llm
        try:
            return open_recording(path, llm.sample_rate_hz, llm.min_audio_s, llm.max_audio_s)
        except AudioError as err:
            return err

    def _hear(
        self, recordings: Sequence, form: AnswerForm, at_once: int, progress: Progress | None = None
    ) -> Iterator[Heard | AudioError]:
        """What fits a window is heard together, and each long recording on its own."""
        rate_hz = self.audio_llm.sample_rate_hz
        longest = int(self.audio_llm.max_audio_s * rate_hz)
        short = [r.wav for r in recordings if isinstance(r, HeldRecording) and r.length <= longest]
        answers = iter(self._judge(short, form))
        for recording in recordings:
            if isinstance(recording, AudioError):
                yield recording
            elif recording.length <= longest:
                whole = (0.0, recording.length / rate_hz, next(answers))
                yield Heard((whole,), recording.warnings)
            else:
                try:
                    yield self._hear_long(recording, longest, form, at_once, progress)
                except AudioError as err:  # the file was changed meanwhile
                    yield err

    def _hear_long(
        self,
        recording: HeldRecording | LongFile,
        longest: int,
        form: AnswerForm,
        at_once: int,
        progress: Progress | None,
    ) -> Heard:
        rate_hz = self.audio_llm.sample_rate_hz
        overlap = int(min(OVERLAP_S * rate_hz, MOST_OVERLAP * longest))
        places = cut(recording.length, longest, overlap)
        windows = recording.windows(places)
        parts: list[tuple[float, float, Answer]] = []
        while wavs := list(islice(windows, at_once)):
            some = places[len(parts) : len(parts) + len(wavs)]
            for (start, end), answer in zip(some, self._judge(wavs, form), strict=True):
                parts.append((start / rate_hz, end / rate_hz, answer))
            if progress is not None:
                path = str(getattr(recording, "path", ""))
                progress(path, parts[-1][1], recording.length / rate_hz)
        return Heard(tuple(parts), recording.warnings)

    def _judge(self, wavs: Sequence[Clip], form: AnswerForm) -> list[Answer]:
        """Answers on clips of which none is too long, each with an assessment."""
        rate_hz = self.audio_llm.sample_rate_hz
        lacking = [lacking_speech(as_array(wav), rate_hz) for wav in wavs]
        asked = [wav for wav, lack in zip(wavs, lacking, strict=True) if not lack]
        answered = zip(asked, self.answer(asked, form) if asked else (), strict=True)
        answers = []
        for lack in lacking:
            if lack:
                answers.append(self._unknown(form, lack))
                continue
            wav, answer = next(answered)
            if answer.parsed.assessment is None:
                answer = replace(answer, rescue=self.answer([wav], AnswerForm.SCORES)[0])
            answers.append(answer)
        return answers

    def _unknown(self, form: AnswerForm, lack: str) -> Answer:
        """What is said in the model's place of a clip that lacks speech."""
        probs = dict.fromkeys(self.taxonomy.names, UNKNOWN)
        middle = {n: expected_score(p) for n, p in probs.items()}
        text = render_answer(Assessment(self.taxonomy, middle), form)
        parsed = parse_answer(text, self.taxonomy, AnswerForm(form))
        return Answer(with_expected(parsed, probs), probs, warning=lack)

    def _scores_answers(self, inputs: ModelInputs) -> list[Answer]:
        answers = []
        for row in self.audio_llm.fill_template(inputs, self.template).tolist():
            probs = dict(zip(self.taxonomy.names, map(tuple, row), strict=True))
            digits = {n: SCORES[p.index(max(p))] for n, p in probs.items()}
            text = render_answer(Assessment(self.taxonomy, digits), AnswerForm.SCORES)
            parsed = parse_answer(text, self.taxonomy, AnswerForm.SCORES)
            answers.append(Answer(with_expected(parsed, probs), probs))
        return answers

    def read(self, written: Completions | Written, forms: Sequence[AnswerForm]) -> list[Answer]:
        """Read what the model wrote freely, sampled or not.

        Arguments
        ---------
        written : Completions or Written
            N of them, with the log-probabilities of this answerer's score tokens.
        forms : sequence of AnswerForm
            N forms that were asked for.

        Returns
        -------
        list of Answer
            N answers in order.
        """
        rows, score_probs = written.rows(), np.exp(as_array(written.choice_logps))
        texts = self.audio_llm.tokenizer.batch_decode(rows)
        answers = []
        for ids, text, row_probs, finished, form in zip(
            rows, texts, score_probs, written.finished.tolist(), forms, strict=True
        ):
            parsed = parse_answer(text, self.taxonomy, form)
            found = self._score_steps(ids, parsed.score_spans, written.choice_ids)
            steps = dict(zip(self.taxonomy.names, found, strict=False))
            probs = {name: tuple(row_probs[step].tolist()) for name, step in steps.items()}
            answers.append(Answer(with_expected(parsed, probs), probs, steps, finished))
        return answers

    def right_score_steps(
        self, references: Sequence[Assessment], forms: Sequence[AnswerForm]
    ) -> list[list[int]]:
        """Of B right answers, the index of the token of each score, in the taxonomy's order."""
        score_ids, steps = self.template.score_ids, []
        for reference, form in zip(references, forms, strict=True):
            text = render_answer(reference, form)
            ids = self.audio_llm.tokenizer.encode(text, add_special_tokens=False)
            spans = parse_answer(text, self.taxonomy, form).score_spans
            steps.append(self._score_steps(ids, spans, score_ids))
        return steps

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
