#!/usr/bin/env python3
"""How much of a reasoned answer's scores hangs on the words that it happens to use.

> python benchmarks/score_spread.py EXPORTED MANIFEST
> python benchmarks/score_spread.py results/grpo_compact/*/exported data/simulated/test.jsonl

In a reasoned answer the scores follow a description. Each exported model is asked for its expected
scores in four ways, and their PCC and RMSE with the right scores are printed:

- no words: asked for scores alone;
- right words: after the reference's own description;
- own words: after one description that the model draws;
- mean: the mean over a group of such answers, which is as if it had not committed itself to one.

The last column is the standard deviation of the expected scores among the answers to one clip, over
their standard deviation among all answers. What separates own words from their mean is lost to
chance; what separates the mean from the right words, to not hearing what is there.
"""

import argparse

import numpy as np
import torch
from tabulate import tabulate
from tqdm import tqdm

from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.metrics import pearson, rmse
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.decoder import sample
from speechqa_plugin.schema import SCORE_MAX, SCORE_MIN, Assessment
from speechqa_plugin.text.answers import AnswerForm

UNREAD = (SCORE_MIN + SCORE_MAX) / 2
BATCH_SIZE = 16


def scores_after_right_words(
    answerer: Answerer, wavs: list[torch.Tensor], references: list[Assessment]
) -> np.ndarray:
    """[B, D] expected scores, the reference's text before each."""
    llm, forms = answerer.audio_llm, [AnswerForm.REASONED] * len(wavs)
    inputs = answerer.inputs(wavs, forms, references)
    score_ids = answerer.template.score_ids
    logits = llm(inputs.to(llm.device))[..., list(score_ids)].cpu()
    written = Completions(
        inputs.answer_ids,
        inputs.answer_mask.bool(),
        group_size=1,
        finished=torch.ones(len(wavs), dtype=torch.bool),
        choice_ids=score_ids,
        choice_logps=logits.log_softmax(-1),
    )
    answers = answerer.read(written, forms)
    return np.array([list(answer.parsed.expected.values()) for answer in answers])


def scores_after_own_words(
    answerer: Answerer, wavs: list[torch.Tensor], seed: int, options: argparse.Namespace
) -> np.ndarray:
    """[B, G, D] expected scores of sampled answers; `UNREAD` where one cannot be read."""
    llm, group = answerer.audio_llm, options.group_size
    written = sample(
        llm,
        answerer.inputs(wavs, [AnswerForm.REASONED] * len(wavs)).to(llm.device),
        [(seed, row) for row in range(len(wavs))],
        group,
        answerer.max_new_tokens,
        answerer.template.score_ids,
        options.temperature,
    )
    forms = [AnswerForm.REASONED] * len(wavs) * group
    answers = answerer.read(written, forms)
    names = answerer.taxonomy.names
    scores = [[a.parsed.expected.get(name, UNREAD) for name in names] for a in answers]
    return np.array(scores).reshape(len(wavs), group, len(names))


@torch.inference_mode()
def measure(folder: str, options: argparse.Namespace) -> list[list[str]]:
    """Four rows of the table for one exported model."""
    answerer = SpeechQualityAssessor.from_hparams(folder).answerer
    clips = list(read_manifest(options.manifest, answerer.taxonomy))[: options.n]
    alone, right, own = [], [], []
    for start in tqdm(range(0, len(clips), BATCH_SIZE), desc=folder):
        some = clips[start : start + BATCH_SIZE]
        wavs = [answerer.load(clip.path) for clip in some]
        answers = answerer.answer(wavs, AnswerForm.SCORES)
        alone += [list(answer.parsed.expected.values()) for answer in answers]
        right.append(scores_after_right_words(answerer, wavs, [clip.reference for clip in some]))
        own.append(scores_after_own_words(answerer, wavs, start, options))
    labels = np.array([list(clip.reference.scores.values()) for clip in clips])
    right, own = np.concatenate(right), np.concatenate(own)
    within = np.sqrt(own[..., -1].var(axis=1, ddof=1).mean())  # the last dimension is the overall
    spread = f"{within:.2f} / {own[..., -1].std():.2f}"
    rows = []
    for name, said in (
        ("no words", np.array(alone)),
        ("right words", right),
        ("own words", own[:, 0]),
        (f"mean of {options.group_size}", own.mean(axis=1)),
    ):
        pccs = [pearson(s, y) for s, y in zip(said.T, labels.T, strict=True)]
        errors = [rmse(s, y) for s, y in zip(said.T, labels.T, strict=True)]
        numbers = [f"{x:.3f}" for x in (np.mean(pccs), pccs[-1], np.mean(errors))]
        rows.append([folder, name, *numbers, spread if name == "own words" else ""])
    return rows


def main():
    """Measure every exported model and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("exported", nargs="+", help="folders that a train.py exported")
    parser.add_argument("manifest", help="clips with right answers")
    parser.add_argument("--n", type=int, default=None, help="clips, from the first [all]")
    parser.add_argument("--group_size", type=int, default=8, help="answers a clip")
    parser.add_argument("--temperature", type=float, default=0.7)
    options = parser.parse_args()
    rows = [row for folder in options.exported for row in measure(folder, options)]
    headers = ["model", "scores after", "mean PCC", "overall PCC", "RMSE", "spread, overall score"]
    print(tabulate(rows, headers, tablefmt="github"))


if __name__ == "__main__":
    main()
