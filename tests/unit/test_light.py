"""A command hears a file with a compact model without torch, and says the same."""

import os
import subprocess
import sys

import pytest
from tiny import tiny_answerer, trained_answerer, write_bad_files, write_clip

from speechqa_plugin.export import export_assessor
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.light import load_light

HEAVY = ["torch", "torchaudio", "transformers", "speechbrain", "scipy", "peft", "pandas"]
HEARING = """
import sys
from speechqa_plugin.cli import main
try:
    main()
finally:
    print("heavy:", sorted({heavy} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export_assessor(trained_answerer(), tmp_path_factory.mktemp("light") / "exported")


def test_files_are_assessed_as_in_full(exported, tmp_path):
    paths = [write_clip(tmp_path / "a.wav"), write_clip(tmp_path / "b.wav", 1.5, 0.1)]
    paths.append(write_clip(tmp_path / "long.wav", 5.0, 0.1))
    paths += write_bad_files(tmp_path / "x").values()
    light, full = load_light(exported), SpeechQualityAssessor.from_hparams(source=exported)
    for way in ("score_files", "assess_files"):
        results = zip(getattr(light, way)(paths), getattr(full, way)(paths), strict=True)
        for ours, theirs in results:
            assert (ours.path, ours.error, ours.failure) == (
                theirs.path,
                theirs.error,
                theirs.failure,
            )
            if theirs.assessment is None:
                continue
            ours, theirs = ours.assessment, theirs.assessment
            assert ours.scores == pytest.approx(theirs.scores, abs=1e-3)
            assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-3)
            assert ours.artifacts == theirs.artifacts and ours.warnings == theirs.warnings
            assert ours.description == theirs.description


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("compact.CompactAudioFlamingo3", "audio_flamingo3.AudioFlamingo3"),
        ("listening.Answerer", "listening.Other"),
        ("    lm_layers: 1\n", "    lm_layers: 2\n"),
        ("    lm_layers: 1\n", "    lm_layers: 1\n    unknown: 1\n"),
        ("    taxonomy: !ref <taxonomy>\n", "    taxonomy: !ref <other>\n"),
        ("    overall: mos\n", "    overall: other\n"),
        ("modules:\n", "more: 1\nmodules:\n"),
        ("audio_llm: !new", "- audio_llm: !new"),
    ],
)
def test_any_other_model_is_left_to_who_loads_it_in_full(exported, tmp_path, found, instead):
    folder = export_assessor(tiny_answerer(), tmp_path / "other")
    assert load_light(folder) is not None
    text = (folder / "hyperparams.yaml").read_text()
    assert found in text
    (folder / "hyperparams.yaml").write_text(text.replace(found, instead))
    assert load_light(folder) is None


def test_no_weights_no_model(exported, tmp_path):
    folder = export_assessor(tiny_answerer(), tmp_path / "other")
    (folder / "audio_llm.ckpt").unlink()
    assert load_light(folder) is None and load_light(tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize("command", ["score", "assess"])
def test_the_first_score_comes_before_torch_would_be_imported(exported, tmp_path, command):
    """Fails if anything on the way imports what takes seconds."""
    path = write_clip(tmp_path / "a.wav")
    arguments = [command, str(path), "--model", str(exported)]
    arguments += ["--out", str(tmp_path / "scores.jsonl")] if command == "score" else []
    cpu_s, done = _cpu_s(HEARING.replace("{heavy}", f"set({HEAVY})"), *arguments)
    assert "heavy: []" in done.stderr, done.stderr
    torch_s, _ = _cpu_s("import torch")
    assert cpu_s < torch_s, f"{cpu_s:.1f} s to the first score, import torch alone {torch_s:.1f} s"


def _cpu_s(code, *arguments):
    """User and system seconds of a process, which hang little on what else runs."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    after = os.times()
    used = after.children_user - before.children_user
    return used + after.children_system - before.children_system, done
