"""What comes block by block is what comes at once, in the memory of some windows."""

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechqa_plugin.audio import AudioError, load_audio
from speechqa_plugin.streams import (
    HeldRecording,
    LongFile,
    cut_blocks,
    open_recording,
    pcm_windows,
    resample_blocks,
)
from speechqa_plugin.windows import cut

RATE = 16000


def noise(seconds, rate_hz, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, (round(seconds * rate_hz), channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "name", "subtype"),
    [
        (16000, 1, "a.wav", "FLOAT"),
        (44100, 2, "a.wav", "FLOAT"),
        (48000, 2, "a.flac", "PCM_16"),
        (8000, 1, "a.wav", "PCM_16"),
        (16000, 1, "a.mp3", "MPEG_LAYER_III"),
        (48000, 2, "a.ogg", "VORBIS"),
    ],
)
def test_a_long_file_is_sample_by_sample_what_is_loaded_at_once(
    tmp_path, rate_hz, channels, name, subtype
):
    soundfile.write(tmp_path / name, noise(11, rate_hz, channels), rate_hz, subtype=subtype)
    recording = open_recording(tmp_path / name, RATE, 0.03, 2.0)
    assert isinstance(recording, LongFile)
    whole = load_audio(tmp_path / name)
    assert abs(recording.length - len(whole)) <= 1
    places = cut(recording.length, 2 * RATE, RATE // 2)
    windows = list(recording.windows(places))
    assert len(windows) == len(places)
    for window, (start, end) in zip(windows, places, strict=True):
        # The MP3 decoder rounds otherwise where a block begins.
        atol = 1e-6 * (name == "a.mp3")
        torch.testing.assert_close(torch.from_numpy(window), whole[start:end], atol=atol, rtol=0)


def test_what_fits_a_window_is_loaded_at_once(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2, 48000, 2), 48000)
    recording = open_recording(path, RATE, 0.03, 2.0)
    assert isinstance(recording, HeldRecording) and recording.warnings == ()
    assert np.array_equal(recording.wav, load_audio(path))
    assert np.array_equal(next(recording.windows([(5, 900)])), recording.wav[5:900])
    with pytest.raises(AudioError, match="lasts 2 s; need at least 3 s"):
        open_recording(path, RATE, 3.0, 10.0)


def test_channels_are_weighed_over_the_whole_file(tmp_path):
    """They cancel in the second half alone, but less is lost by the mean than by either."""
    left = noise(4, RATE)
    soundfile.write(tmp_path / "a.wav", np.hstack([left, -left]), RATE, subtype="FLOAT")
    turned = LongFile(tmp_path / "a.wav", RATE)
    assert turned.warnings[0].startswith("the 2 channels cancel")
    assert np.array_equal(next(turned.windows([(0, 4 * RATE)])), left[:, 0])
    right = np.concatenate([left[: 2 * RATE], -left[2 * RATE :]])
    soundfile.write(tmp_path / "b.wav", np.hstack([left, right]), RATE, subtype="FLOAT")
    assert LongFile(tmp_path / "b.wav", RATE).warnings == ()


@given(
    lengths=st.lists(st.integers(0, 40), max_size=8),
    longest=st.integers(2, 30),
    overlap=st.integers(0, 20),
)
def test_windows_do_not_depend_on_the_blocks(lengths, longest, overlap):
    total = sum(lengths)
    samples = np.arange(total)
    blocks = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    places = cut(max(total, 1), longest, min(overlap, longest // 2))
    windows = list(cut_blocks(blocks, places))
    expected = [samples[s:e] for s, e in places] if total else []
    assert [w.tolist() for w in windows] == [w.tolist() for w in expected]


def test_no_blocks_no_samples():
    assert list(resample_blocks([], 48000, RATE)) == []
    assert list(cut_blocks([], [(0, 5)])) == []


# --- raw samples from a pipe


def pcm(samples):
    return np.round(samples * 32768).astype("<i2").tobytes()


class Drips(io.BytesIO):
    """Gives some bytes at a time, as a pipe does, and not whole samples."""

    def read1(self, size=-1):
        return super().read1(min(size, 1001))


@pytest.mark.parametrize("kind", [io.BytesIO, Drips])
@pytest.mark.parametrize(("rate_hz", "channels"), [(16000, 1), (48000, 2), (8000, 1)])
def test_raw_samples_are_those_of_a_file(tmp_path, kind, rate_hz, channels):
    samples = noise(2.6, rate_hz, channels)
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="PCM_16")
    stored, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    windows = list(pcm_windows(kind(stored.tobytes() + b"x"), rate_hz, channels, RATE, RATE))
    assert [first for first, _ in windows] == [0, RATE, 2 * RATE]
    whole = torch.from_numpy(np.concatenate([held.wav for _, held in windows]))
    torch.testing.assert_close(whole, load_audio(tmp_path / "a.wav"), atol=1e-6, rtol=0)
    assert all(held.warnings == () for _, held in windows)


def test_raw_channels_that_cancel_are_told_of_in_their_window():
    left = noise(1, RATE)
    stereo = np.vstack([np.hstack([left, left]), np.hstack([left, -left])])
    (_, plain), (_, turned) = pcm_windows(io.BytesIO(pcm(stereo)), RATE, 2, RATE, RATE)
    assert plain.warnings == () and "channel 1 was heard alone" in turned.warnings[0]
    np.testing.assert_allclose(turned.wav, plain.wav, atol=1e-4, rtol=0)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_nothing_in_the_pipe_is_no_window(data):
    assert list(pcm_windows(io.BytesIO(data), RATE, 2, RATE, RATE)) == []


def test_a_window_comes_when_it_is_full_and_not_when_the_pipe_ends():
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb") as writer:
        sending = threading.Thread(
            target=lambda: (writer.write(pcm(noise(1.1, RATE))), writer.flush())
        )
        sending.start()
        windows = pcm_windows(reader, RATE, 1, RATE, RATE)
        assert next(windows)[0] == 0  # the pipe is still open
        sending.join()
        writer.close()
        assert [(first, held.length) for first, held in windows] == [(RATE, 1600)]


# --- memory


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    """20 minutes of 48 kHz stereo: 460 MB of floats, if they were held."""
    code = """
import resource, sys
from speechqa_plugin.streams import LongFile
from speechqa_plugin.windows import cut
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
recording = LongFile(sys.argv[1], 16000)
places = cut(recording.length, 160000, 32000)
n = sum(1 for _ in recording.windows(places))
assert n == len(places) == 150
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    path = tmp_path / "long.flac"
    minute = np.tile(noise(1, 48000, 2), (60, 1)) * (np.arange(60 * 48000)[:, None] < 48000)
    with soundfile.SoundFile(path, "w", 48000, 2) as file:
        for _ in range(20):
            file.write(minute)
    result = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 50_000, "kilobytes"
