"""The channels of a recording become one, and none is lost by it."""

from __future__ import annotations

import numpy as np

# Of the energy that the mean of unrelated channels has. One that sounds alone among silent ones
# has all of it; two of equal loudness have this little where their correlation is below -.9.
_CANCELLED = 0.1
_ROUNDING = 1e-9
"""Share of a constant's energy that rounding leaves where its mean is taken off."""


class Channels:
    """The channels of a recording, and how they become one: their mean, or the loudest.

    The loudest alone, where the mean would silence what is in them: one channel is another turned
    over, as a cable soldered the wrong way does it.

    Arguments
    ---------
    count : int
        How many there are.

    Example
    -------
    >>> samples = np.array([[0.5, -0.4], [-0.5, 0.4]], np.float32)
    >>> channels = Channels(2)
    >>> channels.add(samples)
    >>> channels.mix(samples)
    array([ 0.5, -0.5], dtype=float32)
    >>> channels.warnings
    ('the 2 channels cancel each other when averaged: channel 1 was heard alone',)
    """

    def __init__(self, count: int):
        self.count = count
        self._n = 0
        # Of each channel and, last, of their mean.
        self._sums, self._squares = np.zeros((2, count + 1))

    def add(self, samples: np.ndarray) -> None:
        """Take a block of the recording, [T, channels], into account."""
        if self.count > 1:
            mean = samples.mean(axis=1, keepdims=True)
            all_ = np.concatenate([samples, mean], axis=1, dtype=np.float64)
            self._sums += all_.sum(axis=0)
            self._squares += np.square(all_).sum(axis=0)
            self._n += len(samples)

    @property
    def alone(self) -> int | None:
        """Index of the channel that is heard alone; None where the mean is."""
        if not self._n or not np.isfinite(self._squares).all():
            return None
        energies = self._squares - self._sums**2 / self._n  # an offset is not heard
        *each, mean = energies.tolist()
        if sum(each) <= _ROUNDING * self._squares.sum():
            return None
        cancelled = mean * self.count**2 < _CANCELLED * sum(each)
        return each.index(max(each)) if cancelled else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """That a channel is heard alone, if it is."""
        if self.alone is None:
            return ()
        return (
            f"the {self.count} channels cancel each other when averaged: channel "
            f"{self.alone + 1} was heard alone",
        )

    def mix(self, samples: np.ndarray) -> np.ndarray:
        """A block of the recording, [T, channels], as [T] float32."""
        return samples.mean(axis=1) if self.alone is None else samples[:, self.alone].copy()
