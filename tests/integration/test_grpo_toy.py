"""Can the loop hear? Two kinds of sound, and reward 1 iff the answer names the right one.

A model that has learned nothing finds it out, by `GRPOBrain` from end to end. The control is the
mistake that trainers without an audio path make in silence: the rollout hears the clip and the
pass that takes gradients does not. Then every number of the log looks right, and nothing can be
learned.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from grpo_cases import brain_parts
from speechbrain.utils.train_logger import FileTrainLogger

from speechqa_plugin.brains import GRPOBrain
from speechqa_plugin.dataio import Batch
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.compact import CompactAudioFlamingo3
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.rewards import Composite
from speechqa_plugin.schema import Assessment, Utterance, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm

TAXONOMY = load_taxonomy("nisqa")
SAMPLES = 4800  # .3 s
NAMES = {"hum": 1, "hiss": 5}
"""What the answer should be: a digit, which is one token."""
ITERATIONS, PROMPTS, GROUP_SIZE = 60, 8, 8


class DeafPolicy(Policy):
    """The control: everything is right but for the audio."""

    def forward(self, inputs, completions):
        silence = replace(inputs, features=torch.zeros_like(inputs.features))
        return super().forward(silence, completions)


class Naming:
    """1 iff the whole text is the right digit."""

    name = "naming"

    def __call__(self, predictions, references):
        return [
            float(p.text == f"{r.mos:.0f}") for p, r in zip(predictions, references, strict=True)
        ]


def undecided_model():
    """Tiny and random, but it says one of the two digits, on average as often each."""
    model = CompactAudioFlamingo3(32, 1, 2, 32, 1, 2, window_s=1, mel_bins=16, frame_ms=10, seed=3)
    head = model.model.get_output_embeddings()
    bias = torch.full((head.weight.shape[0],), -30.0)
    for digit in NAMES.values():
        (token,) = model.tokenizer.encode(str(digit), add_special_tokens=False)
        bias[token] = 0.0
    head.bias = torch.nn.Parameter(bias, requires_grad=False)
    return model


def sound(kind, rng):
    level = rng.uniform(0.1, 0.4)
    if kind == "hiss":
        return torch.from_numpy(level * rng.standard_normal(SAMPLES)).float()
    time = np.arange(SAMPLES) / 16_000
    wave = np.sin(2 * np.pi * (rng.uniform(100, 400) * time + rng.uniform()))
    return torch.from_numpy(level * wave).float()


def batch_of(answerer, rng):
    kinds = list(NAMES) * (PROMPTS // 2)
    references = [Assessment(TAXONOMY, dict.fromkeys(TAXONOMY.names, NAMES[k])) for k in kinds]
    utterances = [Utterance(str(i), "", 0.3, r) for i, r in enumerate(references)]
    wavs = [sound(kind, rng) for kind in kinds]
    forms = [AnswerForm.SCORES] * PROMPTS
    return Batch(utterances, forms, wavs, answerer.inputs(wavs, forms))


def accuracy(answerer, rng):
    """Mean reward of answers to clips that were not trained on."""
    right = []
    for number in range(8):
        batch = batch_of(answerer, rng)
        seeds = [(99, number, i) for i in range(PROMPTS)]
        written = sample(answerer.audio_llm, batch.inputs, seeds, 4, 1)
        texts = answerer.audio_llm.tokenizer.batch_decode(written.rows())
        names = [f"{u.reference.mos:.0f}" for u in batch.utterances for _ in range(4)]
        right += [text == name for text, name in zip(texts, names, strict=True)]
    return sum(right) / len(right)


def train(policy_class, folder):
    """Accuracy before and after."""
    model = undecided_model()
    answerer = Answerer(model, TAXONOMY)
    composite = Composite([Naming()], [1.0])
    brain = GRPOBrain(
        opt_class=lambda named: torch.optim.AdamW(named, lr=3e-3),
        hparams={"seed": 1, "train_logger": FileTrainLogger(str(folder / "log.txt"))},
        run_opts={"device": "cpu", "noprogressbar": True},
        valid_utterances=[],
        micro_batch_size=PROMPTS,
        samples_folder=folder / "samples",
        **brain_parts(policy_class(model), answerer, composite, GROUP_SIZE, 1),
    )
    brain.init_optimizers()
    brain.modules.train()
    before = accuracy(answerer, np.random.default_rng(1))
    rng = np.random.default_rng(0)
    for _ in range(ITERATIONS):
        brain.fit_batch(batch_of(answerer, rng))
    return before, accuracy(answerer, np.random.default_rng(1))


def test_what_needs_hearing_is_learned(tmp_path):
    before, after = train(Policy, tmp_path)
    assert 0.4 < before < 0.6
    assert after > 0.95


def test_and_is_not_where_gradients_do_not_hear(tmp_path):
    before, after = train(DeafPolicy, tmp_path)
    assert 0.4 < before < 0.6
    assert 0.4 < after < 0.6
