"""The loss, and what keeps a training step safe."""

import math

import pytest
import speechbrain as sb
import torch
from random_models import clips, published_logits, random_model
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger
from tiny import write_clip
from torch.testing._internal.distributed.fake_pg import FakeStore

from speechqa_plugin.brains import CalibrationBrain
from speechqa_plugin.brains.calibration import answer_loss
from speechqa_plugin.dataio import Collate, make_dataset
from speechqa_plugin.evaluation.assess import rank_and_size
from speechqa_plugin.listening import Answerer
from speechqa_plugin.models.inputs import IGNORE_INDEX
from speechqa_plugin.schema import Assessment, Utterance, load_taxonomy

NISQA = load_taxonomy("nisqa")
ANSWERS = ("mos: 3", "description: It hums, all the time.\nmos: 1")


def two_groups(parameters):
    """Plain descent at rate 1, so that a step is the gradient that was left."""
    parameters = list(parameters)
    return torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=1.0)


def make_brain(opt_class=two_groups, valid=(), checkpointer=None, hparams=(), **run_opts):
    model = random_model()
    brain = CalibrationBrain(
        modules={"audio_llm": model},
        opt_class=opt_class,
        hparams={"seed": 1, "best_metric": "utt/pcc", **dict(hparams)},
        run_opts={"device": "cpu", "noprogressbar": True, **run_opts},
        checkpointer=checkpointer,
        answerer=Answerer(model, NISQA),
        valid_utterances=list(valid),
    )
    brain.init_optimizers()
    return brain


def rows(folder, *scores):
    return [
        Utterance(
            f"row{i}",
            str(write_clip(folder / f"{i}.wav", 0.2 + 0.1 * i, 0.1, seed=i)),
            0.2 + 0.1 * i,
            Assessment(NISQA, dict.fromkeys(NISQA.names, score)),
        )
        for i, score in enumerate(scores)
    ]


@pytest.fixture
def process(request):
    """This process as one of several, of which the others are not there."""

    def be(rank, size):
        torch.distributed.init_process_group("fake", rank=rank, world_size=size, store=FakeStore())
        request.addfinalizer(torch.distributed.destroy_process_group)

    return be


# The loss


def test_a_clips_loss_is_the_one_of_transformers():
    """Its labels are ours by hand: -100 on all but the answer and its end token."""
    model = random_model()
    for clip, answer in zip(clips(0.5, 0.3), ANSWERS, strict=True):
        inputs = model.inputs([clip], ["Rate this."], [answer])
        ids = torch.cat([inputs.prompt_ids, inputs.answer_ids], dim=1)
        labels = ids.clone()
        labels[:, : inputs.prompt_ids.shape[1]] = -100
        theirs = model.model(
            input_ids=ids,
            input_features=inputs.features,
            input_features_mask=inputs.features_mask,
            labels=labels,
        ).loss
        torch.testing.assert_close(answer_loss(model(inputs), inputs.labels), theirs)


