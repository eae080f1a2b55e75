"""`ServedRollout` against a server that is really there and reads the adapters' files."""

import logging
import time
from copy import deepcopy

import numpy as np
import pytest
import torch
from grpo_cases import clips, compact_model, wake_adapter
from judge_server import closed_port, hangs, sends
from policy_server import PolicyServer, failed, writes, writes_but
from safetensors.torch import load_file

pytest.importorskip("openai", reason="pip install 'speechqa-plugin[judge]' brings the client")

from speechqa_plugin.grpo.policy import Policy  # noqa: E402
from speechqa_plugin.grpo.rollout import RolloutRequest  # noqa: E402
from speechqa_plugin.grpo.served import ServedRollout  # noqa: E402
from speechqa_plugin.models.adapter import write_adapter  # noqa: E402
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3  # noqa: E402
from speechqa_plugin.models.decoder import sample  # noqa: E402
from speechqa_plugin.models.published_weights import PublishedWeights  # noqa: E402

GROUP_SIZE, LIMIT, SEEDS, CHOICES = 3, 12, [(7, 0), (7, 1)], (5, 6, 7, 8, 9)
PROMPTS = ["Rate it.", "mos, noise: say which is worse. And why?"]
WAVS = clips(0.4, 2.3)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    model = compact_model()
    with torch.no_grad():  # a model that ends now and then, and would write the audio token
        model.model.get_output_embeddings().weight.mul_(0.1)
    model.model.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    return folder


def policy(base, **options):
    options = {"freeze_encoder": True, "freeze_projector": True, "lora_rank": 4, **options}
    model = AudioFlamingo3(str(base), dtype="float32", gradient_checkpointing=False, **options)
    bias = torch.zeros(model.model.get_output_embeddings().weight.shape[0])
    bias[model.tokenizer.eos_token_id] = 5.0
    bias[model.audio_token_id] = 9.0
    model.model.get_output_embeddings().bias = torch.nn.Parameter(bias, requires_grad=False)
    wake_adapter(model)
    return model.train()


@pytest.fixture
def model(base):
    return policy(base)


@pytest.fixture
def server(base):
    with PolicyServer(policy(base, lora_alpha=8)) as server:
        yield server


def served(model, server, folder, **options):
    base_url = server if isinstance(server, str) else server.base_url
    options = {"deadline_s": 20, "retries": 0, **options}
    return ServedRollout(Policy(model), GROUP_SIZE, LIMIT, base_url, folder / "adapters", **options)


def write(served_rollout, seeds=SEEDS):
    inputs = served_rollout.policy.audio_llm.inputs(WAVS, PROMPTS)
    return served_rollout(RolloutRequest(inputs, WAVS, PROMPTS, seeds, CHOICES))


