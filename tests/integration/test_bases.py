"""Every published base through the whole chain: calibration, GRPO, export, `from_hparams`."""

import math

import pytest
import torch
from grpo_cases import brain_parts
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger
from tiny_bases import write_tiny_base

from speechqa_plugin.brains import CalibrationBrain, GRPOBrain
from speechqa_plugin.brains.checkpointer import WholeCheckpointer
from speechqa_plugin.dataio import Collate, make_dataset
from speechqa_plugin.export import export_assessor
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.models.audio_flamingo3 import AudioFlamingo3
from speechqa_plugin.models.audio_flamingo_next import AudioFlamingoNext
from speechqa_plugin.models.qwen2_audio import Qwen2Audio
from speechqa_plugin.models.qwen25_omni import Qwen25Omni
from speechqa_plugin.rewards import Composite
from speechqa_plugin.schema import load_taxonomy

pytestmark = pytest.mark.slow

TAXONOMY = load_taxonomy("qualispeech")
OPTIONS = {"lora_rank": 4, "layer_mix": True}


class Length:
    """Something that differs between texts that nobody can read."""

    name = "length"

    def __call__(self, predictions, references):
        return [len(p.text) % 13 / 13 for p in predictions]


def settings(answerer, folder, valid, **modules):
    """A Brain's arguments."""
    return {
        "modules": modules,
        "opt_class": lambda named: torch.optim.AdamW([p for _, p in named], lr=0.01),
        "hparams": {
            "seed": 1,
            "max_grad_norm": 1.0,
            "best_metric": "loss",
            "train_logger": FileTrainLogger(str(folder / "log.txt")),
        },
        "run_opts": {"device": "cpu", "noprogressbar": True},
        "checkpointer": WholeCheckpointer(folder / "save", {"audio_llm": answerer.audio_llm}),
        "answerer": answerer,
        "valid_utterances": valid,
        "valid_form": "scores",
    }


def fit(brain, answerer, rows, forms, batch_size):
    """An epoch; names of what moved."""
    model = answerer.audio_llm.model
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    loader = {"batch_size": batch_size, "collate_fn": Collate(answerer)}
    brain.fit(
        EpochCounter(1),
        make_dataset(rows, forms, answerer),
        make_dataset(brain.valid_utterances, ["scores"], answerer),
        train_loader_kwargs={**loader, "shuffle": True, "drop_last": True},
        valid_loader_kwargs=loader,
    )
    assert math.isfinite(brain.train_loss)
    return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("audio_flamingo_3", AudioFlamingo3),
        ("audio_flamingo_next", AudioFlamingoNext),
        ("qwen2_audio", Qwen2Audio),
        ("qwen25_omni", Qwen25Omni),
    ],
)
def test_calibrated_reinforced_exported_and_used(kind, base, corpus, tmp_path):
    source = write_tiny_base(tmp_path / "base", kind)
    train, valid = (read_manifest(corpus / f"{s}.jsonl", TAXONOMY) for s in ("train", "valid"))
    folders = [tmp_path / stage for stage in ("calibration", "grpo")]
    for folder in folders:
        folder.mkdir()

    answerer = Answerer(base(source, **OPTIONS), TAXONOMY, max_new_tokens=16)
    brain = CalibrationBrain(
        **settings(answerer, folders[0], valid[:2], audio_llm=answerer.audio_llm)
    )
    moved = fit(brain, answerer, train[:8], ["scores", "reasoned"], batch_size=4)
    assert {n for n in answerer.audio_llm.state_names if "k_proj.bias" not in n} <= moved
    assert moved <= set(answerer.audio_llm.state_names)
    calibrated = export_assessor(answerer, tmp_path / "calibrated")

    answerer = Answerer(base(source, **OPTIONS), TAXONOMY, max_new_tokens=16)
    answerer.audio_llm.load(calibrated / "audio_llm.ckpt")
    policy, composite = Policy(answerer.audio_llm), Composite([Length()], [1.0])
    brain = GRPOBrain(
        **settings(answerer, folders[1], valid[:2])
        | brain_parts(policy, answerer, composite, 3, 12, beta=0.04),
        micro_batch_size=1,
        log_every=1,
        samples_folder=folders[1] / "samples",
    )
    moved = fit(brain, answerer, train[:4], ["reasoned"], batch_size=2)
    assert brain.optimizer_step == 2 and brain.policy.shared_prefix
    assert {n for n in answerer.audio_llm.state_names if "lora" in n or "mix" in n} <= moved
    assert moved <= set(answerer.audio_llm.state_names)

    assessor = SpeechQualityAssessor.from_hparams(export_assessor(answerer, tmp_path / "exported"))
    assert type(assessor.answerer.audio_llm) is base
    wavs = [answerer.load(row.path) for row in valid]
    for form in ("scores", "reasoned"):
        found, expected = (li.answer(wavs, form) for li in (assessor.answerer, answerer))
        assert [a.parsed.text for a in found] == [a.parsed.text for a in expected]
        assert [a.probs for a in found] == [a.probs for a in expected]
    assert 1 <= assessor.assess_file(valid[0].path).mos <= 5
