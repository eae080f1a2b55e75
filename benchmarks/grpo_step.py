#!/usr/bin/env python3
"""What sharing a prompt within its group saves in a GRPO step.

> python benchmarks/grpo_step.py
> python benchmarks/grpo_step.py --models compact --clips_s 30 --groups 4 --repeats 3

Two ways through the same step with the same model, prompts, rewards and group size, in one
process, in turn:

- ours: audio encoded and prompt forwarded once a group, in writing and for the loss; on a GPU, a
  token's computation is launched as one graph;
- plain: both G times in each, as trainers do that know nothing of groups, and kernel by kernel.

A step writes the answers (all of them to the limit, so that both ways write as many tokens),
judges them, takes the loss of their log-probabilities and updates the weights. Printed are medians
over the repeats, and the most memory that loss and update took above what was there before.
"""

import argparse
import ctypes
import gc
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from tabulate import tabulate

from speechqa_plugin.grpo.advantages import Advantages
from speechqa_plugin.grpo.loss import GRPOLoss
from speechqa_plugin.grpo.policy import Policy, plain_logps
from speechqa_plugin.models.compact import SAMPLE_RATE_HZ, CompactAudioFlamingo3
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.models.groups import expand_groups, take_prompts
from speechqa_plugin.rewards import AnswerFormat, Composite, SoftScore, per_dimension
from speechqa_plugin.schema import Assessment, load_taxonomy
from speechqa_plugin.text.answers import parse_answer
from speechqa_plugin.text.prompts import build_prompt

MODELS = {
    "compact": {
        "encoder_dim": 192,
        "encoder_layers": 4,
        "encoder_heads": 4,
        "lm_dim": 256,
        "lm_layers": 4,
        "lm_heads": 4,
    },
    "wide": {
        "encoder_dim": 384,
        "encoder_layers": 6,
        "encoder_heads": 6,
        "lm_dim": 512,
        "lm_layers": 8,
        "lm_heads": 8,
    },
    "large": {  # for a GPU
        "encoder_dim": 1024,
        "encoder_layers": 24,
        "encoder_heads": 16,
        "lm_dim": 1536,
        "lm_layers": 28,
        "lm_heads": 12,
    },
}
TAXONOMY = load_taxonomy("qualispeech")
WAYS = ("plain", "ours")


