"""`SpeechQualityAssessor`: a trained model behind one of SpeechBrain's interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.logger import get_logger
from torch import Tensor

from speechqa_plugin.audio import AudioError, check_waveform
from speechqa_plugin.heard import Heard
from speechqa_plugin.listening import Progress
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import AnswerForm

logger = get_logger(__name__)


@dataclass(frozen=True)
class FileResult:
    """What came of one file.

    Arguments
    ---------
    path : str
        The file.
    assessment : Assessment or None
        None where the file could not be heard.
    error : str
        Why; empty where there is an assessment.
    failure : str
        Why the model's text could not be read (a `ParseFailure`), so that the assessment has
        scores but cannot tell artifacts; empty where it could.
    """

    path: str
    assessment: Assessment | None
    error: str = ""
    failure: str = ""

    def to_dict(self) -> dict:
        """One line of a results file."""
        if self.assessment is None:
            return {"path": self.path, "error": self.error}
        failure = {"failure": self.failure} if self.failure else {}
        return {"path": self.path, **self.assessment.to_dict(), **failure}


class SpeechQualityAssessor(Pretrained):
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
    >>> 1 <= assessor.score_batch(torch.zeros(1, 16000))[0].mos <= 5
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

    def assess_file(self, path) -> Assessment:
        """Scores, artifacts with their times and reasons for one file.

        Arguments
        ---------
        path : str or Path
            Audio file of any rate and number of channels.

        Returns
        -------
        Assessment
            With expected scores and confidences. If the model's text cannot be read, its
            constrained scores with that text as the description and no artifacts.

        Raises
        ------
        AudioError
            If the file cannot be heard; the message says why.
        """
        (heard,) = self.answerer.answer_files([path])
        if isinstance(heard, AudioError):
            raise heard
        return _assessment(heard)

    def assess_batch(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """Scores, artifacts with their times and reasons for a batch.

        Arguments
        ---------
        wavs : Tensor
            [B, T] at the model's rate (16 kHz), padded on the right.
        wav_lens : Tensor, optional
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
        return self._each_clip(wavs, wav_lens, AnswerForm.REASONED)

    def score_batch(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """As `assess_batch`, but scores and confidences alone, many times faster."""
        return self._each_clip(wavs, wav_lens, AnswerForm.SCORES)

    def score_files(self, paths: Sequence, batch_size: int = 16) -> Iterator[FileResult]:
        """Fast scores, without prose, for many files.

        Arguments
        ---------
        paths : sequence of str or Path
            Audio files. One that cannot be heard becomes a result with an error.
        batch_size : int
            Files heard at once.

        Yields
        ------
        FileResult
            One for each path, in order.
        """
        yield from self._each_file(paths, AnswerForm.SCORES, batch_size)

    def assess_files(
        self, paths: Sequence, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[FileResult]:
        """As `score_files`, with artifacts and reasons; a long recording tells its progress."""
        yield from self._each_file(paths, AnswerForm.REASONED, batch_size, progress)

    def forward(self, wavs: Tensor, wav_lens: Tensor | None = None) -> list[Assessment]:
        """Same as `assess_batch`."""
        return self.assess_batch(wavs, wav_lens)

    def _each_file(
        self,
        paths: Sequence,
        form: AnswerForm,
        batch_size: int,
        progress: Progress | None = None,
    ):
        for i, heard in enumerate(self.answerer.answer_files(paths, form, batch_size, progress)):
            if isinstance(heard, AudioError):
                yield FileResult(str(paths[i]), None, str(heard))
            else:
                yield FileResult(str(paths[i]), _assessment(heard), failure=heard.failure)

    def _each_clip(self, wavs: Tensor, wav_lens: Tensor | None, form: AnswerForm):
        return [_assessment(h) for h in self.answerer.hear(self._clips(wavs, wav_lens), form)]

    def _clips(self, wavs: Tensor, wav_lens: Tensor | None) -> list[Tensor]:
        if wavs.dim() != 2 or not len(wavs):
            raise AudioError(f"wavs has shape {list(wavs.shape)}; need [batch, samples]")
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        if wav_lens.shape != wavs.shape[:1]:
            raise AudioError(
                f"wav_lens has shape {list(wav_lens.shape)}; need [{len(wavs)}], one for each clip"
            )
        if not ((wav_lens > 0) & (wav_lens <= 1)).all():
            raise AudioError(f"wav_lens is {wav_lens.tolist()}; need shares of the longest, (0, 1]")
        lengths = (wav_lens.double().cpu() * wavs.shape[1]).round().long()
        llm = self.answerer.audio_llm
        return [
            check_waveform(wav[:length], llm.sample_rate_hz, llm.min_audio_s, name=f"wavs[{row}]")
            for row, (wav, length) in enumerate(zip(wavs, lengths, strict=True))
        ]


def _assessment(heard: Heard) -> Assessment:
    if heard.failure:
        logger.warning(
            f"the model's text could not be read ({heard.failure}); scores are given without "
            "artifacts"
        )
    return heard.assessment
