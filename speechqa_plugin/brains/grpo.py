"""GRPO: let an audio LLM write, judge what it wrote dimension by dimension, reinforce the better.

The second stage of arXiv 2603.10175 (section 2.2), started from a calibrated model. One call of
`GRPOBrain.fit_batch` is one iteration:

    rollout of G answers a clip → read → rewards → advantages → credit → [reference] → update(s)

It differs from the paper's algorithm, which is GRPO as in arXiv 2402.03300, in this:

- Tokens are drawn from the whole distribution without the audio placeholder, at the policy's
  temperature, and their log-probabilities are those at it.
- With one update a rollout the ratio π/π_old is exactly 1, so there is no pass for π_old; with
  several, π_old is what the first update's pass gave before its step.
- The reference of the KL term is the policy that this stage started from (`Reference`), whatever
  part of the model is trained; with ``beta: 0`` there is none.
- A reward of an expected score depends on the policy itself and so has a gradient of its own,
  which is added, with a weight of its own if asked; and expected scores are drawn as well to those
  that the starting policy gives without words (`speechqa_plugin.brains.expectation`).
- A reward that has no target for a clip is neutral, instead of a zero that costs.
- With ``credit: causal`` a token gets the advantages of those rewards only that it can have an
  influence on (`speechqa_plugin.grpo.credit`).
- Loss and aggregation of rewards are chosen; the paper's are ``grpo``, ``sum_then_normalize``.

On several processes a group stays on its rank: reduced over ranks are the moments of rewards, the
size of the update and the gradients, the same number of times on each, and nothing while a model
writes or a reward judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import speechbrain as sb
import torch
import torch.distributed as dist
from torch import Tensor

from speechqa_plugin.brains.base import AssessorBrain
from speechqa_plugin.brains.calibration import answer_loss
from speechqa_plugin.brains.expectation import Expectation
from speechqa_plugin.brains.experience import Experience
from speechqa_plugin.brains.step_log import StepLog, completion_counts, completion_log
from speechqa_plugin.dataio import Batch
from speechqa_plugin.evaluation.assess import gather, rank_and_size
from speechqa_plugin.grpo.advantages import Advantages
from speechqa_plugin.grpo.loss import GRPOLoss, LossStatistics, UpdateSize
from speechqa_plugin.grpo.reference import Reference
from speechqa_plugin.grpo.rollout import Rollout, RolloutRequest
from speechqa_plugin.grpo.served import ServedRollout
from speechqa_plugin.models.completions import Completions
from speechqa_plugin.models.groups import take_prompts
from speechqa_plugin.models.inputs import ModelInputs
from speechqa_plugin.rewards import Composite


class GRPOBrain(AssessorBrain):
    """Reinforcement of a calibrated model; see the module's docstring.

    Validation is that of `AssessorBrain`; its loss is the cross-entropy of the right answers, to
    show how far the model drifts from them.

    Arguments
    ---------
    *speechbrain, **assessor
        See `AssessorBrain`. ``modules`` holds ``policy``, a `speechqa_plugin.grpo.policy.Policy`,
        and nothing else, so that DDP wraps what takes gradients.
    rollout : Rollout or ServedRollout
        Writes G answers a clip.
    composite : Composite
        The rewards and their weights.
    advantages : Advantages
        From rewards to what each token earns.
    loss : GRPOLoss
        From that to a loss.
    expectation : Expectation, optional
        What expected scores are drawn to. None: to the labels, as their rewards weigh them.
    micro_batch_size : int
        Clips whose loss is taken at once, each with its group. It has no influence on the result
        but by ``bnpo``.
    samples_folder : str
        Gets ``<iteration>.jsonl`` with all answers of that iteration on the first rank: text,
        failure, rewards, advantage.
    num_iterations : int
        Updates on one rollout.
    log_every : int
        Iterations between two lines of the log, which are means over them, and between two files
        of samples; an epoch ends with a line, too.

    Raises
    ------
    ValueError
        If a number is below 1, or gradients would be accumulated over batches.
    """

    def __init__(
        self,
        *speechbrain,
        rollout: Rollout | ServedRollout,
        composite: Composite,
        advantages: Advantages,
        loss: GRPOLoss,
        expectation: Expectation | None = None,
        micro_batch_size: int,
        samples_folder: str,
        num_iterations: int = 1,
        log_every: int = 10,
        **assessor,
    ):
        super().__init__(*speechbrain, **assessor)
        self.micro_batch_size = micro_batch_size
        self.num_iterations = num_iterations
        self.log_every = log_every
        for name in ("micro_batch_size", "num_iterations", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; need at least 1")
        if self.grad_accumulation_factor != 1:
            raise ValueError(
                f"grad_accumulation_factor is {self.grad_accumulation_factor}; GRPO needs 1: give "
                "a larger batch_size and a smaller micro_batch_size"
            )
        self.policy = self.modules.policy  # not wrapped by DDP: for passes without gradient
        self.rollout, self.composite = rollout, composite
        self.advantages, self.loss = advantages, loss
        self.expectation = expectation or Expectation(composite, self.answerer)
        self.samples_folder = Path(samples_folder)
        remembers = loss.beta or self.expectation.teacher_weight
        self.reference = Reference(self.policy.audio_llm) if remembers else None
        self.step_log = StepLog()
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("step_log", self.step_log)

    def fit_batch(self, batch: Batch) -> Tensor:
        """One iteration on a batch of clips; its right answers are read by the rewards alone."""
        self.on_fit_batch_start(batch, should_step=True)
        with self.training_ctx:
            experience = self.gather_experience(batch)
        micro_batches = self._micro_batches(experience)
        statistics = []
        for iteration in range(self.num_iterations):
            if iteration:  # each update has its own learning rate and seed
                self.on_fit_batch_start(batch, should_step=True)
            loss, numbers = self._update(micro_batches, experience.size)
            statistics += numbers
        self._log(batch, experience, statistics)
        self.on_fit_batch_end(batch, experience, loss, should_step=True)
        return loss.cpu()

    def gather_experience(self, batch: Batch) -> Experience:
        """Write completions of a batch's prompts and judge them."""
        rank, ranks = rank_and_size()
        inputs = replace(batch.inputs, answer_ids=None, answer_mask=None).to(self.device)
        # Ranks take rows in turn, so this is the row's number in the batch of one process.
        rows = [rank + ranks * row for row in range(len(batch.utterances))]
        seeds = [(self.hparams.seed, self.optimizer_step, row) for row in rows]
        prompts = [self.answerer.prompts[form] for form in batch.forms]
        score_ids = self.answerer.template.score_ids
        completions = self.rollout(RolloutRequest(inputs, batch.wavs, prompts, seeds, score_ids))

        owners = completions.owners.tolist()
        forms = [batch.forms[owner] for owner in owners]
        answers = self.answerer.read(completions, forms)
        rewards = self.composite(
            [answer.parsed for answer in answers],
            [batch.utterances[owner].reference for owner in owners],
            forms,
            prompts=[prompts[owner] for owner in owners],
            completion_ids=completions.rows(),
        )
        last_steps = self.composite.last_steps([a.steps for a in answers], completions.width - 1)
        completions, advantages, statistics = self.advantages(
            completions, rewards, self.composite.weights, last_steps, _sum_over_ranks
        )
        completions = self.loss.mask(completions)
        completions = self.expectation.aim(completions, answers, batch, self.reference)

        counts = completion_counts(completions, answers) | self.composite.take_counts()
        sums = torch.tensor([float(count) for count in counts.values()], device=self.device)
        counts = dict(zip(counts, _sum_over_ranks(sums).tolist(), strict=True))
        parts = len(range(0, len(batch.utterances), self.micro_batch_size))
        size = UpdateSize(int(counts["completions"]), int(counts["tokens"]), parts * ranks)
        log = {**statistics.as_log(self.composite.names), **completion_log(counts)}
        return Experience(inputs, completions, answers, rewards, advantages, size, log)

    def _micro_batches(self, experience: Experience) -> list[tuple[ModelInputs, Completions]]:
        """Some prompts each, with their completions and what the reference says of them."""
        inputs, prompts = experience.inputs, torch.arange(len(experience.inputs.prompt_ids))
        parts = [
            (take_prompts(self.policy.audio_llm, inputs, some), experience.completions.take(some))
            for some in prompts.to(self.device).split(self.micro_batch_size)
        ]
        if not self.loss.beta:
            return parts
        with self.training_ctx, self.reference.active():
            return [(i, replace(c, ref_logps=self.policy(i, c).logps)) for i, c in parts]

    def _update(
        self, micro_batches: list[tuple[ModelInputs, Completions]], size: UpdateSize
    ) -> tuple[Tensor, list[LossStatistics]]:
        """One optimizer step; the rank's share of the loss, and statistics of this rank."""
        _, ranks = rank_and_size()
        total, statistics = torch.zeros((), device=self.device), []
        for i, (inputs, completions) in enumerate(micro_batches):
            # A group without spread has advantage 0 and a forward all the same: DDP counts them.
            with self.no_sync(i + 1 < len(micro_batches)):
                with self.training_ctx:
                    policy = self.modules.policy(inputs, completions)
                    errors = self.expectation.losses(policy, completions)
                    loss, numbers = self.loss(policy, completions, errors, size)
                loss = ranks * loss  # DDP averages what is to be summed
                self.scaler.scale(loss).backward()
            if self.num_iterations > 1 and completions.old_logps is None:
                completions = replace(completions, old_logps=policy.logps.detach())
                micro_batches[i] = (inputs, completions)
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
            file = self.samples_folder / f"{iteration:06d}.jsonl"
            experience.write(file, batch, self.composite.names)
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

    def compute_forward(self, batch: Batch, stage: sb.Stage) -> Tensor:
        """[B, A, V] logits of the right answers' tokens, in validation."""
        return self.policy.audio_llm(batch.inputs.to(self.device))

    def compute_objectives(self, predictions: Tensor, batch: Batch, stage: sb.Stage) -> Tensor:
        """Cross-entropy of the right answers, in validation."""
        return answer_loss(predictions, batch.inputs.labels.to(predictions.device))


def _sum_over_ranks(values: Tensor) -> Tensor:
    if dist.is_initialized():
        dist.all_reduce(values)
    return values
