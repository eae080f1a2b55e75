"""The model that comes with the package: what anybody may rely on, whatever its weights."""

import numpy as np
import pytest
import soundfile
from tiny import clip

from speechqa_plugin import EMBEDDED, SpeechQualityAssessor
from speechqa_plugin.activity import NO_SPEECH
from speechqa_plugin.light import load_light

RATE_HZ = 16000


@pytest.fixture(scope="module")
def assessor():
    return SpeechQualityAssessor.embedded()


@pytest.fixture(scope="module")
def recording():
    return clip(3.0, noise=0.02).numpy()


def scores_of(assessor, samples):
    return assessor.score_batch(samples[None])[0].scores


def test_it_is_small_and_has_a_card():
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 25e6
    card = (EMBEDDED / "README.md").read_text(encoding="utf-8")
    for title in ("Data and licences", "Teachers", "Results", "Limits"):
        assert f"## {title}" in card


def test_assess_and_score_give_one_set_of_scores(assessor, recording):
    (told,), (scored,) = (
        hear(recording[None]) for hear in (assessor.assess_batch, assessor.score_batch)
    )
    assert told.scores == scored.scores and told.confidence == scored.confidence
    assert told.description


def test_the_command_hears_what_the_class_hears(assessor, recording, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, recording, RATE_HZ, subtype="FLOAT")
    light, full = (a.assess_file(path) for a in (load_light(EMBEDDED), assessor))
    assert light.scores == pytest.approx(full.scores, abs=1e-3)
    assert (light.artifacts, light.description) == (full.artifacts, full.description)


@pytest.mark.parametrize("gain_db", [-24, -12, 6, 12])
def test_the_level_tells_nothing(assessor, recording, gain_db):
    copy = (recording * 10 ** (gain_db / 20)).astype(np.float32)
    assert scores_of(assessor, copy) == pytest.approx(scores_of(assessor, recording), abs=0.01)


def test_of_silence_nothing_is_claimed(assessor):
    (said,) = assessor.assess_batch(np.zeros((1, RATE_HZ), np.float32))
    assert said.warnings == (NO_SPEECH,) and set(said.confidence.values()) == {0.0}
