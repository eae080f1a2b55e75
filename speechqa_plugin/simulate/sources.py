"""What one split may draw from: clean clips, recorded noises, rooms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from speechqa_plugin.simulate.noise import NoiseMaker
from speechqa_plugin.simulate.reading import (
    LONGEST,
    SHORTEST,
    BadSource,
    read_audio,
    read_noise,
    read_speech,
)
from speechqa_plugin.simulate.room import room_response
from speechqa_plugin.simulate.signals import (
    GRID,
    SAMPLE_RATE_HZ,
    SimulationError,
    active_rms,
    cut_where_quiet,
)

_GAP_S = (0.12, 0.3)
"""Silence between short utterances that are joined: a natural pause."""


@dataclass
class Sources:
    """What one split may draw from.

    Arguments
    ---------
    speech : dict from str to list of str
        Paths of each speaker.
    noises : dict from str to list of str
        Paths of each recorded noise type.
    rooms : list of str
        Paths of recorded room responses; may be empty.
    bad : dict from str to str
        Files met that could not be used, and why; grows with use.
    """

    speech: dict[str, list[str]]
    noises: dict[str, list[str]] = field(default_factory=dict)
    rooms: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)

    def draw_speech(self, rng: np.random.Generator) -> tuple[np.ndarray, str, list[str]]:
        """Draw a clean clip of 3 to 8 s: one file, or short ones of one speaker joined.

        Returns
        -------
        audio : numpy.ndarray of float32, shape (n,)
            At 16 kHz.
        speaker : str
        paths : list of str

        Raises
        ------
        SimulationError
            If no speaker has usable speech.

        Example
        -------
        >>> import soundfile
        >>> path = getfixture("tmp_path") / "voice.wav"
        >>> rng = np.random.default_rng(0)
        >>> soundfile.write(path, rng.normal(0, 0.1, 64000), 16000)
        >>> audio, speaker, paths = Sources({"anna": [str(path)]}).draw_speech(rng)
        >>> len(audio) / 16000, speaker
        (4.0, 'anna')
        """
        names = sorted(self.speech)
        for speaker in (names[i] for i in rng.permutation(len(names))):
            parts, paths = self._draw_parts(rng, self.speech[speaker])
            if sum(map(len, parts)) >= SAMPLE_RATE_HZ:
                return cut_where_quiet(np.concatenate(parts), LONGEST), speaker, paths
        raise SimulationError(
            f"speech: nothing usable of any of {len(names)} speakers; "
            f"{len(self.bad)} files are bad, e.g. {next(iter(self.bad.values()), 'none')}"
        )

    def _draw_parts(self, rng: np.random.Generator, files: Sequence[str]) -> tuple[list, list]:
        wanted = int(rng.integers(SHORTEST, LONGEST))
        parts, paths, length = [], [], 0
        for i in rng.permutation(len(files)):
            part = self._try(files[i], partial(read_speech, rng=rng, wanted=wanted))
            if part is None:
                continue
            gap = round(rng.uniform(*_GAP_S) * 100) * GRID if parts else 0
            if length + gap + len(part) > LONGEST and length >= SHORTEST:
                break
            parts += [np.zeros(gap, np.float32), part]
            paths.append(files[i])
            length += gap + len(part)
            if length >= wanted:
                break
        return parts, paths

    def makers(self) -> dict[str, NoiseMaker]:
        """Makers of the recorded noises this split has material for, by type.

        Example
        -------
        >>> sorted(Sources({"anna": ["a.wav"]}, {"music": ["m.wav"]}).makers())
        ['babble', 'music']
        """
        made: dict[str, NoiseMaker] = {t: partial(self._draw_noise, t) for t in self.noises}
        return made | {"babble": self._draw_babble}

    def draw_room(self, rng: np.random.Generator, severity: float) -> np.ndarray:
        """Draw a recorded room response, or simulate one where there is none.

        Arguments
        ---------
        rng : numpy.random.Generator
        severity : float
            In [0, 1]; only for a simulated one.

        Returns
        -------
        numpy.ndarray, shape (n,)
            At 16 kHz; starts with the direct sound.

        Example
        -------
        >>> Sources({}).draw_room(np.random.default_rng(0), 0.0).shape  # simulated, 0.2 s
        (3200,)
        """
        for i in rng.permutation(len(self.rooms)):
            response = self._try(self.rooms[i], read_audio)
            if response is not None:
                return response[int(np.argmax(np.abs(response))) :]
        return room_response(rng, severity)

    def _draw_noise(self, type_: str, rng: np.random.Generator, n: int) -> np.ndarray:
        files = self.noises[type_]
        for i in rng.permutation(len(files)):
            noise = self._try(files[i], partial(read_noise, rng=rng, n=n))
            if noise is not None:
                return noise
        raise SimulationError(
            f"{type_}: none of {len(files)} files is usable, e.g. {self.bad[files[0]]}"
        )

    def _draw_babble(self, rng: np.random.Generator, n: int) -> np.ndarray:
        babble = np.zeros(n)
        for _ in range(int(rng.integers(4, 8))):
            voice, _, _ = self.draw_speech(rng)
            babble += np.roll(np.resize(voice, n), rng.integers(n)) / active_rms(voice)
        return babble

    def _try(self, path: str, read: Callable[[str], np.ndarray]) -> np.ndarray | None:
        if path in self.bad:
            return None
        try:
            return read(path)
        except BadSource as err:
            self.bad[path] = str(err)
            return None
