"""The dense head: its targets on the time axis, its loss, and that it is thrown away."""

import pytest
import speechbrain as sb
import torch
from safetensors.torch import load_file
from speechbrain.utils.checkpoints import Checkpointer
from tiny import CLEAN, NOISY, tiny_answerer

from speechqa_plugin.brains.calibration import CalibrationBrain, answer_loss
from speechqa_plugin.brains.dense import (
    DenseHead,
    artifact_targets,
    artifact_types,
    dense_loss,
)
from speechqa_plugin.dataio import Batch
from speechqa_plugin.export import export_assessor
from speechqa_plugin.listening import Answerer
from speechqa_plugin.schema import Artifact, Assessment, Utterance, load_taxonomy

QUALISPEECH = load_taxonomy("qualispeech")
TYPES = artifact_types(QUALISPEECH)
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
    torch.testing.assert_close(dense_loss(logits, targets), wanted)
    shares = [dense_loss(logits[:5], targets[:1]), dense_loss(logits[5:], targets[1:])]
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
    brain, batch = make_brain(answerer, dense_weight=1.0), make_batch(answerer)
    clean, noisy = brain.dense_targets(batch)
    assert (clean.shape, noisy.shape) == ((12, 21), (19, 21))  # 1 s and 1.5 s of 80 ms
    hiss = noisy[:, TYPES.index(HISS)]
    assert not clean.any()
    assert hiss.tolist() == pytest.approx([0.9] * 9 + [0.9 * 3 / 8] + [0] * 9, abs=1e-5)
    _, audio = answerer.audio_llm(batch.inputs, with_audio=True)
    assert len(audio) == 12 + 19


def test_the_loss_in_training_is_both_and_in_validation_the_answers_alone():
    answerer = tiny_answerer()
    batch = make_batch(answerer)
    brain = make_brain(answerer, dense_weight=0.5)
    logits, audio = answerer.audio_llm(batch.inputs, with_audio=True)
    answers = answer_loss(answerer.audio_llm(batch.inputs), batch.inputs.labels)
    dense = dense_loss(brain.modules.dense_head(audio), brain.dense_targets(batch))
    assert dense > 0.1
    for stage, wanted in (
        (sb.Stage.TRAIN, answers + 0.5 * dense),
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


def test_the_encoder_learns_from_it_and_the_head_to_tell_the_moments():
    answerer = tiny_answerer(stem="conv2d")
    batch = make_batch(answerer)
    brain = make_brain(answerer, dense_weight=1.0)
    for step in range(60):
        _, audio = answerer.audio_llm(batch.inputs, with_audio=True)
        loss = dense_loss(brain.modules.dense_head(audio), brain.dense_targets(batch))
        brain.optimizer.zero_grad()
        loss.backward()
        heard = [p.grad for p in answerer.audio_llm.encoder().parameters() if p.grad is not None]
        assert any(g.any() for g in heard) == (step > 0)  # its weights start at 0
        brain.optimizer.step()
    _, audio = answerer.audio_llm(batch.inputs, with_audio=True)
    hiss = brain.modules.dense_head(audio)[:, TYPES.index(HISS)].sigmoid()
    clean, noisy = hiss[:12], hiss[12:]
    assert clean.max() < 0.2 and noisy[:9].mean() > 0.6 and noisy[10:].mean() < 0.2


def test_it_goes_on_from_a_checkpoint_and_stays_out_of_the_export(tmp_path):
    answerer = tiny_answerer()
    brain = make_brain(answerer, tmp_path / "save", dense_weight=1.0)
    with torch.no_grad():
        brain.modules.dense_head.linear.weight.normal_()
    brain.checkpointer.save_checkpoint()
    other = make_brain(tiny_answerer(seed=2), tmp_path / "save", dense_weight=1.0)
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


def test_what_cannot_be_taught_is_refused():
    answerer = tiny_answerer()
    with pytest.raises(ValueError, match="dense_weight is -1; need at least 0"):
        make_brain(answerer, dense_weight=-1)
    nisqa = Answerer(answerer.audio_llm, load_taxonomy("nisqa"))
    with pytest.raises(ValueError, match="'nisqa' names no types .*set dense_weight to 0"):
        make_brain(nisqa, dense_weight=1.0)


def test_the_untrained_head_says_the_same_of_every_token():
    said = DenseHead(8, QUALISPEECH)(torch.randn(4, 8).bfloat16()).sigmoid()
    torch.testing.assert_close(said, torch.full((4, 21), 0.05))
