"""GRPO: let an audio LLM write, judge what it wrote dimension by dimension, reinforce the better.

The second stage of arXiv 2603.10175 (section 2.2), started from a calibrated model. One call of
`GRPOBrain.fit_batch` is one iteration:

    rollout of G answers a clip → parse → rewards → advantages → [reference] → update(s)

It differs from the paper's algorithm, which is GRPO as in arXiv 2402.03300, in this:

- Tokens are drawn from the whole distribution without the audio placeholder, at the temperature of
  the scorer, and scored under the same one.
- With one update a rollout the ratio π/π_old is exactly 1, so there is no pass for π_old; with
  several, π_old is what the first update's pass gave before its step.
- The reference of the KL term is the policy that this stage started from (`Reference`), whatever
  part of the model is trained; with ``beta: 0`` there is none.
- A reward of an expected score depends on the policy itself and so has a gradient of its own,
  which is added, with a weight of its own if asked; and expected scores are drawn as well to those
  that the starting policy gives without words (`speechqa_plugin.grpo.expectation`).
- A reward that has no target for a clip is neutral, instead of a zero that costs.
- With ``credit: causal`` a token gets the advantages of those rewards only that it can have an
  influence on (`speechqa_plugin.grpo.credit`).
- The loss may be any of `speechqa_plugin.grpo.loss`, the aggregation of rewards any of
  `speechqa_plugin.grpo.advantages`; the paper's are ``grpo`` and ``sum_then_normalize``.

A group's answers share one encoding of the clip and one forward of the prompt (`Scorer`). On
several processes a group stays on its rank: reduced over ranks are the moments of rewards, the
size of the update and the gradients, the same number of times on each, and nothing while a model
writes or a reward judges (a `speechqa_plugin.grpo.served.ServedRollout` tells the ranks, before it
writes, under which name).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import speechbrain as sb
import torch
import torch.distributed as dist
from torch import Tensor

from speechqa_plugin.brains.base import AssessorBrain
from speechqa_plugin.brains.calibration import answer_loss
from speechqa_plugin.brains.step_log import StepLog
from speechqa_plugin.brains.teacher import Teacher
from speechqa_plugin.dataio import Batch
from speechqa_plugin.evaluation.assess import gather, rank_and_size
from speechqa_plugin.grpo.advantages import group_advantages, stack_rewards
from speechqa_plugin.grpo.credit import CREDITS, token_advantages
from speechqa_plugin.grpo.expectation import Targets, draw_to, expectation_losses
from speechqa_plugin.grpo.loss import LossStatistics, UpdateSize, grpo_loss
from speechqa_plugin.grpo.reference import Reference
from speechqa_plugin.grpo.rollout import Rollout, rollout
from speechqa_plugin.listening import SCORES, Answer
from speechqa_plugin.models.groups import group_rows, take_prompts
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.rewards import Composite, ExpectedScore
from speechqa_plugin.text.answers import AnswerForm, ParsedAnswer, ParseFailure


@dataclass(frozen=True)
class Experience:
    """A rank's share of an iteration: what was written and how it was judged.

    B prompts, G completions of each, N = B·G, K rewards.

    Arguments
    ---------
    inputs : ModelInputs
        B prompts.
    score_ids : tuple of int
        The five score tokens.
    written : Rollout
        N completions.
    parsed : list of ParsedAnswer
        N answers as far as they could be read.
    targets : Targets
        [N, T] where the answers' digits stand and what the rewards of expected scores want there.
    rewards : list of list of float or None
        [N][K].
    advantages : Tensor
        [N, K] of each reward.
    token_advantages : Tensor
        [N, T] sums of those that are given to each token.
    mask : Tensor
        [N, T] tokens to train on.
    size : UpdateSize
        Of the whole update, all ranks together.
    log : dict from str to float
        Numbers over all ranks.
    """

    inputs: ModelInputs
    score_ids: tuple[int, ...]
    written: Rollout
    parsed: list[ParsedAnswer]
    targets: Targets
    rewards: list[list[float | None]]
    advantages: Tensor
    token_advantages: Tensor
    mask: Tensor
    size: UpdateSize
    log: dict[str, float]


@dataclass
class MicroBatch:
    """Some prompts of an iteration with their completions; shapes as in `grpo_loss`."""

    inputs: ModelInputs
    ids: Tensor
    written: Tensor
    mask: Tensor
    advantages: Tensor
    targets: Targets
    sampled_logps: Tensor
    ref_logps: Tensor | None = None
    old_logps: Tensor | None = None


class GRPOBrain(AssessorBrain):
    """Reinforcement of a calibrated model; the order of events, see the module's docstring.

    Validation is that of `AssessorBrain`; its loss is the cross-entropy of the right answers, to
    show how far the model drifts from them.

    Arguments
    ---------
    modules : dict
        ``scorer``: a `speechqa_plugin.grpo.scoring.Scorer` of the listener's model, and nothing
        else, so that DDP wraps what takes gradients.
    opt_class, hparams, run_opts, checkpointer
        See `AssessorBrain`. ``grad_accumulation_factor`` must be 1: ``micro_batch_size`` serves.
    composite : Composite
        The rewards and their weights.
    group_size : int
        G, answers a clip; at least 2.
    max_new_tokens : int
        Limit of an answer, end token included.
    micro_batch_size : int
        Clips that are scored at once, each with its group. It has no influence on the result
        but by ``bnpo``.
    loss_type, epsilon_low, epsilon_high, beta, use_bias_correction_kl
        See `speechqa_plugin.grpo.loss.grpo_loss`.
    aggregation, std_floor, scale_rewards
        See `speechqa_plugin.grpo.advantages.group_advantages`.
    credit : str
        ``answer`` gives a completion's whole advantage to each of its tokens, as GRPO does;
        ``causal`` see `speechqa_plugin.grpo.credit`.
    error_weight : float, optional
        Weight of an expected score's squared error, for each dimension that a reward of positive
        weight has an `ExpectedScore` of. None: that reward's, which makes it its exact gradient
        where advantages are not divided (``scale_rewards`` False).
    teacher_weight : float
        Weight of the squared distance of an expected score from that which the starting policy
        gives in the scores form, which it must have been calibrated in; 0 asks for none.
    teacher_starts_ms : sequence of float
        See `speechqa_plugin.brains.teacher.Teacher`.
    num_iterations : int
        Updates on one rollout.
    mask_truncated : bool
        Take no loss on answers that the limit cut.
    log_every : int
        Iterations between two lines of the log, which are means over them, and between two files
        of samples; an epoch ends with a line, too.
    samples_folder : str
        Gets ``<iteration>.jsonl`` with all answers of that iteration on the first rank: text,
        failure, rewards, advantage.
    rollout : callable
        Writes the answers: `speechqa_plugin.grpo.rollout.rollout`, by the model itself, or a
        `speechqa_plugin.grpo.served.ServedRollout`, by a server.
    **assessor
        Further arguments of `AssessorBrain`.

    Raises
    ------
    ValueError
        If a number is too small, a weight asks for an `ExpectedScore` that is not there, or
        gradients would be accumulated over batches.
    """

    def __init__(
        self,
        modules=None,
        opt_class=None,
        hparams=None,
        run_opts=None,
        checkpointer=None,
        *,
        composite: Composite,
        group_size: int,
        max_new_tokens: int,
        micro_batch_size: int,
        samples_folder: str,
        loss_type: str = "grpo",
        epsilon_low: float = 0.2,
        epsilon_high: float = 0.2,
        beta: float = 0.0,
        use_bias_correction_kl: bool = False,
        aggregation: str = "sum_then_normalize",
        std_floor: float = 1e-4,
        scale_rewards: bool = True,
        credit: str = "answer",
        error_weight: float | None = None,
        teacher_weight: float = 0.0,
        teacher_starts_ms: Sequence[float] = (0.0,),
        num_iterations: int = 1,
        mask_truncated: bool = False,
        log_every: int = 10,
        rollout: Callable[..., Rollout] = rollout,
        **assessor,
    ):
        super().__init__(modules, opt_class, hparams, run_opts, checkpointer, **assessor)
        numbers = {
            "group_size - 1": group_size - 1,  # one answer alone is neither better nor worse
            "micro_batch_size": micro_batch_size,
            "num_iterations": num_iterations,
            "log_every": log_every,
        }
        small = {name: number for name, number in numbers.items() if number < 1}
        if small:
            raise ValueError(f"{small}: need numbers of at least 1")
        if self.grad_accumulation_factor != 1:
            raise ValueError(
                f"grad_accumulation_factor is {self.grad_accumulation_factor}; GRPO needs 1: give "
                "a larger batch_size and a smaller micro_batch_size"
            )
        self.composite = composite
        self.group_size = group_size
        self.max_new_tokens = max_new_tokens
        self.micro_batch_size = micro_batch_size
        self.samples_folder = Path(samples_folder)
        self.loss_options = {
            "loss_type": loss_type,
            "epsilon_low": epsilon_low,
            "epsilon_high": epsilon_high,
            "beta": beta,
            "use_bias_correction_kl": use_bias_correction_kl,
            "max_new_tokens": max_new_tokens,
        }
        self.advantage_options = {
            "aggregation": aggregation,
            "std_floor": std_floor,
            "scale": scale_rewards,
        }
        self.error_weights = {
            reward.dimension: weight if error_weight is None else error_weight
            for reward, weight in zip(composite.judges, composite.weights, strict=True)
            if isinstance(reward, ExpectedScore) and weight > 0
        }
        if (error_weight is not None and error_weight <= 0) or teacher_weight < 0:
            raise ValueError(
                f"error_weight is {error_weight} and teacher_weight {teacher_weight}; need one "
                "above 0 and one of at least 0"
            )
        if not self.error_weights and (error_weight is not None or teacher_weight):
            raise ValueError(
                f"error_weight is {error_weight} and teacher_weight {teacher_weight}, but no "
                "reward of positive weight is an ExpectedScore: add one, or set them to null and 0"
            )
        self.teacher_weight = teacher_weight
        if credit not in CREDITS:
            raise ValueError(f"credit is {credit!r}; known are {', '.join(CREDITS)}")
        self.credit = credit
        self.num_iterations = num_iterations
        self.mask_truncated = mask_truncated
        self.log_every = log_every
        self.rollout = rollout
        self.audio_llm = self.listener.audio_llm  # not wrapped by DDP: for passes without gradient
        self.scorer = self.modules.scorer
        self.reference = Reference(self.audio_llm) if beta or teacher_weight else None
        self.teacher = None
        if teacher_weight:
            self.teacher = Teacher(self.listener, self.reference, teacher_starts_ms)
        self.step_log = StepLog()
        if checkpointer is not None:
            checkpointer.add_recoverable("step_log", self.step_log)

    def fit_batch(self, batch: Batch) -> Tensor:
        """One iteration on a batch of clips; its right answers are read by the rewards alone."""
        self.on_fit_batch_start(batch, should_step=True)
        with self.training_ctx:
            experience = self.gather_experience(batch)
        micro_batches = list(self._micro_batches(experience))
        self._add_reference(micro_batches)
        statistics = []
        for iteration in range(self.num_iterations):
            if iteration:  # each update has its own learning rate and seed
                self.on_fit_batch_start(batch, should_step=True)
            loss, numbers = self._update(micro_batches, experience)
            statistics += numbers
        self._log(batch, experience, statistics)
        self.on_fit_batch_end(batch, experience, loss, should_step=True)
        return loss.cpu()

    def gather_experience(self, batch: Batch) -> Experience:
        """Write completions of a batch's prompts and judge them.

        Arguments
        ---------
        batch : Batch
            B clips.

        Returns
        -------
        Experience
        """
        rank, ranks = rank_and_size()
        inputs = replace(batch.inputs, answer_ids=None, answer_mask=None).to(self.device)
        # Ranks take rows in turn, so this is the row's number in the batch of one process.
        rows = [rank + ranks * row for row in range(len(batch.utterances))]
        seeds = [(self.hparams.seed, self.optimizer_step, row) for row in rows]
        score_ids = self.listener.template.score_ids
        written = self.rollout(
            self.audio_llm,
            inputs,
            self.group_size,
            self.max_new_tokens,
            seeds,
            score_ids,
            temperature=self.scorer.temperature,
            wavs=batch.wavs,
            prompts=[self.listener.prompts[form] for form in batch.forms],
        )
        generation = written.generation(self.audio_llm.tokenizer)
        forms = [form for form in batch.forms for _ in range(self.group_size)]
        answers = self.listener.read(generation, forms)
        parsed = [answer.parsed for answer in answers]
        rewards = self._judge(batch, parsed, forms, generation.ids)
        advantages, statistics = group_advantages(
            stack_rewards(list(zip(*rewards, strict=True)), self.group_size).to(self.device),
            self.composite.weights,
            all_reduce=_sum_over_ranks,
            **self.advantage_options,
        )
        advantages = advantages.flatten(end_dim=1)
        width = written.completion_ids.shape[1]
        last_steps = self._last_steps(answers, advantages, width - 1)
        mask = written.loss_mask(self.mask_truncated)
        counts = self._counts(written, parsed, mask)
        completions = counts["completions"]
        log = {
            **statistics.as_log(self.composite.names),
            "completions/mean_length": counts["length"] / completions,
            "completions/clipped_ratio": counts["truncated"] / completions,
            "parse_rate": counts["read"] / completions,
            **{f"parse_failure/{f}": counts[f] / completions for f in ParseFailure},
            **{key: n for key, n in counts.items() if "/" in key},  # of the rewards
        }
        parts = len(range(0, len(batch.utterances), self.micro_batch_size))
        size = UpdateSize(int(completions), int(counts["tokens"]), parts * ranks)
        targets = self._targets(batch, written, answers)
        return Experience(
            inputs,
            score_ids,
            written,
            parsed,
            targets,
            rewards,
            advantages,
            token_advantages(advantages, last_steps, width),
            mask,
            size,
            log,
        )

    def _counts(
        self, written: Rollout, parsed: Sequence[ParsedAnswer], mask: Tensor
    ) -> dict[str, float]:
        """Sums over the completions of all ranks."""
        mine = {
            "completions": len(parsed),
            "tokens": mask.sum(),
            "length": written.lengths.sum(),
            "truncated": (~written.finished).sum(),
            "read": sum(p.assessment is not None for p in parsed),
            **{f: sum(p.failure is f for p in parsed) for f in ParseFailure},
            **self.composite.take_counts(),
        }
        sums = torch.tensor([float(v) for v in mine.values()], device=self.device)
        return dict(zip(mine, _sum_over_ranks(sums).tolist(), strict=True))

    def _judge(
        self,
        batch: Batch,
        parsed: list[ParsedAnswer],
        forms: list[AnswerForm],
        ids: list[list[int]],
    ) -> list[list[float | None]]:
        owners = [i // self.group_size for i in range(len(parsed))]
        return self.composite(
            parsed,
            [batch.utterances[i].reference for i in owners],
            forms,
            prompts=[self.listener.prompts[form] for form in forms],
            completion_ids=ids,
        )

    def _last_steps(self, answers: Sequence[Answer], advantages: Tensor, last: int) -> Tensor:
        if self.credit == "answer":
            return torch.full(advantages.shape, last)
        return torch.tensor(self.composite.last_steps([a.steps for a in answers], last))

    def _targets(self, batch: Batch, written: Rollout, answers: Sequence[Answer]) -> Targets:
        taught = [None] * len(batch.utterances)
        if self.teacher:
            taught = self.teacher.expect(batch.wavs)
        targets = [
            draw_to(utterance.reference.scores, self.error_weights, scores, self.teacher_weight)
            for utterance, scores in zip(batch.utterances, taught, strict=True)
        ]
        rows = [
            {
                step: targets[i // self.group_size][name]
                for name, step in answer.steps.items()
                if name in self.error_weights
            }
            for i, answer in enumerate(answers)
        ]
        return Targets.of(rows, written.completion_ids.shape[1]).to(self.device)

    def _micro_batches(self, experience: Experience) -> Iterator[MicroBatch]:
        prompts = torch.arange(len(experience.inputs.prompt_ids), device=self.device)
        for some in prompts.split(self.micro_batch_size):
            written = experience.written.take_prompts(some)
            rows, width = group_rows(some, self.group_size), written.completion_ids.shape[1]
            yield MicroBatch(
                take_prompts(self.audio_llm, experience.inputs, some),
                written.completion_ids,
                written.completion_mask,
                experience.mask[rows, :width],
                experience.token_advantages[rows, :width],
                experience.targets.take(rows, width),
                written.sampled_logps,
            )

    def _add_reference(self, micro_batches: Sequence[MicroBatch]) -> None:
        if not self.loss_options["beta"]:
            return
        with self.training_ctx, self.reference.active():
            for part in micro_batches:
                part.ref_logps = self.scorer(part.inputs, part.ids, part.written).logps

    def _update(
        self, micro_batches: Sequence[MicroBatch], experience: Experience
    ) -> tuple[Tensor, list[LossStatistics]]:
        """One optimizer step; the rank's share of the loss, and statistics of this rank."""
        _, ranks = rank_and_size()
        total, statistics = torch.zeros((), device=self.device), []
        for i, part in enumerate(micro_batches):
            # A group without spread has advantage 0 and a forward all the same: DDP counts them.
            with self.no_sync(i + 1 < len(micro_batches)):
                with self.training_ctx:
                    scores = self.modules.scorer(
                        part.inputs, part.ids, part.written, experience.score_ids
                    )
                    loss, numbers = grpo_loss(
                        scores.logps,
                        part.advantages,
                        part.mask,
                        part.old_logps,
                        part.ref_logps,
                        scores.entropies,
                        expectation_losses(scores.choice_logps, SCORES, part.targets),
                        part.sampled_logps,
                        update=experience.size,
                        **self.loss_options,
                    )
                loss = ranks * loss  # DDP averages what is to be summed
                self.scaler.scale(loss).backward()
            if self.num_iterations > 1 and part.old_logps is None:
                part.old_logps = scores.logps.detach()
            total += loss.detach()
            statistics.append(numbers)
        self.optimizers_step()
        return total, statistics

    def _log(
        self, batch: Batch, experience: Experience, statistics: Sequence[LossStatistics]
    ) -> None:
        parts = gather(list(statistics))
        self.step_log.add({**experience.log, **sum(parts[1:], start=parts[0]).as_log()})
        iteration = self.optimizer_step // self.num_iterations
        if iteration % self.log_every:
            return
        if rank_and_size()[0] == 0:
            self._write_samples(batch, experience, iteration)
        self._write_log()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """See `AssessorBrain`; first the iterations since the last line of the log."""
        if stage == sb.Stage.TRAIN and self.step_log.sums:
            self._write_log()
        super().on_stage_end(stage, stage_loss, epoch)

    def _write_log(self) -> None:
        iteration = self.optimizer_step // self.num_iterations
        self.hparams.train_logger.log_stats(  # a collective: every rank has to call it
            stats_meta={"iteration": iteration, "lr": self.optimizer.param_groups[0]["lr"]},
            train_stats=self.step_log.take(),
        )

    def _write_samples(self, batch: Batch, experience: Experience, iteration: int) -> None:
        self.samples_folder.mkdir(parents=True, exist_ok=True)
        columns = zip(
            experience.parsed,
            experience.rewards,
            experience.advantages.sum(dim=-1).tolist(),
            experience.written.finished.tolist(),
            strict=True,
        )
        lines = [
            json.dumps(
                {
                    "id": batch.utterances[row // self.group_size].id,
                    "form": batch.forms[row // self.group_size],
                    "text": parsed.text,
                    "failure": parsed.failure,
                    "finished": finished,
                    "advantage": advantage,
                    "rewards": dict(zip(self.composite.names, rewards, strict=True)),
                },
                ensure_ascii=False,
            )
            for row, (parsed, rewards, advantage, finished) in enumerate(columns)
        ]
        file = self.samples_folder / f"{iteration:06d}.jsonl"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """[B, A, V] logits of the right answers' tokens, in validation."""
        return self.audio_llm(batch.inputs.to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: Batch, stage: sb.Stage) -> Tensor:
        """Cross-entropy of the right answers, in validation."""
        return answer_loss(predictions, batch.inputs.labels.to(predictions.device))


def _sum_over_ranks(values: Tensor) -> Tensor:
    if dist.is_initialized():
        dist.all_reduce(values)
    return values
