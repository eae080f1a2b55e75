"""The hearing head: its targets on the time axis, its loss, its stage, and that it is not kept."""

from dataclasses import replace

import pytest
import soundfile
import speechbrain as sb
import torch
from safetensors.torch import load_file
from scipy.stats import pearsonr
from speechbrain.utils.checkpoints import Checkpointer
from tiny import CLEAN, NOISY, tiny_answerer

from speechqa_plugin.brains.calibration import CalibrationBrain, answer_loss
from speechqa_plugin.brains.hearing import (
    HearingBrain,
    HearingHead,
    artifact_targets,
    hearing_loss,
    settle_types,
    types_loss,
)
from speechqa_plugin.dataio import Batch
from speechqa_plugin.export import export_assessor, load_answerer
from speechqa_plugin.listening import Answerer
from speechqa_plugin.schema import Artifact, Assessment, Utterance, load_taxonomy
from speechqa_plugin.sounding import hears, type_names

QUALISPEECH = load_taxonomy("qualispeech")
TYPES = QUALISPEECH.types
HUM, HISS, CUT = ("noise", "mains hum"), ("noise", "white noise"), ("pause", "cut-out")


def reference(*artifacts):
    return Assessment(QUALISPEECH, dict.fromkeys(QUALISPEECH.names, 3), artifacts)


def targets_of(*artifacts, n_tokens=5, token_s=0.1):
    """Rows of types that sound at all."""
    targets = artifact_targets(reference(*artifacts), TYPES, n_tokens, token_s)
    assert targets.shape == (n_tokens, 21)
    return {TYPES[i]: targets[:, i].tolist() for i in targets.any(0).nonzero().flatten().tolist()}


def test_a_token_gets_the_severity_of_the_time_that_is_covered():
    """
    token      |0   |1   |2   |3   |4   |
    mains hum      .5========              .05-.25, severity .8
    cut-out                          ==    .32-.36
    """
    found = targets_of(Artifact(*HUM, 0.05, 0.25, 0.8), Artifact(*CUT, 0.32, 0.36, 1.0))
    assert found.keys() == {HUM, CUT}
    assert found[HUM] == pytest.approx([0.4, 0.8, 0.4, 0, 0], abs=1e-6)
    assert found[CUT] == pytest.approx([0, 0, 0, 0.4, 0], abs=1e-6)


def test_what_is_not_known_of_an_artifact():
    found = targets_of(Artifact(*HUM))  # neither time nor severity
    assert found.keys() == {HUM} and found[HUM] == pytest.approx([1] * 5)
    assert targets_of(Artifact("noise", "a dog, far away", 0.0, 1.0)) == {}
    # The same words under another kind are another type, and a time behind the clip none of it.
    assert targets_of(Artifact("pause", "mains hum"), Artifact(*HUM, 0.5, 0.9)) == {}


def test_of_two_of_a_type_the_stronger_counts():
    found = targets_of(Artifact(*HISS, 0.0, 0.3, 0.2), Artifact(*HISS, 0.2, 0.5, 0.9))
    assert found[HISS] == pytest.approx([0.2, 0.2, 0.9, 0.9, 0.9], abs=1e-6)


def test_a_long_clip_counts_as_much_as_a_short_one_and_shares_add_up():
    logits = torch.randn(7, 21, generator=torch.manual_seed(0))
    targets = list(torch.rand(7, 21, generator=torch.manual_seed(1)).split([5, 2]))
    p = logits.sigmoid()
    whole = torch.cat(targets)
    losses = -(whole * p.log() + (1 - whole) * (1 - p).log()).sum(-1)
    wanted = (losses[:5].mean() + losses[5:].mean()) / 2
    torch.testing.assert_close(types_loss(logits, targets), wanted)
    shares = [types_loss(logits[:5], targets[:1]), types_loss(logits[5:], targets[1:])]
    torch.testing.assert_close(sum(shares) / 2, wanted)


