"""Train, evaluate, export and load, by the recipe's own scripts and YAML file."""

import json
import re
import shutil

import pytest
import recipe
import tiny
import torch
import yaml

from speechqa_plugin.evaluation.assess import assess_split
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.manifest import read_manifest, write_manifest
from speechqa_plugin.schema import Utterance

pytestmark = pytest.mark.slow


def read_lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def as_json(records):
    return [json.loads(json.dumps(r.to_dict())) for r in records]


def losses(log):
    return [float(x) for x in re.findall(r"train loss: ([\d.e+-]+)", log.read_text())]


def test_run_leaves_log_checkpoints_reports_and_export(trained):
    output, printed = trained
    first, second = losses(output / "train_log.txt")
    assert second < first
    assert len(recipe.checkpoints(output)) == 2  # the best and the last
    for form in ("scores", "reasoned"):
        folder = output / "evaluation/best" / form
        assert [r["id"] for r in read_lines(folder / "records.jsonl")] == [
            f"test-{i}" for i in range(5)
        ]
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["n"] == 5
    assert re.search(r"\| constant +\| 5 ", printed)
    assert re.search(r"\| scores +\| 5 +\| 1.00 ", printed)
    assert {f.name for f in (output / "exported").iterdir()} == {
        "README.md",
        "audio_llm.ckpt",
        "custom.py",  # for SpeechBrain's foreign_class
        "hyperparams.yaml",
    }


def test_nothing_half_written_is_left(trained):
    output, _ = trained
    assert not [f for f in output.parent.rglob("*") if "partial" in f.name or "tmp" in f.suffix]
    assert [f.name for f in output.parent.iterdir()] == [output.name]


def test_the_best_checkpoint_is_exported(trained):
    output, _ = trained
    by_loss = {
        yaml.safe_load((c / "CKPT.yaml").read_text())["loss"]: recipe.weights(c / "audio_llm.ckpt")
        for c in recipe.checkpoints(output)
    }
    exported = recipe.weights(output / "exported/audio_llm.ckpt")
    best, other = by_loss[max(by_loss)], by_loss[min(by_loss)]
    assert exported.keys() == best.keys()
    assert all(torch.equal(exported[n], best[n]) for n in exported)
    assert not all(torch.equal(exported[n], other[n]) for n in exported)


