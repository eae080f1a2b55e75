"""The measures by name, with what may be done with them.

========== ========= ============================================ ===========================
name       reference what                                         package, licence
========== ========= ============================================ ===========================
pesq       yes       PESQ, wide band (ITU-T P.862.2): MOS-LQO     ``pesq``, MIT
stoi       yes       intelligibility (Taal et al., 2011)          ``pystoi``, MIT
visqol     yes       ViSQOL 3, speech mode: MOS-LQO               ``visqol-python``, Apache-2.0
distillmos no        Distill-MOS: MOS of P.800                    ``distillmos``, MIT
dnsmos_bak no        DNSMOS P.835: background noise               ``speechmos``, MIT
dnsmos_sig no        DNSMOS P.835: speech                         ``speechmos``, MIT
dnsmos_ovr no        DNSMOS P.835: overall                        ``speechmos``, MIT
========== ========= ============================================ ===========================

All may teach a model that people use freely. Each takes audio at 16 kHz as float32 and brings it to
the active speech level that it was made for, since loudness is not what is asked.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from speechqa_plugin.speech_level import set_speech_level

SAMPLE_RATE_HZ = 16000

_STOI_RATE_HZ = 10000
_DNSMOS_SAMPLES = 144160
"""9.01 s, the window of DNSMOS; a shorter clip is repeated, as in its authors' code."""

_DNSMOS_POLYNOMIALS = {
    "dnsmos_sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_ovr": (-0.06766283, 1.11546468, 0.04602535),
}
"""From the network's outputs, in this order, to scores: the values of its authors' code."""

Instrument = Callable[[np.ndarray | None, np.ndarray], Mapping[str, float]]
"""``measure(reference, clip)``: values by name, NaN where the measure finds no speech."""


class MeasureError(ValueError):
    """A measure that cannot be taken; the message says what is missing and what to do."""


def measure_pesq(reference: np.ndarray, clip: np.ndarray) -> dict[str, float]:
    """PESQ of a clip [n] against its reference [n], in [1.02, 4.64].

    Example
    -------
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> round(measure_pesq(noise, noise)["pesq"], 2)
    4.64
    """
    from pesq import PesqError, pesq

    value = pesq(SAMPLE_RATE_HZ, reference, clip, "wb", on_error=PesqError.RETURN_VALUES)
    return {"pesq": float(value) if value > 0 else np.nan}


def measure_stoi(reference: np.ndarray, clip: np.ndarray) -> dict[str, float]:
    """STOI of a clip [n] against its reference [n], at most 1."""
    from pystoi import stoi

    slow = [soxr.resample(x, SAMPLE_RATE_HZ, _STOI_RATE_HZ) for x in (reference, clip)]
    return {"stoi": float(stoi(*slow, _STOI_RATE_HZ))}


def measure_visqol(reference: np.ndarray, clip: np.ndarray) -> dict[str, float]:
    """ViSQOL of a clip [n] against its reference [n], in [1, 5]."""
    result = _visqol().measure_from_arrays(reference, clip, SAMPLE_RATE_HZ)
    return {"visqol": float(result.moslqo)}


def measure_distillmos(reference: np.ndarray | None, clip: np.ndarray) -> dict[str, float]:
    """Distill-MOS of a clip [n], about 1 to 5."""
    import torch

    with torch.inference_mode():
        value = _distillmos()(torch.from_numpy(np.ascontiguousarray(clip))[None])
    return {"distillmos": float(value)}


