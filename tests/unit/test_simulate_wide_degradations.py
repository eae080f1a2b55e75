"""The wide simulation's degradations, each by a property of its signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import stft
from simulated_voice import make_voice

from speechqa_plugin.schema import Interval, load_taxonomy
from speechqa_plugin.simulate.codec import Rung
from speechqa_plugin.simulate.scoring import measure
from speechqa_plugin.simulate.signals import SimulationError, active_rms, to_slice
from speechqa_plugin.simulate.wide import coders, network, suppression, vocoders
from speechqa_plugin.simulate.wide.degradations import OWN, TYPES, degrade

TAXONOMY = load_taxonomy("wide")
VOICE = make_voice()
TONE = np.sin(2 * np.pi * 100 / 16000 * np.arange(64000))


def run(type_, severity, interval=None, seed=0):
    return degrade(VOICE, np.random.default_rng(seed), type_, severity, TAXONOMY, interval)


def envelope(audio):
    return np.log(np.abs(stft(audio, nperseg=512)[2]) + 1e-3).ravel()


def alike(a, b):
    return np.corrcoef(envelope(a), envelope(b))[0, 1]


def test_types_are_those_of_the_taxonomy():
    assert sorted(TYPES) == sorted(t for kind in TAXONOMY.kinds for t in kind.types)


def test_the_taxonomy_has_the_dimensions_and_all_types_of_qualispeech():
    narrow = load_taxonomy("qualispeech")
    assert TAXONOMY.dimensions == narrow.dimensions and TAXONOMY.overall == narrow.overall
    for kind, wider in zip(narrow.kinds, TAXONOMY.kinds, strict=True):
        assert kind.name == wider.name and set(kind.types) <= set(wider.types)


@pytest.mark.parametrize("type_", OWN)
@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_outside_the_interval_not_a_sample_changes(type_, severity):
    interval = Interval(0.8, 2.4)
    out, (artifact,) = run(type_, severity, interval)
    part = to_slice(VOICE, interval)
    assert out.dtype == np.float32 and np.isfinite(out).all() and len(out) == len(VOICE)
    assert np.array_equal(out[: part.start], VOICE[: part.start])
    assert np.array_equal(out[part.stop :], VOICE[part.stop :])
    assert np.abs(out[part] - VOICE[part]).max() > 1e-4
    assert (artifact.kind, artifact.type, artifact.interval) == ("distortion", type_, interval)


@pytest.mark.parametrize("type_", [t for t in OWN if t not in ("codec", "packet loss")])
def test_more_severity_is_worse_to_an_outside_measure(type_):
    lqo = [
        np.mean([measure(VOICE, run(type_, severity, seed=seed)[0])[0] for seed in range(4)])
        for severity in (0.0, 1.0)
    ]
    assert lqo[0] > lqo[1] + 0.2


@pytest.mark.parametrize(("severity", "q_db"), [(0, 38), (0.5, 20), (1, 2)])
def test_modulated_noise_has_the_ratio_of_p810_and_is_silent_in_pauses(severity, q_db):
    gapped = np.r_[TONE, np.zeros(8000), TONE]
    noise = network.modulate_noise(gapped, np.random.default_rng(0), severity) - gapped
    ratio_db = 10 * np.log10(np.mean(gapped**2) / np.mean(noise**2))
    assert ratio_db == pytest.approx(q_db, abs=0.2)
    assert not noise[len(TONE) : len(TONE) + 8000].any()


def test_modulated_noise_goes_with_the_amplitude():
    ramp = np.linspace(0.1, 1, 64000)
    noise = network.modulate_noise(ramp, np.random.default_rng(0), 0.5) - ramp
    assert np.std(noise[-8000:]) / np.std(noise[:8000]) == pytest.approx(6.0, rel=0.1)


@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_level_steps_are_as_high_as_severity_says(severity):
    out = network.step_level(np.ones(160000), np.random.default_rng(0), severity)
    gain_db = 20 * np.log10(out)
    assert gain_db.max() - gain_db.min() == pytest.approx(4 + 20 * severity, abs=0.01)
    changes = np.count_nonzero(np.diff(np.sign(gain_db - gain_db.mean())))
    assert 10 / 1.5 - 1 <= changes <= 10 / 0.3
    assert np.abs(np.diff(gain_db)).max() <= (4 + 20 * severity) / 80  # no click


def test_a_concealed_loss_in_a_steady_tone_is_hardly_there_and_a_long_one_fades_out():
    rng = np.random.default_rng(3)
    out = network.conceal_packets(TONE, rng, 0.3)
    silenced = TONE.copy()
    changed = np.abs(out - TONE) > 1e-9
    silenced[changed] = 0
    assert changed.any()
    assert np.mean((out - TONE) ** 2) < 0.5 * np.mean((silenced - TONE) ** 2)
    long = TONE.copy()
    network._fill(long, 16000, 20000)
    assert np.abs(long[16000:16160] - TONE[16000:16160]).max() < 1e-6  # 10 ms at full level
    assert not long[16000 + 960 : 20000].any()  # silent after 60 ms


def test_concealment_that_has_heard_nothing_yet_is_silent():
    start = TONE.copy()
    network._fill(start, 100, 400)
    assert not start[100:400].any() and np.array_equal(start[:100], TONE[:100])


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_packets_are_lost_in_speech_in_bursts_and_as_often_as_severity_says(severity):
    voice = np.ones(1_600_000)
    lost = network._lost_packets(voice, np.random.default_rng(0), severity, 160)
    assert np.mean(lost) == pytest.approx(0.02 + 0.33 * severity, rel=0.15)
    bursts = np.count_nonzero(np.diff(np.r_[0, lost.astype(int)]) == 1)
    assert np.sum(lost) / bursts == pytest.approx(1.2 * 2.5**severity, rel=0.1)
    few = network._lost_packets(np.ones(1600), np.random.default_rng(0), 0.0, 160)
    assert few.any()


def test_packets_are_lost_with_and_without_concealment():
    silent = set()
    for seed in range(12):
        out = network.lose_packets(TONE + 2, np.random.default_rng(seed), 0.0)
        silent.add(bool(np.mean(out == 0) > 0.01))
    assert silent == {True, False}


@pytest.mark.parametrize("vocode", [vocoders.world, vocoders.griffin_lim, vocoders.disturb_phase])
def test_a_vocoder_keeps_the_spectrum_not_the_waveform(vocode):
    mild, hard = (vocode(VOICE, np.random.default_rng(0), s) for s in (0.0, 1.0))
    for out in (mild, hard):
        assert len(out) == len(VOICE) and np.isfinite(out).all()
        assert active_rms(out) == pytest.approx(active_rms(VOICE), rel=1e-3)
        assert np.abs(out - VOICE).max() > 0.003
    assert alike(mild, VOICE) > 0.8
    assert alike(mild, VOICE) > alike(hard, VOICE)


def test_world_keeps_the_pitch_until_it_errs():
    frequency = np.fft.rfftfreq(len(VOICE), 1 / 16000)
    voice_band = (frequency > 90) & (frequency < 150)

    def sharpness(audio):
        power = np.abs(np.fft.rfft(audio)) ** 2
        return frequency[voice_band][np.argmax(power[voice_band])]

    mild = vocoders.world(VOICE, np.random.default_rng(0), 0.0)
    assert sharpness(mild) == pytest.approx(sharpness(VOICE), abs=5)


def test_world_makes_silence_of_silence():
    out = vocoders.world(np.zeros(32000), np.random.default_rng(0), 1.0)
    assert np.abs(out).max() < 1e-3


def test_suppression_leaves_holes_and_its_residue_grows():
    pauses = np.abs(VOICE) < 1e-4
    residue = []
    for severity in (0.0, 1.0):
        outs = [suppression.suppress(VOICE, np.random.default_rng(s), severity) for s in range(6)]
        residue.append(np.mean([np.std(out[pauses]) for out in outs]))
    assert residue[1] > 2 * residue[0]
    noisy = active_rms(VOICE)
    assert residue[1] < 0.5 * noisy  # of the noise put in, most is gone


def test_suppression_leaves_a_scrap_alone():
    scrap = np.ones(300)
    assert suppression.suppress(scrap, np.random.default_rng(0), 1.0) is scrap


@pytest.mark.parametrize("rung", coders.ladder(), ids=lambda r: f"{r.encoder}-{r.bit_rate}")
def test_a_coder_is_lossy_aligned_and_keeps_the_envelope(rung):
    out = coders.code(VOICE, rung)
    assert out.shape == VOICE.shape and out.dtype == np.float32
    assert not np.allclose(out, VOICE, atol=1e-4)
    power = [np.convolve(x**2, np.ones(800), "same")[::160] for x in (out, VOICE)]
    lags = range(-4, 5)
    fit = [np.corrcoef(np.roll(power[0], lag), power[1])[0, 1] for lag in lags]
    assert max(fit) > 0.7 and abs(lags[int(np.argmax(fit))]) <= 2  # at most 20 ms: a frame


def test_a_narrow_coder_has_nothing_above_its_band():
    out = coders.code(VOICE, Rung(0.9, "codec2", "", 8000, 1200))
    spectrum = np.abs(np.fft.rfft(out)) ** 2
    above = np.fft.rfftfreq(len(out), 1 / 16000) > 4200
    assert spectrum[above].sum() < 1e-3 * spectrum.sum()


def test_without_the_command_there_is_no_speex(monkeypatch):
    monkeypatch.setattr(coders.shutil, "which", lambda name: None)
    coders.ladder.cache_clear()
    try:
        assert not [r for r in coders.ladder() if r.encoder == "libspeex"]
        assert len(coders.ladder()) == len(coders.LADDER) - 3
    finally:
        coders.ladder.cache_clear()


def test_a_command_that_fails_is_told(monkeypatch, tmp_path):
    command = tmp_path / "ffmpeg"
    command.write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SimulationError, match="cannot encode Speex at 4000 bit/s: out of order"):
        coders.code(VOICE, Rung(0.85, "libspeex", "ogg", 8000, 4000))