def test_exported_folder_says_what_the_evaluation_said(trained, corpus, tmp_path, monkeypatch):
    output, _ = trained
    folder = shutil.copytree(output / "exported", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assessor = SpeechQualityAssessor.from_hparams(source=folder)
    paths = [corpus / f"test/test-{i}.wav" for i in range(5)]

    records = read_lines(output / "evaluation/best/scores/records.jsonl")
    for result, record in zip(assessor.score_files(paths), records, strict=True):
        assert result.assessment.scores == pytest.approx(record["prediction"]["scores"], abs=1e-5)
        assert result.assessment.confidence == pytest.approx(
            record["prediction"]["confidence"], abs=1e-5
        )

    records = read_lines(output / "evaluation/best/reasoned/records.jsonl")
    for result, record in zip(assessor.assess_files(paths), records, strict=True):
        assert record["failure"]  # after twelve steps it cannot write yet
        assert result.assessment.description == record["text"]
    assert [f.name for f in tmp_path.iterdir()] == ["elsewhere"]  # loading writes nothing


def test_reasoning_alone_and_after_calibration(trained, corpus, tmp_path):
    """The two supervised comparisons: one starts from nothing, the other from the export."""
    first = {}
    for name, changes in (
        ("reasoning_only", {}),
        ("reasoning_sft", {"start_folder": trained[0] / "exported", "iterations_per_epoch": 3}),
    ):
        arguments = recipe.command(
            "train.py",
            corpus,
            tmp_path / name,
            hparams=recipe.RECIPE / f"hparams/{name}_compact.yaml",
            evaluation_forms="[reasoned]",
            number_of_epochs=1,
            **changes,
        )
        result = recipe.run(*arguments)
        assert result.returncode == 0, result.stderr
        (first[name],) = losses(tmp_path / name / "train_log.txt")
        records = read_lines(tmp_path / name / "evaluation/best/reasoned/records.jsonl")
        assert len(records) == 5
    assert first["reasoning_sft"] < first["reasoning_only"]


def test_evaluate_before_training(corpus, tmp_path):
    result = recipe.run(*recipe.command("evaluate.py", corpus, tmp_path / "out", checkpoint="none"))
    assert result.returncode == 0, result.stderr
    answerer = tiny.tiny_answerer(max_new_tokens=256)
    test = read_manifest(corpus / "test.jsonl", answerer.taxonomy)
    for form in ("scores", "reasoned"):
        written = read_lines(tmp_path / "out/evaluation/none" / form / "records.jsonl")
        assert written == as_json(assess_split(answerer, test, form, batch_size=32))


def test_evaluate_the_last_checkpoint_on_another_manifest(trained, corpus, tmp_path):
    """With a file that cannot be heard, which becomes a record."""
    output, _ = trained
    answerer = tiny.tiny_answerer(max_new_tokens=256)
    rows = read_manifest(corpus / "valid.jsonl", answerer.taxonomy)
    bad = tiny.write_bad_files(tmp_path)["is truncated"]
    rows.insert(1, Utterance("bad", str(bad), 1.0, rows[0].reference))
    write_manifest(tmp_path / "other.jsonl", rows)
    result = recipe.run(
        *recipe.command("evaluate.py", corpus, output, checkpoint="last"),
        f"--test_manifest={tmp_path}/other.jsonl",
        f"--evaluation_folder={tmp_path}/eval",
    )
    assert result.returncode == 0, result.stderr
    last = max(recipe.checkpoints(output), key=lambda c: c.stat().st_mtime)
    answerer.audio_llm.load(last / "audio_llm.ckpt")
    for form in ("scores", "reasoned"):
        written = read_lines(tmp_path / "eval/last" / form / "records.jsonl")
        assert written == as_json(assess_split(answerer, rows, form, batch_size=32))
    assert written[1]["failure"] == "unreadable_audio"
    assert "truncated.wav: is truncated" in written[1]["text"]


def test_train_without_a_manifest(tmp_path):
    result = recipe.run(*recipe.command("train.py", tmp_path / "nowhere", tmp_path / "out"))
    assert result.returncode != 0
    message = f"manifest {tmp_path}/nowhere/train.jsonl: no such file; run the corpus's *_prepare"
    assert message in result.stderr.splitlines()[-1] and "Traceback" not in result.stdout
    assert not (tmp_path / "out/exported").exists()


def test_train_longer_than_the_schedule_is_refused(corpus, tmp_path):
    """It would go on at a learning rate of 0."""
    result = recipe.run(*recipe.command("train.py", corpus, tmp_path, n_train=8))
    assert result.returncode != 0
    assert "training takes 12 steps" in result.stdout.splitlines()[-1]
    assert "give --total_steps=12" in result.stdout.splitlines()[-1]


def test_only_before_training_the_start_is_needed(trained, corpus, tmp_path):
    output, _ = trained

    def evaluate(checkpoint):
        command = recipe.command(
            "evaluate.py",
            corpus,
            output,
            hparams=recipe.GRPO_HPARAMS,
            checkpoint=checkpoint,
            start_folder=tmp_path / "gone",
            evaluation_folder=tmp_path,
            evaluation_forms="[scores]",
        )
        return recipe.run(*command)

    result = evaluate("last")
    assert result.returncode == 0, result.stderr
    expected = read_lines(tmp_path / "last/scores/records.jsonl")
    last = max(recipe.checkpoints(output), key=lambda c: c.stat().st_mtime)
    answerer = tiny.tiny_answerer(max_new_tokens=256)
    answerer.audio_llm.load(last / "audio_llm.ckpt")
    test = read_manifest(corpus / "test.jsonl", answerer.taxonomy)
    assert expected == as_json(assess_split(answerer, test, "scores", batch_size=32))
    assert "gone/audio_llm.ckpt: no such weights to start from" in evaluate("none").stderr
