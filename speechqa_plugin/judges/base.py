"""What all judges share: reading a grade, remembering it, counting and telling what failed."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from speechqa_plugin.text.prompts import JUDGE_MAX

logger = logging.getLogger(__name__)

CACHE_SIZE = 20_000
"""Prompts whose grades are remembered; at 2 kB each, the texts take 40 MB."""

_GRADES = {str(grade): grade for grade in range(JUDGE_MAX + 1)}
_OUT_OF = re.compile(rf"(?:/|\bout of\b)\s*{JUDGE_MAX}\b")
_BARE = re.compile(
    r"[^\w\u2212-]*(?:(?:score|grade|rating|answer)[^\w\u2212-]*)?(\d+)\W*", re.IGNORECASE
)
_NUMBER = re.compile(r"[-\u2212]?\d+(?:[.,]\d+)?")


class Failure(StrEnum):
    """Why a prompt has no grade; the value is the log key's last part."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    HTTP_ERROR = "http_error"
    GARBAGE = "garbage"


@dataclass(frozen=True)
class Reply:
    """What a judge wrote.

    Arguments
    ---------
    text : str
        All of it.
    finished : bool
        False where a limit of tokens cut it.
    """

    text: str
    finished: bool = True


@dataclass(frozen=True)
class Failed:
    """In place of a reply.

    Arguments
    ---------
    reason : Failure
        Which it was.
    detail : str
        What a warning adds; nothing secret.
    """

    reason: Failure
    detail: str


class TextJudge:
    """A judge that asks something for a text and reads the grade from it; subclasses `ask`.

    A prompt is asked once: equal ones in a call are one, and a grade is remembered under its
    prompt, the oldest of `CACHE_SIZE` making room. A failure is not remembered.

    Arguments
    ---------
    title : str
        What a warning calls it.
    """

    def __init__(self, title: str):
        self.title = title
        self._grades: dict[str, int] = {}
        self._asked = 0
        self._failed = dict.fromkeys(Failure, 0)

    def ask(self, prompts: Sequence[str]) -> list[Reply | Failed]:
        """N replies or failures for N prompts, at least one."""
        raise NotImplementedError

    def judge(self, prompts: Sequence[str]) -> list[int | None]:
        """Grade prompts.

        Arguments
        ---------
        prompts : sequence of str
            N questions, such as `speechqa_plugin.text.prompts.build_judge_prompt` makes.

        Returns
        -------
        list of int or None
            N grades from 0 to 10, None where there is none.
        """
        grades: dict[str, int | None] = {p: self._grades.get(p) for p in prompts}
        new = [prompt for prompt, grade in grades.items() if grade is None]
        replies = self.ask(new) if new else []
        failures: dict[Failure, list[str]] = {}
        for prompt, reply in zip(new, replies, strict=True):
            if isinstance(reply, Reply):
                grades[prompt] = read_grade(reply.text, reply.finished)
                if grades[prompt] is not None:
                    self._remember(prompt, grades[prompt])
                    continue
                reply = Failed(Failure.GARBAGE, f"the first was {reply.text[:60]!r}")
            failures.setdefault(reply.reason, []).append(reply.detail)
        self._asked += len(new)
        for reason, details in failures.items():
            self._failed[reason] += len(details)
            logger.warning(
                f"{self.title}: no grade for {len(details)} of {len(new)} prompts, {reason}: "
                f"{details[0]}"
            )
        return [grades[prompt] for prompt in prompts]

    def take_counts(self) -> dict[str, int]:
        """Prompts asked and failures by reason since the last call, under their log keys."""
        counts = {"judge/asked": self._asked}
        counts |= {f"judge/failures/{reason}": n for reason, n in self._failed.items()}
        self._asked, self._failed = 0, dict.fromkeys(Failure, 0)
        return counts

    def _remember(self, prompt: str, grade: int) -> None:
        if len(self._grades) >= CACHE_SIZE:
            del self._grades[next(iter(self._grades))]
        self._grades[prompt] = grade


def read_grade(text: str, finished: bool = True) -> int | None:
    """Read the grade from what a judge wrote. Never raises, whatever the text.

    Thoughts before ``</think>`` are skipped. The first line counts if it is a grade and no more;
    else the text must be finished and have one number only. What is left open is not guessed.

    Arguments
    ---------
    text : str
        Any text.
    finished : bool
        False where a limit of tokens cut it.

    Returns
    -------
    int or None
        From 0 to 10.

    Example
    -------
    >>> [read_grade(t) for t in ("7", "**Score: 8/10**", "It is a 3, or a 4.", "11", "")]
    [7, 8, None, None, None]
    """
    said = text.rpartition("</think>")[2].strip()
    if "<think>" in said:  # the limit cut the thoughts
        return None
    said = _OUT_OF.sub("", said)
    line, ended, _ = said.partition("\n")
    bare = _BARE.fullmatch(line) if finished or ended else None
    if not (bare or finished):
        return None
    numbers = {bare[1]} if bare else set(_NUMBER.findall(said))
    return _GRADES.get(numbers.pop()) if len(numbers) == 1 else None
