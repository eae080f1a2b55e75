"""Listening tests to models, by the commands of the READMEs: a table of one's own, and NISQA's."""

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from readmes import blocks, commands
from recipe import ROOT
from tiny import trained_answerer, write_clip

from speechqa_plugin.evaluation.records import read_records
from speechqa_plugin.evaluation.tallies import score_rows
from speechqa_plugin.export import export_assessor, load_answerer
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.ratings.table import RatingsError
from speechqa_plugin.schema import load_taxonomy

RECIPES = ROOT / "recipes"
MADE = ("data", "results", "__pycache__")
SHORT = ["--number_of_epochs=2", "--iterations_per_epoch=15", "--device=cpu", "--noprogressbar"]
SHORT += ["--warmup_steps=5"]
NISQA = load_taxonomy("nisqa")
HEADER = (
    "db,con,file,con_description,filename_deg,filename_ref,source,lang,votes,mos,noi,col,dis,loud,"
    "noi_std,col_std,dis_std,loud_std,mos_std,filepath_deg,filepath_ref,filter,timeclipping"
).split(",")
"""The first columns of the corpus's CSV files, without most of those on the simulation."""


def load_script(recipe, name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / recipe / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare = load_script("YourCorpus", "corpus_prepare")
nisqa_prepare = load_script("NISQA", "nisqa_prepare")


def write_table(folder, n=40):
    """Noisier clips are rated lower, by three listeners who do not agree."""
    rng = np.random.default_rng(0)
    with open(folder / "ratings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "listener", "talker", "mos", "noise", "age"])
        for i in range(n):
            write_clip(folder / f"wav/{i}.wav", rng.uniform(1.0, 2.4), 0.03 * (i % 5), i)
            for listener in "abc":
                ratings = np.clip(np.round(5 - i % 5 + rng.normal(0, 0.7, 2)), 1, 5).astype(int)
                writer.writerow([f"wav/{i}.wav", listener, f"t{i % 10}", *ratings, 30])
        writer.writerow(["wav/none.wav", "a", "t1", 3, 3, 30])


def write_nisqa(folder, n=6, names=None):
    """Clips in the layout of the corpus."""
    rng = np.random.default_rng(0)
    for name in names or [n for some in nisqa_prepare.DATABASES.values() for n in some]:
        rows = []
        for i in range(n):
            path = write_clip(folder / f"{name}/deg/c{i:02}_f1.wav", 1.2, 0.03 * (i % 5), i)
            row = dict.fromkeys(HEADER, "") | {"db": name, "file": i + 1, "lang": "en", "votes": 5}
            row["con"] = f"{i // 2 + 1}.0" if i % 2 else i // 2 + 1
            row["filename_deg"] = path.name
            row["filepath_deg"] = f"{name}/deg/{path.name}"
            scores = np.clip(4.7 - i % 5 + rng.normal(0, 0.3, 5), 1, 5).round(3)
            rows.append(row | dict(zip(NISQA.names, scores, strict=True)))
        with open(folder / name / f"{name}_file.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, HEADER)
            writer.writeheader()
            writer.writerows(rows)
    return folder


def run_readme(recipe, folder, write):
    """All commands of a README in a copy of its folder; the copy and what each printed."""
    copy = folder / "recipes" / recipe
    shutil.copytree(RECIPES / recipe, copy, ignore=shutil.ignore_patterns(*MADE))
    start = export_assessor(trained_answerer(), folder / "start")  # smaller than the package's
    write(copy)
    for i in range(2):
        write_clip(copy / f"new/{i}.wav", 1.0, 0.1 * i)
    text = "\n".join(blocks((copy / "README.md").read_text(encoding="utf-8"), "bash"))
    printed = []
    for program, *arguments in commands(text):
        if program == "speechqa":
            arguments = ["-m", "speechqa_plugin.cli", *arguments]
        elif arguments[0] in ("train.py", "evaluate.py"):
            arguments += [*SHORT, f"--start_folder={start}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        full = [sys.executable, *arguments]
        result = subprocess.run(full, cwd=copy, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"
        printed.append(result.stdout)
    return copy, printed


def gains(printed):
    """Rows of the table of gains: number to start, trained, gain, verdict."""
    rows = re.findall(r"^\| (\w+/[\w/]+) +\|(.*)\|$", printed, re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return run_readme("YourCorpus", tmp_path_factory.mktemp("own"), write_table)


@pytest.mark.slow
def test_a_table_becomes_a_model(own):
    copy, (prepared, trained, scored, evaluated) = own
    assert "columns that are not used: 'age'" in prepared
    assert "the first is 'wav/none.wav'" in prepared
    assert prepared in trained
    exported = load_answerer(copy / "results/your_corpus/1234/exported")
    assert exported.taxonomy.names == ("noise", "mos") and not exported.taxonomy.kinds
    assert exported.taxonomy == load_taxonomy(str(copy / "data/taxonomy.yaml"))
    assert "2 files" in scored
    rows = [json.loads(line) for line in (copy / "scores.jsonl").read_text().splitlines()]
    clean, noisy = (row["scores"] for row in rows)
    assert clean["noise"] > noisy["noise"] and clean["mos"] > noisy["mos"]
    assert gains(evaluated) == gains(trained)


@pytest.mark.slow
def test_another_test_does_not_go_on_from_this_ones_checkpoint(own, tmp_path):
    copy, _ = own
    said = []
    for name, old, new in (("other.csv", ",4,", ",3,"), ("broken.csv", ",4,", ",four,")):
        text = (copy / "ratings.csv").read_text().replace(old, new)
        (copy / name).write_text(text)
        command = ["train.py", "hparams/calibration.yaml", f"--csv_file={name}", *SHORT]
        command += [f"--start_folder={copy.parents[1] / 'start'}"]
        command += [f"--manifest_folder={tmp_path / 'data'}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 1 and "Traceback" not in result.stderr
        said.append(result.stderr)
    assert "results/your_corpus/1234 holds a run with other clips or labels" in said[0]
    assert "broken.csv" in said[1] and "'four'" in said[1]


@pytest.mark.slow
def test_it_says_by_how_much_it_got_better(own):
    copy, (_, trained, *_) = own
    found = gains(trained)
    assert list(found) == [
        f"{name}/{key}" for name in ("noise", "mos") for key in ("utt/pcc", "utt/srcc", "rmse")
    ]
    folder = copy / "results/your_corpus/1234/evaluation"
    taxonomy = load_taxonomy(str(copy / "data/taxonomy.yaml"))
    before, after = (
        score_rows(read_records(folder / f / "scores/records.jsonl", taxonomy), ["noise"])
        for f in ("start", "best")
    )
    start, ours, gain, verdict = found["noise/rmse"]
    errors = [float(np.sqrt(np.mean((said - right) ** 2))) for said, right in (before, after)]
    assert [float(start), float(ours)] == pytest.approx(errors, abs=5e-4)
    value, low, high = (float(x) for x in re.findall(r"[+-][\d.]+", gain))
    assert value == pytest.approx(errors[1] - errors[0], abs=1e-3) and low < value < high
    assert verdict == ("better" if high < 0 else "worse" if low > 0 else "not decided")
    assert "on the same 8 clips" in trained and len(after[0]) == 8


@pytest.mark.slow
def test_nisqa_becomes_a_model(tmp_path):
    copy, (prepared, trained, _, evaluated) = run_readme(
        "NISQA", tmp_path, lambda copy: write_nisqa(copy / "NISQA_Corpus")
    )
    assert prepared in trained and "| NISQA_TEST_P501 " in prepared.replace("|  ", "| ")
    assert load_answerer(copy / "results/nisqa/1234/exported").taxonomy == NISQA
    found = gains(trained)
    assert found["noi/utt/pcc"][0] == found["noi/utt/pcc"][2] == "–"  # the start has no such word
    assert found["noi/rmse"][3] == found["mos/rmse"][3] == "better"
    lines = (copy / "results/p501/best/scores/records.jsonl").read_text().splitlines()
    assert len(lines) == 6 and "NISQA_TEST_P501/deg/" in lines[0]
    assert "noi/rmse" in gains(evaluated)


# --- preparing a table


def test_groups_and_listeners(tmp_path, capsys):
    write_table(tmp_path, 20)
    report = prepare.prepare_corpus(tmp_path / "ratings.csv", tmp_path / "data")
    taxonomy = load_taxonomy(str(tmp_path / "data/taxonomy.yaml"))
    assert taxonomy == prepare.read_taxonomy(tmp_path / "ratings.csv")
    rows = {s: read_manifest(tmp_path / f"data/{s}.jsonl", taxonomy) for s in report["splits"]}
    assert sum(map(len, rows.values())) == 20
    talkers = [{int(u.id[4:-4]) % 10 for u in some} for some in rows.values()]
    assert len(set.union(*talkers)) == sum(map(len, talkers)) == 10
    assert report["left_out"] == {"wav/none.wav": "no such file"}
    assert report == json.loads(json.dumps(report | {"dimensions": ("noise", "mos")})) | {
        "dimensions": ("noise", "mos"), "unused_columns": ("age",)
    }  # fmt: skip
    assert "ratings of a file" in capsys.readouterr().out
    before = (tmp_path / "data/train.jsonl").read_text()
    prepare.prepare_corpus(tmp_path / "ratings.csv", tmp_path / "data")
    assert (tmp_path / "data/train.jsonl").read_text() == before
    assert prepare.prepare_corpus("nowhere.csv", "nowhere", skip_prep=True) is None


def test_a_table_on_another_scale_in_another_folder(tmp_path):
    for i in range(4):
        write_clip(tmp_path / f"sound/{i}.wav")
    rows = "".join(
        f"{i}.wav;{25 * i},0;{s}\n" for i, s in enumerate(["train"] * 2 + ["dev", "test"])
    )
    (tmp_path / "r.csv").write_text("clip;OVRL;split\n" + rows)
    options = {"columns": {"file": "clip", "rating": "OVRL"}, "scale": (0, 100)}
    options["audio_folder"] = tmp_path / "sound"
    prepare.prepare_corpus(tmp_path / "r.csv", tmp_path / "data", **options)
    taxonomy = load_taxonomy(str(tmp_path / "data/taxonomy.yaml"))
    train = read_manifest(tmp_path / "data/train.jsonl", taxonomy)
    assert [u.reference.mos for u in train] == [1.0, 2.0]
    (tmp_path / "sound/3.wav").unlink()
    with pytest.raises(RatingsError, match="r.csv: none of the files in test can be heard"):
        prepare.prepare_corpus(tmp_path / "r.csv", tmp_path / "data", **options)


@pytest.mark.parametrize(
    ("recipe", "script", "arguments", "message"),
    [
        ("YourCorpus", "corpus_prepare", ["bad.csv", "data"], "bad.csv: 1 problem\n  line 2, col"),
        ("YourCorpus", "corpus_prepare", ["bad.csv", "data", "--columns", "x"], "'x': need what"),
        ("NISQA", "nisqa_prepare", [".", "data"], "has none of NISQA_TRAIN_SIM/NISQA_TRAIN_SIM_fi"),
    ],
)
def test_mistakes_are_said_without_a_traceback(tmp_path, recipe, script, arguments, message):
    (tmp_path / "bad.csv").write_text("file,mos\na.wav,good\n")
    full = [sys.executable, RECIPES / recipe / f"{script}.py", *arguments]
    result = subprocess.run(full, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode and message in result.stderr and "Traceback" not in result.stderr


# --- preparing NISQA


def test_nisqa_as_published(tmp_path, capsys):
    corpus = write_nisqa(tmp_path / "NISQA_Corpus")
    (corpus / "NISQA_VAL_SIM/deg/c00_f1.wav").unlink()
    report = nisqa_prepare.prepare_nisqa(corpus, tmp_path / "data")
    rows = {
        name: read_manifest(tmp_path / f"data/{name}.jsonl", NISQA)
        for name in ("train", "valid", "test", "NISQA_TEST_FOR")
    }
    assert [len(some) for some in rows.values()] == [12, 11, 18, 6]
    first = rows["NISQA_TEST_FOR"][0]
    assert first.id == "NISQA_TEST_FOR/deg/c00_f1.wav" and first.path == str(corpus / first.id)
    assert first.system == "NISQA_TEST_FOR/1"
    assert len({u.system for u in rows["test"]}) == 9  # 1 and 1.0 are one condition
    assert report["left_out"] == {"NISQA_VAL_SIM/deg/c00_f1.wav": "no such file"}
    assert report["databases"]["NISQA_VAL_SIM"]["left out"] == 1
    assert "NISQA_TEST_LIVETALK" in capsys.readouterr().out
    assert nisqa_prepare.prepare_nisqa("nowhere", "nowhere", skip_prep=True) is None


def test_parts_of_nisqa(tmp_path):
    names = ["NISQA_TRAIN_SIM", "NISQA_VAL_LIVE", "NISQA_TEST_P501"]
    corpus = write_nisqa(tmp_path / "corpus", names=names)
    report = nisqa_prepare.prepare_nisqa(corpus, tmp_path / "data")
    assert {n for n, numbers in report["databases"].items() if numbers["files"]} == set(names)
    shutil.rmtree(corpus / "NISQA_VAL_LIVE")
    with pytest.raises(RatingsError, match="has none of NISQA_VAL_SIM/NISQA_VAL_SIM_file.csv, NIS"):
        nisqa_prepare.prepare_nisqa(corpus, tmp_path / "data")
    file = corpus / "NISQA_TRAIN_SIM/NISQA_TRAIN_SIM_file.csv"
    file.write_text(file.read_text().replace("loud,", "loudness,"))
    with pytest.raises(RatingsError, match="SIM_file.csv, line 1: no column 'loud' for a further"):
        nisqa_prepare.prepare_nisqa(corpus, tmp_path / "data")
