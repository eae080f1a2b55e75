"""Measured labels: what each dimension is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechqa_plugin.schema import Artifact, load_taxonomy
from speechqa_plugin.simulate.scoring import score_dimensions
from speechqa_plugin.simulate.signals import SimulationError
from speechqa_plugin.simulate.wide.labels import combine, label, pairs_of

TAXONOMY = load_taxonomy("wide")
BEST = {"pesq": 4.64, "visqol": 4.53, "distillmos": 4.7, "stoi": 1.0, "dnsmos_bak": 4.15}
WORST = {"pesq": 1.02, "visqol": 1.0, "distillmos": 1.0, "stoi": 0.5, "dnsmos_bak": 1.0}
NOISE = Artifact("noise", "babble", 0.0, 4.0, 0.5)
CODEC = Artifact("distortion", "codec", 0.0, 4.0, 0.5)
PAUSE = Artifact("pause", "inserted pause", 1.0, 2.0, 0.5)
PITCH = Artifact("distortion", "pitch shift", 0.0, 4.0, 1.0)


def scores(measures, *artifacts):
    return label("a", 4.0, artifacts, measures, TAXONOMY).scores


def test_a_clean_clip_is_excellent_in_everything():
    assert scores({"overall": BEST}) == pytest.approx(
        dict.fromkeys(TAXONOMY.names, 5.0) | {"speed": 3.0}
    )


def test_a_pair_that_measures_worst_is_bad():
    got = scores({"overall": WORST, "noise": WORST, "distortion": WORST}, NOISE, CODEC)
    for dimension in ("mos", "noise", "distortion", "listening_effort"):
        assert got[dimension] == 1.0


def test_noise_is_from_the_voice_with_noise_alone_and_distortion_from_it_with_distortion_alone():
    got = scores({"overall": WORST, "noise": BEST, "distortion": WORST}, NOISE, CODEC)
    assert (got["noise"], got["distortion"]) == (5.0, 1.0)
    got = scores({"overall": WORST, "noise": WORST}, NOISE)
    assert (got["noise"], got["distortion"], got["mos"]) == (1.0, 5.0, 1.0)


def test_what_no_measure_hears_lowers_by_its_points():
    paused = scores({"overall": BEST}, PAUSE)
    points = score_dimensions([PAUSE], 4.0, TAXONOMY)
    assert paused["mos"] == pytest.approx(points["mos"], abs=1e-3) and points["mos"] < 4
    assert paused["continuity"] == pytest.approx(points["continuity"], abs=1e-3)
    half = scores({"overall": {**BEST, "pesq": 2.83, "visqol": 2.765, "distillmos": 2.85}}, PAUSE)
    assert half["mos"] == pytest.approx(1 + 2 * (points["mos"] - 1) / 4, abs=1e-3)
    assert scores({"overall": BEST}, PITCH)["distortion"] < 2


def test_a_cut_out_is_heard_so_it_lowers_by_its_measures_alone():
    cut = Artifact("pause", "cut-out", 1.0, 2.0, 0.8)
    got = scores({"overall": BEST}, cut)
    assert got["mos"] == 5.0 and got["continuity"] < 3


def test_what_measures_hear_takes_no_points_from_measured_scores():
    got = scores({"overall": BEST, "noise": BEST}, NOISE)
    assert got["noise"] == got["mos"] == 5.0 and got["naturalness"] < 5.0


def test_the_description_fits_the_scores():
    measures = {"overall": WORST, "noise": WORST}
    text = label("a", 4.0, [NOISE], measures, TAXONOMY).description
    assert "babble" in text.lower() and "very intrusive" in text and "bad" in text
    assert (
        text == label("a", 4.0, [NOISE], {"overall": WORST, "noise": WORST}, TAXONOMY).description
    )


def test_the_mean_is_of_what_there_is_and_kept_within_the_scale():
    assert combine({"pesq": None, "stoi": 0.75}, ["pesq", "stoi"]) == 3.0
    assert combine({"distillmos": 4.9}, ["distillmos"]) == 5.0
    assert combine({"distillmos": 0.6}, ["distillmos"]) == 1.0


def test_a_clip_in_which_nothing_finds_speech_is_told():
    nothing = dict.fromkeys(BEST)
    with pytest.raises(SimulationError, match="a: .* found no speech in it"):
        scores({"overall": nothing})


def test_pairs_are_the_clip_and_its_stems_each_against_the_reference():
    stems = {"reference": "stems/a.flac", "noise": "stems/n.flac", "distortion": "clips/a.wav"}
    pairs = pairs_of({"clip": "clips/a.wav", "stems": stems}, Path("corpus"))
    assert {name: pair.clip for name, pair in pairs.items()} == {
        "overall": "corpus/clips/a.wav",
        "noise": "corpus/stems/n.flac",
        "distortion": "corpus/clips/a.wav",
    }
    assert {pair.reference for pair in pairs.values()} == {"corpus/stems/a.flac"}
    assert pairs["overall"].names == ("pesq", "visqol", "distillmos", "stoi")
    assert pairs_of({"clip": "clips/a.wav", "stems": {}}, Path("corpus")) == {}
