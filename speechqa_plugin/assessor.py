"""Files in, assessments out: what `SpeechQualityAssessor` and the command have in common."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from speechqa_plugin.heard import Heard
from speechqa_plugin.listening import Answerer, Progress, check_files
from speechqa_plugin.samples import AudioError
from speechqa_plugin.schema import Assessment
from speechqa_plugin.text.answers import AnswerForm

logger = logging.getLogger(__name__)


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


class Assessor:
    """Assesses files with its `answerer`."""

    answerer: Answerer

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
        (heard,) = self.answerer.answer_files([path], self.answerer.long_form)
        if isinstance(heard, AudioError):
            raise heard
        return assessment_of(heard)

    def score_files(
        self, paths: Iterable, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[FileResult]:
        """Fast scores, without prose, for many files.

        Arguments
        ---------
        paths : iterable of str or Path
            Audio files; a generator is read batch by batch. One that cannot be heard becomes a
            result with an error.
        batch_size : int
            Files heard at once.
        progress : callable, optional
            Is told how far a long recording is heard; see `speechqa_plugin.listening.Progress`.

        Returns
        -------
        iterator of FileResult
            One for each path, in order.

        Raises
        ------
        TypeError
            If ``paths`` is a single path.
        ValueError
            If ``batch_size`` is no whole number above 0.
        """
        return self._each_file(paths, AnswerForm.SCORES, batch_size, progress)

    def assess_files(
        self, paths: Iterable, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[FileResult]:
        """As `score_files`, with artifacts and reasons."""
        return self._each_file(paths, self.answerer.long_form, batch_size, progress)

    def _each_file(
        self,
        paths: Iterable,
        form: AnswerForm,
        batch_size: int,
        progress: Progress | None = None,
    ) -> Iterator[FileResult]:
        check_files(paths, batch_size)
        asked: deque = deque()  # the model's files are read ahead, in a thread

        def noted():
            for path in paths:
                asked.append(path)
                yield path

        heard = self.answerer.answer_files(noted(), form, batch_size, progress)
        return (_result(asked.popleft(), one) for one in heard)


def _result(path, heard: Heard | AudioError) -> FileResult:
    if isinstance(heard, AudioError):
        return FileResult(str(path), None, str(heard))
    return FileResult(str(path), assessment_of(heard), failure=heard.failure)


def assessment_of(heard: Heard) -> Assessment:
    """What was heard; a text that could not be read is logged."""
    if heard.failure:
        logger.warning(
            f"the model's text could not be read ({heard.failure}); scores are given without "
            "artifacts"
        )
    return heard.assessment
