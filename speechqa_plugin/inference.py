"""`SpeechQualityAssessor`: a trained model behind one of SpeechBrain's interfaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from speechqa_plugin import EMBEDDED
from speechqa_plugin.assessor import Assessor, assessment_of
from speechqa_plugin.report.pairs import Comparison, Pair, best_in_the_middle, compare_pairs
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import AnswerForm
from speechqa_plugin.toolkit import find_dimension, quality_metric, quality_reward
from speechqa_plugin.waveforms import split_batch


class SpeechQualityAssessor(Assessor, Pretrained):
    """A trained assessor, loaded as any of SpeechBrain's interfaces.

    A recording that is longer than the model hears at once is assessed in overlapping windows,
    which `speechqa_plugin.windows.join` joins. Where there is no speech, or too little to judge,
    every confidence is 0 and a warning says so.

    ``from_hparams`` runs the code that the folder's ``hyperparams.yaml`` names: load folders of
    people you trust. Nothing is downloaded when ``source`` is a local folder, except where the
    model stands on a published base; give the base's local folder by
    ``overrides={"base_model": ...}``.

    Example
    -------
    >>> from speechqa_plugin.export import export_assessor
    >>> from speechqa_plugin.listening import Answerer
    >>> from speechqa_plugin.models.compact import CompactAudioFlamingo3
    >>> from speechqa_plugin.schema import load_taxonomy
    >>> answerer = Answerer(CompactAudioFlamingo3(32, 1, 2, 32, 1, 2), load_taxonomy("nisqa"))
    >>> folder = export_assessor(answerer, getfixture("tmp_path") / "exported")
    >>> assessor = SpeechQualityAssessor.from_hparams(source=folder)
    >>> 1 <= assessor.score_batch([[0.0] * 16000])[0].mos <= 5
    True
    """

    HPARAMS_NEEDED = ["answerer"]
    MODULES_NEEDED = ["audio_llm"]

    def __init__(self, modules=None, hparams=None, run_opts=None, freeze_params=True):
        missing = [m for m in self.MODULES_NEEDED if m not in (modules or {})]
        if missing:
            raise ValueError(
                f"hyperparameters have no modules {missing}; was this folder exported?"
            )
        super().__init__(modules, hparams, run_opts, freeze_params)
        self.answerer = self.hparams.answerer

    @classmethod
    def from_hparams(cls, source, hparams_file="hyperparams.yaml", *args, **kwargs):
        """Load an exported folder, or one from the hub; see `Pretrained.from_hparams`.

        Raises
        ------
        FileNotFoundError
            If ``source`` is a path and there is no exported model.
        """
        if isinstance(source, str | Path):
            # SpeechBrain takes what is no folder for a repository on the hub: owner/name or name.
            is_path = Path(source).exists() or len(Path(source).parts) > 2
            if is_path and not (Path(source) / hparams_file).is_file():
                raise FileNotFoundError(
                    f"{source}: no {hparams_file} in it; source needs the folder of an exported "
                    "model (or a hub id)"
                )
        return super().from_hparams(source, hparams_file, *args, **kwargs)

    @classmethod
    def embedded(cls, **kwargs) -> SpeechQualityAssessor:
        """Load the model that comes with the package; nothing is downloaded.

        Arguments
        ---------
        **kwargs
            See `from_hparams`, for example ``run_opts={"device": "cuda"}``.

        Example
        -------
        >>> assessor = SpeechQualityAssessor.embedded()
        >>> assessor.score_batch([[0.0] * 16000])[0].warnings
        ('no speech found: no quality is claimed',)
        """
        return cls.from_hparams(source=EMBEDDED, **kwargs)

    def assess_batch(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """Scores, artifacts with their times and reasons for a batch.

        Arguments
        ---------
        wavs : Tensor or array
            [B, T] at the model's rate (16 kHz), padded on the right.
        wav_lens : Tensor or array, optional
            [B] lengths relative to T, in (0, 1]; all 1 if not given.

        Returns
        -------
        list of Assessment
            See `assess_file`.

        Raises
        ------
        AudioError
            If a shape or a relative length is not as described, or a clip has no samples,
            samples that are not finite, or too short a length; the message names its row.
        """
        return self._each_clip(wavs, wav_lens, self.answerer.long_form)

    def score_batch(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """As `assess_batch`, but scores and confidences alone, many times faster."""
        return self._each_clip(wavs, wav_lens, AnswerForm.SCORES)

    def compare_files(
        self, a_paths, b_paths, batch_size: int = 16, by: str | None = None
    ) -> Comparison:
        """How two versions of the same clips differ, by their fast scores.

        Arguments
        ---------
        a_paths, b_paths : str, Path or iterable of them
            As many of either, paired by position. To pair the files of two folders by name, see
            `speechqa_plugin.report.pairs.match`.
        batch_size : int
            Files heard at once.
        by : str, optional
            The dimension that sorts the pairs; the overall one if not given.

        Returns
        -------
        Comparison
            For each dimension the means, their difference A minus B with the 95 % interval of a
            paired bootstrap, and wins; the pairs, those that differ most first. A pair with a
            file that cannot be heard is left out and stands in ``errors``, one with nothing to
            judge in ``not_judged``.

        Raises
        ------
        ValueError
            If there are not as many of either, no pair can be heard, or there is no such
            dimension.
        """
        sides = [[p] if isinstance(p, str | Path) else list(p) for p in (a_paths, b_paths)]
        if len(sides[0]) != len(sides[1]):
            raise ValueError(f"{len(sides[0])} and {len(sides[1])} files; need pairs")
        by = find_dimension(self.answerer, by)
        pairs, errors, not_judged = [], {}, {}
        scored = [self.score_files(side, batch_size) for side in sides]
        for a, b in zip(*scored, strict=True):
            name = f"{a.path} / {b.path}"
            if a.assessment is None or b.assessment is None:
                errors[name] = a.error or b.error
            elif not (a.assessment.judged and b.assessment.judged):
                not_judged[name] = b.path if a.assessment.judged else a.path
            else:
                pairs.append(Pair(name, a.assessment.scores, b.assessment.scores))
        middle = best_in_the_middle(self.answerer.taxonomy)
        return compare_pairs(pairs, by, errors, not_judged, middle)

    def metric(
        self, dimension: str | None = None, sample_rate_hz: int | None = None
    ) -> Callable[..., Tensor]:
        """A metric for SpeechBrain's `MetricStats`: ``MetricStats(metric=assessor.metric("mos"))``.

        No gradient comes back from it: it is no loss.

        Arguments
        ---------
        dimension : str, optional
            What to score; the overall dimension if not given.
        sample_rate_hz : int, optional
            Rate of the batches; the model's (16 kHz) if not given.

        Returns
        -------
        callable
            Takes ``(wavs, wav_lens)`` as `assess_batch` does and returns a tensor [B] of scores in
            [1, 5] on the device of ``wavs``.

        Raises
        ------
        ValueError
            If there is no such dimension.
        """
        return quality_metric(self.answerer, dimension, sample_rate_hz)

    def reward(
        self,
        dimension: str | None = None,
        takes: str = "completions",
        sample_rate_hz: int | None = None,
        batch_size: int = 16,
    ) -> Callable[..., list[float]]:
        """A reward for reinforcement learning of what makes audio, with TRL's signature.

        Arguments
        ---------
        dimension : str, optional
            What to reward; the overall dimension if not given.
        takes : str
            Where the audio is: ``completions``, or the name of a column. Each of its N values is
            a file's path; float samples [T] or [1, T], as tensor, array or list; or a dict with
            ``array`` and ``sampling_rate``, as `datasets` decodes audio. Texts and tokens are
            not: decode them first.
        sample_rate_hz : int, optional
            Rate of bare samples; the model's (16 kHz) if not given.
        batch_size : int
            Clips heard at once.

        Returns
        -------
        callable
            ``f(prompts, completions, completion_ids, **columns)``, by keyword as TRL calls it,
            returns N floats: the score from 1 to 5 brought to [0, 1]. A clip that holds nothing
            (too short, silent, or not finite samples) gets 0, so that silence is never rewarded.

        Raises
        ------
        ValueError
            If there is no such dimension; when called, if there is no such column, or an
            `AudioError` if a value is none of the above or its file cannot be read.
        """
        return quality_reward(self.answerer, dimension, takes, sample_rate_hz, batch_size)

    def forward(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """Same as `assess_batch`."""
        return self.assess_batch(wavs, wav_lens)

    def _each_clip(self, wavs: Tensor, wav_lens: Tensor | None, form: AnswerForm):
        llm = self.answerer.audio_llm
        clips = split_batch(wavs, wav_lens, llm.sample_rate_hz, llm.min_audio_s)
        return [assessment_of(h) for h in self.answerer.hear(clips, form)]