def make_brain(answerer, folder=None, **options):
    checkpointer = None
    if folder is not None:
        checkpointer = Checkpointer(folder, {"audio_llm": answerer.audio_llm})
    brain = CalibrationBrain(
        modules={"audio_llm": answerer.audio_llm},
        opt_class=lambda named: torch.optim.Adam([p for _, p in named], lr=0.01),
        hparams={"seed": 1},
        run_opts={"device": "cpu"},
        checkpointer=checkpointer,
        answerer=answerer,
        valid_utterances=[],
        **options,
    )
    brain.init_optimizers()
    return brain


def make_batch(answerer):
    references = [reference(), reference(Artifact(*HISS, 0.0, 0.75, 0.9))]
    half = torch.cat([NOISY[:12000], CLEAN[:12000]])  # noise until .75 s
    wavs, forms = [CLEAN, half], ["scores"] * 2
    utterances = [
        Utterance(f"row{i}", "-", len(wav) / 16000, r)
        for i, (wav, r) in enumerate(zip(wavs, references, strict=True))
    ]
    return Batch(utterances, forms, wavs, answerer.inputs(wavs, forms, references))


def test_tokens_find_their_clips_and_times():
    answerer = tiny_answerer()
    batch = make_batch(answerer)
    counts = answerer.audio_llm.token_counts(batch.inputs)
    clean, noisy = (
        artifact_targets(u.reference, TYPES, n, answerer.audio_llm.audio_token_s)
        for u, n in zip(batch.utterances, counts, strict=True)
    )
    assert (clean.shape, noisy.shape) == ((12, 21), (19, 21))  # 1 s and 1.5 s of 80 ms
    hiss = noisy[:, TYPES.index(HISS)]
    assert not clean.any()
    assert hiss.tolist() == pytest.approx([0.9] * 9 + [0.9 * 3 / 8] + [0] * 9, abs=1e-5)
    _, audio = answerer.audio_llm(batch.inputs, with_audio=True)
    assert len(audio) == 12 + 19


def test_the_loss_in_training_is_both_and_in_validation_the_answers_alone():
    answerer = tiny_answerer()
    batch = make_batch(answerer)
    brain = make_brain(answerer, hearing_weight=0.5)
    logits, audio = answerer.audio_llm(batch.inputs, with_audio=True)
    answers = answer_loss(answerer.audio_llm(batch.inputs), batch.inputs.labels)
    heard = brain.modules.hearing_head(audio, [12, 19])
    taught = hearing_loss(heard, [12, 19], batch.utterances, answerer)
    assert taught > 0.1
    for stage, wanted in (
        (sb.Stage.TRAIN, answers + 0.5 * taught),
        (sb.Stage.VALID, answers),
    ):
        found = brain.compute_objectives(brain.compute_forward(batch, stage), batch, stage)
        assert torch.equal(found, wanted)
    plain = make_brain(answerer)
    assert set(plain.modules) == {"audio_llm"}
    found = plain.compute_objectives(
        plain.compute_forward(batch, sb.Stage.TRAIN), batch, sb.Stage.TRAIN
    )
    assert torch.equal(found, answers)


def make_hearing_brain(answerer, folder=None, utterances=()):
    checkpointer = None
    if folder is not None:
        checkpointer = Checkpointer(folder, {"audio_llm": answerer.audio_llm})
    brain = HearingBrain(
        modules={},
        opt_class=lambda named: torch.optim.Adam([p for _, p in named], lr=0.01),
        hparams={"seed": 1},
        run_opts={"device": "cpu"},
        checkpointer=checkpointer,
        answerer=answerer,
        valid_utterances=utterances,
    )
    brain.init_optimizers()
    return brain


