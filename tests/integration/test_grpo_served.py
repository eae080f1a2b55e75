"""GRPO with a server that writes: an iteration looked at closely, and the QualiSpeech recipe."""

from __future__ import annotations

import re
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest
import recipe
import tiny
import torch
from grpo_cases import Length, brain_parts
from judge_server import hangs
from policy_server import PolicyServer
from safetensors.torch import load_file
from speechbrain.utils.train_logger import FileTrainLogger
from tiny_bases import write_tiny_base

from speechqa_plugin.brains import GRPOBrain
from speechqa_plugin.dataio import Batch
from speechqa_plugin.export import export_assessor
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.rewards import AnswerFormat, Composite
from speechqa_plugin.schema import Assessment, Utterance, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm

pytest.importorskip("openai", reason="pip install 'speechqa-plugin[judge]' brings the client")

RECIPE = recipe.ROOT / "recipes/QualiSpeech"
ADAPTER_ALONE = {"freeze_encoder": True, "freeze_projector": True}


def load(base, rank=4, **options):
    options = {**ADAPTER_ALONE, "lora_rank": rank, "dtype": "float32", **options}
    return AudioFlamingo3(str(base), gradient_checkpointing=False, **options)


def move(model):
    """As training does; what is trained is no more what it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


# An iteration


def make_brain(folder, model, **options):
    answerer = Answerer(model, load_taxonomy("qualispeech"), 12)
    composite = Composite([Length(), AnswerFormat()], [1.0, 0.0])
    brain = GRPOBrain(
        opt_class=lambda named: torch.optim.SGD(named, lr=1.0),
        hparams={
            "seed": 1,
            "max_grad_norm": 1e9,
            "train_logger": FileTrainLogger(str(folder / "log.txt")),
        },
        run_opts={"device": "cpu", "noprogressbar": True},
        valid_utterances=[],
        micro_batch_size=2,
        samples_folder=folder / "samples",
        **brain_parts(Policy(model), answerer, composite, 4, 12, **options),
    )
    brain.init_optimizers()
    brain.modules.train()
    return brain


def make_batch(answerer):
    wavs = [tiny.clip(0.7), tiny.clip(0.9, 0.1)]
    forms = [AnswerForm.REASONED, AnswerForm.SCORES]
    scores = dict.fromkeys(answerer.taxonomy.names, 3)
    references = [Assessment(answerer.taxonomy, scores, (), "A tone.")] * 2
    utterances = [Utterance(f"clip{i}", "", 1.0, r) for i, r in enumerate(references)]
    return Batch(utterances, forms, wavs, answerer.inputs(wavs, forms, references))


def as_requested(model):
    """Our own rollout, from the seeds that a server is sent."""

    def rollout(request):
        seeds = [int(np.random.default_rng(seed).integers(2**62)) for seed in request.seeds]
        return sample(model, request.inputs, seeds, 4, 12, request.choice_ids)

    return rollout


def test_iterations_are_those_of_our_own_rollout(tmp_path):
    from speechqa_plugin.grpo.served import ServedRollout

    base = write_tiny_base(tmp_path / "base")
    ours = load(base)
    move(ours)
    theirs = deepcopy(ours)
    start = [p.detach().clone() for p in ours.parameters()]
    own = make_brain(tmp_path, ours, rollout=as_requested(ours))
    with PolicyServer(load(base)) as server:
        adapters = tmp_path / "adapters"
        served = ServedRollout(Policy(theirs), 4, 12, server.base_url, adapters, retries=0)
        other = make_brain(tmp_path, theirs, rollout=served)
        for brain in (own, other):
            for _ in range(2):
                brain.fit_batch(make_batch(brain.answerer))
        (adapter,) = adapters.iterdir()
        assert server.adapters == {adapter.name: str(adapter)}
    assert len(server.requests) == 4
    for one, two, before in zip(ours.parameters(), theirs.parameters(), start, strict=True):
        torch.testing.assert_close(two, one, atol=1e-6, rtol=1e-4)
        assert one.requires_grad != torch.equal(one, before)


# The recipe


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A corpus, and a calibrated model in the two parts that the README's script makes."""
    folder = tmp_path_factory.mktemp("served")
    for script, target in (("make_example_corpus", "example"), ("make_tiny_base", "tiny")):
        command = [sys.executable, RECIPE / f"{script}.py", folder / target]
        subprocess.run(command, check=True, capture_output=True)
    calibrated = load(folder / "tiny/audio_flamingo_3", 16, **dict.fromkeys(ADAPTER_ALONE, False))
    move(calibrated)
    export_assessor(Answerer(calibrated, load_taxonomy("qualispeech"), 32), folder / "exported")
    command = [sys.executable, RECIPE / "make_served_start.py", folder / "exported"]
    subprocess.run([*command, folder / "start"], check=True, capture_output=True)
    (folder / "tiny.yaml").write_text(
        f"include: [{RECIPE}/hparams/grpo_af3_served.yaml, {RECIPE}/hparams/tiny.yaml]\n"
        f"start_folder: {folder}/start\n"
        "base_model: !ref <start_folder>/base\n"
        f"sentence_encoder: {folder}/tiny/sentence_encoder\n"
        "iterations: 2\nbatch_size: 2\nlr: 0.001\nlog_every: 1\nwarmup_steps: 0\n"
        "max_new_tokens: 24\nevaluation_forms: [scores]\n"
        "composite: !new:speechqa_plugin.rewards.Composite\n"
        "    rewards: [!new:grpo_cases.Length {}]\n"
        "    weights: [1.0]\n"
    )
    return folder, calibrated


