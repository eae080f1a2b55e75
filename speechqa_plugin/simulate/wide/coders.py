"""More real codecs than `codec`, at lower rates: GSM, Codec 2, Speex, G.723.1 and others.

GSM 06.10 comes with the `soundfile` wheel, Codec 2 with `pycodec2`, Speex with the ``ffmpeg``
command where it is installed, the others with the `av` wheel, as those of `codec` do.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from functools import lru_cache

import numpy as np
import pycodec2
import soundfile
import soxr

from speechqa_plugin.schema import Interval
from speechqa_plugin.simulate import codec
from speechqa_plugin.simulate.codec import Rung, align
from speechqa_plugin.simulate.signals import (
    SAMPLE_RATE_HZ,
    Degraded,
    SimulationError,
    match_level,
    replace_part,
    to_interval,
    to_slice,
)

_RATE_HZ = 8000
"""Of GSM, Codec 2 and Speex, as they are used here."""

LADDER = (
    *codec.LADDER,
    Rung(0.63, "nellymoser", "flv", 8000, 0),
    Rung(0.71, "sbc", "sbc", 16000, 32000),
    Rung(0.71, "g723_1", "wav", 8000, 6300),
    Rung(0.73, "libspeex", "ogg", 8000, 8000),
    Rung(0.77, "gsm", "wav", 8000, 13000),
    Rung(0.78, "real_144", "rm", 8000, 8000),
    Rung(0.85, "libspeex", "ogg", 8000, 4000),
    Rung(0.90, "libspeex", "ogg", 8000, 2150),
    Rung(0.93, "codec2", "", 8000, 3200),
    Rung(0.94, "codec2", "", 8000, 2400),
    Rung(0.95, "codec2", "", 8000, 1600),
    Rung(0.95, "codec2", "", 8000, 1200),
    Rung(0.96, "codec2", "", 8000, 700),
)


@lru_cache
def ladder() -> tuple[Rung, ...]:
    """Settings that work here: without Speex where no ``ffmpeg`` command encodes it.

    Example
    -------
    >>> len(ladder()) >= len(codec.LADDER) + 10
    True
    """
    return tuple(r for r in LADDER if r.encoder != "libspeex" or _ffmpeg_has("libspeex"))


def code(audio: np.ndarray, rung: Rung) -> np.ndarray:
    """Encode and decode audio [n], with the codec's delay taken out.

    Example
    -------
    >>> code(np.zeros(16000, dtype=np.float32), Rung(0.7, "gsm", "wav", 8000, 13000)).shape
    (16000,)
    """
    special = {"gsm": _gsm, "codec2": _codec2, "libspeex": _speex}.get(rung.encoder)
    if special is None:
        return codec.code(audio, rung)
    narrow = np.clip(soxr.resample(audio, SAMPLE_RATE_HZ, _RATE_HZ), -1, 1)
    samples = np.round(narrow * 32767).astype(np.int16)
    decoded = special(samples, rung.bit_rate).astype(np.float32)
    return align(soxr.resample(decoded, _RATE_HZ, SAMPLE_RATE_HZ), audio)


def code_part(
    audio: np.ndarray, rng: np.random.Generator, severity: float, interval: Interval | None
) -> Degraded:
    """Code a stretch of a clip with a setting about as severe as asked; see `codec.code_part`.

    Example
    -------
    >>> clip = np.sin(np.arange(16000) / 9).astype(np.float32)
    >>> code_part(clip, np.random.default_rng(0), 1.0, None).severity > 0.8
    True
    """
    part = to_slice(audio, interval)
    rung = codec.pick(rng, severity, ladder())
    out = replace_part(audio, part, match_level(code(audio[part], rung), audio[part]))
    return Degraded(out, [to_interval(part)], rung.severity)


def _gsm(samples: np.ndarray, bit_rate: int) -> np.ndarray:
    del bit_rate
    file = io.BytesIO()
    soundfile.write(file, samples, _RATE_HZ, subtype="GSM610", format="WAV")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _codec2(samples: np.ndarray, bit_rate: int) -> np.ndarray:
    coder = pycodec2.Codec2(bit_rate)
    frame = coder.samples_per_frame()
    frames = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    return np.concatenate([coder.decode(coder.encode(f)) for f in frames]) / 32768


def _speex(samples: np.ndarray, bit_rate: int) -> np.ndarray:
    raw = ("-f", "s16le", "-ar", str(_RATE_HZ), "-ac", "1")
    coding = ("-c:a", "libspeex", "-b:a", str(bit_rate), "-f", "ogg", "-")
    command = ["ffmpeg", "-v", "error", *raw, "-i", "-", *coding]
    run = subprocess.run(command, input=samples.tobytes(), capture_output=True)
    if run.returncode:
        reason = run.stderr.decode(errors="replace").strip()
        raise SimulationError(f"ffmpeg cannot encode Speex at {bit_rate} bit/s: {reason}")
    return codec.decode(io.BytesIO(run.stdout), "ogg")[0]


def _ffmpeg_has(encoder: str) -> bool:
    if shutil.which("ffmpeg") is None:
        return False
    listed = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True)
    return encoder in listed.stdout
