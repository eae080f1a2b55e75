"""A server that speaks vLLM's protocol as far as a rollout needs it, around a tiny model."""

from __future__ import annotations

import base64
import io
import json

import soundfile
import torch
from judge_server import Handler, JudgeServer

from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.models.published_weights import PublishedWeights


def writes(handler):
    """As it should be."""
    handler.reply(handler.server.complete(handler.body))


def writes_but(change):
    """As it should be, with a change of the reply."""

    def act(handler):
        reply = handler.server.complete(handler.body)
        change(reply)
        handler.reply(reply)

    return act


def failed(message: str, status: int):
    """Body and status of an error."""
    return {"error": {"message": message, "type": "BadRequestError", "code": status}}, status


class PolicyHandler(Handler):
    def reply(self, body, status: int = 200):
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.start(status, len(data))
        self.wfile.write(data)

    def do_GET(self):
        self.server.routes.append((self.path, None))
        models = [{"id": name, "object": "model"} for name in ("base", *self.server.adapters)]
        self.reply({"object": "list", "data": models})

    def do_POST(self):
        if self.path == "/v1/chat/completions":
            super().do_POST()
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.routes.append((self.path, body))
        self.reply(*self.server.change_adapters(self.path, body))


class PolicyServer(JudgeServer):
    """See `JudgeServer`; the acts are for chat completions.

    Arguments
    ---------
    model : AudioFlamingo3
        The server's own: it reads an adapter's files, as a server does.
    """

    handler = PolicyHandler

    def __init__(self, model: AudioFlamingo3, *acts):
        super().__init__(*(acts or [writes]))
        self.model = model.eval()
        self.adapters: dict[str, str] = {}
        self.routes: list[tuple[str, dict | None]] = []

    def change_adapters(self, path, body):
        name = body["lora_name"]
        if path == "/v1/unload_lora_adapter":
            if self.adapters.pop(name, None) is None:
                return failed(f"no {name}", 404)
        elif path == "/v1/load_lora_adapter":
            if self.adapters:  # as with --max-loras 1: there is no room
                return failed("no room", 400)
            PublishedWeights.find(body["lora_path"]).load_into(self.model.model, self.model.part_of)
            self.adapters[name] = body["lora_path"]
        else:
            return failed("Not Found", 404)
        return "Success", 200

    def complete(self, body):
        audio, text = body["messages"][0]["content"]
        assert body["model"] in self.adapters
        assert body["stop_token_ids"] == [self.model.tokenizer.eos_token_id]
        wav, rate = soundfile.read(
            io.BytesIO(base64.b64decode(audio["input_audio"]["data"])), dtype="float32"
        )
        assert rate == self.model.sample_rate_hz
        inputs = self.model.inputs([torch.from_numpy(wav)], [text["text"]])
        with self.lock:  # the model is changed by writing: its mode
            written = sample(self.model, inputs, [body["seed"]], body["n"], body["max_tokens"])
        choices = []
        for i, length in enumerate(written.lengths.tolist()):
            ids = written.ids[i, :length].tolist()
            logps = written.sampled_logps[i, :length].tolist()
            choices.append(
                {
                    "index": i,
                    "finish_reason": "stop" if written.finished[i] else "length",
                    "message": {"role": "assistant", "content": self.model.tokenizer.decode(ids)},
                    "logprobs": {
                        "content": [
                            {"token": str(t), "logprob": p, "top_logprobs": []}
                            for t, p in zip(ids, logps, strict=True)
                        ]
                    },
                    "token_ids": ids,
                }
            )
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": choices[::-1],
            "prompt_token_ids": inputs.prompt_ids[0].tolist(),
        }
