"""Preparation of QualiSpeech, on files of our own in its layout and style."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys

import pytest
import tiny
from recipe import ROOT

from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.schema import load_taxonomy
from speechqa_plugin.text.sections import split_sections

RECIPE = ROOT / "recipes/QualiSpeech"
TAXONOMY = load_taxonomy("qualispeech")
BVCC = "sys0a1b2-utt0123abc"

CELLS = {
    "Speed": "3",
    "Naturalness": "4",
    "Background noise": "2",
    "Distortion": "5",
    "Listening effort": "4",
    "Continuity": "3",
    "Overall quality": "3",
    "Feeling of voice": "calm voice",
    "Noise Description": "Music from 0-0.6s",
    "Distortion description": "None",
    "Unnatural pause": "0.2-0.4s",
    "Natural language description": "Music plays from 0 to 0.6 seconds. It is a fair recording.",
}


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclass looks
    spec.loader.exec_module(module)
    return module


load_script("qualispeech_corpus")
prepare = load_script("qualispeech_prepare")


def write_corpus(folder, bom="", **rows):
    """CSV files and clips; rows are (id, changed cells, whether there is audio)."""
    for split in ("train", "val", "test"):
        (folder / "wav" / split).mkdir(parents=True)
        some = rows.get(split, [(f"sys-{split}{i}.wav", {}, True) for i in range(4)])
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            file.write(bom)
            writer = csv.DictWriter(file, ["id", *CELLS])
            writer.writeheader()
            for id_, changes, audio in some:
                writer.writerow({"id": id_, **CELLS, **changes})
                if audio:
                    tiny.write_clip(folder / "wav" / split / f"{id_.removesuffix('.wav')}.wav")
    return folder


def run(folder, save, **options):
    return prepare.prepare_qualispeech(folder, save, **{"n_grpo": 1, **options})


def ids(save, name):
    return [u.id for u in read_manifest(save / f"{name}.jsonl", TAXONOMY)]


def test_a_row_becomes_a_reference(tmp_path):
    corpus = write_corpus(tmp_path / "c", bom="\ufeff", test=[("codec7-a-b.wav", {}, True)])
    run(corpus, tmp_path / "save")
    (row,) = read_manifest(tmp_path / "save/test.jsonl", TAXONOMY)
    assert (row.id, row.system, row.duration_s) == ("codec7-a-b", "codec7", 1.0)
    assert row.path == str(corpus / "wav/test/codec7-a-b.wav")
    assert row.reference.scores == {
        "noise": 2,
        "distortion": 5,
        "speed": 3,
        "continuity": 3,
        "listening_effort": 4,
        "naturalness": 4,
        "mos": 3,
    }
    noise, pause = row.reference.artifacts
    assert (noise.kind, noise.type, noise.start_s, noise.end_s) == ("noise", "music", 0.0, 0.6)
    assert (pause.kind, pause.start_s, pause.end_s) == ("pause", 0.2, 0.4)
    assert split_sections(TAXONOMY, row.reference.description) == {
        "noise": "somewhat intrusive. Music.",
        "distortion": "not distorted.",
        "speed": "moderate.",
        "continuity": "sometimes interrupted.",
        "listening_effort": "little effort.",
        "naturalness": "fairly natural. Calm voice.",
        "mos": "fair. Music plays. It is a fair recording.",
    }


def test_unknown_wording_is_kept(tmp_path):
    odd = {"Noise Description": "a quuxing {sound} worth $3 from 0.1 to 0.5 s"}
    run(write_corpus(tmp_path / "c", test=[("a.wav", odd, True)]), tmp_path / "save")
    (row,) = read_manifest(tmp_path / "save/test.jsonl", TAXONOMY)
    noise = next(a for a in row.reference.artifacts if a.kind == "noise")
    assert "quuxing" in noise.type
    assert "A quuxing {sound} worth $3." in row.reference.description


def test_what_lasts_throughout_is_an_artifact_of_the_whole_clip(tmp_path):
    whole = {"Noise Description": "Hissing throughout"}
    run(write_corpus(tmp_path / "c", test=[("a.wav", whole, True)]), tmp_path / "save")
    (row,) = read_manifest(tmp_path / "save/test.jsonl", TAXONOMY)
    noise = next(a for a in row.reference.artifacts if a.kind == "noise")
    assert (noise.type, noise.start_s, noise.end_s) == ("white noise", 0.0, row.duration_s)
    assert "Hissing throughout." in row.reference.description


def test_a_remark_that_repeats_another_column_is_left_out(tmp_path):
    copied = {"Feeling of voice": CELLS["Noise Description"].upper()}
    run(write_corpus(tmp_path / "c", test=[("a.wav", copied, True)]), tmp_path / "save")
    (row,) = read_manifest(tmp_path / "save/test.jsonl", TAXONOMY)
    assert "Naturalness: fairly natural. Overall" in row.reference.description


def test_rows_that_are_left_out_are_counted(tmp_path, capsys):
    rows = [
        ("a.wav", {}, True),
        ("b", {}, True),  # the id may come without the ending
        ("b.wav", {}, False),
        ("c.wav", {}, False),
        (f"{BVCC}.wav", {}, False),
        ("d.wav", {"Speed": "3.5"}, True),
        ("e.wav", {"Overall quality": ""}, True),
        ("f.wav", {"Distortion": "6"}, True),
        ("g.wav", {"Naturalness": "4.0"}, True),
        ("h.wav", {}, True),
        ("", {}, False),
    ]
    corpus = write_corpus(tmp_path / "c", train=rows)
    tiny.truncate(corpus / "wav/train/h.wav")
    run(corpus, tmp_path / "save")
    expected = {
        "rows": 11,
        "kept": 3,
        "dropped": {
            "score is no whole number from 1 to 5": 3,
            "id stands twice": 1,
            "no audio file": 1,
            "BVCC clip, not in the archive": 1,
            "unreadable audio": 1,
            "no id": 1,
        },
    }
    report = json.loads((tmp_path / "save/preparation.json").read_text())
    assert report["splits"]["train"] == expected
    assert report["splits"]["test"] == {"rows": 4, "kept": 4, "dropped": {}}
    assert ids(tmp_path / "save", "train") == ["a", "b", "g"]
    printed = capsys.readouterr().out
    assert "BVCC clip, not in the archive" in printed
    assert "| train   |     11 |      3 |" in printed


@pytest.mark.parametrize("where", ["wav/train", "own"])
def test_bvcc_clips_are_used_where_they_are(tmp_path, where):
    corpus = write_corpus(tmp_path / "c", train=[(f"{BVCC}.wav", {}, False), ("a.wav", {}, True)])
    clip = tiny.write_clip(corpus / where / f"{BVCC}.wav")
    run(corpus, tmp_path / "save", bvcc_folder=corpus / "own")
    row = read_manifest(tmp_path / "save/train.jsonl", TAXONOMY)[0]
    assert (row.id, row.path, row.system) == (BVCC, str(clip), "sys0a1b2")


def many(n, split):
    return [(f"s-{split}{i:03d}.wav", {}, True) for i in range(n)]


def test_85_to_15(tmp_path):
    corpus = write_corpus(tmp_path / "c", train=many(30, "t"), val=many(10, "v"))
    official, drawn, again, other = (tmp_path / name for name in "abcd")
    run(corpus, official)
    assert all(i.startswith("s-t") for i in ids(official, "train"))
    for save, seed in ((drawn, 1), (again, 1), (other, 2)):
        run(corpus, save, valid_share=0.15, seed=seed)
        train, valid = ids(save, "train"), ids(save, "valid")
        assert len(valid) == 6 and sorted(train + valid) == sorted(
            ids(official, "train") + ids(official, "valid")
        )
        assert ids(save, "test") == ids(official, "test")
    assert ids(drawn, "valid") == ids(again, "valid") != ids(other, "valid")
    # A clip's side does not depend on which other clips are there.
    for path in list((corpus / "wav/train").iterdir())[:10]:
        path.unlink()
    run(corpus, again, valid_share=0.15, seed=1)
    assert set(ids(again, "valid")) <= set(ids(drawn, "valid"))
    assert set(ids(again, "train")) <= set(ids(drawn, "train"))


def test_subsets(tmp_path):
    corpus = write_corpus(tmp_path / "c", train=many(12, "t"))
    apart, over, few, seeded = (tmp_path / name for name in "abcd")
    run(corpus, apart, n_grpo=4)
    assert len(ids(apart, "grpo")) == 4
    assert not set(ids(apart, "grpo")) & set(ids(apart, "calibration"))
    assert sorted(ids(apart, "grpo") + ids(apart, "calibration")) == ids(apart, "train")
    run(corpus, over, n_grpo=4, disjoint=False)
    assert sorted(ids(over, "calibration")) == ids(over, "train")
    assert ids(over, "grpo") == ids(apart, "grpo")
    run(corpus, few, n_grpo=4, n_calibration=3)
    assert len(ids(few, "calibration")) == 3
    run(corpus, seeded, n_grpo=4, seed=5)
    assert set(ids(seeded, "grpo")) != set(ids(apart, "grpo"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_grpo": 5}, "n_grpo is 5, and 4 rows are there"),
        ({"n_calibration": 4}, "n_calibration is 4, and 3 rows are there"),
        ({"n_grpo": None}, "no row is left for calibration.jsonl"),
        ({"valid_share": 1.0}, "valid_share is 1.0; need a number between 0 and 1"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, message):
    corpus = write_corpus(tmp_path / "c")
    with pytest.raises(prepare.QualiSpeechError, match=message):
        run(corpus, tmp_path / "save", **options)


def test_files_that_are_not_as_published(tmp_path):
    with pytest.raises(prepare.QualiSpeechError, match="train.csv: no such file; data_folder must"):
        run(tmp_path / "nowhere", tmp_path / "save")
    corpus = write_corpus(tmp_path / "c")
    text = (corpus / "val.csv").read_text().replace("Unnatural pause", "Pause")
    (corpus / "val.csv").write_text(text)
    with pytest.raises(prepare.QualiSpeechError, match=r"val.csv: has no columns \['Unnatural"):
        run(corpus, tmp_path / "save")


def test_report_on_annotations(tmp_path):
    odd = {"Noise Description": "quuxing"}
    corpus = write_corpus(tmp_path / "c", val=[("a.wav", odd, True), ("b.wav", {}, False)])
    report = [sys.executable, RECIPE / "annotation_report.py", corpus, "--split", "val"]
    printed = subprocess.run(report, capture_output=True, text=True, check=True).stdout
    assert "Noise Description (val)" in printed and "Unnatural pause (val)" in printed
    assert "| quuxing" in printed
    failed = subprocess.run([*report[:2], tmp_path], capture_output=True, text=True)
    assert failed.returncode != 0
    assert failed.stderr.startswith("annotation_report.py: ") and "no such file" in failed.stderr