def test_the_encoder_learns_to_tell_moments_and_clips_and_the_language_model_is_left_alone():
    answerer = tiny_answerer(stem="conv2d")
    batch = make_batch(answerer)
    batch.utterances[1].reference.scores["noise"] = 1
    brain = make_hearing_brain(answerer)
    before = {n: p.clone() for n, p in answerer.audio_llm.model.named_parameters()}
    for step in range(80):
        heard = brain.compute_forward(batch, sb.Stage.TRAIN)
        loss = brain.compute_objectives(heard, batch, sb.Stage.TRAIN)
        brain.optimizer.zero_grad()
        loss.backward()
        found = [p.grad for p in answerer.audio_llm.encoder().parameters() if p.grad is not None]
        assert any(g.any() for g in found) == (step > 0)  # the head's weights start at 0
        brain.optimizer.step()
    types, scores = brain.compute_forward(batch, sb.Stage.VALID)
    hiss = types[:, TYPES.index(HISS)].sigmoid()
    clean, noisy = hiss[:12], hiss[12:]
    assert clean.max() < 0.2 and noisy[:9].mean() > 0.6 and noisy[10:].mean() < 0.2
    noise = scores[:, QUALISPEECH.names.index("noise")]
    assert noise[0] > 2.7 and noise[1] < 1.3
    changed = {n for n, p in answerer.audio_llm.model.named_parameters() if (p != before[n]).any()}
    assert changed and all("audio_tower" in n or "multi_modal_projector" in n for n in changed)


def test_validation_asks_the_head(tmp_path):
    answerer = tiny_answerer()
    utterances = []
    for i, wav in enumerate([CLEAN, NOISY, NOISY[:9000]]):
        soundfile.write(tmp_path / f"{i}.wav", wav.numpy(), 16000)
        scores = dict.fromkeys(QUALISPEECH.names, 1 + i)
        utterances.append(
            Utterance(f"{i}", str(tmp_path / f"{i}.wav"), 1.0, Assessment(QUALISPEECH, scores))
        )
    brain = make_hearing_brain(answerer, utterances=utterances)
    brain.valid_batch_size = 2
    torch.nn.init.normal_(brain.modules.hearing.head.scores.weight, std=0.1)
    numbers = brain.validate()
    wavs = [answerer.load(u.path) for u in utterances]
    with torch.no_grad():
        inputs = answerer.inputs(wavs, ["scores"] * 3)
        _, scores = brain.modules.hearing(inputs, answerer.audio_llm.token_counts(inputs))
    wanted = pearsonr(scores[:, 0].clamp(1, 5), [1, 2, 3]).statistic
    assert numbers["noise/utt/pcc"] == pytest.approx(wanted, abs=1e-5)
    errors = (scores.clamp(1, 5) - torch.tensor([[1.0], [2], [3]])).square().mean(dim=0).sqrt()
    assert numbers["rmse"] == pytest.approx(float(errors.mean()), abs=1e-5)


def test_it_goes_on_from_a_checkpoint_and_stays_out_of_the_export(tmp_path):
    answerer = tiny_answerer()
    brain = make_brain(answerer, tmp_path / "save", hearing_weight=1.0)
    with torch.no_grad():
        brain.modules.hearing_head.types.weight.normal_()
    brain.checkpointer.save_checkpoint()
    other = make_brain(tiny_answerer(seed=2), tmp_path / "save", hearing_weight=1.0)
    assert other.checkpointer.recover_if_possible()
    for ours, theirs in zip(brain.modules.parameters(), other.modules.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    folder = export_assessor(answerer, tmp_path / "with")
    plain = export_assessor(tiny_answerer(), tmp_path / "without")
    ours, theirs = ((f / "hyperparams.yaml").read_bytes() for f in (folder, plain))
    assert ours == theirs
    ours, theirs = (load_file(f / "audio_llm.ckpt") for f in (folder, plain))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match="hearing_weight is -1; need at least 0"):
        make_brain(tiny_answerer(), hearing_weight=-1)


def test_without_types_the_scores_alone_are_taught():
    answerer = Answerer(tiny_answerer().audio_llm, load_taxonomy("nisqa"))
    nisqa = answerer.taxonomy
    row = Utterance("a", "-", 1.0, Assessment(nisqa, dict.fromkeys(nisqa.names, 5)))
    inputs = answerer.inputs([CLEAN], ["scores"])
    brain = make_hearing_brain(answerer)
    counts = answerer.audio_llm.token_counts(inputs)
    heard = brain.modules.hearing(inputs, counts)
    assert hearing_loss(heard, counts, [row], answerer).item() == pytest.approx(4)