def test_a_long_answer_counts_as_much_as_a_short_one():
    model = random_model()
    batch = model.inputs(clips(0.5, 0.3), ["Rate this."] * 2, ANSWERS)
    lengths = (batch.labels != IGNORE_INDEX).sum(-1)
    assert lengths[0] < lengths[1]
    logits = published_logits(model, batch)
    own = [
        -sum(logits[i, t].log_softmax(-1)[batch.labels[i, t]] for t in range(n)) / n
        for i, n in enumerate(lengths)
    ]
    torch.testing.assert_close(answer_loss(model(batch), batch.labels), (own[0] + own[1]) / 2)
    # So equal shares of a batch on two processes add up to the whole.
    shares = [answer_loss(logits[i : i + 1], batch.labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(answer_loss(logits, batch.labels), sum(shares) / 2)


def test_padding_has_no_part_in_the_loss():
    logits = torch.randn(2, 4, 7, requires_grad=True)
    labels = torch.tensor([[1, 2, IGNORE_INDEX, IGNORE_INDEX], [3, 0, 6, 5]])
    answer_loss(logits, labels).backward()
    assert not logits.grad[0, 2:].any()
    assert logits.grad[0, :2].any() and logits.grad[1].abs().sum(-1).all()


def test_the_softmax_of_half_precision_logits_is_taken_in_full():
    torch.manual_seed(0)
    logits = (8 * torch.randn(2, 3, 5000)).bfloat16()
    labels = torch.randint(0, 5000, (2, 3))
    loss = answer_loss(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, answer_loss(logits.double(), labels).float())
    coarse = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert abs(coarse - loss) > 1e-3


# The step


@pytest.mark.parametrize("norm", [-1, 0, -0.5])
@pytest.mark.parametrize("place", ["hparams", "run_opts"])
def test_a_gradient_limit_that_turns_or_stops_descent_is_refused(norm, place):
    given = {"max_grad_norm": norm}
    options = given if place == "run_opts" else {"hparams": given}
    with pytest.raises(ValueError, match=f"max_grad_norm is {norm}; it must be above 0"):
        make_brain(**options)


def step(brain, gradient):
    """One step from this gradient on every weight; the change of each weight."""
    weights = [p for p in brain.modules.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in weights]
    for parameter in weights:
        parameter.grad = torch.full_like(parameter, gradient)
    brain.optimizers_step()
    assert all(p.grad is None for p in weights)
    return [b - p.detach() for b, p in zip(before, weights, strict=True)]


def test_all_groups_are_clipped_together():
    changes = step(make_brain(max_grad_norm=0.5), 3.0)
    norm = torch.cat([c.flatten() for c in changes]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-3)
    sizes = {round(float(c.mean()), 6) for c in changes}
    assert len(sizes) == 1  # the direction is kept over both groups


def test_a_small_gradient_is_left_as_it_is():
    for change in step(make_brain(max_grad_norm=1e3), 0.01):
        torch.testing.assert_close(change, torch.full_like(change, 0.01), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_left_out_and_too_many_end_the_run(bad):
    brain = make_brain(torch.optim.AdamW, nonfinite_patience=2)
    step(brain, 1e-3)
    state = {k: v.clone() for k, v in next(iter(brain.optimizer.state.values())).items()}
    for _ in range(3):  # never more than two in a row
        for _ in range(2):
            assert not any(change.any() for change in step(brain, bad))
        after = next(iter(brain.optimizer.state.values()))
        assert all(torch.equal(state[k], after[k]) for k in state)
        assert any(change.any() for change in step(brain, 1e-3))
        state = {k: v.clone() for k, v in after.items()}
    assert brain.optimizer_step == 1 + 3 * 3
    step(brain, bad), step(brain, bad)
    with pytest.raises(RuntimeError, match="3 steps in a row .* not finite"):
        step(brain, bad)


def test_one_bad_weight_is_enough():
    brain = make_brain()
    last = [p for p in brain.modules.parameters() if p.requires_grad][-1]
    for parameter in brain.modules.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    last.grad.view(-1)[-1] = math.nan
    before = [p.detach().clone() for p in brain.modules.parameters()]
    brain.optimizers_step()
    assert all(torch.equal(b, p) for b, p in zip(before, brain.modules.parameters(), strict=True))


# The data and the random numbers


def loaded(brain, dataset, epoch=1, **options):
    options = {"batch_size": 2, "shuffle": True, "collate_fn": Collate(brain.answerer)} | options
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, **options)
    brain.train_sampler.set_epoch(epoch)
    return [[u.id for u in batch.utterances] for batch in loader]


def test_the_order_is_the_seeds_and_another_in_each_epoch(tmp_path):
    made = rows(tmp_path, 1, 2, 3, 4, 5, 4)
    brain = make_brain()
    dataset = make_dataset(made, ["scores"], brain.answerer)
    first = loaded(brain, dataset)
    assert sorted(sum(first, [])) == [u.id for u in made]
    assert loaded(make_brain(), dataset) == first
    assert loaded(brain, dataset, epoch=2) != first
    assert loaded(make_brain(hparams={"seed": 2}), dataset) != first


@pytest.mark.parametrize("rows_per_epoch", [2, 4, 10])
def test_no_row_comes_again_before_all_others(tmp_path, rows_per_epoch):
    brain = make_brain()
    made = rows(tmp_path, 1, 2, 3, 4, 5, 4)
    dataset = make_dataset(made, ["scores"], brain.answerer)
    epochs = [loaded(brain, dataset, epoch=n, rows_per_epoch=rows_per_epoch) for n in range(1, 10)]
    assert all(sum(map(len, epoch)) == rows_per_epoch for epoch in epochs)
    order = [id_ for epoch in epochs for batch in epoch for id_ in batch]
    passes = [order[i : i + 6] for i in range(0, len(order) - 5, 6)]
    assert all(sorted(one) == [u.id for u in made] for one in passes)
    assert len({tuple(one) for one in passes}) == len(passes)


def test_the_batch_size_counts_over_all_processes(tmp_path, process):
    brain = make_brain()
    dataset = make_dataset(rows(tmp_path, 1, 2, 3, 4), ["scores"], brain.answerer)
    assert [len(batch) for batch in loaded(brain, dataset, batch_size=4)] == [4]
    process(1, 2)
    assert rank_and_size() == (1, 2)
    assert [len(batch) for batch in loaded(brain, dataset, batch_size=4)] == [2, 2]
    with pytest.raises(ValueError, match="batch_size 3 does not divide by 2 processes"):
        loaded(brain, dataset, batch_size=3)


def drawn(optimizer_step, **options):
    brain = make_brain(**options)
    brain.optimizer_step = optimizer_step
    torch.rand(optimizer_step)  # whatever came before
    brain.on_fit_batch_start(None, True)
    return float(torch.rand(1))


def test_random_numbers_are_those_of_seed_step_and_process(process):
    alone = [drawn(i) for i in range(4)]
    assert alone == [drawn(i) for i in range(4)]
    assert len(set(alone)) == 4
    assert drawn(0, hparams={"seed": 9}) != alone[0]
    process(1, 2)
    assert len({*alone[:2], drawn(0), drawn(1)}) == 4 - 1  # step 0 of process 1 is step 1 alone
    assert drawn(0) != drawn(1)


def test_the_schedule_sets_the_rate_of_the_coming_step():
    called = []
    brain = make_brain(hparams={"lr_schedule": lambda optimizer, n: called.append((optimizer, n))})
    brain.on_fit_batch_start(None, True)
    step(brain, 0.1)
    brain.on_fit_batch_start(None, True)
    assert called == [(brain.optimizer, 1), (brain.optimizer, 2)]


# An epoch


def fit(folder, train_scores, valid_scores):
    checkpointer = Checkpointer(folder / "save")
    brain = make_brain(
        opt_class=lambda parameters: torch.optim.AdamW(parameters, lr=0.003),
        valid=rows(folder / "valid", *valid_scores),
        checkpointer=checkpointer,
        hparams={"train_logger": FileTrainLogger(str(folder / "log.txt"))},
    )
    checkpointer.add_recoverables({"audio_llm": brain.answerer.audio_llm})
    train = make_dataset(rows(folder / "train", *train_scores), ["scores"], brain.answerer)
    valid = make_dataset(brain.valid_utterances, ["scores"], brain.answerer)
    loader = {"batch_size": 2, "collate_fn": Collate(brain.answerer)}
    counter = EpochCounter(3)
    brain.fit(
        counter,
        train,
        valid,
        train_loader_kwargs={**loader, "shuffle": True},
        valid_loader_kwargs=loader,
    )
    return checkpointer.list_checkpoints(), (folder / "log.txt").read_text().splitlines()


def test_an_epoch_is_logged_and_kept(tmp_path):
    checkpoints, log = fit(tmp_path, (1, 3, 5, 2), (1, 5, 3))
    assert len(log) == 3
    losses = [float(line.split("train loss: ")[1].split(" ")[0]) for line in log]
    assert losses[-1] < losses[0]
    for key in ("utt/pcc", "parse_rate", "rmse", "mos/utt/pcc", "loss"):
        assert f"valid {key}: " in log[0]
    assert 1 <= len(checkpoints) <= 2  # the newest and the best
    assert all(-1 <= c.meta["utt/pcc"] <= 1 for c in checkpoints)


def test_a_model_without_a_correlation_is_the_worst_and_not_the_best(tmp_path):
    checkpoints, log = fit(tmp_path, (3, 3), (4, 4))
    assert "valid utt/pcc: nan" in log[0]
    assert [c.meta["utt/pcc"] for c in checkpoints] == [-1.0] * len(checkpoints)
