"""Completions by a server: vLLM writes the tokens, the model here says how likely they were.

Log-probabilities come from one pass of the policy here over what the server wrote: they are those
of the one that is trained, whatever the server's numerics. The mean difference to the server's
own tells whether it writes under that policy at all.

Before each rollout the adapter goes to a folder that both sides see, under a name made from its
weights, and is loaded by vLLM's documented route; the one before is unloaded. It is not replaced
under one name (``load_inplace``): vLLM's prefix cache tells adapters apart by their names, so
prompts would be continued from the old weights' cache (vllm issue 42125), and an adapter loaded
that way is read from the disk again at every step (vllm pull request 41482).

Written after the documentation of vLLM 0.18 and the sources after it, tested with a server of our
own that speaks the same protocol; not tried with vLLM.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from scipy.io import wavfile
from speechbrain.utils.logger import get_logger
from torch import Tensor

from speechqa_plugin.chat_server import ChatServer, client_library
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.grpo.rollout import RolloutRequest
from speechqa_plugin.models.adapter import write_adapter
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.inputs import pad_right
from speechqa_plugin.models.modes import inference

logger = get_logger(__name__)

SAMPLING = {
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "logprobs": True,
}
EXTRA_SAMPLING = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "ignore_eos": True,  # with `stop_token_ids`: nothing but the tokenizer's end token ends it
    "return_token_ids": True,
}
"""The plain distribution, every field of it: what a request leaves open is filled in from the
model's ``generation_config.json`` (Audio Flamingo 3's has temperature .7 and a penalty)."""

BARRED = -100.0
"""Bias of the audio placeholder's logit, the lowest that vLLM takes."""

FAR_NATS = 0.1
"""Mean difference to the server's log-probabilities that is more than rounding in bfloat16."""