def step(model):
    """What an update does."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


# As it should be


def test_the_server_writes_what_the_policy_would(model, server, tmp_path, caplog):
    written = write(served(model, server, tmp_path))
    # `writes` draws as our own decoder does, from the seed that it is sent.
    requests = sorted((body for _, _, body in server.requests), key=lambda b: len(str(b)))
    seeds = [body["seed"] for body in requests]
    assert seeds == [int(np.random.default_rng(s).integers(2**62)) for s in SEEDS]
    own = sample(model, model.inputs(WAVS, PROMPTS), seeds, GROUP_SIZE, LIMIT, CHOICES)
    assert len(set(map(tuple, own.rows()))) == 6 and 0 < own.finished.sum() < 6
    assert torch.equal(written.ids, own.ids)
    assert torch.equal(written.mask, own.mask)
    assert torch.equal(written.finished, own.finished)
    assert written.group_size == GROUP_SIZE
    close = {"atol": 2e-5, "rtol": 0}
    torch.testing.assert_close(written.sampled_logps, own.sampled_logps, **close)
    torch.testing.assert_close(written.choice_logps, own.choice_logps, **close)
    assert not written.sampled_logps.requires_grad and model.training
    assert "under another policy" not in caplog.text


def test_requests_ask_for_the_plain_distribution(model, server, tmp_path):
    write(served(model, server, tmp_path))
    for (_, _, body), prompt in zip(
        sorted(server.requests, key=lambda r: len(str(r))), PROMPTS, strict=True
    ):
        (message,) = body.pop("messages")
        audio, text = message["content"]
        assert text == {"type": "text", "text": prompt}
        assert audio["type"] == "input_audio" and audio["input_audio"]["format"] == "wav"
        assert body.pop("model").startswith("policy-") and body.pop("seed") >= 0
        assert body == {
            "n": GROUP_SIZE,
            "max_tokens": LIMIT,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "logit_bias": {str(model.audio_token_id): -100.0},
            "logprobs": True,
            "ignore_eos": True,
            "stop_token_ids": [model.tokenizer.eos_token_id],
            "return_token_ids": True,
        }


def test_the_same_seed_makes_the_same_request(model, server, tmp_path):
    one = served(model, server, tmp_path)
    for seeds in (SEEDS, SEEDS, [(7, 0), (8, 1)]):
        write(one, seeds)
    bodies = [
        sorted((str(b) for _, _, b in server.requests[i : i + 2]), key=len) for i in (0, 2, 4)
    ]
    assert bodies[0] == bodies[1]
    assert bodies[2][0] == bodies[0][0] and bodies[2][1] != bodies[0][1]


def test_the_server_has_the_weights_of_each_iteration(model, server, tmp_path):
    one, names = served(model, server, tmp_path), []
    for _ in range(3):
        write(one)
        (folder,) = (tmp_path / "adapters").iterdir()  # the newest and no other
        assert server.adapters == {folder.name: str(folder)}
        assert {body["model"] for _, _, body in server.requests[-2:]} == {folder.name}
        found = load_file(folder / "adapter_model.safetensors")
        lora = {n: p for n, p in model.model.named_parameters() if ".lora_" in n}
        assert len(found) == len(lora) == 28
        for name, tensor in lora.items():
            theirs = name.replace("model.language_model.", "base_model.model.language_model.model.")
            assert torch.equal(found[theirs.replace(".default", "")], tensor)
        names.append(folder.name)
        step(model)
    assert len(set(names)) == 3
    assert [path.rpartition("/")[2] for path, _ in server.routes] == [
        *("models", "load_lora_adapter"),
        *("models", "unload_lora_adapter", "load_lora_adapter") * 2,
    ]


def test_weights_that_the_server_has_are_not_loaded_again(model, server, tmp_path):
    """As after an interrupted run."""
    write(served(model, server, tmp_path))
    write(served(model, server, tmp_path))
    assert [path for path, _ in server.routes].count("/v1/load_lora_adapter") == 1


def test_an_adapter_is_read_as_a_published_one(model, base, tmp_path):
    folder = write_adapter(model, tmp_path, "policy")
    other = AudioFlamingo3(str(base), weights=str(folder), dtype="float32")
    assert other.init_args["lora_rank"] == 4 and other.init_args["lora_alpha"] == 8
    for name, parameter in other.model.named_parameters():
        if ".lora_" in name:
            assert torch.equal(parameter, model.model.get_parameter(name))
    assert PublishedWeights.find(folder).adapter.target_modules == model.lora_targets
    assert write_adapter(model, tmp_path, "policy") == folder
    model.model.peft_config["default"].lora_alpha = 9
    assert write_adapter(model, tmp_path, "policy") != folder


def test_a_server_with_other_weights_is_told(model, base, tmp_path, caplog):
    other = policy(base)
    with torch.no_grad():
        other.model.get_output_embeddings().weight.mul_(8)
    with PolicyServer(other) as server, caplog.at_level(logging.WARNING):
        written = write(served(model, server, tmp_path))
    assert "writes under another policy" in caplog.text
    own = Policy(model)(model.inputs(WAVS, PROMPTS), written)
    torch.testing.assert_close(written.sampled_logps, own.logps)  # which are the model's


# Faults


@pytest.mark.parametrize("act, retries", [(sends("{}", 500), 2), (sends("{}", 400), 0)])
def test_a_server_that_fails_ends_the_run(model, server, tmp_path, act, retries):
    server.acts = [act]
    with pytest.raises(RuntimeError, match="completions failed .*training needs rollouts"):
        write(served(model, server, tmp_path, retries=2))
    assert 1 + retries <= len(server.requests) <= 2 * (1 + retries)  # of two prompts


def test_passing_errors_are_tried_again(model, server, tmp_path):
    server.acts = [sends("{}", 500), sends("{}", 503), writes]
    assert write(served(model, server, tmp_path, retries=2)).ids.shape[0] == 6


def test_a_server_that_hangs_ends_the_run_at_the_deadline(model, server, tmp_path):
    server.acts = [writes, hangs]
    start = time.perf_counter()
    with pytest.raises((TimeoutError, RuntimeError), match="completions"):
        write(served(model, server, tmp_path, deadline_s=2))
    assert time.perf_counter() - start < 6


def test_nobody_there(model, tmp_path):
    one = served(model, f"http://127.0.0.1:{closed_port()}/v1", tmp_path)
    with pytest.raises(RuntimeError, match=r"the adapter failed \(APIConnectionError"):
        write(one)


def test_an_adapter_that_is_refused_is_told_and_the_key_is_not(
    model, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("ROLLOUT_KEY", KEY)
    monkeypatch.setattr(server, "change_adapters", lambda *_: failed(f"no rank 4, {KEY}", 400))
    with pytest.raises(RuntimeError, match=r"the adapter failed .*no rank 4, \[key\]") as error:
        write(served(model, server, tmp_path, api_key_env="ROLLOUT_KEY"))
    assert error.value.__suppress_context__


def changed(**fields):
    def change(reply):
        for choice in reply["choices"]:
            choice.update(fields)

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda reply: [c.pop("token_ids") for c in reply["choices"]], "vLLM from 0.11 on"),
        (changed(token_ids=None), "vLLM from 0.11 on"),
        (changed(logprobs=None), "and logprobs"),
        (lambda reply: reply.pop("prompt_token_ids"), "vLLM from 0.11 on"),
        (lambda reply: reply.update(choices=None), "lacks what a rollout needs"),
        (lambda reply: reply["prompt_token_ids"].pop(), "not what the model here reads"),
        (lambda reply: reply["choices"].pop(), "wrote 2 completions of 3"),
        (changed(token_ids=[]), "need 1 to 12"),
        (changed(token_ids=[9] * 13), "need 1 to 12"),
        (changed(finish_reason="abort"), "finish_reason 'abort'"),
        (changed(finish_reason="stop", token_ids=[9, 9]), "need 1 to 12"),
    ],
)
def test_replies_that_are_not_what_was_asked_for(model, server, tmp_path, change, message):
    server.acts = [writes_but(change)]
    with pytest.raises(ValueError, match=message):
        write(served(model, server, tmp_path))


@pytest.mark.parametrize("where", ["audio_token_id", "eos_token_id"])
def test_tokens_that_cannot_stand_there(model, server, tmp_path, where):
    token = getattr(model if where == "audio_token_id" else model.tokenizer, where)
    logprobs = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": []}] * 3}
    change = changed(token_ids=[token, 9, 9], logprobs=logprobs, finish_reason="length")
    server.acts = [writes_but(change)]
    with pytest.raises(ValueError, match="without the audio token"):
        write(served(model, server, tmp_path))


@pytest.mark.parametrize("reply", ["<html>", "[]", "{}", "7"])
def test_what_is_no_completion(model, server, tmp_path, reply):
    server.acts = [sends(reply)]
    with pytest.raises((ValueError, RuntimeError), match="lacks|failed"):
        write(served(model, server, tmp_path))


@pytest.mark.parametrize("frozen", [{"freeze_encoder": False}, {"freeze_projector": False}])
def test_a_model_that_trains_more_than_its_adapter_is_refused(base, tmp_path, frozen):
    message = r"belong to no adapter \(model\..*set freeze_encoder and freeze_projector"
    with pytest.raises(ValueError, match=message):
        served(policy(base, **frozen), "http://localhost:1/v1", tmp_path)


def test_a_temperature_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="temperature is 0.7: .*set it to 1"):
        ServedRollout(Policy(model, temperature=0.7), 3, 12, "http://localhost:1/v1", tmp_path)


def test_a_model_without_an_adapter_is_refused(tmp_path):
    model = deepcopy(compact_model()).requires_grad_(False)
    with pytest.raises(ValueError, match="0 of 0 trained parameters"):
        served(model, "http://localhost:1/v1", tmp_path)


def test_a_broken_model_is_named(model, server, tmp_path):
    with torch.no_grad():
        model.projector().linear_1.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        write(served(model, server, tmp_path))
