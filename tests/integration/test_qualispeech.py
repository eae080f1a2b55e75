"""The QualiSpeech recipe's whole chain, by the commands of its README: a corpus and a base of our
own, calibration, supervised reasoning, GRPO with both rewards, evaluation, export, assessment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import recipe
import torch
from hyperpyyaml import resolve_references
from readmes import blocks, commands
from recipe import ROOT, free_port
from ruamel.yaml import YAML

from speechqa_plugin.hparams import with_includes

HPARAMS = sorted((ROOT / "recipes/QualiSpeech/hparams").glob("*_*.yaml"))


def tried_commands():
    """The commands of the README's block that makes the example corpus."""
    text = (ROOT / "recipes/QualiSpeech/README.md").read_text(encoding="utf-8")
    (block,) = [b for b in blocks(text, "bash") if "make_example_corpus.py" in b]
    return commands(block)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Folder of a copy of the recipe in which all of them were run, and what each printed."""
    pytest.importorskip("openai")
    folder = tmp_path_factory.mktemp("copy") / "QualiSpeech"
    # As a clone has it: nothing that a user made comes along.
    ignored = shutil.ignore_patterns("data", "results", "__pycache__")
    shutil.copytree(ROOT / "recipes/QualiSpeech", folder, symlinks=True, ignore=ignored)
    printed, judge, port = {}, None, free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        for program, *arguments in tried_commands():
            line = " ".join([program, *arguments])
            arguments = [a.replace("8000", str(port)) for a in arguments]
            if program == "speechqa":
                arguments = ["-c", "from speechqa_plugin.cli import main; main()", *arguments]
            if arguments[0] in ("train.py", "evaluate.py"):
                arguments += ["--device=cpu", "--noprogressbar"]
            full = [sys.executable, *arguments]
            options = {"cwd": folder, "env": environment, "text": True}
            if arguments[0] == "example_judge.py":
                judge = subprocess.Popen(full, stdout=subprocess.PIPE, **options)
                assert judge.stdout.readline().startswith("http://localhost:")
                continue
            result = subprocess.run(full, capture_output=True, **options)
            assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
            printed[line] = result.stdout
    finally:
        if judge is not None:
            judge.kill()
            judge.wait()
    return folder, printed


def results(folder, stage):
    return folder / f"results/{stage}_tiny/1234"


def logged(folder, stage, key):
    log = (results(folder, stage) / "train_log.txt").read_text()
    return [float(v) for v in re.findall(rf"\b{re.escape(key)}: (\S+?)(?:,|\s|$)", log)]


@pytest.mark.slow
def test_every_stage_starts_where_the_one_before_ended(chain):
    folder, _ = chain
    stages = ["calibration", "reasoning_sft", "grpo_similarity"]
    weights = [recipe.weights(results(folder, s) / "exported/audio_llm.ckpt") for s in stages]
    size = torch.cat([w.flatten() for w in weights[1].values()]).norm()
    moved = torch.cat([(weights[2][n] - w).flatten() for n, w in weights[1].items()]).norm()
    assert 0 < moved < 0.2 * size
    for one, next_ in zip(weights, weights[1:], strict=False):
        changed = {n for n in one if not torch.equal(one[n], next_[n])}
        assert any("lora" in n for n in changed)
        assert any("audio_tower.layers" in n for n in changed)  # the encoder is trained as well
    assert not any("embed_tokens" in n or "lm_head" in n for n in weights[0])


@pytest.mark.slow
def test_it_learns(chain):
    folder, _ = chain
    assert logged(folder, "reasoning_sft", "valid parse_rate")[-1] > 0.1  # of clips it never heard
    for stage in ("grpo_similarity", "grpo_judge"):
        assert logged(folder, stage, "train parse_rate")[0] > 0.1


@pytest.mark.slow
def test_rewards_of_each_dimension_are_paid(chain):
    folder, _ = chain
    for stage, reward in (("grpo_similarity", "accuracy"), ("grpo_similarity", "similarity")):
        for name in ("noise", "continuity", "mos"):
            assert max(logged(folder, stage, f"train rewards/{reward}/{name}/mean")) > 0
    assert max(logged(folder, "grpo_judge", "train rewards/judge/mos/mean")) > 0
    assert max(logged(folder, "grpo_judge", "train judge/asked")) > 0
    failures = "train judge/failures/{}"
    for reason in ("timeout", "connection", "http_error", "garbage"):
        assert set(logged(folder, "grpo_judge", failures.format(reason))) == {0.0}


@pytest.mark.slow
def test_evaluation_export_and_assessment(chain):
    folder, printed = chain
    for stage in ("calibration", "reasoning_sft", "grpo_similarity", "grpo_judge", "joint_sft"):
        for form in ("scores", "reasoned"):
            metrics = results(folder, stage) / "evaluation/best" / form / "metrics.json"
            assert json.loads(metrics.read_text())["n"] == 8
    judged = results(folder, "grpo_judge") / "evaluation/best/reasoned/metrics.json"
    assert json.loads(judged.read_text())["rewards"]["judge/description"]["mean"][0] > 0
    assert (results(folder, "grpo_similarity") / "evaluation/last/reasoned/metrics.json").is_file()
    (assessed,) = [text for line, text in printed.items() if line.startswith("speechqa assess")]
    assert "confidence" in assessed and "description: Background noise: " in assessed


@pytest.mark.slow
def test_nothing_of_the_chain_reports_a_lost_row(chain):
    folder, _ = chain
    report = json.loads((folder / "data/example_manifests/preparation.json").read_text())
    assert report["splits"]["test"] == {
        "rows": 9,
        "kept": 8,
        "dropped": {"BVCC clip, not in the archive": 1},
    }
    assert report["subsets"] == {"calibration": 24, "grpo": 8}


# --- the YAML files


@pytest.mark.parametrize("path", HPARAMS, ids=lambda p: p.stem)
def test_every_reference_is_resolved(path):
    tiny = path.stem.endswith("_tiny")
    given = {} if tiny else {"data_folder": "/corpora/QualiSpeech"}
    with open(with_includes(path), encoding="utf-8") as file:
        resolved = resolve_references(file, given).read()
    assert "!ref" not in resolved and "!PLACEHOLDER" not in resolved
    hparams = YAML().load(resolved)
    stage = path.stem.replace("_tiny", "").replace("_af3", "")
    assert hparams["output_folder"] == f"results/{stage}_{'tiny' if tiny else 'af3'}/1234"
    assert hparams["prepare"]["data_folder"] == ("data/example" if tiny else "/corpora/QualiSpeech")
    rows = hparams["train_dataloader_opts"]["rows_per_epoch"] * hparams["number_of_epochs"]
    assert rows == hparams["iterations"] * hparams["batch_size"]
    assert hparams["total_steps"] == hparams["iterations"]


def test_the_papers_numbers():
    def load(name):
        path = ROOT / f"recipes/QualiSpeech/hparams/{name}.yaml"
        with open(with_includes(path), encoding="utf-8") as file:
            return YAML().load(resolve_references(file, {"data_folder": "/corpora"}).read())

    keys = ("iterations", "batch_size", "lr", "lora_rank", "freeze_encoder", "precision")
    for name in ("calibration_af3", "reasoning_sft_af3", "joint_sft_af3"):
        assert [load(name)[k] for k in keys] == [10000, 8, 1.5e-5, 64, False, "bf16"]
    for name in ("grpo_af3_similarity", "grpo_af3_judge", "grpo_af3_unified"):
        hparams = load(name)
        assert [hparams[k] for k in keys] == [200, 4, 5e-6, 64, False, "bf16"]
        assert hparams["group_size"] == 4
        assert hparams["aggregation"] == "sum_then_normalize"
        assert hparams["start_folder"] == "results/reasoning_sft_af3/1234/exported"
