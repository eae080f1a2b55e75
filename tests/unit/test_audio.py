"""Real files of every kind that is read, and really broken ones."""

import math
import os
import socket
import struct

import numpy as np
import pytest
import soundfile
import torch

from speechqa_plugin.audio import (
    AudioError,
    audio_duration_s,
    load_audio,
    load_with_warnings,
)
from speechqa_plugin.waveforms import check_waveform

RATE = 16000
TONES_HZ = (110.0, 440.0, 1234.5, 3000.0, 6000.0)


def tones(rate_hz, seconds=1.0, frequencies=TONES_HZ, phase=0.0):
    """Sum of sines: its samples at any rate are known without a resampler."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return sum(np.sin(2 * np.pi * f * time + phase) for f in frequencies) / len(frequencies) / 2


def write(path, samples, rate_hz=RATE, **options):
    soundfile.write(path, samples, rate_hz, **options)
    return path


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


# --- what is read


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "FLOAT", 0.0),
        ("a.flac", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
    ],
)
def test_lossless_formats_keep_every_sample(tmp_path, name, subtype, tolerance):
    samples = tones(RATE).astype(np.float32)
    wav = load_audio(write(tmp_path / name, samples, subtype=subtype))
    assert wav.dtype == torch.float32
    np.testing.assert_allclose(wav.numpy(), samples, atol=tolerance, rtol=0)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.ogg", "VORBIS"), ("a.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III")],
)
def test_lossy_formats_keep_the_signal(tmp_path, name, subtype):
    samples = tones(RATE, seconds=2)
    wav = load_audio(write(tmp_path / name, samples, subtype=subtype)).numpy()
    assert wav.shape == samples.shape
    middle = slice(RATE // 2, -RATE // 2)
    assert np.corrcoef(wav[middle], samples[middle])[0, 1] > 0.95


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 24000, 44100, 48000, 96000])
def test_any_rate_equals_the_same_sines_at_the_models_rate(tmp_path, rate_hz):
    frequencies = [f for f in TONES_HZ if f < 0.4 * min(rate_hz, RATE)]
    path = write(tmp_path / "a.wav", tones(rate_hz, 1, frequencies), rate_hz, subtype="FLOAT")
    wav = load_audio(path)
    assert wav.shape == (RATE,)
    inside = slice(500, -500)  # at the edges a filter sees the signal begin
    expected = tones(RATE, 1, frequencies)[inside]
    np.testing.assert_allclose(wav.numpy()[inside], expected, atol=1e-4)


def test_44100_hz_stereo_is_the_mean_of_the_channels_at_16_khz(tmp_path):
    left, right = tones(44100), tones(44100, phase=1.0)
    stereo = np.stack([left, right], axis=1)
    wav = load_audio(write(tmp_path / "a.wav", stereo, 44100, subtype="FLOAT"))
    expected = (tones(RATE) + tones(RATE, phase=1.0)) / 2
    np.testing.assert_allclose(wav.numpy()[500:-500], expected[500:-500], atol=1e-4)


def test_nothing_folds_back_from_above_the_new_nyquist_frequency(tmp_path):
    path = write(tmp_path / "a.wav", tones(44100, 1, [8500.0]), 44100, subtype="FLOAT")
    assert load_audio(path)[500:-500].abs().max() < 1e-5


def test_the_rate_can_be_chosen(tmp_path):
    assert load_audio(write(tmp_path / "a.wav", tones(RATE)), sample_rate_hz=8000).shape == (8000,)


def test_exactly_the_shortest_and_the_longest_are_heard(tmp_path):
    assert load_audio(write(tmp_path / "short.wav", np.zeros(480))).shape == (480,)
    assert load_audio(write(tmp_path / "long.wav", np.zeros(RATE)), max_s=1.0).shape == (RATE,)


def test_silence_and_clipping_are_heard(tmp_path):
    assert not load_audio(write(tmp_path / "silent.wav", np.zeros(RATE))).any()
    square = np.sign(tones(RATE, frequencies=[100.0], phase=0.1))
    assert load_audio(write(tmp_path / "clipped.wav", square)).abs().max() > 0.99


def test_wav_written_into_a_pipe_has_no_length_and_is_read(tmp_path):
    path = write(tmp_path / "a.wav", tones(RATE), subtype="PCM_16")
    data = path.read_bytes()
    at = data.index(b"data") + 4
    path.write_bytes(data[:at] + struct.pack("<I", 0xFFFFFFFF) + data[at + 4 :])
    assert load_audio(path).shape == (RATE,)


# --- channels that cancel


CANCEL = "the 2 channels cancel each other when averaged: channel {} was heard alone"


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_channels_that_cancel_leave_the_louder_one_and_a_warning(tmp_path, offset, caplog):
    """A cable soldered the wrong way: their mean is silence, or a constant."""
    left, right = tones(RATE) + offset, -0.9 * tones(RATE) + offset
    stereo = np.stack([right, left], axis=1)
    path = write(tmp_path / "a.wav", stereo, subtype="FLOAT")
    wav, warnings = load_with_warnings(path)
    np.testing.assert_allclose(wav.numpy(), left, atol=1e-6)
    assert warnings == (CANCEL.format(2),)
    torch.testing.assert_close(load_audio(path), wav)
    assert f"{path}: {CANCEL.format(2)}" in caplog.text


@pytest.mark.parametrize(
    "channels",
    [
        lambda x, y: [x, x],
        lambda x, y: [x, y],
        lambda x, y: [x, -0.2 * x],
        lambda x, y: [x, -0.5 * x + y],
        lambda x, y: [x] + 7 * [0 * x],
        lambda x, y: [0 * x, 0 * x],
        lambda x, y: [0 * x + 0.3, 0 * x - 0.3],
        lambda x, y: [x],
    ],
)
def test_channels_that_do_not_cancel_are_averaged_as_ever(tmp_path, channels):
    noise = np.random.default_rng(0).normal(size=RATE) / 10
    samples = np.stack(channels(tones(RATE), noise), axis=1).astype(np.float32)
    wav, warnings = load_with_warnings(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert warnings == ()
    assert np.array_equal(wav.numpy(), samples.mean(axis=1))


def test_three_channels_that_cancel_at_another_rate(tmp_path):
    loud = tones(44100)
    path = write(tmp_path / "a.wav", np.stack([loud, -loud / 2, -loud / 2], 1), 44100)
    wav, (warning,) = load_with_warnings(path)
    assert warning.startswith("the 3 channels cancel") and "channel 1 was" in warning
    np.testing.assert_allclose(wav.numpy()[500:-500], tones(RATE)[500:-500], atol=1e-3)


# --- what is refused


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "^None: is None; need the path of an audio file, a str or Path$"),
        (b"a.wav", "^b'a.wav': is of type bytes; need the path"),
        (3, "^3: is of type int; need the path"),
        ("a\0b.wav", r"is no path \(embedded null byte\); need an audio file"),
    ],
)
def test_what_is_no_path(path, message):
    for read in (load_audio, audio_duration_s):
        with pytest.raises(AudioError, match=message):
            read(path)


def test_what_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    os.mkfifo("pipe.wav")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.wav")
    os.symlink("loop.wav", "pool.wav")
    os.symlink("pool.wav", "loop.wav")
    os.symlink("gone.wav", "link.wav")
    os.symlink("/dev/null", "null.wav")
    for path, message in {
        "pipe.wav": "is a named pipe, which has no end to be sure of; need an audio file",
        "socket.wav": "is a socket; need an audio file",
        "/dev/zero": "is a device; need an audio file",
        "null.wav": "is a device; need an audio file",
        "loop.wav": "is a symbolic link that leads back to itself; need an audio file",
        "link.wav": "no such file; it links to gone.wav; need an audio file",
        "C:\\calls\\a.wav": "no such file; it looks like a path of Windows, so write it as one of",
        "D:/a.wav": "no such file; it looks like a path of Windows",
        "wav\\a.wav": "no such file; it looks like a path of Windows",
    }.items():
        with pytest.raises(AudioError) as caught:
            load_audio(path)
        assert str(caught.value).startswith(f"{path}: {message}")


def test_a_name_with_a_backslash_is_a_name(tmp_path):
    assert load_audio(write(tmp_path / "a\\b.wav", tones(RATE))).shape == (RATE,)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "no such file; need an audio file"),
        ("empty.wav", b"", r"is empty \(0 bytes\)"),
        ("text.wav", b"hello " * 100, "no audio that can be read; need WAV"),
        ("noise.mp3", b"\xff" * 4000, "no audio that can be read"),
        ("headerless.raw", b"\0" * 4000, "read; libsndfile can't read .raw; convert to FLAC"),
        ("call.M4A", b"hello " * 100, "read; libsndfile can't read .m4a; convert to FLAC"),
    ],
)
def test_files_that_are_no_audio(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("declared", [0, 2**36 - 1])
def test_flac_that_declares_no_length_or_a_wrong_one(tmp_path, declared):
    """The first as ffmpeg writes it into a pipe."""
    path = write(tmp_path / "a.flac", tones(RATE))
    data = bytearray(path.read_bytes())
    fields = int.from_bytes(data[18:26], "big")  # after block sizes: rate, channels, bits, length
    data[18:26] = (fields >> 36 << 36 | declared).to_bytes(8, "big")
    path.write_bytes(data)
    for read in (load_audio, audio_duration_s):
        with pytest.raises(AudioError, match="declares no length, or a wrong one, for its"):
            read(path)


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(AudioError, match="can't be looked at"):
        load_audio(tmp_path / ("a" * 300 + ".wav"))


def test_folder(tmp_path):
    with pytest.raises(AudioError, match="is a folder"):
        load_audio(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "subtype", "share", "message"),
    [
        ("a.wav", "PCM_16", 0.9, r"truncated, \d+ of 64000 bytes of samples"),
        ("a.wav", "PCM_24", 0.5, r"truncated, \d+ of 96000 bytes of samples"),
        ("a.wav", "FLOAT", 0.01, r"truncated, \d+ of 128000 bytes of samples"),
        ("a.flac", "PCM_16", 0.9, "truncated or damaged"),
        ("a.flac", "PCM_16", 0.1, "truncated or damaged"),
        ("a.ogg", "VORBIS", 0.9, "truncated, its stream has no end"),
        ("a.ogg", "OPUS", 0.9, "truncated, its stream has no end"),
        ("a.ogg", "VORBIS", 0.1, "no audio that can be read"),
        ("a.mp3", "MPEG_LAYER_III", 0.9, r"truncated, \d+ of 32000 samples"),
        ("a.mp3", "MPEG_LAYER_III", 0.5, r"truncated, \d+ of 32000 samples"),
    ],
)
def test_truncated_files(tmp_path, name, subtype, share, message):
    noise = np.random.default_rng(0).normal(size=2 * RATE) / 10
    path = cut(write(tmp_path / name, noise, subtype=subtype), share)
    with pytest.raises(AudioError, match=message):
        load_audio(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_file_with_samples_that_are_not_finite(tmp_path, value):
    samples = np.zeros((RATE, 2), np.float32)
    samples[7, 1] = value
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match="1 of 16000 samples are NaN or infinite"):
        load_audio(path)


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "has no samples"),
        (479, r"lasts 0.02994 s; need at least 0.03 s"),
        (32001, r"lasts 2.00006 s; need at most 2 s"),
    ],
)
def test_file_of_a_length_that_is_not_heard(tmp_path, n, message):
    path = write(tmp_path / "a.wav", np.zeros(n))
    with pytest.raises(AudioError, match=message):
        load_audio(path, max_s=2.0)


def test_file_that_is_too_long_is_refused_before_it_is_decoded(tmp_path):
    noise = np.random.default_rng(0).normal(size=2 * RATE) / 10
    undecodable = cut(write(tmp_path / "a.flac", noise), 0.5)
    with pytest.raises(AudioError, match="lasts 2 s; need at most 1 s"):
        load_audio(undecodable, max_s=1.0)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (torch.zeros(1, RATE), r"has shape \[1, 16000\]; need \[T\]"),
        (torch.tensor(0.5), r"has shape \[\]"),
        (torch.zeros(RATE, dtype=torch.int16), "holds torch.int16; need float"),
        (torch.zeros(0), "has no samples"),
        (torch.full((RATE,), math.nan), "16000 of 16000 samples are NaN"),
        (torch.zeros(100), "lasts 0.00625 s; need at least 0.03 s"),
        (torch.zeros(2 * RATE), "lasts 2 s; need at most 1.5 s"),
        (torch.full((RATE,), -32768.0), "has samples up to 32768; need full scale at 1"),
    ],
)
def test_waveforms_that_are_refused(wav, message):
    with pytest.raises(AudioError, match=f"^row 3: {message}"):
        check_waveform(wav, max_s=1.5, name="row 3")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_waveforms_that_are_accepted(dtype):
    wav = torch.linspace(-1, 1, RATE, dtype=dtype)
    checked = check_waveform(wav)
    assert checked.dtype == torch.float32
    torch.testing.assert_close(checked, wav.float())


def test_arrays_are_accepted():
    assert check_waveform(np.zeros(RATE)).shape == (RATE,)


# --- length by header


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_length_of_a_file_is_that_of_its_samples(tmp_path, name):
    path = write(tmp_path / name, np.zeros((44100, 2)), 22050)
    assert audio_duration_s(path) == 2.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", r"is empty \(0 bytes\)"),
        (b"hello " * 100, "no audio that can be read"),
    ],
)
def test_length_of_what_is_no_audio(tmp_path, content, message):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=message):
        audio_duration_s(path)


def test_length_of_a_truncated_or_too_short_file(tmp_path):
    with pytest.raises(AudioError, match="is truncated"):
        audio_duration_s(cut(write(tmp_path / "a.wav", np.zeros(RATE)), 0.5))
    with pytest.raises(AudioError, match="lasts 0.02 s; need at least 0.03 s"):
        audio_duration_s(write(tmp_path / "b.wav", np.zeros(320)))
