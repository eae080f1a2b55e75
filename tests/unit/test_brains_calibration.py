"""Soft targets: the loss on score tokens apart from the others, drawn to the exact scores."""

from copy import deepcopy

import pytest
import torch
from random_models import random_model
from tiny import CLEAN, NOISY, trained_answerer

from speechqa_plugin.brains.calibration import (
    CalibrationBrain,
    answer_loss,
    score_targets,
    soft_answer_loss,
)
from speechqa_plugin.dataio import Batch
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.inputs import IGNORE_INDEX
from speechqa_plugin.schema import Artifact, Assessment, Utterance, load_taxonomy

NISQA = load_taxonomy("nisqa")
EXACT = dict(zip(NISQA.names, (1.0, 2.25, 3.5, 4.9, 5.0), strict=True))
WEIGHTS = {
    "noi": (1, 0, 0, 0, 0),
    "col": (0, 0.75, 0.25, 0, 0),
    "dis": (0, 0, 0.5, 0.5, 0),
    "loud": (0, 0, 0, 0.1, 0.9),
    "mos": (0, 0, 0, 0, 1),
}
PROSE = "noi: 3 of 5, from 1 to 2 s, mos 4."


def make_brain(**options):
    answerer = Answerer(random_model(), NISQA)
    return CalibrationBrain(
        modules={"audio_llm": answerer.audio_llm},
        hparams={"seed": 1},
        run_opts={"device": "cpu"},
        answerer=answerer,
        valid_utterances=[],
        **options,
    )


def make_batch(answerer, references, forms):
    wavs = [CLEAN[:8000], NOISY[:6000]]
    utterances = [
        Utterance(f"row{i}", "", len(w) / 16000, r)
        for i, (w, r) in enumerate(zip(wavs, references, strict=True))
    ]
    return Batch(utterances, forms, wavs, answerer.inputs(wavs, forms, references))


@pytest.fixture(scope="module")
def case():
    """Logits of two answers, one of each form, their labels, targets and score tokens."""
    answerer = Answerer(random_model(), NISQA)
    reference = Assessment(NISQA, EXACT, description=PROSE)
    forms = ["scores", "reasoned"]
    inputs = answerer.inputs([CLEAN[:8000]] * 2, forms, [reference] * 2)
    targets = score_targets(answerer, [reference] * 2, forms, inputs.answer_ids.shape[1])
    logits = torch.randn(*inputs.answer_ids.shape, 2048, generator=torch.manual_seed(0))
    return answerer, logits, inputs.labels, targets, answerer.template.score_ids


def test_targets_stand_where_the_digits_stand_and_have_the_mean_of_the_score(case):
    answerer, _, labels, targets, score_ids = case
    assert targets.shape == (*labels.shape, 5)
    for row, ids in zip(targets, labels, strict=True):
        columns = row.sum(-1).nonzero().flatten()
        torch.testing.assert_close(row[columns], torch.tensor([WEIGHTS[n] for n in NISQA.names]))
        for column, name in zip(columns, NISQA.names, strict=True):
            read = answerer.audio_llm.tokenizer.decode(ids[:column])
            assert read.split("\n")[-1] == f"{name}: "
            assert int(ids[column]) in score_ids
        means = (row[columns] * torch.arange(1.0, 6)).sum(-1)
        torch.testing.assert_close(means, torch.tensor(list(EXACT.values())))


def test_the_loss_is_the_mean_of_the_others_and_the_weighted_mean_of_the_scores(case):
    _, logits, labels, targets, score_ids = case
    wanted = []
    for row in range(2):
        scores, others = [], []
        for column, label in enumerate(labels[row].tolist()):
            logps = logits[row, column].log_softmax(-1)
            if targets[row, column].any():
                digits = zip(targets[row, column], score_ids, strict=True)
                scores.append(-sum(p * logps[i] for p, i in digits))
            elif label != IGNORE_INDEX:
                others.append(-logps[label])
        assert len(scores) == 5 and len(others) > 5
        wanted.append(sum(others) / len(others) + 0.7 * sum(scores) / 5)
    found = soft_answer_loss(logits, labels, targets, score_ids, 0.7)
    torch.testing.assert_close(found, sum(wanted) / 2)
    # So equal shares of a batch on two processes add up to the whole.
    parts = [
        soft_answer_loss(logits[[i]], labels[[i]], targets[[i]], score_ids, 0.7) for i in (0, 1)
    ]
    torch.testing.assert_close(found, sum(parts) / 2)