class ServedRollout:
    """Samples completions from a server; called like a `speechqa_plugin.grpo.rollout.Rollout`.

    On several processes each asks for its own prompts, and the first one updates the adapter
    while the others wait for its name. A call that fails ends the run.

    Arguments
    ---------
    policy : Policy
        Of whose model nothing but the adapter may be trained.
    group_size, max_new_tokens : int
        See `speechqa_plugin.grpo.rollout.Rollout`.
    base_url : str
        The server's, such as ``http://localhost:8000/v1``. It serves this one run.
    adapter_folder : str or path
        Where adapters are written; the server must see it under the same path.
    adapter_name : str
        Start of their names on the server. All that start so belong to this run.
    api_key_env, concurrency, retries
        See `speechqa_plugin.chat_server.ChatServer`; a request is a prompt with its group.
    deadline_s : float
        Longest that the loading of an adapter may take, and again the writing of all completions,
        in seconds; shorter than the time limit of a collective (PyTorch's is 10 minutes or more).

    Raises
    ------
    ImportError, ValueError
        As of `speechqa_plugin.chat_server.ChatServer`; ValueError too if something else than the
        adapter is trained, since it could not be sent, or the temperature is not 1.

    Example
    -------
    >>> ServedRollout(policy, 4, 256, "http://localhost:8000/v1", "adapters")  # doctest: +SKIP
    """

    def __init__(
        self,
        policy: Policy,
        group_size: int,
        max_new_tokens: int,
        base_url: str,
        adapter_folder: str | os.PathLike,
        adapter_name: str = "policy",
        api_key_env: str | None = None,
        concurrency: int = 32,
        deadline_s: float = 300.0,
        retries: int = 2,
    ):
        if policy.temperature != 1:
            raise ValueError(
                f"temperature is {policy.temperature}: completions are asked for at 1, where the "
                "server's log-probabilities are those of what it draws from; set it to 1"
            )
        parameters = policy.audio_llm.model.named_parameters()
        trained = [name for name, parameter in parameters if parameter.requires_grad]
        others = [name for name in trained if ".lora_" not in name]
        if others or not trained:
            raise ValueError(
                f"{len(others)} of {len(trained)} trained parameters belong to no adapter"
                f"{f' ({others[0]}, ...)' if others else ''}: a server can be sent an adapter "
                "only; set freeze_encoder and freeze_projector, with a base_model that has the "
                "calibrated encoder and projector in it, and serve that one"
            )
        self.policy = policy
        self.group_size = group_size
        self.max_new_tokens = max_new_tokens
        self.server = ChatServer(base_url, api_key_env, concurrency, deadline_s, retries)
        self.adapter_folder = Path(adapter_folder).absolute()
        self.adapter_name = adapter_name

    def __call__(self, request: RolloutRequest) -> Completions:
        """Sample completions; the same seed makes the same request to the server.

        Raises
        ------
        RuntimeError
            If the server fails, after retries.
        TimeoutError
            If it is not ready by the deadline.
        ValueError
            If it answers something else than was asked for.
        FloatingPointError
            If the log-probabilities of the model here are not finite.
        """
        name, audio_llm, inputs = self.load_adapter(), self.policy.audio_llm, request.inputs
        asked = zip(request.wavs, request.prompts, request.seeds, strict=True)
        bodies = [self._body(name, *prompt) for prompt in asked]
        replies = self._ask_all(_complete, bodies, "completions")
        read = zip(replies, inputs.prompt_ids, inputs.prompt_mask.bool(), strict=True)
        rows = [row for reply, ids, mask in read for row in self._read(reply, ids[mask].tolist())]
        ids, mask = pad_right([ids for ids, _ in rows], audio_llm.tokenizer.pad_token_id)
        ids, mask = ids.to(audio_llm.device), mask.bool().to(audio_llm.device)
        finished = ((ids == audio_llm.tokenizer.eos_token_id) & mask).any(dim=-1)
        choice_ids = tuple(request.choice_ids)
        written = Completions(ids, mask, self.group_size, finished, choice_ids=choice_ids)
        with inference(audio_llm):
            ours = self.policy(inputs, written)
        written = replace(written, sampled_logps=ours.logps, choice_logps=ours.choice_logps)
        written.check_finite()
        theirs = torch.tensor([logp for _, logps in rows for logp in logps], device=ids.device)
        difference = float((ours.logps[mask] - theirs).abs().mean())
        if not difference <= FAR_NATS:
            logger.warning(
                f"the server's log-probabilities are {difference:.2g} nats off the model's: it "
                "writes under another policy than the one that is trained; serve the folder that "
                "base_model names, unquantized"
            )
        return written

    def load_adapter(self) -> str:
        """Let the server have the weights as they are now; a collective in a distributed run.

        Returns
        -------
        str
            The name under which the server has them.
        """
        name = [None]
        if not dist.is_initialized() or dist.get_rank() == 0:
            folder = write_adapter(self.policy.audio_llm, self.adapter_folder, self.adapter_name)
            self._ask_all(self._load, [folder], "the adapter")
            for old in self.adapter_folder.glob(f"{self.adapter_name}-*"):
                if old != folder:
                    shutil.rmtree(old)
            name = [folder.name]
        if dist.is_initialized():
            dist.broadcast_object_list(name)
        return name[0]

    async def _load(self, client, folder: Path) -> bool:
        served = [model.id for model in (await client.models.list()).data]
        # First, so that there is room: a server holds one adapter unless it is told otherwise.
        for old in served:
            if old.startswith(f"{self.adapter_name}-") and old != folder.name:
                await client.post("/unload_lora_adapter", body={"lora_name": old}, cast_to=str)
        if folder.name not in served:
            body = {"lora_name": folder.name, "lora_path": str(folder)}
            await client.post("/load_lora_adapter", body=body, cast_to=str)
        return True

    def _ask_all(self, ask, items: Sequence, what: str) -> list:
        title = f"rollout server {self.server.base_url}: {what}"
        try:
            results = self.server.ask_all(ask, items, None)
        except (client_library().OpenAIError, ValueError, RecursionError) as error:
            said = self.server.without_key(str(error))[:300]
            raise RuntimeError(
                f"{title} failed ({type(error).__name__}: {said}); training needs rollouts: see to "
                "the server and start again"
            ) from None  # its request holds the key
        if late := sum(result is None for result in results):
            raise TimeoutError(
                f"{title}: {late} of {len(items)} not there within {self.server.deadline_s:g} s; "
                "see to the server, or give a larger deadline_s, and start again"
            )
        return results

    def _body(self, name: str, wav: Tensor, prompt: str, seed: int | Sequence[int]) -> dict:
        audio_llm = self.policy.audio_llm
        file = io.BytesIO()  # not by soundfile, which writes the time of day into float files
        wavfile.write(file, audio_llm.sample_rate_hz, wav.detach().cpu().float().numpy())
        audio = {"data": base64.b64encode(file.getvalue()).decode(), "format": "wav"}
        content = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": prompt}]
        return {
            "model": name,
            "messages": [{"role": "user", "content": content}],
            "n": self.group_size,
            "max_tokens": self.max_new_tokens,
            # vLLM counts up from it for the members of a group.
            "seed": int(np.random.default_rng(seed).integers(2**62)),
            "logit_bias": {str(audio_llm.audio_token_id): BARRED},
            **SAMPLING,
            "extra_body": {**EXTRA_SAMPLING, "stop_token_ids": [audio_llm.tokenizer.eos_token_id]},
        }

    def _read(self, reply, prompt_ids: Sequence[int]) -> list[tuple[list[int], list[float]]]:
        """Tokens of a group and the server's log-probabilities; refuses what was not asked for."""
        tokenizer, audio = self.policy.audio_llm.tokenizer, self.policy.audio_llm.audio_token_id
        end, limit = tokenizer.eos_token_id, self.max_new_tokens
        try:
            choices = sorted(reply.choices, key=lambda choice: choice.index)
            rows = [(list(c.token_ids), [t.logprob for t in c.logprobs.content]) for c in choices]
            reasons = [choice.finish_reason for choice in choices]
            read = [token for token in reply.prompt_token_ids if token != audio]
        except (AttributeError, TypeError) as error:
            raise ValueError(
                f"the server's reply lacks what a rollout needs ({error}): need token ids, as vLLM "
                "from 0.11 on sends them for return_token_ids, and logprobs"
            ) from None
        # Without the audio's place, which may be counted as one token.
        if read != [token for token in prompt_ids if token != audio]:
            raise ValueError(
                f"the server read the prompt as {tokenizer.decode(read)!r}, which is not what the "
                "model here reads; serve the folder that base_model names, with its own chat "
                "template"
            )
        if len(rows) != self.group_size:
            raise ValueError(f"the server wrote {len(rows)} completions of {self.group_size}")
        for (ids, logps), reason in zip(rows, reasons, strict=True):
            whole = reason == "length" or (reason == "stop" and ids[-1:] == [end])
            placed = audio not in ids and end not in ids[:-1]
            if not (whole and placed and 0 < len(ids) <= limit and len(ids) == len(logps)):
                raise ValueError(
                    f"the server wrote tokens {ids} with {len(logps)} log-probabilities, "
                    f"finish_reason {reason!r}: need 1 to {limit}, without the audio token "
                    f"{audio}, and the end token {end} as the last one where they stop"
                )
        return rows


async def _complete(client, request: dict):
    return await client.chat.completions.create(**request)