def measure_dnsmos(reference: np.ndarray | None, clip: np.ndarray) -> dict[str, float]:
    """DNSMOS P.835 of a clip [n]: ``dnsmos_sig``, ``dnsmos_bak``, ``dnsmos_ovr``, about 1 to 5.

    A longer clip than 9.01 s is measured every second, and the mean is taken.
    """
    clip = np.resize(clip, max(len(clip), _DNSMOS_SAMPLES)).astype(np.float32)
    starts = range(0, len(clip) - _DNSMOS_SAMPLES + 1, SAMPLE_RATE_HZ)
    windows = (clip[None, s : s + _DNSMOS_SAMPLES] for s in starts)
    raw = [_dnsmos().run(None, {"input_1": window})[0][0] for window in windows]
    of_windows = [map(np.polyval, _DNSMOS_POLYNOMIALS.values(), row) for row in raw]
    scores = np.mean([list(row) for row in of_windows], axis=0)
    return dict(zip(_DNSMOS_POLYNOMIALS, map(float, scores), strict=True))


_INSTRUMENTS: dict[str, tuple[Instrument, str, bool]] = {
    "pesq": (measure_pesq, "pesq", True),
    "stoi": (measure_stoi, "pystoi", True),
    "visqol": (measure_visqol, "visqol", True),
    "distillmos": (measure_distillmos, "distillmos", False),
    **dict.fromkeys(_DNSMOS_POLYNOMIALS, (measure_dnsmos, "speechmos", False)),
}
"""Function, module that it needs, and whether it needs a reference, by name of the value."""

NAMES = tuple(_INSTRUMENTS)


def installed() -> tuple[str, ...]:
    """Names of the measures whose package is there.

    Example
    -------
    >>> "pesq" in installed()
    True
    """
    return tuple(name for name, (_, module, _) in _INSTRUMENTS.items() if find_spec(module))


def require(names: Sequence[str]) -> None:
    """Check that measures are known and installed.

    Raises
    ------
    MeasureError
        If one is not.

    Example
    -------
    >>> require(["nisqa"])
    Traceback (most recent call last):
    ...
    speechqa_plugin.measures.instruments.MeasureError: nisqa: no such measure; known are pesq, \
stoi, visqol, distillmos, dnsmos_sig, dnsmos_bak, dnsmos_ovr
    """
    for name in names:
        if name not in _INSTRUMENTS:
            raise MeasureError(f"{name}: no such measure; known are {', '.join(NAMES)}")
        if name not in installed():
            raise MeasureError(
                f"{name}: needs the module {_INSTRUMENTS[name][1]!r}, which is not installed; "
                "pip install 'speechqa-plugin[simulate,wide]'"
            )


def measure(
    reference: np.ndarray | None, clip: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Take some measures of a clip.

    Arguments
    ---------
    reference : numpy.ndarray of float32, shape (n,), or None
        The clean speech at the same moments, at 16 kHz; None if there is none.
    clip : numpy.ndarray of float32, shape (n,)
    names : sequence of str
        Of `NAMES`.

    Returns
    -------
    dict from str to float
        In the order asked; NaN where a measure finds no speech.

    Raises
    ------
    MeasureError
        If a measure is unknown or not installed, or needs a reference and there is none.

    Example
    -------
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> round(measure(noise, 0.1 * noise, ["pesq"])["pesq"], 1)
    4.6
    """
    require(names)
    reference, clip = (
        None if x is None else set_speech_level(x, SAMPLE_RATE_HZ) for x in (reference, clip)
    )
    found: dict[str, float] = {}
    for name in names:
        instrument, _, intrusive = _INSTRUMENTS[name]
        if intrusive and reference is None:
            raise MeasureError(f"{name}: compares with a reference, and there is none")
        if name not in found:
            found.update(instrument(reference, clip))
    return {name: found[name] for name in names}


@lru_cache(maxsize=1)
def _visqol():
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="speech", use_lattice_model=True)
    return api


@lru_cache(maxsize=1)
def _distillmos():
    import torch
    from distillmos import ConvTransformerSQAModel

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):  # it says where its weights are
        return ConvTransformerSQAModel().eval()


@lru_cache(maxsize=1)
def _dnsmos():
    import onnxruntime

    # Found, not imported: the package's own module needs librosa.
    (folder,) = find_spec("speechmos").submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(folder) / "dnsmos_models" / "sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(path), options)