def test_it_is_least_where_the_scores_are_distributed_as_the_targets(case):
    _, logits, labels, targets, score_ids = case
    best = torch.full_like(logits, -30.0).scatter(-1, labels.clamp(min=0)[..., None], 30.0)
    where = targets.sum(-1) > 0
    on_scores = torch.full_like(best[where], -30.0)
    on_scores[:, list(score_ids)] = targets[where].clamp(min=1e-12).log()
    best[where] = on_scores
    best.requires_grad_()
    soft_answer_loss(best, labels, targets, score_ids, 1.0).backward()
    assert best.grad.abs().max() < 1e-6


def test_padding_has_no_part_in_it(case):
    _, logits, labels, targets, score_ids = case
    logits = logits.clone().requires_grad_()
    soft_answer_loss(logits, labels, targets, score_ids, 1.0).backward()
    there = labels != IGNORE_INDEX
    assert not there.all() and not logits.grad[~there].any()
    assert logits.grad[there].any(-1).all()


@torch.no_grad()
def test_half_precision_logits_are_taken_in_full(case):
    _, logits, labels, targets, score_ids = case
    coarse = (8 * logits).bfloat16()
    full = soft_answer_loss(coarse.double(), labels, targets.double(), score_ids, 1.0)
    found = soft_answer_loss(coarse, labels, targets, score_ids, 1.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, full.float())


def test_the_brain_takes_it_if_asked_and_else_the_plain_loss():
    soft, plain = make_brain(score_weight=2.0), make_brain()
    references = [Assessment(NISQA, EXACT), Assessment(NISQA, EXACT, description=PROSE)]
    batch = make_batch(soft.answerer, references, ["scores", "reasoned"])
    logits, labels = plain.answerer.audio_llm(batch.inputs), batch.inputs.labels
    found = plain.compute_objectives(plain.compute_forward(batch, None), batch, None)
    assert torch.equal(found, answer_loss(logits, labels))
    targets = score_targets(soft.answerer, references, batch.forms, labels.shape[1])
    ids = soft.answerer.template.score_ids
    assert torch.equal(
        soft.compute_objectives(soft.compute_forward(batch, None), batch, None),
        soft_answer_loss(logits, labels, targets, ids, 2.0),
    )


@pytest.mark.parametrize("weight", [0, -1.0])
def test_a_weight_that_teaches_no_score_is_refused(weight):
    with pytest.raises(ValueError, match=f"score_weight is {weight}; need one above 0, or null"):
        make_brain(score_weight=weight)


def test_a_model_learns_a_score_between_two_digits():
    """By heart from two clips: the expected score is exact where a digit would be rounded."""
    answerer = deepcopy(trained_answerer())
    taxonomy = answerer.taxonomy
    hiss = Artifact("noise", "white noise", 0.0, 1.5)
    scores = ([4.4] * 7, [1.3] * 7)
    references = [
        Assessment(taxonomy, dict(zip(taxonomy.names, s, strict=True)), a, "It is.")
        for s, a in zip(scores, ((), (hiss,)), strict=True)
    ]
    forms = ["scores"] * 2
    inputs = answerer.inputs([CLEAN, NOISY], forms, references)
    targets = score_targets(answerer, references, forms, inputs.answer_ids.shape[1])
    ids = answerer.template.score_ids
    optimizer = torch.optim.Adam(answerer.audio_llm.parameters(), lr=0.003)
    for _ in range(60):
        loss = soft_answer_loss(answerer.audio_llm(inputs), inputs.labels, targets, ids, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    heard = answerer.answer([CLEAN, NOISY], "scores")
    for answer, right in zip(heard, (4.4, 1.3), strict=True):
        assert list(answer.assessment.scores.values()) == pytest.approx([right] * 7, abs=0.15)