def train(folder, server, output, processes=0, **settings):
    settings = {
        "data_folder": folder / "example",
        "manifest_folder": folder / "manifests",
        "output_folder": output,
        "rollout_url": server.base_url,
        "device": "cpu",
        **settings,
    }
    options = [f"--{key}={value}" for key, value in settings.items()]
    script = RECIPE / "train.py"
    return recipe.run(
        script, folder / "tiny.yaml", *options, "--noprogressbar", processes=processes
    )


@pytest.mark.slow
def test_the_parts_are_the_whole(started):
    folder, calibrated = started
    parts = load(folder / "start/base", 16)
    parts.load(folder / "start/audio_llm.ckpt")
    assert set(load_file(folder / "start/audio_llm.ckpt")) == set(parts.state_names)
    inputs = parts.inputs([tiny.NOISY], ["Rate it."], ["mos: 3"])
    with torch.no_grad():
        assert torch.equal(parts.eval()(inputs), calibrated.eval()(inputs))


@pytest.mark.slow
def test_the_recipe_on_two_processes(started, tmp_path, monkeypatch):
    folder, _ = started
    monkeypatch.setenv("PYTHONPATH", str(recipe.ROOT / "tests"), prepend=":")
    with PolicyServer(load(folder / "start/base", 16)) as server:
        result = train(folder, server, tmp_path / "out", 2, distributed_backend="gloo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "under another policy" not in result.stdout + result.stderr
    # Of two clips an iteration, each process asks for its own; one of them loads the adapter.
    assert len(server.requests) == 4
    models = [body["model"] for _, _, body in server.requests]
    assert models[0] == models[1] != models[2] == models[3]
    assert len({body["seed"] for _, _, body in server.requests}) == 4
    loaded = [b["lora_name"] for path, b in server.routes if path == "/v1/load_lora_adapter"]
    assert loaded == [models[0], models[2]]
    log = (tmp_path / "out/train_log.txt").read_text()
    assert len(re.findall("completions/mean_length", log)) == 2
    exported = load_file(tmp_path / "out/exported/audio_llm.ckpt")
    start = load_file(folder / "start/audio_llm.ckpt")
    assert exported.keys() == start.keys()
    assert any(not torch.equal(exported[n], tensor) for n, tensor in start.items())


@pytest.mark.slow
def test_a_server_that_hangs_ends_the_recipe(started, tmp_path, monkeypatch):
    folder, _ = started
    monkeypatch.setenv("PYTHONPATH", str(recipe.ROOT / "tests"), prepend=":")
    with PolicyServer(load(folder / "start/base", 16), hangs) as server:
        result = train(folder, server, tmp_path / "out", rollout_deadline_s=3)
    assert result.returncode != 0
    assert re.search("completions.*(not there within 3 s|failed)", result.stdout + result.stderr)