class Step:
    """A GRPO step on one batch, in parts.

    Arguments
    ---------
    model : AudioLLM
        Random; it never ends an answer.
    inputs : ModelInputs
        B prompts.
    group_size : int
        G.
    new_tokens : int
        Length of every answer.
    """

    def __init__(self, model, inputs, group_size, new_tokens):
        self.model = model
        self.inputs = inputs
        self.group_size = group_size
        self.new_tokens = new_tokens
        self.policy, self.advantages, self.loss = Policy(model), Advantages(), GRPOLoss()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
        self.composite = Composite([per_dimension(TAXONOMY, SoftScore), AnswerFormat()], [1, 1])
        self.reference = Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, 3))

    def write(self, way):
        """The rollout."""
        size = len(self.inputs.prompt_ids)
        if way == "ours":
            seeds = list(range(size))
            return sample(self.model, self.inputs, seeds, self.group_size, self.new_tokens)
        rows = expand_groups(torch.arange(size, device=self.model.device), self.group_size)
        inputs = take_prompts(self.model, self.inputs, rows)
        seeds = list(range(len(rows)))
        written = sample(self.model, inputs, seeds, 1, self.new_tokens, fixed_context=False)
        return replace(written, group_size=self.group_size)

    def judge(self, written):
        """The same answers with their advantages."""
        texts = self.model.tokenizer.batch_decode(written.rows())
        parsed = [parse_answer(text, TAXONOMY) for text in texts]
        rewards = self.composite(parsed, [self.reference] * len(parsed))
        return self.advantages(written, rewards, self.composite.weights)[0]

    def learn(self, way, written):
        """Log-probabilities, loss, gradient and update."""
        if way == "ours":
            logps = self.policy(self.inputs, written)
        else:
            logps = plain_logps(self.model, self.inputs, written)
        loss, _ = self.loss(logps, written)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def run(self, way):
        """Seconds of the rollout, of loss and update, and of the step; its peak in MiB."""
        started = self._now()
        written = self.write(way)
        rollout_s = self._now() - started
        started = self._now()
        written = self.judge(written)
        judging_s = self._now() - started
        with Peak(self.model.device) as peak:
            started = self._now()
            self.learn(way, written)
            learning_s = self._now() - started
        return rollout_s, learning_s, rollout_s + judging_s + learning_s, peak.bytes / 2**20

    def _now(self):
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class Peak:
    """Most memory inside a ``with`` above what there was at its start; `bytes` afterwards."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def __enter__(self):
        gc.collect()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
        else:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, so that it counts again
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            self.before = _resident("VmRSS")
        return self

    def __exit__(self, *_):
        after = torch.cuda.max_memory_allocated() if self.cuda else _resident("VmHWM")
        self.bytes = after - self.before


def _resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}; peak memory of a CPU is read on Linux only")


def make_model(name, clip_s, device):
    """A model whose window is the clip and whose answers never end."""
    model = CompactAudioFlamingo3(**MODELS[name], window_s=clip_s, frame_ms=10)
    head = model.model.get_output_embeddings()
    bias = torch.zeros(head.weight.shape[0])
    bias[model.tokenizer.eos_token_id] = -100.0
    head.bias = torch.nn.Parameter(bias, requires_grad=False)
    return model.to(device).train()


def make_inputs(model, prompts, clip_s, text_tokens):
    """Noise, and an instruction of about as many tokens."""
    instruction = build_prompt(TAXONOMY, "reasoned")
    while len(model.tokenizer.encode(instruction)) < text_tokens:
        instruction += "\nListen to the whole clip before you answer."
    wavs = [0.1 * torch.randn(clip_s * SAMPLE_RATE_HZ) for _ in range(prompts)]
    return model.inputs(wavs, [instruction] * prompts).to(model.device)


def measure(step, repeats):
    """For each way, the medians of what `Step.run` gives."""
    found = {way: [] for way in WAYS}
    for repeat in range(repeats + 1):
        for way in WAYS:
            numbers = step.run(way)
            if repeat:  # the first warms up, and the policy checks itself
                found[way].append(numbers)
    if not step.policy.shared_prefix:
        sys.exit("the shared prefix was switched off by its own check: nothing to compare")
    return [[statistics.median(column) for column in zip(*found[way], strict=True)] for way in WAYS]


def main():
    """Measure every combination and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["compact", "wide"])
    parser.add_argument(
        "--clips_s", nargs="+", type=int, default=[5, 30], help="25 tokens a second"
    )
    parser.add_argument("--groups", nargs="+", type=int, default=[4, 8], help="answers a prompt")
    parser.add_argument("--prompts", type=int, default=2, help="clips a step")
    parser.add_argument("--text_tokens", type=int, default=250, help="of the instruction, at least")
    parser.add_argument("--new_tokens", type=int, default=100, help="of an answer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    table = []
    for name in options.models:
        for clip_s in options.clips_s:
            model = make_model(name, clip_s, options.device)
            inputs = make_inputs(model, options.prompts, clip_s, options.text_tokens)
            for group_size in options.groups:
                step = Step(model, inputs, group_size, options.new_tokens)
                case = [name, clip_s, inputs.prompt_ids.shape[1], group_size]
                pairs = zip(*measure(step, options.repeats), strict=True)
                table.append([*case, *(f"{p:.4g}/{o:.4g} = {p / o:.2f}" for p, o in pairs)])
                print(*table[-1], sep="  ", flush=True, file=sys.stderr)
    print(f"plain/ours = ratio; {options.prompts} prompts, {options.new_tokens} tokens an answer")
    headers = ["model", "clip s", "prefix", "G", "rollout s", "loss+update s", "step s"]
    print(tabulate(table, [*headers, "peak MiB"], tablefmt="github"))


if __name__ == "__main__":
    main()