def test_the_untrained_head_says_the_same_of_all():
    types, scores = HearingHead(8, QUALISPEECH)(torch.randn(4, 8).bfloat16(), [3, 1])
    torch.testing.assert_close(types.sigmoid(), torch.full((4, 21), 0.05))
    assert torch.equal(scores, torch.full((2, 7), 3.0))


# --- what of it is kept


def test_a_model_with_a_layer_for_it_says_what_the_head_has_learned(tmp_path):
    answerer = tiny_answerer(types=type_names(QUALISPEECH))
    answerer.long_form = "explained"
    brain = make_brain(answerer, hearing_weight=1.0)
    batch = make_batch(answerer)
    for _ in range(80):
        brain.fit_batch(batch)
    for utterance, wav in zip(batch.utterances, batch.wavs, strict=True):
        soundfile.write(tmp_path / f"{utterance.id}.wav", wav.numpy(), 16000, "FLOAT")
    rows = [replace(u, path=str(tmp_path / f"{u.id}.wav")) for u in batch.utterances]
    inputs = answerer.inputs(batch.wavs, batch.forms)
    assert all((logits < 0).all() for logits in answerer.audio_llm.hear_types(inputs))
    settle_types(answerer, brain.modules.hearing_head, rows, 1)
    clean, half = answerer.audio_llm.hear_types(inputs)
    hiss = TYPES.index(HISS)
    assert (clean < 0).all() and (half[:, TYPES.index(HUM)] < 0).all()
    assert (half[:6, hiss] > 0).all() and (half[13:, hiss] < 0).all()
    folder = export_assessor(answerer, tmp_path / "exported", torch.float16)
    again = load_answerer(folder)
    assert hears(again) and torch.isfinite(again.audio_llm.model.types.bias).all()
    (answer,) = again.answer([batch.wavs[1]], "explained")
    assert [a.type for a in answer.assessment.artifacts] == ["white noise"]
    assert answer.assessment.artifacts[0].end_s == pytest.approx(0.75, abs=0.3)


def test_the_layer_follows_in_validation(tmp_path):
    answerer = tiny_answerer(types=type_names(QUALISPEECH))
    brain = make_brain(answerer, hearing_weight=1.0)
    torch.nn.init.ones_(brain.modules.hearing_head.types.weight)
    soundfile.write(tmp_path / "a.wav", NOISY.numpy(), 16000)
    brain.valid_utterances = [Utterance("a", str(tmp_path / "a.wav"), 1.5, reference())]
    brain.validate()
    assert (answerer.audio_llm.model.types.weight == 1).all()


def test_types_of_another_taxonomy_are_not_heard():
    answerer = tiny_answerer(types=["noise (white noise)", "noise (mains hum)"])
    assert not hears(answerer) and not hears(tiny_answerer())


def test_training_on_without_teaching_the_layer_is_refused():
    with pytest.raises(ValueError, match="hearing_weight is 0, but the model lists what it hears"):
        make_brain(tiny_answerer(types=type_names(QUALISPEECH)))


def test_the_stage_validates_without_dropout(tmp_path):
    answerer = tiny_answerer(types=type_names(QUALISPEECH), dropout=0.5)
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path, wav in zip(paths, (CLEAN, NOISY), strict=True):
        soundfile.write(path, wav.numpy(), 16000)
    brain = HearingBrain(
        opt_class=lambda named: torch.optim.SGD([p for _, p in named], lr=0.1),
        hparams={"seed": 1},
        run_opts={"device": "cpu"},
        answerer=answerer,
        valid_utterances=[Utterance(str(p), str(p), 1.0, reference()) for p in paths],
    )
    torch.nn.init.normal_(brain.head.scores.weight, generator=torch.manual_seed(0))
    brain.modules.train()
    errors = [brain.validate()["rmse"] for _ in range(2)]
    assert errors[0] == errors[1] and not answerer.audio_llm.encoder().training
